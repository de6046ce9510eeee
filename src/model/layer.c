/* One decoder layer: x1 = x + attention(norm(x)), out = x1 + mlp(norm(x1)), and its gradients.
 * Pre-norm decoder with rotary embedding, grouped-query attention and SwiGLU (Touvron et al. 2023).
 */
#include "internal.h"

ft_attention ft_layer_attention(const ft_model *m, int64_t layer, int64_t num_documents,
                                const int64_t *offsets) {
  bool windowed = m->arch.sliding_window > 0 && layer >= m->arch.window_first_layer;
  return (ft_attention){.type = m->type,
                        .heads = m->arch.heads,
                        .kv_heads = m->arch.kv_heads,
                        .head_dim = m->arch.head_dim,
                        .window = windowed ? m->arch.sliding_window : 0,
                        .num_documents = num_documents,
                        .offsets = offsets};
}

/* Columns of q, k and v inside a row of the joint array. */
static void *column(const ft_model *m, void *qkv, int64_t at) {
  return ft_model_at_mut(m, qkv, at);
}

/* y = h · Wᵀ + b of one of q, k, v into its columns. */
static ft_err project(ft_model *m, int64_t block, const void *weights, ft_role matrix, ft_role bias,
                      int64_t tokens, const void *h, int64_t width, void *out, int64_t stride) {
  return ft_matmul_forward(m->type, m->type, tokens, width, m->d, h, m->d,
                           ft_model_weight(m, block, weights, matrix),
                           ft_model_weight(m, block, weights, bias), out, stride, false);
}

ft_err ft_layer_qkv(ft_model *m, int64_t layer, const void *weights, int64_t tokens,
                    const int32_t *positions, const void *x, layer_activations *a) {
  ft_err err = FT_OK;
  int64_t block = layer + 1, hd = m->arch.head_dim;
  /* with q/k norm the projections go to qk first, and v straight to its place */
  void *q = a->qk ? a->qk : a->qkv, *k = ft_model_at_mut(m, q, m->q);
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_rmsnorm_forward(m->type, tokens, m->d, x, NULL, NULL,
                     ft_model_weight(m, block, weights, FT_ROLE_ATTN_NORM), m->arch.norm_eps, a->h1,
                     a->rstd1);
  ft_time_enter(FT_TIME_FORWARD);
  FT_TRY(project(m, block, weights, FT_ROLE_Q, FT_ROLE_Q_BIAS, tokens, a->h1, m->q, q, m->qkv));
  FT_TRY(project(m, block, weights, FT_ROLE_K, FT_ROLE_K_BIAS, tokens, a->h1, m->kv, k, m->qkv));
  FT_TRY(project(m, block, weights, FT_ROLE_V, FT_ROLE_V_BIAS, tokens, a->h1, m->kv,
                 column(m, a->qkv, m->q + m->kv), m->qkv));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (a->qk) {
    ft_head_norm_forward(m->type, tokens, m->arch.heads, hd, q, m->qkv,
                         ft_model_weight(m, block, weights, FT_ROLE_Q_NORM), m->arch.norm_eps,
                         a->qkv, a->rstd_q);
    ft_head_norm_forward(m->type, tokens, m->arch.kv_heads, hd, k, m->qkv,
                         ft_model_weight(m, block, weights, FT_ROLE_K_NORM), m->arch.norm_eps,
                         column(m, a->qkv, m->q), a->rstd_k);
  }
  ft_rotary(m->type, tokens, m->arch.heads + m->arch.kv_heads, hd, a->qkv, m->qkv, positions,
            m->inv_freq, false); /* k's columns follow q's */
out:
  return err;
}

ft_err ft_layer_after_attention(ft_model *m, int64_t layer, const void *weights, int64_t tokens,
                                const void *x, layer_activations *a, void *output) {
  ft_err err = FT_OK;
  int64_t block = layer + 1;
  ft_time_enter(FT_TIME_FORWARD);
  FT_TRY(ft_matmul_forward(m->type, m->type, tokens, m->d, m->q, a->o, m->q,
                           ft_model_weight(m, block, weights, FT_ROLE_O),
                           ft_model_weight(m, block, weights, FT_ROLE_O_BIAS), m->branch, m->d,
                           false));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_rmsnorm_forward(m->type, tokens, m->d, x, m->branch, a->x1,
                     ft_model_weight(m, block, weights, FT_ROLE_MLP_NORM), m->arch.norm_eps, a->h2,
                     a->rstd2);
  ft_time_enter(FT_TIME_FORWARD);
  FT_TRY(ft_matmul_forward(m->type, m->type, tokens, m->f, m->d, a->h2, m->d,
                           ft_model_weight(m, block, weights, FT_ROLE_GATE),
                           ft_model_weight(m, block, weights, FT_ROLE_GATE_BIAS), a->gate, m->f,
                           false));
  FT_TRY(ft_matmul_forward(m->type, m->type, tokens, m->f, m->d, a->h2, m->d,
                           ft_model_weight(m, block, weights, FT_ROLE_UP),
                           ft_model_weight(m, block, weights, FT_ROLE_UP_BIAS), a->up, m->f,
                           false));
  if (!output) goto out; /* computed again for the backward pass, which needs no more than this */
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_swiglu_forward(m->type, tokens, m->f, a->gate, a->up, m->wide);
  ft_time_enter(FT_TIME_FORWARD);
  FT_TRY(ft_matmul_forward(m->type, m->type, tokens, m->d, m->f, m->wide, m->f,
                           ft_model_weight(m, block, weights, FT_ROLE_DOWN),
                           ft_model_weight(m, block, weights, FT_ROLE_DOWN_BIAS), m->branch, m->d,
                           false));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_add(m->type, tokens * m->d, a->x1, m->branch, output);
out:
  return err;
}

