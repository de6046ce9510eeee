/* kernels: the parts of a layer that a model's description chooses among: embedding, norms, rotary
 * embedding, activations, residuals. One struct says which kind, one pair of functions computes it.
 *
 * Arguments stand in the order: description, type, outputs, inputs, sizes. `type` is that of
 * activations and weights (FT_F32 or FT_BF16). All arithmetic is f32 with one rounding at the end;
 * what other programs round on the way (cosines, a normed row before its weight) is not rounded
 * here. An input that is only read element by element may be the memory of an output (said at each
 * function). Equal bits for any number of threads; all threads work; not collective. */
#ifndef FT_KERNELS_LAYER_H
#define FT_KERNELS_LAYER_H

#include "ft/base_layer.h"
#include "ft/kernels.h"

/* An array [rows, heads, width] whose rows are `stride` elements apart (stride ≥ heads · width).
 * heads 1: a plain matrix. */
typedef struct ft_rows {
  int64_t rows, heads, width, stride;
} ft_rows;

/* A matrix without gaps. */
static inline ft_rows ft_rows_whole(int64_t rows, int64_t width) {
  return (ft_rows){.rows = rows, .heads = 1, .width = width, .stride = width};
}

/* ---------------------------------------------------------------- norms
 * Over the `width` elements of each head of each row: the whole row with heads 1, each head of q or
 * k with more. All heads have one weight. ft_norm (base_layer.h) says which norm. */

/* y [shape] = norm(x [shape]), rstd [rows, heads] (NULL: not wanted). w [width]; bias [width] or
 * NULL, only with FT_NORM_LAYER. y may be x. */
void ft_norm_forward(const ft_norm *norm, ft_dtype type, void *y, float *rstd, const void *x,
                     const void *w, const void *bias, const ft_rows *shape);
/* sum = x + multiplier · branch (rounded to type), y = norm(sum). sum may be x or branch. */
void ft_norm_sum_forward(const ft_norm *norm, ft_dtype type, void *y, void *sum, float *rstd,
                         const void *x, const void *branch, float multiplier, const void *w,
                         const void *bias, const ft_rows *shape);

/* Where a norm's gradients go; all of them may be NULL: not wanted. */
typedef struct ft_norm_gradient {
  float *dx;       /* [shape] gradient of x in f32: that of the residual stream */
  bool accumulate; /* dx += instead of = */
  void *dx16;      /* [shape] of type: dx rounded; without dx, the gradient of x */
  float *dw, *db;  /* [width], =; summed over rows and heads in an order that the shape decides */
} ft_norm_gradient;

/* From dy [shape] of `type`, the norm's input x, its rstd and w. dx16 may be dy. */
void ft_norm_backward(const ft_norm *norm, ft_dtype type, const ft_norm_gradient *out,
                      const void *dy, const void *x, const float *rstd, const void *w,
                      const ft_rows *shape);

/* ---------------------------------------------------------------- activations */

/* xIELU: x > 0: αp x² + βx, else αn (expm1(min(x, eps)) − x) + βx, with αp = softplus(alpha_p) and
 * αn = β + softplus(alpha_n). The other kinds read `kind` alone. */
typedef struct ft_activation {
  ft_activation_kind kind;
  float alpha_p, alpha_n, beta, eps;
} ft_activation;

/* y = act(x) over `count` elements. y may be x. */
void ft_activation_forward(const ft_activation *act, ft_dtype type, void *y, const void *x,
                           int64_t count);
/* dx = dy · act'(x); again y = act(x) (NULL: not wanted), so that it need not be kept; d_alpha [2]
 * the gradients of alpha_p and alpha_n (NULL: not wanted; only of FT_ACT_XIELU), = and summed in an
 * order that `count` decides. dx may be x or dy, y too, but not the same. */
void ft_activation_backward(const ft_activation *act, ft_dtype type, void *dx, void *y,
                            float *d_alpha, const void *dy, const void *x, int64_t count);

/* a [rows, width] = act(gate) · up (Shazeer 2020); gate and up have shape's stride, a has no gaps.
 * Any kind but FT_ACT_XIELU. shape->heads is 1. */
void ft_gated_forward(ft_activation_kind act, ft_dtype type, void *a, const void *gate,
                      const void *up, const ft_rows *shape);
