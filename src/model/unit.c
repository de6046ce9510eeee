/* What a pass holds at once: the gathered weights of a unit by their roles, and the gradient of its
 * trained block, which leaves for its owners tensor by tensor in flat order. */
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- weights */

ft_err ft_unit_acquire(ft_model *m, const ft_unit *unit, unit_weights *w) {
  ft_err err = FT_OK;
  *w = (unit_weights){.layer = m->layout->blocks[unit->blocks[0]].layer};
  for (int i = 0; i < unit->num_blocks; i++) {
    const ft_block *b = &m->layout->blocks[unit->blocks[i]];
    const void *weights;
    FT_TRY(ft_shard_acquire(m->shard, unit->blocks[i], &weights));
    for (int t = 0; t < b->num_tensors; t++) {
      w->of[b->tensors[t].role] = ft_model_at(m, weights, b->tensors[t].offset);
      w->shape[b->tensors[t].role] = &b->tensors[t];
    }
  }
out:
  return err;
}

void ft_unit_release(ft_model *m, const ft_unit *unit) {
  for (int i = 0; i < unit->num_blocks; i++)
    ft_shard_release(m->shard, unit->blocks[i]);
}

/* ---------------------------------------------------------------- gradients */

bool ft_unit_is_trained(const ft_model *m, const ft_unit *unit) {
  for (int i = 0; i < unit->num_blocks; i++)
    if (m->layout->blocks[unit->blocks[i]].trained) return true;
  return false;
}

bool ft_unit_trains(const ft_model *m, const ft_unit *unit, ft_role role) {
  const ft_tensor *t;
  int64_t block = ft_layout_find(m->layout, unit, role, &t);
  return t && m->layout->blocks[block].trained;
}

ft_err ft_gradient_open(ft_model *m, const ft_unit *unit) {
  m->open = NULL;
  for (int i = 0; i < unit->num_blocks; i++) {
    const ft_block *b = &m->layout->blocks[unit->blocks[i]];
    if (!b->trained) continue;
    m->open = b;
    return ft_shard_gradient_open(m->shard, unit->blocks[i]);
  }
  return FT_OK;
}

ft_err ft_gradient_close(ft_model *m) {
  bool open = m->open != NULL;
  m->open = NULL;
  return open ? ft_shard_gradient_close(m->shard) : FT_OK;
}

int ft_gradient_tensor(const ft_model *m, ft_role role) {
  const ft_tensor *t = m->open ? ft_block_tensor(m->open, role) : NULL;
  return t ? (int)(t - m->open->tensors) : -1;
}

/* Room [*length] for the gradient of a vector; *out is NULL where it is not sent. */
static ft_err lend_vector(ft_model *m, ft_role role, int64_t *length, void **out) {
  int tensor = ft_gradient_tensor(m, role);
  int64_t rows;
  *out = NULL;
  if (tensor < 0) return FT_OK;
  *length = m->open->tensors[tensor].cols;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  return ft_shard_gradient_rows(m->shard, tensor, 0, &rows, out);
}

ft_err ft_gradient_send_vector(ft_model *m, ft_role role, const float *gradient) {
  int64_t length;
  void *out;
  ft_err err = lend_vector(m, role, &length, &out);
  if (err == FT_OK && out) ft_convert(m->type, out, FT_F32, gradient, length);
  return err;
}

ft_err ft_gradient_send_zeros(ft_model *m, ft_role role) {
  ft_err err = FT_OK;
  int tensor = ft_gradient_tensor(m, role);
  if (tensor < 0) return FT_OK;
  const ft_tensor *t = &m->open->tensors[tensor];
  for (int64_t row = 0, rows; row < t->rows; row += rows) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &rows, &out));
    memset(out, 0, (size_t)(rows * t->cols) * ft_dtype_bytes(m->type));
  }
out:
  return err;
}

ft_err ft_gradient_send_f32(ft_model *m, ft_role role, const float *gradient) {
  ft_err err = FT_OK;
  int tensor = ft_gradient_tensor(m, role);
  if (tensor < 0) return FT_OK;
  const ft_tensor *t = &m->open->tensors[tensor];
  for (int64_t row = 0, rows; row < t->rows; row += rows) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &rows, &out));
    ft_convert(m->type, out, FT_F32, gradient + row * t->cols, rows * t->cols);
  }
out:
  return err;
}

ft_err ft_gradient_send_matrix(ft_model *m, ft_role role, int64_t tokens, const void *dy,
                               int64_t dy_stride, const void *x, int64_t x_stride) {
  ft_err err = FT_OK;
  int tensor = ft_gradient_tensor(m, role);
  if (tensor < 0) return FT_OK;
  const ft_tensor *t = &m->open->tensors[tensor];
  ft_time_enter(FT_TIME_BACKWARD_WEIGHT);
  for (int64_t row = 0, rows; row < t->rows; row += rows) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &rows, &out));
    FT_TRY(ft_matmul_backward_weight(&(ft_matmul){.type = m->type,
                                                  .out_type = m->type,
                                                  .m = tokens,
                                                  .n = rows,
                                                  .k = t->cols,
                                                  .dy = ft_model_at(m, dy, row),
                                                  .dy_stride = dy_stride,
                                                  .x = x,
                                                  .x_stride = x_stride,
                                                  .out = out}));
  }
out:
  return err;
}

ft_err ft_gradient_send_column_sums(ft_model *m, ft_role role, int64_t tokens, const void *dy,
                                    int64_t dy_stride) {
  int64_t length;
  void *out;
  ft_err err = lend_vector(m, role, &length, &out);
  if (err == FT_OK && out) ft_bias_backward(m->type, m->type, tokens, length, dy, dy_stride, out);
  return err;
}
