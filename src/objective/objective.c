/* The table of objectives: names, options, the loss of a row, and the models they need. */
#include "ft/objective.h"

#include <math.h>
#include <stddef.h>

#include "pair.h"

/* Numbers in their order: beta, gamma, nll, desirable_weight, undesirable_weight, centre. */
#define NO NAN
#define NO_NUMBERS                                                                                 \
  { NO, NO, NO, NO, NO, NO }

static const ft_objective_form forms[FT_OBJECTIVE_NUM] = {
    [FT_OBJECTIVE_TOKENS] = {"tokens", FT_ROWS_TOKENS, .initial = NO_NUMBERS},
    [FT_OBJECTIVE_MASKED_TOKENS] = {"masked-tokens", FT_ROWS_TOKENS, .initial = NO_NUMBERS},
    [FT_OBJECTIVE_CLASSES] = {"classes", FT_ROWS_CLASSES, .initial = NO_NUMBERS},
    [FT_OBJECTIVE_DPO] = {"dpo", FT_ROWS_PAIRS, .reference = true,
                          .initial = {0.1, NO, NO, NO, NO, NO}},
    [FT_OBJECTIVE_SIMPO] = {"simpo", FT_ROWS_PAIRS, .initial = {2, 1, 0, NO, NO, NO}},
    [FT_OBJECTIVE_CPO] = {"cpo", FT_ROWS_PAIRS, .initial = {0.1, NO, 1, NO, NO, NO}},
    [FT_OBJECTIVE_ORPO] = {"orpo", FT_ROWS_PAIRS, .prompts = true,
                           .initial = {0.1, NO, 1, NO, NO, NO}},
    [FT_OBJECTIVE_KTO] = {"kto", FT_ROWS_RATED, .reference = true,
                          .initial = {0.1, NO, NO, 1, 1, NO}},
    [FT_OBJECTIVE_REWARD] = {"reward", FT_ROWS_PAIRS, .initial = {NO, NO, NO, NO, NO, 0}},
};

const ft_objective_form *ft_objective_form_of(ft_objective_kind kind) {
  FT_ASSERT(kind >= 0 && kind < FT_OBJECTIVE_NUM);
  return &forms[kind];
}

bool ft_objective_is_weighed(ft_objective_kind kind) {
  ft_objective_rows rows = ft_objective_form_of(kind)->rows;
  return rows == FT_ROWS_PAIRS || rows == FT_ROWS_RATED;
}

ft_loss ft_objective_loss(const ft_objective *o, int64_t rows) {
  FT_ASSERT(rows > 0);
  return (ft_loss){.label_smoothing = o->label_smoothing,
                   .z_loss = o->z_loss,
                   .weight = (float)(1.0 / (double)rows)};
}

/* ---------------------------------------------------------------- options */

static const struct {
  const char *key;
  size_t offset;
} numbers[] = {
    {"beta", offsetof(ft_objective_numbers, beta)},
    {"gamma", offsetof(ft_objective_numbers, gamma)},
    {"nll", offsetof(ft_objective_numbers, nll)},
    {"desirable_weight", offsetof(ft_objective_numbers, desirable_weight)},
    {"undesirable_weight", offsetof(ft_objective_numbers, undesirable_weight)},
    {"centre", offsetof(ft_objective_numbers, centre)},
};

static void resolve_number(ft_objective *o, size_t i, ft_mistakes *m) {
  const ft_objective_form *form = &forms[o->kind];
  double *given = (double *)(void *)((char *)&o->numbers + numbers[i].offset);
  double initial =
      *(const double *)(const void *)((const char *)&form->initial + numbers[i].offset);
  if (isnan(*given))
    *given = initial;
  else if (isnan(initial))
    ft_mistakes_add(
        m, FT_ERR_CONFIG,
        "objective.%s is %g, but objective.name \"%s\" takes no such number: leave it out",
        numbers[i].key, *given, form->name);
}

/* What label smoothing does to the objective. */
static smoothing smoothing_of(const ft_objective *o) {
  if (!ft_objective_is_weighed(o->kind) || o->kind == FT_OBJECTIVE_SIMPO) return SMOOTHING_POSSIBLE;
  if (o->kind == FT_OBJECTIVE_CPO)
    return o->loss == FT_PAIR_SIGMOID ? SMOOTHING_POSSIBLE : SMOOTHING_NOTHING;
  return o->kind == FT_OBJECTIVE_DPO ? ft_pair_form_of(o->loss)->smoothing : SMOOTHING_NOTHING;
}

