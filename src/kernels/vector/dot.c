/* Dot products of f32 sums. */
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
void FT_V(few_rows)(ft_dtype type, int64_t rows, int64_t n, int64_t k, const float *x,
                    const void *w, float *y, int64_t y_stride) {
  for (int64_t j = 0; j < n; j++)
    for (int64_t r = 0; r < rows; r++)
      y[r * y_stride + j] = type == FT_BF16
                                ? dot(false, true, k, x + r * k, (const uint16_t *)w + j * k)
                                : dot(false, false, k, x + r * k, (const float *)w + j * k);
}
