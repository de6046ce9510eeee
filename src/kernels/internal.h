/* What the sources of kernels share: the table of functions that exist once for each instruction
 * set, scratch memory of threads, and the one form that all matmuls take. */
#ifndef FT_KERNELS_INTERNAL_H
#define FT_KERNELS_INTERNAL_H

#include <omp.h>
#include <stdatomic.h>

#include "ft/kernels_layer.h"
#include "ft/kernels_loss.h"
#include "ft/kernels_packed.h"

/* Below this many elements one thread does the work: starting the team costs more. */
#define FT_PARALLEL_ELEMENTS 8192

/* ---------------------------------------------------------------- one instruction set
 * Everything here is single-threaded; `type` is FT_F32 or FT_BF16 unless said otherwise. */

/* Columns of a block of queries: the lanes of attention's inner loops run over queries. */
#define FT_QUERY_BLOCK 64

/* Which keys the 64 queries of a block see: key j (of the block of keys) is visible to query i if
 * j ≤ i + diagonal and j > i + diagonal − window. */
typedef struct ft_visible {
  bool all;         /* every key to every query: nothing to mask */
  int64_t diagonal; /* last key that the first query sees */
  int64_t window;   /* keys that a query sees; 0: all up to its last */
} ft_visible;

/* What the softmax's gradient needs to know of a block of 64 queries. */
typedef struct ft_softmax_terms {
  float scale_log2;              /* scores times this are logarithms to base 2 */
  float inverse_cap;             /* of capped scores; 0: none */
  const float *lse_log2, *delta; /* [64] */
} ft_softmax_terms;

/* One row (or head of a row) for a norm: x, or sum = x + multiplier · branch. */
typedef struct ft_norm_row {
  void *y, *sum;
  const void *x, *branch; /* branch NULL: none */
  float multiplier;
  const void *w, *bias; /* bias NULL: none */
} ft_norm_row;

/* C [m, n] = A [m, k] · B [k, n] (+ bias [n]) (+ C). Element (i, j) of A is a[i · a_row + j ·
 * a_column]; one of the two strides is 1, and likewise for B. */
typedef struct ft_product {
  ft_dtype type, out_type;
  int64_t m, n, k;
  const void *a, *b, *bias;
  int64_t a_row, a_column, b_row, b_column;
  void *c;
  int64_t c_row;
  bool accumulate;
  bool rows_alone; /* a row's bits must not depend on how many rows there are */
} ft_product;

/* Whether it is the columns of A (of B) that lie row by row in memory. */
static inline bool ft_product_a_flipped(const ft_product *p) {
  return p->a_row == 1 && p->a_column != 1;
}
static inline bool ft_product_b_flipped(const ft_product *p) {
  return p->b_row == 1 && p->b_column != 1;
}

/* The part of a product that one thread computes in one go: rows m0 … and columns n0 …, all of k.
 */
typedef struct ft_tile {
  int64_t m0, n0, m, n;
} ft_tile;

/* The block of sums that own kernels keep in registers, and the longest stretch of a sum, in words
 * (f32, or pairs of bf16), that they add up there. */
#define FT_PRODUCT_ROWS 8
#define FT_PRODUCT_COLUMNS 48
#define FT_PRODUCT_DEPTH 1024

/* Rows of X and of W that dot_rows takes at most, and floats of scratch that this needs. */
#define FT_DOT_X_ROWS 32
#define FT_DOT_W_ROWS 16
#define FT_DOT_SCRATCH (FT_DOT_X_ROWS * FT_DOT_W_ROWS * 16)

/* Attention of one query over some keys, for the heads that share these. */
typedef struct ft_decode {
  ft_dtype type;
  int64_t heads, head_dim, keys;
  float scale, cap;  /* cap 0: none */
  const void *q;     /* [heads, head_dim] */
  const void *k, *v; /* [keys, head_dim], rows `stride` elements apart */
  int64_t stride;
  float *scores, *sums; /* scratch [heads, keys], [FT_DOT_SCRATCH] */
  /* Of each head, o_stride apart: [head_dim] Σ_j exp(s_j − largest) v_j, then `largest`, the
   * largest s_j, then Σ_j exp(s_j − largest). */
  float *o;
  int64_t o_stride;
} ft_decode;

