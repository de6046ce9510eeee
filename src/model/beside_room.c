/* Room for what stands beside the maps of layers (beside_ends.c has the others'): as much as the
 * layer with the most of it needs.
 */
#include <string.h>

#include "beside.h"

static void look_at(map_needs *f, ft_part_kind part, const ft_tensor *t) {
  f->own_a = f->own_a || part == FT_PART_A;
  f->output_scale = f->output_scale || part == FT_PART_MAGNITUDE || part == FT_PART_OUTPUT_SCALE;
  f->input_scale = f->input_scale || part == FT_PART_INPUT_SCALE;
  if (part == FT_PART_B) f->rank = FT_MAX(f->rank, t->cols);
}

void ft_beside_find(ft_model *m) {
  const ft_layout *l = m->layout;
  const map_needs maps[FT_MAP_NUM] = {
      [FT_MAP_Q] = {.in = m->d, .out = m->q},    [FT_MAP_K] = {.in = m->d, .out = m->kv},
      [FT_MAP_V] = {.in = m->d, .out = m->kv},   [FT_MAP_O] = {.in = m->q, .out = m->d},
      [FT_MAP_GATE] = {.in = m->d, .out = m->f}, [FT_MAP_UP] = {.in = m->d, .out = m->f},
      [FT_MAP_DOWN] = {.in = m->f, .out = m->d}};
  memcpy(m->needs, maps, sizeof maps);
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; i < l->blocks[b].num_tensors; i++) {
      const ft_tensor *t = &l->blocks[b].tensors[i];
      ft_role map;
      ft_part_kind part;
      if (ft_role_is_part(t->role, &map, &part)) look_at(&m->needs[ft_map_of(map)], part, t);
    }
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
  for (int i = FT_MAP_Q; i <= FT_MAP_DOWN; i++) {
    const map_needs *f = &m->needs[i];
    FT_TRY(room(m, FT_MEM_ACTIVATIONS, f->own_a ? tokens * f->rank : 0, e, &a->reduced[i]));
    FT_TRY(room(m, FT_MEM_ACTIVATIONS, f->output_scale ? tokens * f->out : 0, e, &a->unscaled[i]));
  }
out:
  return err;
}

/* Vectors of a map's scales, and the gradient of its A x. */
static ft_err alloc_map(ft_model *m, int64_t tokens, int slot, const map_needs *f) {
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
  for (int i = FT_MAP_Q; i <= FT_MAP_DOWN; i++) {
    const map_needs *f = &m->needs[i];
    FT_TRY(alloc_map(m, tokens, i, f));
    if (f->output_scale || f->input_scale) scaled = FT_MAX(scaled, FT_MAX(f->in, f->out));
    if (f->rank > 0 && m->layout->method.dropout > 0) dropped = FT_MAX(dropped, f->in);
    if (f->rank > 0 && f->output_scale) norms = FT_MAX(norms, (2 * f->out + f->rank) * f->rank);
  }
  bool head = m->needs[FT_MAP_HEAD].rank > 0 || m->layout->method.both_ends;
  if (head && m->layout->method.dropout > 0) dropped = FT_MAX(dropped, m->d);
  FT_TRY(room(m, FT_MEM_WORKSPACE, tokens * scaled, e, &m->scaled));
  FT_TRY(room(m, FT_MEM_WORKSPACE, tokens * dropped, e, &m->dropped));
  FT_TRY(room(m, FT_MEM_WORKSPACE, norms, sizeof(float), &m->beside_room));
  FT_TRY(ft_ends_alloc(m, tokens));
out:
  return err;
}
