/* Master weights, moments and gradient sums in fewer bytes, and AdamW over them. Everything is done
 * FT_QUANTUM elements at a time: unpacked into arrays that stay in the first cache, computed in
 * f32, packed again. Plain C loops without branches, which compilers turn into vectors; every
 * operation is rounded on its own, so any width gives the same bits. AVX-512 looks things up in
 * tables of 32 and 256 numbers that registers hold. */
#include "random.h"
#include "vector.h"

/* ---------------------------------------------------------------- master weights */

void FT_V(master_read)(ft_master kind, const void *w, const uint8_t *low, int64_t count,
                       float *out) {
  const uint16_t *high = w;
  if (kind == FT_MASTER_F32)
    memcpy(out, w, (size_t)count * sizeof *out);
  else if (kind == FT_MASTER_BF16)
    for (int64_t i = 0; i < count; i++)
      out[i] = ft_f32_from_bits((uint32_t)high[i] << 16);
  else
    for (int64_t i = 0; i < count; i++)
      out[i] = ft_f32_from_bits((uint32_t)high[i] << 16 | (uint32_t)low[i] << 8);
}

/* Rounded up or down by a random number of each element: the lowest bits that are dropped decide.
 */
INLINE void write_random(ft_master kind, const float *in, int64_t count, const uint16_t *random,
                         uint16_t *high, uint8_t *low) {
  if (kind == FT_MASTER_BF16)
    for (int64_t i = 0; i < count; i++)
      high[i] = (uint16_t)(rounded_up(in[i], random[i]) >> 16);
  else
    for (int64_t i = 0; i < count; i++) {
      uint32_t bits = rounded_up(in[i], (uint32_t)random[i] >> 8);
      high[i] = (uint16_t)(bits >> 16);
      low[i] = (uint8_t)(bits >> 8);
    }
}

/* ---------------------------------------------------------------- moments */

#ifdef __AVX512F__

/* table[code]: by the lower five bits of the code among each 32 numbers, then by the upper three.
 */
INLINE vf look_up(const vf table[16], __m512i code) {
  const __mmask16 bit5 = _mm512_test_epi32_mask(code, _mm512_set1_epi32(32));
  const __mmask16 bit6 = _mm512_test_epi32_mask(code, _mm512_set1_epi32(64));
  const __mmask16 bit7 = _mm512_test_epi32_mask(code, _mm512_set1_epi32(128));
  vf of_64[4];
  UNROLL
  for (int i = 0; i < 4; i++) {
    vf low = _mm512_permutex2var_ps(table[4 * i], code, table[4 * i + 1]);
    vf high = _mm512_permutex2var_ps(table[4 * i + 2], code, table[4 * i + 3]);
    of_64[i] = _mm512_mask_blend_ps(bit5, low, high);
  }
  vf lower = _mm512_mask_blend_ps(bit6, of_64[0], of_64[1]);
  return _mm512_mask_blend_ps(bit7, lower, _mm512_mask_blend_ps(bit6, of_64[2], of_64[3]));
}

void FT_V(dequantize)(bool has_sign, int64_t count, const uint8_t *codes, float scale, float *out) {
  const float *quanta = has_sign ? ft_quanta_signed : ft_quanta_unsigned;
  vf table[16];
  UNROLL
  for (int i = 0; i < 16; i++)
    table[i] = v_load(quanta + 16 * i);
  for (int64_t i = 0; i < count; i += LANES) {
    int64_t n = FT_MIN(count - i, (int64_t)LANES);
    uint8_t part[LANES] = {0};
    const uint8_t *from = codes + i;
    if (n < LANES) from = memcpy(part, from, (size_t)n);
    __m512i code = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)from));
    v_put(false, out, i, n, look_up(table, code) * v_set(scale));
  }
}

#else

void FT_V(dequantize)(bool has_sign, int64_t count, const uint8_t *codes, float scale, float *out) {
  const float *quanta = has_sign ? ft_quanta_signed : ft_quanta_unsigned;
  for (int64_t i = 0; i < count; i++)
    out[i] = quanta[codes[i]] * scale;
}

#endif

INLINE float largest(int64_t count, const float *in) {
  int32_t most = 0; /* magnitudes are ordered as their bits are */
  for (int64_t i = 0; i < count; i++) {
    int32_t bits = (int32_t)(ft_f32_bits(in[i]) & 0x7fffffffu);
    most = bits > most ? bits : most;
  }
  return ft_f32_from_bits((uint32_t)most);
}

#ifdef __AVX512F__

/* Decades by binary exponent, from -24 (and less) to 0: how many of the six borders between decades
 * lie below, and the border that lies within, or none. */
#define NONE 2.0f
static const int32_t decades_below[32] = {0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3,
                                          3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 6};
static const float decades_border[32] = {NONE, NONE,  NONE,  NONE, 1e-6f, NONE,  NONE, 1e-5f, NONE,
                                         NONE, 1e-4f, NONE,  NONE, NONE,  1e-3f, NONE, NONE,  1e-2f,
                                         NONE, NONE,  1e-1f, NONE, NONE,  NONE,  NONE};
