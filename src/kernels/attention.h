/* How attention is computed, forward and backward.
 *
 * Queries are taken in blocks of 64 and keys in blocks of FT_KEY_BLOCK, both counted from the start
 * of a document. Scores are made transposed, Sᵀ [keys, 64]: the lanes of a vector are queries, so
 * the softmax needs no sums across lanes, and every product below finds its operands in the order
 * in which the previous one left them:
 *
 *   forward    Sᵀ = K · Qᵀ          Oᵀ += Vᵀ · Pᵀ
 *   backward   Sᵀ = K · Qᵀ   dPᵀ = V · dOᵀ
 *              dV += Pᵀ · dO   dK += dSᵀ · Q   dQᵀ += Kᵀ · dSᵀ
 *
 * A product's left operand A is rows of words along the dimension that is summed over; its right
 * operand B has one row for each such word. A word is a pair of bf16 values (where the CPU
 * multiplies them) or one f32. So from a matrix X [rows, head_dim] four forms are packed:
 *   rows      [rows, words]          A of X · …      and, transposed,
 *   columns   [words, rows]          B of … · Xᵀ
 *   pairs     [rows / 2, head_dim]   B of … · X      and, transposed,
 *   flipped   [head_dim, rows / 2]   A of Xᵀ · …
 * (with f32, "rows / 2" is rows.) */
#ifndef FT_KERNELS_ATTENTION_H
#define FT_KERNELS_ATTENTION_H

#include "internal.h"

/* Keys of a block: whole rows of blocks of registers, a multiple of the strips of the backward. */
#define FT_KEY_BLOCK 240
#define FT_KEY_STRIP 48

/* The sizes and functions of one call. */
typedef struct ft_engine {
  const ft_vector *vector;
  ft_dtype type;       /* of the arrays in memory */
  bool pairs;          /* words are pairs of bf16 */
  int64_t per_word;    /* elements in a word */
  int64_t head_dim;    /* columns of a head */
  int64_t head_words;  /* words of a row of a head */
  int64_t head_padded; /* head_dim, rounded up to a multiple of 16 */
  float scale;         /* of q·k */
  float cap;           /* of scores; 0: none */
  float score_scale;   /* of scores as the softmax finds them: capped ones are scaled already */
  float scale_log2;    /* the same, for powers of 2 */
  void (*multiply)(int64_t rows, int64_t columns, int64_t steps, const void *a, int64_t a_stride,
                   const void *b, int64_t b_stride, float *c, int64_t c_stride, bool accumulate);
} ft_engine;

ft_engine ft_engine_of(const ft_attention *a);
/* What q·k is multiplied by. */
float ft_attention_scale(const ft_attention *a);

/* Words that `rows` rows take when they are summed over. */
static inline int64_t ft_engine_steps(const ft_engine *e, int64_t rows) {
  return ft_ceil_div(rows, e->per_word);
}

/* The form "rows" of x, whose rows are `stride` elements apart: x itself where its values are words
 * already, else words in `room` [rows, head_words]. */
typedef struct ft_words {
  const float *data;
  int64_t stride; /* words */
} ft_words;
ft_words ft_rows_of(const ft_engine *e, int64_t rows, const void *x, int64_t stride, void *room);
/* All outputs are arrays of 4-byte words. out [head_words, padded] */
void ft_pack_columns(const ft_engine *e, int64_t rows, ft_words x, void *out, int64_t padded);
/* out [steps(rows), head_padded] */
void ft_pack_pairs(const ft_engine *e, int64_t rows, ft_words x, void *out);
/* out [head_dim, out_stride]; from what ft_pack_pairs gave. */
void ft_pack_flipped(const ft_engine *e, int64_t rows, const void *packed_pairs, void *out,
                     int64_t out_stride);

/* Units of work of a call, numbered document by document, block by block and head by head, so that
 * threads which take neighbours seldom meet in one head: `first[d]` is the first of document d. */
typedef struct ft_units {
  const int64_t *first; /* [num_documents + 1] */
  int64_t num_documents, heads, count;
} ft_units;
typedef struct ft_unit {
  int64_t document, head, block;
} ft_unit;
/* One unit for each of `heads` heads and each `rows_each` rows of a document. `units` is valid
 * until the next call. */
ft_err ft_units_new(const ft_attention *a, int64_t heads, int64_t rows_each, ft_units *units);
ft_unit ft_units_get(const ft_units *units, int64_t index);

/* Row (of its document) of the first block of keys that a query at `row` may see, and the row after
 * the last key that a query before row `end` of a document of `length` rows does. */
int64_t ft_first_key(const ft_attention *a, int64_t row);
int64_t ft_end_of_keys(const ft_attention *a, int64_t end, int64_t length);
/* How many keys from `key0` on the window hides from a query at `row` and all after it, rounded
 * down to a multiple of `step`. They add nothing, not even another last bit: sums begin after them.
 */
static inline int64_t ft_hidden_keys(const ft_attention *a, int64_t row, int64_t key0,
                                     int64_t step) {
  return a->window > 0 ? FT_MAX((int64_t)0, row - a->window + 1 - key0) / step * step : 0;
}
ft_visible ft_visible_of(const ft_attention *a, int64_t query0, int64_t queries, int64_t key0,
                         int64_t keys);

/* Scores [keys, 64] that are held as q·k become capped ones, if there is a cap. */
static inline void ft_cap_scores(const ft_engine *e, int64_t keys, float *scores) {
  if (e->cap != 0) e->vector->soft_cap(keys * FT_QUERY_BLOCK, scores, e->scale, e->cap);
}

/* Rows of a block of keys that causality hides from the same whole vectors of queries: what is
 * hidden from all of them need not be computed. */
typedef struct ft_band {
  int64_t row, rows; /* of keys, within the block */
  int64_t column;    /* first query, within its block, that sees any of them: a multiple of 16 */
} ft_band;
/* The band that starts at `row` of `keys` rows. */
static inline ft_band ft_band_at(const ft_visible *visible, int64_t row, int64_t keys) {
  if (visible->all) return (ft_band){0, keys, 0};
  int64_t column = FT_MAX((int64_t)0, row - visible->diagonal) / 16 * 16;
  int64_t end = FT_MIN(keys, visible->diagonal + column + 16);
  return (ft_band){row, end - row, column};
}

/* Sᵀ or dPᵀ [keys, 64]: a [keys, head_words] times b [head_words, 64], but for what is hidden. */
void ft_multiply_seen(const ft_engine *e, const ft_visible *visible, int64_t keys, ft_words a,
                      const float *b, float *out);

/* Cuts `count` floats from memory that starts at `base` (NULL: only counts them); *at moves on, and
 * is returned. */
static inline int64_t ft_carve(float *base, int64_t *at, int64_t count, float **out) {
  *out = base ? base + *at : NULL;
  *at += ft_round_up(count, 16);
  return *at;
}

#endif
