/* What the evaluations of a run have found, and when the next is due: state that a checkpoint
 * carries. */
#include <math.h>

#include "internal.h"

bool ft_trainer_evaluation_due(const trainer *t, int64_t step) {
  return t->config->num_validation > 0 &&
         (step == 0 || step == t->steps || step % t->config->validation_every == 0);
}

bool ft_trainer_patience_over(const trainer *t) {
  return t->config->patience > 0 && t->evaluation.without_gain >= t->config->patience;
}

bool ft_trainer_checkpoint_is_regular(const trainer *t) {
  return t->step > 0 && (t->step % t->config->checkpoint_every == 0 || t->step == t->steps);
}

bool ft_trainer_checkpoint_due(const trainer *t) {
  bool best = t->evaluation.to_be_saved && t->evaluation.step == t->step;
  return t->step < t->steps && (ft_trainer_checkpoint_is_regular(t) || best);
}

void ft_evaluation_write(const ft_evaluation *e, cJSON *extra) {
  if (e->best.exists) {
    cJSON_AddNumberToObject(extra, "best_step", (double)e->best.step);
    cJSON_AddNumberToObject(extra, "best_loss", e->best.loss);
  }
  if (isfinite(e->lowest)) cJSON_AddNumberToObject(extra, "lowest_loss", e->lowest);
  if (isfinite(e->yardstick)) cJSON_AddNumberToObject(extra, "patience_loss", e->yardstick);
  if (isfinite(e->replay_loss)) cJSON_AddNumberToObject(extra, "replay_loss", e->replay_loss);
  if (e->made) cJSON_AddNumberToObject(extra, "evaluated_step", (double)e->step);
  cJSON_AddNumberToObject(extra, "evaluations_without_gain", (double)e->without_gain);
}

void ft_evaluation_read(ft_evaluation *e, const cJSON *extra) {
  double lowest = ft_extra_number(extra, "lowest_loss", INFINITY);
  double best_step = ft_extra_number(extra, "best_step", -1);
  double step = ft_extra_number(extra, "evaluated_step", -1);
  *e = (ft_evaluation){.made = step >= 0,
                       .step = (int64_t)step,
                       .lowest = lowest,
                       .replay_loss = ft_extra_number(extra, "replay_loss", NAN),
                       .yardstick = ft_extra_number(extra, "patience_loss", lowest),
                       .without_gain =
                           (int64_t)ft_extra_number(extra, "evaluations_without_gain", 0),
                       .best = {.exists = best_step >= 0,
                                .step = (int64_t)best_step,
                                .loss = ft_extra_number(extra, "best_loss", INFINITY)}};
}

void ft_evaluation_forget(ft_evaluation *e, int64_t step, const ft_scored *before) {
  if (e->best.exists && e->best.step == step) e->best = *before;
}
