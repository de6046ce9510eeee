/* Attention of one query, of the heads that share keys and values: each key and each value is read
 * once for all of them. */
#include "vector.h"

/* Heads and vectors of a value that are added up at once, in registers. */
enum { HEADS_AT_ONCE = LANES == 16 ? 4 : 2, VECTORS_AT_ONCE = 4 };

/* scores [heads, keys] = scale · q · k, capped if there is a cap. */
static void score_keys(const ft_decode *d) {
  float y[FT_DOT_X_ROWS][FT_DOT_W_ROWS];
  for (int64_t h0 = 0; h0 < d->heads; h0 += FT_DOT_X_ROWS)
    for (int64_t j0 = 0; j0 < d->keys; j0 += FT_DOT_W_ROWS) {
      int64_t heads = FT_MIN((int64_t)FT_DOT_X_ROWS, d->heads - h0);
      int64_t keys = FT_MIN((int64_t)FT_DOT_W_ROWS, d->keys - j0);
      FT_V(dot_rows)
      (d->type, heads, keys, d->head_dim, ft_at(d->type, d->q, h0 * d->head_dim), d->head_dim,
       ft_at(d->type, d->k, j0 * d->stride), d->stride, y, d->sums);
      for (int64_t h = 0; h < heads; h++)
        for (int64_t j = 0; j < keys; j++)
          d->scores[(h0 + h) * d->keys + j0 + j] = d->scale * y[h][j];
    }
  if (d->cap != 0) FT_V(soft_cap)(d->heads * d->keys, d->scores, 1.0f, d->cap);
}

/* scores = exp(scores − largest) of a head. */
static void take_powers(int64_t keys, float *scores, float *largest, float *sum) {
  float top = -INFINITY;
  vf total = v_zero();
  for (int64_t j = 0; j < keys; j++)
    top = scores[j] > top ? scores[j] : top;
  for (int64_t j = 0; j < keys; j += LANES) {
    int64_t n = FT_MIN((int64_t)LANES, keys - j);
    float power[LANES] = {0};
    v_put(false, power, 0, n, v_exp(v_get(false, scores, j, n) - v_set(top)));
    v_put(false, scores, j, n, v_load(power));
    total += v_load(power);
  }
  *largest = top;
  *sum = v_sum(total);
}

/* Elements i0 … of o = Σ_j scores_j · v_j, for some heads and vectors; `count` elements are left.
 */
INLINE void add_values(bool bf16, int heads, int vectors, const ft_decode *d, int64_t h0,
                       int64_t i0) {
  vf sum[HEADS_AT_ONCE][VECTORS_AT_ONCE];
  const int64_t count = d->head_dim - i0;
  UNROLL
  for (int h = 0; h < heads; h++) {
    UNROLL
    for (int i = 0; i < vectors; i++)
      sum[h][i] = v_zero();
  }
  for (int64_t j = 0; j < d->keys; j++) {
    vf value[VECTORS_AT_ONCE];
    UNROLL
    for (int i = 0; i < vectors; i++)
      value[i] =
          v_get(bf16, d->v, j * d->stride + i0 + i * LANES, vectors > 1 ? (int64_t)LANES : count);
    UNROLL
    for (int h = 0; h < heads; h++) {
      vf weight = v_set(d->scores[(h0 + h) * d->keys + j]);
      UNROLL
      for (int i = 0; i < vectors; i++)
        sum[h][i] = v_fma(weight, value[i], sum[h][i]);
    }
  }
  UNROLL
  for (int h = 0; h < heads; h++) {
    UNROLL
    for (int i = 0; i < vectors; i++)
      v_put(false, d->o + (h0 + h) * d->o_stride, i0 + i * LANES, count - i * LANES, sum[h][i]);
  }
}

/* The same for all of a value's elements. */
INLINE void add_whole_values(bool bf16, int heads, const ft_decode *d, int64_t h0) {
  int64_t i = 0;
  for (; i + VECTORS_AT_ONCE * LANES <= d->head_dim; i += VECTORS_AT_ONCE * LANES)
    add_values(bf16, heads, VECTORS_AT_ONCE, d, h0, i);
  for (; i < d->head_dim; i += LANES)
    add_values(bf16, heads, 1, d, h0, i);
}

INLINE void decode(bool bf16, const ft_decode *d) {
  int64_t h = 0;
  score_keys(d);
  for (int64_t i = 0; i < d->heads; i++)
    take_powers(d->keys, d->scores + i * d->keys, d->o + i * d->o_stride + d->head_dim,
                d->o + i * d->o_stride + d->head_dim + 1);
  for (; h + HEADS_AT_ONCE <= d->heads; h += HEADS_AT_ONCE)
    add_whole_values(bf16, HEADS_AT_ONCE, d, h);
  for (; h < d->heads; h++)
    add_whole_values(bf16, 1, d, h);
}

void FT_V(decode)(const ft_decode *d) {
  if (d->type == FT_BF16)
    decode(true, d);
  else
    decode(false, d);
}
