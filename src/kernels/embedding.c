/* Embedding: rows of a table, and the sums of gradients that belong to each row. */
#include <string.h>

#include "internal.h"

void ft_embedding_forward(ft_dtype type, int64_t tokens, int64_t n, const uint32_t *ids,
                          const void *table, void *out) {
  size_t bytes = (size_t)n * ft_dtype_bytes(type);
#pragma omp parallel for schedule(dynamic, 64) if (tokens * n > FT_PARALLEL_ELEMENTS)
  for (int64_t t = 0; t < tokens; t++)
    memcpy(ft_at_out(type, out, t * n), ft_at(type, table, (int64_t)ids[t] * n), bytes);
}

/* The tokens of each row as a linked list in token order: first[row] and next[token], −1 at the
 * end. Built from the last token, so that each new one comes before those already there. */
static void list_tokens(int64_t tokens, const uint32_t *ids, int64_t row0, int64_t num_rows,
                        int64_t *first, int64_t *next) {
  for (int64_t r = 0; r < num_rows; r++)
    first[r] = -1;
  for (int64_t t = tokens - 1; t >= 0; t--) {
    int64_t row = (int64_t)ids[t] - row0;
    if (row < 0 || row >= num_rows) continue;
    next[t] = first[row];
    first[row] = t;
  }
}

/* The sum of `base` and of a row's tokens. Most rows have no token: nothing is added up for them.
 */
static void row_gradient(ft_dtype out_type, int64_t n, const float *dx, int64_t first,
                         const int64_t *next, const float *base, void *out) {
  enum { COLUMNS = 512 };
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
      vector->add_f32(columns, sum, dx + t * n + c);
    vector->convert(out_type, ft_at_out(out_type, out, c), FT_F32, sum, columns);
  }
}

ft_err ft_embedding_backward(ft_dtype out_type, int64_t tokens, int64_t n, const uint32_t *ids,
                             const float *dx, int64_t row0, int64_t num_rows, const float *base,
                             void *out) {
  int64_t *first;
  ft_err err = ft_scratch_shared((size_t)(num_rows + tokens) * sizeof *first, (void **)&first);
  if (err != FT_OK) return err;
  int64_t *next = first + num_rows;
  list_tokens(tokens, ids, row0, num_rows, first, next);
#pragma omp parallel for schedule(dynamic, 64) if (num_rows * n > FT_PARALLEL_ELEMENTS)
  for (int64_t r = 0; r < num_rows; r++)
    row_gradient(out_type, n, dx, first[r], next, base ? base + r * n : NULL,
                 ft_at_out(out_type, out, r * n));
  return FT_OK;
}
