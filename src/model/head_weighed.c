/* The head where a row's weight depends on the values of other rows: on the whole document that it
 * belongs to, and on the other one of a pair. All values come first, then weights, then gradients.
 * The logits of the last piece of rows are still there then; those of others, which lie beyond what
 * logits may take, are made again. */
#include "internal.h"

static bool has_scores(const ft_model *m) {
  return m->arch.head == FT_HEAD_LABELS;
}

/* Where the last piece of rows begins. */
static int64_t last_piece(const ft_model *m, int64_t rows) {
  return rows > 0 ? (rows - 1) / m->logit_rows * m->logit_rows : 0;
}

/* Values of rows first … first+rows-1, from their logits, which become z. */
static void take_values(ft_model *m, int64_t first, int64_t rows) {
  const ft_loss plain = {.logits = ft_head_logits_form(m)};
  float *values = m->row_values + first;
  const ft_loss_out out = {.nll = values};
  ft_time_enter(FT_TIME_LOSS);
  if (!has_scores(m))
    ft_loss_rows(&plain, m->type, &out, m->logits, m->target_ids + first, NULL, rows, m->columns);
  for (int64_t r = 0; r < rows; r++)
    values[r] = has_scores(m) ? m->logits[r] : -values[r];
}

ft_err ft_head_values(ft_model *m, const ft_model_batch *batch, const void *x,
                      const unit_weights *w, const void *head, bool backward) {
  ft_err err = FT_OK;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  int64_t rows = ft_head_select(m, batch, x);
  FT_ASSERT(!has_scores(m) || m->columns == 1);
  m->num_rows = rows;
  FT_TRY(ft_head_input(m, batch, w, rows));
  for (int64_t first = 0; first < rows; first += m->logit_rows) {
    int64_t n = FT_MIN(m->logit_rows, rows - first);
    FT_TRY(ft_head_make_logits(m, w, head, first, n, m->logits));
    take_values(m, first, n);
    if (backward && m->num_vocab_pieces > 0) ft_head_log_sums(m, first, n);
  }
out:
  return err;
}

/* m->d_logits of rows first …; applied: m->logits has their z already. */
static void differentiate(ft_model *m, int64_t first, int64_t rows, bool applied) {
  const ft_loss loss = {.logits = ft_head_logits_form(m), .applied = applied};
  const ft_loss_out out = {.dlogits = m->d_logits};
  const float *weights = m->row_weights + first;
  ft_time_enter(FT_TIME_LOSS);
  if (has_scores(m))
    ft_convert(m->type, m->d_logits, FT_F32, weights, rows);
  else
    ft_loss_rows(&loss, m->type, &out, m->logits, m->target_ids + first, weights, rows, m->columns);
}

ft_err ft_head_weighed(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                       const void *head, head_rest *rest) {
  ft_err err = FT_OK;
  int64_t rows = m->num_rows, last = last_piece(m, rows);
  for (int64_t r = 0; r < rows && !has_scores(m); r++)
    m->row_weights[r] = -m->row_weights[r]; /* of −log p */
  *rest = (head_rest){.rows = rows, .weights = m->row_weights};
  for (int64_t first = last; first >= 0 && rows > 0 && m->num_vocab_pieces == 0;
       first -= m->logit_rows) {
    int64_t n = FT_MIN(m->logit_rows, rows - first);
    if (first < last) FT_TRY(ft_head_make_logits(m, w, head, first, n, m->logits));
    differentiate(m, first, n, first == last);
    FT_TRY(ft_head_rows_backward(m, w, head, first, n, first < last));
  }
  FT_TRY(ft_head_send(m, batch, w, head, rest));
out:
  return err;
}
