/* Plain references of the packed kernels: element by element, with ft_random_words and a search in
 * the table of quanta. Equal bits are expected of the fast ones. */
#include <math.h>
#include <string.h>

#include "reference.h"

static uint32_t random_half(uint64_t seed, ft_purpose purpose, uint64_t step, uint64_t element) {
  uint32_t words[4];
  ft_random_words(seed, purpose, step, element / 8, words);
  return words[element % 8 / 2] >> (element % 2 ? 16 : 0) & 0xffffu;
}

/* The bits of a value of which the lower `dropped` will be left out, rounded by random bits. */
static uint32_t rounded_bits(float value, int dropped, uint32_t random_16) {
  if (isnan(value)) return ft_f32_bits(value) | 0x400000u;
  if (isinf(value)) return ft_f32_bits(value);
  return ft_f32_bits(value) + (random_16 >> (16 - dropped));
}

/* The last decade whose lower end is not above x; 1e-7, 1e-6 … as f32 has them. */
static int decade_of(float x) {
  static const float ends[] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 0.1f};
  int decade = 0;
  while (decade < 6 && x >= ends[decade])
    decade++;
  return decade;
}

/* Intervals are numbered through all decades, the first one 1; 0: below the first decade. With n
 * intervals in this decade those of all lower ones are n - 1, or n - 2 where the lowest has 2. */
static int interval_of(float x, int decade, int n, bool has_sign) {
  static const float powers[] = {1e6f, 1e5f, 1e4f, 1e3f, 1e2f, 1e1f, 1.0f};
  float place = (x * powers[decade] - 0.1f) * (1.0f / 0.9f) * (float)n;
  return (int)(place + (float)(has_sign ? n : n - 1));
}

void ft_ref_quantize(bool has_sign, int64_t count, const float *in, uint8_t *codes, float *scale) {
  float most = 0;
  for (int64_t i = 0; i < count; i++)
    most = fmaxf(most, fabsf(in[i]));
  *scale = most;
  for (int64_t i = 0; i < count; i++) {
    float x = most > 0 ? fabsf(in[i]) / most : 0;
    int decade = decade_of(x), n = (has_sign ? 1 : 2) << decade;
    int magnitude = FT_MIN(interval_of(x, decade, n, has_sign), has_sign ? 127 : 254);
    if (has_sign && x == 1.0f && in[i] > 0)
      codes[i] = 255;
    else if (has_sign)
      codes[i] = (uint8_t)(127 + (in[i] < 0 ? -magnitude : magnitude));
    else if (x == 1.0f)
      codes[i] = 255;
    else
      codes[i] = (uint8_t)(in[i] > 0 && magnitude == 0 ? 1 : magnitude);
  }
}

void ft_ref_accumulate_bf16(uint64_t seed, uint64_t step, uint64_t first, uint16_t *accumulator,
                            ft_dtype from, const void *in, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    float value =
        from == FT_F32 ? ((const float *)in)[i] : ft_f32_from_bf16(((const uint16_t *)in)[i]);
    float sum = ft_f32_from_bf16(accumulator[i]) + value;
    uint32_t random = random_half(seed, FT_RANDOM_GRADIENT, step, first + (uint64_t)i);
    accumulator[i] = (uint16_t)(rounded_bits(sum, 16, random) >> 16);
  }
}

/* ---------------------------------------------------------------- AdamW */

static float master_value(const ft_adamw_arrays *x, int64_t i) {
  if (x->master == FT_MASTER_F32) return ((const float *)x->w)[i];
  uint32_t bits = (uint32_t)((const uint16_t *)x->w)[i] << 16;
  return ft_f32_from_bits(bits | (x->w_low ? (uint32_t)x->w_low[i] << 8 : 0));
}

static void keep_master(const ft_adamw_arrays *x, int64_t i, float value, uint32_t random) {
  if (x->master == FT_MASTER_F32) {
    ((float *)x->w)[i] = value;
    return;
  }
  uint32_t bits = rounded_bits(value, x->w_low ? 8 : 16, random);
  ((uint16_t *)x->w)[i] = (uint16_t)(bits >> 16);
  if (x->w_low) x->w_low[i] = (uint8_t)(bits >> 8);
}

static void load_moments(const ft_adamw_arrays *x, int64_t at, int64_t n, float *m, float *v) {
  for (int64_t i = 0; i < n; i++)
    if (x->moments == FT_MOMENTS_F32) {
      m[i] = ((const float *)x->m)[at + i];
      v[i] = ((const float *)x->v)[at + i];
    } else {
      m[i] = ft_quanta_signed[((const uint8_t *)x->m)[at + i]] * x->m_scale[at / FT_QUANTUM];
      v[i] = ft_quanta_unsigned[((const uint8_t *)x->v)[at + i]] * x->v_scale[at / FT_QUANTUM];
    }
}