static const float decades_power[16] = {1e6f, 1e5f, 1e4f, 1e3f, 1e2f, 1e1f, 1.0f};
static const float decades_factor[16] = {1, 2, 4, 8, 16, 32, 64};
#undef NONE

/* Number of the interval as `interval` below has it. */
INLINE __m512i v_interval(vf x, float first, float below) {
  __m512i exponent = _mm512_srli_epi32(_mm512_castps_si512(x), 23);
  exponent = _mm512_subs_epu16(exponent, _mm512_set1_epi32(127 - 24));
  __m512i decade = _mm512_permutex2var_epi32(_mm512_loadu_si512(decades_below), exponent,
                                             _mm512_loadu_si512(decades_below + 16));
  vf border = _mm512_permutex2var_ps(v_load(decades_border), exponent, v_load(decades_border + 16));
  __mmask16 above = _mm512_cmp_ps_mask(x, border, _CMP_GE_OQ);
  decade = _mm512_mask_add_epi32(decade, above, decade, _mm512_set1_epi32(1));
  vf power = _mm512_permutexvar_ps(decade, v_load(decades_power));
  vf factor = _mm512_permutexvar_ps(decade, v_load(decades_factor)) * v_set(first);
  vf place = (x * power - v_set(0.1f)) * v_set(1.0f / 0.9f); /* times a power of 2: exact */
  return _mm512_cvttps_epi32(v_fma(place, factor, factor + v_set(below)));
}

/* Codes of magnitudes in [0, 1] (1 is what is not a number, too) of these values. */
INLINE __m512i v_codes(bool has_sign, vf value, vf x) {
  const __mmask16 whole = _mm512_cmp_ps_mask(x, v_set(1.0f), _CMP_GE_OQ);
  if (has_sign) {
    const __m512i zero = _mm512_set1_epi32(127);
    __mmask16 negative = _mm512_cmp_ps_mask(value, v_zero(), _CMP_LT_OQ);
    __m512i k = _mm512_min_epi32(v_interval(x, 1, 0), zero);
    __m512i above = _mm512_mask_mov_epi32(k, whole, _mm512_set1_epi32(128));
    return _mm512_mask_sub_epi32(_mm512_add_epi32(zero, above), negative, zero, k);
  }
  __mmask16 positive = _mm512_cmp_ps_mask(value, v_zero(), _CMP_GT_OQ);
  __m512i k = _mm512_min_epi32(v_interval(x, 2, -1), _mm512_set1_epi32(254));
  k = _mm512_mask_mov_epi32(k, whole, _mm512_set1_epi32(255));
  return _mm512_mask_max_epi32(k, positive, k, _mm512_set1_epi32(1));
}

INLINE void quantize(bool has_sign, int64_t count, const float *in, uint8_t *codes, float *scale) {
  const float most = largest(count, in);
  const vf divisor = v_set(most > 0 ? most : 1.0f);
  const __m512i all = _mm512_set1_epi32(has_sign || most > 0 ? 255 : 0);
  for (int64_t i = 0; i < count; i += LANES) {
    vf value = v_get(false, in, i, count - i);
    vf x = v_min(_mm512_abs_ps(value) / divisor, v_set(1.0f));
    __m512i code = _mm512_and_si512(v_codes(has_sign, value, x), all);
    __m128i bytes = _mm512_cvtepi32_epi8(code);
    if (count - i >= LANES)
      _mm_storeu_si128((void *)(codes + i), bytes);
    else
      memcpy(codes + i, &bytes, (size_t)(count - i));
  }
  *scale = most;
}

#else

/* Number of the interval, counted from that of the smallest numbers (1), that x in [0, 1] lies in.
 * Decade d, from 10^(d-7) to 10^(d-6), has n = first · 2^d intervals, numbered from `below` on. */
INLINE int32_t interval(float x, float first, float below) {
  const float n6 = first * 64, n5 = first * 32, n4 = first * 16, n3 = first * 8, n2 = first * 4,
              n1 = first * 2, n0 = first;
  float factor = n6, power = 1.0f;
  factor = x < 0.1f ? n5 : factor;
  power = x < 0.1f ? 1e1f : power;
  factor = x < 1e-2f ? n4 : factor;
  power = x < 1e-2f ? 1e2f : power;
  factor = x < 1e-3f ? n3 : factor;
  power = x < 1e-3f ? 1e3f : power;
  factor = x < 1e-4f ? n2 : factor;
  power = x < 1e-4f ? 1e4f : power;
  factor = x < 1e-5f ? n1 : factor;
  power = x < 1e-5f ? 1e5f : power;
  factor = x < 1e-6f ? n0 : factor;
  power = x < 1e-6f ? 1e6f : power;
  float place = (x * power - 0.1f) * (1.0f / 0.9f) * factor;
  return (int32_t)(place + (factor + below));
}

