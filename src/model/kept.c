/* What is kept of a forward pass for the backward pass: of layers that it comes to, and of these
 * what a gradient is made from. Other layers share one set of buffers, and so do those that are
 * computed again. */
#include "beside.h"
#include "bottleneck.h"

bool ft_layer_is_computed_again(const ft_model *m, int64_t layer) {
  int64_t every = m->options.activation_checkpointing;
  return m->options.training && every > 0 && layer % every == 0 && layer >= m->lowest_layer;
}

static bool is_kept(const ft_model *m, int64_t layer) {
  return m->options.training && layer >= m->lowest_layer && !ft_layer_is_computed_again(m, layer);
}

/* ---------------------------------------------------------------- inputs of maps */

/* Normed inputs are multiplied with once more only for the gradients of weights, and of the A of
 * low-rank parts. */
typedef struct inputs {
  bool attention, mlp; /* are kept */
} inputs;

static bool needs_input(const ft_model *m, int64_t layer, ft_role map) {
  const ft_unit *unit = &m->layout->layers[layer];
  return ft_unit_trains(m, unit, map) || ft_unit_trains(m, unit, ft_role_part(map, FT_PART_A));
}

static inputs inputs_of(const ft_model *m, int64_t layer) {
  return (inputs){.attention = needs_input(m, layer, FT_ROLE_Q) ||
                               needs_input(m, layer, FT_ROLE_K) || needs_input(m, layer, FT_ROLE_V),
                  .mlp = needs_input(m, layer, FT_ROLE_GATE) || needs_input(m, layer, FT_ROLE_UP)};
}

/* Of the set that layers share: what those need that are computed again. */
static inputs shared_inputs(const ft_model *m) {
  inputs all = {false, false};
  for (int64_t layer = 0; layer < m->arch.layers; layer++) {
    const inputs own = inputs_of(m, layer);
    if (!ft_layer_is_computed_again(m, layer)) continue;
    all.attention = all.attention || own.attention;
    all.mlp = all.mlp || own.mlp;
  }
  return all;
}

/* ---------------------------------------------------------------- room */

static ft_err alloc_inputs(ft_model *m, int64_t t, inputs kept, layer_activations *a) {
  ft_err err = FT_OK;
  const size_t e = ft_dtype_bytes(m->type);
  if (!(m->arch.norm_places & FT_NORM_BEFORE)) {
    a->mlp_input = a->middle;
    return FT_OK;
  }
  if (!(kept.attention && kept.mlp) && !m->has_passing) {
    m->has_passing = true;
    FT_TRY(ft_model_alloc(m, FT_MEM_WORKSPACE, t * m->d, e, &m->passing));
  }
  a->attention_input = a->mlp_input = m->passing;
  if (kept.attention)
    FT_TRY(ft_model_alloc(m, FT_MEM_ACTIVATIONS, t * m->d, e, &a->attention_input));
  if (kept.mlp) FT_TRY(ft_model_alloc(m, FT_MEM_ACTIVATIONS, t * m->d, e, &a->mlp_input));
out:
  return err;
}

static ft_err alloc_activations(ft_model *m, int64_t t, inputs kept, layer_activations *a) {
  ft_err err = FT_OK;
  const ft_arch *arch = &m->arch;
  const size_t e = ft_dtype_bytes(m->type), f32 = sizeof(float);
  bool qk = arch->qk_norm != FT_QK_NORM_NONE, before = arch->norm_places & FT_NORM_BEFORE;
  bool post = arch->norm_places & (FT_NORM_OUTPUT | FT_NORM_AFTER_SUM);
  const ft_model_buffer buffers[] = {
      {&a->qkv, t * m->qkv, e},
      {&a->qk, qk ? t * m->qkv : 0, e},
      {&a->attended, t * m->q, e},
      {&a->attention_output, post ? t * m->d : 0, e},
      {&a->middle, t * m->d, e},
      {&a->gate, arch->gated ? t * m->f : 0, e},
      {&a->up, t * m->f, e},
      {&a->mlp_output, post ? t * m->d : 0, e},
      {&a->attention_stats, before ? t : 0, f32},
      {&a->attention_output_stats, post ? t : 0, f32},
      {&a->mlp_stats, before ? t : 0, f32},
      {&a->mlp_output_stats, post ? t : 0, f32},
      {&a->q_stats, qk ? t * arch->heads : 0, f32},
      {&a->k_stats, qk ? t * arch->kv_heads : 0, f32},
      {&a->lse, t * arch->heads, f32},
  };
  FT_TRY(ft_model_alloc_all(m, FT_MEM_ACTIVATIONS, buffers, FT_ARRAY_SIZE(buffers)));
  FT_TRY(alloc_inputs(m, t, kept, a));
  FT_TRY(ft_beside_alloc_layer(m, t, a));
  FT_TRY(ft_bottleneck_alloc_layer(m, t, a));
out:
  return err;
}

/* Inputs of layers from the lowest one on that the backward pass comes to, and the last output;
 * below, two buffers take turns. */
static ft_err alloc_stream(ft_model *m, int64_t t) {
  ft_err err = FT_OK;
  int64_t first_kept = m->options.training ? m->lowest_layer : m->arch.layers + 1;
  void *p;
  FT_TRY(ft_model_alloc(m, FT_MEM_OTHER, m->arch.layers + 1, sizeof *m->x, &p));
  m->x = p;
  for (int64_t i = 0; i <= m->arch.layers; i++) {
    if (i < first_kept && i >= 2)
      m->x[i] = m->x[i - 2];
    else
      FT_TRY(ft_model_alloc(m, FT_MEM_ACTIVATIONS, t * m->d, ft_dtype_bytes(m->type), &m->x[i]));
  }
out:
  return err;
}

ft_err ft_model_alloc_kept(ft_model *m, int64_t t) {
  ft_err err = FT_OK;
  layer_activations shared = {.qkv = NULL};
  bool has_shared = false;
  void *p;
  FT_TRY(alloc_stream(m, t));
  FT_TRY(ft_model_alloc(m, FT_MEM_OTHER, m->arch.layers, sizeof *m->activations, &p));
  m->activations = p;
  for (int64_t i = 0; i < m->arch.layers; i++) {
    if (is_kept(m, i)) {
      FT_TRY(alloc_activations(m, t, inputs_of(m, i), &m->activations[i]));
      continue;
    }
    if (!has_shared) FT_TRY(alloc_activations(m, t, shared_inputs(m), &shared));
    has_shared = true;
    m->activations[i] = shared;
  }
out:
  return err;
}
