/* Activations, alone and gated, forward and backward: what one of them is stands in one function,
 * and the loops around it are compiled for each kind and type. */
#include "math.h"
#include "vector.h"

/* act(x), its derivative, and what the gradients of xIELU's two factors are per dy. */
typedef struct point {
  vf value, slope, of_p, of_n;
} point;

/* ½(1 + tanh u) is s = sigmoid(2u), and the derivative of x·s is s + x·s·(1 − s)·2u'. */
INLINE point gelu_tanh(vf x) {
  const vf root = v_set(1.59576912f), cubic = v_set(0.0713548163f); /* √(8/π), times 0.044715 */
  vf square = x * x, inner = x * v_fma(cubic, square, root);
  vf inner_slope = v_fma(cubic * v_set(3.0f), square, root);
  vf s = v_reciprocal(v_set(1.0f) + v_exp(-inner)), value = x * s;
  return (point){.value = value, .slope = s + value * (v_set(1.0f) - s) * inner_slope};
}

INLINE point gelu(vf x) {
  vf density, below = v_normal_below(x, &density);
  return (point){.value = x * below, .slope = v_fma(x, density, below)};
}

/* expm1(min(x, eps)) does not depend on x above eps. */
INLINE point xielu(const ft_activation *act, vf x) {
  const vf p = v_set(act->alpha_p), n = v_set(act->alpha_n), beta = v_set(act->beta);
  const vf eps = v_set(act->eps);
  vi positive = x > v_zero(), above = x > eps;
  vf rest, power = v_expm1(v_min(x, eps), &rest);
  vf bent = v_choose(above, power - x, rest);
  vf slope = v_choose(above, v_set(-1.0f), power);
  vf square = v_choose(positive, x * x, v_zero());
  bent = v_choose(positive, v_zero(), bent);
  vf curve = v_choose(positive, p * square, n * bent);
  slope = v_choose(positive, p * (x + x), n * slope);
  return (point){
      .value = v_fma(beta, x, curve), .slope = slope + beta, .of_p = square, .of_n = bent};
}

INLINE point at(ft_activation_kind kind, const ft_activation *act, vf x) {
  vf positive = v_max(v_zero(), x); /* what is not a number stays so */
  switch (kind) {
  case FT_ACT_SILU: {
    vf s = v_sigmoid(x), silu = x * s;
    return (point){.value = silu, .slope = s + silu * (v_set(1.0f) - s)};
  }
  case FT_ACT_GELU:
    return gelu(x);
  case FT_ACT_GELU_TANH:
    return gelu_tanh(x);
  case FT_ACT_RELU:
    return (point){.value = positive, .slope = v_choose(x > v_zero(), v_set(1.0f), v_zero())};
  case FT_ACT_RELU2:
    return (point){.value = positive * positive, .slope = positive + positive};
  case FT_ACT_TANH: {
    vf y = v_tanh(x);
    return (point){.value = y, .slope = v_set(1.0f) - y * y};
  }
  default:
    return xielu(act, x);
  }
}

/* CALL(kind) with the kind as a constant; LAST for xIELU. */
#define FOR_KIND(kind, CALL, LAST)                                                                 \
  switch (kind) {                                                                                  \
  case FT_ACT_SILU:                                                                                \
    CALL(FT_ACT_SILU);                                                                             \
    break;                                                                                         \
  case FT_ACT_GELU:                                                                                \
    CALL(FT_ACT_GELU);                                                                             \
    break;                                                                                         \
  case FT_ACT_GELU_TANH:                                                                           \
    CALL(FT_ACT_GELU_TANH);                                                                        \
    break;                                                                                         \
  case FT_ACT_RELU:                                                                                \
    CALL(FT_ACT_RELU);                                                                             \
    break;                                                                                         \
  case FT_ACT_RELU2:                                                                               \
    CALL(FT_ACT_RELU2);                                                                            \
    break;                                                                                         \
  case FT_ACT_TANH:                                                                                \
    CALL(FT_ACT_TANH);                                                                             \
    break;                                                                                         \
  default:                                                                                         \
    LAST;                                                                                          \
    break;                                                                                         \
  }

/* ---------------------------------------------------------------- alone */

