/* What the head looks at: the rows that have something to predict, through the final norm and the
 * head's transform, if there is one; and the way back to the residual stream.
 *
 *   head_x  selected rows  ->  head_n  final norm  ->  head_p  mean of a document
 *   ->  head_t  dense  ->  head_a  activation  ->  head_h  norm
 *
 * A step that a model does not have is an alias of the one before. Up to head_n there are as many
 * rows as are selected, from head_p on as many as are predicted from: fewer where a mean is taken.
 */
#include <string.h>

#include "beside.h"

static const norm_roles final_norm = {FT_ROLE_FINAL_NORM, FT_ROLE_FINAL_NORM_BIAS};
static const norm_roles transform_norm = {FT_ROLE_HEAD_NORM, FT_ROLE_HEAD_NORM_BIAS};

static linear dense(const ft_model *m) {
  return (linear){.weight = FT_ROLE_HEAD_DENSE,
                  .bias = FT_ROLE_HEAD_DENSE_BIAS,
                  .in = m->d,
                  .out = m->d,
                  .slot = FT_MAP_NONE};
}

/* ---------------------------------------------------------------- rows */

/* Whether a document's label is predicted from the mean of its normed rows. */
static bool takes_mean(const ft_model *m) {
  return m->arch.head == FT_HEAD_LABELS && m->arch.pooling == FT_POOL_MEAN;
}

/* Rows up to head_n for `rows` that are predicted from. */
static int64_t num_selected(const ft_model *m, const ft_model_batch *batch, int64_t rows) {
  return takes_mean(m) ? batch->num_tokens : rows;
}

/* Row `from` of x becomes row `to` of head_x. */
static void select_row(ft_model *m, const void *x, int64_t from, int64_t to) {
  m->target_rows[to] = from;
  memcpy(ft_model_at_mut(m, m->head_x, to * m->d), ft_model_at(m, x, from * m->d),
         (size_t)m->d * ft_dtype_bytes(m->type));
}

static int64_t select_labels(ft_model *m, const ft_model_batch *batch, const void *x) {
  const int64_t *offsets = batch->offsets;
  for (int64_t i = 0; takes_mean(m) && i < batch->num_tokens; i++)
    select_row(m, x, i, i);
  for (int64_t d = 0; d < batch->num_documents; d++) {
    m->target_ids[d] = batch->labels[d];
    if (takes_mean(m)) continue;
    select_row(m, x, m->arch.pooling == FT_POOL_LAST ? offsets[d + 1] - 1 : offsets[d], d);
  }
  return batch->num_documents;
}

static int64_t select_tokens(ft_model *m, const ft_model_batch *batch, const void *x) {
  int64_t count = 0;
  for (int64_t i = 0; i < batch->num_tokens; i++) {
    if (batch->targets[i] < 0) continue;
    m->target_ids[count] = batch->targets[i];
    select_row(m, x, i, count);
    count++;
  }
  return count;
}

int64_t ft_head_select(ft_model *m, const ft_model_batch *batch, const void *x) {
  return m->arch.head == FT_HEAD_LABELS ? select_labels(m, batch, x) : select_tokens(m, batch, x);
}

/* m->dx = m->head_dx where it came from, and zero elsewhere. */
static void scatter(ft_model *m, const ft_model_batch *batch, int64_t selected) {
  int64_t d = m->d;
  memset(m->dx, 0, (size_t)(batch->num_tokens * d) * sizeof(float));
  for (int64_t i = 0; i < selected; i++)
    memcpy(m->dx + m->target_rows[i] * d, m->head_dx + i * d, (size_t)d * sizeof(float));
  ft_convert(m->type, m->dx16, FT_F32, m->dx, batch->num_tokens * d);
}

/* ---------------------------------------------------------------- the mean of a document */

enum { MEAN_COLUMNS = 1024 }; /* that are summed at once */

/* out [D] = mean of rows first … first+count-1 of x. */
static void mean_of_rows(const ft_model *m, const void *x, int64_t first, int64_t count,
                         void *out) {
  float row[MEAN_COLUMNS], sum[MEAN_COLUMNS];
  for (int64_t at = 0; at < m->d; at += MEAN_COLUMNS) {
    int64_t n = FT_MIN(m->d - at, (int64_t)MEAN_COLUMNS);
    memset(sum, 0, sizeof sum);
    for (int64_t r = first; r < first + count; r++) {
      ft_convert(FT_F32, row, m->type, ft_model_at(m, x, r * m->d + at), n);
      for (int64_t i = 0; i < n; i++)
        sum[i] += row[i];
    }
    for (int64_t i = 0; i < n; i++)
      sum[i] /= (float)count;
    ft_convert(m->type, ft_model_at_mut(m, out, at), FT_F32, sum, n);
  }
}

static void mean_forward(ft_model *m, const ft_model_batch *batch) {
  for (int64_t d = 0; d < batch->num_documents; d++) {
    int64_t first = batch->offsets[d], count = batch->offsets[d + 1] - first;
    mean_of_rows(m, m->head_n, first, count, ft_model_at_mut(m, m->head_p, d * m->d));
  }
}