ft_err ft_layer_forward(ft_model *m, int64_t layer, const void *weights,
                        const ft_model_batch *batch, const void *x, layer_activations *a,
                        void *output) {
  ft_err err = FT_OK;
  ft_attention attention = ft_layer_attention(m, layer, batch->num_documents, batch->offsets);
  FT_TRY(ft_layer_qkv(m, layer, weights, batch->num_tokens, batch->positions, x, a));
  ft_time_enter(FT_TIME_ATTENTION);
  FT_TRY(ft_attention_forward(&attention, a->qkv, m->qkv, column(m, a->qkv, m->q), m->qkv,
                              column(m, a->qkv, m->q + m->kv), m->qkv, a->o, m->q, a->lse));
  FT_TRY(ft_layer_after_attention(m, layer, weights, batch->num_tokens, x, a, output));
out:
  return err;
}

/* ---------------------------------------------------------------- backward */

/* dh (+)= dy · W of one projection. */
static ft_err backward_input(ft_model *m, int64_t block, const void *weights, ft_role role,
                             int64_t tokens, int64_t width, const void *dy, int64_t stride,
                             int64_t in_width, void *dh, bool accumulate) {
  ft_time_enter(FT_TIME_BACKWARD_INPUT);
  return ft_matmul_backward_input(m->type, m->type, tokens, width, in_width, dy, stride,
                                  ft_model_weight(m, block, weights, role), dh, in_width,
                                  accumulate);
}

static ft_err mlp_backward(ft_model *m, int64_t block, const void *weights, int64_t tokens,
                           layer_activations *a) {
  ft_err err = FT_OK;
  FT_TRY(backward_input(m, block, weights, FT_ROLE_DOWN, tokens, m->d, m->dx16, m->d, m->f, m->wide,
                        false));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_swiglu_backward(m->type, tokens, m->f, m->wide, a->gate, a->up, a->gate, a->up, m->wide);
  /* gate and up now hold their gradients, wide the SwiGLU's output */
  FT_TRY(ft_model_send_matrix(m, block, FT_ROLE_DOWN, tokens, m->dx16, m->d, m->wide, m->f));
  FT_TRY(ft_model_send_bias(m, block, FT_ROLE_DOWN_BIAS, tokens, m->dx16, m->d));
  FT_TRY(ft_model_send_matrix(m, block, FT_ROLE_GATE, tokens, a->gate, m->f, a->h2, m->d));
  FT_TRY(ft_model_send_bias(m, block, FT_ROLE_GATE_BIAS, tokens, a->gate, m->f));
  FT_TRY(ft_model_send_matrix(m, block, FT_ROLE_UP, tokens, a->up, m->f, a->h2, m->d));
  FT_TRY(ft_model_send_bias(m, block, FT_ROLE_UP_BIAS, tokens, a->up, m->f));
  FT_TRY(backward_input(m, block, weights, FT_ROLE_GATE, tokens, m->f, a->gate, m->f, m->d,
                        m->branch, false));
  FT_TRY(backward_input(m, block, weights, FT_ROLE_UP, tokens, m->f, a->up, m->f, m->d, m->branch,
                        true));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_rmsnorm_backward(m->type, tokens, m->d, m->branch, a->x1, a->rstd2,
                      ft_model_weight(m, block, weights, FT_ROLE_MLP_NORM), m->dx, m->dx16,
                      m->d_norm);
  FT_TRY(ft_model_send_vector(m, block, FT_ROLE_MLP_NORM, m->d_norm));
out:
  return err;
}

/* Gradient of attention's inputs, before rotary embedding and q/k norm, into m->d_qkv. d_q_norm and
 * d_k_norm [head_dim] receive the norms' weight gradients. */
