/* A vector of f32 in the width of one instruction set, and the few operations that C's operators
 * do not give. Every source of this folder is compiled once for each instruction set (meson.build),
 * with FT_ISA naming it: plain (SSE2, every x86-64), avx2 (with FMA and F16C), avx512, and
 * avx512bf16. Nothing here may be used outside this folder. */
#ifndef FT_KERNELS_SIMD_H
#define FT_KERNELS_SIMD_H

#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "../internal.h"

#define FT_PASTE_(a, b) a##_##b
#define FT_PASTE(a, b) FT_PASTE_(a, b)
/* NAME_avx512 …: the name of this compilation's copy */
#define FT_ISA_NAME(name) FT_PASTE(name, FT_ISA)

#define INLINE static inline __attribute__((always_inline, unused))
/* The loop that follows has a constant number of rounds: no loop remains. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));

/* ---------------------------------------------------------------- operations with an instruction
 */

/* A cache line, past the caches; `out` is aligned to it. */
INLINE void v_store_line_far(void *out, const void *in) {
#if defined(__AVX512F__)
  _mm512_stream_si512(out, _mm512_loadu_si512(in));
#else
  for (int i = 0; i < 4; i++)
    _mm_stream_si128((__m128i *)out + i, _mm_loadu_si128((const __m128i *)in + i));
#endif
}

#if defined(__AVX512F__)

INLINE vf v_load(const float *p) {
  return _mm512_loadu_ps(p);
}
INLINE void v_store(float *p, vf x) {
  _mm512_storeu_ps(p, x);
}
INLINE vf v_set(float x) {
  return _mm512_set1_ps(x);
}
INLINE vf v_fma(vf a, vf b, vf c) {
  return _mm512_fmadd_ps(a, b, c);
}
/* If either is not a number, the second: put what may be one there. */
INLINE vf v_max(vf a, vf b) {
  return _mm512_max_ps(a, b);
}
INLINE vf v_min(vf a, vf b) {
  return _mm512_min_ps(a, b);
}
INLINE vf v_round(vf x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* x · 2ⁿ for whole n */
INLINE vf v_scale(vf x, vf n) {
  return _mm512_scalef_ps(x, n);
}
INLINE vf v_load_bf16(const uint16_t *p) {
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
/* Rounded to bf16, in the upper half of each lane; nearest even, as ft_bf16_from_f32. */
INLINE __m512i v_round_bf16(vf x) {
  __m512i u = _mm512_castps_si512(x);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(u, odd), _mm512_set1_epi32(0x7fff));
  __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, nan, u, _mm512_set1_epi32(0x400000));
}
INLINE void v_store_bf16_exactly(uint16_t *p, vf x) {
  __m512i high = _mm512_srli_epi32(v_round_bf16(x), 16);
  _mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16(high));
}

#elif defined(__AVX2__)

INLINE vf v_load(const float *p) {
  return _mm256_loadu_ps(p);
}
INLINE void v_store(float *p, vf x) {
  _mm256_storeu_ps(p, x);
}
INLINE vf v_set(float x) {
  return _mm256_set1_ps(x);
}
INLINE vf v_fma(vf a, vf b, vf c) {
  return _mm256_fmadd_ps(a, b, c);
}
INLINE vf v_max(vf a, vf b) {
  return _mm256_max_ps(a, b);
}
INLINE vf v_min(vf a, vf b) {
  return _mm256_min_ps(a, b);
}
INLINE vf v_round(vf x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE vf v_load_bf16(const uint16_t *p) {
  __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
INLINE __m256i v_round_bf16(vf x) {
  __m256i u = _mm256_castps_si256(x);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, odd), _mm256_set1_epi32(0x7fff));
  __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
  return _mm256_blendv_epi8(rounded, quiet, nan);
}
INLINE void v_store_bf16_exactly(uint16_t *p, vf x) {
  __m256i high = _mm256_srli_epi32(v_round_bf16(x), 16);
  __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(high, high), 0x88);
  _mm_storeu_si128((void *)p, _mm256_castsi256_si128(packed));
}

