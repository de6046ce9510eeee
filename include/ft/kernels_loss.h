/* kernels: from logits to the loss of rows and its gradient, which objectives weigh row by row.
 * Logits are f32. Equal bits for any number of threads; all threads work; not collective. */
#ifndef FT_KERNELS_LOSS_H
#define FT_KERNELS_LOSS_H

#include "ft/kernels.h"

/* What lies between the head's product and the softmax: z = cap · tanh(logit · scale / cap). */
typedef struct ft_logits {
  float scale; /* 1 if nothing else is said */
  float cap;   /* 0: none, z = logit · scale */
} ft_logits;

/* In place on x [rows, n], whose rows are `stride` elements apart: logits become z. */
void ft_logits_apply(const ft_logits *logits, float *x, int64_t rows, int64_t n, int64_t stride);

/* Softmax cross-entropy of a row: with lse = ln Σ exp z and t the target,
 *   nll  = lse − z[t]
 *   loss = (1 − s) · nll + s · (lse − mean z) + z_loss · lse²
 * for s = label_smoothing (Szegedy et al. 2016), and z_loss as Chowdhery et al. 2022 have it. */
typedef struct ft_loss {
  ft_logits logits;
  bool applied; /* z is there already (ft_logits_apply): only its gradient is left to do */
  float label_smoothing, z_loss;
  int64_t vocab; /* that the mean of z and smoothing count; 0: the columns of the call */
  float weight;  /* of all rows, where the call has no array of them */
} ft_loss;

/* What a call gives; NULL: not wanted. */
typedef struct ft_loss_out {
  float *nll;  /* [rows] −log p(target), in f32 from a sum in an order that the columns decide */
  float *loss; /* [rows], before weights */
  void *dlogits; /* [rows, columns] of `type`: weight · d loss / d logit */
} ft_loss_out;

/* logits [rows, columns] without gaps become z. target [rows] in [0, columns). weight [rows]: what
 * multiplies the gradient of each row (NULL: loss->weight). dlogits may be the same
 * memory as logits: a row is consumed before it is overwritten. */
void ft_loss_rows(const ft_loss *loss, ft_dtype type, const ft_loss_out *out, float *logits,
                  const int32_t *target, const float *weight, int64_t rows, int64_t columns);

#endif
