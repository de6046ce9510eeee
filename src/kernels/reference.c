/* Plain references: definitions as loops, in double (kernels_ref.h). */
#include <math.h>

#include "ft/kernels_ref.h"

static double get(ft_dtype type, const void *p, int64_t i) {
  return (double)(type == FT_F32    ? ((const float *)p)[i]
                  : type == FT_BF16 ? ft_f32_from_bf16(((const uint16_t *)p)[i])
                                    : ft_f32_from_f16(((const uint16_t *)p)[i]));
}

static void put(ft_dtype type, void *p, int64_t i, double value) {
  if (type == FT_F32)
    ((float *)p)[i] = (float)value;
  else
    ((uint16_t *)p)[i] =
        type == FT_BF16 ? ft_bf16_from_f32((float)value) : ft_f16_from_f32((float)value);
}

/* ---------------------------------------------------------------- matmul */

void ft_ref_matmul_forward(ft_dtype type, ft_dtype y_type, int64_t m, int64_t n, int64_t k,
                           const void *x, int64_t x_stride, const void *w, const void *bias,
                           void *y, int64_t y_stride, bool accumulate) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = accumulate ? get(y_type, y, i * y_stride + j) : 0;
      for (int64_t l = 0; l < k; l++)
        sum += get(type, x, i * x_stride + l) * get(type, w, j * k + l);
      put(y_type, y, i * y_stride + j, sum + (bias ? get(type, bias, j) : 0));
    }
}

void ft_ref_matmul_backward_input(ft_dtype type, ft_dtype dx_type, int64_t m, int64_t n, int64_t k,
                                  const void *dy, int64_t dy_stride, const void *w, void *dx,
                                  int64_t dx_stride, bool accumulate) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t l = 0; l < k; l++) {
      double sum = accumulate ? get(dx_type, dx, i * dx_stride + l) : 0;
      for (int64_t j = 0; j < n; j++)
        sum += get(type, dy, i * dy_stride + j) * get(type, w, j * k + l);
      put(dx_type, dx, i * dx_stride + l, sum);
    }
}

void ft_ref_matmul_backward_weight(ft_dtype type, ft_dtype dw_type, int64_t m, int64_t n, int64_t k,
                                   const void *dy, int64_t dy_stride, const void *x,
                                   int64_t x_stride, void *dw, bool accumulate) {
  for (int64_t j = 0; j < n; j++)
    for (int64_t l = 0; l < k; l++) {
      double sum = accumulate ? get(dw_type, dw, j * k + l) : 0;
      for (int64_t i = 0; i < m; i++)
        sum += get(type, dy, i * dy_stride + j) * get(type, x, i * x_stride + l);
      put(dw_type, dw, j * k + l, sum);
    }
}

void ft_ref_bias_backward(ft_dtype type, ft_dtype db_type, int64_t m, int64_t n, const void *dy,
                          int64_t dy_stride, void *db) {
  for (int64_t j = 0; j < n; j++) {
    double sum = 0;
    for (int64_t i = 0; i < m; i++)
      sum += get(type, dy, i * dy_stride + j);
    put(db_type, db, j, sum);
  }
}

/* ---------------------------------------------------------------- norms, residual, SwiGLU */

static double row_rstd(ft_dtype type, int64_t n, const void *x, int64_t at, double eps) {
  double squares = 0;
  for (int64_t i = 0; i < n; i++)
    squares += get(type, x, at + i) * get(type, x, at + i);
  return 1.0 / sqrt(squares / (double)n + eps);
}

/* The gradient of element i of a row whose Σ dy·w·x is `common`. */
static double norm_gradient(double dyw, double x, double rstd, double common, int64_t n) {
  return rstd * (dyw - x * rstd * rstd * common / (double)n);
}

void ft_ref_rmsnorm_forward(ft_dtype type, int64_t rows, int64_t n, const void *x,
                            const void *residual, void *sum_out, const void *w, float eps, void *y,
                            float *rstd) {
  if (residual) {
    ft_ref_add(type, rows * n, x, residual, sum_out);
    x = sum_out;
  }
  for (int64_t r = 0; r < rows; r++) {
    double factor = row_rstd(type, n, x, r * n, (double)eps);
    for (int64_t i = 0; i < n; i++)
      put(type, y, r * n + i, get(type, x, r * n + i) * factor * get(type, w, i));
    if (rstd) rstd[r] = (float)factor;
  }
}

void ft_ref_rmsnorm_backward(ft_dtype type, int64_t rows, int64_t n, const void *dy, const void *x,
                             const float *rstd, const void *w, float *dx, void *dx16, float *dw) {
  for (int64_t r = 0; r < rows; r++) {
    double common = 0;
    for (int64_t i = 0; i < n; i++)
      common += get(type, dy, r * n + i) * get(type, w, i) * get(type, x, r * n + i);
    for (int64_t i = 0; i < n; i++) {
      int64_t at = r * n + i;
      dx[at] += (float)norm_gradient(get(type, dy, at) * get(type, w, i), get(type, x, at),
                                     (double)rstd[r], common, n);
      if (dx16) put(type, dx16, at, (double)dx[at]);
    }
  }
  for (int64_t i = 0; i < n; i++) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++)
      sum += get(type, dy, r * n + i) * get(type, x, r * n + i) * (double)rstd[r];
    dw[i] = (float)sum;
  }
}

void ft_ref_add(ft_dtype type, int64_t count, const void *a, const void *b, void *out) {
  for (int64_t i = 0; i < count; i++)
    put(type, out, i, get(type, a, i) + get(type, b, i));
}

