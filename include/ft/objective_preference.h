/* objective_preference: from log-probabilities or scores of whole documents to losses, and to what
 * multiplies the gradient of each: the objectives over pairs and rated documents. Everything is in
 * double. Not collective, all of it: what comes out adds up over micro-batches. */
#ifndef FT_OBJECTIVE_PREFERENCE_H
#define FT_OBJECTIVE_PREFERENCE_H

#include "ft/objective.h"

/* The documents of a micro-batch; of pairs, documents 2i (chosen) and 2i+1 (rejected) are one. All
 * borrowed. */
typedef struct ft_preference_batch {
  int64_t num;             /* documents */
  const double *value;     /* [num] Σ log p over the answer's targets, or the document's score */
  const int64_t *targets;  /* [num] their number, 1 or more */
  const double *reference; /* [num] the same Σ by the reference model; NULL: there is none */
  const double *rest; /* [num] Σ log p over the chosen documents' other tokens; NULL: unused */
  const int64_t *rest_targets; /* [num] their number; NULL with it */
  const bool *desirable;       /* [num] FT_ROWS_RATED; else NULL */
} ft_preference_batch;

/* What is known of the whole global batch (or validation set) before. */
typedef struct ft_preference_whole {
  int64_t rows;        /* pairs, or rated documents: what the loss is the mean over */
  int64_t nll_targets; /* tokens that the mean of −log p is over (ft_preference_nll_targets) */
  double kl;           /* KTO's z (ft_preference_kl) */
} ft_preference_whole;

/* Sums over documents; sums of micro-batches add up, in their order. */
typedef struct ft_preference_sums {
  double loss;                         /* of pairs or rated documents */
  double nll, nll_targets;             /* −log p of chosen documents, and its tokens */
  double chosen, rejected;             /* rewards */
  double num_chosen, num_rejected;     /* documents */
  double chosen_logps, rejected_logps; /* log-probabilities as the metrics have them */
  double right;                        /* pairs whose chosen document has the higher reward */
} ft_preference_sums;
enum { FT_PREFERENCE_SUMS = sizeof(ft_preference_sums) / sizeof(double) };

/* Adds a micro-batch to *sums. weight, rest_weight (each [num], or NULL: not wanted): the
 * derivative of the global batch's loss by each value and each rest. */
void ft_preference_weigh(const ft_objective *objective, const ft_preference_batch *batch,
                         const ft_preference_whole *whole, double *weight, double *rest_weight,
                         ft_preference_sums *sums);

/* Of a global batch: tokens that the mean of −log p is over, out of the answers of chosen documents
 * and of all their tokens but the first of each; 0: the objective has no such term. */
int64_t ft_preference_nll_targets(const ft_objective *objective, int64_t answers, int64_t tokens);
/* z = max(0, mean log-ratio of the global batch's `rows` mismatched documents) (Ethayarajh et al.
 * 2024, section 4.1), from their sum. */
double ft_preference_kl(double sum_log_ratios, int64_t rows);

/* The loss that all the sums make; NaN without rows. */
double ft_preference_loss(const ft_objective *objective, const ft_preference_sums *sums);

/* A column of the metrics, in the group "rewards" or "logps"; NaN where nothing has one. */
typedef struct ft_preference_column {
  const char *group, *name;
  double value;
} ft_preference_column;
enum { FT_PREFERENCE_COLUMNS = 7 };
/* Writes them to out; returns their number. */
int ft_preference_columns(const ft_objective *objective, const ft_preference_sums *sums, double kl,
                          ft_preference_column out[FT_PREFERENCE_COLUMNS]);

#endif
