/* Plain reference of losses, in double (kernels_ref.h). */
#include <math.h>

#include "reference.h"

static void logits_apply(const ft_logits *logits, float *x, int64_t rows, int64_t n,
                         int64_t stride) {
  double scale = (double)logits->scale, cap = (double)logits->cap;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = r * stride; i < r * stride + n; i++)
      x[i] = (float)(cap > 0 ? cap * tanh((double)x[i] * scale / cap) : (double)x[i] * scale);
}

/* What a row's softmax is made of. */
typedef struct row_sums {
  double log_sum, mean; /* ln Σ exp z; Σ z / vocab */
} row_sums;

static row_sums sums_of(const float *z, int64_t columns, double vocab) {
  double top = -INFINITY, sum = 0, total = 0;
  for (int64_t i = 0; i < columns; i++)
    top = fmax(top, (double)z[i]);
  for (int64_t i = 0; i < columns; i++) {
    sum += exp((double)z[i] - top);
    total += (double)z[i];
  }
  return (row_sums){.log_sum = log(sum) + top, .mean = total / vocab};
}

void ft_ref_loss_rows(const ft_loss *loss, ft_dtype type, const ft_loss_out *out, float *logits,
                      const int32_t *target, const float *weight, int64_t rows, int64_t columns) {
  const ft_logits *shape = &loss->logits;
  double s = (double)loss->label_smoothing, vocab = (double)(loss->vocab ? loss->vocab : columns);
  if (!loss->applied) logits_apply(shape, logits, rows, columns, columns);
  for (int64_t r = 0; r < rows; r++) {
    const float *z = logits + r * columns;
    row_sums sums = sums_of(z, columns, vocab);
    double nll = sums.log_sum - (double)z[target[r]];
    double w = (double)(weight ? weight[r] : loss->weight), cap = (double)shape->cap;
    if (out->nll) out->nll[r] = (float)nll;
    if (out->loss)
      out->loss[r] = (float)((1.0 - s) * nll + s * (sums.log_sum - sums.mean) +
                             (double)loss->z_loss * sums.log_sum * sums.log_sum);
    for (int64_t i = 0; out->dlogits && i < columns; i++) {
      double p = exp((double)z[i] - sums.log_sum), value = (double)z[i];
      double dz = p * (1.0 + 2.0 * (double)loss->z_loss * sums.log_sum) - s / vocab -
                  (i == target[r] ? 1.0 - s : 0.0);
      double slope = (double)shape->scale * (cap > 0 ? 1.0 - value * value / (cap * cap) : 1.0);
      put(type, out->dlogits, r * columns + i, w * dz * slope);
    }
  }
}