typedef struct ft_vector {
  const char *name;

  void (*convert)(ft_dtype to, void *out, ft_dtype from, const void *in, int64_t count);
  /* first: a multiple of 8 */
  void (*round_stochastic)(uint16_t *out, const float *in, int64_t count, const uint32_t key[2],
                           uint64_t step, uint64_t first);
  void (*accumulate)(float *accumulator, ft_dtype from, const void *in, int64_t count);
  void (*store_far)(void *out, const void *in, size_t bytes);
  double (*sum_of_squares)(const float *in, int64_t count);
  /* out = a + multiplier · b; out = multiplier · x; sum += multiplier · x */
  void (*add_scaled)(ft_dtype type, int64_t count, void *out, const void *a, const void *b,
                     float multiplier);
  void (*scale)(ft_dtype type, int64_t count, void *out, const void *x, float multiplier);
  void (*sum_scaled)(ft_dtype type, int64_t count, float *sum, const void *x, float multiplier);
  /* sums[c] = Σ over rows of in[row][c], for `columns` columns */
  void (*column_sums)(ft_dtype type, int64_t rows, int64_t columns, const void *in, int64_t stride,
                      float *sums);

  /* ---- kernels_layer.h says what they do; xIELU's alpha_p and alpha_n are the factors themselves,
   * and d_alpha is that of these */
  void (*activation_forward)(const ft_activation *act, ft_dtype type, int64_t count, void *y,
                             const void *x);
  void (*activation_backward)(const ft_activation *act, ft_dtype type, int64_t count, void *dx,
                              void *y, float *d_alpha, const void *dy, const void *x);
  void (*gated_forward)(ft_activation_kind kind, ft_dtype type, int64_t count, void *a,
                        const void *gate, const void *up);
  void (*gated_backward)(ft_activation_kind kind, ft_dtype type, int64_t count, void *dgate,
                         void *dup, void *a, const void *da, const void *gate, const void *up);
  /* One row; returns rstd. */
  float (*norm_forward)(const ft_norm *norm, ft_dtype type, int64_t n, const ft_norm_row *row);
  /* One row; dw and db +=. */
  void (*norm_backward)(const ft_norm *norm, ft_dtype type, int64_t n, const ft_norm_gradient *out,
                        const void *dy, const void *x, float rstd, const void *w);
  /* cos and sin [half] of (float)position · inv_freq */
  void (*angles)(int64_t half, int32_t position, const float *inv_freq, float *cosine, float *sine);
  /* One head: pair (i, i + half) turned by angle i (or back). */
  void (*rotate)(ft_dtype type, int64_t half, void *x, const float *cosine, const float *sine,
                 bool backward);
  /* The same of the pairs (2i, 2i + 1). */
  void (*rotate_neighbours)(ft_dtype type, int64_t half, void *x, const float *cosine,
                            const float *sine, bool backward);
  /* x = cap · tanh(x · scale / cap); cap 0: x · scale */
  void (*soft_cap)(int64_t count, float *x, float scale, float cap);
  /* One row; nll, loss and dlogits NULL: not wanted; dlogits may be the logits' memory. */
  void (*loss_row)(const ft_loss *l, ft_dtype type, int64_t columns, float *z, int32_t target,
                   float weight, float *nll, float *loss, void *dlogits);
  void (*adamw)(const ft_adamw *a, int64_t count, float *w, float *m, float *v, const float *g);
  /* x += weight · (to − x) */
  void (*lerp)(float weight, int64_t count, float *x, const float *to);

  /* ---- packed.c; kernels_packed.h says what they do */
  void (*master_read)(ft_master kind, const void *w, const uint8_t *low, int64_t count, float *out);
  void (*quantize)(bool has_sign, int64_t count, const float *in, uint8_t *codes, float *scale);
  void (*dequantize)(bool has_sign, int64_t count, const uint8_t *codes, float scale, float *out);
  void (*accumulate_bf16)(const uint32_t key[2], uint64_t step, uint64_t first,
                          uint16_t *accumulator, ft_dtype from, const void *in, int64_t count);
  /* Elements at … at+count-1 of the arrays, whose first element has number `first`; `at` is a
   * multiple of FT_QUANTUM. */
  void (*adamw_packed)(const ft_adamw *a, const ft_adamw_arrays *x, const uint32_t key[2],
                       uint64_t step, uint64_t first, int64_t at, int64_t count);

  /* ---- code.c; count ≤ FT_CODE_ELEMENTS elements from the start of a packet on */
  void (*code_write)(ft_code code, void *out, ft_dtype from, const void *in, int64_t count);
  void (*code_read)(ft_code code, ft_dtype to, void *out, const void *in, int64_t count);

  /* Few rows: y[r · y_stride + j] = Σ x[r][·] w[j][·] for `rows` ≤ FT_FEW_ROWS rows of f32 x (row
   * stride k) and `n` rows of w. */
  void (*few_rows)(ft_dtype type, int64_t rows, int64_t n, int64_t k, const float *x, const void *w,
                   float *y, int64_t y_stride);
  /* y[r][j] = Σ x[r][·] w[j][·] over k elements, for x_rows ≤ FT_DOT_X_ROWS rows of x and
   * w_rows ≤ FT_DOT_W_ROWS rows of w: the same bits for any number of rows. scratch
   * [FT_DOT_SCRATCH]. */
  void (*dot_rows)(ft_dtype type, int64_t x_rows, int64_t w_rows, int64_t k, const void *x,
                   int64_t x_stride, const void *w, int64_t w_stride, float y[][FT_DOT_W_ROWS],
                   float *scratch);

  /* A tile of a product of f32 (of bf16) operands, in scratch of product_scratch floats for tiles
   * of at most tile_m × tile_n. NULL where the instruction set is not wide enough. */
  int64_t (*product_scratch)(const ft_product *p, int64_t tile_m, int64_t tile_n);
  void (*product_tile_f32)(const ft_product *p, const ft_tile *t, float *scratch);
  void (*product_tile_bf16)(const ft_product *p, const ft_tile *t, float *scratch);

  /* Multiply-adds on registers alone: returns their FLOP, *out keeps them from being left out. */
  double (*dot_products)(bool pairs, int64_t rounds, float *out);

  /* ---- attention (attention.h says what the operands are). A word is one f32, or a pair of bf16
   * values that are neighbours in the dimension that is summed over. */

  /* C [rows, columns] (+)= A [rows, steps words] · B [steps, columns words]. columns is a multiple
   * of 16. multiply_bf16 is NULL where the CPU has no bf16 dot product. */
  void (*multiply_f32)(int64_t rows, int64_t columns, int64_t steps, const void *a,
                       int64_t a_stride, const void *b, int64_t b_stride, float *c,
                       int64_t c_stride, bool accumulate);
  void (*multiply_bf16)(int64_t rows, int64_t columns, int64_t steps, const void *a,
                        int64_t a_stride, const void *b, int64_t b_stride, float *c,
                        int64_t c_stride, bool accumulate);
  /* out [columns, padded] = inᵀ of in [rows, columns] words; rows … padded become zero. */
  void (*transpose)(int64_t rows, int64_t columns, const void *in, int64_t in_stride, void *out,
                    int64_t out_stride, int64_t padded);
  /* out [⌈rows/2⌉, columns] words: pairs of neighbouring rows of in [rows, columns] bf16 (the last
   * with zero if rows is odd). */
  void (*interleave)(int64_t rows, int64_t columns, const void *in, int64_t in_stride, void *out,
                     int64_t out_stride);
  /* Online softmax over `keys` more keys: scores [keys, 64] become p (words over keys, or f32),
   * largest and sum [64] are brought up to date, rescale [64] receives what earlier results have to
   * be multiplied by. Returns false if that is 1 everywhere. */
  bool (*softmax_step)(bool pairs, int64_t keys, const float *scores, float scale_log2,
                       const ft_visible *visible, float *largest, float *sum, float *rescale,
                       void *p);
  /* p = 2^(score · scale_log2 − lse_log2), ds = p · (dp − delta) · slope of the cap, for scores and
   * dp [keys, 64]. p_rows, ds_rows [keys, 64] of bf16 (pairs) or f32; ds_words: words over keys
   * (pairs only). */
  void (*softmax_backward)(bool pairs, int64_t keys, const float *scores, const float *dp,
                           const ft_softmax_terms *terms, const ft_visible *visible, void *p_rows,
                           void *ds_rows, void *ds_words);
  /* x [rows, 64] · factor [64] */
  void (*scale_columns)(int64_t rows, float *x, const float *factor);
  /* out += in */
  void (*add_f32)(int64_t count, float *out, const float *in);
  /* Σ a · b over count elements of `type` */
  float (*dot)(ft_dtype type, int64_t count, const void *a, const void *b);
  void (*decode)(const ft_decode *d);
} ft_vector;

