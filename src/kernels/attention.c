/* Attention: operands and the forward pass. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "attention.h"

float ft_attention_scale(const ft_attention *a) {
  return a->scale != 0 ? a->scale : (float)(1.0 / sqrt((double)a->head_dim));
}

ft_engine ft_engine_of(const ft_attention *a) {
  const ft_vector *vector = ft_vector_used();
  bool pairs = a->type == FT_BF16 && vector->multiply_bf16;
  float scale = ft_attention_scale(a);
  float score_scale = a->soft_cap != 0 ? 1.0f : scale;
  FT_ASSERT(a->window >= 0 && a->ahead >= 0 && a->soft_cap >= 0);
  FT_ASSERT(a->head_dim > 0 && a->head_dim % 2 == 0 && a->heads % a->kv_heads == 0);
  return (ft_engine){.vector = vector,
                     .type = a->type,
                     .pairs = pairs,
                     .per_word = pairs ? 2 : 1,
                     .head_dim = a->head_dim,
                     .head_words = pairs ? a->head_dim / 2 : a->head_dim,
                     .head_padded = ft_round_up(a->head_dim, 16),
                     .scale = scale,
                     .cap = a->soft_cap,
                     .score_scale = score_scale,
                     .scale_log2 = score_scale * 1.44269504f,
                     .multiply = pairs ? vector->multiply_bf16 : vector->multiply_f32};
}

ft_words ft_rows_of(const ft_engine *e, int64_t rows, const void *x, int64_t stride, void *room) {
  ft_dtype to = e->pairs ? FT_BF16 : FT_F32;
  if (e->type == to && stride % e->per_word == 0) return (ft_words){x, stride / e->per_word};
  for (int64_t r = 0; r < rows; r++)
    e->vector->convert(to, (float *)room + r * e->head_words, e->type,
                       ft_at(e->type, x, r * stride), e->head_dim);
  return (ft_words){room, e->head_words};
}

void ft_pack_columns(const ft_engine *e, int64_t rows, ft_words x, void *out, int64_t padded) {
  e->vector->transpose(rows, e->head_words, x.data, x.stride, out, padded, padded);
}

void ft_pack_pairs(const ft_engine *e, int64_t rows, ft_words x, void *out) {
  float *to = out;
  int64_t steps = ft_engine_steps(e, rows), padding = e->head_padded - e->head_dim;
  if (e->pairs) e->vector->interleave(rows, e->head_dim, x.data, 2 * x.stride, out, e->head_padded);
  for (int64_t s = 0; s < steps; s++) {
    if (!e->pairs)
      memcpy(to + s * e->head_padded, x.data + s * x.stride, (size_t)e->head_dim * sizeof *to);
    memset(to + s * e->head_padded + e->head_dim, 0, (size_t)padding * sizeof *to);
  }
}

void ft_pack_flipped(const ft_engine *e, int64_t rows, const void *packed_pairs, void *out,
                     int64_t out_stride) {
  int64_t steps = ft_engine_steps(e, rows);
  e->vector->transpose(steps, e->head_dim, packed_pairs, e->head_padded, out, out_stride, steps);
}

ft_err ft_units_new(const ft_attention *a, int64_t heads, int64_t rows_each, ft_units *units) {
  int64_t *first = NULL;
  ft_err err = ft_scratch_documents(a->num_documents + 1, &first);
  if (err != FT_OK) return err;
  first[0] = 0;
  for (int64_t d = 0; d < a->num_documents; d++) {
    int64_t length = a->offsets[d + 1] - a->offsets[d];
    FT_ASSERT(length >= 0);
    first[d + 1] = first[d] + heads * ft_ceil_div(length, rows_each);
  }
  *units = (ft_units){.first = first,
                      .num_documents = a->num_documents,
                      .heads = heads,
                      .count = first[a->num_documents]};
  return FT_OK;
}

ft_unit ft_units_get(const ft_units *units, int64_t index) {
  int64_t low = 0, high = units->num_documents; /* first[low] ≤ index < first[high] */
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (units->first[middle] <= index)
      low = middle;
    else
      high = middle;
  }
  int64_t within = index - units->first[low];
  return (ft_unit){.document = low, .head = within % units->heads, .block = within / units->heads};
}

