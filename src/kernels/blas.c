/* f32 products by OpenBLAS where own kernels do not compute them, and bf16 products where the CPU
 * has no bf16 dot product: converted to f32 piece by piece, multiplied, and rounded once.
 *
 * The library starts a thread for each core as soon as it is loaded, in every rank. It is therefore
 * loaded here, after it has been told to start none: tiles and threads are ours. A value that the
 * user has set is kept, as is OPENBLAS_CORETYPE, which it reads then too. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112 }; /* of the CBLAS interface */

typedef void sgemm_function(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c,
                            int ldc);

static sgemm_function *sgemm;
static char description[256] = "OpenBLAS not loaded";

/* POSIX lets a function's address be had through void *; ISO C does not: by way of memory. */
static ft_err find(void *library, const char *name, void *function) {
  void *address = dlsym(library, name);
  if (!address) return ft_fail(FT_ERR_INTERNAL, "OpenBLAS has no function %s", name);
  memcpy(function, &address, sizeof address);
  return FT_OK;
}

ft_err ft_blas_init(void) {
  if (sgemm) return FT_OK;
  ft_err err = FT_OK;
  char *(*core_name)(void) = NULL, *(*configuration)(void) = NULL;
  void (*set_num_threads)(int) = NULL;
  setenv("OPENBLAS_NUM_THREADS", "1", 0);
  void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  FT_CHECK(library, FT_ERR_INTERNAL,
           "cannot load OpenBLAS (%s): install the package libopenblas0-pthread", dlerror());
  FT_TRY(find(library, "openblas_get_corename", &core_name));
  FT_TRY(find(library, "openblas_get_config", &configuration));
  FT_TRY(find(library, "openblas_set_num_threads", &set_num_threads));
  FT_TRY(find(library, "cblas_sgemm", &sgemm));
  set_num_threads(1);
  const char *version = configuration();
  snprintf(description, sizeof description, "%.*s %s", (int)strcspn(version, " ") + 7, version,
           core_name());
out:
  return err;
}

const char *ft_blas_describe(void) {
  return description;
}

/* ---------------------------------------------------------------- tiles */

/* Tiles, and how much of k is converted at a time. */
enum { TILE_M = 256, TILE_N = 512, PIECE_K = 512 };

/* C tile (+)= A · B, all f32; A and B lie as in the product. */
static void multiply(const ft_tile *t, int64_t k, bool a_flipped, const float *a, int64_t lda,
                     bool b_flipped, const float *b, int64_t ldb, float *c, int64_t ldc,
                     bool accumulate) {
  sgemm(ROW_MAJOR, a_flipped ? TRANSPOSED : AS_IS, b_flipped ? TRANSPOSED : AS_IS, (int)t->m,
        (int)t->n, (int)k, 1.0f, a, (int)lda, b, (int)ldb, accumulate ? 1.0f : 0.0f, c, (int)ldc);
}

static void add_bias(const ft_product *p, const ft_tile *t, float *c, int64_t ldc) {
  if (!p->bias) return;
  for (int64_t i = 0; i < t->m; i++)
    ft_vector_used()->accumulate(c + i * ldc, p->type, ft_at(p->type, p->bias, t->n0), t->n);
}

/* k is cut too: an index of the library is 32 bits wide. */
static void tile_f32(const ft_product *p, const ft_tile *t) {
  const int64_t most = INT64_C(1) << 20;
  bool a_flipped = ft_product_a_flipped(p), b_flipped = ft_product_b_flipped(p);
  /* the stride of a single row is not used, but the library wants it to be as long as the row */
  int64_t lda = a_flipped ? p->a_column : FT_MAX(p->a_row, p->k);
  int64_t ldb = b_flipped ? p->b_column : FT_MAX(p->b_row, p->n);
  float *c = (float *)p->c + t->m0 * p->c_row + t->n0;
  for (int64_t k0 = 0; k0 < p->k; k0 += most)
    multiply(t, FT_MIN(most, p->k - k0), a_flipped,
             (const float *)p->a + t->m0 * p->a_row + k0 * p->a_column, lda, b_flipped,
             (const float *)p->b + k0 * p->b_row + t->n0 * p->b_column, ldb, c, p->c_row,
             p->accumulate || k0 > 0);
  add_bias(p, t, c, p->c_row);
}

