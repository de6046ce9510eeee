/* One tile of a matrix product, all of it in this file: C = A · B with a block of 8 × 48 sums in
 * registers, a panel of 48 columns of B packed in the second-level cache, and A read as it lies
 * where its rows are contiguous.
 *
 * A word is one f32, or two bf16 that are neighbours in the dimension that is summed over. A panel
 * of B is [steps, 48] words, a panel of A (packed only where its columns are contiguous) [steps, 8]
 * words. The sum is cut into stretches of at most DEPTH words, which k alone decides; between them
 * sums rest in f32 scratch. So what an element is the sum of, and in which order, depends neither
 * on the tile nor on where in it the element lies. */
#include "transpose.h"
#include "vector.h"

#ifdef __AVX512F__

enum {
  ROWS = FT_PRODUCT_ROWS,
  COLUMNS = FT_PRODUCT_COLUMNS,
  VECTORS = COLUMNS / LANES,
  DEPTH = FT_PRODUCT_DEPTH,
  /* rows of A that stay in the second-level cache while panels of B pass */
  BLOCK_ROWS = 16 * ROWS,
  /* bytes of the next panel that every step of a block asks for: all of it by the last row */
  NEXT_BYTES = COLUMNS * 4 * ROWS / BLOCK_ROWS
};

/* Words first … first+steps-1 of the sum. */
typedef struct stretch {
  int64_t first, steps;
  bool is_first, is_last;
} stretch;

/* ---------------------------------------------------------------- the block in registers */

/* c [rows, vectors] (+)= A [rows, steps] · B [steps, COLUMNS]. Strides of A in bytes: its words
 * need no alignment. next: memory that is wanted soon, NEXT_BYTES of it a step. */
INLINE void block(bool pairs, int rows, int vectors, int64_t steps, const char *a, int64_t a_row,
                  int64_t a_step, const float *b, const char *next, bool fresh, float *c,
                  int64_t c_row) {
  vf sum[ROWS][VECTORS];
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++)
      sum[r][v] = fresh ? v_zero() : v_load(c + r * c_row + v * LANES);
  }
  for (int64_t s = 0; s < steps; s++) {
    vf column[VECTORS];
    _mm_prefetch(next + s * NEXT_BYTES, _MM_HINT_T1);
    UNROLL
    for (int v = 0; v < vectors; v++)
      column[v] = v_load(b + s * COLUMNS + v * LANES);
    UNROLL
    for (int r = 0; r < rows; r++) {
      float word;
      memcpy(&word, a + r * a_row + s * a_step, sizeof word);
      UNROLL
      for (int v = 0; v < vectors; v++)
        sum[r][v] = multiply_add(pairs, v_set(word), column[v], sum[r][v]);
    }
  }
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++)
      v_store(c + r * c_row + v * LANES, sum[r][v]);
  }
}

/* The same for any number of rows and vectors. */
INLINE void any_block(bool pairs, int64_t rows, int64_t vectors, int64_t steps, const char *a,
                      int64_t a_row, int64_t a_step, const float *b, const char *next, bool fresh,
                      float *c, int64_t c_row) {
#define BLOCK(r, v)                                                                                \
  case (r)*4 + (v):                                                                                \
    block(pairs, r, v, steps, a, a_row, a_step, b, next, fresh, c, c_row);                         \
    break;
#define BLOCKS(r) BLOCK(r, 1) BLOCK(r, 2) BLOCK(r, 3)
  static_assert(ROWS == 8 && VECTORS == 3, "every size of a block has its case");
  switch (rows * 4 + vectors) {
    BLOCKS(1) BLOCKS(2) BLOCKS(3) BLOCKS(4) BLOCKS(5) BLOCKS(6) BLOCKS(7) BLOCKS(8) default : break;
  }
#undef BLOCKS
#undef BLOCK
}

/* ---------------------------------------------------------------- packing */

INLINE int64_t words_of(bool pairs, int64_t k) {
  return pairs ? (k + 1) / 2 : k;
}

/* Asks the memory for the words some rows below, which the processor does not see coming: rows are
 * far apart. */