#else

INLINE vf v_load(const float *p) {
  return _mm_loadu_ps(p);
}
INLINE void v_store(float *p, vf x) {
  _mm_storeu_ps(p, x);
}
INLINE vf v_set(float x) {
  return _mm_set1_ps(x);
}
INLINE vf v_fma(vf a, vf b, vf c) {
  return a * b + c;
}
INLINE vf v_max(vf a, vf b) {
  return _mm_max_ps(a, b);
}
INLINE vf v_min(vf a, vf b) {
  return _mm_min_ps(a, b);
}
INLINE vf v_round(vf x) { /* |x| < 2³¹ */
  return _mm_cvtepi32_ps(_mm_cvtps_epi32(x));
}
INLINE vf v_load_bf16(const uint16_t *p) {
  __m128i zero = _mm_setzero_si128();
  return _mm_castsi128_ps(_mm_unpacklo_epi16(zero, _mm_loadl_epi64((const void *)p)));
}
INLINE __m128i v_round_bf16(vf x) {
  __m128i u = _mm_castps_si128(x);
  __m128i odd = _mm_and_si128(_mm_srli_epi32(u, 16), _mm_set1_epi32(1));
  __m128i rounded = _mm_add_epi32(_mm_add_epi32(u, odd), _mm_set1_epi32(0x7fff));
  __m128i nan = _mm_castps_si128(_mm_cmpunord_ps(x, x));
  __m128i quiet = _mm_or_si128(u, _mm_set1_epi32(0x400000));
  return _mm_or_si128(_mm_and_si128(nan, quiet), _mm_andnot_si128(nan, rounded));
}
INLINE void v_store_bf16_exactly(uint16_t *p, vf x) {
  __m128i high = _mm_srai_epi32(v_round_bf16(x), 16); /* signed, so that packing keeps it */
  _mm_storel_epi64((void *)p, _mm_packs_epi32(high, high));
}

#endif

#if !defined(__AVX512F__)
/* x · 2ⁿ for whole n in [-252, 254], in two steps so that 2ⁿ need not be a normal number */
INLINE vf v_scale(vf x, vf n) {
  vi whole = __builtin_convertvector(n, vi), half = whole >> 1;
  vf first = (vf)((half + 127) << 23), second = (vf)((whole - half + 127) << 23);
  return x * first * second;
}
#endif

/* ---------------------------------------------------------------- built from these */

/* Rounded to the nearest bf16, ties to even. Where the CPU has an instruction for it, what is
 * smaller than the smallest normal number becomes zero. */
INLINE void v_store_bf16(uint16_t *p, vf x) {
#ifdef __AVX512BF16__
  _mm256_storeu_si256((void *)p, (__m256i)_mm512_cvtneps_pbh(x));
#else
  v_store_bf16_exactly(p, x);
#endif
}

/* Words whose lower half is the first vector's value, rounded to bf16, and whose upper half the
 * second's. */
INLINE vf v_words(vf first, vf second) {
#ifdef __AVX512BF16__
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  return (vf)_mm512_permutexvar_epi16(order, both);
#else
  uint16_t low[LANES], high[LANES];
  vi words;
  v_store_bf16(low, first);
  v_store_bf16(high, second);
  for (int i = 0; i < LANES; i++)
    words[i] = (int32_t)((uint32_t)low[i] | (uint32_t)high[i] << 16);
  return (vf)words;
#endif
}

INLINE vf v_zero(void) {
  return (vf){0};
}

/* c + a · b of words: one f32 each, or pairs of bf16. Where there is no instruction for pairs, by
 * its definition: the upper element first, each multiplied and added with one rounding. */
INLINE vf multiply_add(bool pairs, vf a, vf b, vf c) {
  if (!pairs) return v_fma(a, b, c);
#ifdef __AVX512BF16__
  return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
#else
  const vi upper = (vi){0} + (int32_t)0xffff0000;
  c = v_fma((vf)((vi)a & upper), (vf)((vi)b & upper), c);
  return v_fma((vf)((vi)a << 16), (vf)((vi)b << 16), c);
#endif
}

