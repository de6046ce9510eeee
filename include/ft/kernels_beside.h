/* kernels, what methods put beside a linear map (arch_method.h): scales of columns, norms of the
 * rows of W + s B A, dropout. Rules as in kernels.h: every sum's order follows from shapes alone.
 */
#ifndef FT_KERNELS_BESIDE_H
#define FT_KERNELS_BESIDE_H

#include "ft/kernels.h"

/* y [rows, n] = x ⊙ c (+ bias): c [n] in f32, bias [n] of type or NULL. Strides in elements; y may
 * be x. */
void ft_scale_columns(ft_dtype type, int64_t rows, int64_t n, const void *x, int64_t x_stride,
                      const float *c, const void *bias, void *y, int64_t y_stride);
/* out [n] = Σ over rows of a ⊙ b, in double, rounded once to f32. */
void ft_sum_products(ft_dtype type, int64_t rows, int64_t n, const void *a, int64_t a_stride,
                     const void *b, int64_t b_stride, float *out);

/* norms [out] of the rows of W + s · B · A; W [out, in], A [rank, in], B [out, rank], of type.
 * Never makes the sum: ‖w + s b A‖² = ‖w‖² + 2 s b · (A w) + s² b (A Aᵀ) bᵀ. room [(2 out + rank)
 * rank] is overwritten. Errors: as a matmul's. */
ft_err ft_low_rank_row_norms(ft_dtype type, int64_t out, int64_t in, int64_t rank, float s,
                             const void *w, const void *a, const void *b, float *room,
                             float *norms);

/* Names the random numbers of one use of dropout: element e is kept or not by word e mod 4 at index
 * first + ⌊e / 4⌋ of (seed, FT_RANDOM_DROPOUT, step). */
typedef struct ft_dropout {
  float share; /* of elements that are left out, 0 … 1 */
  uint64_t seed, step, first;
} ft_dropout;
/* y = x / (1 - share) where an element is kept, else 0. y may be x. */
void ft_dropout_forward(const ft_dropout *d, ft_dtype type, void *y, const void *x, int64_t count);
/* dx += the same of dy. */
void ft_dropout_backward(const ft_dropout *d, ft_dtype type, void *dx, const void *dy,
                         int64_t count);

#endif