INLINE void ask_for(bool pairs, const char *row, int64_t step, int64_t bytes) {
  const int64_t ahead = 8192 / bytes * (pairs ? 2 : 1);
  for (int64_t at = 0; at < bytes; at += 64) {
    _mm_prefetch(row + ahead * step + at, _MM_HINT_T0);
    if (pairs) _mm_prefetch(row + (ahead + 1) * step + at, _MM_HINT_T0);
  }
}

/* The first `count` of 16 lanes. */
INLINE __mmask16 first_lanes(int64_t count) {
  if (count >= 16) return (__mmask16)0xffff;
  return (__mmask16)((1u << FT_MAX(count, (int64_t)0)) - 1);
}

/* 16 words of rows `at` and, for pairs, the one below: the first `count` of them, the rest zero. */
INLINE __m512 join_rows(bool pairs, const void *row, const void *below, int64_t count) {
  __mmask16 mask = first_lanes(count);
  if (!pairs) return _mm512_maskz_loadu_ps(mask, row);
  __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, row));
  if (!below) return _mm512_castsi512_ps(low);
  __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, below));
  return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

/* Row s of words of a matrix whose rows along the sum are `step` bytes apart; *below as join_rows
 * wants it. */
INLINE const char *word_row(bool pairs, const char *in, int64_t step, int64_t s, int64_t k,
                            const char **below) {
  if (!pairs) {
    *below = NULL;
    return in + s * step;
  }
  *below = 2 * s + 1 < k ? in + (2 * s + 1) * step : NULL;
  return in + 2 * s * step;
}

/* B's rows lie along its columns: words of `columns` neighbours. in: B at the stretch's beginning,
 * k elements long from there. */
INLINE void pack_rows(bool pairs, int64_t steps, int64_t k, int64_t columns, const char *in,
                      int64_t step, float *out) {
  int64_t size = pairs ? 2 : 4;
  for (int64_t s = 0; s < steps; s++) {
    const char *below, *row = word_row(pairs, in, step, s, k, &below);
    ask_for(pairs, row, step, COLUMNS * size);
    UNROLL
    for (int v = 0; v < VECTORS; v++) {
      int64_t at = v * LANES;
      v_store(out + s * COLUMNS + at,
              join_rows(pairs, row + at * size, below ? below + at * size : NULL, columns - at));
    }
  }
}

/* The first `count` elements of 16 words at `in`, the rest zero. */
INLINE __m512 load_words(bool pairs, const char *in, int64_t count) {
  if (!pairs) {
    __mmask16 mask = first_lanes(count);
    return _mm512_maskz_loadu_ps(mask, in);
  }
  __mmask32 mask = count >= 32 ? 0xffffffff : (1u << FT_MAX(count, (int64_t)0)) - 1;
  return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, in));
}

/* B's columns lie along the sum, `column` bytes apart. */
INLINE void pack_columns(bool pairs, int64_t steps, int64_t k, int64_t columns, const char *in,
                         int64_t column, float *out) {
  for (int64_t s = 0; s < steps; s += 16)
    for (int64_t j = 0; j < COLUMNS; j += 16) {
      __m512 x[16];
      UNROLL
      for (int i = 0; i < 16; i++)
        x[i] = j + i < columns
                   ? load_words(pairs, in + (j + i) * column + s * (int64_t)sizeof(float),
                                k - (pairs ? 2 * s : s))
                   : _mm512_setzero_ps();
      transpose_registers(x);
      for (int64_t i = 0; i < FT_MIN((int64_t)16, steps - s); i++)
        v_store(out + (s + i) * COLUMNS + j, x[i]);
    }
}

/* A's columns lie along its rows: panels of 8 rows, [steps, 8] words each, `panel` words apart. */
INLINE void pack_panels(bool pairs, int64_t steps, int64_t k, int64_t rows, const char *in,
                        int64_t step, float *out, int64_t panel) {
  int64_t size = pairs ? 2 : 4;
  for (int64_t s = 0; s < steps; s++) {
    const char *below, *row = word_row(pairs, in, step, s, k, &below);
    ask_for(pairs, row, step, rows * size);
    for (int64_t i = 0; i < rows; i += 2 * ROWS) {
      float *to = out + i / ROWS * panel + s * ROWS;
      __m512 x = join_rows(pairs, row + i * size, below ? below + i * size : NULL, rows - i);
      _mm256_storeu_ps(to, _mm512_castps512_ps256(x));
      if (i + ROWS < rows) _mm256_storeu_ps(to + panel, _mm512_extractf32x8_ps(x, 1));
    }
  }
}

