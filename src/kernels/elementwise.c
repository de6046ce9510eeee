/* Kernels whose work is divided by elements or rows: conversions, residual, SwiGLU, norms, rotary
 * embedding, AdamW. Each row or element is computed by one thread; sums over rows are taken in
 * parts that only the shape decides. Threads take pieces as they come: one of them may share its
 * core with the communication thread. */
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- conversions (one thread) */

void ft_round_stochastic(uint64_t seed, uint64_t step, uint64_t first, int64_t count,
                         const float *restrict in, uint16_t *restrict out) {
  FT_ASSERT(first % 8 == 0);
  uint64_t k = ft_random_key(seed, FT_RANDOM_ROUND);
  const uint32_t key[2] = {(uint32_t)k, (uint32_t)(k >> 32)};
  ft_vector_used()->round_stochastic(out, in, count, key, step, first);
}

void ft_convert(ft_dtype to, void *restrict out, ft_dtype from, const void *restrict in,
                int64_t count) {
  ft_vector_used()->convert(to, out, from, in, count);
}

void ft_accumulate(float *restrict accumulator, ft_dtype from, const void *restrict in,
                   int64_t count) {
  ft_vector_used()->accumulate(accumulator, from, in, count);
}

void ft_store_far(void *restrict out, const void *restrict in, size_t bytes) {
  ft_vector_used()->store_far(out, in, bytes);
}

double ft_sum_of_squares(const float *in, int64_t count) {
  return ft_vector_used()->sum_of_squares(in, count);
}

/* ---------------------------------------------------------------- by elements */

/* Elements that one thread takes at a time. */
enum { PIECE = 4096 };

void ft_add(ft_dtype type, int64_t count, const void *a, const void *b, void *out) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(dynamic, 4) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->add(type, FT_MIN((int64_t)PIECE, count - i), ft_at(type, a, i), ft_at(type, b, i),
                ft_at_out(type, out, i));
}

void ft_swiglu_forward(ft_dtype type, int64_t rows, int64_t n, const void *gate, const void *up,
                       void *a) {
  const ft_vector *vector = ft_vector_used();
  int64_t count = rows * n;
#pragma omp parallel for schedule(dynamic, 4) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->swiglu_forward(type, FT_MIN((int64_t)PIECE, count - i), ft_at(type, gate, i),
                           ft_at(type, up, i), ft_at_out(type, a, i));
}

void ft_swiglu_backward(ft_dtype type, int64_t rows, int64_t n, const void *da, const void *gate,
                        const void *up, void *dgate, void *dup, void *a) {
  const ft_vector *vector = ft_vector_used();
  int64_t count = rows * n;
#pragma omp parallel for schedule(dynamic, 4) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->swiglu_backward(type, FT_MIN((int64_t)PIECE, count - i), ft_at(type, da, i),
                            ft_at(type, gate, i), ft_at(type, up, i), ft_at_out(type, dgate, i),
                            ft_at_out(type, dup, i), a ? ft_at_out(type, a, i) : NULL);
}

void ft_adamw_update(const ft_adamw *a, int64_t count, float *restrict w, float *restrict m,
                     float *restrict v, const float *restrict g) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(static) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->adamw(a, FT_MIN((int64_t)PIECE, count - i), w + i, m + i, v + i, g + i);
}

/* ---------------------------------------------------------------- norms */

void ft_rmsnorm_forward(ft_dtype type, int64_t rows, int64_t n, const void *x, const void *residual,
                        void *sum_out, const void *w, float eps, void *y, float *rstd) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(dynamic, 16) if (rows * n > FT_PARALLEL_ELEMENTS)
  for (int64_t r = 0; r < rows; r++) {
    float of_row = vector->rmsnorm_forward(
        type, n, ft_at(type, x, r * n), residual ? ft_at(type, residual, r * n) : NULL,
        residual ? ft_at_out(type, sum_out, r * n) : NULL, w, eps, ft_at_out(type, y, r * n));
    if (rstd) rstd[r] = of_row;
  }
}

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