static double sigmoid(double x) {
  return 1.0 / (1.0 + exp(-x));
}

void ft_ref_swiglu_forward(ft_dtype type, int64_t rows, int64_t n, const void *gate, const void *up,
                           void *a) {
  for (int64_t i = 0; i < rows * n; i++) {
    double g = get(type, gate, i);
    put(type, a, i, g * sigmoid(g) * get(type, up, i));
  }
}

void ft_ref_swiglu_backward(ft_dtype type, int64_t rows, int64_t n, const void *da,
                            const void *gate, const void *up, void *dgate, void *dup, void *a) {
  for (int64_t i = 0; i < rows * n; i++) {
    double d = get(type, da, i), g = get(type, gate, i), u = get(type, up, i), s = sigmoid(g);
    put(type, dgate, i, d * u * s * (1.0 + g * (1.0 - s)));
    put(type, dup, i, d * g * s);
    if (a) put(type, a, i, g * s * u);
  }
}

void ft_ref_head_norm_forward(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim,
                              const void *x, int64_t stride, const void *w, float eps, void *y,
                              float *rstd) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t h = 0; h < heads; h++) {
      int64_t at = r * stride + h * head_dim;
      double factor = row_rstd(type, head_dim, x, at, (double)eps);
      for (int64_t i = 0; i < head_dim; i++)
        put(type, y, at + i, get(type, x, at + i) * factor * get(type, w, i));
      if (rstd) rstd[r * heads + h] = (float)factor;
    }
}

void ft_ref_head_norm_backward(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim,
                               const void *dy, const void *x, int64_t stride, const float *rstd,
                               const void *w, void *dx, float *dw) {
  for (int64_t i = 0; i < head_dim; i++) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++)
      for (int64_t h = 0; h < heads; h++) {
        int64_t at = r * stride + h * head_dim + i;
        sum += get(type, dy, at) * get(type, x, at) * (double)rstd[r * heads + h];
      }
    dw[i] = (float)sum;
  }
  for (int64_t r = 0; r < rows; r++)
    for (int64_t h = 0; h < heads; h++) {
      int64_t at = r * stride + h * head_dim;
      double common = 0;
      for (int64_t i = 0; i < head_dim; i++)
        common += get(type, dy, at + i) * get(type, w, i) * get(type, x, at + i);
      for (int64_t i = 0; i < head_dim; i++)
        put(type, dx, at + i,
            norm_gradient(get(type, dy, at + i) * get(type, w, i), get(type, x, at + i),
                          (double)rstd[r * heads + h], common, head_dim));
    }
}

/* ---------------------------------------------------------------- rotary embedding */

void ft_ref_rotary(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim, void *x,
                   int64_t stride, const int32_t *position, const float *inv_freq, bool backward) {
  int64_t half = head_dim / 2;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t h = 0; h < heads; h++)
      for (int64_t i = 0; i < half; i++) {
        int64_t at = r * stride + h * head_dim + i;
        double angle = (double)((float)position[r] * inv_freq[i]), s = sin(angle), c = cos(angle);
        double a = get(type, x, at), b = get(type, x, at + half);
        if (backward) s = -s;
        put(type, x, at, a * c - b * s);
        put(type, x, at + half, b * c + a * s);
      }
}

/* ---------------------------------------------------------------- embedding, loss, optimizer */

void ft_ref_embedding_forward(ft_dtype type, int64_t tokens, int64_t n, const uint32_t *ids,
                              const void *table, void *out) {
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t i = 0; i < n; i++)
      put(type, out, t * n + i, get(type, table, (int64_t)ids[t] * n + i));
}

void ft_ref_embedding_backward(ft_dtype out_type, int64_t tokens, int64_t n, const uint32_t *ids,
                               const float *dx, int64_t row0, int64_t num_rows, const float *base,
                               void *out) {
  for (int64_t r = 0; r < num_rows; r++)
    for (int64_t i = 0; i < n; i++) {
      float sum = base ? base[r * n + i] : 0.0f;
      for (int64_t t = 0; t < tokens; t++)
        if ((int64_t)ids[t] == row0 + r) sum += dx[t * n + i];
      put(out_type, out, r * n + i, (double)sum);
    }
}

void ft_ref_cross_entropy(ft_dtype type, int64_t rows, int64_t vocab, const float *logits,
                          const int32_t *target, float scale, float *loss, void *dlogits) {
  for (int64_t r = 0; r < rows; r++) {
    const float *row = logits + r * vocab;
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < vocab; i++)
      top = fmax(top, (double)row[i]);
    for (int64_t i = 0; i < vocab; i++)
      sum += exp((double)row[i] - top);
    loss[r] = (float)(log(sum) + top - (double)row[target[r]]);
    for (int64_t i = 0; dlogits && i < vocab; i++) {
      double p = exp((double)row[i] - top) / sum;
      put(type, dlogits, r * vocab + i, (p - (i == target[r] ? 1.0 : 0.0)) * (double)scale);
    }
  }
}

void ft_ref_adamw_update(const ft_adamw *a, int64_t count, float *restrict w, float *restrict m,
                         float *restrict v, const float *restrict g) {
  for (int64_t i = 0; i < count; i++) {
    float gradient = g[i] * a->gradient_scale;
    w[i] -= a->lr * a->weight_decay * w[i];
    m[i] = a->beta1 * m[i] + (1.0f - a->beta1) * gradient;
    v[i] = a->beta2 * v[i] + (1.0f - a->beta2) * (gradient * gradient);
    w[i] -= a->lr * (m[i] / a->correction1) / (sqrtf(v[i] / a->correction2) + a->eps);
  }
}
