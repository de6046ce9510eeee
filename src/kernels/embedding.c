/* Embedding: sums of rows of tables, and the sums of gradients that belong to each row. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "internal.h"

/* Columns that are added up at a time. */
enum { COLUMNS = 512 };

/* -1: none. */
static int64_t entry_of(const ft_embedding *e, int64_t token) {
  if (!e->ids) return 0;
  return e->ids[token] == FT_NO_TOKEN ? -1 : (int64_t)e->ids[token];
}

static void one_token(ft_dtype type, void *out, const ft_embedding *embeddings, int num,
                      int64_t token, int64_t n) {
  const ft_vector *vector = ft_vector_used();
  for (int64_t c = 0; c < n; c += COLUMNS) {
    float sum[COLUMNS] = {0};
    int64_t columns = FT_MIN((int64_t)COLUMNS, n - c);
    for (int i = 0; i < num; i++) {
      int64_t entry = entry_of(&embeddings[i], token);
      if (entry < 0) continue;
      vector->sum_scaled(type, columns, sum, ft_at(type, embeddings[i].table, entry * n + c),
                         embeddings[i].scale);
    }
    vector->convert(type, ft_at_out(type, out, c), FT_F32, sum, columns);
  }
}

void ft_embeddings_forward(ft_dtype type, void *out, const ft_embedding *embeddings, int num,
                           int64_t tokens, int64_t n) {
  size_t bytes = (size_t)n * ft_dtype_bytes(type);
  bool copied = num == 1 && embeddings->scale == 1.0f;
  FT_ASSERT(num >= 1 && num <= FT_EMBEDDINGS_MOST);
#pragma omp parallel for schedule(dynamic, 64) if (tokens * n > FT_PARALLEL_ELEMENTS)
  for (int64_t t = 0; t < tokens; t++) {
    void *row = ft_at_out(type, out, t * n);
    int64_t entry = entry_of(embeddings, t);
    if (copied && entry >= 0)
      memcpy(row, ft_at(type, embeddings->table, entry * n), bytes);
    else
      one_token(type, row, embeddings, num, t, n);
  }
}

/* ---------------------------------------------------------------- noise */

/* One token's row; index: of its first four numbers. */
static void noisy_row(ft_dtype type, void *row, const ft_noise *noise, float magnitude,
                      uint64_t index, int64_t n) {
  const ft_vector *vector = ft_vector_used();
  float values[COLUMNS];
  for (int64_t c = 0; c < n; c += COLUMNS) {
    int64_t columns = FT_MIN((int64_t)COLUMNS, n - c);
    vector->convert(FT_F32, values, type, ft_at(type, row, c), columns);
    for (int64_t i = 0; i < columns; i += 4) {
      uint32_t words[4];
      ft_random_words(noise->seed, FT_RANDOM_NOISE, noise->step, index + (uint64_t)(c + i) / 4,
                      words);
      for (int64_t k = 0; k < FT_MIN((int64_t)4, columns - i); k++)
        values[i + k] += magnitude * ((float)(words[k] >> 8) * 0x1p-23f - 1.0f);
    }
    vector->convert(type, ft_at_out(type, row, c), FT_F32, values, columns);
  }
}

void ft_add_noise(ft_dtype type, void *x, const ft_noise *noise, float factor,
                  const int64_t *offsets, int64_t num_documents, int64_t n) {
  const uint64_t first = noise->micro_batch << 39, row = (uint64_t)ft_ceil_div(n, 4);
  static_assert(COLUMNS % 4 == 0, "a random index belongs to one piece of a row");
#pragma omp parallel for schedule(dynamic, 1) if (num_documents > 1)
  for (int64_t d = 0; d < num_documents; d++) {
    int64_t begin = offsets[d] + noise->virtual_rows, end = offsets[d + 1];
    float magnitude = factor * (float)(noise->alpha / sqrt((double)(end - begin) * (double)n));
    for (int64_t t = begin; t < end; t++)
      noisy_row(type, ft_at_out(type, x, t * n), noise, magnitude, first + (uint64_t)t * row, n);
  }
}

/* ---------------------------------------------------------------- backward */

/* The tokens of each entry as a linked list in token order: first[entry] and next[token], −1 at the
 * end. Built from the last token, so that each new one comes before those already there. */
static void list_tokens(int64_t tokens, const ft_embedding *e, int64_t entry0, int64_t num_entries,
                        int64_t padding, int64_t *first, int64_t *next) {
  for (int64_t i = 0; i < num_entries; i++)
    first[i] = -1;
  for (int64_t t = tokens - 1; t >= 0; t--) {
    int64_t entry = entry_of(e, t), i = entry - entry0;
    if (i < 0 || i >= num_entries || entry == padding) continue;
    next[t] = first[i];
    first[i] = t;
  }
}

/* The sum of `base` and of an entry's tokens. Most entries have no token: nothing is added up for
 * them. */
static void entry_gradient(ft_dtype out_type, int64_t n, float scale, const float *dx,
                           int64_t first, const int64_t *next, const float *base, void *out) {
  const ft_vector *vector = ft_vector_used();
  if (first < 0 && !base) {
    memset(out, 0, (size_t)n * ft_dtype_bytes(out_type));
    return;
  }
  if (first < 0) {
    vector->convert(out_type, out, FT_F32, base, n);
    return;
  }
  for (int64_t c = 0; c < n; c += COLUMNS) {
    float sum[COLUMNS] = {0};
    int64_t columns = FT_MIN((int64_t)COLUMNS, n - c);
    if (base) memcpy(sum, base + c, (size_t)columns * sizeof *sum);
    for (int64_t t = first; t >= 0; t = next[t])
      vector->sum_scaled(FT_F32, columns, sum, dx + t * n + c, scale);
    vector->convert(out_type, ft_at_out(out_type, out, c), FT_F32, sum, columns);
  }
}

ft_err ft_embeddings_backward(ft_dtype out_type, void *out, const ft_embedding *e, const float *dx,
                              const float *base, int64_t first, int64_t num_entries,
                              int64_t padding, int64_t tokens, int64_t n) {
  int64_t *head;
  ft_err err = ft_scratch_shared((size_t)(num_entries + tokens) * sizeof *head, (void **)&head);
  if (err != FT_OK) return err;
  int64_t *next = head + num_entries;
  list_tokens(tokens, e, first, num_entries, padding, head, next);
#pragma omp parallel for schedule(dynamic, 64) if (num_entries * n > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < num_entries; i++)
    entry_gradient(out_type, n, e->scale, dx, head[i], next, base ? base + i * n : NULL,
                   ft_at_out(out_type, out, i * n));
  return FT_OK;
}
