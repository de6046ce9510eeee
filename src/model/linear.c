/* One linear map y = x · Wᵀ + b with all that can come with it: its bias, where its input and
 * output lie, what a method puts beside it (beside.c), forward and backward. Gradients of weights
 * are made only where they are trained. */
#include "beside.h"

ft_err ft_linear_forward(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                         const void *x, void *y, int64_t y_stride, const layer_activations *a) {
  ft_err err = FT_OK;
  bool with_bias, scales = ft_beside_scales(l, w, &with_bias);
  ft_time_enter(FT_TIME_FORWARD);
  if (!y && scales) { /* the scale's gradient needs its output */
    y = m->scaled;
    y_stride = l->out;
  }
  x = ft_beside_input(m, l, w, tokens, x);
  if (y)
    FT_TRY(ft_matmul_forward(&(ft_matmul){.type = m->type,
                                          .out_type = m->type,
                                          .m = tokens,
                                          .n = l->out,
                                          .k = l->in,
                                          .x = x,
                                          .x_stride = l->in,
                                          .w = w->of[l->weight],
                                          .bias = scales && !with_bias ? NULL : w->of[l->bias],
                                          .out = y,
                                          .out_stride = y_stride,
                                          .rows_alone = m->rows_alone}));
  FT_TRY(ft_beside_add(m, l, w, tokens, x, y, y_stride, a));
  if (scales) FT_TRY(ft_beside_scale(m, l, w, tokens, y, y_stride, a));
out:
  return err;
}

ft_err ft_linear_backward(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                          const layer_activations *a, const void *dy, int64_t stride, void *scaled,
                          linear_gradient *g) {
  *g = (linear_gradient){.map = l, .a = a, .tokens = tokens, .dy = dy, .stride = stride};
  return ft_beside_backward(m, w, scaled, g);
}

ft_err ft_linear_backward_input(ft_model *m, const linear_gradient *g, const unit_weights *w,
                                void *dx, bool accumulate) {
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
                                               .out_stride = l->in,
                                               .accumulate = accumulate}));
  FT_TRY(ft_beside_backward_input(m, g, w, dx));
out:
  return err;
}

ft_err ft_linear_send_weight(ft_model *m, const linear_gradient *g, const void *x) {
  return ft_gradient_send_matrix(m, g->map->weight, g->tokens, g->dy, g->stride, x, g->map->in);
}

ft_err ft_linear_send_bias(ft_model *m, const linear_gradient *g) {
  ft_role bias = g->map->bias;
  if (g->d_bias) return ft_gradient_send_vector(m, bias, g->d_bias);
  return ft_gradient_send_column_sums(m, bias, g->tokens, g->dy, g->stride);
}