extern const ft_vector ft_vector_plain, ft_vector_avx2, ft_vector_avx512, ft_vector_avx512bf16;

/* The one that this CPU has (or that FTRUN_CPU asks for); plain before ft_kernels_init. */
const ft_vector *ft_vector_used(void);
/* From now on this one. */
void ft_vector_use(const ft_vector *vector);

/* The best that this CPU (and its operating system) has, or what FTRUN_CPU=LEVEL asks for: less, to
 * test, or to have the bits of another CPU. Errors: FT_ERR_CONFIG for what it does not have. */
ft_err ft_cpu_choose(const ft_vector **chosen);
/* The CPU's name as the operating system has it. */
void ft_cpu_model(char *out, size_t size);

/* True after ft_kernels_stop: what is left of a long kernel need not be computed. */
extern atomic_bool ft_kernels_stopped;
static inline bool ft_kernels_stopping(void) {
  return atomic_load_explicit(&ft_kernels_stopped, memory_order_relaxed);
}

/* ---------------------------------------------------------------- scratch memory of threads */

/* Gives each thread of the team `bytes` of scratch; call outside a parallel region. It stays valid
 * until the next call. */
ft_err ft_scratch_reserve(size_t bytes);
/* The calling thread's. 64-byte aligned. */
void *ft_scratch(void);
/* Memory that the whole team shares, of the same lifetime; several uses within one kernel are parts
 * of one call. */
