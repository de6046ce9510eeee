/* Low-rank parts beside the two ends of a model (arch_method.h):
 *
 *   the embedding   x = E[t] + s · B A[t]            A [V, r], B [D, r]
 *   the head        z = W h + s · B (A h)            A [r, D], B [V, r]
 *
 * Where one part stands for both ends of a tied matrix (ft_method.both_ends), the head has E + s ·
 * A Bᵀ: it goes down by the embedding's B and up by its A, and the gradients of both uses are added
 * in f32 before they are sent. */
#include "beside.h"

/* ---------------------------------------------------------------- room */

ft_err ft_ends_alloc(ft_model *m, int64_t tokens) {
  const size_t e = ft_dtype_bytes(m->type), f32 = sizeof(float);
  bool training = m->options.training, both = m->layout->method.both_ends;
  int64_t look_up = m->needs[FT_MAP_EMBEDDING].rank;
  int64_t head = both ? look_up : m->needs[FT_MAP_HEAD].rank;
  const ft_model_buffer buffers[] = {
      {&m->embedding_reduced, tokens * look_up, e},
      {&m->d_embedding_reduced, training * tokens * look_up, f32},
      {&m->head_reduced, tokens * head, e},
      {&m->d_head_reduced, training * tokens * head, e},
      {&m->d_head_up, training * m->columns * head, f32},
      {&m->d_head_down, both ? training * m->d * head : 0, f32},
  };
  return ft_model_alloc_all(m, FT_MEM_WORKSPACE, buffers, FT_ARRAY_SIZE(buffers));
}

/* ---------------------------------------------------------------- the embedding */

static const ft_role look_up_a =
    (ft_role)(FT_ROLE_PARTS + FT_ROLE_EMBEDDING * FT_PART_NUM + FT_PART_A);
static const ft_role look_up_b =
    (ft_role)(FT_ROLE_PARTS + FT_ROLE_EMBEDDING * FT_PART_NUM + FT_PART_B);

/* A as a table; its rows are scaled as the embedding's are. */
static ft_embedding table_of(const unit_weights *w, const uint32_t *ids, float embedding_scale) {
  return (ft_embedding){
      .table = w->of[look_up_a], .ids = ids, .scale = w->shape[look_up_a]->scale * embedding_scale};
}

ft_err ft_embedding_add_low_rank(ft_model *m, const unit_weights *w, const ft_model_batch *batch,
                                 float embedding_scale, void *sum) {
  if (!w->of[look_up_a]) return FT_OK;
  const ft_embedding table = table_of(w, batch->tokens, embedding_scale);
  int64_t rank = w->shape[look_up_a]->cols;
  ft_embeddings_forward(m->type, m->embedding_reduced, &table, 1, batch->num_tokens, rank);
  return ft_matmul_forward(&(ft_matmul){.type = m->type,
                                        .out_type = m->type,
                                        .m = batch->num_tokens,
                                        .n = m->d,
                                        .k = rank,
                                        .x = m->embedding_reduced,
                                        .x_stride = rank,
                                        .w = w->of[look_up_b],
                                        .out = sum,
                                        .out_stride = m->d,
                                        .accumulate = true,
                                        .rows_alone = m->rows_alone});
}

/* B's, with the head's share where it stands there, too. */
static ft_err send_look_up_b(ft_model *m, int64_t tokens, int64_t rank, bool head_too) {
  ft_err err = FT_OK;
  if (!m->d_head_down)
    return ft_gradient_send_matrix(m, look_up_b, tokens, m->dx16, m->d, m->embedding_reduced, rank);
  FT_TRY(ft_matmul_backward_weight(&(ft_matmul){.type = m->type,
                                                .out_type = FT_F32,
                                                .m = tokens,
                                                .n = m->d,
                                                .k = rank,
                                                .dy = m->dx16,
                                                .dy_stride = m->d,
                                                .x = m->embedding_reduced,
                                                .x_stride = rank,
                                                .out = m->d_head_down,
                                                .accumulate = head_too}));
  FT_TRY(ft_gradient_send_f32(m, look_up_b, m->d_head_down));
out:
  return err;
}

