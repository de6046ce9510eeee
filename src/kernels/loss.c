/* From logits to losses and their gradients, row by row. */
#include "internal.h"

void ft_logits_apply(const ft_logits *logits, float *x, int64_t rows, int64_t n, int64_t stride) {
  enum { PIECE = 4096 };
  const ft_vector *vector = ft_vector_used();
  const int64_t of_row = ft_ceil_div(n, PIECE);
  if (logits->scale == 1.0f && logits->cap == 0) return;
#pragma omp parallel for schedule(dynamic, 4) if (rows * n > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < rows * of_row; i++) {
    int64_t column = i % of_row * PIECE;
    vector->soft_cap(FT_MIN((int64_t)PIECE, n - column), x + i / of_row * stride + column,
                     logits->scale, logits->cap);
  }
}

/* What one call is about. */
typedef struct task {
  const ft_loss *loss;
  ft_dtype type;
  const ft_loss_out *out;
  float *logits;
  const int32_t *target;
  const float *weight;
  int64_t columns;
} task;

static void rows_of(const task *t, int64_t from, int64_t to) {
  const ft_vector *vector = ft_vector_used();
  const ft_loss_out *out = t->out;
#pragma omp parallel for schedule(dynamic, 1) if ((to - from) * t->columns > FT_PARALLEL_ELEMENTS)
  for (int64_t r = from; r < to; r++) {
    FT_ASSERT(t->target[r] >= 0 && t->target[r] < t->columns);
    vector->loss_row(t->loss, t->type, t->columns, t->logits + r * t->columns, t->target[r],
                     t->weight ? t->weight[r] : t->loss->weight, out->nll ? out->nll + r : NULL,
                     out->loss ? out->loss + r : NULL,
                     out->dlogits ? ft_at_out(t->type, out->dlogits, r * t->columns) : NULL);
  }
}

/* Where 2-byte gradients replace 4-byte logits in the same memory, row r's lie over the logits of
 * row r / 2: rows [from, 2 · from) may be worked on at once as soon as all rows before them are
 * done. */
void ft_loss_rows(const ft_loss *loss, ft_dtype type, const ft_loss_out *out, float *logits,
                  const int32_t *target, const float *weight, int64_t rows, int64_t columns) {
  const task t = {loss, type, out, logits, target, weight, columns};
  FT_ASSERT(loss->logits.scale > 0 && loss->logits.cap >= 0);
  if (out->dlogits != (void *)logits || type == FT_F32) {
    rows_of(&t, 0, rows);
    return;
  }
  for (int64_t from = 0, to = FT_MIN((int64_t)1, rows); from < rows;
       from = to, to = FT_MIN(2 * to, rows))
    rows_of(&t, from, to);
}
