/* Rows that stand before the tokens of a document (FT_NO_TOKEN; their positions number them): those
 * of a prompt, whose vectors are looked up as a token's are, and those of a prefix, whose keys and
 * values stand in each layer in the place of what the layer would compute (Lester et al. 2021, Li
 * and Liang 2021). In a layer they are rows like others, so windows, positions and activation
 * checkpointing hold for them as for tokens, and every document has its own: what it computes does
 * not depend on its neighbours.
 *
 * Nothing is predicted from a row of a prefix and nobody sees what it computes, so its gradient is
 * exactly zero everywhere but in its keys and values. */
#include <string.h>

#include "virtual.h"

ft_err ft_virtual_alloc(ft_model *m, int64_t tokens) {
  ft_err err = FT_OK;
  const ft_method *method = &m->layout->method;
  int64_t prefix = m->options.training ? method->prefix_tokens * 2 * m->kv : 0;
  void *p;
  if (method->prompt_tokens > 0) {
    FT_TRY(ft_model_alloc(m, FT_MEM_WORKSPACE, tokens, sizeof *m->prompt_ids, &p));
    m->prompt_ids = p;
  }
  if (prefix > 0) {
    FT_TRY(ft_model_alloc(m, FT_MEM_WORKSPACE, prefix, sizeof(float), &p));
    m->d_prefix = p;
  }
out:
  return err;
}

void ft_prompt_find(ft_model *m, const ft_model_batch *batch) {
  for (int64_t i = 0; m->prompt_ids && i < batch->num_tokens; i++)
    m->prompt_ids[i] =
        batch->tokens[i] == FT_NO_TOKEN ? (uint32_t)batch->positions[i] : FT_NO_TOKEN;
}

/* Keys of a row, which its values follow. */
static void *keys_of_row(const ft_model *m, void *qkv, int64_t row) {
  return ft_model_at_mut(m, qkv, row * m->qkv + m->q);
}

void ft_prefix_put(ft_model *m, const unit_weights *w, const ft_model_batch *batch, void *qkv) {
  const void *prefix = w->of[FT_ROLE_PREFIX];
  const int64_t width = 2 * m->kv;
  for (int64_t i = 0; prefix && i < batch->num_tokens; i++)
    if (batch->tokens[i] == FT_NO_TOKEN)
      memcpy(keys_of_row(m, qkv, i), ft_model_at(m, prefix, batch->positions[i] * width),
             (size_t)width * ft_dtype_bytes(m->type));
}

/* Rows row … row+num-1 of the gradient: sums over documents in their order. */
static void sum_rows(ft_model *m, const ft_model_batch *batch, int64_t row, int64_t num) {
  const int64_t width = 2 * m->kv;
  memset(m->d_prefix, 0, (size_t)(num * width) * sizeof(float));
  for (int64_t i = 0; i < batch->num_tokens; i++) {
    int64_t at = batch->positions[i] - row;
    if (batch->tokens[i] == FT_NO_TOKEN && at >= 0 && at < num)
      ft_accumulate(m->d_prefix + at * width, m->type, keys_of_row(m, m->d_qkv, i), width);
  }
}

ft_err ft_prefix_backward(ft_model *m, const ft_model_batch *batch) {
  ft_err err = FT_OK;
  const int64_t width = 2 * m->kv;
  int tensor = ft_gradient_tensor(m, (ft_role)FT_ROLE_PREFIX);
  if (m->layout->method.prefix_tokens == 0) return FT_OK;
  int64_t num_rows = tensor < 0 ? 0 : m->open->tensors[tensor].rows;
  for (int64_t row = 0, rows; row < num_rows; row += rows) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &rows, &out));
    sum_rows(m, batch, row, rows);
    ft_convert(m->type, out, FT_F32, m->d_prefix, rows * width);
  }
  /* the projections have no part in them */
  for (int64_t i = 0; i < batch->num_tokens; i++)
    if (batch->tokens[i] == FT_NO_TOKEN)
      memset(keys_of_row(m, m->d_qkv, i), 0, (size_t)width * ft_dtype_bytes(m->type));
out:
  return err;
}
