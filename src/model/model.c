/* Buffers of a model: what is kept for the backward pass, and scratch. */
#include <string.h>

#include "internal.h"

ft_err ft_model_alloc(ft_model *m, ft_owner owner, int64_t count, size_t size, void **out) {
  ft_err err = FT_OK;
  if (m->num_allocations == m->room_allocations) {
    int64_t room = m->room_allocations * 2 + 64;
    void *list = m->allocations;
    FT_TRY(ft_realloc(FT_MEM_OTHER, (size_t)room * sizeof *m->allocations, &list));
    m->allocations = list;
    m->room_allocations = room;
  }
  FT_TRY(ft_alloc_array(owner, count, size, out));
  m->allocations[m->num_allocations++] = *out;
out:
  return err;
}

/* One buffer: where its pointer goes, how many elements, of what size. */
typedef struct buffer {
  void *pointer; /* a `T **` */
  int64_t count;
  size_t size;
} buffer;

static ft_err alloc_all(ft_model *m, ft_owner owner, const buffer *buffers, size_t num) {
  ft_err err = FT_OK;
  for (size_t i = 0; i < num; i++) {
    void *p = NULL;
    if (buffers[i].count > 0)
      FT_TRY(ft_model_alloc(m, owner, buffers[i].count, buffers[i].size, &p));
    memcpy(buffers[i].pointer, &p, sizeof p);
  }
out:
  return err;
}

ft_err ft_model_alloc_activations(ft_model *m, int64_t t, layer_activations *a) {
  size_t e = ft_dtype_bytes(m->type);
  bool qk = m->arch.qk_norm != FT_QK_NORM_NONE;
  const buffer buffers[] = {
      {&a->attention_input, t * m->d, e},
      {&a->qkv, t * m->qkv, e},
      {&a->qk, qk ? t * m->qkv : 0, e},
      {&a->attended, t * m->q, e},
      {&a->middle, t * m->d, e},
      {&a->mlp_input, t * m->d, e},
      {&a->gate, t * m->f, e},
      {&a->up, t * m->f, e},
      {&a->attention_stats, t, sizeof(float)},
      {&a->mlp_stats, t, sizeof(float)},
      {&a->q_stats, qk ? t * m->arch.heads : 0, sizeof(float)},
      {&a->k_stats, qk ? t * m->arch.kv_heads : 0, sizeof(float)},
      {&a->lse, t * m->arch.heads, sizeof(float)},
  };
  return alloc_all(m, FT_MEM_ACTIVATIONS, buffers, FT_ARRAY_SIZE(buffers));
}

static ft_err alloc_kept(ft_model *m, int64_t t) {
  ft_err err = FT_OK;
  bool training = m->options.training;
  int64_t num_x = training ? m->arch.layers + 1 : 2;
  void *p;
  int64_t every = m->options.activation_checkpointing;
  int64_t num_again = every > 0 ? ft_ceil_div(m->arch.layers, every) : 0;
  m->num_activations = training ? m->arch.layers - num_again + (num_again > 0) : 1;
  FT_TRY(ft_model_alloc(m, FT_MEM_OTHER, num_x, sizeof *m->x, &p));
  m->x = p;
  FT_TRY(ft_model_alloc(m, FT_MEM_OTHER, m->num_activations, sizeof *m->activations, &p));
  m->activations = p;
  for (int64_t i = 0; i < num_x; i++)
    FT_TRY(ft_model_alloc(m, FT_MEM_ACTIVATIONS, t * m->d, ft_dtype_bytes(m->type), &m->x[i]));
  for (int64_t i = 0; i < m->num_activations; i++)
    FT_TRY(ft_model_alloc_activations(m, t, &m->activations[i]));
out:
  return err;
}

static ft_err alloc_scratch(ft_model *m, int64_t t) {
  size_t e = ft_dtype_bytes(m->type), f32 = sizeof(float);
  int64_t training = m->options.training, d = m->d, pieces = m->num_vocab_pieces;
  const buffer buffers[] = {
      {&m->branch, t * d, e},
      {&m->wide, t * m->f, e},
      {&m->d_qkv, training * t * m->qkv, e},
      {&m->d_attended, training * t * m->q, e},
      {&m->dx, training * t * d, f32},
      {&m->dx16, training * t * d, e},
      {&m->d_norm, FT_MAX(d, m->arch.head_dim), f32},
      {&m->inv_freq, m->arch.head_dim / 2, f32},
      {&m->target_rows, t, sizeof(int64_t)},
      {&m->target_ids, t, sizeof(int32_t)},
      {&m->head_x, t * d, e},
      {&m->head_h, t * d, e},
      {&m->head_stats, t, f32},
      {&m->head_dx, training * t * d, f32},
      {&m->row_loss, pieces > 0 ? t : m->logit_rows, f32},
      {&m->logits, m->num_logits, f32},
      {&m->d_logits, m->type == FT_F32 ? 0 : m->num_d_logits, e},
      {&m->d_head, m->d_head_rows * d, f32},
      {&m->log_sums, pieces * t, sizeof(double)},
      {&m->piece_ids, pieces > 0 ? t : 0, sizeof(int32_t)},
  };
  ft_err err = alloc_all(m, FT_MEM_WORKSPACE, buffers, FT_ARRAY_SIZE(buffers));
  if (m->type == FT_F32)
    m->d_logits = m->logits; /* each row is consumed before it is overwritten */
  return err;
}

ft_err ft_model_new(ft_shard *shard, const ft_model_options *options, ft_model **out) {
  ft_err err = FT_OK;
  const ft_layout *layout = ft_shard_layout(shard);
  const ft_arch *arch = &layout->arch;
  void *p;
  ft_model *m = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *m, &p));
  m = p;
  m->arch = *arch;
  m->layout = layout;
  m->shard = shard;
  m->options = *options;
  m->type = options->compute;
  m->d = arch->hidden;
  m->f = arch->ffn;
  m->q = arch->heads * arch->head_dim;
  m->kv = arch->kv_heads * arch->head_dim;
  m->qkv = m->q + 2 * m->kv;
  ft_model_find_trained(m);
  FT_TRY(ft_head_plan(m));
  FT_TRY(ft_model_make_orders(m));
  FT_TRY(alloc_kept(m, options->max_tokens));
  FT_TRY(alloc_scratch(m, options->max_tokens));
  ft_model_inverse_frequencies(&arch->ropes[0], m->inv_freq);
  *out = m;
  m = NULL;
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
