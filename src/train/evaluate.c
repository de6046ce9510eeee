/* Validation: each set whole, in file order, its micro-batches spread over the ranks, losses
 * combined in order of micro-batch. The result depends neither on the number of ranks nor on time.
 */
#include <math.h>
#include <string.h>

#include "preference.h"

typedef struct set_result {
  double loss_sum;
  int64_t targets;
  ft_scores scores;
} set_result;

/* This rank's micro-batch of a round, or only the collectives. */
static ft_err evaluate_round(trainer *t, ft_data *data, int64_t first, int64_t rows, double *loss,
                             set_result *out) {
  ft_err err = FT_OK;
  ft_model_batch batch;
  ft_predictions predictions = {.num = 0};
  bool scored = out->scores.num_counts > 0;
  (void)ft_fault("evaluate");
  if (rows > 0) {
    err = ft_data_rows(data, first, rows, &t->batch);
    if (err != FT_OK) ft_comm_abort(t->comm, err, "reading validation data");
    batch = ft_trainer_batch(t);
    out->targets += t->batch.num_targets;
  }
  err = ft_model_evaluate(t->model, rows > 0 ? &batch : NULL, loss, scored ? &predictions : NULL);
  if (err != FT_OK && err != FT_ERR_STOPPED) ft_comm_abort(t->comm, err, "evaluation");
  if (err == FT_OK)
    ft_scores_add(&out->scores, predictions.num, predictions.targets, predictions.predicted);
  return err;
}

static ft_err evaluate_set(trainer *t, ft_data *data, set_result *out) {
  ft_err err = FT_OK;
  int64_t rows = ft_trainer_validation_rows(t, data), mb = t->config->micro_batch;
  int64_t num = ft_ceil_div(rows, mb), rounds = ft_ceil_div(num, t->size);
  void *memory;
  double *losses = NULL;
  *out = (set_result){.targets = 0};
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, rounds, sizeof *losses, &memory));
  losses = memory;
  FT_TRY(ft_comm_agree(t->comm,
                       ft_scores_init(&out->scores, t->objective.kind, t->hf.arch.num_labels)));
  for (int64_t round = 0; round < rounds; round++) {
    int64_t first = (round * t->size + t->rank) * mb;
    FT_TRY(
        evaluate_round(t, data, first, FT_MAX(FT_MIN(mb, rows - first), 0), &losses[round], out));
  }
  FT_TRY(ft_sum_in_order(t->comm, num, losses, 1, &out->loss_sum));
  FT_TRY(ft_comm_sum_i64(t->comm, &out->targets, 1));
  FT_TRY(ft_comm_sum_i64(t->comm, out->scores.counts, out->scores.num_counts));
out:
  ft_free(losses);
  return err;
}

static void add_scores(cJSON *set, ft_scores *scores) {
  ft_score figures[FT_SCORES_MOST];
  int num = ft_scores_read(scores, figures);
  for (int i = 0; i < num; i++)
    cJSON_AddNumberToObject(set, figures[i].name, figures[i].value);
  ft_scores_fini(scores);
}

static void add_number(cJSON *object, const char *name, double value) {
  if (isfinite(value))
    cJSON_AddNumberToObject(object, name, value);
  else
    cJSON_AddNullToObject(object, name);
}

/* A set's mean loss over rows, and what else is known of them, into *set. */
static ft_err evaluate_rows(trainer *t, ft_data *data, cJSON *set, double *loss) {
  set_result r;
  ft_err err = evaluate_set(t, data, &r);
  if (err != FT_OK) return err;
  *loss = r.targets > 0 ? r.loss_sum / (double)r.targets : NAN;
  add_number(set, "loss", *loss);
  add_number(set, "perplexity", exp(*loss));
  cJSON_AddNumberToObject(set, "targets", (double)r.targets);
  add_scores(set, &r.scores);
  return FT_OK;
}

/* The same where whole documents are weighed. */
static ft_err evaluate_documents(trainer *t, ft_data *data, cJSON *set, double *loss) {
  ft_preference_sums sums;
  ft_preference_column columns[FT_PREFERENCE_COLUMNS];
  double kl;
  int64_t targets;
  ft_err err = ft_preference_evaluate(t->preference, data, ft_trainer_validation_rows(t, data),
                                      &sums, &kl, &targets);
  if (err != FT_OK) return err;
  *loss = ft_preference_loss(&t->objective, &sums);
  add_number(set, "loss", *loss);
  cJSON_AddNumberToObject(set, "targets", (double)targets);
  int num = ft_preference_columns(&t->objective, &sums, kl, columns);
  for (int i = 0; i < num; i++) {
    cJSON *group = ft_json_get(set, columns[i].group);
    if (!group) group = cJSON_AddObjectToObject(set, columns[i].group);
    add_number(group, columns[i].name, columns[i].value);
  }
  return FT_OK;
}

