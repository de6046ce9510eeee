/* Sums and weights over the documents of a micro-batch. */
#include "ft/objective_preference.h"

#include <math.h>

#include "pair.h"

static double share(double sum, double count) {
  return count > 0 ? sum / count : NAN;
}

/* ---------------------------------------------------------------- pairs */

/* What a document shows in the metrics. */
static double reward_of(const ft_objective *o, double ratio, double targets) {
  if (o->kind == FT_OBJECTIVE_REWARD) return ratio;
  return o->numbers.beta * (ft_pair_by_means(o) ? ratio / targets : ratio);
}

static void add_pair(const ft_objective *o, const ft_preference_batch *b, int64_t chosen, pair p,
                     ft_preference_sums *s) {
  bool means = ft_pair_by_means(o);
  double better = reward_of(o, p.a, p.a_targets), worse = reward_of(o, p.b, p.b_targets);
  s->chosen += better;
  s->rejected += worse;
  s->right += better > worse;
  s->num_chosen++;
  s->num_rejected++;
  s->chosen_logps += b->value[chosen] / (means ? p.a_targets : 1);
  s->rejected_logps += b->value[chosen + 1] / (means ? p.b_targets : 1);
}

/* −log p of a chosen document: nll · its sum / the global batch's tokens. */
static void add_nll(const ft_objective *o, const ft_preference_batch *b,
                    const ft_preference_whole *whole, int64_t chosen, double *weight,
                    double *rest_weight, ft_preference_sums *s) {
  const ft_objective_form *form = ft_objective_form_of(o->kind);
  if (!(o->numbers.nll > 0)) return;
  double slope = -o->numbers.nll / (double)whole->nll_targets;
  s->nll -= b->value[chosen];
  s->nll_targets += (double)b->targets[chosen];
  if (weight) weight[chosen] += slope;
  if (!form->prompts) return;
  s->nll -= b->rest[chosen];
  s->nll_targets += (double)b->rest_targets[chosen];
  if (rest_weight) rest_weight[chosen] = slope;
}

static double ratio_of(const ft_preference_batch *b, int64_t d) {
  return b->reference ? b->value[d] - b->reference[d] : b->value[d];
}

static void weigh_pairs(const ft_objective *o, const ft_preference_batch *b,
                        const ft_preference_whole *whole, double *weight, double *rest_weight,
                        ft_preference_sums *s) {
  const double each = 1 / (double)whole->rows;
  for (int64_t d = 0; d + 1 < b->num; d += 2) {
    const pair p = {ratio_of(b, d), ratio_of(b, d + 1), (double)b->targets[d],
                    (double)b->targets[d + 1]};
    const pair_result r = ft_pair_loss_of(o, p);
    s->loss += r.loss;
    if (weight) {
      weight[d] = each * r.da;
      weight[d + 1] = each * r.db;
    }
    add_pair(o, b, d, p, s);
    add_nll(o, b, whole, d, weight, rest_weight, s);
  }
}

/* ---------------------------------------------------------------- rated documents */

/* KTO: w (1 − σ(±β(h − z))), h = log π − log ρ; plus and w₊ of what is desirable (Ethayarajh et al.
 * 2024). No gradient goes through z. */
static void weigh_rated(const ft_objective *o, const ft_preference_batch *b,
                        const ft_preference_whole *whole, double *weight, ft_preference_sums *s) {
  const ft_objective_numbers *n = &o->numbers;
  for (int64_t d = 0; d < b->num; d++) {
    bool good = b->desirable[d];
    double sign = good ? 1 : -1, w = good ? n->desirable_weight : n->undesirable_weight;
    double h = ratio_of(b, d), x = sign * n->beta * (h - whole->kl);
    s->loss += w * ft_sigmoid(-x);
    if (weight)
      weight[d] = -w * sign * n->beta * ft_sigmoid(x) * ft_sigmoid(-x) / (double)whole->rows;
    *(good ? &s->chosen : &s->rejected) += n->beta * h;
    *(good ? &s->chosen_logps : &s->rejected_logps) += b->value[d];
    *(good ? &s->num_chosen : &s->num_rejected) += 1;
  }
}

/* ---------------------------------------------------------------- both */

void ft_preference_weigh(const ft_objective *o, const ft_preference_batch *b,
                         const ft_preference_whole *whole, double *weight, double *rest_weight,
                         ft_preference_sums *s) {
  FT_ASSERT(whole->rows > 0 || b->num == 0);
  for (int64_t d = 0; d < b->num && rest_weight; d++)
    rest_weight[d] = 0;
  if (ft_objective_form_of(o->kind)->rows == FT_ROWS_RATED)
    weigh_rated(o, b, whole, weight, s);
  else
    weigh_pairs(o, b, whole, weight, rest_weight, s);
}

int64_t ft_preference_nll_targets(const ft_objective *o, int64_t answers, int64_t tokens) {
  if (!(o->numbers.nll > 0)) return 0;
  return ft_objective_form_of(o->kind)->prompts ? tokens : answers;
}

double ft_preference_kl(double sum_log_ratios, int64_t rows) {
  return rows > 0 ? fmax(0, sum_log_ratios / (double)rows) : 0;
}

double ft_preference_loss(const ft_objective *o, const ft_preference_sums *s) {
  bool rated = ft_objective_form_of(o->kind)->rows == FT_ROWS_RATED;
  double loss = share(s->loss, rated ? s->num_chosen + s->num_rejected : s->num_chosen);
  return s->nll_targets > 0 ? loss + o->numbers.nll * s->nll / s->nll_targets : loss;
}

int ft_preference_columns(const ft_objective *o, const ft_preference_sums *s, double kl,
                          ft_preference_column out[FT_PREFERENCE_COLUMNS]) {
  bool rated = ft_objective_form_of(o->kind)->rows == FT_ROWS_RATED;
  double chosen = share(s->chosen, s->num_chosen), rejected = share(s->rejected, s->num_rejected);
  int n = 0;
  out[n++] = (ft_preference_column){"rewards", "chosen", chosen};
  out[n++] = (ft_preference_column){"rewards", "rejected", rejected};
  out[n++] = (ft_preference_column){"rewards", "margin", chosen - rejected};
  if (rated)
    out[n++] = (ft_preference_column){"rewards", "kl", kl};
  else
    out[n++] = (ft_preference_column){"rewards", "accuracy", share(s->right, s->num_chosen)};
  if (o->kind == FT_OBJECTIVE_REWARD) return n;
  out[n++] = (ft_preference_column){"logps", "chosen", share(s->chosen_logps, s->num_chosen)};
  out[n++] = (ft_preference_column){"logps", "rejected", share(s->rejected_logps, s->num_rejected)};
  return n;
}