static ft_err attention_backward(ft_model *m, int64_t layer, const void *weights,
                                 const ft_model_batch *batch, layer_activations *a, float *d_q_norm,
                                 float *d_k_norm) {
  ft_err err = FT_OK;
  int64_t block = layer + 1, hd = m->arch.head_dim, tokens = batch->num_tokens;
  void *dk = column(m, m->d_qkv, m->q), *dv = column(m, m->d_qkv, m->q + m->kv);
  ft_attention attention = ft_layer_attention(m, layer, batch->num_documents, batch->offsets);
  ft_time_enter(FT_TIME_ATTENTION);
  FT_TRY(ft_attention_backward(&attention, a->qkv, m->qkv, column(m, a->qkv, m->q), m->qkv,
                               column(m, a->qkv, m->q + m->kv), m->qkv, a->o, m->d_o, m->q, a->lse,
                               m->d_qkv, dk, dv));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_rotary(m->type, tokens, m->arch.heads + m->arch.kv_heads, hd, m->d_qkv, m->qkv,
            batch->positions, m->inv_freq, true);
  if (a->qk) {
    ft_head_norm_backward(m->type, tokens, m->arch.heads, hd, m->d_qkv, a->qk, m->qkv, a->rstd_q,
                          ft_model_weight(m, block, weights, FT_ROLE_Q_NORM), m->d_qkv, d_q_norm);
    ft_head_norm_backward(m->type, tokens, m->arch.kv_heads, hd, dk, column(m, a->qk, m->q), m->qkv,
                          a->rstd_k, ft_model_weight(m, block, weights, FT_ROLE_K_NORM), dk,
                          d_k_norm);
  }
out:
  return err;
}

static ft_err send_qkv(ft_model *m, int64_t block, int64_t tokens, layer_activations *a) {
  static const ft_role matrices[] = {FT_ROLE_Q, FT_ROLE_K, FT_ROLE_V};
  static const ft_role biases[] = {FT_ROLE_Q_BIAS, FT_ROLE_K_BIAS, FT_ROLE_V_BIAS};
  const int64_t at[] = {0, m->q, m->q + m->kv};
  ft_err err = FT_OK;
  for (int i = 0; i < 3; i++)
    FT_TRY(ft_model_send_matrix(m, block, matrices[i], tokens, column(m, m->d_qkv, at[i]), m->qkv,
                                a->h1, m->d));
  for (int i = 0; i < 3; i++)
    FT_TRY(ft_model_send_bias(m, block, biases[i], tokens, column(m, m->d_qkv, at[i]), m->qkv));
out:
  return err;
}

ft_err ft_layer_backward(ft_model *m, int64_t layer, const void *weights,
                         const ft_model_batch *batch, const void *x, layer_activations *a) {
  ft_err err = FT_OK;
  int64_t block = layer + 1, tokens = batch->num_tokens;
  float d_q_norm[1024], d_k_norm[1024]; /* ft_arch_check bounds head_dim */
  FT_ASSERT(m->arch.head_dim <= (int64_t)FT_ARRAY_SIZE(d_q_norm));
  FT_TRY(mlp_backward(m, block, weights, tokens, a));
  FT_TRY(backward_input(m, block, weights, FT_ROLE_O, tokens, m->d, m->dx16, m->d, m->q, m->d_o,
                        false));
  FT_TRY(ft_model_send_matrix(m, block, FT_ROLE_O, tokens, m->dx16, m->d, a->o, m->q));
  FT_TRY(ft_model_send_bias(m, block, FT_ROLE_O_BIAS, tokens, m->dx16, m->d));
  FT_TRY(attention_backward(m, layer, weights, batch, a, d_q_norm, d_k_norm));
  FT_TRY(send_qkv(m, block, tokens, a));
  if (a->qk) {
    FT_TRY(ft_model_send_vector(m, block, FT_ROLE_Q_NORM, d_q_norm));
    FT_TRY(ft_model_send_vector(m, block, FT_ROLE_K_NORM, d_k_norm));
  }
  FT_TRY(backward_input(m, block, weights, FT_ROLE_Q, tokens, m->q, m->d_qkv, m->qkv, m->d,
                        m->branch, false));
  FT_TRY(backward_input(m, block, weights, FT_ROLE_K, tokens, m->kv, column(m, m->d_qkv, m->q),
                        m->qkv, m->d, m->branch, true));
  FT_TRY(backward_input(m, block, weights, FT_ROLE_V, tokens, m->kv,
                        column(m, m->d_qkv, m->q + m->kv), m->qkv, m->d, m->branch, true));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_rmsnorm_backward(m->type, tokens, m->d, m->branch, x, a->rstd1,
                      ft_model_weight(m, block, weights, FT_ROLE_ATTN_NORM), m->dx, m->dx16,
                      m->d_norm);
  FT_TRY(ft_model_send_vector(m, block, FT_ROLE_ATTN_NORM, m->d_norm));
out:
  return err;
}
