/* Norms of rows that are D wide, and the sums between the parts of a layer with the norms that
 * stand around them. */
#include "internal.h"

void ft_norm_rows(ft_model *m, const norm_roles *n, const unit_weights *w, int64_t rows,
                  const void *x, void *y, float *stats) {
  const ft_rows shape = ft_rows_whole(rows, m->d);
  ft_norm_forward(&m->arch.norm, m->type, y, stats, x, w->of[n->weight], w->of[n->bias], &shape);
}

ft_err ft_norm_rows_backward(ft_model *m, const norm_roles *n, const unit_weights *w, int64_t rows,
                             const void *dy, const void *x, const float *stats, float *dx,
                             bool accumulate, void *dx16) {
  ft_err err = FT_OK;
  const ft_rows shape = ft_rows_whole(rows, m->d);
  bool weight_too = ft_gradient_tensor(m, n->weight) >= 0;
  bool bias_too = ft_gradient_tensor(m, n->bias) >= 0;
  const ft_norm_gradient out = {.dx = dx,
                                .accumulate = accumulate,
                                .dx16 = dx16,
                                .dw = weight_too ? m->d_norm : NULL,
                                .db = bias_too ? m->d_norm_bias : NULL};
  ft_norm_backward(&m->arch.norm, m->type, &out, dy, x, stats, w->of[n->weight], &shape);
  FT_TRY(ft_gradient_send_vector(m, n->weight, m->d_norm));
  FT_TRY(ft_gradient_send_vector(m, n->bias, m->d_norm_bias));
out:
  return err;
}

/* ---------------------------------------------------------------- joining a branch */

void ft_join(ft_model *m, const junction *j, const unit_weights *w, int64_t tokens, const void *x,
             void *stream) {
  const ft_rows shape = ft_rows_whole(tokens, m->d);
  float scale = m->arch.residual_scale;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (m->arch.norm_places & FT_NORM_AFTER_SUM) {
    ft_add_scaled(m->type, j->kept, x, m->branch, scale, tokens * m->d);
    ft_norm_rows(m, &j->post, w, tokens, j->kept, stream, j->post_stats);
    return;
  }
  if (m->arch.norm_places & FT_NORM_OUTPUT)
    ft_norm_rows(m, &j->post, w, tokens, j->kept, m->branch, j->post_stats);
  if (j->normed)
    ft_norm_sum_forward(&m->arch.norm, m->type, j->normed, stream, j->pre_stats, x, m->branch,
                        scale, w->of[j->pre.weight], w->of[j->pre.bias], &shape);
  else
    ft_add_scaled(m->type, stream, x, m->branch, scale, tokens * m->d);
}

ft_err ft_join_backward(ft_model *m, const junction *j, const unit_weights *w, int64_t tokens,
                        const void **d_branch) {
  ft_err err = FT_OK;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (m->arch.norm_places & FT_NORM_AFTER_SUM)
    FT_TRY(ft_norm_rows_backward(m, &j->post, w, tokens, m->dx16, j->kept, j->post_stats, m->dx,
                                 false, m->dx16));
  *d_branch = m->dx16;
  if (m->arch.residual_scale < 1 || m->arch.residual_scale > 1) {
    ft_scale(m->type, m->branch, m->dx16, m->arch.residual_scale, tokens * m->d);
    *d_branch = m->branch;
  }
  if (m->arch.norm_places & FT_NORM_OUTPUT) {
    FT_TRY(ft_norm_rows_backward(m, &j->post, w, tokens, *d_branch, j->kept, j->post_stats, NULL,
                                 false, m->branch));
    *d_branch = m->branch;
  }
out:
  return err;
}

void ft_add_branch_gradient(ft_model *m, int64_t tokens) {
  const int64_t chunk = 4096, count = tokens * m->d;
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < count; at += chunk) {
    int64_t n = FT_MIN(chunk, count - at);
    ft_accumulate(m->dx + at, m->type, ft_model_at(m, m->branch, at), n);
    ft_convert(m->type, ft_model_at_mut(m, m->dx16, at), FT_F32, m->dx + at, n);
  }
}

ft_err ft_branch_input_backward(ft_model *m, const norm_roles *pre, const unit_weights *w,
                                int64_t tokens, const void *x, const float *stats) {
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (w->of[pre->weight])
    return ft_norm_rows_backward(m, pre, w, tokens, m->branch, x, stats, m->dx, true, m->dx16);
  ft_add_branch_gradient(m, tokens);
  return FT_OK;
}
