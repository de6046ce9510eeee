/* Rotary embedding: angles of a row, and turning the pairs of a head. */
#include "vector.h"

/* Sine and cosine in double: the angle less a multiple n of π/2 (which is held in two parts, the
 * first so short that n times it is exact), polynomials through Chebyshev nodes of [-π/4, π/4], and
 * the quadrant from n's last two bits. Plain C in the form that compilers turn into vectors. */
void FT_V(angles)(int64_t half, int32_t position, const float *inv_freq, float *cosine,
                  float *sine) {
  const double shift = 0x1.8p52; /* added and taken away: rounds to a whole number */
  const double high = 0x1.921fb544p+0, low = 0x1.0b4611a626331p-34;
  for (int64_t i = 0; i < half; i++) {
    double angle = (double)((float)position * inv_freq[i]);
    double shifted = angle * 0x1.45f306dc9c883p-1 + shift, n = shifted - shift;
    double r = (angle - n * high) - n * low, z = r * r;
    double s = r + r * z *
                       (-1.66666666666164254e-01 +
                        z * (8.33333332387232659e-03 +
                             z * (-1.98412633014860849e-04 +
                                  z * (2.75552729849880229e-06 + z * -2.47566457995396583e-08))));
    double c =
        1.0 + z * (-4.99999999999994671e-01 +
                   z * (4.16666666665083396e-02 +
                        z * (-1.38888888725318001e-03 +
                             z * (2.48015793780095090e-05 +
                                  z * (-2.75553617379717347e-07 + z * 2.06377518197663546e-09)))));
    union {
      double value;
      uint64_t bits;
    } quadrant = {.value = shifted};
    uint64_t swap = quadrant.bits & 1, turn = quadrant.bits & 2;
    double from_cosine = swap ? s : c, from_sine = swap ? c : s;
    cosine[i] = (float)(((quadrant.bits + 1) & 2) ? -from_cosine : from_cosine);
    sine[i] = (float)(turn ? -from_sine : from_sine);
  }
}

INLINE void rotate(bool bf16, int64_t half, void *x, const float *cosine, const float *sine,
                   float sign) {
  void *second = bf16 ? (void *)((uint16_t *)x + half) : (void *)((float *)x + half);
  for (int64_t i = 0; i < half; i += LANES) {
    int64_t n = half - i;
    vf c = v_get(false, cosine, i, n), s = v_get(false, sine, i, n) * v_set(sign);
    vf a = v_get(bf16, x, i, n), b = v_get(bf16, second, i, n);
    v_put(bf16, x, i, n, a * c - b * s);
    v_put(bf16, second, i, n, b * c + a * s);
  }
}

void FT_V(rotate)(ft_dtype type, int64_t half, void *x, const float *cosine, const float *sine,
                  bool backward) {
  if (type == FT_BF16)
    rotate(true, half, x, cosine, sine, backward ? -1.0f : 1.0f);
  else
    rotate(false, half, x, cosine, sine, backward ? -1.0f : 1.0f);
}

/* Elements 2i and 2i + 1. Two neighbours of bf16 are one word: vectors of words need no shuffles.
 */
static void rotate_words(int64_t half, uint16_t *x, const float *cosine, const float *sine,
                         float sign) {
  for (int64_t i = 0; i < half; i += LANES) {
    int64_t n = half - i;
    vf c = v_get(false, cosine, i, n), s = v_get(false, sine, i, n) * v_set(sign);
    vi words = (vi)v_get(false, x, i, n);
    vf a = (vf)(words << 16), b = (vf)(words & (int32_t)0xffff0000);
    v_put(false, x, i, n, v_words(a * c - b * s, b * c + a * s));
  }
}

void FT_V(rotate_neighbours)(ft_dtype type, int64_t half, void *x, const float *cosine,
                             const float *sine, bool backward) {
  const float sign = backward ? -1.0f : 1.0f;
  float *at = x;
  if (type == FT_BF16) {
    rotate_words(half, x, cosine, sine, sign);
    return;
  }
  for (int64_t i = 0; i < half; i++) {
    float a = at[2 * i], b = at[2 * i + 1], s = sine[i] * sign;
    at[2 * i] = a * cosine[i] - b * s;
    at[2 * i + 1] = b * cosine[i] + a * s;
  }
}
