/* Attention, backward. A unit of work is one block of keys of one key/value head: it adds up that
 * block's dK and dV over the query heads of the group and all blocks of queries that see it. dQ of
 * a block of queries is the sum of what the units of all its blocks of keys contribute; they add to
 * it one after the other in the order of the blocks of keys, each waiting for its turn. Threads
 * take units in that order too, so whoever is waited for is already at work, and a single long
 * document keeps every thread busy. */
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "attention.h"

typedef struct backward {
  const ft_attention *a;
  ft_engine e;
  ft_attention_in in;
  ft_attention_out out;
  ft_attention_gradient gradient;
  int64_t tokens, group;
  ft_units units; /* blocks of keys */

  /* shared by the team */
  float *delta;               /* [heads, tokens] Σ dO · O of each row */
  float *dq_sums;             /* [heads, query blocks, head_dim, 64] dQᵀ */
  atomic_int_fast32_t *done;  /* [heads, query blocks] blocks of keys that have added to it */
  const int64_t *query_first; /* [documents + 1] number of a document's first block of queries */
  int64_t num_query_blocks;
} backward;

typedef struct backward_scratch {
  /* the block of keys */
  float *k_room, *v_room; /* [keys, words], for rows that are not words yet */
  float *k_flipped;       /* [head_dim, keys / 2] */
  float *dk, *dv;         /* [keys, head_padded] */
  /* the block of queries */
  float *q_columns, *do_columns; /* [head_words, 64] */
  float *q_pairs, *do_pairs;     /* [64 / 2, head_padded] */
  float *rows;                   /* [64, words] while packing */
  float *lse, *delta;            /* [64] */
  /* both */
  float *scores, *dp;      /* [strip, 64] */
  float *p_rows, *ds_rows; /* [strip, 64 / 2] words */
  float *ds_words;         /* [keys / 2, 64] */
  float *dq;               /* [head_dim, 64] */
} backward_scratch;

static int64_t backward_layout(const backward *b, float *base, backward_scratch *s) {
  const ft_engine *e = &b->e;
  int64_t at = 0, keys = FT_KEY_BLOCK, q = FT_QUERY_BLOCK, strip = FT_KEY_STRIP;
  ft_carve(base, &at, keys * e->head_words, &s->k_room);
  ft_carve(base, &at, keys * e->head_words, &s->v_room);
  ft_carve(base, &at, e->head_dim * keys, &s->k_flipped);
  ft_carve(base, &at, keys * e->head_padded, &s->dk);
  ft_carve(base, &at, keys * e->head_padded, &s->dv);
  ft_carve(base, &at, e->head_words * q, &s->q_columns);
  ft_carve(base, &at, e->head_words * q, &s->do_columns);
  ft_carve(base, &at, q * e->head_padded, &s->q_pairs);
  ft_carve(base, &at, q * e->head_padded, &s->do_pairs);
  ft_carve(base, &at, FT_MAX(keys, q) * e->head_padded, &s->rows);
  ft_carve(base, &at, q, &s->lse);
  ft_carve(base, &at, q, &s->delta);
  ft_carve(base, &at, strip * q, &s->scores);
  ft_carve(base, &at, strip * q, &s->dp);
  ft_carve(base, &at, strip * q, &s->p_rows);
  ft_carve(base, &at, keys * q, &s->ds_rows);
  ft_carve(base, &at, keys * q, &s->ds_words);
  return ft_carve(base, &at, e->head_dim * q, &s->dq);
}

/* ---------------------------------------------------------------- one block of keys */

typedef struct key_block {
  int64_t start, length;   /* of the document */
  int64_t first_block;     /* number of the document's first block of queries */
  int64_t kv_head, number; /* number of the block within the document */
  int64_t key0, keys;
  ft_words k, v;
} key_block;

static key_block key_block_of(const backward *b, int64_t index) {
  ft_unit u = ft_units_get(&b->units, index);
  int64_t start = b->a->offsets[u.document], length = b->a->offsets[u.document + 1] - start;
  int64_t key0 = u.block * FT_KEY_BLOCK;
  return (key_block){.start = start,
                     .length = length,
                     .first_block = b->query_first[u.document],
                     .kv_head = u.head,
                     .number = u.block,
                     .key0 = key0,
                     .keys = FT_MIN((int64_t)FT_KEY_BLOCK, length - key0)};
}