int64_t ft_first_key(const ft_attention *a, int64_t row) {
  int64_t first = a->window > 0 ? FT_MAX((int64_t)0, row - a->window + 1) : 0;
  return first / FT_KEY_BLOCK * FT_KEY_BLOCK;
}

int64_t ft_end_of_keys(const ft_attention *a, int64_t end, int64_t length) {
  return a->ahead < length - end ? end + a->ahead : length;
}

ft_visible ft_visible_of(const ft_attention *a, int64_t query0, int64_t queries, int64_t key0,
                         int64_t keys) {
  int64_t ahead = FT_MIN(a->ahead, a->offsets[a->num_documents]);
  int64_t diagonal = query0 - key0 + ahead, last = diagonal + queries - 1;
  int64_t window = a->window > 0 ? a->window + ahead : 0;
  bool near_enough = keys - 1 <= diagonal;        /* the first query sees the last key */
  bool far_enough = window == 0 || last < window; /* the last query sees the first key */
  return (ft_visible){.all = near_enough && far_enough, .diagonal = diagonal, .window = window};
}

void ft_multiply_seen(const ft_engine *e, const ft_visible *visible, int64_t keys, ft_words a,
                      const float *b, float *out) {
  const int64_t width = FT_QUERY_BLOCK;
  ft_band band = {0};
  for (int64_t row = 0; row < keys; row += band.rows) {
    band = ft_band_at(visible, row, keys);
    e->multiply(band.rows, width - band.column, e->head_words, a.data + row * a.stride, a.stride,
                b + band.column, width, out + row * width + band.column, width, false);
  }
}

/* ---------------------------------------------------------------- forward */

typedef struct forward {
  const ft_attention *a;
  ft_engine e;
  ft_attention_in in;
  ft_attention_out out;
  int64_t tokens, group; /* query heads of a key/value head */
  int64_t sub_blocks;    /* blocks of 64 queries in a unit */
} forward;

/* One thread's memory, cut from its scratch. */
typedef struct forward_scratch {
  float *k_rows;    /* [keys, words] */
  float *v_pairs;   /* [keys / 2, head_padded] */
  float *v_flipped; /* [head_dim, keys / 2] */
  float *scores;    /* [keys, 64] */
  float *p;         /* [keys / 2, 64] words */
  float *rescale;   /* [64] */
  /* for each head of the group and block of 64 queries */
  float *q_columns;     /* [head_words, 64] */
  float *o;             /* [head_dim, 64] */
  float *largest, *sum; /* [64] */
} forward_scratch;

static int64_t forward_layout(const forward *f, float *base, forward_scratch *s) {
  const ft_engine *e = &f->e;
  int64_t at = 0, keys = FT_KEY_BLOCK, q = FT_QUERY_BLOCK, tiles = f->group * f->sub_blocks;
  ft_carve(base, &at, keys * e->head_dim, &s->k_rows);
  ft_carve(base, &at, keys * e->head_padded, &s->v_pairs);
  ft_carve(base, &at, keys * e->head_dim, &s->v_flipped);
  ft_carve(base, &at, FT_MAX(keys, e->head_padded) * q, &s->scores); /* also rows of a head */
  ft_carve(base, &at, keys * q, &s->p);
  ft_carve(base, &at, q, &s->rescale);
  ft_carve(base, &at, tiles * e->head_words * q, &s->q_columns);
  ft_carve(base, &at, tiles * e->head_padded * q, &s->o);
  ft_carve(base, &at, tiles * q, &s->largest);
  return ft_carve(base, &at, tiles * q, &s->sum);
}

