/* Frequencies of rotary embeddings, with their scalings, and which of two sets a document uses. */
#include <math.h>
#include <string.h>

#include "internal.h"

static const double pi = 3.14159265358979323846;

/* As published with Llama 3.1: high frequencies stay, low ones are divided by the factor, those
 * between are blended. */
static double scaled_llama3(const ft_rope_form *r, double inv) {
  double wavelength = 2.0 * pi / inv, original = (double)r->original_positions;
  if (wavelength > original / r->low_freq) return inv / r->factor;
  if (wavelength < original / r->high_freq) return inv;
  double smooth = (original / wavelength - r->low_freq) / (r->high_freq - r->low_freq);
  return (1.0 - smooth) * inv / r->factor + smooth * inv;
}

/* The pair that turns `turns` times over the original positions (Peng et al. 2023, section 3.2). */
static double pair_of_turns(const ft_rope_form *r, double turns) {
  return (double)r->width * log((double)r->original_positions / (turns * 2.0 * pi)) /
         (2.0 * log(r->theta));
}

/* YaRN: pairs that turn often stay, those that turn seldom are divided, in between a ramp. */
static double scaled_yarn(const ft_rope_form *r, int64_t pair, double inv) {
  double low = pair_of_turns(r, r->beta_fast), high = pair_of_turns(r, r->beta_slow);
  if (r->truncate) {
    low = floor(low);
    high = ceil(high);
  }
  low = fmax(low, 0);
  high = fmin(high, (double)r->width - 1);
  if (low >= high && low <= high) high += 0.001;
  double share = fmin(fmax(((double)pair - low) / (high - low), 0), 1);
  return inv * (1 - share) + inv / r->factor * share;
}

static double scaled(const ft_rope_form *r, int64_t pair, double inv, int table) {
  switch (r->type) {
  case FT_ROPE_LINEAR:
    return inv / r->factor;
  case FT_ROPE_LLAMA3:
    return scaled_llama3(r, inv);
  case FT_ROPE_YARN:
    return scaled_yarn(r, pair, inv);
  case FT_ROPE_LONG:
    return inv / (table == 0 ? r->short_factors : r->long_factors)[pair];
  case FT_ROPE_DEFAULT:
    break;
  }
  return inv;
}

int ft_rope_tables(const ft_rope_form *r) {
  return r->type == FT_ROPE_LONG ? 2 : 1;
}

void ft_rope_frequencies(const ft_rope_form *r, float *inv_freq) {
  int64_t pairs = r->width / 2;
  for (int table = 0; table < ft_rope_tables(r); table++)
    for (int64_t i = 0; i < pairs; i++) {
      double exponent = (double)(2 * i) / (double)r->width;
      inv_freq[table * pairs + i] = (float)scaled(r, i, pow(r->theta, -exponent), table);
    }
}

void ft_rope_choose_tables(ft_model *m, const ft_model_batch *batch) {
  for (int64_t d = 0; m->rope_table && d < batch->num_documents; d++) {
    int64_t first = batch->offsets[d], length = batch->offsets[d + 1] - first;
    memset(m->rope_table + first, length > m->arch.ropes[0].original_positions, (size_t)length);
  }
}
