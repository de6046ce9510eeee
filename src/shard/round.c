/* From master weights to what the model computes with. */
#include <string.h>

#include "internal.h"

void ft_shard_set_version(ft_shard *s, int64_t updates) {
  s->version = updates;
}

void ft_shard_round_weights(const ft_shard_options *options, int64_t updates, int64_t block,
                            int64_t start, int64_t count, const float *in, void *out) {
  if (options->compute != FT_BF16 || !options->stochastic_rounding) {
    ft_convert(options->compute, out, FT_F32, in, count);
    return;
  }
  uint64_t first = ft_element_number(block, start), seed = options->seed;
  uint16_t *to = out;
  int64_t lead = FT_MIN((8 - start % 8) % 8, count);
  if (lead > 0) { /* random numbers come in groups of eight elements */
    float values[8] = {0};
    uint16_t results[8];
    memcpy(values + start % 8, in, (size_t)lead * sizeof *in);
    ft_round_stochastic(seed, (uint64_t)updates, first - first % 8, 8, values, results);
    memcpy(to, results + start % 8, (size_t)lead * sizeof *to);
  }
  if (count > lead)
    ft_round_stochastic(seed, (uint64_t)updates, first + (uint64_t)lead, count - lead, in + lead,
                        to + lead);
}
