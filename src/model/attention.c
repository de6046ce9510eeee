/* Attention: the projections to queries, keys and values, their norms, the rotation by position,
 * and the only place where tokens of a document see each other. */
#include "beside.h"
#include "virtual.h"

static linear query(const ft_model *m) {
  return (linear){FT_ROLE_Q, FT_ROLE_Q_BIAS, m->d, m->q, FT_MAP_Q};
}
static linear key(const ft_model *m) {
  return (linear){FT_ROLE_K, FT_ROLE_K_BIAS, m->d, m->kv, FT_MAP_K};
}
static linear value(const ft_model *m) {
  return (linear){FT_ROLE_V, FT_ROLE_V_BIAS, m->d, m->kv, FT_MAP_V};
}
static linear output(const ft_model *m) {
  return (linear){FT_ROLE_O, FT_ROLE_O_BIAS, m->q, m->d, FT_MAP_O};
}

/* Columns of q, k and v inside a row of a joint array. */
static void *keys(const ft_model *m, void *qkv) {
  return ft_model_at_mut(m, qkv, m->q);
}
static void *values(const ft_model *m, void *qkv) {
  return ft_model_at_mut(m, qkv, m->q + m->kv);
}

/* What attention reads and gives of one layer. */
static ft_attention_in attention_in(const ft_model *m, const layer_activations *a) {
  return (ft_attention_in){.q = a->qkv,
                           .k = keys(m, a->qkv),
                           .v = values(m, a->qkv),
                           .q_stride = m->qkv,
                           .k_stride = m->qkv,
                           .v_stride = m->qkv};
}
static ft_attention_out attention_out(const ft_model *m, const layer_activations *a) {
  return (ft_attention_out){.o = a->attended, .o_stride = m->q, .lse = a->lse};
}

ft_attention ft_layer_attention(const ft_model *m, int64_t layer, int64_t num_documents,
                                const int64_t *offsets) {
  const ft_arch *arch = &m->arch;
  int64_t window = ft_arch_layer(arch, layer)->window;
  float depth = arch->scale_by_layer ? (float)(layer + 1) : 1;
  return (ft_attention){.type = m->type,
                        .heads = arch->heads,
                        .kv_heads = arch->kv_heads,
                        .head_dim = arch->head_dim,
                        .window = window,
                        .ahead = !arch->two_way ? 0
                                 : window > 0   ? window - 1
                                                : FT_ATTENTION_WHOLE,
                        .scale = arch->attention_scale / depth,
                        .soft_cap = arch->attention_softcap,
                        .num_documents = num_documents,
                        .offsets = offsets};
}

/* ---------------------------------------------------------------- norms of q and k */

/* What one weight norms: each head, or all of them together. */
static ft_rows normed_shape(const ft_model *m, int64_t tokens, int64_t heads) {
  ft_rows shape = {.rows = tokens, .heads = heads, .width = m->arch.head_dim, .stride = m->qkv};
  if (m->arch.qk_norm == FT_QK_NORM_WHOLE) {
    shape.width *= heads;
    shape.heads = 1;
  }
  return shape;
}

/* From a->qk to a->qkv. */
static void norm_heads(ft_model *m, const unit_weights *w, int64_t tokens, layer_activations *a) {
  const ft_norm *norm = &m->arch.norm;
  const ft_rows q = normed_shape(m, tokens, m->arch.heads);
  const ft_rows k = normed_shape(m, tokens, m->arch.kv_heads);
  ft_norm_forward(norm, m->type, a->qkv, a->q_stats, a->qk, w->of[FT_ROLE_Q_NORM], NULL, &q);
  ft_norm_forward(norm, m->type, keys(m, a->qkv), a->k_stats, keys(m, a->qk), w->of[FT_ROLE_K_NORM],
                  NULL, &k);
}

/* In place on m->d_qkv; the gradients of the weights leave later, after those of the maps. */
static void norm_heads_backward(ft_model *m, const unit_weights *w, int64_t tokens,
                                layer_activations *a) {
  const ft_norm *norm = &m->arch.norm;
  const ft_rows q = normed_shape(m, tokens, m->arch.heads);
  const ft_rows k = normed_shape(m, tokens, m->arch.kv_heads);
  void *dk = keys(m, m->d_qkv);
  const ft_norm_gradient dq_out = {.dx16 = m->d_qkv, .dw = m->d_q_norm};
  const ft_norm_gradient dk_out = {.dx16 = dk, .dw = m->d_k_norm};
  ft_norm_backward(norm, m->type, &dq_out, m->d_qkv, a->qk, a->q_stats, w->of[FT_ROLE_Q_NORM], &q);
  ft_norm_backward(norm, m->type, &dk_out, dk, keys(m, a->qk), a->k_stats, w->of[FT_ROLE_K_NORM],
                   &k);
}

/* ---------------------------------------------------------------- forward */

/* Turns q and k by position; k's columns follow q's. */
static void rotate(ft_model *m, int64_t layer, const ft_model_batch *batch, void *qkv,
                   bool backward) {
  int index = ft_arch_layer(&m->arch, layer)->rope;
  const ft_rows shape = {.rows = batch->num_tokens,
                         .heads = m->arch.heads + m->arch.kv_heads,
                         .width = m->arch.head_dim,
                         .stride = m->qkv};
  if (index < 0) return;
  ft_rope_apply(&m->ropes[index], m->type, qkv, batch->positions, m->rope_table, m->arch.heads,
                &shape, backward);
}