static void load_keys(const backward *b, const backward_scratch *s, key_block *kb) {
  const ft_engine *e = &b->e;
  int64_t row = kb->start + kb->key0, column = kb->kv_head * e->head_dim;
  size_t bytes = (size_t)(kb->keys * e->head_padded) * sizeof(float);
  kb->k = ft_rows_of(e, kb->keys, ft_at(e->type, b->in.k, row * b->in.k_stride + column),
                     b->in.k_stride, s->k_room);
  kb->v = ft_rows_of(e, kb->keys, ft_at(e->type, b->in.v, row * b->in.v_stride + column),
                     b->in.v_stride, s->v_room);
  ft_pack_pairs(e, kb->keys, kb->k, s->rows);
  ft_pack_flipped(e, kb->keys, s->rows, s->k_flipped, ft_engine_steps(e, FT_KEY_BLOCK));
  memset(s->dk, 0, bytes);
  memset(s->dv, 0, bytes);
}

static void store_keys(const backward *b, const backward_scratch *s, const key_block *kb) {
  const ft_engine *e = &b->e;
  int64_t row = kb->start + kb->key0, column = kb->kv_head * e->head_dim;
  for (int64_t i = 0; i < kb->keys * e->head_padded; i++)
    s->dk[i] *= e->scale;
  for (int64_t j = 0; j < kb->keys; j++) {
    void *dk = ft_at_out(e->type, b->gradient.dk, (row + j) * b->in.k_stride + column);
    void *dv = ft_at_out(e->type, b->gradient.dv, (row + j) * b->in.v_stride + column);
    e->vector->convert(e->type, dk, FT_F32, s->dk + j * e->head_padded, e->head_dim);
    e->vector->convert(e->type, dv, FT_F32, s->dv + j * e->head_padded, e->head_dim);
  }
}

/* ---------------------------------------------------------------- one block of queries */

typedef struct query_block {
  int64_t head, number; /* number of the block among all blocks of queries */
  int64_t query0, queries;
  int64_t end_of_keys; /* row after the last key that any of them sees */
} query_block;

static void load_queries(const backward *b, const backward_scratch *s, const key_block *kb,
                         const query_block *qb) {
  const ft_engine *e = &b->e;
  int64_t row = kb->start + qb->query0, column = qb->head * e->head_dim;
  ft_words q = ft_rows_of(e, qb->queries, ft_at(e->type, b->in.q, row * b->in.q_stride + column),
                          b->in.q_stride, s->rows);
  ft_pack_columns(e, qb->queries, q, s->q_columns, FT_QUERY_BLOCK);
  ft_pack_pairs(e, qb->queries, q, s->q_pairs);
  ft_words d_o =
      ft_rows_of(e, qb->queries, ft_at(e->type, b->gradient.d_o, row * b->out.o_stride + column),
                 b->out.o_stride, s->rows);
  ft_pack_columns(e, qb->queries, d_o, s->do_columns, FT_QUERY_BLOCK);
  ft_pack_pairs(e, qb->queries, d_o, s->do_pairs);
  for (int64_t i = 0; i < FT_QUERY_BLOCK; i++) {
    int64_t at = qb->head * b->tokens + row + i;
    bool used = i < qb->queries; /* lanes without a query get probabilities of zero */
    s->lse[i] = used ? b->out.lse[at] * 1.44269504f : INFINITY;
    s->delta[i] = used ? b->delta[at] : 0;
  }
}

/* dK, dV and the strip's part of dSᵀ for keys j0 … j0 + keys − 1 of the block. */
static void strip_backward(const backward *b, const backward_scratch *s, const key_block *kb,
                           const query_block *qb, int64_t j0, int64_t keys) {
  const ft_engine *e = &b->e;
  const int64_t width = FT_QUERY_BLOCK, steps = ft_engine_steps(e, qb->queries);
  const int64_t row_words = width / e->per_word, padded = e->head_padded;
  ft_visible visible = ft_visible_of(b->a, qb->query0, qb->queries, kb->key0 + j0, keys);
  /* with f32 the rows of dSᵀ are what dQ needs too: they stay for the whole block of keys */
  float *ds_words = s->ds_words + j0 / e->per_word * width;
  float *ds_rows = e->pairs ? s->ds_rows : ds_words;
  ft_words k = {kb->k.data + j0 * kb->k.stride, kb->k.stride};
  ft_words v = {kb->v.data + j0 * kb->v.stride, kb->v.stride};
  ft_multiply_seen(e, &visible, keys, k, s->q_columns, s->scores);
  ft_multiply_seen(e, &visible, keys, v, s->do_columns, s->dp);
  ft_cap_scores(e, keys, s->scores);
  const ft_softmax_terms terms = {.scale_log2 = e->scale_log2,
                                  .inverse_cap = e->cap != 0 ? 1.0f / e->cap : 0,
                                  .lse_log2 = s->lse,
                                  .delta = s->delta};
  e->vector->softmax_backward(e->pairs, keys, s->scores, s->dp, &terms, &visible, s->p_rows,
                              ds_rows, ds_words);
  ft_band band = {0};
  for (int64_t row = 0; row < keys; row += band.rows) {
    band = ft_band_at(&visible, row, keys);
    int64_t first = band.column / e->per_word, at = row * row_words + first;
    int64_t out = (j0 + row) * padded;
    e->multiply(band.rows, padded, steps - first, s->p_rows + at, row_words,
                s->do_pairs + first * padded, padded, s->dv + out, padded, true);
    e->multiply(band.rows, padded, steps - first, ds_rows + at, row_words,
                s->q_pairs + first * padded, padded, s->dk + out, padded, true);
  }
}