/* Lane 0 + lane 1 + …, as a tree of fixed shape. */
INLINE float v_sum(vf x) {
  float lane[LANES];
  memcpy(lane, &x, sizeof lane);
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++)
      lane[i] += lane[i + width];
  return lane[0];
}
/* A lane that is not a number makes the result so. */
INLINE float v_largest(vf x) {
  float lane[LANES];
  memcpy(lane, &x, sizeof lane);
  float largest = lane[0];
  for (int i = 1; i < LANES; i++)
    largest = lane[i] > largest || lane[i] != lane[i] ? lane[i] : largest;
  return largest;
}

/* The first `count` < LANES elements, the rest zero; and their store. */
INLINE vf v_load_part(const float *p, int64_t count) {
  float lane[LANES] = {0};
  memcpy(lane, p, (size_t)count * sizeof *p);
  return v_load(lane);
}
INLINE void v_store_part(float *p, int64_t count, vf x) {
  memcpy(p, &x, (size_t)count * sizeof *p);
}

/* Element `i` and those after it of an array of bf16 or f32, `count` of them if fewer than LANES.
 * `bf16` is a constant wherever these are inlined. */
INLINE vf v_get(bool bf16, const void *p, int64_t i, int64_t count) {
  if (!bf16)
    return count >= LANES ? v_load((const float *)p + i) : v_load_part((const float *)p + i, count);
  const uint16_t *from = (const uint16_t *)p + i;
  uint16_t part[LANES] = {0};
  if (count >= LANES) return v_load_bf16(from);
  memcpy(part, from, (size_t)count * sizeof *part);
  return v_load_bf16(part);
}
INLINE void v_put(bool bf16, void *p, int64_t i, int64_t count, vf x) {
  if (!bf16) {
    if (count >= LANES)
      v_store((float *)p + i, x);
    else
      v_store_part((float *)p + i, count, x);
    return;
  }
  uint16_t *to = (uint16_t *)p + i, part[LANES];
  if (count >= LANES) {
    v_store_bf16(to, x);
    return;
  }
  v_store_bf16(part, x);
  memcpy(to, part, (size_t)count * sizeof *part);
}

/* eˣ for x ≤ 88 (more is taken as 88), relative error below 3e-7; below -104: 0. Reduction by
 * multiples of ln 2 and a polynomial through the Chebyshev nodes of [-ln 2 / 2, ln 2 / 2]. */
INLINE vf v_exp(vf x) {
  x = v_min(v_set(88.0f), v_max(v_set(-120.0f), x));
  vf n = v_round(x * v_set(1.44269504f));
  vf r = v_fma(n, v_set(-0.693145752f), x); /* ln 2 in two parts, the first of 16 bits */
  r = v_fma(n, v_set(-1.42860677e-6f), r);
  vf p = v_fma(v_set(1.394121309e-03f), r, v_set(8.375210201e-03f));
  p = v_fma(p, r, v_set(4.166635164e-02f));
  p = v_fma(p, r, v_set(1.666641451e-01f));
  p = v_fma(p, r, v_set(0.5f));
  p = v_fma(p, r, v_set(1.0f));
  p = v_fma(p, r, v_set(1.0f));
  return v_scale(p, n);
}

/* 2ˣ for x ≤ 127, relative error below 2e-7; below -150: 0. */
INLINE vf v_exp2(vf x) {
  x = v_max(v_set(-200.0f), x);
  vf n = v_round(x), r = x - n;
  vf p = v_fma(v_set(1.339086336e-03f), r, v_set(9.676031918e-03f));
  p = v_fma(p, r, v_set(5.550357114e-02f));
  p = v_fma(p, r, v_set(2.402210749e-01f));
  p = v_fma(p, r, v_set(6.931471880e-01f));
  p = v_fma(p, r, v_set(1.0f));
  return v_scale(p, n);
}

#endif
