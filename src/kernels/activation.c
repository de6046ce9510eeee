/* Activations, alone and gated, divided among threads by elements. */
#include <math.h>

#include "internal.h"

/* Elements that one thread takes at a time. */
enum { PIECE = 4096 };

/* xIELU with the factors themselves in place of the numbers that are trained: ln(1 + eᵃ). */
static ft_activation with_factors(const ft_activation *act) {
  ft_activation of = *act;
  if (act->kind != FT_ACT_XIELU) return of;
  of.alpha_p = (float)log1p(exp((double)act->alpha_p));
  of.alpha_n = (float)((double)act->beta + log1p(exp((double)act->alpha_n)));
  return of;
}

void ft_activation_forward(const ft_activation *act, ft_dtype type, void *y, const void *x,
                           int64_t count) {
  const ft_vector *vector = ft_vector_used();
  const ft_activation of = with_factors(act);
#pragma omp parallel for schedule(dynamic, 4) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->activation_forward(&of, type, FT_MIN((int64_t)PIECE, count - i), ft_at_out(type, y, i),
                               ft_at(type, x, i));
}

/* The trained numbers' gradients from sums [pieces, 2] of the factors': times the sigmoid, which is
 * the derivative of ln(1 + eᵃ). */
static void alpha_gradients(const ft_activation *act, int64_t pieces, const float *sums,
                            float *d_alpha) {
  double sum[2] = {0, 0}, alpha[2] = {(double)act->alpha_p, (double)act->alpha_n};
  for (int64_t p = 0; p < pieces; p++)
    for (int i = 0; i < 2; i++)
      sum[i] += (double)sums[2 * p + i];
  for (int i = 0; i < 2; i++)
    d_alpha[i] = (float)(sum[i] / (1.0 + exp(-alpha[i])));
}

void ft_activation_backward(const ft_activation *act, ft_dtype type, void *dx, void *y,
                            float *d_alpha, const void *dy, const void *x, int64_t count) {
  const ft_vector *vector = ft_vector_used();
  const ft_activation of = with_factors(act);
  const int64_t pieces = ft_ceil_div(count, PIECE);
  FT_ASSERT(!d_alpha || act->kind == FT_ACT_XIELU);
  float *sums = d_alpha ? ft_scratch_needed((size_t)(2 * pieces + 1) * sizeof *sums) : NULL;
#pragma omp parallel for schedule(dynamic, 4) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t p = 0; p < pieces; p++) {
    int64_t i = p * PIECE;
    float unwanted[2];
    vector->activation_backward(&of, type, FT_MIN((int64_t)PIECE, count - i),
                                ft_at_out(type, dx, i), y ? ft_at_out(type, y, i) : NULL,
                                sums ? sums + 2 * p : unwanted, ft_at(type, dy, i),
                                ft_at(type, x, i));
  }
  if (d_alpha) alpha_gradients(act, pieces, sums, d_alpha);
}

/* ---------------------------------------------------------------- gated */

/* Where one thread's elements lie: `count` of them, at `at` of arrays with a stride and at `dense`
 * of those without gaps. A matrix without gaps is one long row. */
typedef struct piece {
  int64_t at, dense, count;
} piece;

static ft_rows flattened(const ft_rows *shape) {
  FT_ASSERT(shape->heads == 1 && shape->stride >= shape->width);
  if (shape->stride != shape->width) return *shape;
  return ft_rows_whole(1, shape->rows * shape->width);
}

static piece piece_of(const ft_rows *shape, int64_t pieces_of_row, int64_t index) {
  int64_t row = index / pieces_of_row, column = index % pieces_of_row * PIECE;
  return (piece){.at = row * shape->stride + column,
                 .dense = row * shape->width + column,
                 .count = FT_MIN((int64_t)PIECE, shape->width - column)};
}

void ft_gated_forward(ft_activation_kind act, ft_dtype type, void *a, const void *gate,
                      const void *up, const ft_rows *shape) {
  const ft_vector *vector = ft_vector_used();
  const ft_rows flat = flattened(shape);
  const int64_t of_row = ft_ceil_div(flat.width, PIECE), pieces = flat.rows * of_row;
  FT_ASSERT(act < FT_ACT_NUM && act != FT_ACT_XIELU);
#pragma omp parallel for schedule(dynamic, 4) if (flat.rows * flat.width > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < pieces; i++) {
    piece p = piece_of(&flat, of_row, i);
    vector->gated_forward(act, type, p.count, ft_at_out(type, a, p.dense), ft_at(type, gate, p.at),
                          ft_at(type, up, p.at));
  }
}

void ft_gated_backward(ft_activation_kind act, ft_dtype type, void *dgate, void *dup, void *a,
                       const void *da, const void *gate, const void *up, const ft_rows *shape) {
  const ft_vector *vector = ft_vector_used();
  const ft_rows flat = flattened(shape);
  const int64_t of_row = ft_ceil_div(flat.width, PIECE), pieces = flat.rows * of_row;
  FT_ASSERT(act < FT_ACT_NUM && act != FT_ACT_XIELU);
#pragma omp parallel for schedule(dynamic, 4) if (flat.rows * flat.width > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < pieces; i++) {
    piece p = piece_of(&flat, of_row, i);
    vector->gated_backward(act, type, p.count, ft_at_out(type, dgate, p.at),
                           ft_at_out(type, dup, p.at), a ? ft_at_out(type, a, p.dense) : NULL,
                           ft_at(type, da, p.dense), ft_at(type, gate, p.at),
                           ft_at(type, up, p.at));
  }
}