ft_err ft_scratch_shared(size_t bytes, void **out);
/* The same for kernels that cannot fail: ends the program where there is no memory. */
void *ft_scratch_needed(size_t bytes);
/* [count] numbers, one a document; of the same lifetime. */
ft_err ft_scratch_documents(int64_t count, int64_t **out);
void ft_scratch_fini(void);

/* ---------------------------------------------------------------- matmul */

/* A grid of tiles that only the shape decides. Tiles are numbered by columns of tiles. */
typedef struct ft_grid {
  int64_t m, n;           /* of the product */
  int64_t tile_m, tile_n; /* the last of a row or column of tiles may be smaller */
  int64_t num_m, num_n;
} ft_grid;
ft_grid ft_grid_of(int64_t m, int64_t n, int64_t rows_at_most, int64_t columns_at_most);
ft_tile ft_grid_tile(const ft_grid *grid, int64_t index);

/* At most this many rows of X take the way that reads W once, as it lies in memory. */
#define FT_FEW_ROWS 4
/* rows.c: Y = X · Wᵀ so, for any number of rows, of which none depends on another. */
ft_err ft_rows_product(const ft_product *p);

/* By this module's own kernels (AVX-512); false: this CPU, or what FTRUN_MATMUL asks for, leaves
 * the type to a library. */
ft_err ft_own_init(void);
bool ft_own_has(ft_dtype type);
ft_err ft_own_product(const ft_product *p);

ft_err ft_onednn_init(void);
void ft_onednn_fini(void);
const char *ft_onednn_version(void);
/* bf16 through oneDNN. */
ft_err ft_onednn_product(const ft_product *p);

ft_err ft_blas_init(void);
const char *ft_blas_describe(void);
/* f32, or bf16 through f32, by OpenBLAS. */
ft_err ft_blas_product(const ft_product *p);

static inline const void *ft_at(ft_dtype type, const void *p, int64_t index) {
  return (const char *)p + index * (int64_t)ft_dtype_bytes(type);
}
static inline void *ft_at_out(ft_dtype type, void *p, int64_t index) {
  return (char *)p + index * (int64_t)ft_dtype_bytes(type);
}

#endif
