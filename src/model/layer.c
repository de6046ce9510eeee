/* One layer: two branches, attention and a feed-forward part, each joined to the residual stream.
 *
 *   middle = x + attention(norm(x))
 *   output = middle + feed_forward(norm(middle))
 *
 * A method may add to what a branch gives, or to the layer's output (bottleneck.c).
 *
 * Where norms stand (before a branch, on its output, after the sum) and what the branches are is
 * the description's business; where there is no norm before a branch, its input is the stream. */
#include "bottleneck.h"

static const norm_roles before_attention = {FT_ROLE_ATTN_NORM, FT_ROLE_ATTN_NORM_BIAS};
static const norm_roles before_mlp = {FT_ROLE_MLP_NORM, FT_ROLE_MLP_NORM_BIAS};

/* The sum after attention; the norm before the feed-forward part is taken with it. */
static junction after_attention(const ft_model *m, const layer_activations *a) {
  bool before = m->arch.norm_places & FT_NORM_BEFORE;
  return (junction){.post = {FT_ROLE_ATTN_POST_NORM, FT_ROLE_ATTN_POST_NORM_BIAS},
                    .kept = a->attention_output,
                    .post_stats = a->attention_output_stats,
                    .pre = before_mlp,
                    .normed = before ? a->mlp_input : NULL,
                    .pre_stats = a->mlp_stats};
}

static junction after_mlp(const layer_activations *a) {
  return (junction){.post = {FT_ROLE_MLP_POST_NORM, FT_ROLE_MLP_POST_NORM_BIAS},
                    .kept = a->mlp_output,
                    .post_stats = a->mlp_output_stats};
}

/* Where a branch's last product goes: a norm of the output needs it again. */
static void *branch_output(const ft_model *m, const junction *j) {
  return m->arch.norm_places & FT_NORM_OUTPUT ? j->kept : m->branch;
}

/* What attention sees: the normed input, or x itself. */
static const void *attention_input(const layer_activations *a, const unit_weights *w,
                                   const void *x) {
  return w->of[FT_ROLE_ATTN_NORM] ? a->attention_input : x;
}

/* Whether the backward pass needs what the feed-forward part gives, and not only what is inside of
 * it: a norm's input, or a bottleneck's. */
static bool branch_is_needed(const ft_model *m) {
  return (m->arch.norm_places & (FT_NORM_OUTPUT | FT_NORM_AFTER_SUM)) ||
         m->layout->method.bottleneck > 0;
}

/* Where the sum after the feed-forward part goes: to a bottleneck that reads it, or out of the
 * layer; of a layer that is computed again the sum itself is not needed. */
static void *stream_after_mlp(const ft_model *m, const layer_activations *a, void *output) {
  if (ft_bottleneck_on_stream(m)) return a->bottleneck_input[AFTER_FEED_FORWARD];
  return output ? output : m->branch;
}

/* ---------------------------------------------------------------- forward */

ft_err ft_layer_before_attention(ft_model *m, int64_t layer, const unit_weights *w,
                                 const ft_model_batch *batch, const void *x, layer_activations *a) {
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (w->of[FT_ROLE_ATTN_NORM])
    ft_norm_rows(m, &before_attention, w, batch->num_tokens, x, a->attention_input,
                 a->attention_stats);
  return ft_attention_project(m, layer, w, batch, attention_input(a, w, x), a);
}

ft_err ft_layer_after_attention(ft_model *m, const unit_weights *w, int64_t tokens, const void *x,
                                layer_activations *a, void *output) {
  ft_err err = FT_OK;
  const junction first = after_attention(m, a), second = after_mlp(a);
  FT_TRY(ft_attention_output(m, w, tokens, a, branch_output(m, &first)));
  FT_TRY(ft_bottleneck_branch(m, AFTER_ATTENTION, w, tokens, a, true));
  ft_join(m, &first, w, tokens, x, a->middle);
  bool branch_too = output || branch_is_needed(m);
  FT_TRY(ft_feed_forward(m, w, tokens, a, branch_too ? branch_output(m, &second) : NULL));
  if (!branch_too) goto out;
  FT_TRY(ft_bottleneck_branch(m, AFTER_FEED_FORWARD, w, tokens, a, output != NULL));
  void *stream = stream_after_mlp(m, a, output);
  ft_join(m, &second, w, tokens, a->middle, stream);
  if (ft_bottleneck_on_stream(m)) FT_TRY(ft_bottleneck_stream(m, w, tokens, a, output));
out:
  return err;
}

