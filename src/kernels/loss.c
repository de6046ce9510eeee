/* Softmax cross-entropy, row by row. */
#include "internal.h"

static void rows_of(ft_dtype type, int64_t from, int64_t to, int64_t vocab, const float *logits,
                    const int32_t *target, float scale, float *loss, void *dlogits) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(dynamic, 1) if ((to - from) * vocab > FT_PARALLEL_ELEMENTS)
  for (int64_t r = from; r < to; r++) {
    FT_ASSERT(target[r] >= 0 && target[r] < vocab);
    loss[r] = vector->cross_entropy(type, vocab, logits + r * vocab, target[r], scale,
                                    dlogits ? ft_at_out(type, dlogits, r * vocab) : NULL);
  }
}

/* Where 2-byte gradients replace 4-byte logits in the same memory, row r's lie over the logits of
 * row r / 2: rows [from, 2 · from) may be worked on at once as soon as all rows before them are
 * done. */
void ft_cross_entropy(ft_dtype type, int64_t rows, int64_t vocab, const float *logits,
                      const int32_t *target, float scale, float *loss, void *dlogits) {
  if (dlogits != (const void *)logits || type == FT_F32) {
    rows_of(type, 0, rows, vocab, logits, target, scale, loss, dlogits);
    return;
  }
  for (int64_t from = 0, to = FT_MIN((int64_t)1, rows); from < rows;
       from = to, to = FT_MIN(2 * to, rows))
    rows_of(type, from, to, vocab, logits, target, scale, loss, dlogits);
}