static void check_smoothing(const ft_objective *o, ft_mistakes *m) {
  double eps = (double)o->label_smoothing;
  smoothing allowed = smoothing_of(o);
  const pair_form *loss = ft_pair_form_of(o->loss);
  const char *advice =
      o->kind == FT_OBJECTIVE_DPO && o->loss == FT_PAIR_SIGMOID
          ? ": set objective.loss to \"conservative\" or \"robust\", which it is for"
          : ": set it to 0";
  if (eps > 0 && allowed == SMOOTHING_NOTHING)
    ft_mistakes_add(
        m, FT_ERR_CONFIG,
        "objective.label_smoothing is %g, but objective.name \"%s\" with objective.loss "
        "\"%s\" takes none%s",
        eps, forms[o->kind].name, loss->name, advice);
  if (o->kind != FT_OBJECTIVE_DPO) return;
  if (allowed == SMOOTHING_NEEDED && !(eps > 0))
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "objective.label_smoothing is 0, but objective.loss \"%s\" needs one above 0 "
                    "(its authors have 0.001)",
                    loss->name);
  if (allowed != SMOOTHING_NOTHING && eps >= loss->largest_smoothing)
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "objective.label_smoothing is %g, but objective.loss \"%s\" needs one below %g",
                    eps, loss->name, loss->largest_smoothing);
}

static void check_loss(const ft_objective *o, ft_mistakes *m) {
  const pair_form *loss = ft_pair_form_of(o->loss);
  bool known = o->kind == FT_OBJECTIVE_DPO || o->loss == FT_PAIR_SIGMOID ||
               (o->kind == FT_OBJECTIVE_CPO && loss->cpo);
  if (!known)
    ft_mistakes_add(
        m, FT_ERR_CONFIG,
        "objective.loss is \"%s\", which objective.name \"%s\" does not have: it is one of "
        "\"dpo\"%s",
        loss->name, forms[o->kind].name,
        o->kind == FT_OBJECTIVE_CPO ? "; \"cpo\" has \"sigmoid\", \"hinge\" and \"ipo\"" : "");
  if (o->z_loss > 0 && ft_objective_is_weighed(o->kind))
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "objective.z_loss is %g, but objective.name \"%s\" takes none: set it to 0",
                    (double)o->z_loss, forms[o->kind].name);
}

ft_err ft_objective_resolve(ft_objective *o) {
  ft_mistakes m = {0};
  for (size_t i = 0; i < FT_ARRAY_SIZE(numbers); i++)
    resolve_number(o, i, &m);
  check_loss(o, &m);
  check_smoothing(o, &m);
  return ft_mistakes_fail(&m, NULL);
}

/* ---------------------------------------------------------------- models */

/* A head of labels: several for classes, one for a score. */
static ft_err check_labels(const ft_objective *o, int64_t labels) {
  ft_err err = FT_OK;
  FT_CHECK(o->kind != FT_OBJECTIVE_CLASSES || labels > 1, FT_ERR_CONFIG,
           "objective.name is \"classes\", but the model's head gives %s: expected is a "
           "…ForSequenceClassification directory with two classes or more",
           labels == 1 ? "one number" : "tokens");
  FT_CHECK(o->kind != FT_OBJECTIVE_REWARD || labels == 1, FT_ERR_CONFIG,
           "objective.name is \"reward\", but the model's head gives %s: expected is a "
           "…ForSequenceClassification directory with one label, or a …ForCausalLM directory to "
           "begin with",
           labels == 0 ? "tokens" : "several labels");
out:
  return err;
}

ft_err ft_objective_check(const ft_objective *o, bool two_way, int64_t labels) {
  ft_err err = FT_OK;
  const char *name = forms[o->kind].name;
  if (o->kind == FT_OBJECTIVE_CLASSES || o->kind == FT_OBJECTIVE_REWARD)
    return check_labels(o, labels);
  FT_CHECK(
      labels == 0, FT_ERR_CONFIG,
      "objective.name is \"%s\", but the model's head gives %lld label%s: set objective.name to "
      "\"%s\"",
      name, (long long)labels, labels == 1 ? "" : "s", labels == 1 ? "reward" : "classes");
  FT_CHECK(o->kind == FT_OBJECTIVE_MASKED_TOKENS || !two_way, FT_ERR_CONFIG,
           "objective.name is \"%s\", but each token of this model sees the next one: set "
           "objective.name to \"masked-tokens\"",
           name);
  FT_CHECK(
      o->kind != FT_OBJECTIVE_MASKED_TOKENS || two_way, FT_ERR_CONFIG,
      "objective.name is \"masked-tokens\", but this model sees only what comes before a token: "
      "set objective.name to \"tokens\"");
out:
  return err;
}
