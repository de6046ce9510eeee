/* From the logits of one row to its loss and gradient, and soft caps. */
#include "math.h"
#include "vector.h"

static float row_maximum(int64_t vocab, const float *logits) {
  vf largest[2] = {v_set(-INFINITY), v_set(-INFINITY)};
  int64_t i = 0;
  for (; i + 2 * LANES <= vocab; i += 2 * LANES) {
    largest[0] = v_max(largest[0], v_load(logits + i));
    largest[1] = v_max(largest[1], v_load(logits + i + LANES));
  }
  float top = v_largest(v_max(largest[0], largest[1]));
  for (; i < vocab; i++)
    top = logits[i] > top ? logits[i] : top;
  return top;
}

/* Σ exp(logit − top): lanes of f32 within pieces of 1024, pieces in double. */
static double row_sum(int64_t vocab, const float *logits, float top) {
  enum { PIECE = 1024 };
  double total = 0;
  for (int64_t start = 0; start < vocab; start += PIECE) {
    int64_t end = FT_MIN(start + PIECE, vocab), i = start;
    vf part[2] = {v_zero(), v_zero()};
    for (; i + 2 * LANES <= end; i += 2 * LANES) {
      part[0] += v_exp(v_load(logits + i) - v_set(top));
      part[1] += v_exp(v_load(logits + i + LANES) - v_set(top));
    }
    float sum = v_sum(part[0] + part[1]);
    for (; i < end; i += LANES) {
      float lane[LANES];
      v_store(lane, v_exp(v_get(false, logits, i, end - i) - v_set(top)));
      for (int64_t j = 0; j < LANES && i + j < end; j++)
        sum += lane[j];
    }
    total += (double)sum;
  }
  return total;
}

/* What the gradient of a row is made of: ((p · power − each) · slope of z), and at the target less
 * `target` before the slope. */
typedef struct row_terms {
  float top;    /* largest z */
  float factor; /* exp(z − top) · factor is the softmax times all that multiplies it */
  float each;   /* label smoothing, of every element */
  float target; /* of the target */
  float scale, inverse_cap;
} row_terms;

INLINE vf gradient_at(bool shaped, bool smoothed, bool target, const row_terms *t, vf z) {
  vf gradient = v_exp(z - v_set(t->top)) * v_set(t->factor);
  if (smoothed) gradient -= v_set(t->each);
  if (target) gradient -= v_set(t->target);
  if (!shaped) return gradient;
  vf share = z * v_set(t->inverse_cap); /* 0 without a cap */
  return gradient * (v_set(t->scale) * (v_set(1.0f) - share * share));
}

/* In ascending order, each element read before anything at or after it is written: dlogits may lie
 * where the logits do. */
INLINE void row_gradient(bool bf16, bool shaped, bool smoothed, int64_t columns, const float *z,
                         int32_t target, const row_terms *t, void *dlogits) {
  const row_terms terms = *t; /* which no store may change */
  float at_target = z[target], lane[LANES];
  for (int64_t i = 0; i < columns; i += LANES)
    v_put(bf16, dlogits, i, columns - i,
          gradient_at(shaped, smoothed, false, &terms, v_get(false, z, i, columns - i)));
  v_store(lane, gradient_at(shaped, smoothed, true, &terms, v_set(at_target)));
  if (bf16)
    ((uint16_t *)dlogits)[target] = ft_bf16_from_f32(lane[0]);
  else
    ((float *)dlogits)[target] = lane[0];
}

static void any_row_gradient(ft_dtype type, int64_t columns, const float *z, int32_t target,
                             const row_terms *t, void *dlogits) {
  bool shaped = t->scale != 1.0f || t->inverse_cap != 0, smoothed = t->each != 0;
#define GRADIENT(bf16, shaped, smoothed)                                                           \
  row_gradient(bf16, shaped, smoothed, columns, z, target, t, dlogits)
  if (type == FT_BF16 && !shaped && !smoothed)
    GRADIENT(true, false, false);
  else if (type == FT_BF16)
    GRADIENT(true, true, true);
  else if (!shaped && !smoothed)
    GRADIENT(false, false, false);
  else
    GRADIENT(false, true, true);
#undef GRADIENT
}

/* Lanes of f32 within pieces of 1024, pieces in double. */
static double row_total(int64_t columns, const float *z) {
  enum { PIECE = 1024 };
  double total = 0;
  for (int64_t start = 0; start < columns; start += PIECE) {
    int64_t end = FT_MIN(start + PIECE, columns);
    vf part = v_zero();
    for (int64_t i = start; i < end; i += LANES)
      part += v_get(false, z, i, end - i);
    total += (double)v_sum(part);
  }
  return total;
}

void FT_V(soft_cap)(int64_t count, float *x, float scale, float cap) {
  if (cap == 0) {
    for (int64_t i = 0; i < count; i++)
      x[i] *= scale;
    return;
  }
  const vf inner = v_set(scale / cap), outer = v_set(cap);
  for (int64_t i = 0; i < count; i += LANES)
    v_put(false, x, i, count - i, outer * v_tanh(v_get(false, x, i, count - i) * inner));
}

void FT_V(loss_row)(const ft_loss *l, ft_dtype type, int64_t columns, float *z, int32_t target,
                    float weight, float *nll, float *loss, void *dlogits) {
  const ft_logits *shape = &l->logits;
  if (!l->applied && (shape->scale != 1.0f || shape->cap != 0))
    FT_V(soft_cap)(columns, z, shape->scale, shape->cap);
  const double smoothing = (double)l->label_smoothing, z_loss = (double)l->z_loss;
  const double vocab = (double)(l->vocab > 0 ? l->vocab : columns);
  float top = row_maximum(columns, z);
  double sum = row_sum(columns, z, top), above = log(sum), log_sum = above + (double)top;
  double of_target = above - ((double)z[target] - (double)top);
  if (nll) *nll = (float)of_target;
  if (loss) {
    double mean = smoothing != 0 ? row_total(columns, z) / vocab : 0;
    *loss = (float)((1.0 - smoothing) * of_target + smoothing * (log_sum - mean) +
                    z_loss * log_sum * log_sum);
  }
  if (!dlogits) return;
  const double w = (double)weight;
  const row_terms terms = {.top = top,
                           .factor = (float)(w * (1.0 + 2.0 * z_loss * log_sum) / sum),
                           .each = (float)(w * smoothing / vocab),
                           .target = (float)(w * (1.0 - smoothing)),
                           .scale = shape->scale,
                           .inverse_cap = shape->cap != 0 ? 1.0f / shape->cap : 0};
  any_row_gradient(type, columns, z, target, &terms, dlogits);
}
