/* One layer: middle = x + attention(norm(x)), out = middle + feed_forward(norm(middle)), and its
 * gradients. What the norms, attention and feed-forward part are is the description's business. */
#include "internal.h"

ft_err ft_layer_before_attention(ft_model *m, int64_t layer, const unit_weights *w, int64_t tokens,
                                 const int32_t *positions, const void *x, layer_activations *a) {
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_rmsnorm_forward(m->type, tokens, m->d, x, NULL, NULL, w->of[FT_ROLE_ATTN_NORM],
                     m->arch.norm.eps, a->attention_input, a->attention_stats);
  return ft_attention_project(m, layer, w, tokens, positions, a->attention_input, a);
}

ft_err ft_layer_after_attention(ft_model *m, const unit_weights *w, int64_t tokens, const void *x,
                                layer_activations *a, void *output) {
  ft_err err = FT_OK;
  FT_TRY(ft_attention_output(m, w, tokens, a));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_rmsnorm_forward(m->type, tokens, m->d, x, m->branch, a->middle, w->of[FT_ROLE_MLP_NORM],
                     m->arch.norm.eps, a->mlp_input, a->mlp_stats);
  FT_TRY(ft_feed_forward(m, w, tokens, a, output != NULL));
  if (!output) goto out;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_add(m->type, tokens * m->d, a->middle, m->branch, output);
out:
  return err;
}

ft_err ft_layer_forward(ft_model *m, int64_t layer, const unit_weights *w,
                        const ft_model_batch *batch, const void *x, layer_activations *a,
                        void *output) {
  ft_err err = FT_OK;
  FT_TRY(ft_layer_before_attention(m, layer, w, batch->num_tokens, batch->positions, x, a));
  FT_TRY(ft_attention_attend(m, layer, batch, a));
  FT_TRY(ft_layer_after_attention(m, w, batch->num_tokens, x, a, output));
out:
  return err;
}

/* Through a norm at the head of a branch, from m->branch: adds to m->dx, and sends its weight's
 * gradient. */
static ft_err norm_backward(ft_model *m, const unit_weights *w, int64_t tokens, ft_role weight,
                            const void *x, const float *stats) {
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_rmsnorm_backward(m->type, tokens, m->d, m->branch, x, stats, w->of[weight], m->dx, m->dx16,
                      m->d_norm);
  return ft_gradient_send_vector(m, weight, m->d_norm);
}

ft_err ft_layer_backward(ft_model *m, int64_t layer, const unit_weights *w,
                         const ft_model_batch *batch, const void *x, layer_activations *a,
                         bool input_too) {
  ft_err err = FT_OK;
  int64_t tokens = batch->num_tokens;
  FT_TRY(ft_feed_forward_backward(m, w, tokens, a, m->dx16));
  FT_TRY(norm_backward(m, w, tokens, FT_ROLE_MLP_NORM, a->middle, a->mlp_stats));
  FT_TRY(ft_attention_backward_all(m, layer, w, batch, a->attention_input, a, m->dx16, input_too));
  if (input_too || ft_gradient_tensor(m, FT_ROLE_ATTN_NORM) >= 0)
    FT_TRY(norm_backward(m, w, tokens, FT_ROLE_ATTN_NORM, x, a->attention_stats));
out:
  return err;
}
