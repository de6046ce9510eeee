/* kernels: the arithmetic of a decoder in bf16 and f32, forward and backward, each with a plain
 * reference beside it (ft_ref_*, in kernels_ref.h) that tests compare with. No MPI, no files.
 *
 * Every kernel cuts its work by shape and never by the number of threads, and sums in an order that
 * only shape decides: its result has the same bits with any number of OpenMP threads. Activations
 * and weights are `const void *` of one ft_dtype (FT_F32 or FT_BF16): the compute type of the run.
 * Sums, norms, softmax and losses are f32 inside. Row-major. Not collective, all of it. None
 * allocates per call beyond what ft_kernels_init and growing per-thread scratch (accounted
 * FT_MEM_WORKSPACE) take.
 *
 * Reading order: matmul, attention; kernels_layer.h (norms, activations, rotary embedding,
 * embedding, residuals), kernels_loss.h, kernels_packed.h (what is kept in fewer bits).
 */
#ifndef FT_KERNELS_H
#define FT_KERNELS_H

#include "ft/base.h"

/* Prepares the module (CPU features, library handles). Call once, before any other, after the
 * number of OpenMP threads is set. Errors: FT_ERR_INTERNAL, FT_ERR_MEMORY. */
ft_err ft_kernels_init(void);
void ft_kernels_fini(void);
/* From now on matmuls and attention return at once, with results that mean nothing: for a process
 * that stops in the middle of a step. Any thread. */
void ft_kernels_stop(void);

/* True if this CPU has a bf16 dot product (AVX512-BF16 or AMX). Otherwise FT_BF16 matmuls convert
 * to f32, multiply there and round. */
bool ft_kernels_native_bf16(void);
/* CPU model, instruction set used, and library versions, as one line: ranks compare it. */
const char *ft_kernels_describe(void);
/* The module's libraries with their versions, whether they are used on this CPU or not. */
const char *ft_kernels_libraries(void);

/* Runs a loop of `rounds` rounds of dot products (bf16 where the CPU has them and `type` is
 * FT_BF16; else f32) in registers on all threads and returns its FLOP: divided by the time it took,
 * this is the peak that speeds are compared with. */
double ft_kernels_dot_products(ft_dtype type, int64_t rounds);

/* ---------------------------------------------------------------- conversions (bulk, one thread)
 */

void ft_convert(ft_dtype to, void *restrict out, ft_dtype from, const void *restrict in,
                int64_t count); /* nearest even; any pair of F32, BF16, F16 */
/* out[i] = in[i] in bf16, rounded up or down at random with the mean kept: elements first … of the
 * numbers of (seed, FT_RANDOM_ROUND, step), 16 bits each: element e has half e mod 8 (low half of a
 * word first) of ft_random_words at index e / 8. What bf16 can hold stays as it is. first is a
 * multiple of 8. One thread. */
void ft_round_stochastic(uint64_t seed, uint64_t step, uint64_t first, int64_t count,
                         const float *restrict in, uint16_t *restrict out);
/* accumulator[i] += in[i], in f32. */
void ft_accumulate(float *restrict accumulator, ft_dtype from, const void *restrict in,
                   int64_t count);
/* memcpy past the caches, for what nobody reads soon: its old content is not fetched first. One
 * thread; others see it after whatever makes them wait for this one. */
void ft_store_far(void *restrict out, const void *restrict in, size_t bytes);
/* Sum of squares in double, in an order fixed by count alone (count ≤ 4096: one chunk). */
double ft_sum_of_squares(const float *in, int64_t count);

/* ---------------------------------------------------------------- matmul
 * All threads of the team work on one call; do not call from a parallel region.
 * Errors: FT_ERR_INTERNAL if the library refuses, FT_ERR_MEMORY. */

/* One of the three products of a linear map of m rows from k to n columns. Strides are in elements:
 * a row of x is `x_stride` after the one before. A product reads what it is said to and leaves the
 * rest alone, so that what is not named in a call is NULL. */
typedef struct ft_matmul {
  ft_dtype type;     /* of x, w, bias and dy */
  ft_dtype out_type; /* of out */
  int64_t m, n, k;
  const void *x;    /* [m, k] */
  const void *w;    /* [n, k] without gaps, as Hugging Face stores linear weights */
  const void *bias; /* [n] or NULL */
  const void *dy;   /* [m, n] */
  void *out;
  int64_t x_stride, dy_stride, out_stride;
  bool accumulate; /* out += */
  bool rows_alone; /* forward, input: a row of out has the same bits whatever others there are */
} ft_matmul;

