/* Dot products: rows with few columns of a product, and attention of one query. */
#include "math.h"
#include "vector.h"

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
 * s_j = scale · q · k_j, capped if cap is not 0, kept in `scores` [keys]. */
void FT_V(decode)(ft_dtype type, int64_t head_dim, int64_t keys, const float *q, const void *k,
                  const void *v, int64_t stride, float scale, float cap, float *scores,
                  float *largest, float *sum, float *o) {
  bool bf16 = type == FT_BF16;
  float top = -INFINITY;
  for (int64_t j = 0; j < keys; j++) {
    const void *key = ft_at(type, k, j * stride);
    scores[j] =
        scale * (bf16 ? dot(false, true, head_dim, q, key) : dot(false, false, head_dim, q, key));
  }
  if (cap != 0) FT_V(soft_cap)(keys, scores, 1.0f, cap);
  for (int64_t j = 0; j < keys; j++)
    top = scores[j] > top ? scores[j] : top;
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
