/* Attention: the projections to queries, keys and values, their norms, the rotation by position,
 * and the only place where tokens of a document see each other. */
#include "internal.h"

static linear query(const ft_model *m) {
  return (linear){FT_ROLE_Q, FT_ROLE_Q_BIAS, m->d, m->q};
}
static linear key(const ft_model *m) {
  return (linear){FT_ROLE_K, FT_ROLE_K_BIAS, m->d, m->kv};
}
static linear value(const ft_model *m) {
  return (linear){FT_ROLE_V, FT_ROLE_V_BIAS, m->d, m->kv};
}
static linear output(const ft_model *m) {
  return (linear){FT_ROLE_O, FT_ROLE_O_BIAS, m->q, m->d};
}

/* Columns of q, k and v inside a row of a joint array. */
static void *keys(const ft_model *m, void *qkv) {
  return ft_model_at_mut(m, qkv, m->q);
}
static void *values(const ft_model *m, void *qkv) {
  return ft_model_at_mut(m, qkv, m->q + m->kv);
}

ft_attention ft_layer_attention(const ft_model *m, int64_t layer, int64_t num_documents,
                                const int64_t *offsets) {
  return (ft_attention){.type = m->type,
                        .heads = m->arch.heads,
                        .kv_heads = m->arch.kv_heads,
                        .head_dim = m->arch.head_dim,
                        .window = ft_arch_layer(&m->arch, layer)->window,
                        .num_documents = num_documents,
                        .offsets = offsets};
}

/* ---------------------------------------------------------------- forward */

/* Norms of the heads of q and k, from a->qk to a->qkv. */
static void norm_heads(ft_model *m, const unit_weights *w, int64_t tokens, layer_activations *a) {
  const ft_arch *arch = &m->arch;
  ft_head_norm_forward(m->type, tokens, arch->heads, arch->head_dim, a->qk, m->qkv,
                       w->of[FT_ROLE_Q_NORM], arch->norm.eps, a->qkv, a->q_stats);
  ft_head_norm_forward(m->type, tokens, arch->kv_heads, arch->head_dim, keys(m, a->qk), m->qkv,
                       w->of[FT_ROLE_K_NORM], arch->norm.eps, keys(m, a->qkv), a->k_stats);
}

/* k's columns follow q's: both turn at once. */
static void rotate(ft_model *m, int64_t layer, int64_t tokens, const int32_t *positions, void *qkv,
                   bool backward) {
  const ft_arch *arch = &m->arch;
  if (ft_arch_layer(arch, layer)->rope < 0) return;
  ft_rotary(m->type, tokens, arch->heads + arch->kv_heads, arch->head_dim, qkv, m->qkv, positions,
            m->inv_freq, backward);
}

ft_err ft_attention_project(ft_model *m, int64_t layer, const unit_weights *w, int64_t tokens,
                            const int32_t *positions, const void *h, layer_activations *a) {
  ft_err err = FT_OK;
  const linear q = query(m), k = key(m), v = value(m);
  void *raw = a->qk ? a->qk : a->qkv; /* v goes straight to its place */
  FT_TRY(ft_linear_forward(m, &q, w, tokens, h, m->d, raw, m->qkv));
  FT_TRY(ft_linear_forward(m, &k, w, tokens, h, m->d, keys(m, raw), m->qkv));
  FT_TRY(ft_linear_forward(m, &v, w, tokens, h, m->d, values(m, a->qkv), m->qkv));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (a->qk) norm_heads(m, w, tokens, a);
  rotate(m, layer, tokens, positions, a->qkv, false);
out:
  return err;
}

ft_err ft_attention_attend(ft_model *m, int64_t layer, const ft_model_batch *batch,
                           layer_activations *a) {
  ft_attention attention = ft_layer_attention(m, layer, batch->num_documents, batch->offsets);
  ft_time_enter(FT_TIME_ATTENTION);
  return ft_attention_forward(&attention, a->qkv, m->qkv, keys(m, a->qkv), m->qkv,
                              values(m, a->qkv), m->qkv, a->attended, m->q, a->lse);
}

ft_err ft_attention_output(ft_model *m, const unit_weights *w, int64_t tokens,
                           layer_activations *a) {
  const linear o = output(m);
  return ft_linear_forward(m, &o, w, tokens, a->attended, m->q, m->branch, m->d);
}

