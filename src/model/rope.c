/* Frequencies of the rotary embedding. Su et al. 2021 (RoFormer); Llama 3.1's scaling as published
 * with the model: high frequencies stay, low ones are divided by the factor, those between are
 * blended. */
#include <math.h>

#include "internal.h"

static double scaled(const ft_rope_form *r, double inv) {
  const double pi = 3.14159265358979323846;
  if (r->type == FT_ROPE_LINEAR) return inv / r->factor;
  if (r->type == FT_ROPE_DEFAULT) return inv;
  double wavelength = 2.0 * pi / inv, original = (double)r->original_positions;
  if (wavelength > original / r->low_freq) return inv / r->factor;
  if (wavelength < original / r->high_freq) return inv;
  double smooth = (original / wavelength - r->low_freq) / (r->high_freq - r->low_freq);
  return (1.0 - smooth) * inv / r->factor + smooth * inv;
}

void ft_model_inverse_frequencies(const ft_rope_form *r, float *inv_freq) {
  for (int64_t i = 0; i < r->width / 2; i++) {
    double exponent = (double)(2 * i) / (double)r->width;
    inv_freq[i] = (float)scaled(r, pow(r->theta, -exponent));
  }
}