/* The rows of one block of 64 queries of a unit. */
typedef struct tile {
  int64_t start;           /* of the document, in tokens */
  int64_t query0, queries; /* within the document */
  int64_t end_of_keys;     /* that any of them sees */
  int64_t head;
  int64_t number; /* within the unit */
} tile;

static void forward_start(const forward *f, const forward_scratch *s, const tile *t) {
  const ft_engine *e = &f->e;
  int64_t row = t->start + t->query0;
  ft_words q = ft_rows_of(e, t->queries,
                          ft_at(e->type, f->in.q, row * f->in.q_stride + t->head * e->head_dim),
                          f->in.q_stride, s->scores);
  ft_pack_columns(e, t->queries, q, s->q_columns + t->number * e->head_words * FT_QUERY_BLOCK,
                  FT_QUERY_BLOCK);
  memset(s->o + t->number * e->head_padded * FT_QUERY_BLOCK, 0,
         (size_t)(e->head_padded * FT_QUERY_BLOCK) * sizeof *s->o);
  for (int64_t i = 0; i < FT_QUERY_BLOCK; i++) {
    s->largest[t->number * FT_QUERY_BLOCK + i] = -INFINITY;
    s->sum[t->number * FT_QUERY_BLOCK + i] = 0;
  }
}

/* One block of keys (packed) for one block of queries. */
static void forward_keys(const forward *f, const forward_scratch *s, const tile *t, ft_words k,
                         int64_t key0, int64_t keys) {
  const ft_engine *e = &f->e;
  const int64_t width = FT_QUERY_BLOCK;
  int64_t hidden = ft_hidden_keys(f->a, t->query0, key0, 2); /* whole words */
  keys = FT_MIN(keys, t->end_of_keys - key0) - hidden;
  if (keys <= 0) return;
  if (f->a->window > 0 && t->query0 - (key0 + hidden + keys - 1) >= f->a->window) return;
  key0 += hidden;
  k.data += hidden * k.stride;
  ft_visible visible = ft_visible_of(f->a, t->query0, t->queries, key0, keys);
  float *o = s->o + t->number * e->head_padded * width;
  ft_multiply_seen(e, &visible, keys, k, s->q_columns + t->number * e->head_words * width,
                   s->scores);
  ft_cap_scores(e, keys, s->scores);
  if (e->vector->softmax_step(e->pairs, keys, s->scores, e->scale_log2, &visible,
                              s->largest + t->number * width, s->sum + t->number * width,
                              s->rescale, s->p))
    e->vector->scale_columns(e->head_dim, o, s->rescale);
  e->multiply(e->head_dim, width, ft_engine_steps(e, keys), s->v_flipped + hidden / e->per_word,
              ft_engine_steps(e, FT_KEY_BLOCK), s->p, width, o, width, true);
}

/* o = Oᵀᵀ / sum, lse = ln sum + score_scale · largest. */
static void forward_finish(const forward *f, const forward_scratch *s, const tile *t) {
  const ft_engine *e = &f->e;
  const int64_t width = FT_QUERY_BLOCK, row = t->start + t->query0;
  float *o = s->o + t->number * e->head_padded * width, *rows = s->scores;
  const float *sum = s->sum + t->number * width, *largest = s->largest + t->number * width;
  for (int64_t i = 0; i < width; i++)
    s->rescale[i] = 1.0f / sum[i];
  e->vector->scale_columns(e->head_dim, o, s->rescale);
  e->vector->transpose(e->head_dim, width, o, width, rows, e->head_padded, e->head_dim);
  for (int64_t i = 0; i < t->queries; i++) {
    int64_t at = (row + i) * f->out.o_stride + t->head * e->head_dim;
    e->vector->convert(e->type, ft_at_out(e->type, f->out.o, at), FT_F32, rows + i * e->head_padded,
                       e->head_dim);
    f->out.lse[t->head * f->tokens + row + i] = logf(sum[i]) + e->score_scale * largest[i];
  }
}

