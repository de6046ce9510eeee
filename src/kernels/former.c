/* Functions that those of kernels_layer.h and kernels_loss.h replace, until nobody calls them. */
#include "internal.h"

static const ft_activation_kind silu = FT_ACT_SILU;

void ft_rmsnorm_forward(ft_dtype type, int64_t rows, int64_t n, const void *x, const void *residual,
                        void *sum_out, const void *w, float eps, void *y, float *rstd) {
  const ft_norm norm = {.kind = FT_NORM_RMS, .eps = eps};
  const ft_rows shape = ft_rows_whole(rows, n);
  if (residual)
    ft_norm_sum_forward(&norm, type, y, sum_out, rstd, x, residual, 1.0f, w, NULL, &shape);
  else
    ft_norm_forward(&norm, type, y, rstd, x, w, NULL, &shape);
}

void ft_rmsnorm_backward(ft_dtype type, int64_t rows, int64_t n, const void *dy, const void *x,
                         const float *rstd, const void *w, float *dx, void *dx16, float *dw) {
  const ft_norm norm = {.kind = FT_NORM_RMS};
  const ft_rows shape = ft_rows_whole(rows, n);
  const ft_norm_gradient out = {.dx = dx, .accumulate = true, .dx16 = dx16, .dw = dw};
  ft_norm_backward(&norm, type, &out, dy, x, rstd, w, &shape);
}

void ft_head_norm_forward(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim,
                          const void *x, int64_t stride, const void *w, float eps, void *y,
                          float *rstd) {
  const ft_norm norm = {.kind = FT_NORM_RMS, .eps = eps};
  const ft_rows shape = {.rows = rows, .heads = heads, .width = head_dim, .stride = stride};
  ft_norm_forward(&norm, type, y, rstd, x, w, NULL, &shape);
}

void ft_head_norm_backward(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim,
                           const void *dy, const void *x, int64_t stride, const float *rstd,
                           const void *w, void *dx, float *dw) {
  const ft_norm norm = {.kind = FT_NORM_RMS};
  const ft_rows shape = {.rows = rows, .heads = heads, .width = head_dim, .stride = stride};
  const ft_norm_gradient out = {.dx16 = dx, .dw = dw};
  ft_norm_backward(&norm, type, &out, dy, x, rstd, w, &shape);
}

void ft_add(ft_dtype type, int64_t count, const void *a, const void *b, void *out) {
  ft_add_scaled(type, out, a, b, 1.0f, count);
}

void ft_swiglu_forward(ft_dtype type, int64_t rows, int64_t n, const void *gate, const void *up,
                       void *a) {
  const ft_rows shape = ft_rows_whole(rows, n);
  ft_gated_forward(silu, type, a, gate, up, &shape);
}

void ft_swiglu_backward(ft_dtype type, int64_t rows, int64_t n, const void *da, const void *gate,
                        const void *up, void *dgate, void *dup, void *a) {
  const ft_rows shape = ft_rows_whole(rows, n);
  ft_gated_backward(silu, type, dgate, dup, a, da, gate, up, &shape);
}

void ft_rotary(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim, void *x,
               int64_t stride, const int32_t *position, const float *inv_freq, bool backward) {
  const ft_rope rope = {.width = head_dim, .attention_factor = 1.0f, .inv_freq = inv_freq};
  const ft_rows shape = {.rows = rows, .heads = heads, .width = head_dim, .stride = stride};
  ft_rope_apply(&rope, type, x, position, NULL, 0, &shape, backward);
}

void ft_attention_decode(ft_dtype type, int64_t heads, int64_t kv_heads, int64_t head_dim,
                         int64_t window, int64_t num_keys, const void *q, const void *k,
                         const void *v, int64_t kv_stride, void *o) {
  const ft_attention a = {
      .type = type, .heads = heads, .kv_heads = kv_heads, .head_dim = head_dim, .window = window};
  ft_attention_query(&a, o, q, k, v, kv_stride, num_keys);
}

void ft_embedding_forward(ft_dtype type, int64_t tokens, int64_t n, const uint32_t *ids,
                          const void *table, void *out) {
  const ft_embedding e = {.table = table, .ids = ids, .scale = 1.0f};
  ft_embeddings_forward(type, out, &e, 1, tokens, n);
}

ft_err ft_embedding_backward(ft_dtype out_type, int64_t tokens, int64_t n, const uint32_t *ids,
                             const float *dx, int64_t row0, int64_t num_rows, const float *base,
                             void *out) {
  const ft_embedding e = {.ids = ids, .scale = 1.0f};
  return ft_embeddings_backward(out_type, out, &e, dx, base, row0, num_rows, -1, tokens, n);
}

void ft_cross_entropy(ft_dtype type, int64_t rows, int64_t vocab, const float *logits,
                      const int32_t *target, float scale, float *loss, void *dlogits) {
  const ft_loss l = {.logits = {.scale = 1.0f}, .weight = scale};
  const ft_loss_out out = {.nll = loss, .dlogits = dlogits};
  float *unchanged = (float *)(uintptr_t)logits; /* neither scaled nor capped */
  ft_loss_rows(&l, type, &out, unchanged, target, NULL, rows, vocab);
}