ft_err ft_attention_project(ft_model *m, int64_t layer, const unit_weights *w,
                            const ft_model_batch *batch, const void *h, layer_activations *a) {
  ft_err err = FT_OK;
  const linear q = query(m), k = key(m), v = value(m);
  int64_t tokens = batch->num_tokens;
  bool norm_last = m->arch.qk_norm == FT_QK_NORM_HEADS_ROTATED;
  void *raw = a->qk ? a->qk : a->qkv; /* v goes straight to its place */
  FT_TRY(ft_linear_forward(m, &q, w, tokens, h, raw, m->qkv, a));
  FT_TRY(ft_linear_forward(m, &k, w, tokens, h, keys(m, raw), m->qkv, a));
  FT_TRY(ft_linear_forward(m, &v, w, tokens, h, values(m, a->qkv), m->qkv, a));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (norm_last) rotate(m, layer, batch, a->qk, false);
  if (a->qk) norm_heads(m, w, tokens, a);
  if (!norm_last) rotate(m, layer, batch, a->qkv, false);
  ft_prefix_put(m, w, batch, a->qkv);
out:
  return err;
}

ft_err ft_attention_attend(ft_model *m, int64_t layer, const ft_model_batch *batch,
                           layer_activations *a) {
  ft_attention attention = ft_layer_attention(m, layer, batch->num_documents, batch->offsets);
  ft_time_enter(FT_TIME_ATTENTION);
  const ft_attention_in in = attention_in(m, a);
  const ft_attention_out out = attention_out(m, a);
  return ft_attention_forward(&attention, &in, &out);
}

ft_err ft_attention_output(ft_model *m, const unit_weights *w, int64_t tokens, layer_activations *a,
                           void *out) {
  const linear o = output(m);
  return ft_linear_forward(m, &o, w, tokens, a->attended, out, m->d, a);
}

/* ---------------------------------------------------------------- backward */

/* From m->d_attended: gradients of q, k and v, before rotation and norms, into m->d_qkv. */
static ft_err heads_backward(ft_model *m, int64_t layer, const unit_weights *w,
                             const ft_model_batch *batch, layer_activations *a) {
  ft_err err = FT_OK;
  bool norm_last = m->arch.qk_norm == FT_QK_NORM_HEADS_ROTATED;
  ft_attention attention = ft_layer_attention(m, layer, batch->num_documents, batch->offsets);
  ft_time_enter(FT_TIME_ATTENTION);
  const ft_attention_in in = attention_in(m, a);
  const ft_attention_out out = attention_out(m, a);
  const ft_attention_gradient gradient = {
      .d_o = m->d_attended, .dq = m->d_qkv, .dk = keys(m, m->d_qkv), .dv = values(m, m->d_qkv)};
  FT_TRY(ft_attention_backward(&attention, &in, &out, &gradient));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  FT_TRY(ft_prefix_backward(m, batch));
  if (!norm_last) rotate(m, layer, batch, m->d_qkv, true);
  if (a->qk) norm_heads_backward(m, w, batch->num_tokens, a);
  if (norm_last) rotate(m, layer, batch, m->d_qkv, true);
out:
  return err;
}

/* From m->d_qkv, which output scales change in place. */
static ft_err projections_backward(ft_model *m, const unit_weights *w, int64_t tokens,
                                   const layer_activations *a, const linear maps[3],
                                   linear_gradient g[3]) {
  ft_err err = FT_OK;
  void *d[] = {m->d_qkv, keys(m, m->d_qkv), values(m, m->d_qkv)};
  for (int i = 0; i < 3; i++)
    FT_TRY(ft_linear_backward(m, &maps[i], w, tokens, a, d[i], m->qkv, d[i], &g[i]));
out:
  return err;
}

static ft_err send_projections(ft_model *m, const linear_gradient g[3], const unit_weights *w,
                               const void *h) {
  ft_err err = FT_OK;
  for (int i = 0; i < 3; i++)
    FT_TRY(ft_linear_send_weight(m, &g[i], h));
  for (int i = 0; i < 3; i++)
    FT_TRY(ft_linear_send_bias(m, &g[i]));
  FT_TRY(ft_beside_send(m, g, 3, w, h));
  FT_TRY(ft_gradient_send_vector(m, FT_ROLE_Q_NORM, m->d_q_norm));
  FT_TRY(ft_gradient_send_vector(m, FT_ROLE_K_NORM, m->d_k_norm));
out:
  return err;
}

ft_err ft_attention_backward_all(ft_model *m, int64_t layer, const unit_weights *w,
                                 const ft_model_batch *batch, const void *h, layer_activations *a,
                                 const void *d_out, bool input_too) {
  ft_err err = FT_OK;
  const linear o = output(m), maps[] = {query(m), key(m), value(m)};
  linear_gradient g_o, g[3];
  int64_t tokens = batch->num_tokens;
  FT_TRY(ft_linear_backward(m, &o, w, tokens, a, d_out, m->d, m->scaled, &g_o));
  FT_TRY(ft_linear_backward_input(m, &g_o, w, m->d_attended, false));
  FT_TRY(ft_linear_send_weight(m, &g_o, a->attended));
  FT_TRY(ft_linear_send_bias(m, &g_o));
  FT_TRY(ft_beside_send(m, &g_o, 1, w, a->attended));
  FT_TRY(heads_backward(m, layer, w, batch, a));
  FT_TRY(projections_backward(m, w, tokens, a, maps, g));
  FT_TRY(send_projections(m, g, w, h));
  for (int i = 0; input_too && i < 3; i++)
    FT_TRY(ft_linear_backward_input(m, &g[i], w, m->branch, i > 0));
out:
  return err;
}
