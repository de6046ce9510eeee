/* Random numbers of many elements at once, and what is rounded by them. */
#ifndef FT_KERNELS_VECTOR_RANDOM_H
#define FT_KERNELS_VECTOR_RANDOM_H

#include "simd.h"

/* Groups of 8 elements that are done at once: one Philox output has eight 16-bit numbers. */
enum { RANDOM_GROUPS = 16, RANDOM_ELEMENTS = 8 * RANDOM_GROUPS };

/* Vectors of 64-bit lanes of which the lower words count: a multiplication takes nothing else and
 * leaves both halves of the product in the lane, so that no word is moved within a round. */
#if defined(__AVX512F__)
typedef __m512i wide_v;
#define W(name, suffix) _mm512_##name##_epi##suffix
#define MULTIPLY_LOWER _mm512_mul_epu32
#define EVERY(x) _mm512_set1_epi32((int)(x))
#define XOR3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
/* the lower words of x and, above them, those of y */
#define PAIR(x, y) _mm512_mask_blend_epi32(0xaaaa, x, _mm512_slli_epi64(y, 32))
#elif defined(__AVX2__)
typedef __m256i wide_v;
#define W(name, suffix) _mm256_##name##_epi##suffix
#define MULTIPLY_LOWER _mm256_mul_epu32
#define EVERY(x) _mm256_set1_epi32((int)(x))
#define XOR3(x, y, z) _mm256_xor_si256(_mm256_xor_si256(x, y), z)
#define PAIR(x, y) _mm256_blend_epi32(x, _mm256_slli_epi64(y, 32), 0xaa)
#else
typedef __m128i wide_v;
#define W(name, suffix) _mm_##name##_epi##suffix
#define MULTIPLY_LOWER _mm_mul_epu32
#define EVERY(x) _mm_set1_epi32((int)(x))
#define XOR3(x, y, z) _mm_xor_si128(_mm_xor_si128(x, y), z)
#define PAIR(x, y) _mm_unpacklo_epi32(_mm_shuffle_epi32(x, 0x08), _mm_shuffle_epi32(y, 0x08))
#endif
enum { WIDE_LANES = LANES / 2, PHILOX_ROUNDS = 10, PHILOX_KEYS = 2 * PHILOX_ROUNDS };

/* Philox4x32-10 (Salmon et al. 2011) of WIDE_LANES consecutive counters, eight halves each. */
INLINE void philox(const uint32_t keys[PHILOX_KEYS], uint64_t step, uint64_t group, uint16_t *halves) {
  typedef uint64_t counters __attribute__((vector_size(sizeof(wide_v))));
  counters order; /* that interleaving makes consecutive */
  UNROLL for (int i = 0; i < WIDE_LANES; i++)
    order[i] = (uint64_t)(i % 2 * (WIDE_LANES / 2) + i / 2);
  wide_v c0 = (wide_v)(order + group), c1 = W(srli, 64)(c0, 32);
  wide_v c2 = EVERY((uint32_t)step), c3 = EVERY((uint32_t)(step >> 32));
  UNROLL for (int round = 0; round < PHILOX_ROUNDS; round++) {
    wide_v a = MULTIPLY_LOWER(c0, EVERY(0xD2511F53u)), b = MULTIPLY_LOWER(c2, EVERY(0xCD9E8D57u));
    c0 = XOR3(W(srli, 64)(b, 32), c1, EVERY(keys[2 * round]));
    c1 = b;
    c2 = XOR3(W(srli, 64)(a, 32), c3, EVERY(keys[2 * round + 1]));
    c3 = a;
  }
  wide_v low = PAIR(c0, c1), high = PAIR(c2, c3);
  wide_v out[2] = {W(unpacklo, 64)(low, high), W(unpackhi, 64)(low, high)};
  memcpy(halves, out, sizeof out);
}

/* The keys of the rounds. */
INLINE void philox_keys(const uint32_t key[2], uint32_t keys[PHILOX_KEYS]) {
  for (uint32_t round = 0; round < PHILOX_ROUNDS; round++) {
    keys[2 * round] = key[0] + round * 0x9E3779B9u;
    keys[2 * round + 1] = key[1] + round * 0xBB67AE85u;
  }
}

INLINE void random_halves(const uint32_t keys[PHILOX_KEYS], uint64_t step, uint64_t group,
                          uint16_t halves[RANDOM_ELEMENTS]) {
  UNROLL for (int i = 0; i < RANDOM_GROUPS; i += WIDE_LANES)
    philox(keys, step, group + (uint64_t)i, halves + 8 * i);
}

#undef W
#undef MULTIPLY_LOWER
#undef EVERY
#undef XOR3
#undef PAIR

/* f32 bits whose upper half is the value rounded up or down by the random number. */
INLINE uint32_t rounded_up(float value, uint32_t random) {
  uint32_t bits = ft_f32_bits(value);
  uint32_t nan = (bits & 0x7fffffffu) > 0x7f800000u ? 0x400000u : 0u;
  uint32_t finite = (bits & 0x7f800000u) != 0x7f800000u ? random : 0u;
  return (bits + finite) | nan;
}

#endif
