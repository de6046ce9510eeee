/* Element by element over long arrays: conversions, sums, AdamW. */
#include "vector.h"

/* ---------------------------------------------------------------- conversions */

static void f32_from_f16(float *out, const uint16_t *in, int64_t count) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(in + i))));
#endif
  for (; i < count; i++)
    out[i] = ft_f32_from_f16(in[i]);
}

static void f16_from_f32(uint16_t *out, const float *in, int64_t count) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128((void *)(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < count; i++)
    out[i] = ft_f16_from_f32(in[i]);
}

static void bf16_from_f32(uint16_t *out, const float *in, int64_t count) {
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    v_store_bf16_exactly(out + i, v_load(in + i));
  for (; i < count; i++)
    out[i] = ft_bf16_from_f32(in[i]);
}

static void f32_from_any(float *out, ft_dtype from, const void *in, int64_t count) {
  if (from == FT_F16)
    f32_from_f16(out, in, count);
  else if (from == FT_F32)
    memcpy(out, in, (size_t)count * sizeof *out);
  else
    for (int64_t i = 0; i < count; i += LANES)
      v_put(false, out, i, count - i, v_get(true, in, i, count - i));
}

void FT_V(convert)(ft_dtype to, void *out, ft_dtype from, const void *in, int64_t count) {
  if (to == from) {
    memcpy(out, in, (size_t)count * ft_dtype_bytes(to));
  } else if (to == FT_F32) {
    f32_from_any(out, from, in, count);
  } else if (from == FT_F32) {
    if (to == FT_F16)
      f16_from_f32(out, in, count);
    else
      bf16_from_f32(out, in, count);
  } else { /* one half precision to the other: through f32, which holds both exactly */
    enum { PIECE = 256 };
    float wide[PIECE];
    for (int64_t i = 0; i < count; i += PIECE) {
      int64_t n = FT_MIN((int64_t)PIECE, count - i);
      f32_from_any(wide, from, (const uint16_t *)in + i, n);
      FT_V(convert)(to, (uint16_t *)out + i, FT_F32, wide, n);
    }
  }
}

void FT_V(accumulate)(float *accumulator, ft_dtype from, const void *in, int64_t count) {
  if (from == FT_F16) {
    for (int64_t i = 0; i < count; i++)
      accumulator[i] += ft_f32_from_f16(((const uint16_t *)in)[i]);
  } else if (from == FT_BF16) {
    for (int64_t i = 0; i < count; i += LANES)
      v_put(false, accumulator, i, count - i,
            v_get(false, accumulator, i, count - i) + v_get(true, in, i, count - i));
  } else {
    FT_V(add_f32)(count, accumulator, in);
  }
}

void FT_V(add_f32)(int64_t count, float *out, const float *in) {
  for (int64_t i = 0; i < count; i++)
    out[i] += in[i];
}

void FT_V(store_far)(void *out, const void *in, size_t bytes) {
  enum { LINE = 64 };
  char *to = out;
  const char *from = in;
  size_t head = FT_MIN(-(uintptr_t)to % LINE, bytes), at = head;
  memcpy(to, from, head);
  for (; at + LINE <= bytes; at += LINE)
    v_store_line_far(to + at, from + at);
  memcpy(to + at, from + at, bytes - at);
  _mm_sfence();
}

/* Sixteen partial sums whatever the width, added as a tree: the same bits on every CPU. */
double FT_V(sum_of_squares)(const float *in, int64_t count) {
  enum { PARTS = 16 };
  double part[PARTS] = {0};
  int64_t i = 0;
  for (; i + PARTS <= count; i += PARTS)
    for (int j = 0; j < PARTS; j++)
      part[j] += (double)in[i + j] * (double)in[i + j];
  for (int j = 0; i + j < count; j++)
    part[j] += (double)in[i + j] * (double)in[i + j];
  for (int width = PARTS / 2; width > 0; width /= 2)
    for (int j = 0; j < width; j++)
      part[j] += part[j + width];
  return part[0];
}