INLINE void quantize(bool has_sign, int64_t count, const float *in, uint8_t *codes, float *scale) {
  const float most = largest(count, in), divisor = most > 0 ? most : 1.0f;
  for (int64_t i = 0; i < count; i++) {
    float x = fabsf(in[i]) / divisor;
    x = x < 1.0f ? x : 1.0f; /* what is not a number, too */
    if (has_sign) {
      int32_t k = interval(x, 1, 0);
      k = k < 127 ? k : 127;
      k = x < 1.0f ? k : 128;
      int32_t negative = k < 127 ? k : 127;
      codes[i] = (uint8_t)(127 + (in[i] < 0 ? -negative : k));
    } else {
      int32_t k = interval(x, 2, -1);
      k = k < 254 ? k : 254;
      k = x < 1.0f ? k : 255;
      int32_t least = in[i] > 0;
      k = k > least ? k : least;
      codes[i] = (uint8_t)(most > 0 ? k : 0);
    }
  }
  *scale = most;
}

#endif

void FT_V(quantize)(bool has_sign, int64_t count, const float *in, uint8_t *codes, float *scale) {
  if (has_sign)
    quantize(true, count, in, codes, scale);
  else
    quantize(false, count, in, codes, scale);
}

/* ---------------------------------------------------------------- gradients */

void FT_V(accumulate_bf16)(const uint32_t key[2], uint64_t step, uint64_t first,
                           uint16_t *accumulator, ft_dtype from, const void *in, int64_t count) {
  uint16_t random[RANDOM_ELEMENTS];
  float values[RANDOM_ELEMENTS];
  uint32_t keys[PHILOX_KEYS];
  philox_keys(key, keys);
  for (int64_t at = 0; at < count; at += RANDOM_ELEMENTS) {
    int64_t n = FT_MIN((int64_t)RANDOM_ELEMENTS, count - at);
    FT_V(convert)(FT_F32, values, from, (const char *)in + (size_t)at * ft_dtype_bytes(from), n);
    random_halves(keys, step, (first + (uint64_t)at) / 8, random);
    for (int64_t i = 0; i < n; i++) {
      float sum = ft_f32_from_bits((uint32_t)accumulator[at + i] << 16) + values[i];
      accumulator[at + i] = (uint16_t)(rounded_up(sum, random[i]) >> 16);
    }
  }
}

/* ---------------------------------------------------------------- AdamW */

/* One quantum (or what is left of one): elements at … at+count-1 of the arrays. */
INLINE void update(const ft_adamw *a, const ft_adamw_arrays *x, const uint32_t keys[PHILOX_KEYS],
                   uint64_t step, uint64_t first, int64_t at, int64_t count) {
  _Alignas(64) float weights[FT_QUANTUM], m_values[FT_QUANTUM], v_values[FT_QUANTUM],
      gradients[FT_QUANTUM];
  _Alignas(64) uint16_t random[FT_QUANTUM];
  bool whole = x->master == FT_MASTER_F32, coded = x->moments == FT_MOMENTS_INT8;
  int64_t quantum = at / FT_QUANTUM;
  uint16_t *high = whole ? NULL : (uint16_t *)x->w + at;
  uint8_t *low = x->w_low ? x->w_low + at : NULL;
  uint8_t *m_codes = coded ? (uint8_t *)x->m + at : NULL;
  uint8_t *v_codes = coded ? (uint8_t *)x->v + at : NULL;
  float *w = whole ? (float *)x->w + at : weights;
  float *m = coded ? m_values : (float *)x->m + at, *v = coded ? v_values : (float *)x->v + at;
  const float *g = x->gradient == FT_F32 ? (const float *)x->g + at : gradients;
  if (!whole) FT_V(master_read)(x->master, high, low, count, w);
  if (coded) {
    FT_V(dequantize)(true, count, m_codes, x->m_scale[quantum], m);
    FT_V(dequantize)(false, count, v_codes, x->v_scale[quantum], v);
  }
  if (x->gradient != FT_F32)
    FT_V(convert)(FT_F32, gradients, x->gradient, (const uint16_t *)x->g + at, count);
  FT_V(adamw)(a, count, w, m, v, g);
  if (coded) {
    quantize(true, count, m, m_codes, &x->m_scale[quantum]);
    quantize(false, count, v, v_codes, &x->v_scale[quantum]);
  }
  if (whole) return;
  for (int64_t i = 0; i < count; i += RANDOM_ELEMENTS)
    random_halves(keys, step, (first + (uint64_t)(at + i)) / 8, random + i);
  write_random(x->master, w, count, random, high, low);
}

void FT_V(adamw_packed)(const ft_adamw *a, const ft_adamw_arrays *x, const uint32_t key[2],
                        uint64_t step, uint64_t first, int64_t at, int64_t count) {
  uint32_t keys[PHILOX_KEYS];
  philox_keys(key, keys);
  for (int64_t done = 0; done < count; done += FT_QUANTUM)
    update(a, x, keys, step, first, at + done, FT_MIN((int64_t)FT_QUANTUM, count - done));
}
