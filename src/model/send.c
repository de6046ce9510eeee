/* Gradients leave for their owners: matrices in row pieces as shard lends room for them. */
#include "internal.h"

static int tensor_index(ft_model *m, int64_t block, ft_role role) {
  const ft_block *b = ft_shard_block(m->shard, block);
  for (int i = 0; i < b->num_tensors; i++)
    if (b->tensors[i].role == role) return i;
  return -1;
}

const void *ft_model_weight(const ft_model *m, int64_t block, const void *weights, ft_role role) {
  const ft_tensor *t = ft_block_tensor(ft_shard_block(m->shard, block), role);
  return t ? ft_model_at(m, weights, t->offset) : NULL;
}

ft_err ft_model_send_vector(ft_model *m, int64_t block, ft_role role, const float *gradient) {
  ft_err err = FT_OK;
  int tensor = tensor_index(m, block, role);
  FT_ASSERT(tensor >= 0);
  int64_t rows, length = ft_shard_block(m->shard, block)->tensors[tensor].cols;
  void *out;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  FT_TRY(ft_shard_gradient_rows(m->shard, tensor, 0, &rows, &out));
  ft_convert(m->type, out, FT_F32, gradient, length);
out:
  return err;
}

ft_err ft_model_send_matrix(ft_model *m, int64_t block, ft_role role, int64_t tokens,
                            const void *dy, int64_t dy_stride, const void *x, int64_t x_stride) {
  ft_err err = FT_OK;
  int tensor = tensor_index(m, block, role);
  FT_ASSERT(tensor >= 0);
  const ft_tensor *t = &ft_shard_block(m->shard, block)->tensors[tensor];
  ft_time_enter(FT_TIME_BACKWARD_WEIGHT);
  for (int64_t row = 0, rows; row < t->rows; row += rows) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &rows, &out));
    FT_TRY(ft_matmul_backward_weight(m->type, m->type, tokens, rows, t->cols,
                                     ft_model_at(m, dy, row), dy_stride, x, x_stride, out, false));
  }
out:
  return err;
}

ft_err ft_model_send_bias(ft_model *m, int64_t block, ft_role role, int64_t tokens, const void *dy,
                          int64_t dy_stride) {
  ft_err err = FT_OK;
  int tensor = tensor_index(m, block, role);
  if (tensor < 0) return FT_OK;
  int64_t rows, length = ft_shard_block(m->shard, block)->tensors[tensor].cols;
  void *out;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  FT_TRY(ft_shard_gradient_rows(m->shard, tensor, 0, &rows, &out));
  ft_bias_backward(m->type, m->type, tokens, length, dy, dy_stride, out);
out:
  return err;
}