ft_err ft_trainer_evaluate(trainer *t, cJSON **out, double *monitored) {
  ft_err err = FT_OK;
  cJSON *object = cJSON_CreateObject();
  const char *before = ft_comm_enter(t->comm, "evaluates");
  *out = NULL;
  double sum = 0;
  bool any = false;
  *monitored = NAN;
  for (int64_t i = 0; i < t->config->num_validation; i++) {
    cJSON *set = cJSON_AddObjectToObject(object, t->config->validation[i].name);
    double loss;
    FT_TRY((t->preference ? evaluate_documents : evaluate_rows)(t, t->validation[i], set, &loss));
    any |= t->config->monitor[i] > 0;
    if (t->config->monitor[i] > 0) sum += t->config->monitor[i] * loss;
  }
  if (any) *monitored = sum;
  if (t->rank == 0) {
    *out = object;
    object = NULL;
  }
out:
  (void)ft_comm_enter(t->comm, before);
  cJSON_Delete(object);
  return err;
}

/* ---------------------------------------------------------------- inside a run */

/* Writing the best steps must not become what a run does: a quarter of checkpoint.every after the
 * last one that was to be written, unless it is little that is written, and never two steps in a
 * row. Neither a clock nor a checkpoint that a stop has left counts: which step is the best must
 * not depend on how fast a disk is, nor on what happened to the run. */
#define LITTLE_BYTES ((int64_t)1 << 30)
bool ft_best_is_worth_saving(int64_t step, int64_t every, int64_t best_step, int64_t bytes) {
  int64_t last = FT_MAX((step - 1) / every * every, best_step);
  int64_t apart = bytes <= LITTLE_BYTES ? 0 : ft_ceil_div(every, 4);
  return step > 0 && (last == 0 || step - last >= FT_MAX(apart, 2));
}

static bool is_worth_saving(const trainer *t) {
  const ft_scored *best = &t->evaluation.best;
  return ft_best_is_worth_saving(t->step, t->config->checkpoint_every,
                                 best->exists ? best->step : 0, ft_trainer_checkpoint_bytes(t));
}

static void note(trainer *t, double loss, bool lowest, bool saved) {
  ft_evaluation *e = &t->evaluation;
  bool gain = isfinite(loss) && loss < e->yardstick - t->config->min_delta;
  e->made = true;
  e->step = t->step;
  if (lowest) e->lowest = loss;
  if (gain) e->yardstick = loss;
  e->without_gain = gain ? 0 : e->without_gain + 1;
  e->to_be_saved = saved;
  if (saved && isfinite(loss) && !(e->best.exists && loss >= e->best.loss))
    e->best = (ft_scored){.exists = true, .step = t->step, .loss = loss};
}

/* Rank 0's row, and the bookkeeping, which the next checkpoint carries, belong together. */
static ft_err take_evaluation(trainer *t, const cJSON *validation, const cJSON *samples,
                              double loss) {
  bool lowest = isfinite(loss) && loss < t->evaluation.lowest;
  bool saved = ft_trainer_checkpoint_is_regular(t) || (lowest && is_worth_saving(t));
  ft_err err = ft_comm_section_begin(t->comm);
  if (err != FT_OK) return err;
  if (t->rank == 0) {
    ft_progress_validation(t->step, validation);
    err = ft_run_write_validation(t->run, t->step, validation, samples);
  }
  err = ft_comm_agree(t->comm, err);
  ft_comm_section_end(t->comm);
  if (err == FT_OK) note(t, loss, lowest, saved);
  return err;
}

/* What was forgotten since step 0, in nats a target of the general set. On rank 0. */
static void add_change(trainer *t, cJSON *validation) {
  cJSON *set = t->config->replay_set >= 0 ? ft_json_get(validation, FT_REPLAY_SET) : NULL;
  const cJSON *loss = set ? ft_json_get(set, "loss") : NULL;
  if (!cJSON_IsNumber(loss)) return;
  if (t->step == 0) t->evaluation.replay_loss = loss->valuedouble;
  double change = loss->valuedouble - t->evaluation.replay_loss;
  if (isfinite(change)) cJSON_AddNumberToObject(set, "change", change);
}

ft_err ft_trainer_evaluate_now(trainer *t) {
  ft_err err = FT_OK;
  cJSON *validation = NULL, *samples = NULL;
  double loss;
  FT_TRY(ft_trainer_evaluate(t, &validation, &loss));
  if (validation) add_change(t, validation);
  FT_TRY(ft_samples_make(t, &samples));
  FT_TRY(take_evaluation(t, validation, samples, loss));
  FT_TRY(ft_trainer_note_best(t));
out:
  cJSON_Delete(validation);
  cJSON_Delete(samples);
  return err;
}
