/* Y = X · Wᵀ for the rows of generation, one a sequence: bound by reading W, which is read once as
 * it lies, for all rows. */
#include "internal.h"

enum { X_ROWS = FT_DOT_X_ROWS, W_ROWS = FT_DOT_W_ROWS };

/* Sums to where they belong: rows r0 … of X, columns j0 … of Y. */
static void put_rows(const ft_product *p, int64_t r0, int64_t rows, int64_t j0, int64_t n,
                     float y[][W_ROWS]) {
  const ft_vector *vector = ft_vector_used();
  float other[W_ROWS];
  for (int64_t r = 0; r < rows; r++) {
    void *out = ft_at_out(p->out_type, p->c, (r0 + r) * p->c_row + j0);
    if (p->bias) vector->accumulate(y[r], p->type, ft_at(p->type, p->bias, j0), n);
    if (p->accumulate) {
      vector->convert(FT_F32, other, p->out_type, out, n);
      vector->add_f32(n, y[r], other);
    }
    vector->convert(p->out_type, out, FT_F32, y[r], n);
  }
}

ft_err ft_rows_product(const ft_product *p) {
  const ft_vector *vector = ft_vector_used();
  ft_err err = ft_scratch_reserve(FT_DOT_SCRATCH * sizeof(float));
  if (err != FT_OK) return err;
#pragma omp parallel for schedule(static) if (p->n * p->k > FT_PARALLEL_ELEMENTS)
  for (int64_t j0 = 0; j0 < p->n; j0 += W_ROWS) {
    int64_t n = FT_MIN((int64_t)W_ROWS, p->n - j0);
    for (int64_t r0 = 0; r0 < p->m; r0 += X_ROWS) {
      float y[X_ROWS][W_ROWS];
      int64_t rows = FT_MIN((int64_t)X_ROWS, p->m - r0);
      vector->dot_rows(p->type, rows, n, p->k, ft_at(p->type, p->a, r0 * p->a_row), p->a_row,
                       ft_at(p->type, p->b, j0 * p->b_column), p->b_column, y, ft_scratch());
      put_rows(p, r0, rows, j0, n, y);
    }
  }
  return FT_OK;
}