/* A's rows lie along the sum, but end in the middle of a word. */
INLINE void pack_odd(int64_t steps, int64_t k, int64_t rows, const char *in, int64_t row,
                     float *out, int64_t panel) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t s = 0; s < steps; s++) {
      uint16_t two[2] = {0};
      memcpy(two, in + i * row + s * (int64_t)sizeof two,
             FT_MIN((size_t)(k - 2 * s), (size_t)2) * 2);
      memcpy(out + i / ROWS * panel + s * ROWS + i % ROWS, two, sizeof two);
    }
}

/* ---------------------------------------------------------------- results */

/* Sums of some rows and up to 48 columns to C: with the bias and what was there. */
INLINE void finish(const ft_product *p, bool bf16, int64_t rows, int64_t columns, const float *sums,
                   int64_t sums_row, const float *bias, char *c) {
  int64_t size = bf16 ? 2 : 4;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t j = 0; j < columns; j += LANES) {
      char *out = c + (r * p->c_row + j) * size;
      vf x = v_load(sums + r * sums_row + j);
      if (p->bias) x += v_load(bias + j);
      if (p->accumulate) x += v_get(bf16, out, 0, columns - j);
      v_put(bf16, out, 0, columns - j, x);
    }
}

/* ---------------------------------------------------------------- a tile */

/* A thread's memory, in floats. */
typedef struct scratch {
  float *b, *a, *sums, *block, *bias;
} scratch;

static bool a_packed(const ft_product *p) {
  return p->a_column != 1 || (p->type == FT_BF16 && p->k % 2 != 0);
}

/* Floats from one packed panel of A to the next: a power of two would have all panels compete for
 * the same lines of the cache. */
INLINE int64_t panel_of_a(int64_t steps) {
  return ft_round_up(steps * ROWS, 16) + 16;
}

static int64_t lay_out(const ft_product *p, int64_t tile_m, int64_t tile_n, float *base,
                       scratch *s) {
  int64_t words = words_of(p->type == FT_BF16, p->k), depth = FT_MIN(words, (int64_t)DEPTH);
  int64_t columns = ft_round_up(tile_n, COLUMNS), at = 0;
  s->b = base + at;
  at += depth * columns;
  s->block = base + at;
  at += ROWS * COLUMNS;
  s->bias = base + at;
  at += COLUMNS;
  s->a = base + at;
  if (a_packed(p)) at += BLOCK_ROWS / ROWS * panel_of_a(depth);
  s->sums = base + at;
  if (words > DEPTH) at += tile_m * columns;
  return at;
}

int64_t FT_V(product_scratch)(const ft_product *p, int64_t tile_m, int64_t tile_n) {
  scratch s;
  return lay_out(p, tile_m, tile_n, NULL, &s);
}

/* A block of rows of A for a stretch: where they are and how they are strided, in bytes. */
typedef struct rows_of_a {
  int64_t m0, m; /* of the tile */
  const char *data;
  int64_t row, step, panel; /* panel: from one block of registers' rows to the next */
} rows_of_a;

INLINE rows_of_a prepare_a(const ft_product *p, bool pairs, const ft_tile *t, int64_t m0,
                           const stretch *w, const scratch *s) {
  int64_t size = pairs ? 2 : 4, word = (int64_t)sizeof(float), k0 = w->first * (pairs ? 2 : 1);
  int64_t m = FT_MIN((int64_t)BLOCK_ROWS, t->m - m0), floats = panel_of_a(w->steps);
  const char *from = (const char *)p->a + ((t->m0 + m0) * p->a_row + k0 * p->a_column) * size;
  if (!a_packed(p)) return (rows_of_a){m0, m, from, p->a_row * size, word, ROWS * p->a_row * size};
  if (p->a_column == 1)
    pack_odd(w->steps, p->k - k0, m, from, p->a_row * size, s->a, floats);
  else
    pack_panels(pairs, w->steps, p->k - k0, m, from, p->a_column * size, s->a, floats);
  return (rows_of_a){m0, m, (const char *)s->a, word, ROWS * word, floats * word};
}

