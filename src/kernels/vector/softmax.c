/* Attention's softmax, forward and backward, over blocks of scores [keys, 64 queries]: the lanes
 * are queries, so that maxima and sums over keys need no sums across lanes. */
#include "math.h"
#include "vector.h"

enum { COLUMNS = FT_QUERY_BLOCK, GROUP = 4 * LANES > COLUMNS ? COLUMNS / LANES : 4 };

static_assert(COLUMNS % (GROUP * LANES) == 0, "a block of queries is whole groups of vectors");

INLINE vi lane_numbers(void) {
  vi lanes;
  for (int i = 0; i < LANES; i++)
    lanes[i] = i;
  return lanes;
}

/* All ones where key j is visible to the queries of the vector that starts at `column`. */
INLINE vi visible_mask(const ft_visible *visible, int64_t column, int64_t j) {
  /* lanes where j − diagonal − column ≤ lane, and lane < j − diagonal − column + window */
  int64_t first = j - visible->diagonal - column, end = first + visible->window;
  vi lane = lane_numbers(), none = {0};
  vi from = none + (int32_t)FT_MAX(-1, FT_MIN(first, (int64_t)LANES));
  vi mask = lane >= from;
  if (visible->window > 0) mask &= lane < none + (int32_t)FT_MAX(0, FT_MIN(end, (int64_t)LANES));
  return mask;
}

/* ---------------------------------------------------------------- storing rows */

INLINE void store_row(bool pairs, void *rows, int64_t j, int64_t column, vf x) {
  if (!pairs) {
    v_store((float *)rows + j * COLUMNS + column, x);
    return;
  }
  v_store_bf16((uint16_t *)rows + j * COLUMNS + column, x);
}

/* ---------------------------------------------------------------- forward */

INLINE vf masked_score(bool all, const float *scores, const ft_visible *visible, int64_t column,
                       int64_t j) {
  vf score = v_load(scores + j * COLUMNS + column);
  return all ? score : v_choose(visible_mask(visible, column, j), score, v_set(-INFINITY));
}

INLINE void group_maximum(bool all, int64_t keys, const float *scores, const ft_visible *visible,
                          int64_t column, vf top[GROUP]) {
  for (int64_t j = 0; j < keys; j++) {
    UNROLL
    for (int g = 0; g < GROUP; g++)
      top[g] = v_max(top[g], masked_score(all, scores, visible, column + g * LANES, j));
  }
}

INLINE void group_powers(bool all, bool pairs, int64_t keys, const float *scores, vf scale,
                         const ft_visible *visible, int64_t column, const vf base[GROUP],
                         vf total[GROUP], void *p) {
  vf odd_total[GROUP];
  UNROLL
  for (int g = 0; g < GROUP; g++)
    odd_total[g] = v_zero();
  for (int64_t j = 0; j < keys; j += 2)
    UNROLL
  for (int g = 0; g < GROUP; g++) {
    int64_t at = column + g * LANES;
    vf first = v_exp2(v_fma(masked_score(all, scores, visible, at, j), scale, base[g]));
    vf second = v_zero();
    if (j + 1 < keys)
      second = v_exp2(v_fma(masked_score(all, scores, visible, at, j + 1), scale, base[g]));
    total[g] += first;
    odd_total[g] += second;
    if (pairs) {
      v_store((float *)p + j / 2 * COLUMNS + at, v_words(first, second));
    } else {
      v_store((float *)p + j * COLUMNS + at, first);
      if (j + 1 < keys) v_store((float *)p + (j + 1) * COLUMNS + at, second);
    }
  }
  UNROLL
  for (int g = 0; g < GROUP; g++)
    total[g] += odd_total[g];
}

INLINE bool softmax_step(bool all, bool pairs, int64_t keys, const float *scores, float scale_log2,
                         const ft_visible *visible, float *largest, float *sum, float *rescale,
                         void *p) {
  vf scale = v_set(scale_log2);
  bool changed = false;
  for (int64_t column = 0; column < COLUMNS; column += GROUP * LANES) {
    vf before[GROUP], top[GROUP], base[GROUP], total[GROUP];
    UNROLL
    for (int g = 0; g < GROUP; g++)
      top[g] = before[g] = v_load(largest + column + g * LANES);
    group_maximum(all, keys, scores, visible, column, top);
    UNROLL
    for (int g = 0; g < GROUP; g++) {
      /* where nothing was visible yet the maximum is -∞: any finite base gives the sums of zero */
      vf finite = v_choose(top[g] == v_set(-INFINITY), v_zero(), top[g]);
      vf factor = v_exp2((before[g] - finite) * scale);
      base[g] = -(finite * scale);
      total[g] = v_zero();
      v_store(largest + column + g * LANES, top[g]);
      v_store(rescale + column + g * LANES, factor);
      for (int i = 0; i < LANES; i++)
        changed |= factor[i] != 1.0f;
    }
    group_powers(all, pairs, keys, scores, scale, visible, column, base, total, p);
    UNROLL
    for (int g = 0; g < GROUP; g++) {
      int64_t at = column + g * LANES;
      v_store(sum + at, v_fma(v_load(sum + at), v_load(rescale + at), total[g]));
    }
  }
  return changed;
}

