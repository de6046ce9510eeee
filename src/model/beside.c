/* What a method puts beside a linear map (arch_method.h): a low-rank part, an output scale (a
 * vector, or DoRA's magnitude over the norms of rows), an input scale.
 *
 *   y = f ⊙ (W (l ⊙ x) + s · B (A x)) + b       b inside of the parentheses without a magnitude
 *
 * In bf16 s · A x is rounded once, the two products are added in f32. Norms of rows are constants
 * to the backward pass (Liu et al. 2024, 4.3). */
#include <string.h>

#include "beside.h"

/* ---------------------------------------------------------------- what there is */

static const void *part_of(const linear *l, const unit_weights *w, ft_part_kind part) {
  return l->slot == FT_MAP_NONE ? NULL : w->of[ft_role_part(l->weight, part)];
}

/* The map whose A this one uses: itself, or the one that it is one tensor with in the files. */
typedef struct low_rank {
  const void *a, *b;
  int64_t rank;
  float scale;
  ft_map_slot slot; /* where A x is kept */
  bool own_a;
} low_rank;

static low_rank low_rank_of(const linear *l, const unit_weights *w) {
  low_rank r = {.b = part_of(l, w, FT_PART_B)};
  if (!r.b) return r;
  r.own_a = part_of(l, w, FT_PART_A) != NULL;
  r.slot = r.own_a ? l->slot : ft_maps[l->slot].leader;
  ft_role a = ft_role_part(ft_maps[r.slot].weight, FT_PART_A);
  r.a = w->of[a];
  r.scale = w->shape[a]->scale;
  r.rank = w->shape[a]->rows;
  return r;
}

bool ft_beside_any(const linear *l, const unit_weights *w) {
  return part_of(l, w, FT_PART_B) || part_of(l, w, FT_PART_OUTPUT_SCALE) ||
         part_of(l, w, FT_PART_INPUT_SCALE);
}

bool ft_beside_scales(const linear *l, const unit_weights *w, bool *with_bias) {
  bool magnitude = part_of(l, w, FT_PART_MAGNITUDE) != NULL;
  *with_bias = !magnitude;
  return magnitude || part_of(l, w, FT_PART_OUTPUT_SCALE);
}

/* ---------------------------------------------------------------- dropout */

/* A stretch of random numbers for each map of each layer, and for the head (layer -1) the one that
 * no map has. */
static ft_dropout dropout_of(const ft_model *m, const unit_weights *w, ft_map_slot slot) {
  return (ft_dropout){.share = m->dropout,
                      .seed = m->options.seed,
                      .step = m->draw,
                      .first = (uint64_t)(w->layer * (FT_MAP_DOWN + 1) + (int64_t)slot) << 40};
}

const void *ft_beside_dropped(ft_model *m, const unit_weights *w, ft_map_slot slot, const void *x,
                              int64_t count) {
  const ft_dropout d = dropout_of(m, w, slot);
  if (!(m->dropout > 0)) return x;
  ft_dropout_forward(&d, m->type, m->dropped, x, count);
  return m->dropped;
}

void ft_beside_undrop(const ft_model *m, const unit_weights *w, ft_map_slot slot, void *dx,
                      const void *d_dropped, int64_t count) {
  const ft_dropout d = dropout_of(m, w, slot);
  ft_dropout_backward(&d, m->type, dx, d_dropped, count);
}

/* ---------------------------------------------------------------- forward */

/* The factors as f32. */
static void read_scale(ft_model *m, const linear *l, const void *scale, int64_t length) {
  ft_convert(FT_F32, m->factors[l->slot], m->type, scale, length);
}

const void *ft_beside_input(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                            const void *x) {
  const void *scale = part_of(l, w, FT_PART_INPUT_SCALE);
  if (!scale) return x;
  read_scale(m, l, scale, l->in);
  ft_scale_columns(m->type, tokens, l->in, x, l->in, m->factors[l->slot], NULL, m->scaled, l->in);
  return m->scaled;
}

