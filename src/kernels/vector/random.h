/* Random numbers of many elements at once, and what is rounded by them. */
#ifndef FT_KERNELS_VECTOR_RANDOM_H
#define FT_KERNELS_VECTOR_RANDOM_H

#include "simd.h"

/* Groups of 8 elements that are done at once: one Philox output has eight 16-bit numbers. */
enum { RANDOM_GROUPS = 16, RANDOM_ELEMENTS = 8 * RANDOM_GROUPS };

/* Vectors of 32-bit words: products of the even ones in 64 bits, and interleaving within each 16
 * bytes. */
#if defined(__AVX512F__)
typedef __m512i words_v;
#define W(name, suffix) _mm512_##name##_epi##suffix
#define MULTIPLY_EVEN _mm512_mul_epu32
#define EVERY(x) _mm512_set1_epi32((int)(x))
#define XOR _mm512_xor_si512
#elif defined(__AVX2__)
typedef __m256i words_v;
#define W(name, suffix) _mm256_##name##_epi##suffix
#define MULTIPLY_EVEN _mm256_mul_epu32
#define EVERY(x) _mm256_set1_epi32((int)(x))
#define XOR _mm256_xor_si256
#else
typedef __m128i words_v;
#define W(name, suffix) _mm_##name##_epi##suffix
#define MULTIPLY_EVEN _mm_mul_epu32
#define EVERY(x) _mm_set1_epi32((int)(x))
#define XOR _mm_xor_si128
#endif

/* The upper and lower words of the products of all words with a factor. */
INLINE void multiply(words_v x, uint32_t factor, words_v *high, words_v *low) {
  words_v even = MULTIPLY_EVEN(x, EVERY(factor));
  words_v odd = MULTIPLY_EVEN(W(srli, 64)(x, 32), EVERY(factor));
#if defined(__AVX512F__)
  *high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
  *low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
#elif defined(__AVX2__)
  *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
  *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
#else
  words_v lower = _mm_set_epi32(0, -1, 0, -1);
  *high = _mm_or_si128(_mm_srli_epi64(even, 32), _mm_andnot_si128(lower, odd));
  *low = _mm_or_si128(_mm_and_si128(lower, even), _mm_slli_epi64(odd, 32));
#endif
}

/* Philox4x32-10 (Salmon et al. 2011) of LANES consecutive counters, four words each. */
INLINE void philox(const uint32_t key[2], uint64_t step, uint64_t group, uint16_t *halves) {
  uint32_t lane[2][LANES], k0 = key[0], k1 = key[1];
  for (int i = 0; i < LANES; i++) { /* in the order that interleaving makes consecutive */
    uint64_t counter = group + (uint64_t)(i % 4 * (LANES / 4) + i / 4);
    lane[0][i] = (uint32_t)counter;
    lane[1][i] = (uint32_t)(counter >> 32);
  }
  words_v c0, c1, c2 = EVERY((uint32_t)step), c3 = EVERY((uint32_t)(step >> 32));
  memcpy(&c0, lane[0], sizeof c0);
  memcpy(&c1, lane[1], sizeof c1);
  for (int round = 0; round < 10; round++) {
    words_v a_high, a_low, b_high, b_low;
    multiply(c0, 0xD2511F53u, &a_high, &a_low);
    multiply(c2, 0xCD9E8D57u, &b_high, &b_low);
    c0 = XOR(XOR(b_high, c1), EVERY(k0));
    c1 = b_low;
    c2 = XOR(XOR(a_high, c3), EVERY(k1));
    c3 = a_low;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  words_v low01 = W(unpacklo, 32)(c0, c1), high01 = W(unpackhi, 32)(c0, c1);
  words_v low23 = W(unpacklo, 32)(c2, c3), high23 = W(unpackhi, 32)(c2, c3);
  words_v out[4] = {W(unpacklo, 64)(low01, low23), W(unpackhi, 64)(low01, low23),
                    W(unpacklo, 64)(high01, high23), W(unpackhi, 64)(high01, high23)};
  memcpy(halves, out, sizeof out);
}

INLINE void random_halves(const uint32_t key[2], uint64_t step, uint64_t group,
                          uint16_t halves[RANDOM_ELEMENTS]) {
  for (int i = 0; i < RANDOM_GROUPS; i += LANES)
    philox(key, step, group + (uint64_t)i, halves + 8 * i);
}

#undef W
#undef MULTIPLY_EVEN
#undef EVERY
#undef XOR

/* f32 bits whose upper half is the value rounded up or down by the random number. */
INLINE uint32_t rounded_up(float value, uint32_t random) {
  uint32_t bits = ft_f32_bits(value);
  uint32_t nan = (bits & 0x7fffffffu) > 0x7f800000u ? 0x400000u : 0u;
  uint32_t finite = (bits & 0x7f800000u) != 0x7f800000u ? random : 0u;
  return (bits + finite) | nan;
}

#endif
