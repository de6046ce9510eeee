/* Room for what stands beside the maps of layers: as much as the layer with the most of it needs.
 */
#include "internal.h"

/* What stands beside a map, in any layer. */
typedef struct found {
  int64_t in, out;
  int64_t rank; /* the highest; 0: no low-rank part */
  bool own_a, output_scale, input_scale;
} found;

static const ft_role roles[NUM_MAPS] = {
    [MAP_Q] = FT_ROLE_Q,       [MAP_K] = FT_ROLE_K,   [MAP_V] = FT_ROLE_V,      [MAP_O] = FT_ROLE_O,
    [MAP_GATE] = FT_ROLE_GATE, [MAP_UP] = FT_ROLE_UP, [MAP_DOWN] = FT_ROLE_DOWN};

static void look_at(found *f, ft_part_kind part, const ft_tensor *t) {
  f->own_a = f->own_a || part == FT_PART_A;
  f->output_scale = f->output_scale || part == FT_PART_MAGNITUDE || part == FT_PART_OUTPUT_SCALE;
  f->input_scale = f->input_scale || part == FT_PART_INPUT_SCALE;
  if (part == FT_PART_B) f->rank = FT_MAX(f->rank, t->cols);
}

static found find(const ft_model *m, map_slot slot) {
  const int64_t ins[] = {0, m->d, m->d, m->d, m->q, m->d, m->d, m->f};
  const int64_t outs[] = {0, m->q, m->kv, m->kv, m->d, m->f, m->f, m->d};
  found f = {.in = ins[slot], .out = outs[slot]};
  for (int64_t layer = 0; layer < m->arch.layers; layer++)
    for (int part = 0; part < FT_PART_NUM; part++) {
      const ft_tensor *t;
      ft_role role = ft_role_part(roles[slot], (ft_part_kind)part);
      ft_layout_find(m->layout, &m->layout->layers[layer], role, &t);
      if (t) look_at(&f, (ft_part_kind)part, t);
    }
  return f;
}

/* Memory for `count` elements, or NULL for none. */
static ft_err room(ft_model *m, ft_owner owner, int64_t count, size_t size, void *pointer) {
  void **out = pointer;
  *out = NULL;
  return count > 0 ? ft_model_alloc(m, owner, count, size, out) : FT_OK;
}

ft_err ft_beside_alloc_layer(ft_model *m, int64_t tokens, layer_activations *a) {
  ft_err err = FT_OK;
  const size_t e = ft_dtype_bytes(m->type);
  for (int i = MAP_Q; i < NUM_MAPS; i++) {
    const found f = find(m, (map_slot)i);
    FT_TRY(room(m, FT_MEM_ACTIVATIONS, f.own_a ? tokens * f.rank : 0, e, &a->reduced[i]));
    FT_TRY(room(m, FT_MEM_ACTIVATIONS, f.output_scale ? tokens * f.out : 0, e, &a->unscaled[i]));
  }
out:
  return err;
}

/* Vectors of a map's scales, and the gradient of its A x. */
static ft_err alloc_map(ft_model *m, int64_t tokens, int slot, const found *f) {
  ft_err err = FT_OK;
  const size_t f32 = sizeof(float);
  bool scales = f->output_scale || f->input_scale, training = m->options.training;
  int64_t length = FT_MAX(f->in, f->out);
  FT_TRY(room(m, FT_MEM_WORKSPACE, training ? tokens * f->rank : 0, ft_dtype_bytes(m->type),
              &m->d_reduced[slot]));
  FT_TRY(room(m, FT_MEM_WORKSPACE, scales ? 2 * length : 0, f32, &m->factors[slot]));
  FT_TRY(room(m, FT_MEM_WORKSPACE, scales ? length : 0, f32, &m->d_factors[slot]));
  bool behind = f->output_scale && f->rank > 0;
  FT_TRY(room(m, FT_MEM_WORKSPACE, behind ? f->out : 0, f32, &m->d_bias[slot]));
out:
  return err;
}

ft_err ft_beside_alloc(ft_model *m, int64_t tokens) {
  ft_err err = FT_OK;
  const size_t e = ft_dtype_bytes(m->type);
  int64_t scaled = 0, dropped = 0, norms = 0;
  for (int i = MAP_Q; i < NUM_MAPS; i++) {
    const found f = find(m, (map_slot)i);
    FT_TRY(alloc_map(m, tokens, i, &f));
    if (f.output_scale || f.input_scale) scaled = FT_MAX(scaled, FT_MAX(f.in, f.out));
    if (f.rank > 0 && m->layout->method.dropout > 0) dropped = FT_MAX(dropped, f.in);
    if (f.rank > 0 && f.output_scale) norms = FT_MAX(norms, (2 * f.out + f.rank) * f.rank);
  }
  FT_TRY(room(m, FT_MEM_WORKSPACE, tokens * scaled, e, &m->scaled));
  FT_TRY(room(m, FT_MEM_WORKSPACE, tokens * dropped, e, &m->dropped));
  FT_TRY(room(m, FT_MEM_WORKSPACE, norms, sizeof(float), &m->beside_room));
out:
  return err;
}