ft_err ft_beside_add(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                     const void *x, void *y, int64_t y_stride, const layer_activations *a) {
  ft_err err = FT_OK;
  const low_rank r = low_rank_of(l, w);
  if (!r.b) return FT_OK;
  void *reduced = a->reduced[r.slot];
  if (r.own_a) {
    const void *input = ft_beside_dropped(m, w, l->slot, x, tokens * l->in);
    FT_TRY(ft_matmul_forward(&(ft_matmul){.type = m->type,
                                          .out_type = m->type,
                                          .m = tokens,
                                          .n = r.rank,
                                          .k = l->in,
                                          .x = input,
                                          .x_stride = l->in,
                                          .w = r.a,
                                          .out = reduced,
                                          .out_stride = r.rank,
                                          .rows_alone = m->rows_alone}));
    ft_scale(m->type, reduced, reduced, r.scale, tokens * r.rank);
  }
  if (y)
    FT_TRY(ft_matmul_forward(&(ft_matmul){.type = m->type,
                                          .out_type = m->type,
                                          .m = tokens,
                                          .n = l->out,
                                          .k = r.rank,
                                          .x = reduced,
                                          .x_stride = r.rank,
                                          .w = r.b,
                                          .out = y,
                                          .out_stride = y_stride,
                                          .accumulate = true,
                                          .rows_alone = m->rows_alone}));
out:
  return err;
}

/* m->factors of an output scale: the vector itself, or magnitude over norm, and then the norms. */
static ft_err find_factors(ft_model *m, const linear *l, const unit_weights *w) {
  ft_err err = FT_OK;
  const void *magnitude = part_of(l, w, FT_PART_MAGNITUDE);
  float *f = m->factors[l->slot], *norms = f + l->out;
  if (!magnitude) {
    read_scale(m, l, part_of(l, w, FT_PART_OUTPUT_SCALE), l->out);
    return FT_OK;
  }
  const low_rank r = low_rank_of(l, w);
  read_scale(m, l, magnitude, l->out);
  FT_TRY(ft_low_rank_row_norms(m->type, l->out, l->in, r.rank, r.scale, w->of[l->weight], r.a, r.b,
                               m->beside_room, norms));
  for (int64_t i = 0; i < l->out; i++)
    f[i] /= norms[i];
out:
  return err;
}

ft_err ft_beside_scale(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens, void *y,
                       int64_t y_stride, const layer_activations *a) {
  ft_err err = FT_OK;
  bool with_bias;
  void *kept = a->unscaled[l->slot];
  size_t row_bytes = (size_t)l->out * ft_dtype_bytes(m->type);
  ft_beside_scales(l, w, &with_bias);
  FT_TRY(find_factors(m, l, w));
  for (int64_t i = 0; i < tokens; i++)
    memcpy(ft_model_at_mut(m, kept, i * l->out), ft_model_at(m, y, i * y_stride), row_bytes);
  ft_scale_columns(m->type, tokens, l->out, kept, l->out, m->factors[l->slot],
                   with_bias ? NULL : w->of[l->bias], y, y_stride);
out:
  return err;
}

/* ---------------------------------------------------------------- backward */

/* Through the output scale: its gradient, the bias' if that comes after it, and dy before it. */
static ft_err scale_backward(ft_model *m, const unit_weights *w, void *scaled, linear_gradient *g) {
  ft_err err = FT_OK;
  const linear *l = g->map;
  bool with_bias, magnitude = part_of(l, w, FT_PART_MAGNITUDE) != NULL;
  float *d = m->d_factors[l->slot];
  if (!ft_beside_scales(l, w, &with_bias)) return FT_OK;
  FT_TRY(find_factors(m, l, w));
  const float *f = m->factors[l->slot], *norms = f + l->out;
  ft_sum_products(m->type, g->tokens, l->out, g->dy, g->stride, g->a->unscaled[l->slot], l->out, d);
  for (int64_t i = 0; magnitude && i < l->out; i++)
    d[i] /= norms[i];
  if (!with_bias && ft_gradient_tensor(m, l->bias) >= 0) {
    ft_bias_backward(m->type, FT_F32, g->tokens, l->out, g->dy, g->stride, m->d_bias[l->slot]);
    g->d_bias = m->d_bias[l->slot];
  }
  ft_scale_columns(m->type, g->tokens, l->out, g->dy, g->stride, f, NULL, scaled, g->stride);
  g->dy = scaled;
out:
  return err;
}

ft_err ft_beside_backward(ft_model *m, const unit_weights *w, void *scaled, linear_gradient *g) {
  ft_err err = FT_OK;
  const linear *l = g->map;
  FT_TRY(scale_backward(m, w, scaled, g));
  const low_rank r = low_rank_of(l, w);
  if (!r.b) goto out;
  void *d = m->d_reduced[l->slot];
  FT_TRY(ft_matmul_backward_input(&(ft_matmul){.type = m->type,
                                               .out_type = m->type,
                                               .m = g->tokens,
                                               .n = l->out,
                                               .k = r.rank,
                                               .dy = g->dy,
                                               .dy_stride = g->stride,
                                               .w = r.b,
                                               .out = d,
                                               .out_stride = r.rank}));
  ft_scale(m->type, d, d, r.scale, g->tokens * r.rank);
out:
  return err;
}