static void keep_moments(const ft_adamw_arrays *x, int64_t at, int64_t n, const float *m,
                         const float *v) {
  if (x->moments == FT_MOMENTS_INT8) {
    ft_ref_quantize(true, n, m, (uint8_t *)x->m + at, &x->m_scale[at / FT_QUANTUM]);
    ft_ref_quantize(false, n, v, (uint8_t *)x->v + at, &x->v_scale[at / FT_QUANTUM]);
    return;
  }
  memcpy((float *)x->m + at, m, (size_t)n * sizeof *m);
  memcpy((float *)x->v + at, v, (size_t)n * sizeof *v);
}

void ft_ref_adamw_update_packed(const ft_adamw *a, const ft_adamw_arrays *x, uint64_t seed,
                                uint64_t step, uint64_t first, int64_t count) {
  for (int64_t at = 0; at < count; at += FT_QUANTUM) {
    int64_t n = FT_MIN((int64_t)FT_QUANTUM, count - at);
    float w[FT_QUANTUM], m[FT_QUANTUM], v[FT_QUANTUM], g[FT_QUANTUM];
    load_moments(x, at, n, m, v);
    for (int64_t i = 0; i < n; i++) {
      w[i] = master_value(x, at + i);
      g[i] = x->gradient == FT_F32 ? ((const float *)x->g)[at + i]
                                   : ft_f32_from_bf16(((const uint16_t *)x->g)[at + i]);
    }
    ft_ref_adamw_update(a, n, w, m, v, g);
    keep_moments(x, at, n, m, v);
    for (int64_t i = 0; i < n; i++)
      keep_master(x, at + i, w[i],
                  random_half(seed, FT_RANDOM_MASTER, step, first + (uint64_t)(at + i)));
  }
}

/* ---------------------------------------------------------------- frozen weights */

/* The code of value / scale: the nearest number. */
static int code_of(ft_code code, float value, float scale) {
  float x = scale > 0 ? value / scale : 0;
  if (code == FT_CODE_INT8) return (int)fmin(127, fmax(-127, nearbyint((double)x)));
  int best = 0;
  for (int i = 1; i < 16; i++)
    if (fabs((double)ft_code_nf4[i] - (double)x) < fabs((double)ft_code_nf4[best] - (double)x))
      best = i;
  return best;
}

void ft_ref_code_write(ft_code code, void *out, ft_dtype from, const void *in, int64_t count) {
  uint8_t *to = out;
  for (int64_t at = 0; at < count; at += FT_CODE_ELEMENTS) {
    float values[FT_CODE_ELEMENTS] = {0}, scale = 0;
    bool finite = true;
    for (int64_t i = 0; i < FT_MIN((int64_t)FT_CODE_ELEMENTS, count - at); i++) {
      values[i] = (float)get(from, in, at + i);
      finite &= isfinite(values[i]) != 0;
      scale = fmaxf(scale, fabsf(values[i]));
    }
    if (code == FT_CODE_INT8) scale /= 127.0f;
    if (!finite) scale = NAN;
    memcpy(to, &scale, sizeof scale);
    to += sizeof scale;
    for (int i = 0; i < FT_CODE_ELEMENTS; i++) {
      int number = finite ? code_of(code, values[i], scale) : 0;
      if (code == FT_CODE_INT8)
        to[i] = (uint8_t)(finite ? number : 0x77);
      else if (i < FT_CODE_ELEMENTS / 2)
        to[i] = (uint8_t)(finite ? number : 0x77);
      else if (finite)
        to[i - FT_CODE_ELEMENTS / 2] |= (uint8_t)(number << 4);
    }
    to += code == FT_CODE_INT8 ? FT_CODE_ELEMENTS : FT_CODE_ELEMENTS / 2;
  }
}

void ft_ref_code_read(ft_code code, ft_dtype to, void *out, const void *in, int64_t count) {
  const uint8_t *from = in;
  for (int64_t at = 0; at < count; at += FT_CODE_ELEMENTS) {
    float scale;
    memcpy(&scale, from, sizeof scale);
    from += sizeof scale;
    for (int64_t i = 0; i < FT_MIN((int64_t)FT_CODE_ELEMENTS, count - at); i++) {
      const int half = FT_CODE_ELEMENTS / 2;
      float number = code == FT_CODE_INT8 ? (float)(int8_t)from[i]
                     : i < half           ? ft_code_nf4[from[i] & 15]
                                          : ft_code_nf4[from[i - half] >> 4];
      put(to, out, at + i, (double)(number * scale));
    }
    from += code == FT_CODE_INT8 ? FT_CODE_ELEMENTS : FT_CODE_ELEMENTS / 2;
  }
}
