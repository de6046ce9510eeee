/* Matmul: the three products of a linear layer as one form, and who computes it. */
#include "internal.h"

/* ---------------------------------------------------------------- few rows */

/* Y = X · Wᵀ for few rows: bound by reading W, which is read once as it lies. */
static ft_err few_rows(const ft_product *p) {
  enum { ROWS_OF_W = 64 };
  const ft_vector *vector = ft_vector_used();
  float *x;
  ft_err err = ft_scratch_shared((size_t)(p->m * p->k) * sizeof *x, (void **)&x);
  if (err != FT_OK) return err;
  for (int64_t r = 0; r < p->m; r++)
    vector->convert(FT_F32, x + r * p->k, p->type, ft_at(p->type, p->a, r * p->a_row), p->k);
#pragma omp parallel for schedule(static) if (p->n * p->k > FT_PARALLEL_ELEMENTS)
  for (int64_t j0 = 0; j0 < p->n; j0 += ROWS_OF_W) {
    float y[FT_FEW_ROWS * ROWS_OF_W], other[ROWS_OF_W];
    int64_t n = FT_MIN((int64_t)ROWS_OF_W, p->n - j0);
    vector->few_rows(p->type, p->m, n, p->k, x, ft_at(p->type, p->b, j0 * p->b_column), y,
                     ROWS_OF_W);
    for (int64_t r = 0; r < p->m; r++) {
      float *row = y + r * ROWS_OF_W;
      void *out = ft_at_out(p->out_type, p->c, r * p->c_row + j0);
      if (p->bias) vector->accumulate(row, p->type, ft_at(p->type, p->bias, j0), n);
      if (p->accumulate) {
        vector->convert(FT_F32, other, p->out_type, out, n);
        vector->add_f32(n, row, other);
      }
      vector->convert(p->out_type, out, FT_F32, row, n);
    }
  }
  return FT_OK;
}

/* ---------------------------------------------------------------- the three products */

/* What a library makes of a row may depend on how many there are; own kernels sum each element in
 * one way. */
static ft_err each_row(const ft_product *p, ft_err (*product)(const ft_product *)) {
  ft_err err = FT_OK;
  for (int64_t r = 0; r < p->m && err == FT_OK; r++) {
    ft_product row = *p;
    row.m = 1;
    row.a = ft_at(p->type, p->a, r * p->a_row);
    row.c = ft_at_out(p->out_type, p->c, r * p->c_row);
    err = product(&row);
  }
  return err;
}

static ft_err run(const ft_product *p) {
  FT_ASSERT(p->type != FT_F16 && p->out_type != FT_F16 && p->m >= 0 && p->n >= 0 && p->k >= 1);
  if (p->m == 0 || p->n == 0) return FT_OK;
  bool as_it_lies = p->a_column == 1 && p->b_row == 1 && p->b_column == p->k;
  bool native = p->type == FT_BF16 && ft_kernels_native_bf16();
  if (as_it_lies && p->rows_alone) return ft_rows_product(p);
  if (as_it_lies && p->m <= FT_FEW_ROWS) return few_rows(p);
  if (ft_own_has(p->type)) return ft_own_product(p);
  ft_err (*product)(const ft_product *) = native ? ft_onednn_product : ft_blas_product;
  return p->rows_alone ? each_row(p, product) : product(p);
}

ft_err ft_matmul_forward(const ft_matmul *p) {
  return run(&(ft_product){.type = p->type,
                           .out_type = p->out_type,
                           .m = p->m,
                           .n = p->n,
                           .k = p->k,
                           .a = p->x,
                           .a_row = p->x_stride,
                           .a_column = 1,
                           .b = p->w,
                           .b_row = 1,
                           .b_column = p->k,
                           .bias = p->bias,
                           .c = p->out,
                           .c_row = p->out_stride,
                           .accumulate = p->accumulate,
                           .rows_alone = p->rows_alone});
}

ft_err ft_matmul_backward_input(const ft_matmul *p) {
  return run(&(ft_product){.type = p->type,
                           .out_type = p->out_type,
                           .m = p->m,
                           .n = p->k,
                           .k = p->n,
                           .a = p->dy,
                           .a_row = p->dy_stride,
                           .a_column = 1,
                           .b = p->w,
                           .b_row = p->k,
                           .b_column = 1,
                           .c = p->out,
                           .c_row = p->out_stride,
                           .accumulate = p->accumulate,
                           .rows_alone = p->rows_alone});
}

ft_err ft_matmul_backward_weight(const ft_matmul *p) {
  return run(&(ft_product){.type = p->type,
                           .out_type = p->out_type,
                           .m = p->n,
                           .n = p->k,
                           .k = p->m,
                           .a = p->dy,
                           .a_row = 1,
                           .a_column = p->dy_stride,
                           .b = p->x,
                           .b_row = p->x_stride,
                           .b_column = 1,
                           .c = p->out,
                           .c_row = p->k,
                           .accumulate = p->accumulate});
}

void ft_bias_backward(ft_dtype type, ft_dtype db_type, int64_t m, int64_t n, const void *dy,
                      int64_t dy_stride, void *db) {
  enum { COLUMNS = 64 };
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(static) if (m * n > FT_PARALLEL_ELEMENTS)
  for (int64_t c = 0; c < n; c += COLUMNS) {
    float sums[COLUMNS];
    int64_t columns = FT_MIN((int64_t)COLUMNS, n - c);
    vector->column_sums(type, m, columns, ft_at(type, dy, c), dy_stride, sums);
    vector->convert(db_type, ft_at_out(db_type, db, c), FT_F32, sums, columns);
  }
}
