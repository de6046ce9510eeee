/* objective: what is learnt. Which targets a micro-batch has, what a row contributes to the loss,
 * and which figures an evaluation gets beside it. A row is a token with a target, or a document
 * with a label. It sees counts of the whole global batch, so no loss depends on how rows are dealt
 * to ranks.
 *
 * Not collective, all of it. */
#ifndef FT_OBJECTIVE_H
#define FT_OBJECTIVE_H

#include "ft/kernels_loss.h"

/* As objective.name has them, in this order. */
typedef enum ft_objective_kind {
  FT_OBJECTIVE_TOKENS,        /* "tokens": the next one */
  FT_OBJECTIVE_MASKED_TOKENS, /* "masked-tokens": the one that is masked, at its place */
  FT_OBJECTIVE_CLASSES,       /* "classes": the class of a document */
  FT_OBJECTIVE_NUM
} ft_objective_kind;

typedef struct ft_objective {
  ft_objective_kind kind;
  float label_smoothing, z_loss; /* kernels_loss.h has the formula */
} ft_objective;

/* What a row of a step contributes: the mean over the global batch's `rows` rows. */
ft_loss ft_objective_loss(const ft_objective *objective, int64_t rows);
/* Refuses a model that cannot learn this, saying why: two_way and labels (0: a head of tokens)
 * describe it. Errors: FT_ERR_CONFIG. */
ft_err ft_objective_check(const ft_objective *objective, bool two_way, int64_t labels);

/* ---------------------------------------------------------------- figures of an evaluation */

/* What predictions were right: counts, which are summed over all ranks before they are read. */
typedef struct ft_scores {
  ft_objective_kind kind;
  int64_t num_counts;
  int64_t *counts; /* masked tokens: [2] right, all; classes: [labels][3] right, predicted, there */
} ft_scores;

/* Counts at zero; of an objective without figures there are none. Errors: FT_ERR_MEMORY. */
ft_err ft_scores_init(ft_scores *scores, ft_objective_kind kind, int64_t labels);
void ft_scores_fini(ft_scores *scores);
void ft_scores_add(ft_scores *scores, int64_t rows, const int32_t *targets,
                   const int32_t *predicted);

/* A figure by its name in the metrics: "accuracy" (the share of rows predicted right), "macro_f1"
 * (the mean over classes that are there or were predicted of 2 P R / (P + R)). */
typedef struct ft_score {
  const char *name;
  double value;
} ft_score;
enum { FT_SCORES_MOST = 2 };
/* Writes them to out[FT_SCORES_MOST]; returns their number, 0 without rows. */
int ft_scores_read(const ft_scores *scores, ft_score *out);

#endif
