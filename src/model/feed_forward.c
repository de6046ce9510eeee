/* The feed-forward part: each token by itself, through a wider layer with an activation. */
#include "internal.h"

static linear gate(const ft_model *m) {
  return (linear){FT_ROLE_GATE, FT_ROLE_GATE_BIAS, m->d, m->f};
}
static linear up(const ft_model *m) {
  return (linear){FT_ROLE_UP, FT_ROLE_UP_BIAS, m->d, m->f};
}
static linear down(const ft_model *m) {
  return (linear){FT_ROLE_DOWN, FT_ROLE_DOWN_BIAS, m->f, m->d};
}

ft_err ft_feed_forward(ft_model *m, const unit_weights *w, int64_t tokens, layer_activations *a,
                       bool with_output) {
  ft_err err = FT_OK;
  const linear g = gate(m), u = up(m), d = down(m);
  FT_TRY(ft_linear_forward(m, &g, w, tokens, a->mlp_input, m->d, a->gate, m->f));
  FT_TRY(ft_linear_forward(m, &u, w, tokens, a->mlp_input, m->d, a->up, m->f));
  if (!with_output) goto out; /* computed again for the backward pass, which needs no more */
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_swiglu_forward(m->type, tokens, m->f, a->gate, a->up, m->wide);
  FT_TRY(ft_linear_forward(m, &d, w, tokens, m->wide, m->f, m->branch, m->d));
out:
  return err;
}

ft_err ft_feed_forward_backward(ft_model *m, const unit_weights *w, int64_t tokens,
                                layer_activations *a, const void *d_out) {
  ft_err err = FT_OK;
  const linear g = gate(m), u = up(m), d = down(m);
  FT_TRY(ft_linear_backward_input(m, &d, w, tokens, d_out, m->d, m->wide, m->f, false));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_swiglu_backward(m->type, tokens, m->f, m->wide, a->gate, a->up, a->gate, a->up, m->wide);
  /* gate and up now hold their gradients, wide the activation's output */
  FT_TRY(ft_linear_send_weight(m, &d, tokens, d_out, m->d, m->wide, m->f));
  FT_TRY(ft_linear_send_bias(m, &d, tokens, d_out, m->d));
  FT_TRY(ft_linear_send_weight(m, &g, tokens, a->gate, m->f, a->mlp_input, m->d));
  FT_TRY(ft_linear_send_bias(m, &g, tokens, a->gate, m->f));
  FT_TRY(ft_linear_send_weight(m, &u, tokens, a->up, m->f, a->mlp_input, m->d));
  FT_TRY(ft_linear_send_bias(m, &u, tokens, a->up, m->f));
  FT_TRY(ft_linear_backward_input(m, &g, w, tokens, a->gate, m->f, m->branch, m->d, false));
  FT_TRY(ft_linear_backward_input(m, &u, w, tokens, a->up, m->f, m->branch, m->d, true));
out:
  return err;
}
