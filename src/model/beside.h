/* Inside model: what a method puts beside linear maps (beside.c), and beside the embedding and the
 * head (beside_ends.c). */
#ifndef FT_MODEL_BESIDE_H
#define FT_MODEL_BESIDE_H

#include "internal.h"

/* ---------------------------------------------------------------- beside_room.c */

/* Fills m->needs from the layout; before the next two. */
void ft_beside_find(ft_model *m);
/* Allocates what the method needs, for the model and for each layer's activations. */
ft_err ft_beside_alloc(ft_model *m, int64_t tokens);
ft_err ft_beside_alloc_layer(ft_model *m, int64_t tokens, layer_activations *a);
/* Whether anything stands beside the map. */
bool ft_beside_any(const linear *l, const unit_weights *w);

/* The input that the map's matrix is multiplied with: x, or x after its scale, in m->scaled. */
const void *ft_beside_input(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                            const void *x);
/* Adds the low-rank part of x to y, and keeps A x; y NULL: only keeps it. */
ft_err ft_beside_add(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                     const void *x, void *y, int64_t y_stride, const layer_activations *a);
/* Whether the map's output is scaled; then its bias (with_bias false) comes after the scale. */
bool ft_beside_scales(const linear *l, const unit_weights *w, bool *with_bias);
/* y = y ⊙ factors (+ bias), and keeps y as it was. */
ft_err ft_beside_scale(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens, void *y,
                       int64_t y_stride, const layer_activations *a);
/* Their parts of the backward pass: of ft_linear_backward (g->dy changes if there is an output
 * scale), and of ft_linear_backward_input, after the matrix' own product. */
ft_err ft_beside_backward(ft_model *m, const unit_weights *w, void *scaled, linear_gradient *g);
ft_err ft_beside_backward_input(ft_model *m, const linear_gradient *g, const unit_weights *w,
                                void *dx);
/* Sends the gradients of what stands beside maps of one input x [T, in], after those of the maps
 * themselves and ft_linear_backward_input of one with an input scale. */
ft_err ft_beside_send(ft_model *m, const linear_gradient *maps, int num, const unit_weights *w,
                      const void *x);

/* What A is multiplied with: x [count], or x after dropout, in m->dropped. */
const void *ft_beside_dropped(ft_model *m, const unit_weights *w, ft_map_slot slot, const void *x,
                              int64_t count);
/* The way back: dx += what came through the dropout. */
void ft_beside_undrop(const ft_model *m, const unit_weights *w, ft_map_slot slot, void *dx,
                      const void *d_dropped, int64_t count);

/* ---------------------------------------------------------------- beside_ends.c
 * All do nothing where there is no low-rank part. */

/* After ft_beside_find and ft_head_plan. */
ft_err ft_ends_alloc(ft_model *m, int64_t tokens);
/* sum [T, D] += the part of the embedding, whose rows are multiplied by embedding_scale. */
ft_err ft_embedding_add_low_rank(ft_model *m, const unit_weights *w, const ft_model_batch *batch,
                                 float embedding_scale, void *sum);
/* Sends its gradients from m->dx16. */
ft_err ft_embedding_send_low_rank(ft_model *m, const unit_weights *w, const ft_model_batch *batch,
                                  float embedding_scale, const head_rest *rest);
/* Of the head: keeps s · A h of m->head_h for `rows` rows, before the next. w: the head's unit, as
 * ft_head_acquire fills it. */
ft_err ft_head_reduce(ft_model *m, const unit_weights *w, int64_t rows);
/* logits of rows first … += the part. */
ft_err ft_head_add_low_rank(ft_model *m, const unit_weights *w, int64_t first, int64_t rows,
                            float *logits);
/* From m->d_logits of rows first …, as ft_head_rows_backward. */
ft_err ft_head_low_rank_rows_backward(ft_model *m, const unit_weights *w, int64_t first,
                                      int64_t rows, bool add);
/* After all rows: adds to m->branch, the gradient of head_h, and sends the part's gradients (of one
 * part for both ends they are kept for the embedding). */
ft_err ft_head_low_rank_backward(ft_model *m, const unit_weights *w, int64_t rows);

#endif