void ft_rmsnorm_backward(ft_dtype type, int64_t rows, int64_t n, const void *dy, const void *x,
                         const float *rstd, const void *w, float *dx, void *dx16, float *dw) {
  const ft_vector *vector = ft_vector_used();
  int64_t each = rows_of_part(rows), parts = ft_ceil_div(rows, each);
  float *sums = ft_scratch_needed((size_t)(parts * n) * sizeof *sums);
#pragma omp parallel for schedule(dynamic, 1) if (rows * n > FT_PARALLEL_ELEMENTS)
  for (int64_t p = 0; p < parts; p++) {
    memset(sums + p * n, 0, (size_t)n * sizeof *sums);
    for (int64_t r = p * each; r < FT_MIN((p + 1) * each, rows); r++)
      vector->rmsnorm_backward(type, n, ft_at(type, dy, r * n), ft_at(type, x, r * n), rstd[r], w,
                               dx + r * n, dx16 ? ft_at_out(type, dx16, r * n) : NULL,
                               sums + p * n);
  }
  add_parts(parts, n, sums, dw);
}

void ft_head_norm_forward(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim,
                          const void *x, int64_t stride, const void *w, float eps, void *y,
                          float *rstd) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(dynamic, 16) if (rows * heads * head_dim > FT_PARALLEL_ELEMENTS)
  for (int64_t r = 0; r < rows; r++)
    for (int64_t h = 0; h < heads; h++) {
      int64_t at = r * stride + h * head_dim;
      float of_head = vector->rmsnorm_forward(type, head_dim, ft_at(type, x, at), NULL, NULL, w,
                                              eps, ft_at_out(type, y, at));
      if (rstd) rstd[r * heads + h] = of_head;
    }
}

void ft_head_norm_backward(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim,
                           const void *dy, const void *x, int64_t stride, const float *rstd,
                           const void *w, void *dx, float *dw) {
  const ft_vector *vector = ft_vector_used();
  int64_t each = rows_of_part(rows), parts = ft_ceil_div(rows, each);
  float *sums = ft_scratch_needed((size_t)(parts * head_dim) * sizeof *sums);
#pragma omp parallel for schedule(dynamic, 1) if (rows * heads * head_dim > FT_PARALLEL_ELEMENTS)
  for (int64_t p = 0; p < parts; p++) {
    memset(sums + p * head_dim, 0, (size_t)head_dim * sizeof *sums);
    for (int64_t r = p * each; r < FT_MIN((p + 1) * each, rows); r++)
      for (int64_t h = 0; h < heads; h++) {
        int64_t at = r * stride + h * head_dim;
        vector->head_norm_backward(type, head_dim, ft_at(type, dy, at), ft_at(type, x, at),
                                   rstd[r * heads + h], w, ft_at_out(type, dx, at),
                                   sums + p * head_dim);
      }
  }
  add_parts(parts, head_dim, sums, dw);
}

/* ---------------------------------------------------------------- rotary embedding */

void ft_rotary(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim, void *x,
               int64_t stride, const int32_t *position, const float *inv_freq, bool backward) {
  enum { MOST = 1024 };
  const ft_vector *vector = ft_vector_used();
  int64_t half = head_dim / 2;
  FT_ASSERT(half <= MOST && head_dim % 2 == 0);
#pragma omp parallel for schedule(dynamic, 16) if (rows * heads * head_dim > FT_PARALLEL_ELEMENTS)
  for (int64_t r = 0; r < rows; r++) {
    float cosine[MOST], sine[MOST];
    vector->angles(half, position[r], inv_freq, cosine, sine);
    for (int64_t h = 0; h < heads; h++)
      vector->rotate(type, half, ft_at_out(type, x, r * stride + h * head_dim), cosine, sine,
                     backward);
  }
}
