/* Row by row: norms, rotary embedding, cross-entropy, products with few rows. */
#include "vector.h"

/* ---------------------------------------------------------------- RMSNorm */

/* Four independent partial sums, so that additions need not wait for each other. */
INLINE float rmsnorm_forward(bool bf16, int64_t n, const void *x, const void *residual,
                             void *sum_out, const void *w, float eps, void *y) {
  if (residual) {
    for (int64_t i = 0; i < n; i += LANES)
      v_put(bf16, sum_out, i, n - i, v_get(bf16, x, i, n - i) + v_get(bf16, residual, i, n - i));
    x = sum_out;
  }
  vf part[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
  int64_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES)
    for (int j = 0; j < 4; j++) {
      vf value = v_get(bf16, x, i + j * LANES, LANES);
      part[j] = v_fma(value, value, part[j]);
    }
  for (; i < n; i += LANES) {
    vf value = v_get(bf16, x, i, n - i);
    part[0] = v_fma(value, value, part[0]);
  }
  float squares = v_sum((part[0] + part[1]) + (part[2] + part[3]));
  float rstd = 1.0f / sqrtf(squares / (float)n + eps);
  for (i = 0; i < n; i += LANES)
    v_put(bf16, y, i, n - i, v_get(bf16, x, i, n - i) * v_set(rstd) * v_get(bf16, w, i, n - i));
  return rstd;
}

float FT_V(rmsnorm_forward)(ft_dtype type, int64_t n, const void *x, const void *residual,
                            void *sum_out, const void *w, float eps, void *y) {
  if (type == FT_BF16) return rmsnorm_forward(true, n, x, residual, sum_out, w, eps, y);
  return rmsnorm_forward(false, n, x, residual, sum_out, w, eps, y);
}

/* Σ dy·w·x: what every element's gradient has in common. */
INLINE float norm_projection(bool bf16, int64_t n, const void *dy, const void *x, const void *w) {
  vf part[2] = {v_zero(), v_zero()};
  int64_t i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES)
    for (int j = 0; j < 2; j++) {
      int64_t at = i + j * LANES;
      vf dyw = v_get(bf16, dy, at, LANES) * v_get(bf16, w, at, LANES);
      part[j] = v_fma(dyw, v_get(bf16, x, at, LANES), part[j]);
    }
  for (; i < n; i += LANES) {
    vf dyw = v_get(bf16, dy, i, n - i) * v_get(bf16, w, i, n - i);
    part[0] = v_fma(dyw, v_get(bf16, x, i, n - i), part[0]);
  }
  return v_sum(part[0] + part[1]);
}

/* dx = rstd·(dy·w − x·(rstd²/n)·Σ dy·w·x) and dw += dy·x·rstd */
INLINE void rmsnorm_backward(bool bf16, int64_t n, const void *dy, const void *x, float rstd,
                             const void *w, float *dx, void *dx16, float *dw) {
  float common = norm_projection(bf16, n, dy, x, w) / (float)n * rstd * rstd;
  for (int64_t i = 0; i < n; i += LANES) {
    int64_t left = n - i;
    vf d = v_get(bf16, dy, i, left), value = v_get(bf16, x, i, left);
    vf gradient = (d * v_get(bf16, w, i, left) - value * v_set(common)) * v_set(rstd);
    vf sum = v_get(false, dx, i, left) + gradient;
    v_put(false, dx, i, left, sum);
    if (dx16) v_put(bf16, dx16, i, left, sum);
    v_put(false, dw, i, left, v_get(false, dw, i, left) + d * value * v_set(rstd));
  }
}

void FT_V(rmsnorm_backward)(ft_dtype type, int64_t n, const void *dy, const void *x, float rstd,
                            const void *w, float *dx, void *dx16, float *dw) {
  if (type == FT_BF16)
    rmsnorm_backward(true, n, dy, x, rstd, w, dx, dx16, dw);
  else
    rmsnorm_backward(false, n, dy, x, rstd, w, dx, dx16, dw);
}

INLINE void head_norm_backward(bool bf16, int64_t n, const void *dy, const void *x, float rstd,
                               const void *w, void *dx, float *dw) {
  float common = norm_projection(bf16, n, dy, x, w) / (float)n * rstd * rstd;
  for (int64_t i = 0; i < n; i += LANES) {
    int64_t left = n - i;
    vf d = v_get(bf16, dy, i, left), value = v_get(bf16, x, i, left);
    vf gradient = (d * v_get(bf16, w, i, left) - value * v_set(common)) * v_set(rstd);
    v_put(bf16, dx, i, left, gradient);
    v_put(false, dw, i, left, v_get(false, dw, i, left) + d * value * v_set(rstd));
  }
}

