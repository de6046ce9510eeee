/* Names of objectives, the loss of a row, and the models they need. */
#include "ft/objective.h"

static const char *const names[FT_OBJECTIVE_NUM] = {"tokens", "masked-tokens", "classes"};

ft_loss ft_objective_loss(const ft_objective *o, int64_t rows) {
  FT_ASSERT(rows > 0);
  return (ft_loss){.label_smoothing = o->label_smoothing,
                   .z_loss = o->z_loss,
                   .weight = (float)(1.0 / (double)rows)};
}

ft_err ft_objective_check(const ft_objective *o, bool two_way, int64_t labels) {
  ft_err err = FT_OK;
  FT_CHECK(o->kind != FT_OBJECTIVE_CLASSES || labels > 1, FT_ERR_CONFIG,
           "objective.name is \"classes\", but the model's head gives %s: expected is a "
           "…ForSequenceClassification directory with two classes or more",
           labels == 1 ? "one number" : "tokens");
  FT_CHECK(
      o->kind == FT_OBJECTIVE_CLASSES || labels == 0, FT_ERR_CONFIG,
      "objective.name is \"%s\", but the model's head gives %lld labels: set objective.name to "
      "\"classes\"",
      names[o->kind], (long long)labels);
  FT_CHECK(o->kind != FT_OBJECTIVE_TOKENS || !two_way, FT_ERR_CONFIG,
           "objective.name is \"tokens\", but each token of this model sees the next one: set "
           "objective.name to \"masked-tokens\"");
  FT_CHECK(
      o->kind != FT_OBJECTIVE_MASKED_TOKENS || two_way, FT_ERR_CONFIG,
      "objective.name is \"masked-tokens\", but this model sees only what comes before a token: "
      "set objective.name to \"tokens\"");
out:
  return err;
}
