/* Norms over rows, and over heads of rows. Each row is computed by one thread; the weight's
 * gradients are summed in parts that only the shape decides. Threads take pieces as they come: one
 * of them may share its core with the communication thread. */
#include <string.h>

#include "internal.h"

static int64_t elements(const ft_rows *shape) {
  return shape->rows * shape->heads * shape->width;
}

static void forward(const ft_norm *norm, ft_dtype type, const ft_norm_row *all, float *rstd,
                    const ft_rows *shape) {
  const ft_vector *vector = ft_vector_used();
  FT_ASSERT(!all->bias || norm->kind == FT_NORM_LAYER);
#pragma omp parallel for schedule(dynamic, 16) if (elements(shape) > FT_PARALLEL_ELEMENTS)
  for (int64_t r = 0; r < shape->rows; r++)
    for (int64_t h = 0; h < shape->heads; h++) {
      int64_t at = r * shape->stride + h * shape->width;
      ft_norm_row row = *all;
      row.y = ft_at_out(type, all->y, at);
      row.x = ft_at(type, all->x, at);
      if (all->branch) {
        row.branch = ft_at(type, all->branch, at);
        row.sum = ft_at_out(type, all->sum, at);
      }
      float of_row = vector->norm_forward(norm, type, shape->width, &row);
      if (rstd) rstd[r * shape->heads + h] = of_row;
    }
}

void ft_norm_forward(const ft_norm *norm, ft_dtype type, void *y, float *rstd, const void *x,
                     const void *w, const void *bias, const ft_rows *shape) {
  const ft_norm_row all = {.y = y, .x = x, .w = w, .bias = bias};
  forward(norm, type, &all, rstd, shape);
}

void ft_norm_sum_forward(const ft_norm *norm, ft_dtype type, void *y, void *sum, float *rstd,
                         const void *x, const void *branch, float multiplier, const void *w,
                         const void *bias, const ft_rows *shape) {
  const ft_norm_row all = {
      .y = y, .sum = sum, .x = x, .branch = branch, .multiplier = multiplier, .w = w, .bias = bias};
  forward(norm, type, &all, rstd, shape);
}

/* ---------------------------------------------------------------- backward */

/* Rows are divided into at most 64 parts, each with its own sum of the weight's gradient; the
 * parts' sums [parts, n] are added in their order. */
enum { PARTS = 64 };

static int64_t rows_of_part(int64_t rows) {
  return FT_MAX((int64_t)16, ft_ceil_div(rows, PARTS));
}

static void add_parts(int64_t parts, int64_t n, const float *sums, float *dw) {
#pragma omp parallel for schedule(static) if (parts * n > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < n; i++) {
    float sum = 0;
    for (int64_t p = 0; p < parts; p++)
      sum += sums[p * n + i];
    dw[i] = sum;
  }
}

void ft_norm_backward(const ft_norm *norm, ft_dtype type, const ft_norm_gradient *out,
                      const void *dy, const void *x, const float *rstd, const void *w,
                      const ft_rows *shape) {
  const ft_vector *vector = ft_vector_used();
  const int64_t n = shape->width, each = rows_of_part(shape->rows);
  const int64_t parts = ft_ceil_div(shape->rows, each);
  const int64_t num_sums = (out->dw ? parts : 0) + (out->db ? parts : 0);
  float *dw = NULL, *db = NULL;
  if (num_sums > 0) {
    float *sums = ft_scratch_needed((size_t)(num_sums * n) * sizeof *sums);
    if (out->dw) dw = sums;
    if (out->db) db = sums + (num_sums - parts) * n;
  }
#pragma omp parallel for schedule(dynamic, 1) if (elements(shape) > FT_PARALLEL_ELEMENTS)
  for (int64_t p = 0; p < parts; p++) {
    ft_norm_gradient row = {.accumulate = out->accumulate};
    if (dw) row.dw = memset(dw + p * n, 0, (size_t)n * sizeof *dw);
    if (db) row.db = memset(db + p * n, 0, (size_t)n * sizeof *db);
    for (int64_t r = p * each; r < FT_MIN((p + 1) * each, shape->rows); r++)
      for (int64_t h = 0; h < shape->heads; h++) {
        int64_t at = r * shape->stride + h * n;
        if (out->dx) row.dx = out->dx + at;
        if (out->dx16) row.dx16 = ft_at_out(type, out->dx16, at);
        vector->norm_backward(norm, type, n, &row, ft_at(type, dy, at), ft_at(type, x, at),
                              rstd[r * shape->heads + h], w);
      }
  }
  if (dw) add_parts(parts, n, dw, out->dw);
  if (db) add_parts(parts, n, db, out->db);
}
