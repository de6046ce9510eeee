/* Plain references of the parts of a layer: definitions as loops, in double (kernels_ref.h). */
#include <math.h>

#include "reference.h"

/* ---------------------------------------------------------------- norms */

/* One head of one row: its mean (0 for an RMSNorm) and rstd. */
typedef struct moments {
  double mean, rstd;
} moments;

static moments moments_of(const ft_norm *norm, ft_dtype type, const void *x, int64_t at,
                          int64_t n) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++)
    sum += get(type, x, at + i);
  double mean = norm->kind == FT_NORM_LAYER ? sum / (double)n : 0;
  for (int64_t i = 0; i < n; i++)
    squares += pow(get(type, x, at + i) - mean, 2);
  return (moments){.mean = mean, .rstd = 1.0 / sqrt(squares / (double)n + (double)norm->eps)};
}

static double norm_weight(const ft_norm *norm, ft_dtype type, const void *w, int64_t i) {
  return get(type, w, i) + (norm->plus_one ? 1.0 : 0.0);
}

void ft_ref_norm_forward(const ft_norm *norm, ft_dtype type, void *y, float *rstd, const void *x,
                         const void *w, const void *bias, const ft_rows *shape) {
  for (int64_t r = 0; r < shape->rows; r++)
    for (int64_t h = 0; h < shape->heads; h++) {
      int64_t at = r * shape->stride + h * shape->width;
      moments m = moments_of(norm, type, x, at, shape->width);
      for (int64_t i = 0; i < shape->width; i++)
        put(type, y, at + i,
            (get(type, x, at + i) - m.mean) * m.rstd * norm_weight(norm, type, w, i) +
                (bias ? get(type, bias, i) : 0));
      if (rstd) rstd[r * shape->heads + h] = (float)m.rstd;
    }
}

void ft_ref_norm_sum_forward(const ft_norm *norm, ft_dtype type, void *y, void *sum, float *rstd,
                             const void *x, const void *branch, float multiplier, const void *w,
                             const void *bias, const ft_rows *shape) {
  for (int64_t r = 0; r < shape->rows; r++)
    for (int64_t i = r * shape->stride; i < r * shape->stride + shape->heads * shape->width; i++)
      put(type, sum, i, get(type, x, i) + (double)multiplier * get(type, branch, i));
  ft_ref_norm_forward(norm, type, y, rstd, sum, w, bias, shape);
}

/* y = (x − mean) · rstd · w + bias, where mean and rstd depend on x:
 * dx = rstd · (dy·w − mean(dy·w) − x̂ · mean(dy·w·x̂)), x̂ = (x − mean) · rstd. */
static void head_backward(const ft_norm *norm, ft_dtype type, const ft_norm_gradient *out,
                          double *dw, double *db, const void *dy, const void *x, double rstd,
                          const void *w, int64_t at, int64_t n) {
  bool layer = norm->kind == FT_NORM_LAYER;
  double mean = moments_of(norm, type, x, at, n).mean, sum = 0, product = 0;
  for (int64_t i = 0; i < n; i++) {
    double dyw = get(type, dy, at + i) * norm_weight(norm, type, w, i);
    sum += layer ? dyw : 0;
    product += dyw * (get(type, x, at + i) - mean) * rstd;
  }
  for (int64_t i = 0; i < n; i++) {
    double d = get(type, dy, at + i), normed = (get(type, x, at + i) - mean) * rstd;
    double dx = rstd * (d * norm_weight(norm, type, w, i) - (sum + normed * product) / (double)n);
    dw[i] += d * normed;
    db[i] += d;
    if (out->dx && out->accumulate) dx += (double)out->dx[at + i];
    if (out->dx) out->dx[at + i] = (float)dx;
    if (out->dx16) put(type, out->dx16, at + i, dx);
  }
}

