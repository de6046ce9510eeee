/* The output head and the loss of its rows. Only rows with something to predict take part, in
 * pieces whose logits stay within a bound: [T, V] never exists whole. A head whose gradient is
 * large is made in pieces of the vocabulary after that (head_pieces.c). */
#include <string.h>

#include "beside.h"

ft_err ft_head_make_logits(ft_model *m, const unit_weights *w, const void *head, int64_t first,
                           int64_t rows, float *logits) {
  ft_err err = FT_OK;
  ft_time_enter(FT_TIME_HEAD);
  FT_TRY(ft_matmul_forward(&(ft_matmul){.type = m->type,
                                        .out_type = FT_F32,
                                        .m = rows,
                                        .n = m->columns,
                                        .k = m->d,
                                        .x = ft_model_at(m, m->head_h, first * m->d),
                                        .x_stride = m->d,
                                        .w = head,
                                        .bias = w->of[FT_ROLE_HEAD_BIAS],
                                        .out = logits,
                                        .out_stride = m->columns,
                                        .rows_alone = m->rows_alone}));
  FT_TRY(ft_head_add_low_rank(m, w, first, rows, logits));
out:
  return err;
}

/* The largest of each row's logits. */
static void predict(ft_model *m, int64_t first, int64_t rows) {
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float *z = m->logits + r * m->columns;
    int64_t best = 0;
    for (int64_t c = 1; c < m->columns; c++)
      if (z[c] > z[best]) best = c;
    m->predicted[first + r] = (int32_t)best;
  }
}

/* The sums of d_logits' columns, over pieces of rows. */
static void add_bias_gradient(ft_model *m, int64_t rows, bool add) {
  float *sums = add ? m->d_head_bias_piece : m->d_head_bias;
  ft_bias_backward(m->type, FT_F32, rows, m->columns, m->d_logits, m->columns, sums);
  if (add) ft_accumulate(m->d_head_bias, FT_F32, m->d_head_bias_piece, m->columns);
}

ft_err ft_head_rows_backward(ft_model *m, const unit_weights *w, const void *head, int64_t first,
                             int64_t rows, bool add) {
  ft_err err = FT_OK;
  ft_time_enter(FT_TIME_HEAD);
  FT_TRY(ft_matmul_backward_input(&(ft_matmul){.type = m->type,
                                               .out_type = m->type,
                                               .m = rows,
                                               .n = m->columns,
                                               .k = m->d,
                                               .dy = m->d_logits,
                                               .dy_stride = m->columns,
                                               .w = head,
                                               .out = ft_model_at_mut(m, m->branch, first * m->d),
                                               .out_stride = m->d}));
  if (m->d_head)
    FT_TRY(ft_matmul_backward_weight(&(ft_matmul){.type = m->type,
                                                  .out_type = FT_F32,
                                                  .m = rows,
                                                  .n = m->columns,
                                                  .k = m->d,
                                                  .dy = m->d_logits,
                                                  .dy_stride = m->columns,
                                                  .x = ft_model_at(m, m->head_h, first * m->d),
                                                  .x_stride = m->d,
                                                  .out = m->d_head,
                                                  .accumulate = add}));
  if (m->d_head_bias) add_bias_gradient(m, rows, add);
  FT_TRY(ft_head_low_rank_rows_backward(m, w, first, rows, add));
out:
  return err;
}

/* Logits and losses of rows first … first+rows-1 and, if asked, what their gradients give. */
static ft_err loss_piece(ft_model *m, const unit_weights *w, const void *head, int64_t first,
                         int64_t rows, bool backward, const ft_loss *row_loss) {
  ft_err err = FT_OK;
  bool plain = !(row_loss->label_smoothing > 0) && !(row_loss->z_loss > 0);
  ft_loss loss = *row_loss;
  const ft_loss_out out = {.nll = plain ? m->row_loss : NULL,
                           .loss = plain ? NULL : m->row_loss,
                           .dlogits = backward ? m->d_logits : NULL};
  loss.logits = ft_head_logits_form(m);
  FT_TRY(ft_head_make_logits(m, w, head, first, rows, m->logits));
  ft_time_enter(FT_TIME_LOSS);
  if (m->predicts) predict(m, first, rows);
  ft_loss_rows(&loss, m->type, &out, m->logits, m->target_ids + first, NULL, rows, m->columns);
  if (backward) FT_TRY(ft_head_rows_backward(m, w, head, first, rows, first > 0));
out:
  return err;
}

