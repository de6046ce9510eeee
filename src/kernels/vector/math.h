/* Functions of vectors that have no instruction, beyond those of simd.h: what activations and soft
 * caps need. Polynomials are least-squares fits of the relative error (reweighted towards equal
 * maxima); tests compare every function with double. */
#ifndef FT_KERNELS_MATH_H
#define FT_KERNELS_MATH_H

#include "simd.h"

/* All ones where the mask is, else `no`. */
INLINE vf v_choose(vi mask, vf yes, vf no) {
  return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}
INLINE vf v_abs(vf x) {
  return (vf)((vi)x & 0x7fffffff);
}
/* The magnitude of x with the sign of `of`. */
INLINE vf v_with_sign(vf x, vf of) {
  return (vf)(((vi)x & 0x7fffffff) | ((vi)of & (int32_t)0x80000000));
}

/* 1/x for finite x, to two roundings or so: where the CPU has an estimate, faster than dividing. */
INLINE vf v_reciprocal(vf x) {
#ifdef __AVX512F__
  vf r = _mm512_rcp14_ps(x);
  return v_fma(r, v_fma(-x, r, v_set(1.0f)), r);
#else
  return v_set(1.0f) / x;
#endif
}

/* 1 / (1 + e⁻ˣ) */
INLINE vf v_sigmoid(vf x) {
  return v_set(1.0f) / (v_set(1.0f) + v_exp(-x));
}

/* tanh x, relative error below 5e-7: x + x³ · p(x²) near zero, else from e^(2|x|). */
INLINE vf v_tanh(vf x) {
  vf size = v_abs(x), z = x * x;
  vf p = v_fma(v_set(-5.92397153e-03f), z, v_set(2.08736695e-02f));
  p = v_fma(p, z, v_set(-5.38238138e-02f));
  p = v_fma(p, z, v_set(1.33325845e-01f));
  p = v_fma(p, z, v_set(-3.33333284e-01f));
  vf near = v_fma(x * z, p, x);
  /* 1 to f32 beyond 10; what is not a number stays so in `near` */
  vf power = v_exp(v_min(size + size, v_set(20.0f)));
  vf far = v_fma(v_set(-2.0f), v_reciprocal(power + v_set(1.0f)), v_set(1.0f));
  return v_choose(size > v_set(0.65f), v_with_sign(far, x), near);
}

/* Φ(x), the normal distribution below x, relative error below 6e-6 down to x = -12; *density gets
 * its derivative e^(−x²/2)/√(2π). With z = |x|/√2, t = 1/(1 + z/2): erfc(z) e^(z²) = t · p(t). */
INLINE vf v_normal_below(vf x, vf *density) {
  vf z = v_min(v_abs(x) * v_set(0.707106781f), v_set(20.0f)); /* Φ is 0 or 1 beyond */
  vf t = v_reciprocal(v_fma(z, v_set(0.5f), v_set(1.0f)));
  vf p = v_fma(v_set(-5.91938831e-02f), t, v_set(2.85185426e-01f));
  p = v_fma(p, t, v_set(-4.88466024e-01f));
  p = v_fma(p, t, v_set(2.79518187e-01f));
  p = v_fma(p, t, v_set(-2.76270527e-02f));
  p = v_fma(p, t, v_set(2.03111351e-01f));
  p = v_fma(p, t, v_set(2.42996290e-01f));
  p = v_fma(p, t, v_set(2.82390118e-01f));
  p = v_fma(p, t, v_set(2.82085568e-01f));
  vf power = v_exp(x * x * v_set(-0.5f));
  vf tail = v_set(0.5f) * power * t * p;
  *density = power * v_set(0.398942280f);
  return v_choose(x > v_zero(), v_set(1.0f) - tail, tail);
}

/* eˣ − 1 for x ≤ 0, and *rest = eˣ − 1 − x; relative errors below 5e-7 of the first, and of the
 * second where x is near zero. x = n ln 2 + r, e^r − 1 − r = r² · q(r). */
INLINE vf v_expm1(vf x, vf *rest) {
  vf least = v_max(v_set(-80.0f), x); /* -1 below */
  vf n = v_round(least * v_set(1.44269504f));
  vf r = v_fma(n, v_set(-0.693145752f), least);
  r = v_fma(n, v_set(-1.42860677e-6f), r);
  vf q = v_fma(v_set(1.98578229e-04f), r, v_set(1.39336872e-03f));
  q = v_fma(q, r, v_set(8.33336078e-03f));
  q = v_fma(q, r, v_set(4.16664630e-02f));
  q = v_fma(q, r, v_set(1.66666672e-01f));
  q = v_fma(q, r, v_set(0.5f)) * r * r;
  vf power = v_scale(v_set(1.0f), n);
  vf whole = v_fma(power, q + r, power - v_set(1.0f));
  *rest = v_choose(n == v_zero(), q, whole - x);
  return whole;
}

#endif
