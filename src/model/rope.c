/* Frequencies of the rotary embedding. Su et al. 2021 (RoFormer); Llama 3.1's scaling as published
 * with the model: high frequencies stay, low ones are divided by the factor, those between are
 * blended. */
#include <math.h>

#include "internal.h"

static double scaled(const ft_arch *a, double inv) {
  const double pi = 3.14159265358979323846;
  if (a->rope_scaling == FT_ROPE_LINEAR) return inv / a->rope_factor;
  if (a->rope_scaling == FT_ROPE_DEFAULT) return inv;
  double wavelength = 2.0 * pi / inv, original = (double)a->rope_original_positions;
  if (wavelength > original / a->rope_low_freq) return inv / a->rope_factor;
  if (wavelength < original / a->rope_high_freq) return inv;
  double smooth =
      (original / wavelength - a->rope_low_freq) / (a->rope_high_freq - a->rope_low_freq);
  return (1.0 - smooth) * inv / a->rope_factor + smooth * inv;
}

void ft_model_inverse_frequencies(const ft_arch *a, float *inv_freq) {
  for (int64_t i = 0; i < a->head_dim / 2; i++) {
    double exponent = (double)(2 * i) / (double)a->head_dim;
    inv_freq[i] = (float)scaled(a, pow(a->rope_theta, -exponent));
  }
}
