/* Look-ups: from ids to the residual stream, and the gradients of the tables. */
#include <assert.h>

#include "beside.h"
#include "virtual.h"

static const norm_roles embedding_norm = {FT_ROLE_EMBEDDING_NORM, FT_ROLE_EMBEDDING_NORM_BIAS};

/* Gemma has its factor in the type of the weights. */
static float scale_of(const ft_model *m) {
  float scale = m->arch.embedding_scale;
  if (!m->arch.round_embedding_scale || m->type != FT_BF16) return scale;
  return ft_f32_from_bf16(ft_bf16_from_f32(scale));
}

/* transformers takes vectors that stand in the place of embedded tokens, and adds noise, where the
 * module of the tokens' table ends: Gemma multiplies in there, Granite behind it. */
static float scale_behind(const ft_model *m) {
  return m->arch.round_embedding_scale ? 1.0f : scale_of(m);
}

float ft_embedding_scale_inside(const ft_model *m) {
  return m->arch.round_embedding_scale ? scale_of(m) : 1.0f;
}

/* The tables that are added up: tokens or rows of a prompt, then positions and token types where
 * there are any. w NULL: for a gradient, which does not read them. */
static int list_tables(const ft_model *m, const unit_weights *w, const ft_model_batch *batch,
                       ft_embedding *tables, ft_role *roles) {
  const struct {
    bool there;
    ft_role role;
    const uint32_t *ids;
    float scale;
  } all[] = {{true, FT_ROLE_EMBEDDING, batch->tokens, scale_of(m)},
             {m->arch.learned_positions > 0, FT_ROLE_POSITIONS,
              (const uint32_t *)(const void *)batch->positions, 1}, /* they are not negative */
             {m->arch.token_types > 0, FT_ROLE_TOKEN_TYPES, NULL, 1},
             {m->prompt_ids != NULL, (ft_role)FT_ROLE_PROMPT, m->prompt_ids, scale_behind(m)}};
  static_assert(FT_ARRAY_SIZE(all) <= FT_EMBEDDINGS_MOST, "they are added up at once");
  int num = 0;
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++) {
    if (!all[i].there) continue;
    roles[num] = all[i].role;
    tables[num++] = (ft_embedding){
        .table = w ? w->of[all[i].role] : NULL, .ids = all[i].ids, .scale = all[i].scale};
  }
  return num;
}

static void add_noise(const ft_model *m, const ft_model_batch *batch, void *x) {
  ft_noise noise = batch->noise;
  noise.virtual_rows = ft_method_virtual_rows(&m->layout->method);
  ft_add_noise(m->type, x, &noise, scale_behind(m), batch->offsets, batch->num_documents, m->d);
}

ft_err ft_embed(ft_model *m, const unit_weights *w, const ft_model_batch *batch, bool noisy,
                void *result) {
  ft_err err = FT_OK;
  ft_embedding tables[FT_EMBEDDINGS_MOST];
  ft_role roles[FT_EMBEDDINGS_MOST];
  ft_prompt_find(m, batch);
  int num = list_tables(m, w, batch, tables, roles);
  void *sum = m->arch.embedding_norm ? m->embedding_sum : result;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_embeddings_forward(m->type, sum, tables, num, batch->num_tokens, m->d);
  FT_TRY(ft_embedding_add_low_rank(m, w, batch, scale_of(m), sum));
  if (noisy && batch->noise.alpha > 0) add_noise(m, batch, sum);
  if (m->arch.embedding_norm)
    ft_norm_rows(m, &embedding_norm, w, batch->num_tokens, sum, result, m->embedding_stats);
out:
  return err;
}

/* ---------------------------------------------------------------- backward */

/* One table's gradient from m->dx. head: the matrix of a tied head whose part is added, or NULL. */
static ft_err send_table(ft_model *m, const ft_embedding *table, ft_role role,
                         const ft_model_batch *batch, const void *head, const head_rest *rest) {
  ft_err err = FT_OK;
  int tensor = ft_gradient_tensor(m, role);
  bool tokens = role == FT_ROLE_EMBEDDING;
  int64_t num_rows = tensor < 0 ? 0 : m->open->tensors[tensor].rows;
  int64_t padding = tokens ? m->arch.padding_token : -1;
  for (int64_t row = 0, rows; row < num_rows; row += rows) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &rows, &out));
    for (int64_t r = row, n; r < row + rows; r += n) {
      const float *base = NULL;
      n = row + rows - r;
      if (tokens) FT_TRY(ft_head_tied_rows(m, head, rest, r, &n, &base));
      ft_time_enter(FT_TIME_ELEMENTWISE);
      FT_TRY(ft_embeddings_backward(m->type, ft_model_at_mut(m, out, (r - row) * m->d), table,
                                    m->dx, base, r, n, padding, batch->num_tokens, m->d));
    }
  }
out:
  return err;
}

ft_err ft_embedding_unit_backward(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                                  const head_rest *rest) {
  ft_err err = FT_OK;
  ft_embedding tables[FT_EMBEDDINGS_MOST];
  ft_role roles[FT_EMBEDDINGS_MOST];
  int num = list_tables(m, NULL, batch, tables, roles);
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (m->arch.embedding_norm)
    FT_TRY(ft_norm_rows_backward(m, &embedding_norm, w, batch->num_tokens, m->dx16,
                                 m->embedding_sum, m->embedding_stats, m->dx, false, m->dx16));
  for (int i = 0; i < num; i++) {
    FT_TRY(send_table(m, &tables[i], roles[i], batch, w->of[FT_ROLE_EMBEDDING], rest));
    if (roles[i] == FT_ROLE_EMBEDDING)
      FT_TRY(ft_embedding_send_low_rank(m, w, batch, scale_of(m), rest));
  }
out:
  return err;
}
