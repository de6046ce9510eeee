/* Losses of one pair, by name. */
#ifndef FT_OBJECTIVE_PAIR_H
#define FT_OBJECTIVE_PAIR_H

#include "ft/objective.h"

/* a and b are log π − log ρ of the chosen and the rejected answer, or log π without a reference, or
 * scores; a_targets and b_targets their numbers of targets. */
typedef struct pair {
  double a, b, a_targets, b_targets;
} pair;

/* A loss and its derivatives by a and b. */
typedef struct pair_result {
  double loss, da, db;
} pair_result;

/* What objective.label_smoothing does to a loss. */
typedef enum smoothing { SMOOTHING_NOTHING, SMOOTHING_POSSIBLE, SMOOTHING_NEEDED } smoothing;

typedef struct pair_form {
  const char *name;
  pair_result (*loss)(const ft_objective *o, pair p);
  smoothing smoothing;
  double largest_smoothing; /* below it */
  bool cpo;                 /* CPO has it as well */
} pair_form;

const pair_form *ft_pair_form_of(ft_pair_loss loss);

/* The loss of each objective over pairs. */
pair_result ft_pair_loss_of(const ft_objective *o, pair p);
/* Whether rewards and log-probabilities of the metrics are means over targets. */
bool ft_pair_by_means(const ft_objective *o);

/* σ(x), without overflow. */
double ft_sigmoid(double x);

#endif