/* out [m, n] = x · wᵀ + bias. */
ft_err ft_matmul_forward(const ft_matmul *product);
/* out [m, k] = dy · w: the gradient of x. */
ft_err ft_matmul_backward_input(const ft_matmul *product);
/* out [n, k] = dyᵀ · x, without gaps (out_stride plays no part): the gradient of w. For rows
 * r0 … r0+n-1 of a larger one, dy is that of column r0. */
ft_err ft_matmul_backward_weight(const ft_matmul *product);
/* db [n] = column sums of dY [m, n], in f32, rounded once to db_type. */
void ft_bias_backward(ft_dtype type, ft_dtype db_type, int64_t m, int64_t n, const void *dy,
                      int64_t dy_stride, void *db);

/* ---------------------------------------------------------------- attention
 * Grouped-query, over documents laid end to end, none of which sees another. Blocked: nothing of
 * size [tokens, tokens] exists (Dao et al. 2022); blocks that causality, window or document borders
 * mask whole are skipped. */

/* `ahead` of two-way attention without a window. */
#define FT_ATTENTION_WHOLE INT64_MAX

/* Query i sees keys j of its document with i − window < j ≤ i + ahead. What is left out of the
 * struct is causal, without a window, cap or scale of its own. */
typedef struct ft_attention {
  ft_dtype type;
  int64_t heads, kv_heads, head_dim; /* head_dim even */
  int64_t window;                    /* keys up to and with its own that a query sees; 0: all */
  int64_t ahead;                     /* keys after its own that a query sees; 0: causal */
  float scale;                       /* score = scale · q·k; 0: 1/sqrt(head_dim) */
  float soft_cap;                    /* 0: none; else score = cap · tanh(scale · q·k / cap) */
  int64_t num_documents;
  const int64_t
      *offsets; /* [num_documents + 1] rows where each document starts; ends with tokens */
} ft_attention;

/* What attention reads; strides of rows in elements. */
typedef struct ft_attention_in {
  const void *q;     /* [tokens, heads, head_dim] */
  const void *k, *v; /* [tokens, kv_heads, head_dim] */
  int64_t q_stride, k_stride, v_stride;
} ft_attention_in;
/* What it gives. */
typedef struct ft_attention_out {
  void *o; /* [tokens, heads, head_dim] */
  int64_t o_stride;
  float *lse; /* [heads, tokens] natural log of the softmax's sum */
} ft_attention_out;
/* Gradients, each laid out as what it is the gradient of. */
typedef struct ft_attention_gradient {
  const void *d_o;
  void *dq, *dk, *dv;
} ft_attention_gradient;

ft_err ft_attention_forward(const ft_attention *a, const ft_attention_in *in,
                            const ft_attention_out *out);
/* dq, dk and dv from d_o; of `out`, only read, what the forward pass gave. */
ft_err ft_attention_backward(const ft_attention *a, const ft_attention_in *in,
                             const ft_attention_out *out, const ft_attention_gradient *gradient);
/* Bytes of scratch that ft_attention_backward takes and keeps for these documents, with the compute
 * threads that this process has. */
int64_t ft_attention_scratch(const ft_attention *a);
/* One new query of a sequence, the last of its `num_keys` tokens so far. */
typedef struct ft_attention_row {
  void *o;           /* [heads, head_dim] */
  const void *q;     /* [heads, head_dim] */
  const void *k, *v; /* [num_keys, head_dim] of the first head that keys have */
  int64_t num_keys;
} ft_attention_row;
/* New queries, each against its own keys and values, which alone decide its bits. key_stride and
 * head_stride: elements from a key (or value) to the next one of a head, and to the next head's. Of
 * `a`, ahead and documents play no part. Errors: FT_ERR_MEMORY. */
ft_err ft_attention_rows(const ft_attention *a, const ft_attention_row *rows, int64_t num_rows,
                         int64_t key_stride, int64_t head_stride);

/* ---------------------------------------------------------------- optimizer */

typedef struct ft_adamw {
  float lr, beta1, beta2, eps, weight_decay; /* weight_decay 0 for one-dimensional tensors */
  float correction1, correction2;            /* 1 - beta^t */
  float gradient_scale;                      /* clipping; multiplies g first */
} ft_adamw;
/* Loshchilov & Hutter 2019, elementwise in f32 over `count` elements; all threads work. Same bits
 * for any split.
 */
void ft_adamw_update(const ft_adamw *a, int64_t count, float *restrict w, float *restrict m,
                     float *restrict v, const float *restrict g);

#endif