/* ---------------------------------------------------------------- residual, bias */

INLINE void add_scaled(bool bf16, int64_t count, void *out, const void *a, const void *b,
                       float multiplier) {
  const vf factor = v_set(multiplier);
  for (int64_t i = 0; i < count; i += LANES) {
    int64_t n = count - i;
    v_put(bf16, out, i, n, v_fma(factor, v_get(bf16, b, i, n), v_get(bf16, a, i, n)));
  }
}

void FT_V(add_scaled)(ft_dtype type, int64_t count, void *out, const void *a, const void *b,
                      float multiplier) {
  if (type == FT_BF16)
    add_scaled(true, count, out, a, b, multiplier);
  else
    add_scaled(false, count, out, a, b, multiplier);
}

INLINE void scale(bool bf16, int64_t count, void *out, const void *x, float multiplier) {
  const vf factor = v_set(multiplier);
  for (int64_t i = 0; i < count; i += LANES)
    v_put(bf16, out, i, count - i, factor * v_get(bf16, x, i, count - i));
}

void FT_V(scale)(ft_dtype type, int64_t count, void *out, const void *x, float multiplier) {
  if (type == FT_BF16)
    scale(true, count, out, x, multiplier);
  else
    scale(false, count, out, x, multiplier);
}

INLINE void sum_scaled(bool bf16, int64_t count, float *sum, const void *x, float multiplier) {
  const vf factor = v_set(multiplier);
  for (int64_t i = 0; i < count; i += LANES) {
    int64_t n = count - i;
    v_put(false, sum, i, n, v_fma(factor, v_get(bf16, x, i, n), v_get(false, sum, i, n)));
  }
}

void FT_V(sum_scaled)(ft_dtype type, int64_t count, float *sum, const void *x, float multiplier) {
  if (type == FT_BF16)
    sum_scaled(true, count, sum, x, multiplier);
  else
    sum_scaled(false, count, sum, x, multiplier);
}

INLINE void column_sums(bool bf16, int64_t rows, int64_t columns, const void *in, int64_t stride,
                        float *sums) {
  for (int64_t c = 0; c < columns; c += LANES) {
    vf sum = v_zero();
    for (int64_t r = 0; r < rows; r++)
      sum += v_get(bf16, in, r * stride + c, columns - c);
    v_put(false, sums, c, columns - c, sum);
  }
}

void FT_V(column_sums)(ft_dtype type, int64_t rows, int64_t columns, const void *in, int64_t stride,
                       float *sums) {
  if (type == FT_BF16)
    column_sums(true, rows, columns, in, stride, sums);
  else
    column_sums(false, rows, columns, in, stride, sums);
}

/* ---------------------------------------------------------------- AdamW */

/* Plain C, which compilers turn into vectors: every operation is rounded on its own, so any width
 * gives the same bits. */
void FT_V(adamw)(const ft_adamw *a, int64_t count, float *restrict w, float *restrict m,
                 float *restrict v, const float *restrict g) {
  const float beta1 = a->beta1, beta2 = a->beta2, rest1 = 1.0f - beta1, rest2 = 1.0f - beta2;
  const float correction1 = a->correction1, correction2 = a->correction2, lr = a->lr, eps = a->eps;
  const float decay = a->lr * a->weight_decay, scale = a->gradient_scale;
  for (int64_t i = 0; i < count; i++) {
    float gradient = g[i] * scale;
    float decayed = w[i] - decay * w[i];
    m[i] = beta1 * m[i] + rest1 * gradient;
    v[i] = beta2 * v[i] + rest2 * (gradient * gradient);
    w[i] = decayed - lr * (m[i] / correction1) / (sqrtf(v[i] / correction2) + eps);
  }
}

/* The same is true of this. */
void FT_V(lerp)(float weight, int64_t count, float *restrict x, const float *restrict to) {
  for (int64_t i = 0; i < count; i++)
    x[i] += weight * (to[i] - x[i]);
}
