/* objective: what is learnt. Which targets a micro-batch has, what a row contributes to the loss,
 * and which figures an evaluation gets beside it. A row is a token with a target, or a document
 * with a label or a score. It sees counts of the whole global batch, so no loss depends on how rows
 * are dealt to ranks.
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
  FT_OBJECTIVE_DPO,           /* "dpo": the better of two answers, against a reference model */
  FT_OBJECTIVE_SIMPO,         /* "simpo": the same by mean log-probabilities, without one */
  FT_OBJECTIVE_CPO,           /* "cpo": the same by their sums */
  FT_OBJECTIVE_ORPO,          /* "orpo": the chosen answer, and its odds against the other */
  FT_OBJECTIVE_KTO,           /* "kto": answers that are good or not, against a reference model */
  FT_OBJECTIVE_REWARD,        /* "reward": a score, higher for the better of two answers */
  FT_OBJECTIVE_NUM
} ft_objective_kind;

/* What an objective is taken over. */
typedef enum ft_objective_rows {
  FT_ROWS_TOKENS,  /* tokens with a target */
  FT_ROWS_CLASSES, /* documents with a class */
  FT_ROWS_PAIRS,   /* pairs of documents, the chosen and the rejected one */
  FT_ROWS_RATED    /* documents that are desirable or not */
} ft_objective_rows;

/* As objective.loss has them, in this order; docs/objectives.md has the formulas. */
typedef enum ft_pair_loss {
  FT_PAIR_SIGMOID,
  FT_PAIR_CONSERVATIVE,
  FT_PAIR_HINGE,
  FT_PAIR_IPO,
  FT_PAIR_ROBUST,
  FT_PAIR_SIGMOID_NORM,
  FT_PAIR_APO_ZERO,
  FT_PAIR_APO_DOWN,
  FT_PAIR_SPPO_HARD,
  FT_PAIR_EXO_PAIR,
  FT_PAIR_NCA_PAIR,
  FT_PAIR_BCO_PAIR,
  FT_PAIR_NUM
} ft_pair_loss;

/* Numbers that some objectives take and others do not; NaN: not given, or not taken. */
typedef struct ft_objective_numbers {
  double beta;               /* scale of a log-ratio */
  double gamma;              /* margin of SimPO */
  double nll;                /* share of the chosen answers' −log p */
  double desirable_weight;   /* of KTO's documents */
  double undesirable_weight; /* likewise */
  double centre;             /* coefficient of (s_chosen + s_rejected)² */
} ft_objective_numbers;

typedef struct ft_objective {
  ft_objective_kind kind;
  float label_smoothing, z_loss; /* kernels_loss.h has the formula; a pair's in objectives.md */
  ft_pair_loss loss;             /* dpo, cpo */
  ft_objective_numbers numbers;
} ft_objective;

/* What is the same for every objective of a name. */
typedef struct ft_objective_form {
  const char *name;
  ft_objective_rows rows;
  bool reference;               /* needs log-probabilities by a reference model */
  bool prompts;                 /* all tokens of chosen documents count in the mean of −log p */
  ft_objective_numbers initial; /* NaN: it takes no such number */
} ft_objective_form;
const ft_objective_form *ft_objective_form_of(ft_objective_kind kind);
/* Whether it weighs whole documents (objective_preference.h), not rows of their own. */
bool ft_objective_is_weighed(ft_objective_kind kind);

/* Fills in numbers that were not given, and refuses what this objective does not take, each by its
 * key. Errors: FT_ERR_CONFIG. */
ft_err ft_objective_resolve(ft_objective *objective);
/* Refuses a model that cannot learn this, saying why: two_way and labels (0: a head of tokens)
 * describe it. Errors: FT_ERR_CONFIG. */
ft_err ft_objective_check(const ft_objective *objective, bool two_way, int64_t labels);

/* What a row of tokens or classes contributes: the mean over the global batch's `rows` rows. */
ft_loss ft_objective_loss(const ft_objective *objective, int64_t rows);

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
