/* Losses of one pair and their derivatives. a and b are what pair.h says, β objective.beta, ε
 * objective.label_smoothing, ā = a / targets; docs/objectives.md has where each comes from. */
#include "pair.h"

#include <math.h>

double ft_sigmoid(double x) {
  double e = exp(-fabs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

static double log_sigmoid(double x) {
  return FT_MIN(x, 0.0) - log1p(exp(-fabs(x)));
}

static double sigmoid_slope(double x) {
  return ft_sigmoid(x) * ft_sigmoid(-x);
}

/* Of a loss f(z) with z = scale_a · a − scale_b · b + …: `slope` is f'(z). */
static pair_result of_difference(double loss, double slope, double scale_a, double scale_b) {
  return (pair_result){loss, slope * scale_a, -slope * scale_b};
}

/* −(1 − ε) log σ(z) − ε log σ(−z) */
static double smoothed(double z, double eps) {
  return -(1 - eps) * log_sigmoid(z) - eps * log_sigmoid(-z);
}
static double smoothed_slope(double z, double eps) {
  return -(1 - eps) * ft_sigmoid(-z) + eps * ft_sigmoid(z);
}

/* ---------------------------------------------------------------- objective.loss */

/* −log σ(β(a − b)); CPO's and "conservative" with ε */
static pair_result sigmoid(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, z = beta * (p.a - p.b), eps = (double)o->label_smoothing;
  return of_difference(smoothed(z, eps), smoothed_slope(z, eps), beta, beta);
}

/* max(0, 1 − β(a − b)) */
static pair_result hinge(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, z = beta * (p.a - p.b);
  return of_difference(fmax(0, 1 - z), z < 1 ? -1 : 0, beta, beta);
}

/* (ā − b̄ − 1/(2β))² */
static pair_result ipo(const ft_objective *o, pair p) {
  double u = p.a / p.a_targets - p.b / p.b_targets - 1 / (2 * o->numbers.beta);
  return of_difference(u * u, 2 * u, 1 / p.a_targets, 1 / p.b_targets);
}

/* (−(1 − ε) log σ(z) + ε log σ(−z)) / (1 − 2ε), z = β(a − b) */
static pair_result robust(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, z = beta * (p.a - p.b), eps = (double)o->label_smoothing;
  double loss = -(1 - eps) * log_sigmoid(z) + eps * log_sigmoid(-z);
  double slope = -(1 - eps) * ft_sigmoid(-z) - eps * ft_sigmoid(z);
  return of_difference(loss / (1 - 2 * eps), slope / (1 - 2 * eps), beta, beta);
}

/* −log σ(β(ā − b̄)) */
static pair_result sigmoid_norm(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, z = beta * (p.a / p.a_targets - p.b / p.b_targets);
  return of_difference(-log_sigmoid(z), -ft_sigmoid(-z), beta / p.a_targets, beta / p.b_targets);
}

/* 1 − σ(βa) + σ(βb) */
static pair_result apo_zero(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, a = beta * p.a, b = beta * p.b;
  return (pair_result){1 - ft_sigmoid(a) + ft_sigmoid(b), -beta * sigmoid_slope(a),
                       beta * sigmoid_slope(b)};
}

/* σ(βa) + 1 − σ(β(a − b)) */
static pair_result apo_down(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, a = beta * p.a, z = beta * (p.a - p.b);
  return (pair_result){ft_sigmoid(a) + 1 - ft_sigmoid(z),
                       beta * (sigmoid_slope(a) - sigmoid_slope(z)), beta * sigmoid_slope(z)};
}

/* (a − 1/(2β))² + (b + 1/(2β))² */
static pair_result sppo_hard(const ft_objective *o, pair p) {
  double half = 1 / (2 * o->numbers.beta), a = p.a - half, b = p.b + half;
  return (pair_result){a * a + b * b, 2 * a, 2 * b};
}

/* q (log q − log(1 − ε)) + (1 − q) (log(1 − q) − log ε), q = σ(z), z = β(a − b) */
static pair_result exo_pair(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, z = beta * (p.a - p.b), eps = (double)o->label_smoothing;
  double q = ft_sigmoid(z), rest = ft_sigmoid(-z);
  double loss = q * (log_sigmoid(z) - log1p(-eps)) + rest * (log_sigmoid(-z) - log(eps));
  return of_difference(loss, q * rest * (z - log1p(-eps) + log(eps)), beta, beta);
}

/* −log σ(βa) − ½ log σ(−βa) − ½ log σ(−βb) */
static pair_result nca_pair(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, a = beta * p.a, b = beta * p.b;
  double loss = -log_sigmoid(a) - 0.5 * (log_sigmoid(-a) + log_sigmoid(-b));
  return (pair_result){loss, beta * (0.5 * ft_sigmoid(a) - ft_sigmoid(-a)),
                       0.5 * beta * ft_sigmoid(b)};
}

/* −log σ(βa) − log σ(−βb) */
static pair_result bco_pair(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, a = beta * p.a, b = beta * p.b;
  return (pair_result){-log_sigmoid(a) - log_sigmoid(-b), -beta * ft_sigmoid(-a),
                       beta * ft_sigmoid(b)};
}

static const pair_form forms[FT_PAIR_NUM] = {
    [FT_PAIR_SIGMOID] = {.name = "sigmoid", .loss = sigmoid, .cpo = true},
    [FT_PAIR_CONSERVATIVE] = {.name = "conservative",
                              .loss = sigmoid,
                              .smoothing = SMOOTHING_POSSIBLE,
                              .largest_smoothing = 1},
    [FT_PAIR_HINGE] = {.name = "hinge", .loss = hinge, .cpo = true},
    [FT_PAIR_IPO] = {.name = "ipo", .loss = ipo, .cpo = true},
    [FT_PAIR_ROBUST] = {.name = "robust",
                        .loss = robust,
                        .smoothing = SMOOTHING_POSSIBLE,
                        .largest_smoothing = 0.5},
    [FT_PAIR_SIGMOID_NORM] = {.name = "sigmoid_norm", .loss = sigmoid_norm},
    [FT_PAIR_APO_ZERO] = {.name = "apo_zero", .loss = apo_zero},
    [FT_PAIR_APO_DOWN] = {.name = "apo_down", .loss = apo_down},
    [FT_PAIR_SPPO_HARD] = {.name = "sppo_hard", .loss = sppo_hard},
    [FT_PAIR_EXO_PAIR] = {.name = "exo_pair",
                          .loss = exo_pair,
                          .smoothing = SMOOTHING_NEEDED,
                          .largest_smoothing = 1},
    [FT_PAIR_NCA_PAIR] = {.name = "nca_pair", .loss = nca_pair},
    [FT_PAIR_BCO_PAIR] = {.name = "bco_pair", .loss = bco_pair},
};

const pair_form *ft_pair_form_of(ft_pair_loss loss) {
  FT_ASSERT(loss >= 0 && loss < FT_PAIR_NUM);
  return &forms[loss];
}

/* ---------------------------------------------------------------- objectives of their own */

/* The smoothed loss at z = β(ā − b̄) − γ */
static pair_result simpo(const ft_objective *o, pair p) {
  double beta = o->numbers.beta, eps = (double)o->label_smoothing;
  double z = beta * (p.a / p.a_targets - p.b / p.b_targets) - o->numbers.gamma;
  return of_difference(smoothed(z, eps), smoothed_slope(z, eps), beta / p.a_targets,
                       beta / p.b_targets);
}

/* log(1 − e^x) for x < 0 */
static double log_complement(double x) {
  return x > -0.6931471805599453 ? log(-expm1(x)) : log1p(-exp(x));
}

/* −β log σ(o), o = log odds of ā − log odds of b̄, odds = e^x / (1 − e^x). A certain answer's odds
 * have no bound: its mean is kept a little below 0. */
static pair_result orpo(const ft_objective *o, pair p) {
  const double certain = -1e-9;
  double beta = o->numbers.beta;
  double a = fmin(p.a / p.a_targets, certain), b = fmin(p.b / p.b_targets, certain);
  double odds = a - b - (log_complement(a) - log_complement(b)), slope = -beta * ft_sigmoid(-odds);
  return of_difference(-beta * log_sigmoid(odds), slope, -1 / expm1(a) / p.a_targets,
                       -1 / expm1(b) / p.b_targets);
}

/* −log σ(a − b) + c (a + b)² of scores a and b */
static pair_result reward(const ft_objective *o, pair p) {
  double z = p.a - p.b, sum = p.a + p.b, c = o->numbers.centre;
  return (pair_result){c * sum * sum - log_sigmoid(z), 2 * c * sum - ft_sigmoid(-z),
                       2 * c * sum + ft_sigmoid(-z)};
}

pair_result ft_pair_loss_of(const ft_objective *o, pair p) {
  switch (o->kind) {
  case FT_OBJECTIVE_SIMPO:
    return simpo(o, p);
  case FT_OBJECTIVE_ORPO:
    return orpo(o, p);
  case FT_OBJECTIVE_REWARD:
    return reward(o, p);
  default:
    return ft_pair_form_of(o->loss)->loss(o, p);
  }
}

bool ft_pair_by_means(const ft_objective *o) {
  return o->kind == FT_OBJECTIVE_SIMPO || o->kind == FT_OBJECTIVE_ORPO ||
         (o->kind == FT_OBJECTIVE_CPO && o->loss == FT_PAIR_IPO);
}
