/* One linear map y = x · Wᵀ + b with all that can come with it: its bias, where its input and
 * output lie, forward and backward. Gradients of weights are made only where they are trained. */
#include "internal.h"

ft_err ft_linear_forward(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                         const void *x, int64_t x_stride, void *y, int64_t y_stride) {
  ft_time_enter(FT_TIME_FORWARD);
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

ft_err ft_linear_backward_input(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                                const void *dy, int64_t dy_stride, void *dx, int64_t dx_stride,
                                bool accumulate) {
  ft_time_enter(FT_TIME_BACKWARD_INPUT);
  return ft_matmul_backward_input(&(ft_matmul){.type = m->type,
                                               .out_type = m->type,
                                               .m = tokens,
                                               .n = l->out,
                                               .k = l->in,
                                               .dy = dy,
                                               .dy_stride = dy_stride,
                                               .w = w->of[l->weight],
                                               .out = dx,
                                               .out_stride = dx_stride,
                                               .accumulate = accumulate});
}

ft_err ft_linear_send_weight(ft_model *m, const linear *l, int64_t tokens, const void *dy,
                             int64_t dy_stride, const void *x, int64_t x_stride) {
  return ft_gradient_send_matrix(m, l->weight, tokens, dy, dy_stride, x, x_stride);
}

ft_err ft_linear_send_bias(ft_model *m, const linear *l, int64_t tokens, const void *dy,
                           int64_t dy_stride) {
  return ft_gradient_send_column_sums(m, l->bias, tokens, dy, dy_stride);
}