/* From the gradient of head_p to that of head_n, in its place. */
static void mean_backward(ft_model *m, const ft_model_batch *batch, const void *d_pooled) {
  for (int64_t d = 0; d < batch->num_documents; d++) {
    int64_t first = batch->offsets[d], end = batch->offsets[d + 1];
    float share = 1.0f / (float)(end - first);
    for (int64_t r = first; r < end; r++)
      ft_scale(m->type, ft_model_at_mut(m, m->head_n, r * m->d), ft_model_at(m, d_pooled, d * m->d),
               share, m->d);
  }
}

/* ---------------------------------------------------------------- norms and transform */

ft_err ft_head_input(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                     int64_t rows) {
  ft_err err = FT_OK;
  const linear d = dense(m);
  const ft_activation act = {.kind = m->arch.transform.activation};
  if (rows == 0) return FT_OK;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (m->arch.final_norm)
    ft_norm_rows(m, &final_norm, w, num_selected(m, batch, rows), m->head_x, m->head_n,
                 m->head_stats);
  if (takes_mean(m)) mean_forward(m, batch);
  if (m->arch.transform.dense) {
    FT_TRY(ft_linear_forward(m, &d, w, rows, m->head_p, m->head_t, m->d, NULL));
    ft_time_enter(FT_TIME_ELEMENTWISE);
    ft_activation_forward(&act, m->type, m->head_a, m->head_t, rows * m->d);
  }
  if (m->arch.transform.norm)
    ft_norm_rows(m, &transform_norm, w, rows, m->head_a, m->head_h, m->head_transform_stats);
  FT_TRY(ft_head_reduce(m, w, rows));
out:
  return err;
}

/* From m->branch, the gradient of head_h, to *d_pooled, that of head_p; sends the transform's. */
static ft_err transform_backward(ft_model *m, const unit_weights *w, int64_t rows,
                                 const void **d_pooled) {
  ft_err err = FT_OK;
  const linear d = dense(m);
  linear_gradient g;
  const ft_activation act = {.kind = m->arch.transform.activation};
  *d_pooled = m->branch;
  if (m->arch.transform.norm)
    FT_TRY(ft_norm_rows_backward(m, &transform_norm, w, rows, m->branch, m->head_a,
                                 m->head_transform_stats, NULL, false, m->branch));
  if (!m->arch.transform.dense) goto out;
  ft_activation_backward(&act, m->type, m->branch, NULL, NULL, m->branch, m->head_t, rows * m->d);
  FT_TRY(ft_linear_backward(m, &d, w, rows, NULL, m->branch, m->d, NULL, &g));
  FT_TRY(ft_linear_send_weight(m, &g, m->head_p));
  FT_TRY(ft_linear_send_bias(m, &g));
  FT_TRY(ft_linear_backward_input(m, &g, w, m->head_t, false));
  *d_pooled = m->head_t;
out:
  return err;
}

static ft_err final_norm_backward(ft_model *m, const unit_weights *w, int64_t rows,
                                  const void *d_normed) {
  size_t bytes = (size_t)(rows * m->d) * sizeof(float);
  if (!m->arch.final_norm) {
    ft_convert(FT_F32, m->head_dx, m->type, d_normed, rows * m->d);
    return FT_OK;
  }
  memset(m->head_dx, 0, bytes);
  return ft_norm_rows_backward(m, &final_norm, w, rows, d_normed, m->head_x, m->head_stats,
                               m->head_dx, true, NULL);
}

/* Without a row to predict all gradients are zero. */
static ft_err send_nothing(ft_model *m) {
  static const ft_role roles[] = {FT_ROLE_HEAD_NORM,  FT_ROLE_HEAD_NORM_BIAS,
                                  FT_ROLE_HEAD_DENSE, FT_ROLE_HEAD_DENSE_BIAS,
                                  FT_ROLE_FINAL_NORM, FT_ROLE_FINAL_NORM_BIAS};
  ft_err err = FT_OK;
  for (size_t i = 0; i < FT_ARRAY_SIZE(roles); i++)
    FT_TRY(ft_gradient_send_zeros(m, roles[i]));
out:
  return err;
}

ft_err ft_head_input_backward(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                              int64_t rows) {
  ft_err err = FT_OK;
  int64_t selected = num_selected(m, batch, rows);
  const void *d_pooled;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (rows == 0) {
    FT_TRY(send_nothing(m));
  } else {
    FT_TRY(transform_backward(m, w, rows, &d_pooled));
    ft_time_enter(FT_TIME_ELEMENTWISE);
    if (takes_mean(m)) mean_backward(m, batch, d_pooled);
    FT_TRY(final_norm_backward(m, w, selected, takes_mean(m) ? m->head_n : d_pooled));
  }
  scatter(m, batch, selected);
out:
  return err;
}