ft_err ft_layer_forward(ft_model *m, int64_t layer, const unit_weights *w,
                        const ft_model_batch *batch, const void *x, layer_activations *a,
                        void *output) {
  ft_err err = FT_OK;
  FT_TRY(ft_layer_before_attention(m, layer, w, batch, x, a));
  FT_TRY(ft_attention_attend(m, layer, batch, a));
  FT_TRY(ft_layer_after_attention(m, w, batch->num_tokens, x, a, output));
out:
  return err;
}

/* ---------------------------------------------------------------- backward */

static bool is_of_mlp(ft_role role) {
  static const ft_role roles[] = {FT_ROLE_DOWN,
                                  FT_ROLE_DOWN_BIAS,
                                  FT_ROLE_GATE,
                                  FT_ROLE_GATE_BIAS,
                                  FT_ROLE_UP,
                                  FT_ROLE_UP_BIAS,
                                  FT_ROLE_MLP_NORM,
                                  FT_ROLE_MLP_NORM_BIAS,
                                  FT_ROLE_MLP_POST_NORM,
                                  FT_ROLE_MLP_POST_NORM_BIAS,
                                  FT_ROLE_ALPHA_P,
                                  FT_ROLE_ALPHA_N,
                                  FT_ROLE_XIELU_BETA,
                                  FT_ROLE_XIELU_EPS};
  for (size_t i = 0; i < FT_ARRAY_SIZE(roles); i++)
    if (roles[i] == role) return true;
  return (int)role >= FT_ROLE_MLP_BOTTLENECK_DOWN && (int)role <= FT_ROLE_MLP_BOTTLENECK_UP_BIAS;
}

/* Whether something of the open block comes after the feed-forward part and the norm before it. */
static bool trains_attention(const ft_model *m) {
  for (int i = 0; m->open && i < m->open->num_tensors; i++) {
    ft_role role = m->open->tensors[i].role;
    (void)ft_role_is_part(role, &role, NULL);
    if (!is_of_mlp(role)) return true;
  }
  return false;
}

ft_err ft_layer_backward(ft_model *m, int64_t layer, const unit_weights *w,
                         const ft_model_batch *batch, const void *x, layer_activations *a,
                         bool input_too) {
  ft_err err = FT_OK;
  int64_t tokens = batch->num_tokens;
  const junction first = after_attention(m, a), second = after_mlp(a);
  const void *d_branch;
  FT_TRY(ft_bottleneck_stream_backward(m, w, tokens, a));
  FT_TRY(ft_join_backward(m, &second, w, tokens, &d_branch));
  FT_TRY(ft_bottleneck_branch_backward(m, AFTER_FEED_FORWARD, w, tokens, a, &d_branch));
  bool attention_too = input_too || trains_attention(m);
  bool mlp_input_too = attention_too || ft_gradient_tensor(m, FT_ROLE_MLP_NORM) >= 0 ||
                       ft_gradient_tensor(m, FT_ROLE_MLP_NORM_BIAS) >= 0;
  FT_TRY(ft_feed_forward_backward(m, w, tokens, a, d_branch, mlp_input_too));
  if (!mlp_input_too) goto out;
  FT_TRY(ft_branch_input_backward(m, &before_mlp, w, tokens, a->middle, a->mlp_stats));
  if (!attention_too) goto out;
  FT_TRY(ft_join_backward(m, &first, w, tokens, &d_branch));
  FT_TRY(ft_bottleneck_branch_backward(m, AFTER_ATTENTION, w, tokens, a, &d_branch));
  bool branch_input_too = input_too || ft_gradient_tensor(m, FT_ROLE_ATTN_NORM) >= 0 ||
                          ft_gradient_tensor(m, FT_ROLE_ATTN_NORM_BIAS) >= 0;
  FT_TRY(ft_attention_backward_all(m, layer, w, batch, attention_input(a, w, x), a, d_branch,
                                   branch_input_too));
  if (branch_input_too)
    FT_TRY(ft_branch_input_backward(m, &before_attention, w, tokens, x, a->attention_stats));
out:
  return err;
}
