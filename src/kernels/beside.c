/* What methods put beside a linear map. None of it is where time goes: products are (product.c), so
 * these are plain loops over the conversions of the instruction set at hand. */
#include <math.h>

#include "ft/kernels_beside.h"
#include "internal.h"

enum { PIECE = 256 };

/* ---------------------------------------------------------------- scales of columns */

void ft_scale_columns(ft_dtype type, int64_t rows, int64_t n, const void *x, int64_t x_stride,
                      const float *c, const void *bias, void *y, int64_t y_stride) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(static) if (rows * n > FT_PARALLEL_ELEMENTS)
  for (int64_t r = 0; r < rows; r++)
    for (int64_t at = 0; at < n; at += PIECE) {
      float values[PIECE], biases[PIECE] = {0};
      int64_t count = FT_MIN((int64_t)PIECE, n - at);
      vector->convert(FT_F32, values, type, ft_at(type, x, r * x_stride + at), count);
      if (bias) vector->convert(FT_F32, biases, type, ft_at(type, bias, at), count);
      for (int64_t i = 0; i < count; i++)
        values[i] = values[i] * c[at + i] + biases[i];
      vector->convert(type, ft_at_out(type, y, r * y_stride + at), FT_F32, values, count);
    }
}

void ft_sum_products(ft_dtype type, int64_t rows, int64_t n, const void *a, int64_t a_stride,
                     const void *b, int64_t b_stride, float *out) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(static) if (rows * n > FT_PARALLEL_ELEMENTS)
  for (int64_t at = 0; at < n; at += PIECE) {
    double sums[PIECE] = {0};
    float left[PIECE], right[PIECE];
    int64_t count = FT_MIN((int64_t)PIECE, n - at);
    for (int64_t r = 0; r < rows; r++) {
      vector->convert(FT_F32, left, type, ft_at(type, a, r * a_stride + at), count);
      vector->convert(FT_F32, right, type, ft_at(type, b, r * b_stride + at), count);
      for (int64_t i = 0; i < count; i++)
        sums[i] += (double)left[i] * (double)right[i];
    }
    for (int64_t i = 0; i < count; i++)
      out[at + i] = (float)sums[i];
  }
}

/* ---------------------------------------------------------------- norms of rows */

/* ‖w‖² of a row. */
static double row_squares(ft_dtype type, const void *w, int64_t in) {
  double sum = 0;
  float values[PIECE];
  for (int64_t at = 0; at < in; at += PIECE) {
    int64_t count = FT_MIN((int64_t)PIECE, in - at);
    ft_vector_used()->convert(FT_F32, values, type, ft_at(type, w, at), count);
    sum += ft_vector_used()->sum_of_squares(values, count);
  }
  return sum;
}

/* Of a row b of B: 2 s b · p + s² b G bᵀ, with p = A w and G = A Aᵀ. */
static double added_squares(const float *b, const float *p, const float *g, int64_t rank, float s) {
  double mixed = 0, square = 0;
  for (int64_t i = 0; i < rank; i++) {
    double row = 0;
    for (int64_t k = 0; k < rank; k++)
      row += (double)g[i * rank + k] * (double)b[k];
    mixed += (double)b[i] * (double)p[i];
    square += (double)b[i] * row;
  }
  return 2 * (double)s * mixed + (double)s * (double)s * square;
}

ft_err ft_low_rank_row_norms(ft_dtype type, int64_t out, int64_t in, int64_t rank, float s,
                             const void *w, const void *a, const void *b, float *room,
                             float *norms) {
  ft_err err = FT_OK;
  float *products = room, *gram = products + out * rank, *rows = gram + rank * rank;
  ft_matmul product = {.type = type,
                       .out_type = FT_F32,
                       .m = out,
                       .n = rank,
                       .k = in,
                       .x = w,
                       .x_stride = in,
                       .w = a,
                       .out = products,
                       .out_stride = rank};
  FT_TRY(ft_matmul_forward(&product));
  product.m = rank;
  product.x = a;
  product.out = gram;
  FT_TRY(ft_matmul_forward(&product));
  ft_convert(FT_F32, rows, type, b, out * rank);
#pragma omp parallel for schedule(static) if (out * in > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < out; i++)
    norms[i] = (float)sqrt(row_squares(type, ft_at(type, w, i * in), in) +
                           added_squares(rows + i * rank, products + i * rank, gram, rank, s));
out:
  return err;
}

/* ---------------------------------------------------------------- dropout */

/* What elements at … at+count-1 (at a multiple of four) are multiplied by. */
static void factors(const ft_dropout *d, int64_t at, int64_t count, float *out) {
  const float kept = 1 / (1 - d->share);
  const double limit = (double)d->share * 4294967296.0; /* words below it leave their element out */
  for (int64_t i = 0; i < count; i += 4) {
    uint32_t words[4];
    ft_random_words(d->seed, FT_RANDOM_DROPOUT, d->step, d->first + (uint64_t)(at + i) / 4, words);
    for (int64_t k = 0; k < 4 && i + k < count; k++)
      out[i + k] = (double)words[k] < limit ? 0 : kept;
  }
}

static void drop(const ft_dropout *d, ft_dtype type, void *out, const void *in, int64_t count,
                 bool add) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(static) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t at = 0; at < count; at += PIECE) {
    float values[PIECE], times[PIECE], sums[PIECE] = {0};
    int64_t n = FT_MIN((int64_t)PIECE, count - at);
    factors(d, at, n, times);
    vector->convert(FT_F32, values, type, ft_at(type, in, at), n);
    if (add) vector->convert(FT_F32, sums, type, ft_at(type, out, at), n);
    for (int64_t i = 0; i < n; i++)
      sums[i] += values[i] * times[i];
    vector->convert(type, ft_at_out(type, out, at), FT_F32, sums, n);
  }
}

void ft_dropout_forward(const ft_dropout *d, ft_dtype type, void *y, const void *x, int64_t count) {
  drop(d, type, y, x, count, false);
}

void ft_dropout_backward(const ft_dropout *d, ft_dtype type, void *dx, const void *dy,
                         int64_t count) {
  drop(d, type, dx, dy, count, true);
}
