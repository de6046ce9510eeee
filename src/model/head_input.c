/* What the head looks at: the rows that have something to predict, through the final norm and the
 * head's transform, if there is one; and the way back to the residual stream.
 *
 *   head_x  selected rows  ->  head_n  final norm  ->  head_t  dense  ->  head_a  activation
 *   ->  head_h  norm
 *
 * A step that a model does not have is an alias of the one before. */
#include <string.h>

#include "internal.h"

static const norm_roles final_norm = {FT_ROLE_FINAL_NORM, FT_ROLE_FINAL_NORM_BIAS};
static const norm_roles transform_norm = {FT_ROLE_HEAD_NORM, FT_ROLE_HEAD_NORM_BIAS};

static linear dense(const ft_model *m) {
  return (linear){FT_ROLE_HEAD_DENSE, FT_ROLE_HEAD_DENSE_BIAS, m->d, m->d};
}

/* ---------------------------------------------------------------- rows */

/* Rows of a batch that a document's label is predicted from: first … first+count-1. */
static void pooled_rows(const ft_model *m, const ft_model_batch *batch, int64_t document,
                        int64_t *first, int64_t *count) {
  int64_t begin = batch->offsets[document], end = batch->offsets[document + 1];
  *first = m->arch.pooling == FT_POOL_LAST ? end - 1 : begin;
  *count = m->arch.pooling == FT_POOL_MEAN ? end - begin : 1;
}

/* out [D] = mean of rows first … of x. */
static void mean_of_rows(const ft_model *m, const void *x, int64_t first, int64_t count,
                         void *out) {
  float row[1024], sum[1024];
  for (int64_t at = 0; at < m->d; at += 1024) {
    int64_t n = FT_MIN(m->d - at, (int64_t)1024);
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

static int64_t select_labels(ft_model *m, const ft_model_batch *batch, const void *x) {
  for (int64_t d = 0; d < batch->num_documents; d++) {
    int64_t first, count;
    pooled_rows(m, batch, d, &first, &count);
    m->target_rows[d] = d;
    m->target_ids[d] = batch->labels[d];
    mean_of_rows(m, x, first, count, ft_model_at_mut(m, m->head_x, d * m->d));
  }
  return batch->num_documents;
}

static int64_t select_tokens(ft_model *m, const ft_model_batch *batch, const void *x) {
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

int64_t ft_head_select(ft_model *m, const ft_model_batch *batch, const void *x) {
  return m->arch.head == FT_HEAD_LABELS ? select_labels(m, batch, x) : select_tokens(m, batch, x);
}

/* m->dx = m->head_dx where it came from, and zero elsewhere. */
static void scatter(ft_model *m, const ft_model_batch *batch, int64_t rows) {
  int64_t d = m->d;
  memset(m->dx, 0, (size_t)(batch->num_tokens * d) * sizeof(float));
  for (int64_t i = 0; i < rows; i++) {
    int64_t first = m->target_rows[i], count = 1;
    if (m->arch.head == FT_HEAD_LABELS) pooled_rows(m, batch, i, &first, &count);
    const float *from = m->head_dx + i * d;
    for (int64_t r = first; r < first + count; r++)
      for (int64_t k = 0; k < d; k++)
        m->dx[r * d + k] = from[k] / (float)count;
  }
  ft_convert(m->type, m->dx16, FT_F32, m->dx, batch->num_tokens * d);
}

/* ---------------------------------------------------------------- norms and transform */

ft_err ft_head_input(ft_model *m, const unit_weights *w, int64_t rows) {
  ft_err err = FT_OK;
  const linear d = dense(m);
  const ft_activation act = {.kind = m->arch.transform.activation};
  if (rows == 0) return FT_OK;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (m->arch.final_norm)
    ft_norm_rows(m, &final_norm, w, rows, m->head_x, m->head_n, m->head_stats);
  if (m->arch.transform.dense) {
    FT_TRY(ft_linear_forward(m, &d, w, rows, m->head_n, m->d, m->head_t, m->d));
    ft_time_enter(FT_TIME_ELEMENTWISE);
    ft_activation_forward(&act, m->type, m->head_a, m->head_t, rows * m->d);
  }
  if (m->arch.transform.norm)
    ft_norm_rows(m, &transform_norm, w, rows, m->head_a, m->head_h, m->head_transform_stats);
out:
  return err;
}

/* From m->branch, the gradient of head_h, to *d_normed, that of head_n; sends the transform's. */
static ft_err transform_backward(ft_model *m, const unit_weights *w, int64_t rows,
                                 const void **d_normed) {
  ft_err err = FT_OK;
  const linear d = dense(m);
  const ft_activation act = {.kind = m->arch.transform.activation};
  *d_normed = m->branch;
  if (m->arch.transform.norm)
    FT_TRY(ft_norm_rows_backward(m, &transform_norm, w, rows, m->branch, m->head_a,
                                 m->head_transform_stats, NULL, false, m->branch));
  if (!m->arch.transform.dense) goto out;
  ft_activation_backward(&act, m->type, m->branch, NULL, NULL, m->branch, m->head_t, rows * m->d);
  FT_TRY(ft_linear_send_weight(m, &d, rows, m->branch, m->d, m->head_n, m->d));
  FT_TRY(ft_linear_send_bias(m, &d, rows, m->branch, m->d));
  FT_TRY(ft_linear_backward_input(m, &d, w, rows, m->branch, m->d, m->head_t, m->d, false));
  *d_normed = m->head_t;
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
  const void *d_normed;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (rows == 0) {
    FT_TRY(send_nothing(m));
  } else {
    FT_TRY(transform_backward(m, w, rows, &d_normed));
    ft_time_enter(FT_TIME_ELEMENTWISE);
    FT_TRY(final_norm_backward(m, w, rows, d_normed));
  }
  scatter(m, batch, rows);
out:
  return err;
}