/* From da [rows, width], which has no gaps: dgate, dup (shape's stride) and again a (NULL: not
 * wanted). dgate may be gate's memory, dup up's, a da's. */
void ft_gated_backward(ft_activation_kind act, ft_dtype type, void *dgate, void *dup, void *a,
                       const void *da, const void *gate, const void *up, const ft_rows *shape);

/* ---------------------------------------------------------------- rotary embedding */

/* Su et al. 2021. Pair i of the first `width` elements of a head turns by position · inv_freq[i]:
 * the f32 product, then cosine and sine correct to f32 rounding, both times attention_factor. */
typedef struct ft_rope {
  int64_t width;           /* even; elements from here on are left alone */
  bool neighbours;         /* pairs are (2i, 2i + 1); else (i, i + width/2) */
  float attention_factor;  /* 1 if nothing else is said */
  const float *inv_freq;   /* [tables, width/2] */
  float query_beta;        /* 0: none; else whole queries are multiplied, after turning, by */
  int64_t query_positions; /* 1 + query_beta · ln(1 + ⌊position / query_positions⌋) */
} ft_rope;

/* In place on x [shape], the first num_queries heads of which are queries. position [rows]: the
 * row's place in its document. table [rows]: which of the tables of inv_freq (NULL: the first), for
 * frequencies that depend on the document's length. backward: the gradient, that is the other way
 * round, with the same factors. */
void ft_rope_apply(const ft_rope *rope, ft_dtype type, void *x, const int32_t *position,
                   const uint8_t *table, int64_t num_queries, const ft_rows *shape, bool backward);

/* ---------------------------------------------------------------- embedding */

/* One of the tables that an embedding adds up: tokens, learned positions, token types. */
typedef struct ft_embedding {
  const void *table;   /* [entries, n] of type */
  const uint32_t *ids; /* [tokens] entry of each, FT_NO_TOKEN: none; NULL: entry 0 for all */
  float scale;         /* multiplies the entry */
} ft_embedding;

enum { FT_EMBEDDINGS_MOST = 4 };

/* out [tokens, n] = Σ over `num` ≤ FT_EMBEDDINGS_MOST embeddings of scale · table[id]; a token
 * without an entry gets 0 of that table. */
void ft_embeddings_forward(ft_dtype type, void *out, const ft_embedding *embeddings, int num,
                           int64_t tokens, int64_t n);
/* Noise on the embeddings of a training pass (NEFTune: Jain et al. 2023, arXiv 2310.05914). */
typedef struct ft_noise {
  double alpha;         /* 0: none */
  uint64_t seed, step;  /* name the random numbers, as FT_RANDOM_NOISE has it, … */
  uint64_t micro_batch; /* … below 2^24 */
  int64_t virtual_rows; /* the first of each document, which get none and do not count */
} ft_noise;
/* x [tokens, n] += factor · u · alpha / √(length · n) for the `num_documents` documents that lie
 * end to end: `length` is that of a token's document (without its virtual rows), u uniform in [−1,
 * 1), 24 bits: element c of token t has word c mod 4 of index micro_batch · 2^39 + t · ⌈n/4⌉ +
 * ⌊c/4⌋. Summed in f32, rounded once. */
void ft_add_noise(ft_dtype type, void *x, const ft_noise *noise, float factor,
                  const int64_t *offsets, int64_t num_documents, int64_t n);
/* Entries first … first+num_entries-1 of the gradient of e's table (which is not read):
 * out [num_entries, n] of out_type = (base, f32 [num_entries, n]; NULL: zero) + scale · Σ of dx
 * [tokens, n] (f32) over the tokens with that id, in token order, in f32, rounded once. Entry
 * `padding` (-1: none) gets its base alone. Errors: FT_ERR_MEMORY. */
ft_err ft_embeddings_backward(ft_dtype out_type, void *out, const ft_embedding *e, const float *dx,
                              const float *base, int64_t first, int64_t num_entries,
                              int64_t padding, int64_t tokens, int64_t n);

/* ---------------------------------------------------------------- residuals */

/* out = a + multiplier · b. out may be a or b. */
void ft_add_scaled(ft_dtype type, void *out, const void *a, const void *b, float multiplier,
                   int64_t count);
/* out = multiplier · x. out may be x. */
void ft_scale(ft_dtype type, void *out, const void *x, float multiplier, int64_t count);

#endif
