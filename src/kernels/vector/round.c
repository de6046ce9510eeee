/* f32 to bf16 by stochastic rounding: up with the probability that the dropped bits say, by a
 * counter-based random number of each element. On average nothing is lost, so that changes smaller
 * than a bf16 step still take part in the next forward pass (Gupta et al. 2015). */
#include "random.h"
#include "vector.h"

static void round_each(uint16_t *out, const float *in, int64_t count, const uint16_t *halves) {
  for (int64_t i = 0; i < count; i++)
    out[i] = (uint16_t)(rounded_up(in[i], halves[i]) >> 16);
}

/* As round_each, RANDOM_ELEMENTS of them. */
INLINE void round_group(uint16_t *out, const float *in, const uint16_t *halves) {
#if defined(__AVX512BW__)
  const __m512i exponent = _mm512_set1_epi16(0x7f80), ones = _mm512_set1_epi16(-1);
  const __m512i even = _mm512_set_epi32(
      62 << 16 | 60, 58 << 16 | 56, 54 << 16 | 52, 50 << 16 | 48, 46 << 16 | 44, 42 << 16 | 40,
      38 << 16 | 36, 34 << 16 | 32, 30 << 16 | 28, 26 << 16 | 24, 22 << 16 | 20, 18 << 16 | 16,
      14 << 16 | 12, 10 << 16 | 8, 6 << 16 | 4, 2 << 16 | 0);
  const __m512i odd = _mm512_sub_epi16(even, ones);
  __mmask32 special = 0; /* infinite or no number */
  UNROLL for (int i = 0; i < RANDOM_ELEMENTS; i += 2 * LANES) {
    __m512i a = _mm512_loadu_si512(in + i), b = _mm512_loadu_si512(in + i + LANES);
    __m512i low = _mm512_permutex2var_epi16(a, even, b);
    __m512i high = _mm512_permutex2var_epi16(a, odd, b);
    __m512i sum = _mm512_add_epi16(low, _mm512_loadu_si512(halves + i));
    __mmask32 carry = _mm512_cmplt_epu16_mask(sum, low);
    special |= _mm512_cmpeq_epi16_mask(_mm512_and_si512(high, exponent), exponent);
    _mm512_storeu_si512(out + i, _mm512_mask_sub_epi16(high, carry, high, ones));
  }
  if (special == 0) return;
#endif
  round_each(out, in, RANDOM_ELEMENTS, halves);
}

void FT_V(round_stochastic)(uint16_t *out, const float *in, int64_t count, const uint32_t key[2],
                            uint64_t step, uint64_t first) {
  uint16_t halves[RANDOM_ELEMENTS];
  uint32_t keys[PHILOX_KEYS];
  philox_keys(key, keys);
  for (int64_t at = 0; at < count; at += RANDOM_ELEMENTS) {
    random_halves(keys, step, (first + (uint64_t)at) / 8, halves);
    if (count - at >= RANDOM_ELEMENTS)
      round_group(out + at, in + at, halves);
    else
      round_each(out + at, in + at, count - at, halves);
  }
}