/* All panels of B that the tile needs for a stretch. */
INLINE void pack_b(const ft_product *p, bool pairs, const ft_tile *t, const stretch *w,
                   const scratch *s) {
  int64_t size = pairs ? 2 : 4, k0 = w->first * (pairs ? 2 : 1);
  for (int64_t n = 0; n < t->n; n += COLUMNS) {
    int64_t columns = FT_MIN((int64_t)COLUMNS, t->n - n);
    const char *from = (const char *)p->b + (k0 * p->b_row + (t->n0 + n) * p->b_column) * size;
    float *out = s->b + n * w->steps;
    if (p->b_column == 1)
      pack_rows(pairs, w->steps, p->k - k0, columns, from, p->b_row * size, out);
    else
      pack_columns(pairs, w->steps, p->k - k0, columns, from, p->b_column * size, out);
  }
}

/* A block of rows with the panel at column n of the tile. */
INLINE void panel(const ft_product *p, bool pairs, const ft_tile *t, int64_t n, const stretch *w,
                  const rows_of_a *a, const scratch *s) {
  int64_t columns = FT_MIN((int64_t)COLUMNS, t->n - n), vectors = ft_ceil_div(columns, LANES);
  int64_t c_size = p->out_type == FT_BF16 ? 2 : 4;
  bool whole = w->is_first && w->is_last;
  bool direct =
      whole && p->out_type == FT_F32 && !p->bias && !p->accumulate && columns % LANES == 0;
  const float *b = s->b + n * w->steps;
  const char *next = (const char *)(b + (n + COLUMNS < t->n ? COLUMNS * w->steps : 0));
  for (int64_t j = 0; p->bias && w->is_last && j < columns; j += LANES)
    v_store(s->bias + j, v_get(pairs, ft_at(p->type, p->bias, t->n0 + n), j, columns - j));
  for (int64_t i = 0; i < a->m; i += ROWS, next += NEXT_BYTES * w->steps) {
    int64_t rows = FT_MIN((int64_t)ROWS, a->m - i), row = a->m0 + i;
    char *c = (char *)p->c + ((t->m0 + row) * p->c_row + t->n0 + n) * c_size;
    float *sums = !whole   ? s->sums + n * t->m + row * COLUMNS
                  : direct ? (float *)(void *)c
                           : s->block;
    int64_t sums_row = direct ? p->c_row : COLUMNS;
    const char *from = a->data + i / ROWS * a->panel;
    any_block(pairs, rows, vectors, w->steps, from, a->row, a->step, b, next, w->is_first, sums,
              sums_row);
    if (!w->is_last || direct) continue;
    if (p->out_type == FT_BF16)
      finish(p, true, rows, columns, sums, sums_row, s->bias, c);
    else
      finish(p, false, rows, columns, sums, sums_row, s->bias, c);
  }
}

INLINE void tile(const ft_product *p, bool pairs, const ft_tile *t, float *memory) {
  int64_t words = words_of(pairs, p->k), stretches = ft_ceil_div(words, DEPTH);
  int64_t length = ft_round_up(ft_ceil_div(words, stretches), 16);
  scratch s;
  lay_out(p, t->m, t->n, memory, &s);
  for (int64_t first = 0; first < words; first += length) {
    stretch w = {.first = first,
                 .steps = FT_MIN(length, words - first),
                 .is_first = first == 0,
                 .is_last = first + length >= words};
    pack_b(p, pairs, t, &w, &s);
    for (int64_t m0 = 0; m0 < t->m; m0 += BLOCK_ROWS) {
      rows_of_a a = prepare_a(p, pairs, t, m0, &w, &s);
      for (int64_t n = 0; n < t->n; n += COLUMNS)
        panel(p, pairs, t, n, &w, &a, &s);
    }
  }
}

void FT_V(product_tile_f32)(const ft_product *p, const ft_tile *t, float *memory) {
  tile(p, false, t, memory);
}

#ifdef __AVX512BF16__
void FT_V(product_tile_bf16)(const ft_product *p, const ft_tile *t, float *memory) {
  tile(p, true, t, memory);
}
#endif

#endif