static tile tile_of(const forward *f, const ft_unit *u, int64_t number) {
  int64_t start = f->a->offsets[u->document], length = f->a->offsets[u->document + 1] - start;
  int64_t sub = number % f->sub_blocks;
  int64_t query0 = (u->block * f->sub_blocks + sub) * FT_QUERY_BLOCK;
  int64_t queries = FT_MAX((int64_t)0, FT_MIN((int64_t)FT_QUERY_BLOCK, length - query0));
  return (tile){.start = start,
                .query0 = query0,
                .queries = queries,
                .end_of_keys = ft_end_of_keys(f->a, query0 + queries, length),
                .head = u->head * f->group + number / f->sub_blocks,
                .number = number};
}

/* The group's heads of `sub_blocks` blocks of queries share the packed blocks of keys. */
static void forward_unit(const forward *f, const forward_scratch *s, const ft_unit *u) {
  const ft_engine *e = &f->e;
  int64_t tiles = f->group * f->sub_blocks, last = 0;
  for (int64_t i = 0; i < tiles; i++) {
    tile t = tile_of(f, u, i);
    if (t.queries > 0) forward_start(f, s, &t);
    if (t.queries > 0) last = FT_MAX(last, t.end_of_keys);
  }
  int64_t start = f->a->offsets[u->document], column = u->head * e->head_dim;
  int64_t key0 = ft_first_key(f->a, u->block * f->sub_blocks * FT_QUERY_BLOCK);
  for (; key0 < last; key0 += FT_KEY_BLOCK) {
    int64_t keys = FT_MIN((int64_t)FT_KEY_BLOCK, last - key0), row = start + key0;
    const void *v = ft_at(e->type, f->in.v, row * f->in.v_stride + column);
    const void *k = ft_at(e->type, f->in.k, row * f->in.k_stride + column);
    ft_pack_pairs(e, keys, ft_rows_of(e, keys, v, f->in.v_stride, s->k_rows), s->v_pairs);
    ft_pack_flipped(e, keys, s->v_pairs, s->v_flipped, ft_engine_steps(e, FT_KEY_BLOCK));
    ft_words k_rows = ft_rows_of(e, keys, k, f->in.k_stride, s->k_rows);
    for (int64_t i = 0; i < tiles; i++) {
      tile t = tile_of(f, u, i);
      if (t.queries > 0) forward_keys(f, s, &t, k_rows, key0, keys);
    }
  }
  for (int64_t i = 0; i < tiles; i++) {
    tile t = tile_of(f, u, i);
    if (t.queries > 0) forward_finish(f, s, &t);
  }
}

ft_err ft_attention_forward(const ft_attention *a, const ft_attention_in *in,
                            const ft_attention_out *out) {
  ft_err err = FT_OK;
  int64_t group = a->heads / a->kv_heads;
  forward f = {.a = a,
               .e = ft_engine_of(a),
               .in = *in,
               .out = *out,
               .tokens = a->offsets[a->num_documents],
               .group = group,
               .sub_blocks = group >= 4 ? 1 : 4 / group};
  ft_units units;
  forward_scratch layout;
  FT_TRY(ft_units_new(a, a->kv_heads, f.sub_blocks * FT_QUERY_BLOCK, &units));
  FT_TRY(ft_scratch_reserve((size_t)forward_layout(&f, NULL, &layout) * sizeof(float)));
  atomic_int_fast64_t next = 0;
#pragma omp parallel if (units.count > 1)
  {
    forward_scratch s;
    forward_layout(&f, ft_scratch(), &s);
    /* later blocks see more keys: the longest first */
    for (int64_t i = atomic_fetch_add(&next, 1); i < units.count; i = atomic_fetch_add(&next, 1)) {
      ft_unit u = ft_units_get(&units, units.count - 1 - i);
      if (!ft_kernels_stopping()) forward_unit(&f, &s, &u);
    }
  }
out:
  return err;
}