INLINE void forward(bool bf16, ft_activation_kind kind, const ft_activation *act, int64_t count,
                    void *y, const void *x) {
  for (int64_t i = 0; i < count; i += LANES)
    v_put(bf16, y, i, count - i, at(kind, act, v_get(bf16, x, i, count - i)).value);
}

void FT_V(activation_forward)(const ft_activation *act, ft_dtype type, int64_t count, void *y,
                              const void *x){
#define CALL(kind)                                                                                 \
  type == FT_BF16 ? forward(true, kind, act, count, y, x) : forward(false, kind, act, count, y, x)
    FOR_KIND(act->kind, CALL, CALL(FT_ACT_XIELU))
#undef CALL
}

INLINE void backward(bool bf16, ft_activation_kind kind, const ft_activation *act, int64_t count,
                     void *dx, void *y, float *d_alpha, const void *dy, const void *x) {
  vf sum_p = v_zero(), sum_n = v_zero();
  for (int64_t i = 0; i < count; i += LANES) {
    vf d = v_get(bf16, dy, i, count - i);
    point p = at(kind, act, v_get(bf16, x, i, count - i));
    v_put(bf16, dx, i, count - i, d * p.slope);
    if (y) v_put(bf16, y, i, count - i, p.value);
    if (kind != FT_ACT_XIELU) continue;
    sum_p = v_fma(d, p.of_p, sum_p); /* beyond the end d is zero */
    sum_n = v_fma(d, p.of_n, sum_n);
  }
  if (kind != FT_ACT_XIELU) return;
  d_alpha[0] = v_sum(sum_p);
  d_alpha[1] = v_sum(sum_n);
}

void FT_V(activation_backward)(const ft_activation *act, ft_dtype type, int64_t count, void *dx,
                               void *y, float *d_alpha, const void *dy, const void *x){
#define CALL(kind)                                                                                 \
  type == FT_BF16 ? backward(true, kind, act, count, dx, y, d_alpha, dy, x)                        \
                  : backward(false, kind, act, count, dx, y, d_alpha, dy, x)
    FOR_KIND(act->kind, CALL, CALL(FT_ACT_XIELU))
#undef CALL
}

/* ---------------------------------------------------------------- gated */

INLINE void gated_forward(bool bf16, ft_activation_kind kind, int64_t count, void *a,
                          const void *gate, const void *up) {
  for (int64_t i = 0; i < count; i += LANES) {
    vf g = v_get(bf16, gate, i, count - i), u = v_get(bf16, up, i, count - i);
    v_put(bf16, a, i, count - i, at(kind, NULL, g).value * u);
  }
}

void FT_V(gated_forward)(ft_activation_kind kind, ft_dtype type, int64_t count, void *a,
                         const void *gate, const void *up){
#define CALL(kind)                                                                                 \
  type == FT_BF16 ? gated_forward(true, kind, count, a, gate, up)                                  \
                  : gated_forward(false, kind, count, a, gate, up)
    FOR_KIND(kind, CALL, (void)0)
#undef CALL
}

INLINE void gated_backward(bool bf16, ft_activation_kind kind, int64_t count, void *dgate,
                           void *dup, void *a, const void *da, const void *gate, const void *up) {
  for (int64_t i = 0; i < count; i += LANES) {
    int64_t n = count - i;
    vf d = v_get(bf16, da, i, n), g = v_get(bf16, gate, i, n), u = v_get(bf16, up, i, n);
    point p = at(kind, NULL, g);
    v_put(bf16, dgate, i, n, d * u * p.slope);
    v_put(bf16, dup, i, n, d * p.value);
    if (a) v_put(bf16, a, i, n, p.value * u);
  }
}

void FT_V(gated_backward)(ft_activation_kind kind, ft_dtype type, int64_t count, void *dgate,
                          void *dup, void *a, const void *da, const void *gate, const void *up) {
#define CALL(kind)                                                                                 \
  type == FT_BF16 ? gated_backward(true, kind, count, dgate, dup, a, da, gate, up)                 \
                  : gated_backward(false, kind, count, dgate, dup, a, da, gate, up)
  FOR_KIND(kind, CALL, (void)0)
#undef CALL
}
