/* Checkpoints of a run: when one is begun, committed and noted as the best, and what it carries
 * beside the shard's state. */
#include <stdlib.h>
#include <string.h>

#include "ft/io_kind.h"
#include "internal.h"

#define WRITE_POLL_S 2e-3 /* between two looks at a checkpoint that is being written */

/* Nothing is left to be done of the plan. */
static bool is_end(const trainer *t) {
  bool evaluated = t->evaluation.made && t->evaluation.step == t->step;
  return (t->step == t->steps && (evaluated || !ft_trainer_evaluation_due(t, t->step))) ||
         ft_trainer_patience_over(t);
}

static cJSON *extra_of(const trainer *t) {
  cJSON *extra = cJSON_CreateObject();
  char checksum[FT_CHECKSUM_BYTES];
  ft_print_checksum(t->saving.checksum, checksum);
  cJSON_AddStringToObject(extra, "weights_checksum", checksum);
  ft_evaluation_write(&t->evaluation, extra);
  cJSON_AddNumberToObject(extra, "skipped", (double)t->skipped);
  cJSON_AddNumberToObject(extra, "losses", (double)t->spike.count);
  cJSON_AddNumberToObject(extra, "loss_mean", t->spike.mean);
  cJSON_AddNumberToObject(extra, "loss_variance", t->spike.variance);
  if (t->inputs) cJSON_AddItemToObject(extra, "inputs", cJSON_Duplicate(t->inputs, true));
  if (t->saving.measured) cJSON_AddNumberToObject(extra, "checkpoint_seconds", t->saving.seconds);
  cJSON *rows = t->rank == 0 ? ft_run_unwritten(t->run) : NULL;
  if (rows) cJSON_AddItemToObject(extra, "unwritten_rows", rows);
  if (is_end(t)) cJSON_AddItemToObject(extra, "finished", ft_config_plan(t->config->json));
  return extra;
}

/* A best step without a checkpoint is none: the one before stands. */
static void forget_best(trainer *t, int64_t step) {
  ft_evaluation_forget(&t->evaluation, step, &t->saving.noted);
}

void ft_trainer_say_unsaved(const trainer *t) {
  ft_log(FT_LOG_ERROR, "no checkpoint of step %lld: %s", (long long)t->saving.step,
         ft_error_message());
}

ft_err ft_trainer_begin_checkpoint(trainer *t) {
  ft_err err = ft_trainer_finish_checkpoint(t);
  if (err == FT_ERR_STOPPED) return err;
  if (err != FT_OK) ft_trainer_say_unsaved(t);
  err = ft_shard_checksum(t->shard, &t->saving.checksum);
  if (err != FT_OK) return err;
  ft_checkpoint_meta meta = {
      .step = t->step, .updates = t->updates, .tokens = t->tokens, .config = t->config->json};
  t->saving.knows_evaluation = t->evaluation.made && t->evaluation.step == t->step;
  t->saving.knows_end = is_end(t);
  err = ft_comm_section_begin(t->comm); /* a stop finds it begun on all ranks, or on none */
  if (err == FT_OK) {
    err = ft_comm_agree(t->comm, ft_run_check(t->run));
    if (err == FT_OK && t->rank == 0 && ft_run_sync(t->run) != FT_OK)
      ft_log(FT_LOG_WARNING, "%s; the checkpoint of step %lld has the rows that it lacks",
             ft_error_message(), (long long)t->step);
    meta.extra = extra_of(t);
    if (err == FT_OK)
      err = ft_checkpoint_begin(t->comm, t->shard, t->config->run_dir, &meta, &t->saving.writer);
    t->saving.step = t->step;
    if (err != FT_OK && err != FT_ERR_STOPPED) forget_best(t, t->step);
    ft_comm_section_end(t->comm);
  }
  cJSON_Delete(meta.extra);
  return err;
}

ft_err ft_trainer_note_best(trainer *t) {
  ft_scored *best = &t->evaluation.best;
  if (!best->exists || !t->saving.committed || best->step != t->saving.committed_step) return FT_OK;
  ft_err err = t->rank == 0 ? ft_run_write_best(t->config->run_dir, best->step) : FT_OK;
  err = ft_comm_agree(t->comm, err);
  if (err == FT_ERR_STOPPED) return err;
  if (err != FT_OK) {
    ft_log(FT_LOG_ERROR, "step %lld is not noted as the best: %s", (long long)best->step,
           ft_error_message());
    forget_best(t, best->step);
  }
  t->saving.noted = *best;
  return FT_OK;
}

/* For this rank's part of the checkpoint; a stop is noticed meanwhile. Unless the job has stopped
 * already: then the checkpoint is all that is still to come. */
static ft_err wait_written(trainer *t) {
  bool stopped = ft_comm_stopped(t->comm);
  const char *before = ft_comm_enter(t->comm, "writes a checkpoint");
  while (!stopped && !ft_checkpoint_written(t->saving.writer) && !ft_comm_stopped(t->comm))
    ft_sleep_s(WRITE_POLL_S);
  if (!stopped && ft_comm_stopped(t->comm)) return ft_comm_check(t->comm);
  ft_checkpoint_wait(t->saving.writer);
  (void)ft_comm_enter(t->comm, before);
  return FT_OK;
}

static void say_written(const trainer *t, const ft_checkpoint_report *r) {
  char checksum[FT_CHECKSUM_BYTES];
  double gb = (double)r->bytes * 1e-9;
  ft_print_checksum(t->saving.checksum, checksum);
  ft_log(FT_LOG_INFO,
         "checkpoint of step %lld written, its weights have checksum %s: %.3g GB in %.3g s (%.3g "
         "GB/s, %.2f core-seconds a GB)",
         (long long)t->saving.step, checksum, gb, r->seconds,
         r->seconds > 0 ? gb / r->seconds : 0.0, gb > 0 ? r->cpu_seconds / gb : 0.0);
}