static void write_dq(const backward *b, const backward_scratch *s, const key_block *kb,
                     const query_block *qb, float *sums) {
  const ft_engine *e = &b->e;
  int64_t row = kb->start + qb->query0, column = qb->head * e->head_dim;
  for (int64_t i = 0; i < e->head_dim * FT_QUERY_BLOCK; i++)
    sums[i] *= e->scale;
  e->vector->transpose(e->head_dim, FT_QUERY_BLOCK, sums, FT_QUERY_BLOCK, s->rows, e->head_padded,
                       e->head_dim);
  for (int64_t i = 0; i < qb->queries; i++)
    e->vector->convert(e->type,
                       ft_at_out(e->type, b->gradient.dq, (row + i) * b->in.q_stride + column),
                       FT_F32, s->rows + i * e->head_padded, e->head_dim);
}

/* Adds the part of dQ of this block's keys first … keys-1 after those of the blocks before it; the
 * last one writes dQ. */
static void add_dq(const backward *b, const backward_scratch *s, const key_block *kb,
                   const query_block *qb, int64_t first, int64_t keys) {
  const ft_engine *e = &b->e;
  const int64_t count = e->head_dim * FT_QUERY_BLOCK;
  int64_t slot = qb->head * b->num_query_blocks + qb->number;
  int64_t turn = kb->number - ft_first_key(b->a, qb->query0) / FT_KEY_BLOCK;
  bool last = kb->key0 + FT_KEY_BLOCK >= qb->end_of_keys;
  float *sums = b->dq_sums + slot * count;
  e->multiply(e->head_dim, FT_QUERY_BLOCK, ft_engine_steps(e, keys - first),
              s->k_flipped + first / e->per_word, ft_engine_steps(e, FT_KEY_BLOCK),
              s->ds_words + first / e->per_word * FT_QUERY_BLOCK, FT_QUERY_BLOCK, s->dq,
              FT_QUERY_BLOCK, false);
  for (int spins = 0; atomic_load_explicit(&b->done[slot], memory_order_acquire) != turn; spins++) {
    if (ft_kernels_stopping()) return; /* whose turn it is may never come */
    if (spins > 100) sched_yield();
  }
  if (turn == 0)
    memcpy(sums, s->dq, (size_t)count * sizeof *sums);
  else
    e->vector->add_f32(count, sums, s->dq);
  if (last) write_dq(b, s, kb, qb, sums);
  atomic_store_explicit(&b->done[slot], (int_fast32_t)turn + 1, memory_order_release);
}

static void unit_backward(const backward *b, const backward_scratch *s, int64_t index) {
  key_block kb = key_block_of(b, index);
  int64_t num_blocks = ft_ceil_div(kb.length, FT_QUERY_BLOCK);
  int64_t first = (kb.key0 - FT_MIN(b->a->ahead, kb.key0)) / FT_QUERY_BLOCK;
  load_keys(b, s, &kb);
  for (int64_t g = 0; g < b->group; g++)
    for (int64_t i = first; i < num_blocks; i++) {
      int64_t query0 = i * FT_QUERY_BLOCK;
      query_block qb = {.head = kb.kv_head * b->group + g,
                        .number = kb.first_block + i,
                        .query0 = query0,
                        .queries = FT_MIN((int64_t)FT_QUERY_BLOCK, kb.length - query0)};
      qb.end_of_keys = ft_end_of_keys(b->a, query0 + qb.queries, kb.length);
      if (ft_first_key(b->a, query0) > kb.key0) break; /* the window has passed these keys */
      if (ft_kernels_stopping()) return;
      int64_t keys = FT_MIN(kb.keys, qb.end_of_keys - kb.key0);
      load_queries(b, s, &kb, &qb);
      int64_t seen = FT_MIN(ft_hidden_keys(b->a, query0, kb.key0, FT_KEY_STRIP), keys);
      for (int64_t j = seen; j < keys; j += FT_KEY_STRIP)
        strip_backward(b, s, &kb, &qb, j, FT_MIN((int64_t)FT_KEY_STRIP, keys - j));
      add_dq(b, s, &kb, &qb, seen, keys);
    }
  store_keys(b, s, &kb);
}

