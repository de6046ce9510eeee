/* The feed-forward part: each token by itself, through a wider layer with an activation, gated or
 * plain. */
#include "beside.h"

static linear gate(const ft_model *m) {
  return (linear){FT_ROLE_GATE, FT_ROLE_GATE_BIAS, m->d, m->f, FT_MAP_GATE};
}
static linear up(const ft_model *m) {
  return (linear){FT_ROLE_UP, FT_ROLE_UP_BIAS, m->d, m->f, FT_MAP_UP};
}
static linear down(const ft_model *m) {
  return (linear){FT_ROLE_DOWN, FT_ROLE_DOWN_BIAS, m->f, m->d, FT_MAP_DOWN};
}

/* The first element of a tensor of the compute type. */
static float scalar(const ft_model *m, const void *tensor) {
  float value = 0;
  if (tensor) ft_convert(FT_F32, &value, m->type, tensor, 1);
  return value;
}

static ft_activation activation(const ft_model *m, const unit_weights *w) {
  return (ft_activation){.kind = m->arch.activation,
                         .alpha_p = scalar(m, w->of[FT_ROLE_ALPHA_P]),
                         .alpha_n = scalar(m, w->of[FT_ROLE_ALPHA_N]),
                         .beta = scalar(m, w->of[FT_ROLE_XIELU_BETA]),
                         .eps = scalar(m, w->of[FT_ROLE_XIELU_EPS])};
}

/* ---------------------------------------------------------------- forward */

/* m->wide from a->up, and a->gate if there is one. */
static void activate(ft_model *m, const unit_weights *w, int64_t tokens, layer_activations *a) {
  const ft_activation act = activation(m, w);
  const ft_rows shape = ft_rows_whole(tokens, m->f);
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (m->arch.gated)
    ft_gated_forward(act.kind, m->type, m->wide, a->gate, a->up, &shape);
  else
    ft_activation_forward(&act, m->type, m->wide, a->up, tokens * m->f);
}

ft_err ft_feed_forward(ft_model *m, const unit_weights *w, int64_t tokens, layer_activations *a,
                       void *out) {
  ft_err err = FT_OK;
  const linear g = gate(m), u = up(m), d = down(m);
  if (m->arch.gated) FT_TRY(ft_linear_forward(m, &g, w, tokens, a->mlp_input, a->gate, m->f, a));
  FT_TRY(ft_linear_forward(m, &u, w, tokens, a->mlp_input, a->up, m->f, a));
  if (!out && !ft_beside_any(&d, w))
    goto out; /* computed again for the backward pass, which needs no more */
  activate(m, w, tokens, a);
  FT_TRY(ft_linear_forward(m, &d, w, tokens, m->wide, out, m->d, a));
out:
  return err;
}

/* ---------------------------------------------------------------- backward */

/* From m->wide, the gradient of the activation's output: gate and up become their gradients, wide
 * the activation's output again, d_alpha [2] the gradients of xIELU's scalars. */
static void activation_backward(ft_model *m, const unit_weights *w, int64_t tokens,
                                layer_activations *a, float *d_alpha) {
  const ft_activation act = activation(m, w);
  const ft_rows shape = ft_rows_whole(tokens, m->f);
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (m->arch.gated)
    ft_gated_backward(act.kind, m->type, a->gate, a->up, m->wide, m->wide, a->gate, a->up, &shape);
  else
    ft_activation_backward(&act, m->type, a->up, m->wide, act.kind == FT_ACT_XIELU ? d_alpha : NULL,
                           m->wide, a->up, tokens * m->f);
}

static ft_err send_scalars(ft_model *m, const float *d_alpha) {
  ft_err err = FT_OK;
  const float none = 0; /* beta and eps are constants of the model */
  FT_TRY(ft_gradient_send_vector(m, FT_ROLE_ALPHA_P, &d_alpha[0]));
  FT_TRY(ft_gradient_send_vector(m, FT_ROLE_ALPHA_N, &d_alpha[1]));
  FT_TRY(ft_gradient_send_vector(m, FT_ROLE_XIELU_BETA, &none));
  FT_TRY(ft_gradient_send_vector(m, FT_ROLE_XIELU_EPS, &none));
out:
  return err;
}

/* From a->gate and a->up, which have become their gradients: sends those of the maps into them, and
 * (input_too) that of their input into m->branch. */
static ft_err inner_maps_backward(ft_model *m, const unit_weights *w, int64_t tokens,
                                  layer_activations *a, const float *d_alpha, bool input_too) {
  ft_err err = FT_OK;
  const linear maps[] = {gate(m), up(m)};
  void *d[] = {a->gate, a->up};
  linear_gradient g[2];
  int first = m->arch.gated ? 0 : 1;
  for (int i = first; i < 2; i++) {
    FT_TRY(ft_linear_backward(m, &maps[i], w, tokens, a, d[i], m->f, d[i], &g[i]));
    FT_TRY(ft_linear_send_weight(m, &g[i], a->mlp_input));
    FT_TRY(ft_linear_send_bias(m, &g[i]));
  }
  FT_TRY(ft_beside_send(m, g + first, 2 - first, w, a->mlp_input));
  FT_TRY(send_scalars(m, d_alpha));
  for (int i = first; input_too && i < 2; i++)
    FT_TRY(ft_linear_backward_input(m, &g[i], w, m->branch, i > first));
out:
  return err;
}

ft_err ft_feed_forward_backward(ft_model *m, const unit_weights *w, int64_t tokens,
                                layer_activations *a, const void *d_out, bool input_too) {
  ft_err err = FT_OK;
  const linear d = down(m);
  linear_gradient g;
  float d_alpha[2] = {0};
  FT_TRY(ft_linear_backward(m, &d, w, tokens, a, d_out, m->d, m->scaled, &g));
  FT_TRY(ft_linear_backward_input(m, &g, w, m->wide, false));
  activation_backward(m, w, tokens, a, d_alpha);
  FT_TRY(ft_linear_send_weight(m, &g, m->wide));
  FT_TRY(ft_linear_send_bias(m, &g));
  FT_TRY(ft_beside_send(m, &g, 1, w, m->wide));
  FT_TRY(inner_maps_backward(m, w, tokens, a, d_alpha, input_too));
out:
  return err;
}