ft_err ft_ref_norm_backward(const ft_norm *norm, ft_dtype type, const ft_norm_gradient *out,
                            const void *dy, const void *x, const float *rstd, const void *w,
                            const ft_rows *shape) {
  int64_t n = shape->width;
  double *sums;
  ft_err err = ft_alloc_array(FT_MEM_WORKSPACE, 2 * n, sizeof *sums, (void **)&sums);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < 2 * n; i++)
    sums[i] = 0;
  for (int64_t r = 0; r < shape->rows; r++)
    for (int64_t h = 0; h < shape->heads; h++)
      head_backward(norm, type, out, sums, sums + n, dy, x, (double)rstd[r * shape->heads + h], w,
                    r * shape->stride + h * n, n);
  for (int64_t i = 0; i < n; i++) {
    if (out->dw) out->dw[i] = (float)sums[i];
    if (out->db) out->db[i] = (float)sums[n + i];
  }
  ft_free(sums);
  return FT_OK;
}

/* ---------------------------------------------------------------- activations */

static double sigmoid(double x) {
  return 1.0 / (1.0 + exp(-x));
}

/* act(x), its derivative, and those to alpha_p and alpha_n. */
typedef struct point {
  double value, slope, of_p, of_n;
} point;

static point gelu_tanh(double x) {
  const double root = 0.79788456080286535588, cubic = 0.044715; /* √(2/π) */
  double t = tanh(root * (x + cubic * x * x * x)), inner = root * (1.0 + 3.0 * cubic * x * x);
  return (point){.value = 0.5 * x * (1.0 + t),
                 .slope = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner};
}

static point xielu(const ft_activation *act, double x) {
  double p = log1p(exp((double)act->alpha_p)), beta = (double)act->beta, eps = (double)act->eps;
  double n = beta + log1p(exp((double)act->alpha_n));
  if (x > 0)
    return (point){.value = p * x * x + beta * x,
                   .slope = 2.0 * p * x + beta,
                   .of_p = x * x * sigmoid((double)act->alpha_p)};
  double bent = expm1(fmin(x, eps)) - x;
  return (point){.value = n * bent + beta * x,
                 .slope = n * (x > eps ? -1.0 : expm1(x)) + beta,
                 .of_n = bent * sigmoid((double)act->alpha_n)};
}

static point act_at(const ft_activation *act, double x) {
  const double half_root = 0.70710678118654752440, density = 0.39894228040143267794;
  double s = sigmoid(x), below = 0.5 * erfc(-x * half_root);
  switch (act->kind) {
  case FT_ACT_SILU:
    return (point){.value = x * s, .slope = s * (1.0 + x * (1.0 - s))};
  case FT_ACT_GELU:
    return (point){.value = x * below, .slope = below + x * density * exp(-0.5 * x * x)};
  case FT_ACT_GELU_TANH:
    return gelu_tanh(x);
  case FT_ACT_RELU:
    return (point){.value = fmax(x, 0), .slope = x > 0 ? 1.0 : 0.0};
  case FT_ACT_RELU2:
    return (point){.value = x > 0 ? x * x : 0, .slope = 2.0 * fmax(x, 0)};
  case FT_ACT_TANH:
    return (point){.value = tanh(x), .slope = 1.0 - tanh(x) * tanh(x)};
  default:
    return xielu(act, x);
  }
}

void ft_ref_activation_forward(const ft_activation *act, ft_dtype type, void *y, const void *x,
                               int64_t count) {
  for (int64_t i = 0; i < count; i++)
    put(type, y, i, act_at(act, get(type, x, i)).value);
}

void ft_ref_activation_backward(const ft_activation *act, ft_dtype type, void *dx, void *y,
                                float *d_alpha, const void *dy, const void *x, int64_t count) {
  double sums[2] = {0, 0};
  for (int64_t i = 0; i < count; i++) {
    point p = act_at(act, get(type, x, i));
    double d = get(type, dy, i);
    put(type, dx, i, d * p.slope);
    if (y) put(type, y, i, p.value);
    sums[0] += d * p.of_p;
    sums[1] += d * p.of_n;
  }
  for (int i = 0; d_alpha && i < 2; i++)
    d_alpha[i] = (float)sums[i];
}

void ft_ref_gated_forward(ft_activation_kind kind, ft_dtype type, void *a, const void *gate,
                          const void *up, const ft_rows *shape) {
  const ft_activation act = {.kind = kind};
  for (int64_t r = 0; r < shape->rows; r++)
    for (int64_t i = 0; i < shape->width; i++) {
      int64_t at = r * shape->stride + i;
      put(type, a, r * shape->width + i,
          act_at(&act, get(type, gate, at)).value * get(type, up, at));
    }
}