void FT_V(head_norm_backward)(ft_dtype type, int64_t n, const void *dy, const void *x, float rstd,
                              const void *w, void *dx, float *dw) {
  if (type == FT_BF16)
    head_norm_backward(true, n, dy, x, rstd, w, dx, dw);
  else
    head_norm_backward(false, n, dy, x, rstd, w, dx, dw);
}

/* ---------------------------------------------------------------- rotary embedding */

/* Sine and cosine in double: the angle less a multiple n of π/2 (which is held in two parts, the
 * first so short that n times it is exact), polynomials through Chebyshev nodes of [-π/4, π/4], and
 * the quadrant from n's last two bits. Plain C in the form that compilers turn into vectors. */
void FT_V(angles)(int64_t half, int32_t position, const float *inv_freq, float *cosine,
                  float *sine) {
  const double shift = 0x1.8p52; /* added and taken away: rounds to a whole number */
  const double high = 0x1.921fb544p+0, low = 0x1.0b4611a626331p-34;
  for (int64_t i = 0; i < half; i++) {
    double angle = (double)((float)position * inv_freq[i]);
    double shifted = angle * 0x1.45f306dc9c883p-1 + shift, n = shifted - shift;
    double r = (angle - n * high) - n * low, z = r * r;
    double s = r + r * z *
                       (-1.66666666666164254e-01 +
                        z * (8.33333332387232659e-03 +
                             z * (-1.98412633014860849e-04 +
                                  z * (2.75552729849880229e-06 + z * -2.47566457995396583e-08))));
    double c =
        1.0 + z * (-4.99999999999994671e-01 +
                   z * (4.16666666665083396e-02 +
                        z * (-1.38888888725318001e-03 +
                             z * (2.48015793780095090e-05 +
                                  z * (-2.75553617379717347e-07 + z * 2.06377518197663546e-09)))));
    union {
      double value;
      uint64_t bits;
    } quadrant = {.value = shifted};
    uint64_t swap = quadrant.bits & 1, turn = quadrant.bits & 2;
    double from_cosine = swap ? s : c, from_sine = swap ? c : s;
    cosine[i] = (float)(((quadrant.bits + 1) & 2) ? -from_cosine : from_cosine);
    sine[i] = (float)(turn ? -from_sine : from_sine);
  }
}

INLINE void rotate(bool bf16, int64_t half, void *x, const float *cosine, const float *sine,
                   float sign) {
  void *second = bf16 ? (void *)((uint16_t *)x + half) : (void *)((float *)x + half);
  for (int64_t i = 0; i < half; i += LANES) {
    int64_t n = half - i;
    vf c = v_get(false, cosine, i, n), s = v_get(false, sine, i, n) * v_set(sign);
    vf a = v_get(bf16, x, i, n), b = v_get(bf16, second, i, n);
    v_put(bf16, x, i, n, a * c - b * s);
    v_put(bf16, second, i, n, b * c + a * s);
  }
}

void FT_V(rotate)(ft_dtype type, int64_t half, void *x, const float *cosine, const float *sine,
                  bool backward) {
  if (type == FT_BF16)
    rotate(true, half, x, cosine, sine, backward ? -1.0f : 1.0f);
  else
    rotate(false, half, x, cosine, sine, backward ? -1.0f : 1.0f);
}

/* ---------------------------------------------------------------- cross-entropy */

static float row_maximum(int64_t vocab, const float *logits) {
  vf largest[2] = {v_set(-INFINITY), v_set(-INFINITY)};
  int64_t i = 0;
  for (; i + 2 * LANES <= vocab; i += 2 * LANES) {
    largest[0] = v_max(largest[0], v_load(logits + i));
    largest[1] = v_max(largest[1], v_load(logits + i + LANES));
  }
  float top = v_largest(v_max(largest[0], largest[1]));
  for (; i < vocab; i++)
    top = logits[i] > top ? logits[i] : top;
  return top;
}

/* Σ exp(logit − top): lanes of f32 within pieces of 1024, pieces in double. */
static double row_sum(int64_t vocab, const float *logits, float top) {
  enum { PIECE = 1024 };
  double total = 0;
  for (int64_t start = 0; start < vocab; start += PIECE) {
    int64_t end = FT_MIN(start + PIECE, vocab), i = start;
    vf part[2] = {v_zero(), v_zero()};
    for (; i + 2 * LANES <= end; i += 2 * LANES) {
      part[0] += v_exp(v_load(logits + i) - v_set(top));
      part[1] += v_exp(v_load(logits + i + LANES) - v_set(top));
    }
    float sum = v_sum(part[0] + part[1]);
    for (; i < end; i += LANES) {
      float lane[LANES];
      v_store(lane, v_exp(v_get(false, logits, i, end - i) - v_set(top)));
      for (int64_t j = 0; j < LANES && i + j < end; j++)
        sum += lane[j];
    }
    total += (double)sum;
  }
  return total;
}

