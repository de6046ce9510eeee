/* First values of what a method adds to a model (arch_method.h says what each part begins with): a
 * function of seed, tensor and element, and of the frozen weights. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- values */

typedef enum law { LAW_UNIFORM, LAW_NORMAL, LAW_CONSTANT } law;

/* How the elements of a tensor begin: ± width, width · N(0, 1), or width. */
typedef struct beginning {
  law law;
  double width;
} beginning;

static beginning beginning_of_part(const ft_tensor *t, ft_role map, ft_part_kind part) {
  bool look_up = map == FT_ROLE_EMBEDDING;
  switch (part) {
  case FT_PART_A: /* as a linear map of its own (He et al. 2015, with a slope of √5) */
    return (beginning){look_up ? LAW_CONSTANT : LAW_UNIFORM,
                       look_up ? 0 : 1 / sqrt((double)t->cols)};
  case FT_PART_B:
    return (beginning){look_up ? LAW_NORMAL : LAW_CONSTANT, look_up ? 1 : 0};
  default:
    return (beginning){LAW_CONSTANT, 1};
  }
}

static beginning beginning_of(const ft_tensor *t) {
  ft_role map;
  ft_part_kind part;
  if (ft_role_is_part(t->role, &map, &part)) return beginning_of_part(t, map, part);
  if ((int)t->role == FT_ROLE_PROMPT || (int)t->role == FT_ROLE_PREFIX)
    return (beginning){LAW_NORMAL, 1};
  return t->num_dims == 2 ? (beginning){LAW_NORMAL, 0.02} : (beginning){LAW_CONSTANT, 0};
}

static float value_of(const beginning *b, uint64_t seed, uint64_t tensor, int64_t element) {
  uint64_t index = (uint64_t)element;
  if (b->law == LAW_UNIFORM)
    return (float)((2 * ft_random_uniform(seed, FT_RANDOM_ADAPTER, tensor, index) - 1) * b->width);
  if (b->law == LAW_NORMAL)
    return (float)(ft_random_normal(seed, FT_RANDOM_ADAPTER, tensor, index) * b->width);
  return (float)b->width;
}

/* ---------------------------------------------------------------- setting */

/* Sets elements first … of a tensor as far as this rank keeps them, from values(element). */
typedef struct source {
  beginning beginning;
  uint64_t seed, tensor;
  const float *values; /* of all elements; NULL: by the beginning */
} source;

static void set_range(ft_model *m, int64_t block, int64_t offset, const source *s, int64_t first,
                      int64_t end) {
  float values[1024];
  for (int64_t at = first, n; at < end; at += n) {
    n = FT_MIN(end - at, (int64_t)FT_ARRAY_SIZE(values));
    for (int64_t i = 0; i < n; i++)
      values[i] =
          s->values ? s->values[at + i] : value_of(&s->beginning, s->seed, s->tensor, at + i);
    ft_shard_set_weights(m->shard, block, offset + at, n, values);
  }
}

static void set_tensor(ft_model *m, int64_t block, const ft_tensor *t, const source *s) {
  int64_t num;
  const ft_range *ranges = ft_shard_kept_ranges(m->shard, block, &num);
  for (int64_t i = 0; i < num; i++) {
    int64_t first = FT_MAX(ranges[i].start - t->offset, 0);
    int64_t end = FT_MIN(ranges[i].start + ranges[i].count - t->offset, ft_tensor_elements(t));
    if (first < end) set_range(m, block, t->offset, s, first, end);
  }
}

/* Of one block, what does not depend on the model. */
static void start_block(ft_model *m, int64_t block) {
  const ft_block *b = &m->layout->blocks[block];
  for (int i = 0; b->trained && i < b->num_tensors; i++) {
    const ft_tensor *t = &b->tensors[i];
    if (ft_role_is_own(t->role)) continue;
    const source s = {.beginning = beginning_of(t),
                      .seed = m->options.seed,
                      .tensor = ft_element_number(block, t->offset)};
    set_tensor(m, block, t, &s);
  }
}

/* ---------------------------------------------------------------- from the model */

/* A of a map, or of the one that it is one tensor with in the files. */
static const void *a_of(const unit_weights *w, ft_role map) {
  const void *own = w->of[ft_role_part(map, FT_PART_A)];
  ft_role leader = ft_maps[ft_maps[ft_map_of(map)].leader].weight;
  return own ? own : w->of[ft_role_part(leader, FT_PART_A)];
}