/* ---------------------------------------------------------------- the whole */

/* delta = Σ dO · O, the part of the softmax's gradient that a row has in common. */
static void make_delta(const backward *b) {
  const ft_engine *e = &b->e;
#pragma omp parallel for schedule(dynamic, 16)
  for (int64_t t = 0; t < b->tokens; t++)
    for (int64_t h = 0; h < b->a->heads; h++) {
      int64_t at = t * b->out.o_stride + h * e->head_dim;
      b->delta[h * b->tokens + t] = e->vector->dot(
          e->type, e->head_dim, ft_at(e->type, b->out.o, at), ft_at(e->type, b->gradient.d_o, at));
    }
}

/* What the threads share, carved from `memory` (NULL: only measured). Returns its floats. */
static int64_t shared_layout(backward *b, float *memory, float **done, float **first) {
  const ft_attention *a = b->a;
  int64_t blocks = 0, at = 0;
  for (int64_t d = 0; d < a->num_documents; d++)
    blocks += ft_ceil_div(a->offsets[d + 1] - a->offsets[d], FT_QUERY_BLOCK);
  b->num_query_blocks = blocks;
  ft_carve(memory, &at, a->heads * b->tokens, &b->delta);
  ft_carve(memory, &at, a->heads * blocks * b->e.head_dim * FT_QUERY_BLOCK, &b->dq_sums);
  ft_carve(memory, &at, a->heads * blocks * 2, done); /* two words each, at most */
  ft_carve(memory, &at, (a->num_documents + 1) * 2, first);
  return at;
}

static ft_err share_memory(backward *b) {
  const ft_attention *a = b->a;
  float *memory = NULL, *done = NULL, *first = NULL;
  size_t bytes = (size_t)shared_layout(b, NULL, &done, &first) * sizeof(float);
  ft_err err = ft_scratch_shared(bytes, (void **)&memory);
  if (err != FT_OK) return err;
  shared_layout(b, memory, &done, &first);
  b->done = (atomic_int_fast32_t *)(void *)done;
  int64_t *numbers = (int64_t *)(void *)first;
  for (int64_t i = 0; i < a->heads * b->num_query_blocks; i++)
    atomic_init(&b->done[i], 0);
  numbers[0] = 0;
  for (int64_t d = 0; d < a->num_documents; d++)
    numbers[d + 1] = numbers[d] + ft_ceil_div(a->offsets[d + 1] - a->offsets[d], FT_QUERY_BLOCK);
  b->query_first = numbers;
  return FT_OK;
}

int64_t ft_attention_scratch(const ft_attention *a) {
  backward b = {.a = a, .e = ft_engine_of(a), .tokens = a->offsets[a->num_documents]};
  float *done, *first;
  backward_scratch layout;
  int64_t floats = shared_layout(&b, NULL, &done, &first) +
                   omp_get_max_threads() * backward_layout(&b, NULL, &layout);
  return floats * (int64_t)sizeof(float);
}

ft_err ft_attention_backward(const ft_attention *a, const ft_attention_in *in,
                             const ft_attention_out *out, const ft_attention_gradient *gradient) {
  ft_err err = FT_OK;
  backward b = {.a = a,
                .e = ft_engine_of(a),
                .in = *in,
                .out = *out,
                .gradient = *gradient,
                .tokens = a->offsets[a->num_documents],
                .group = a->heads / a->kv_heads};
  backward_scratch layout;
  FT_TRY(ft_units_new(a, a->kv_heads, FT_KEY_BLOCK, &b.units));
  FT_TRY(share_memory(&b));
  FT_TRY(ft_scratch_reserve((size_t)backward_layout(&b, NULL, &layout) * sizeof(float)));
  make_delta(&b);
  atomic_int_fast64_t next = 0;
#pragma omp parallel if (b.units.count > 1)
  {
    backward_scratch s;
    backward_layout(&b, ft_scratch(), &s);
    for (int64_t i = atomic_fetch_add(&next, 1); i < b.units.count; i = atomic_fetch_add(&next, 1))
      if (!ft_kernels_stopping()) unit_backward(&b, &s, i);
  }
out:
  return err;
}
