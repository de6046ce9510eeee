/* Bottlenecks: A(z) = U · act(D z + d) + u, a narrow feed-forward part that is trained beside a
 * frozen layer.
 *
 *   on a branch h   x + h + A(h)        Houlsby et al. 2019, after attention and feed-forward part
 *   on the stream   s + A(s), s = x + h  Pfeiffer et al. 2021, after the feed-forward part
 *
 * That is how the adapters library places them where a layer's norms stand before its branches. */
#include <string.h>

#include "bottleneck.h"

typedef struct maps {
  linear down, up;
} maps;

static maps maps_of(const ft_model *m, bottleneck_site site) {
  const int down =
      site == AFTER_ATTENTION ? FT_ROLE_ATTN_BOTTLENECK_DOWN : FT_ROLE_MLP_BOTTLENECK_DOWN;
  int64_t width = m->layout->method.bottleneck;
  return (maps){
      .down = {(ft_role)down, (ft_role)(down + 1), m->d, width, FT_MAP_NONE},
      .up = {(ft_role)(down + 2), (ft_role)(down + 3), width, m->d, FT_MAP_NONE},
  };
}

static bool is_there(const ft_model *m, bottleneck_site site) {
  const ft_method *method = &m->layout->method;
  return method->bottleneck > 0 &&
         (site == AFTER_FEED_FORWARD || method->bottleneck_after_attention);
}

static bool is_on_branch(const ft_model *m, bottleneck_site site) {
  return is_there(m, site) && !m->layout->method.bottleneck_reads_sum;
}

bool ft_bottleneck_on_stream(const ft_model *m) {
  return is_there(m, AFTER_FEED_FORWARD) && m->layout->method.bottleneck_reads_sum;
}

/* ---------------------------------------------------------------- room */

ft_err ft_bottleneck_alloc_layer(ft_model *m, int64_t tokens, layer_activations *a) {
  ft_err err = FT_OK;
  const size_t e = ft_dtype_bytes(m->type);
  int64_t inner = tokens * m->layout->method.bottleneck;
  for (bottleneck_site site = 0; site < BOTTLENECK_SITES; site++) {
    if (!is_there(m, site)) continue;
    FT_TRY(ft_model_alloc(m, FT_MEM_ACTIVATIONS, tokens * m->d, e, &a->bottleneck_input[site]));
    FT_TRY(ft_model_alloc(m, FT_MEM_ACTIVATIONS, inner, e, &a->bottleneck_inner[site]));
  }
out:
  return err;
}

ft_err ft_bottleneck_alloc(ft_model *m, int64_t tokens) {
  int64_t count = tokens * m->layout->method.bottleneck;
  if (count == 0) return FT_OK;
  return ft_model_alloc(m, FT_MEM_WORKSPACE, count, ft_dtype_bytes(m->type), &m->narrow);
}

/* ---------------------------------------------------------------- forward */

/* m->branch = A(z), where z is in its place in `a`. */
static ft_err apply(ft_model *m, bottleneck_site site, const unit_weights *w, int64_t tokens,
                    const layer_activations *a, bool output_too) {
  ft_err err = FT_OK;
  const maps l = maps_of(m, site);
  const ft_activation act = {.kind = m->layout->method.bottleneck_activation};
  void *inner = a->bottleneck_inner[site];
  FT_TRY(ft_linear_forward(m, &l.down, w, tokens, a->bottleneck_input[site], inner, l.down.out, a));
  if (!output_too) goto out;
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_activation_forward(&act, m->type, m->narrow, inner, tokens * l.down.out);
  FT_TRY(ft_linear_forward(m, &l.up, w, tokens, m->narrow, m->branch, m->d, a));
  ft_time_enter(FT_TIME_ELEMENTWISE);
out:
  return err;
}

ft_err ft_bottleneck_branch(ft_model *m, bottleneck_site site, const unit_weights *w,
                            int64_t tokens, const layer_activations *a, bool output_too) {
  ft_err err = FT_OK;
  void *h = a->bottleneck_input[site];
  if (!is_on_branch(m, site)) return FT_OK;
  memcpy(h, m->branch, (size_t)(tokens * m->d) * ft_dtype_bytes(m->type));
  FT_TRY(apply(m, site, w, tokens, a, output_too));
  if (output_too) ft_add_scaled(m->type, m->branch, h, m->branch, 1, tokens * m->d);
out:
  return err;
}

ft_err ft_bottleneck_stream(ft_model *m, const unit_weights *w, int64_t tokens,
                            const layer_activations *a, void *output) {
  ft_err err = FT_OK;
  const void *s = a->bottleneck_input[AFTER_FEED_FORWARD];
  FT_TRY(apply(m, AFTER_FEED_FORWARD, w, tokens, a, output != NULL));
  if (output) ft_add_scaled(m->type, output, s, m->branch, 1, tokens * m->d);
out:
  return err;
}

/* ---------------------------------------------------------------- backward */

/* From dy, the gradient of A's result: sends those of its tensors; m->branch, which must not be dy,
 * becomes that of its input. */
static ft_err backward(ft_model *m, bottleneck_site site, const unit_weights *w, int64_t tokens,
                       const layer_activations *a, const void *dy) {
  ft_err err = FT_OK;
  const maps l = maps_of(m, site);
  const ft_activation act = {.kind = m->layout->method.bottleneck_activation};
  void *inner = a->bottleneck_inner[site], *d = m->narrow;
  linear_gradient g;
  FT_ASSERT(dy != m->branch);
  FT_TRY(ft_linear_backward(m, &l.up, w, tokens, a, dy, m->d, NULL, &g));
  FT_TRY(ft_linear_backward_input(m, &g, w, d, false));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  ft_activation_backward(&act, m->type, d, inner, NULL, d, inner, tokens * l.up.in);
  FT_TRY(ft_linear_send_weight(m, &g, inner));
  FT_TRY(ft_linear_send_bias(m, &g));
  FT_TRY(ft_linear_backward(m, &l.down, w, tokens, a, d, l.down.out, NULL, &g));
  FT_TRY(ft_linear_send_weight(m, &g, a->bottleneck_input[site]));
  FT_TRY(ft_linear_send_bias(m, &g));
  FT_TRY(ft_linear_backward_input(m, &g, w, m->branch, false));
  ft_time_enter(FT_TIME_ELEMENTWISE);
out:
  return err;
}

ft_err ft_bottleneck_branch_backward(ft_model *m, bottleneck_site site, const unit_weights *w,
                                     int64_t tokens, const layer_activations *a,
                                     const void **d_branch) {
  ft_err err = FT_OK;
  if (!is_on_branch(m, site)) return FT_OK;
  FT_TRY(backward(m, site, w, tokens, a, *d_branch));
  ft_add_scaled(m->type, m->branch, *d_branch, m->branch, 1, tokens * m->d);
  *d_branch = m->branch;
out:
  return err;
}

ft_err ft_bottleneck_stream_backward(ft_model *m, const unit_weights *w, int64_t tokens,
                                     const layer_activations *a) {
  ft_err err = FT_OK;
  if (!ft_bottleneck_on_stream(m)) return FT_OK;
  FT_TRY(backward(m, AFTER_FEED_FORWARD, w, tokens, a, m->dx16));
  ft_add_branch_gradient(m, tokens);
out:
  return err;
}