/* A's: rows of tokens, and with the head's share all of them. */
static ft_err send_look_up_a(ft_model *m, const ft_model_batch *batch, const ft_embedding *table,
                             int64_t rank, bool head_too) {
  ft_err err = FT_OK;
  int tensor = ft_gradient_tensor(m, look_up_a);
  for (int64_t row = 0, n; row < m->arch.vocab; row += n) {
    void *out;
    const float *base = head_too ? m->d_head_up + row * rank : NULL;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &n, &out));
    FT_TRY(ft_embeddings_backward(m->type, out, table, m->d_embedding_reduced, base, row, n,
                                  m->arch.padding_token, batch->num_tokens, rank));
  }
out:
  return err;
}

ft_err ft_embedding_send_low_rank(ft_model *m, const unit_weights *w, const ft_model_batch *batch,
                                  float embedding_scale, const head_rest *rest) {
  ft_err err = FT_OK;
  bool head_too = m->layout->method.both_ends && rest->rows > 0;
  if (!w->of[look_up_a]) return FT_OK;
  const ft_embedding table = table_of(w, batch->tokens, embedding_scale);
  int64_t rank = w->shape[look_up_a]->cols;
  ft_time_enter(FT_TIME_BACKWARD_WEIGHT);
  FT_TRY(send_look_up_b(m, batch->num_tokens, rank, head_too));
  FT_TRY(ft_matmul_backward_input(&(ft_matmul){.type = m->type,
                                               .out_type = FT_F32,
                                               .m = batch->num_tokens,
                                               .n = m->d,
                                               .k = rank,
                                               .dy = m->dx16,
                                               .dy_stride = m->d,
                                               .w = w->of[look_up_b],
                                               .out = m->d_embedding_reduced,
                                               .out_stride = rank}));
  FT_TRY(send_look_up_a(m, batch, &table, rank, head_too));
out:
  return err;
}

/* ---------------------------------------------------------------- the head */

/* The way through the low rank: down [r, D], or [D, r] where it is turned, and up [V, r]. */
typedef struct head_part {
  ft_role down_role, up_role;
  const void *down, *up; /* NULL: there is none */
  bool turned;
  int64_t rank;
  float scale;
} head_part;

static head_part head_part_of(const ft_model *m, const unit_weights *w) {
  bool both = m->layout->method.both_ends;
  ft_role a = both ? look_up_a : ft_role_part(FT_ROLE_HEAD, FT_PART_A);
  ft_role b = both ? look_up_b : ft_role_part(FT_ROLE_HEAD, FT_PART_B);
  head_part p = {.down_role = both ? b : a, .up_role = both ? a : b, .turned = both};
  if (!w->of[a]) return p;
  p.down = w->of[p.down_role];
  p.up = w->of[p.up_role];
  p.rank = w->shape[p.up_role]->cols;
  p.scale = w->shape[a]->scale;
  return p;
}

/* Down: out [rows, r] (+)= x [rows, D] · downᵀ; else the way back: out [rows, D] (+)= x [rows, r] ·
 * down. */
static ft_err through_down(ft_model *m, const head_part *p, int64_t rows, bool down, const void *x,
                           void *out, bool accumulate) {
  int64_t from = down ? m->d : p->rank, to = down ? p->rank : m->d;
  ft_matmul product = {.type = m->type,
                       .out_type = m->type,
                       .m = rows,
                       .w = p->down,
                       .out = out,
                       .out_stride = to,
                       .accumulate = accumulate,
                       .rows_alone = m->rows_alone};
  if (down != p->turned) {
    product.n = to, product.k = from;
    product.x = x, product.x_stride = from;
    return ft_matmul_forward(&product);
  }
  product.n = from, product.k = to;
  product.dy = x, product.dy_stride = from;
  return ft_matmul_backward_input(&product);
}

ft_err ft_head_reduce(ft_model *m, const unit_weights *w, int64_t rows) {
  ft_err err = FT_OK;
  const head_part p = head_part_of(m, w);
  if (!p.up || rows == 0) return FT_OK;
  ft_time_enter(FT_TIME_HEAD);
  const void *x = ft_beside_dropped(m, w, FT_MAP_HEAD, m->head_h, rows * m->d);
  FT_TRY(through_down(m, &p, rows, true, x, m->head_reduced, false));
  ft_scale(m->type, m->head_reduced, m->head_reduced, p.scale, rows * p.rank);
out:
  return err;
}

