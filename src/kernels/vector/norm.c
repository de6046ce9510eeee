/* Norms of one row: RMSNorm and LayerNorm, whose weight may count as 1 + w. Every function here is
 * written once and compiled for each type and kind, which are constants wherever it is inlined. */
#include "vector.h"

INLINE vf weight(bool bf16, bool plus_one, const void *w, int64_t i, int64_t count) {
  vf value = v_get(bf16, w, i, count);
  return plus_one ? value + v_set(1.0f) : value;
}

/* Four independent partial sums, so that additions need not wait for each other. */
INLINE float mean_of(bool bf16, int64_t n, const void *x) {
  vf part[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
  int64_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES)
    for (int j = 0; j < 4; j++)
      part[j] += v_get(bf16, x, i + j * LANES, LANES);
  for (; i < n; i += LANES)
    part[0] += v_get(bf16, x, i, n - i);
  return v_sum((part[0] + part[1]) + (part[2] + part[3])) / (float)n;
}

/* x − mean of elements i …, zero beyond the row's end. */
INLINE vf centered(bool bf16, bool layer, const void *x, int64_t i, int64_t count, float mean) {
  vf value = v_get(bf16, x, i, count);
  if (!layer) return value;
  float lane[LANES] = {0};
  if (count >= LANES) return value - v_set(mean);
  value -= v_set(mean);
  memcpy(lane, &value, (size_t)count * sizeof *lane);
  return v_load(lane);
}

INLINE float squares_of(bool bf16, bool layer, int64_t n, const void *x, float mean) {
  vf part[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
  int64_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES)
    for (int j = 0; j < 4; j++) {
      vf value = centered(bf16, layer, x, i + j * LANES, LANES, mean);
      part[j] = v_fma(value, value, part[j]);
    }
  for (; i < n; i += LANES) {
    vf value = centered(bf16, layer, x, i, n - i, mean);
    part[0] = v_fma(value, value, part[0]);
  }
  return v_sum((part[0] + part[1]) + (part[2] + part[3]));
}

/* ---------------------------------------------------------------- forward */

INLINE float forward(bool bf16, bool layer, bool plus_one, int64_t n, float eps,
                     const ft_norm_row *row) {
  const void *x = row->x, *branch = row->branch, *w = row->w, *bias = row->bias;
  void *y = row->y, *sum = row->sum;
  if (branch) {
    const vf factor = v_set(row->multiplier);
    for (int64_t i = 0; i < n; i += LANES)
      v_put(bf16, sum, i, n - i,
            v_fma(factor, v_get(bf16, branch, i, n - i), v_get(bf16, x, i, n - i)));
    x = sum;
  }
  float mean = layer ? mean_of(bf16, n, x) : 0;
  float rstd = 1.0f / sqrtf(squares_of(bf16, layer, n, x, mean) / (float)n + eps);
  for (int64_t i = 0; i < n; i += LANES) {
    int64_t left = n - i;
    vf normed = centered(bf16, layer, x, i, left, mean) * v_set(rstd);
    normed *= weight(bf16, plus_one, w, i, left);
    if (layer && bias) normed += v_get(bf16, bias, i, left);
    v_put(bf16, y, i, left, normed);
  }
  return rstd;
}

float FT_V(norm_forward)(const ft_norm *norm, ft_dtype type, int64_t n, const ft_norm_row *row) {
#define FORWARD(bf16)                                                                              \
  (norm->kind == FT_NORM_LAYER ? norm->plus_one ? forward(bf16, true, true, n, norm->eps, row)     \
                                                : forward(bf16, true, false, n, norm->eps, row)    \
   : norm->plus_one ? forward(bf16, false, true, n, norm->eps, row)                                \
                               : forward(bf16, false, false, n, norm->eps, row))
  return type == FT_BF16 ? FORWARD(true) : FORWARD(false);
#undef FORWARD
}

/* ---------------------------------------------------------------- backward */

/* Σ dy·w·(x − mean) and, of a LayerNorm, Σ dy·w: what every element's gradient has in common. */
typedef struct common {
  float product, sum;
} common;

INLINE common common_of(bool bf16, bool layer, bool plus_one, int64_t n, const void *dy,
                        const void *x, const void *w, float mean) {
  vf part[2] = {v_zero(), v_zero()}, sums[2] = {v_zero(), v_zero()};
  int64_t i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES)
    for (int j = 0; j < 2; j++) {
      int64_t at = i + j * LANES;
      vf dyw = v_get(bf16, dy, at, LANES) * weight(bf16, plus_one, w, at, LANES);
      part[j] = v_fma(dyw, centered(bf16, layer, x, at, LANES, mean), part[j]);
      if (layer) sums[j] += dyw;
    }
  for (; i < n; i += LANES) {
    vf dyw = v_get(bf16, dy, i, n - i) * weight(bf16, plus_one, w, i, n - i);
    part[0] = v_fma(dyw, centered(bf16, layer, x, i, n - i, mean), part[0]);
    if (layer) sums[0] += dyw;
  }
  return (common){.product = v_sum(part[0] + part[1]), .sum = v_sum(sums[0] + sums[1])};
}

/* With c = x − mean: dx = rstd·(dy·w − mean of dy·w − c·(rstd²/n)·Σ dy·w·c), dw += dy·c·rstd and
 * db += dy. An RMSNorm has no means. */
INLINE void backward(bool bf16, bool layer, bool plus_one, int64_t n, const ft_norm_gradient *out,
                     const void *dy, const void *x, float rstd, const void *w) {
  float mean = layer ? mean_of(bf16, n, x) : 0, *dx = out->dx, *dw = out->dw, *db = out->db;
  void *dx16 = out->dx16;
  const bool accumulate = out->accumulate;
  common all = common_of(bf16, layer, plus_one, n, dy, x, w, mean);
  const vf product = v_set(all.product / (float)n * rstd * rstd), sum = v_set(all.sum / (float)n);
  for (int64_t i = 0; i < n; i += LANES) {
    int64_t left = n - i;
    vf d = v_get(bf16, dy, i, left), value = centered(bf16, layer, x, i, left, mean);
    vf dyw = d * weight(bf16, plus_one, w, i, left);
    if (layer) dyw -= sum;
    vf gradient = (dyw - value * product) * v_set(rstd);
    if (dx) {
      if (accumulate) gradient = v_get(false, dx, i, left) + gradient;
      v_put(false, dx, i, left, gradient);
    }
    if (dx16) v_put(bf16, dx16, i, left, gradient);
    if (dw) v_put(false, dw, i, left, v_get(false, dw, i, left) + d * value * v_set(rstd));
    if (db) v_put(false, db, i, left, v_get(false, db, i, left) + d);
  }
}

void FT_V(norm_backward)(const ft_norm *norm, ft_dtype type, int64_t n, const ft_norm_gradient *out,
                         const void *dy, const void *x, float rstd, const void *w) {
#define BACKWARD(bf16, layer)                                                                      \
  do {                                                                                             \
    if (norm->plus_one)                                                                            \
      backward(bf16, layer, true, n, out, dy, x, rstd, w);                                         \
    else                                                                                           \
      backward(bf16, layer, false, n, out, dy, x, rstd, w);                                        \
  } while (0)
  bool layer = norm->kind == FT_NORM_LAYER;
  if (type == FT_BF16 && layer)
    BACKWARD(true, true);
  else if (type == FT_BF16)
    BACKWARD(true, false);
  else if (layer)
    BACKWARD(false, true);
  else
    BACKWARD(false, false);
#undef BACKWARD
}