/* Converts the block of rows × columns elements at `in` to f32, keeping which of the two strides is
 * 1, and returns the other stride of the copy. */
static int64_t widen(ft_dtype type, const void *in, int64_t row, int64_t column, int64_t rows,
                     int64_t columns, bool flipped, float *out) {
  int64_t lines = flipped ? columns : rows, length = flipped ? rows : columns;
  int64_t stride = flipped ? column : row;
  for (int64_t i = 0; i < lines; i++)
    ft_vector_used()->convert(FT_F32, out + i * length, type, ft_at(type, in, i * stride), length);
  return length;
}

/* For every other combination of types: sums in f32 scratch, rounded once. */
static void tile_through_f32(const ft_product *p, const ft_tile *t, float *scratch) {
  const ft_vector *vector = ft_vector_used();
  float *a = scratch, *b = a + TILE_M * PIECE_K, *c = b + PIECE_K * TILE_N;
  bool a_flipped = ft_product_a_flipped(p), b_flipped = ft_product_b_flipped(p);
  for (int64_t k0 = 0; k0 < p->k; k0 += PIECE_K) {
    int64_t k = FT_MIN((int64_t)PIECE_K, p->k - k0);
    int64_t lda = widen(p->type, ft_at(p->type, p->a, t->m0 * p->a_row + k0 * p->a_column),
                        p->a_row, p->a_column, t->m, k, a_flipped, a);
    int64_t ldb = widen(p->type, ft_at(p->type, p->b, k0 * p->b_row + t->n0 * p->b_column),
                        p->b_row, p->b_column, k, t->n, b_flipped, b);
    multiply(t, k, a_flipped, a, lda, b_flipped, b, ldb, c, t->n, k0 > 0);
  }
  add_bias(p, t, c, t->n);
  for (int64_t i = 0; i < t->m; i++) {
    void *out = ft_at_out(p->out_type, p->c, (t->m0 + i) * p->c_row + t->n0);
    if (p->accumulate) vector->accumulate(c + i * t->n, p->out_type, out, t->n);
    vector->convert(p->out_type, out, FT_F32, c + i * t->n, t->n);
  }
}

ft_err ft_blas_product(const ft_product *p) {
  bool direct = p->type == FT_F32 && p->out_type == FT_F32;
  ft_grid grid = ft_grid_of(p->m, p->n, TILE_M, TILE_N);
  int64_t longest = FT_MAX(FT_MAX(p->a_row, p->a_column), FT_MAX(p->b_row, p->b_column));
  if (FT_MAX(longest, p->c_row) > INT32_MAX)
    return ft_fail(FT_ERR_INTERNAL,
                   "a matrix row of %lld elements is longer than OpenBLAS can index",
                   (long long)FT_MAX(longest, p->c_row));
  size_t floats = direct ? 16 : TILE_M * PIECE_K + PIECE_K * TILE_N + TILE_M * TILE_N;
  ft_err err = ft_scratch_reserve(floats * sizeof(float));
  if (err != FT_OK) return err;
#pragma omp parallel for schedule(dynamic, 1) if (grid.num_m * grid.num_n > 1)
  for (int64_t i = 0; i < grid.num_m * grid.num_n; i++) {
    if (ft_kernels_stopping()) continue;
    ft_tile t = ft_grid_tile(&grid, i);
    if (direct)
      tile_f32(p, &t);
    else
      tile_through_f32(p, &t, ft_scratch());
  }
  return FT_OK;
}