ft_err ft_head_add_low_rank(ft_model *m, const unit_weights *w, int64_t first, int64_t rows,
                            float *logits) {
  const head_part p = head_part_of(m, w);
  if (!p.up) return FT_OK;
  return ft_matmul_forward(&(ft_matmul){.type = m->type,
                                        .out_type = FT_F32,
                                        .m = rows,
                                        .n = m->columns,
                                        .k = p.rank,
                                        .x = ft_model_at(m, m->head_reduced, first * p.rank),
                                        .x_stride = p.rank,
                                        .w = p.up,
                                        .out = logits,
                                        .out_stride = m->columns,
                                        .accumulate = true,
                                        .rows_alone = m->rows_alone});
}

ft_err ft_head_low_rank_rows_backward(ft_model *m, const unit_weights *w, int64_t first,
                                      int64_t rows, bool add) {
  ft_err err = FT_OK;
  const head_part p = head_part_of(m, w);
  if (!p.up) return FT_OK;
  void *d_reduced = ft_model_at_mut(m, m->d_head_reduced, first * p.rank);
  const ft_matmul product = {.type = m->type,
                             .m = rows,
                             .n = m->columns,
                             .k = p.rank,
                             .dy = m->d_logits,
                             .dy_stride = m->columns};
  ft_matmul input = product, weight = product;
  input.out_type = m->type;
  input.w = p.up;
  input.out = d_reduced;
  input.out_stride = p.rank;
  FT_TRY(ft_matmul_backward_input(&input));
  ft_scale(m->type, d_reduced, d_reduced, p.scale, rows * p.rank);
  weight.out_type = FT_F32;
  weight.x = ft_model_at(m, m->head_reduced, first * p.rank);
  weight.x_stride = p.rank;
  weight.out = m->d_head_up;
  weight.accumulate = add;
  FT_TRY(ft_matmul_backward_weight(&weight));
out:
  return err;
}

/* Of what one part for both ends has: kept until the embedding's gradients are sent. */
static ft_err keep_down(ft_model *m, const head_part *p, int64_t rows, const void *x) {
  return ft_matmul_backward_weight(&(ft_matmul){.type = m->type,
                                                .out_type = FT_F32,
                                                .m = rows,
                                                .n = m->d,
                                                .k = p->rank,
                                                .dy = x,
                                                .dy_stride = m->d,
                                                .x = m->d_head_reduced,
                                                .x_stride = p->rank,
                                                .out = m->d_head_down});
}

/* Sends what leaves with the head. */
static ft_err send_part(ft_model *m, const head_part *p, int64_t rows, const void *x) {
  ft_err err = FT_OK;
  FT_TRY(ft_gradient_send_f32(m, p->up_role, m->d_head_up));
  FT_TRY(ft_gradient_send_matrix(m, p->down_role, rows, m->d_head_reduced, p->rank, x, m->d));
out:
  return err;
}

ft_err ft_head_low_rank_backward(ft_model *m, const unit_weights *w, int64_t rows) {
  ft_err err = FT_OK;
  const head_part p = head_part_of(m, w);
  bool drops = m->dropout > 0;
  if (!p.up) return FT_OK;
  if (rows == 0) {
    if (!p.turned) FT_TRY(ft_gradient_send_zeros(m, p.up_role));
    if (!p.turned) FT_TRY(ft_gradient_send_zeros(m, p.down_role));
    goto out;
  }
  ft_time_enter(FT_TIME_HEAD);
  const void *x = ft_beside_dropped(m, w, FT_MAP_HEAD, m->head_h, rows * m->d);
  FT_TRY(p.turned ? keep_down(m, &p, rows, x) : send_part(m, &p, rows, x));
  FT_TRY(
      through_down(m, &p, rows, false, m->d_head_reduced, drops ? m->dropped : m->branch, !drops));
  if (drops) ft_beside_undrop(m, w, FT_MAP_HEAD, m->branch, m->dropped, rows * m->d);
out:
  return err;
}