/* Magnitudes are the norms of rows, B being zero. */
static ft_err start_magnitude(ft_model *m, const unit_weights *w, int64_t block,
                              const ft_tensor *t) {
  ft_err err = FT_OK;
  ft_role map;
  ft_part_kind part;
  void *norms = NULL;
  if (!ft_role_is_part(t->role, &map, &part) || part != FT_PART_MAGNITUDE) return FT_OK;
  const ft_tensor *weight = w->shape[map], *b = w->shape[ft_role_part(map, FT_PART_B)];
  FT_TRY(ft_alloc_array(FT_MEM_WORKSPACE, weight->rows, sizeof(float), &norms));
  FT_TRY(ft_low_rank_row_norms(m->type, weight->rows, weight->cols, b->cols, 0, w->of[map],
                               a_of(w, map), w->of[ft_role_part(map, FT_PART_B)], m->beside_room,
                               norms));
  set_tensor(m, block, t, &(source){.values = norms});
out:
  ft_free(norms);
  return err;
}

static ft_err start_magnitudes(ft_model *m) {
  ft_err err = FT_OK;
  ft_shard_begin_pass(m->shard, m->forward_order + m->layout->embedding.num_blocks,
                      m->num_forward_order - m->layout->embedding.num_blocks);
  for (int64_t layer = 0; layer < m->arch.layers; layer++) {
    const ft_unit *unit = &m->layout->layers[layer];
    unit_weights w;
    FT_TRY(ft_unit_acquire(m, unit, &w));
    for (int i = 0; i < unit->num_blocks; i++) {
      const ft_block *b = &m->layout->blocks[unit->blocks[i]];
      for (int k = 0; k < b->num_tensors; k++)
        FT_TRY(start_magnitude(m, &w, unit->blocks[i], &b->tensors[k]));
    }
    ft_unit_release(m, unit);
  }
out:
  return err;
}

/* The prompt's rows are those of tokens. */
static ft_err start_prompt(ft_model *m, const uint32_t *tokens) {
  ft_err err = FT_OK;
  const ft_unit *unit = &m->layout->embedding;
  const ft_tensor *prompt;
  unit_weights w;
  void *rows = NULL, *values = NULL;
  int64_t block = ft_layout_find(m->layout, unit, (ft_role)FT_ROLE_PROMPT, &prompt);
  FT_ASSERT(block >= 0);
  int64_t count = ft_tensor_elements(prompt);
  FT_TRY(ft_alloc_array(FT_MEM_WORKSPACE, count, ft_dtype_bytes(m->type), &rows));
  FT_TRY(ft_alloc_array(FT_MEM_WORKSPACE, count, sizeof(float), &values));
  ft_shard_begin_pass(m->shard, m->forward_order, unit->num_blocks);
  FT_TRY(ft_unit_acquire(m, unit, &w));
  const ft_embedding table = {
      .table = w.of[FT_ROLE_EMBEDDING], .ids = tokens, .scale = ft_embedding_scale_inside(m)};
  ft_embeddings_forward(m->type, rows, &table, 1, prompt->rows, m->d);
  ft_unit_release(m, unit);
  ft_convert(FT_F32, values, m->type, rows, count);
  set_tensor(m, block, prompt, &(source){.values = values});
out:
  ft_free(rows);
  ft_free(values);
  return err;
}

static bool has_magnitudes(const ft_layout *l) {
  ft_part_kind part;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; i < l->blocks[b].num_tensors; i++)
      if (ft_role_is_part(l->blocks[b].tensors[i].role, NULL, &part) && part == FT_PART_MAGNITUDE)
        return true;
  return false;
}

ft_err ft_model_start_method(ft_model *m, const uint32_t *prompt) {
  ft_err err = FT_OK;
  for (int64_t b = 0; b < m->layout->num_blocks; b++)
    start_block(m, b);
  FT_TRY(ft_shard_weights_changed(m->shard));
  if (prompt) FT_TRY(start_prompt(m, prompt));
  if (has_magnitudes(m->layout)) FT_TRY(start_magnitudes(m));
  if (prompt || has_magnitudes(m->layout)) FT_TRY(ft_shard_weights_changed(m->shard));
out:
  return err;
}
