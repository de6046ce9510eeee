/* Look-ups: from ids to the residual stream, and the gradients of the tables. */
#include "internal.h"

void ft_embed(ft_model *m, const unit_weights *w, int64_t tokens, const uint32_t *ids,
              const int32_t *positions, void *out) {
  (void)positions;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_embedding_forward(m->type, tokens, m->d, ids, w->of[FT_ROLE_EMBEDDING], out);
}

ft_err ft_embed_backward(ft_model *m, const ft_model_batch *batch, const void *head,
                         const head_rest *rest) {
  ft_err err = FT_OK;
  int tensor = ft_gradient_tensor(m, FT_ROLE_EMBEDDING);
  for (int64_t row = 0, rows; tensor >= 0 && row < m->arch.vocab; row += rows) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &rows, &out));
    for (int64_t r = row, n; r < row + rows; r += n) {
      const float *base;
      n = row + rows - r;
      FT_TRY(ft_head_tied_rows(m, head, rest, r, &n, &base));
      ft_time_enter(FT_TIME_ELEMENTWISE);
      FT_TRY(ft_embedding_backward(m->type, batch->num_tokens, m->d, batch->tokens, m->dx, r, n,
                                   base, ft_model_at_mut(m, out, (r - row) * m->d)));
    }
  }
out:
  return err;
}