/* Old checkpoints that cannot be removed are no reason to end. */
static ft_err prune(trainer *t) {
  int64_t best = t->saving.noted.exists ? t->saving.noted.step : -1; /* the next one may fail */
  ft_err err = ft_checkpoint_prune(t->comm, t->config->run_dir, t->config->keep, best);
  if (err == FT_OK || err == FT_ERR_STOPPED) return err;
  ft_log(FT_LOG_ERROR, "older checkpoints stay: %s", ft_error_message());
  return FT_OK;
}

ft_err ft_trainer_finish_checkpoint(trainer *t) {
  ft_err err = FT_OK;
  ft_checkpoint_report report;
  if (!t->saving.writer) return FT_OK;
  FT_TRY(wait_written(t));
  err = ft_comm_agree(t->comm, ft_run_check(t->run));
  if (err == FT_OK) /* else the directory is another job's */
    err = ft_checkpoint_finish(t->saving.writer, &report);
  if (err == FT_ERR_STOPPED) return err;
  t->saving.writer = NULL;
  if (err != FT_OK) {
    forget_best(t, t->saving.step);
    return err;
  }
  t->saving.committed = true;
  t->saving.committed_step = t->saving.step;
  t->saving.seconds = report.seconds;
  t->saving.measured = true;
  say_written(t, &report);
  ft_trainer_note_usage(t);
  FT_TRY(ft_trainer_note_best(t));
  FT_TRY(prune(t));
  ft_trainer_plan_stop(t);
out:
  return err;
}

/* A run that was stopped between its last update and the evaluation that is due then has a
 * checkpoint that does not know of the evaluation, which is made when the run goes on; and one
 * whose plan has become shorter a checkpoint that does not know that it is the last. No other
 * follows that would. */
static ft_err amend(trainer *t) {
  bool evaluated = t->evaluation.made && t->evaluation.step == t->step;
  bool tells = (evaluated && !t->saving.knows_evaluation) || (is_end(t) && !t->saving.knows_end);
  if (!tells) return FT_OK;
  cJSON *members = extra_of(t);
  cJSON_DeleteItemFromObjectCaseSensitive(members, "weights_checksum"); /* of its writing */
  cJSON_DeleteItemFromObjectCaseSensitive(members, "checkpoint_seconds");
  ft_err err = ft_comm_section_begin(t->comm);
  if (err == FT_OK) {
    err = ft_comm_agree(t->comm, ft_run_check(t->run));
    if (err == FT_OK) err = ft_checkpoint_amend(t->comm, t->config->run_dir, t->step, members);
    ft_comm_section_end(t->comm);
  }
  cJSON_Delete(members);
  if (err != FT_OK) return err;
  t->saving.knows_end = is_end(t);
  if (evaluated && !t->saving.knows_evaluation)
    ft_log(FT_LOG_INFO, "the checkpoint of step %lld now knows of its evaluation",
           (long long)t->step);
  t->saving.knows_evaluation = evaluated;
  return prune(t);
}

ft_err ft_trainer_leave_checkpoint(trainer *t) {
  ft_err err = FT_OK;
  FT_TRY(ft_trainer_finish_checkpoint(t));
  if (t->step == 0) goto out;
  if (t->saving.committed && t->saving.committed_step == t->step) return amend(t);
  FT_TRY(ft_trainer_begin_checkpoint(t));
  FT_TRY(ft_trainer_finish_checkpoint(t));
out:
  return err;
}

/* ---------------------------------------------------------------- finding a step */

static ft_err no_such_step(const char *run_dir, const char *which, const int64_t *steps,
                           int64_t num) {
  char list[256] = "";
  for (int64_t i = 0; i < num && strlen(list) < sizeof list - 24; i++)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%lld", i ? ", " : "",
             (long long)steps[i]);
  if (num == 0)
    return ft_fail(FT_ERR_NOINPUT, "%s holds no checkpoint: train first, or name another run",
                   run_dir);
  return ft_fail(FT_ERR_NOINPUT, "%s holds no checkpoint of step %s; it has: %s", run_dir, which,
                 list);
}

ft_err ft_train_find_step(const char *run_dir, const char *which, int64_t *step) {
  ft_err err = FT_OK;
  int64_t *steps = NULL, num = 0, wanted = -1;
  char *end = NULL;
  FT_CHECK(ft_path_exists(run_dir), FT_ERR_NOINPUT, "%s: no such run directory", run_dir);
  FT_TRY(ft_kind_check(run_dir, FT_WANT_RUN));
  FT_TRY(ft_checkpoint_list(run_dir, &steps, &num));
  if (!which || strcmp(which, "latest") == 0)
    wanted = num > 0 ? steps[num - 1] : -1;
  else if (strcmp(which, "best") == 0) {
    err = ft_run_read_best(run_dir, &wanted);
    if (err == FT_ERR_NOINPUT)
      ft_fail(err,
              "%s has no best step: its first validation set was never evaluated where a "
              "checkpoint is; leave --step away for the latest, or give a number",
              run_dir);
    if (err != FT_OK) goto out;
  } else {
    wanted = strtoll(which, &end, 10);
    FT_CHECK(*which && !*end, FT_ERR_USAGE,
             "--step %s: a number, \"best\" or \"latest\" was expected", which);
  }
  for (int64_t i = 0; i < num; i++)
    if (steps[i] == wanted) {
      *step = wanted;
      goto out;
    }
  err = no_such_step(run_dir, which ? which : "latest", steps, num);
out:
  ft_free(steps);
  return err;
}