void ft_ref_gated_backward(ft_activation_kind kind, ft_dtype type, void *dgate, void *dup, void *a,
                           const void *da, const void *gate, const void *up, const ft_rows *shape) {
  const ft_activation act = {.kind = kind};
  for (int64_t r = 0; r < shape->rows; r++)
    for (int64_t i = 0; i < shape->width; i++) {
      int64_t at = r * shape->stride + i, dense = r * shape->width + i;
      point p = act_at(&act, get(type, gate, at));
      double d = get(type, da, dense), u = get(type, up, at);
      put(type, dgate, at, d * u * p.slope);
      put(type, dup, at, d * p.value);
      if (a) put(type, a, dense, p.value * u);
    }
}

/* ---------------------------------------------------------------- rotary embedding */

void ft_ref_rope_apply(const ft_rope *rope, ft_dtype type, void *x, const int32_t *position,
                       const uint8_t *table, int64_t num_queries, const ft_rows *shape,
                       bool backward) {
  int64_t half = rope->width / 2, step = rope->neighbours ? 2 : 1;
  int64_t apart = rope->neighbours ? 1 : half;
  for (int64_t r = 0; r < shape->rows; r++)
    for (int64_t h = 0; h < shape->heads; h++) {
      const float *inv_freq = rope->inv_freq + (table ? table[r] : 0) * half;
      int64_t at = r * shape->stride + h * shape->width;
      double factor = 1.0;
      if (rope->query_beta != 0 && h < num_queries)
        factor += (double)rope->query_beta *
                  log(1.0 + floor((double)position[r] / (double)rope->query_positions));
      for (int64_t i = 0; i < half; i++) {
        double angle = (double)((float)position[r] * inv_freq[i]);
        double c = cos(angle) * (double)rope->attention_factor * factor;
        double s = sin(angle) * (double)rope->attention_factor * factor;
        int64_t one = at + i * step, other = one + apart;
        double a = get(type, x, one), b = get(type, x, other);
        if (backward) s = -s;
        put(type, x, one, a * c - b * s);
        put(type, x, other, b * c + a * s);
      }
      for (int64_t i = rope->width; i < shape->width; i++)
        put(type, x, at + i, get(type, x, at + i) * factor);
    }
}

/* ---------------------------------------------------------------- embedding, residuals */

void ft_ref_embeddings_forward(ft_dtype type, void *out, const ft_embedding *embeddings, int num,
                               int64_t tokens, int64_t n) {
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t i = 0; i < n; i++) {
      double sum = 0;
      for (int j = 0; j < num; j++) {
        int64_t entry = embeddings[j].ids ? embeddings[j].ids[t] : 0;
        if (entry == FT_NO_TOKEN) continue;
        sum += (double)embeddings[j].scale * get(type, embeddings[j].table, entry * n + i);
      }
      put(type, out, t * n + i, sum);
    }
}

void ft_ref_embeddings_backward(ft_dtype out_type, void *out, const ft_embedding *e,
                                const float *dx, const float *base, int64_t first,
                                int64_t num_entries, int64_t padding, int64_t tokens, int64_t n) {
  for (int64_t r = 0; r < num_entries; r++)
    for (int64_t i = 0; i < n; i++) {
      float sum = base ? base[r * n + i] : 0.0f;
      for (int64_t t = 0; t < tokens && first + r != padding; t++)
        if ((e->ids ? (int64_t)e->ids[t] : 0) == first + r)
          sum = (float)((double)sum + (double)e->scale * (double)dx[t * n + i]);
      put(out_type, out, r * n + i, (double)sum);
    }
}

void ft_ref_add_scaled(ft_dtype type, void *out, const void *a, const void *b, float multiplier,
                       int64_t count) {
  for (int64_t i = 0; i < count; i++)
    put(type, out, i, get(type, a, i) + (double)multiplier * get(type, b, i));
}

void ft_ref_scale(ft_dtype type, void *out, const void *x, float multiplier, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    put(type, out, i, (double)multiplier * get(type, x, i));
}