bool FT_V(softmax_step)(bool pairs, int64_t keys, const float *scores, float scale_log2,
                        const ft_visible *visible, float *largest, float *sum, float *rescale,
                        void *p) {
#define STEP(all, of_pairs)                                                                        \
  softmax_step(all, of_pairs, keys, scores, scale_log2, visible, largest, sum, rescale, p)
  if (visible->all) return pairs ? STEP(true, true) : STEP(true, false);
  return pairs ? STEP(false, true) : STEP(false, false);
#undef STEP
}

/* ---------------------------------------------------------------- backward */

INLINE vf probability(bool all, const float *scores, vf scale, vf base, const ft_visible *visible,
                      int64_t column, int64_t j) {
  vf p = v_exp2(v_fma(v_load(scores + j * COLUMNS + column), scale, base));
  return all ? p : v_choose(visible_mask(visible, column, j), p, v_zero());
}

/* p · (dp − mean), of a capped score times the slope of its cap; where the query does not see the
 * key, scores and dp may be anything. */
INLINE vf gradient(bool all, bool capped, vf p, const float *scores, const float *dp, vf mean,
                   vf inverse_cap, const ft_visible *visible, int64_t column, int64_t j) {
  vf ds = p * (v_load(dp + j * COLUMNS + column) - mean);
  if (capped) {
    vf share = v_load(scores + j * COLUMNS + column) * inverse_cap;
    ds *= v_set(1.0f) - share * share;
  }
  return all ? ds : v_choose(visible_mask(visible, column, j), ds, v_zero());
}

INLINE void softmax_backward(bool all, bool pairs, bool capped, int64_t keys, const float *scores,
                             const float *dp, const ft_softmax_terms *terms,
                             const ft_visible *visible, void *p_rows, void *ds_rows,
                             void *ds_words) {
  const vf scale = v_set(terms->scale_log2), inverse_cap = v_set(terms->inverse_cap);
  for (int64_t column = 0; column < COLUMNS; column += LANES) {
    vf base = -v_load(terms->lse_log2 + column), mean = v_load(terms->delta + column);
    for (int64_t j = 0; j < keys; j += 2) {
      vf p = probability(all, scores, scale, base, visible, column, j), second = v_zero();
      vf ds = gradient(all, capped, p, scores, dp, mean, inverse_cap, visible, column, j);
      store_row(pairs, p_rows, j, column, p);
      store_row(pairs, ds_rows, j, column, ds);
      if (j + 1 < keys) {
        p = probability(all, scores, scale, base, visible, column, j + 1);
        second = gradient(all, capped, p, scores, dp, mean, inverse_cap, visible, column, j + 1);
        store_row(pairs, p_rows, j + 1, column, p);
        store_row(pairs, ds_rows, j + 1, column, second);
      }
      if (pairs) v_store((float *)ds_words + j / 2 * COLUMNS + column, v_words(ds, second));
    }
  }
}

void FT_V(softmax_backward)(bool pairs, int64_t keys, const float *scores, const float *dp,
                            const ft_softmax_terms *terms, const ft_visible *visible, void *p_rows,
                            void *ds_rows, void *ds_words) {
#define STEP(all, of_pairs, capped)                                                                \
  softmax_backward(all, of_pairs, capped, keys, scores, dp, terms, visible, p_rows, ds_rows,       \
                   ds_words)
  bool all = visible->all;
  if (terms->inverse_cap != 0) {
    if (pairs)
      STEP(false, true, true); /* masks cost little beside the cap */
    else
      STEP(false, false, true);
  } else if (all && pairs)
    STEP(true, true, false);
  else if (all)
    STEP(true, false, false);
  else if (pairs)
    STEP(false, true, false);
  else
    STEP(false, false, false);
#undef STEP
}