/* In ascending order, each element read before anything at or after it is written: dlogits may lie
 * where the logits do. */
INLINE void row_gradient(bool bf16, int64_t vocab, const float *logits, int32_t target, float top,
                         float factor, float scale, void *dlogits) {
  float at_target = logits[target];
  for (int64_t i = 0; i < vocab; i += LANES) {
    vf p = v_exp(v_get(false, logits, i, vocab - i) - v_set(top));
    v_put(bf16, dlogits, i, vocab - i, p * v_set(factor));
  }
  float lane[LANES];
  v_store(lane, v_exp(v_set(at_target) - v_set(top)));
  float gradient = lane[0] * factor - scale;
  if (bf16)
    ((uint16_t *)dlogits)[target] = ft_bf16_from_f32(gradient);
  else
    ((float *)dlogits)[target] = gradient;
}

float FT_V(cross_entropy)(ft_dtype type, int64_t vocab, const float *logits, int32_t target,
                          float scale, void *dlogits) {
  float top = row_maximum(vocab, logits);
  double sum = row_sum(vocab, logits, top);
  float loss = (float)(log(sum) - ((double)logits[target] - (double)top));
  float factor = (float)((double)scale / sum);
  if (dlogits && type == FT_BF16)
    row_gradient(true, vocab, logits, target, top, factor, scale, dlogits);
  else if (dlogits)
    row_gradient(false, vocab, logits, target, top, factor, scale, dlogits);
  return loss;
}

/* ---------------------------------------------------------------- dot products */

INLINE float dot(bool a_bf16, bool b_bf16, int64_t count, const void *a, const void *b) {
  vf part[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
  int64_t i = 0;
  for (; i + 4 * LANES <= count; i += 4 * LANES)
    for (int j = 0; j < 4; j++) {
      int64_t at = i + j * LANES;
      part[j] = v_fma(v_get(a_bf16, a, at, LANES), v_get(b_bf16, b, at, LANES), part[j]);
    }
  for (; i < count; i += LANES)
    part[0] = v_fma(v_get(a_bf16, a, i, count - i), v_get(b_bf16, b, i, count - i), part[0]);
  return v_sum((part[0] + part[1]) + (part[2] + part[3]));
}

float FT_V(dot)(ft_dtype type, int64_t count, const void *a, const void *b) {
  return type == FT_BF16 ? dot(true, true, count, a, b) : dot(false, false, count, a, b);
}

/* Each row of w is read once from memory; the rows of x stay in the cache. */
void FT_V(dot_rows)(ft_dtype type, int64_t rows, int64_t n, int64_t k, const float *x,
                    const void *w, float *y, int64_t y_stride) {
  for (int64_t j = 0; j < n; j++)
    for (int64_t r = 0; r < rows; r++)
      y[r * y_stride + j] = type == FT_BF16
                                ? dot(false, true, k, x + r * k, (const uint16_t *)w + j * k)
                                : dot(false, false, k, x + r * k, (const float *)w + j * k);
}

/* ---------------------------------------------------------------- attention of one query */

/* o [head_dim] = Σ_j exp(s_j − largest) v_j, not yet divided by sum = Σ_j exp(s_j − largest), with
 * s_j = scale · q · k_j kept in `scores` [keys]. */
void FT_V(decode)(ft_dtype type, int64_t head_dim, int64_t keys, const float *q, const void *k,
                  const void *v, int64_t stride, float scale, float *scores, float *largest,
                  float *sum, float *o) {
  bool bf16 = type == FT_BF16;
  float top = -INFINITY;
  for (int64_t j = 0; j < keys; j++) {
    const void *key = ft_at(type, k, j * stride);
    scores[j] =
        scale * (bf16 ? dot(false, true, head_dim, q, key) : dot(false, false, head_dim, q, key));
    top = scores[j] > top ? scores[j] : top;
  }
  for (int64_t j = 0; j < keys; j += LANES)
    v_put(false, scores, j, keys - j, v_exp(v_get(false, scores, j, keys - j) - v_set(top)));
  float total = 0;
  for (int64_t j = 0; j < keys; j++)
    total += scores[j];
  memset(o, 0, (size_t)head_dim * sizeof *o);
  for (int64_t j = 0; j < keys; j++)
    for (int64_t i = 0; i < head_dim; i += LANES) {
      int64_t n = head_dim - i, at = j * stride + i;
      vf value = bf16 ? v_get(true, v, at, n) : v_get(false, v, at, n);
      v_put(false, o, i, n, v_fma(v_set(scores[j]), value, v_get(false, o, i, n)));
    }
  *largest = top;
  *sum = total;
}
