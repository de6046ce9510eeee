/* f32 to bf16 by stochastic rounding: up with the probability that the dropped bits say, by a
 * counter-based random number of each element. On average nothing is lost, so that changes smaller
 * than a bf16 step still take part in the next forward pass (Gupta et al. 2015). */
#include "random.h"
#include "vector.h"

void FT_V(round_stochastic)(uint16_t *out, const float *in, int64_t count, const uint32_t key[2],
                            uint64_t step, uint64_t first) {
  uint16_t halves[RANDOM_ELEMENTS];
  for (int64_t at = 0; at < count; at += RANDOM_ELEMENTS) {
    int64_t n = FT_MIN((int64_t)RANDOM_ELEMENTS, count - at);
    random_halves(key, step, (first + (uint64_t)at) / 8, halves);
    for (int64_t i = 0; i < n; i++)
      out[at + i] = (uint16_t)(rounded_up(in[at + i], halves[i]) >> 16);
  }
}
