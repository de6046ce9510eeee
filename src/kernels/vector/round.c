/* f32 to bf16 by stochastic rounding: up with the probability that the dropped bits say, by a
 * counter-based random number of each element. On average nothing is lost, so that changes smaller
 * than a bf16 step still take part in the next forward pass (Gupta et al. 2015). */
#include "vector.h"

/* Groups of 8 elements that are done at once: one Philox output has eight 16-bit numbers. */
enum { GROUPS = 16, ELEMENTS = 8 * GROUPS };

/* Philox4x32-10 (Salmon et al. 2011) of GROUPS consecutive counters. */
static void random_halves(const uint32_t key[2], uint64_t step, uint64_t group,
                          uint16_t halves[ELEMENTS]) {
  uint32_t c0[GROUPS], c1[GROUPS], c2[GROUPS], c3[GROUPS], k0 = key[0], k1 = key[1];
  uint32_t words[4 * GROUPS];
  for (int i = 0; i < GROUPS; i++) {
    uint64_t counter = group + (uint64_t)i;
    c0[i] = (uint32_t)counter;
    c1[i] = (uint32_t)(counter >> 32);
    c2[i] = (uint32_t)step;
    c3[i] = (uint32_t)(step >> 32);
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < GROUPS; i++) {
      uint64_t a = (uint64_t)0xD2511F53u * c0[i], b = (uint64_t)0xCD9E8D57u * c2[i];
      c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0;
      c1[i] = (uint32_t)b;
      c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1;
      c3[i] = (uint32_t)a;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < GROUPS; i++) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
  memcpy(halves, words, sizeof words);
}

static inline uint16_t rounded(float value, uint16_t random) {
  uint32_t bits = ft_f32_bits(value);
  uint32_t nan = (bits & 0x7fffffffu) > 0x7f800000u ? 0x40u : 0u;
  uint32_t finite = (bits & 0x7f800000u) != 0x7f800000u ? random : 0u;
  return (uint16_t)((bits + finite) >> 16 | nan);
}

void FT_V(round_stochastic)(uint16_t *out, const float *in, int64_t count, const uint32_t key[2],
                            uint64_t step, uint64_t first) {
  uint16_t halves[ELEMENTS];
  for (int64_t at = 0; at < count; at += ELEMENTS) {
    int64_t n = FT_MIN((int64_t)ELEMENTS, count - at);
    random_halves(key, step, (first + (uint64_t)at) / 8, halves);
    for (int64_t i = 0; i < n; i++)
      out[at + i] = rounded(in[at + i], halves[i]);
  }
}