ft_err ft_beside_backward_input(ft_model *m, const linear_gradient *g, const unit_weights *w,
                                void *dx) {
  ft_err err = FT_OK;
  const linear *l = g->map;
  const low_rank r = low_rank_of(l, w);
  const void *scale = part_of(l, w, FT_PART_INPUT_SCALE);
  int64_t count = g->tokens * l->in;
  if (scale) {
    read_scale(m, l, scale, l->in);
    memcpy(m->scaled, dx, (size_t)count * ft_dtype_bytes(m->type)); /* for the scale's gradient */
    ft_scale_columns(m->type, g->tokens, l->in, dx, l->in, m->factors[l->slot], NULL, dx, l->in);
  }
  if (!r.own_a) goto out; /* what came through others that use an A is in its owner's d_reduced */
  bool drops = m->dropout > 0;
  FT_TRY(ft_matmul_backward_input(&(ft_matmul){.type = m->type,
                                               .out_type = m->type,
                                               .m = g->tokens,
                                               .n = r.rank,
                                               .k = l->in,
                                               .dy = m->d_reduced[l->slot],
                                               .dy_stride = r.rank,
                                               .w = r.a,
                                               .out = drops ? m->dropped : dx,
                                               .out_stride = l->in,
                                               .accumulate = !drops}));
  if (drops) ft_beside_undrop(m, w, r.slot, dx, m->dropped, count);
out:
  return err;
}

/* ---------------------------------------------------------------- gradients on their way */

/* All but A. */
static ft_err send_parts(ft_model *m, const linear_gradient *g, const unit_weights *w,
                         const void *x) {
  ft_err err = FT_OK;
  const linear *l = g->map;
  const low_rank r = low_rank_of(l, w);
  float *d = m->d_factors[l->slot];
  FT_TRY(ft_gradient_send_vector(m, ft_role_part(l->weight, FT_PART_MAGNITUDE), d));
  FT_TRY(ft_gradient_send_vector(m, ft_role_part(l->weight, FT_PART_OUTPUT_SCALE), d));
  if (part_of(l, w, FT_PART_INPUT_SCALE)) {
    ft_sum_products(m->type, g->tokens, l->in, m->scaled, l->in, x, l->in, d);
    FT_TRY(ft_gradient_send_vector(m, ft_role_part(l->weight, FT_PART_INPUT_SCALE), d));
  }
  if (r.b)
    FT_TRY(ft_gradient_send_matrix(m, ft_role_part(l->weight, FT_PART_B), g->tokens, g->dy,
                                   g->stride, g->a->reduced[r.slot], r.rank));
out:
  return err;
}

/* A's, where others use it too from the sum of what came through all of them, which is left in
 * d_reduced: these maps' gradients are sent before they go on to the input. */
static ft_err send_a(ft_model *m, const linear_gradient *maps, int num, int i,
                     const unit_weights *w, const void *x) {
  const linear *l = maps[i].map;
  const low_rank r = low_rank_of(l, w);
  int64_t count = maps[i].tokens * r.rank;
  if (!r.own_a) return FT_OK;
  for (int k = 0; k < num; k++) {
    const low_rank other = low_rank_of(maps[k].map, w);
    if (k != i && other.b && !other.own_a && other.slot == l->slot)
      ft_add_scaled(m->type, m->d_reduced[l->slot], m->d_reduced[l->slot],
                    m->d_reduced[maps[k].map->slot], 1, count);
  }
  return ft_gradient_send_matrix(
      m, ft_role_part(l->weight, FT_PART_A), maps[i].tokens, m->d_reduced[l->slot], r.rank,
      ft_beside_dropped(m, w, l->slot, x, maps[i].tokens * l->in), l->in);
}

ft_err ft_beside_send(ft_model *m, const linear_gradient *maps, int num, const unit_weights *w,
                      const void *x) {
  ft_err err = FT_OK;
  ft_time_enter(FT_TIME_BACKWARD_WEIGHT);
  for (int i = 0; i < num; i++)
    FT_TRY(send_parts(m, &maps[i], w, x));
  for (int i = 0; i < num; i++)
    FT_TRY(send_a(m, maps, num, i, w, x));
out:
  return err;
}
