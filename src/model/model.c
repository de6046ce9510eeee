/* A model's life, and its scratch (kept.c has what is kept for the backward pass). */
#include <string.h>

#include "beside.h"
#include "bottleneck.h"
#include "virtual.h"

static ft_err alloc_scratch(ft_model *m, int64_t t) {
  const size_t e = ft_dtype_bytes(m->type), f32 = sizeof(float);
  int64_t training = m->options.training, d = m->d;
  const ft_model_buffer buffers[] = {
      {&m->branch, t * d, e},
      {&m->wide, t * m->f, e},
      {&m->d_qkv, training * t * m->qkv, e},
      {&m->d_attended, training * t * m->q, e},
      {&m->dx, training * t * d, f32},
      {&m->dx16, training * t * d, e},
      {&m->d_norm, d, f32},
      {&m->d_norm_bias, m->arch.norm_bias ? d : 0, f32},
      {&m->d_q_norm, m->q, f32},
      {&m->d_k_norm, m->kv, f32},
      {&m->embedding_sum, m->arch.embedding_norm ? t * d : 0, e},
      {&m->embedding_stats, m->arch.embedding_norm ? t : 0, f32},
  };
  return ft_model_alloc_all(m, FT_MEM_WORKSPACE, buffers, FT_ARRAY_SIZE(buffers));
}

static ft_err alloc_head(ft_model *m, int64_t t) {
  const size_t e = ft_dtype_bytes(m->type), f32 = sizeof(float);
  const ft_head_transform *transform = &m->arch.transform;
  int64_t training = m->options.training, d = m->d, pieces = m->num_vocab_pieces;
  int64_t bias = training && m->arch.head_bias ? m->columns : 0;
  const ft_model_buffer buffers[] = {
      {&m->target_rows, t, sizeof(int64_t)},
      {&m->target_ids, t, sizeof(int32_t)},
      {&m->predicted, t, sizeof(int32_t)},
      {&m->head_x, t * d, e},
      {&m->head_n, m->arch.final_norm ? t * d : 0, e},
      {&m->head_p, m->arch.pooling == FT_POOL_MEAN ? t * d : 0, e},
      {&m->head_t, transform->dense ? t * d : 0, e},
      {&m->head_a, transform->dense ? t * d : 0, e},
      {&m->head_h, transform->norm ? t * d : 0, e},
      {&m->head_stats, t, f32},
      {&m->head_transform_stats, transform->norm ? t : 0, f32},
      {&m->head_dx, training * t * d, f32},
      {&m->row_loss, pieces > 0 ? t : m->logit_rows, f32},
      {&m->row_values, m->options.weighed ? t : 0, f32},
      {&m->row_weights, m->options.weighed ? training * t : 0, f32},
      {&m->logits, m->num_logits, f32},
      {&m->d_logits, m->type == FT_F32 ? 0 : m->num_d_logits, e},
      {&m->d_head, m->d_head_rows * d, f32},
      {&m->d_head_bias, bias, f32},
      {&m->d_head_bias_piece, bias, f32},
      {&m->log_sums, pieces * t, sizeof(double)},
      {&m->piece_ids, pieces > 0 ? t : 0, sizeof(int32_t)},
  };
  ft_err err = ft_model_alloc_all(m, FT_MEM_WORKSPACE, buffers, FT_ARRAY_SIZE(buffers));
  if (m->type == FT_F32)
    m->d_logits = m->logits; /* each row is consumed before it is overwritten */
  if (!m->head_n) m->head_n = m->head_x;
  if (!m->head_p) m->head_p = m->head_n;
  if (!m->head_a) m->head_a = m->head_p;
  if (!m->head_h) m->head_h = m->head_a;
  return err;
}

static ft_err alloc_ropes(ft_model *m, int64_t t) {
  ft_err err = FT_OK;
  void *p;
  for (int i = 0; i < m->arch.num_ropes; i++) {
    const ft_rope_form *form = &m->arch.ropes[i];
    int64_t tables = ft_rope_tables(form);
    FT_TRY(ft_model_alloc(m, FT_MEM_WORKSPACE, tables * form->width / 2, sizeof(float), &p));
    if (p) ft_rope_frequencies(form, p);
    m->ropes[i] = (ft_rope){.width = form->width,
                            .neighbours = form->neighbours,
                            .attention_factor = (float)form->attention_factor,
                            .inv_freq = p,
                            .query_beta = (float)form->query_beta,
                            .query_positions = form->original_positions};
    if (tables == 1 || m->rope_table) continue;
    FT_TRY(ft_model_alloc(m, FT_MEM_WORKSPACE, t, sizeof(uint8_t), &p));
    m->rope_table = p;
  }
out:
  return err;
}

/* Everything that a model allocates, or its bytes where m->footprint is set. */
static ft_err make_buffers(ft_model *m, const ft_layout *layout, const ft_model_options *options) {
  ft_err err = FT_OK;
  const ft_arch *arch = &layout->arch;
  m->arch = *arch;
  m->layout = layout;
  m->options = *options;
  m->type = options->compute;
  m->d = arch->hidden;
  m->f = arch->ffn;
  m->q = arch->heads * arch->head_dim;
  m->kv = arch->kv_heads * arch->head_dim;
  m->qkv = m->q + 2 * m->kv;
  ft_model_find_trained(m);
  ft_beside_find(m);
  FT_TRY(ft_head_plan(m));
  FT_TRY(ft_model_make_orders(m));
  FT_TRY(ft_model_alloc_kept(m, options->max_tokens));
  FT_TRY(alloc_scratch(m, options->max_tokens));
  FT_TRY(ft_beside_alloc(m, options->max_tokens));
  FT_TRY(ft_bottleneck_alloc(m, options->max_tokens));
  FT_TRY(ft_virtual_alloc(m, options->max_tokens));
  FT_TRY(alloc_head(m, options->max_tokens));
  FT_TRY(alloc_ropes(m, options->max_tokens));
out:
  return err;
}

ft_err ft_model_new(ft_shard *shard, const ft_model_options *options, ft_model **out) {
  ft_err err = FT_OK;
  void *p;
  ft_model *m = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *m, &p));
  m = p;
  m->shard = shard;
  FT_TRY(make_buffers(m, ft_shard_layout(shard), options));
  if (m->num_vocab_pieces > 0 && ft_comm_rank(ft_shard_comm(shard)) == 0)
    ft_log(FT_LOG_INFO, "the output head's gradient is made in %lld pieces of the vocabulary",
           (long long)m->num_vocab_pieces);
  *out = m;
  m = NULL;
out:
  ft_model_free(m);
  return err;
}

ft_err ft_model_footprint(const ft_layout *layout, const ft_model_options *options,
                          ft_footprint *out) {
  ft_err err = FT_OK;
  void *p;
  ft_model *m = NULL;
  *out = (ft_footprint){0};
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *m, &p));
  m = p;
  m->footprint = out;
  FT_TRY(make_buffers(m, layout, options));
  if (options->training && m->arch.layers > 0) {
    const int64_t whole[] = {0, options->max_tokens};
    const ft_attention attention = ft_layer_attention(m, 0, 1, whole);
    out->rank[FT_MEM_WORKSPACE] += ft_attention_scratch(&attention);
  }
out:
  ft_model_free(m);
  return err;
}

void ft_model_free(ft_model *m) {
  if (!m) return;
  for (int64_t i = 0; i < m->num_allocations; i++)
    ft_free(m->allocations[i]);
  ft_free(m->allocations);
  ft_free(m);
}