/* The head matrix' gradient from m->d_head, or from the one piece there was. */
static ft_err send_head(ft_model *m, int64_t rows) {
  ft_err err = FT_OK;
  int tensor = ft_gradient_tensor(m, FT_ROLE_HEAD);
  if (tensor < 0) return FT_OK;
  ft_time_enter(FT_TIME_HEAD);
  if (rows == 0) return ft_gradient_send_zeros(m, FT_ROLE_HEAD);
  if (m->d_head) return ft_gradient_send_f32(m, FT_ROLE_HEAD, m->d_head);
  for (int64_t row = 0, n; row < m->columns; row += n) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &n, &out));
    FT_TRY(ft_matmul_backward_weight(&(ft_matmul){.type = m->type,
                                                  .out_type = m->type,
                                                  .m = rows,
                                                  .n = n,
                                                  .k = m->d,
                                                  .dy = ft_model_at(m, m->d_logits, row),
                                                  .dy_stride = m->columns,
                                                  .x = m->head_h,
                                                  .x_stride = m->d,
                                                  .out = out}));
  }
out:
  return err;
}

static ft_err send_bias(ft_model *m, int64_t rows) {
  if (rows == 0) return ft_gradient_send_zeros(m, FT_ROLE_HEAD_BIAS);
  return ft_gradient_send_vector(m, FT_ROLE_HEAD_BIAS, m->d_head_bias);
}

ft_err ft_head_send(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                    const void *head, const head_rest *rest) {
  ft_err err = FT_OK;
  if (rest->rows > 0 && m->num_vocab_pieces > 0)
    FT_TRY(ft_head_pieces_backward(m, head, ft_gradient_tensor(m, FT_ROLE_HEAD), rest));
  else
    FT_TRY(send_head(m, rest->rows));
  FT_TRY(send_bias(m, rest->rows));
  FT_TRY(ft_head_low_rank_backward(m, w, rest->rows));
  FT_TRY(ft_head_input_backward(m, batch, w, rest->rows));
out:
  return err;
}

ft_err ft_head_loss(ft_model *m, const ft_model_batch *batch, const void *x, const unit_weights *w,
                    const void *head, bool backward, const ft_loss *row_loss, double *loss,
                    head_rest *rest) {
  ft_err err = FT_OK;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  int64_t rows = ft_head_select(m, batch, x);
  bool in_pieces = backward && rows > 0 && m->num_vocab_pieces > 0;
  *loss = 0;
  m->num_rows = rows;
  FT_TRY(ft_head_input(m, batch, w, rows));
  for (int64_t first = 0; first < rows; first += m->logit_rows) {
    int64_t n = FT_MIN(m->logit_rows, rows - first);
    FT_TRY(loss_piece(m, w, head, first, n, backward && !in_pieces, row_loss));
    if (in_pieces) ft_head_log_sums(m, first, n);
    for (int64_t i = 0; i < n; i++)
      *loss += (double)m->row_loss[i];
  }
  if (!backward) goto out;
  *rest = (head_rest){.rows = rows, .loss = *row_loss};
  FT_TRY(ft_head_send(m, batch, w, head, rest));
out:
  return err;
}

/* ---------------------------------------------------------------- the unit, logits */

/* What stands beside the embedding stands beside the head, too. */
static void lend_parts(const unit_weights *embedding, unit_weights *head) {
  for (int kind = 0; kind < FT_PART_NUM; kind++) {
    ft_role role = ft_role_part(FT_ROLE_EMBEDDING, (ft_part_kind)kind);
    head->of[role] = embedding->of[role];
    head->shape[role] = embedding->shape[role];
  }
}

ft_err ft_head_acquire(ft_model *m, unit_weights *w, const void **head) {
  ft_err err = FT_OK;
  unit_weights embedding;
  FT_TRY(ft_unit_acquire(m, &m->layout->head, w));
  *head = w->of[FT_ROLE_HEAD];
  if (m->arch.tied) {
    FT_TRY(ft_unit_acquire(m, &m->layout->embedding, &embedding));
    *head = embedding.of[FT_ROLE_EMBEDDING];
    if (m->layout->method.both_ends) lend_parts(&embedding, w);
  }
out:
  return err;
}

void ft_head_release(ft_model *m) {
  if (m->arch.tied) ft_unit_release(m, &m->layout->embedding);
  ft_unit_release(m, &m->layout->head);
}

ft_err ft_head_logits(ft_model *m, const void *x, const int64_t *rows, int64_t num_rows,
                      float *logits) {
  ft_err err = FT_OK;
  unit_weights w;
  const void *head;
  const ft_logits form = ft_head_logits_form(m);
  size_t row_bytes = (size_t)m->d * ft_dtype_bytes(m->type);
  FT_ASSERT(num_rows <= m->options.max_tokens);
  FT_TRY(ft_head_acquire(m, &w, &head));
  for (int64_t i = 0; i < num_rows; i++)
    memcpy(ft_model_at_mut(m, m->head_x, i * m->d), ft_model_at(m, x, rows[i] * m->d), row_bytes);
  FT_TRY(ft_head_input(m, NULL, &w, num_rows));
  if (num_rows > 0) {
    FT_TRY(ft_head_make_logits(m, &w, head, 0, num_rows, logits));
    ft_logits_apply(&form, logits, num_rows, m->columns, m->columns);
  }
  ft_head_release(m);
out:
  return err;
}
