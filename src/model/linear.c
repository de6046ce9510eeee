/* One linear map y = x · Wᵀ + b with all that can come with it: its bias, where its input and
 * output lie, what a method puts beside it (beside.c), forward and backward. Gradients of weights
 * are made only where they are trained. */
#include "internal.h"

/* A map that is scaled and computed again needs its output for the scale's gradient. */
static ft_err forward_scaled(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                             const void *x, void *y, int64_t y_stride, const layer_activations *a) {
  ft_err err = FT_OK;
  bool with_bias, scales = ft_beside_scales(l, w, &with_bias);
  const void *bias = scales && !with_bias ? NULL : w->of[l->bias];
  if (!y && scales) {
    y = m->scaled;
    y_stride = l->out;
  }
  const void *input = ft_beside_input(m, l, w, tokens, x);
  if (y)
    FT_TRY(ft_matmul_forward(&(ft_matmul){.type = m->type,
                                          .out_type = m->type,
                                          .m = tokens,
                                          .n = l->out,
                                          .k = l->in,
                                          .x = input,
                                          .x_stride = l->in,
                                          .w = w->of[l->weight],
                                          .bias = bias,
                                          .out = y,
                                          .out_stride = y_stride}));
  FT_TRY(ft_beside_add(m, l, w, tokens, input, y, y_stride, a));
  if (scales) FT_TRY(ft_beside_scale(m, l, w, tokens, y, y_stride, a));
out:
  return err;
}

ft_err ft_linear_forward(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                         const void *x, int64_t x_stride, void *y, int64_t y_stride,
                         const layer_activations *a) {
  ft_time_enter(FT_TIME_FORWARD);
  if (ft_beside_any(l, w)) return forward_scaled(m, l, w, tokens, x, y, y_stride, a);
  return ft_matmul_forward(&(ft_matmul){.type = m->type,
                                        .out_type = m->type,
                                        .m = tokens,
                                        .n = l->out,
                                        .k = l->in,
                                        .x = x,
                                        .x_stride = x_stride,
                                        .w = w->of[l->weight],
                                        .bias = w->of[l->bias],
                                        .out = y,
                                        .out_stride = y_stride});
}

ft_err ft_linear_backward(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                          const layer_activations *a, const void *dy, int64_t stride, void *scaled,
                          linear_gradient *g) {
  *g = (linear_gradient){.map = l, .a = a, .tokens = tokens, .dy = dy, .stride = stride};
  return ft_beside_any(l, w) ? ft_beside_backward(m, w, scaled, g) : FT_OK;
}

ft_err ft_linear_backward_input(ft_model *m, const linear_gradient *g, const unit_weights *w,
                                void *dx, int64_t dx_stride, bool accumulate) {
  ft_err err = FT_OK;
  const linear *l = g->map;
  ft_time_enter(FT_TIME_BACKWARD_INPUT);
  FT_TRY(ft_matmul_backward_input(&(ft_matmul){.type = m->type,
                                               .out_type = m->type,
                                               .m = g->tokens,
                                               .n = l->out,
                                               .k = l->in,
                                               .dy = g->dy,
                                               .dy_stride = g->stride,
                                               .w = w->of[l->weight],
                                               .out = dx,
                                               .out_stride = dx_stride,
                                               .accumulate = accumulate}));
  if (ft_beside_any(l, w)) FT_TRY(ft_beside_backward_input(m, g, w, dx, dx_stride));
out:
  return err;
}

ft_err ft_linear_send_weight(ft_model *m, const linear_gradient *g, const void *x,
                             int64_t x_stride) {
  return ft_gradient_send_matrix(m, g->map->weight, g->tokens, g->dy, g->stride, x, x_stride);
}

ft_err ft_linear_send_bias(ft_model *m, const linear_gradient *g) {
  ft_role bias = g->map->bias;
  if (g->d_bias) return ft_gradient_send_vector(m, bias, g->d_bias);
  return ft_gradient_send_column_sums(m, bias, g->tokens, g->dy, g->stride);
}
