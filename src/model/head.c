/* The final norm, the output head and the cross-entropy. Only rows with a target take part, in
 * pieces whose logits stay within a bound: [tokens, vocab] never exists whole. A head whose
 * gradient is large is made in pieces of the vocabulary after that (head_pieces.c). */
#include <string.h>

#include "internal.h"

/* Collects rows with a target and their inputs; returns how many. */
static int64_t select_rows(ft_model *m, const ft_model_batch *batch, const void *x) {
  int64_t count = 0;
  size_t row_bytes = (size_t)m->d * ft_dtype_bytes(m->type);
  for (int64_t i = 0; i < batch->num_tokens; i++) {
    if (batch->targets[i] < 0) continue;
    m->target_rows[count] = i;
    m->target_ids[count] = batch->targets[i];
    memcpy(ft_model_at_mut(m, m->head_x, count * m->d), ft_model_at(m, x, i * m->d), row_bytes);
    count++;
  }
  return count;
}

/* Logits, losses and, if asked, dlogits and the gradients that follow of rows first … first+rows-1.
 */
static ft_err loss_piece(ft_model *m, const void *head, int64_t first, int64_t rows, bool backward,
                         double scale) {
  ft_err err = FT_OK;
  int64_t vocab = m->arch.vocab;
  const void *h = ft_model_at(m, m->head_h, first * m->d);
  ft_time_enter(FT_TIME_HEAD);
  FT_TRY(ft_matmul_forward(m->type, FT_F32, rows, vocab, m->d, h, m->d, head, NULL, m->logits,
                           vocab, false));
  ft_time_enter(FT_TIME_LOSS);
  ft_cross_entropy(m->type, rows, vocab, m->logits, m->target_ids + first, (float)scale,
                   m->row_loss, backward ? m->d_logits : NULL);
  if (!backward) goto out;
  ft_time_enter(FT_TIME_HEAD);
  /* branch is free here: [tokens, d] takes the gradient of head_h */
  FT_TRY(ft_matmul_backward_input(m->type, m->type, rows, vocab, m->d, m->d_logits, vocab, head,
                                  ft_model_at_mut(m, m->branch, first * m->d), m->d, false));
  if (m->d_head)
    FT_TRY(ft_matmul_backward_weight(m->type, FT_F32, rows, vocab, m->d, m->d_logits, vocab, h,
                                     m->d, m->d_head, first > 0));
out:
  return err;
}

/* The head matrix' gradient from m->d_head, or from the one piece there was. */
static ft_err send_head(ft_model *m, int64_t rows) {
  ft_err err = FT_OK;
  int tensor = ft_gradient_tensor(m, FT_ROLE_HEAD);
  if (tensor < 0) return FT_OK;
  ft_time_enter(FT_TIME_HEAD);
  for (int64_t row = 0, n; row < m->arch.vocab; row += n) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &n, &out));
    if (rows == 0)
      memset(out, 0, (size_t)(n * m->d) * ft_dtype_bytes(m->type));
    else if (m->d_head)
      ft_convert(m->type, out, FT_F32, m->d_head + row * m->d, n * m->d);
    else
      FT_TRY(ft_matmul_backward_weight(m->type, m->type, rows, n, m->d,
                                       ft_model_at(m, m->d_logits, row), m->arch.vocab, m->head_h,
                                       m->d, out, false));
  }
out:
  return err;
}

/* From the gradient of head_h (in branch) through the final norm to m->dx and m->dx16. */
static ft_err norm_backward(ft_model *m, const ft_model_batch *batch, int64_t rows,
                            const unit_weights *w) {
  ft_err err = FT_OK;
  int64_t d = m->d;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  memset(m->head_dx, 0, (size_t)(rows * d) * sizeof(float));
  memset(m->d_norm, 0, (size_t)d * sizeof(float));
  if (rows > 0)
    ft_rmsnorm_backward(m->type, rows, d, m->branch, m->head_x, m->head_stats,
                        w->of[FT_ROLE_FINAL_NORM], m->head_dx, NULL, m->d_norm);
  memset(m->dx, 0, (size_t)(batch->num_tokens * d) * sizeof(float));
  for (int64_t i = 0; i < rows; i++)
    memcpy(m->dx + m->target_rows[i] * d, m->head_dx + i * d, (size_t)d * sizeof(float));
  ft_convert(m->type, m->dx16, FT_F32, m->dx, batch->num_tokens * d);
  FT_TRY(ft_gradient_send_vector(m, FT_ROLE_FINAL_NORM, m->d_norm));
out:
  return err;
}

ft_err ft_head_loss(ft_model *m, const ft_model_batch *batch, const void *x, const unit_weights *w,
                    const void *head, bool backward, double scale, double *loss, head_rest *rest) {
  ft_err err = FT_OK;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  int64_t rows = select_rows(m, batch, x);
  bool in_pieces = backward && rows > 0 && m->num_vocab_pieces > 0;
  *loss = 0;
  if (rows > 0)
    ft_rmsnorm_forward(m->type, rows, m->d, m->head_x, NULL, NULL, w->of[FT_ROLE_FINAL_NORM],
                       m->arch.norm.eps, m->head_h, m->head_stats);
  for (int64_t first = 0; first < rows; first += m->logit_rows) {
    int64_t n = FT_MIN(m->logit_rows, rows - first);
    FT_TRY(loss_piece(m, head, first, n, backward && !in_pieces, scale));
    if (in_pieces) ft_head_log_sums(m, first, n);
    for (int64_t i = 0; i < n; i++)
      *loss += (double)m->row_loss[i];
  }
  if (backward) {
    *rest = (head_rest){.rows = rows, .scale = scale};
    if (in_pieces)
      FT_TRY(ft_head_pieces_backward(m, head, ft_gradient_tensor(m, FT_ROLE_HEAD), rest));
    else
      FT_TRY(send_head(m, rows));
    FT_TRY(norm_backward(m, batch, rows, w));
  }
out:
  return err;
}

/* ---------------------------------------------------------------- the unit, logits */

ft_err ft_head_acquire(ft_model *m, unit_weights *w, const void **head) {
  ft_err err = FT_OK;
  unit_weights embedding;
  FT_TRY(ft_unit_acquire(m, &m->layout->head, w));
  *head = w->of[FT_ROLE_HEAD];
  if (m->arch.tied) {
    FT_TRY(ft_unit_acquire(m, &m->layout->embedding, &embedding));
    *head = embedding.of[FT_ROLE_EMBEDDING];
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
  size_t row_bytes = (size_t)m->d * ft_dtype_bytes(m->type);
  FT_ASSERT(num_rows <= m->options.max_tokens);
  FT_TRY(ft_head_acquire(m, &w, &head));
  for (int64_t i = 0; i < num_rows; i++)
    memcpy(ft_model_at_mut(m, m->head_x, i * m->d), ft_model_at(m, x, rows[i] * m->d), row_bytes);
  if (num_rows > 0) {
    ft_rmsnorm_forward(m->type, num_rows, m->d, m->head_x, NULL, NULL, w.of[FT_ROLE_FINAL_NORM],
                       m->arch.norm.eps, m->head_h, m->head_stats);
    FT_TRY(ft_matmul_forward(m->type, FT_F32, num_rows, m->arch.vocab, m->d, m->head_h, m->d, head,
                             NULL, logits, m->arch.vocab, false));
  }
  ft_head_release(m);
out:
  return err;
}