/* ---------------------------------------------------------------- backward */

/* The gradients of the norms of q and k leave after those of the maps before them. */
typedef struct norm_gradients {
  float q[1024], k[1024]; /* ft_arch_check bounds head_dim */
} norm_gradients;

/* From m->d_attended: gradients of q, k and v, before rotation and norms, into m->d_qkv. */
static ft_err heads_backward(ft_model *m, int64_t layer, const unit_weights *w,
                             const ft_model_batch *batch, layer_activations *a,
                             norm_gradients *norms) {
  ft_err err = FT_OK;
  const ft_arch *arch = &m->arch;
  int64_t tokens = batch->num_tokens;
  void *dk = keys(m, m->d_qkv);
  ft_attention attention = ft_layer_attention(m, layer, batch->num_documents, batch->offsets);
  ft_time_enter(FT_TIME_ATTENTION);
  FT_TRY(ft_attention_backward(&attention, a->qkv, m->qkv, keys(m, a->qkv), m->qkv,
                               values(m, a->qkv), m->qkv, a->attended, m->d_attended, m->q, a->lse,
                               m->d_qkv, dk, values(m, m->d_qkv)));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  rotate(m, layer, tokens, batch->positions, m->d_qkv, true);
  if (!a->qk) goto out;
  ft_head_norm_backward(m->type, tokens, arch->heads, arch->head_dim, m->d_qkv, a->qk, m->qkv,
                        a->q_stats, w->of[FT_ROLE_Q_NORM], m->d_qkv, norms->q);
  ft_head_norm_backward(m->type, tokens, arch->kv_heads, arch->head_dim, dk, keys(m, a->qk), m->qkv,
                        a->k_stats, w->of[FT_ROLE_K_NORM], dk, norms->k);
out:
  return err;
}

static ft_err send_projections(ft_model *m, int64_t tokens, const void *h,
                               const norm_gradients *norms) {
  const linear maps[] = {query(m), key(m), value(m)};
  const void *d[] = {m->d_qkv, keys(m, m->d_qkv), values(m, m->d_qkv)};
  ft_err err = FT_OK;
  for (int i = 0; i < 3; i++)
    FT_TRY(ft_linear_send_weight(m, &maps[i], tokens, d[i], m->qkv, h, m->d));
  for (int i = 0; i < 3; i++)
    FT_TRY(ft_linear_send_bias(m, &maps[i], tokens, d[i], m->qkv));
  FT_TRY(ft_gradient_send_vector(m, FT_ROLE_Q_NORM, norms->q));
  FT_TRY(ft_gradient_send_vector(m, FT_ROLE_K_NORM, norms->k));
out:
  return err;
}

static ft_err input_gradient(ft_model *m, const unit_weights *w, int64_t tokens) {
  const linear q = query(m), k = key(m), v = value(m);
  ft_err err = FT_OK;
  FT_TRY(ft_linear_backward_input(m, &q, w, tokens, m->d_qkv, m->qkv, m->branch, m->d, false));
  FT_TRY(
      ft_linear_backward_input(m, &k, w, tokens, keys(m, m->d_qkv), m->qkv, m->branch, m->d, true));
  FT_TRY(ft_linear_backward_input(m, &v, w, tokens, values(m, m->d_qkv), m->qkv, m->branch, m->d,
                                  true));
out:
  return err;
}

ft_err ft_attention_backward_all(ft_model *m, int64_t layer, const unit_weights *w,
                                 const ft_model_batch *batch, const void *h, layer_activations *a,
                                 const void *d_out, bool input_too) {
  ft_err err = FT_OK;
  const linear o = output(m);
  int64_t tokens = batch->num_tokens;
  norm_gradients norms;
  FT_TRY(ft_linear_backward_input(m, &o, w, tokens, d_out, m->d, m->d_attended, m->q, false));
  FT_TRY(ft_linear_send_weight(m, &o, tokens, d_out, m->d, a->attended, m->q));
  FT_TRY(ft_linear_send_bias(m, &o, tokens, d_out, m->d));
  FT_TRY(heads_backward(m, layer, w, batch, a, &norms));
  FT_TRY(send_projections(m, tokens, h, &norms));
  if (input_too) FT_TRY(input_gradient(m, w, tokens));
out:
  return err;
}
