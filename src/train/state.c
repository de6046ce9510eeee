/* What a run remembers beside the shard's state: checkpoints carry it, the file `best` names a
 * step. */
#include <stdlib.h>
#include <string.h>

#include "ft/io_kind.h"
#include "internal.h"

#define WRITE_POLL_S 2e-3 /* between two looks at a checkpoint that is being written */

enum { CHECKSUM_BYTES = 17 };

static void print_checksum(uint64_t checksum, char out[CHECKSUM_BYTES]) {
  snprintf(out, CHECKSUM_BYTES, "%016llx", (unsigned long long)checksum);
}

static cJSON *extra_of(const trainer *t) {
  cJSON *extra = cJSON_CreateObject();
  char checksum[CHECKSUM_BYTES];
  print_checksum(t->writer_checksum, checksum);
  cJSON_AddStringToObject(extra, "weights_checksum", checksum);
  cJSON_AddNumberToObject(extra, "best_step", (double)t->best_step);
  cJSON_AddNumberToObject(extra, "best_loss", t->best_loss);
  cJSON_AddNumberToObject(extra, "lowest_loss", t->lowest_loss);
  cJSON_AddNumberToObject(extra, "skipped", (double)t->skipped);
  cJSON_AddNumberToObject(extra, "losses", (double)t->spike.count);
  cJSON_AddNumberToObject(extra, "loss_mean", t->spike.mean);
  cJSON_AddNumberToObject(extra, "loss_variance", t->spike.variance);
  cJSON_AddNumberToObject(extra, "evaluated_step", (double)t->evaluated_step);
  cJSON_AddNumberToObject(extra, "evaluations_without_gain", (double)t->evaluations_without_gain);
  if (t->checkpoint_measured)
    cJSON_AddNumberToObject(extra, "checkpoint_seconds", t->checkpoint_seconds);
  return extra;
}

static double extra_number(const cJSON *extra, const char *name, double otherwise) {
  const cJSON *value = ft_json_get(extra, name);
  return cJSON_IsNumber(value) ? value->valuedouble : otherwise;
}

/* A best step without a checkpoint is none: the one before stands. */
static void forget_best(trainer *t, int64_t step) {
  if (t->best_step != step) return;
  t->best_step = t->noted_step;
  t->best_loss = t->noted_loss;
}

ft_err ft_trainer_begin_checkpoint(trainer *t) {
  ft_err err = ft_trainer_finish_checkpoint(t);
  if (err == FT_ERR_STOPPED) return err;
  if (err != FT_OK)
    ft_log(FT_LOG_ERROR, "no checkpoint of step %lld: %s", (long long)t->writer_step,
           ft_error_message());
  err = ft_shard_checksum(t->shard, &t->writer_checksum);
  if (err != FT_OK) return err;
  ft_checkpoint_meta meta = {.step = t->step,
                             .updates = t->updates,
                             .tokens = t->tokens,
                             .config = t->config->json,
                             .extra = extra_of(t)};
  t->saved_evaluation = t->evaluated_step;
  err = ft_comm_section_begin(t->comm); /* a stop finds it begun on all ranks, or on none */
  if (err == FT_OK) {
    err = ft_run_lock_check(t->lock);
    if (err == FT_OK && t->rank == 0) err = ft_metrics_sync(t); /* it counts on them */
    err = ft_comm_agree(t->comm, err);
    if (err == FT_OK)
      err = ft_checkpoint_begin(t->comm, t->shard, t->config->run_dir, &meta, &t->writer);
    t->writer_step = t->step;
    if (err != FT_OK && err != FT_ERR_STOPPED) forget_best(t, t->step);
    ft_comm_section_end(t->comm);
  }
  cJSON_Delete(meta.extra);
  return err;
}

/* Rank 0: the file `best`. */
static ft_err write_best(const trainer *t) {
  ft_err err = FT_OK;
  char *path = NULL, number[32];
  FT_TRY(ft_path_join(t->config->run_dir, "best", &path));
  snprintf(number, sizeof number, "%lld\n", (long long)t->best_step);
  FT_TRY(ft_write_file(path, number, strlen(number)));
out:
  ft_free(path);
  return err;
}

ft_err ft_trainer_note_best(trainer *t) {
  if (t->best_step < 0 || t->best_step != t->committed_step) return FT_OK;
  ft_err err = ft_comm_agree(t->comm, t->rank == 0 ? write_best(t) : FT_OK);
  if (err == FT_ERR_STOPPED) return err;
  if (err != FT_OK) {
    ft_log(FT_LOG_ERROR, "step %lld is not noted as the best: %s", (long long)t->best_step,
           ft_error_message());
    forget_best(t, t->best_step);
  }
  t->noted_step = t->best_step;
  t->noted_loss = t->best_loss;
  return FT_OK;
}

/* For this rank's part of the checkpoint; a stop is noticed meanwhile. Unless the job has stopped
 * already: then the checkpoint is all that is still to come. */
static ft_err wait_written(trainer *t) {
  bool stopped = ft_comm_stopped(t->comm);
  const char *before = ft_comm_enter(t->comm, "writes a checkpoint");
  while (!stopped && !ft_checkpoint_written(t->writer) && !ft_comm_stopped(t->comm))
    ft_sleep_s(WRITE_POLL_S);
  if (!stopped && ft_comm_stopped(t->comm)) return ft_comm_check(t->comm);
  ft_checkpoint_wait(t->writer);
  (void)ft_comm_enter(t->comm, before);
  return FT_OK;
}

static void say_written(const trainer *t, const ft_checkpoint_report *r) {
  char checksum[CHECKSUM_BYTES];
  double gb = (double)r->bytes * 1e-9;
  print_checksum(t->writer_checksum, checksum);
  ft_log(FT_LOG_INFO,
         "checkpoint of step %lld written, its weights have checksum %s: %.3g GB in %.3g s (%.3g "
         "GB/s, %.2f core-seconds a GB)",
         (long long)t->writer_step, checksum, gb, r->seconds,
         r->seconds > 0 ? gb / r->seconds : 0.0, gb > 0 ? r->cpu_seconds / gb : 0.0);
}

/* Old checkpoints that cannot be removed are no reason to end. */
static ft_err prune(trainer *t) {
  ft_err err = ft_checkpoint_prune(t->comm, t->config->run_dir, t->config->keep, t->best_step);
  if (err == FT_OK || err == FT_ERR_STOPPED) return err;
  ft_log(FT_LOG_ERROR, "older checkpoints stay: %s", ft_error_message());
  return FT_OK;
}

ft_err ft_trainer_finish_checkpoint(trainer *t) {
  ft_err err = FT_OK;
  ft_checkpoint_report report;
  if (!t->writer) return FT_OK;
  FT_TRY(wait_written(t));
  err = ft_comm_agree(t->comm, ft_run_lock_check(t->lock));
  if (err == FT_OK) /* else the directory is another job's */
    err = ft_checkpoint_finish(t->writer, &report);
  if (err == FT_ERR_STOPPED) return err;
  t->writer = NULL;
  if (err != FT_OK) {
    forget_best(t, t->writer_step);
    return err;
  }
  t->committed_step = t->writer_step;
  t->checkpoint_seconds = report.seconds;
  t->checkpoint_measured = true;
  say_written(t, &report);
  FT_TRY(ft_trainer_note_best(t));
  FT_TRY(prune(t));
  ft_trainer_plan_stop(t);
out:
  return err;
}

/* A run that was stopped between its last update and the evaluation that is due then has a
 * checkpoint that does not know of the evaluation, which is made when the run goes on. No other
 * checkpoint follows that would. */
ft_err ft_trainer_amend_checkpoint(trainer *t) {
  if (t->evaluated_step != t->step || t->saved_evaluation == t->step) return FT_OK;
  cJSON *members = extra_of(t);
  cJSON_DeleteItemFromObjectCaseSensitive(members, "weights_checksum"); /* of its writing */
  cJSON_DeleteItemFromObjectCaseSensitive(members, "checkpoint_seconds");
  ft_err err = ft_comm_section_begin(t->comm);
  if (err == FT_OK) {
    err = ft_comm_agree(t->comm, ft_run_lock_check(t->lock));
    if (err == FT_OK) err = ft_checkpoint_amend(t->comm, t->config->run_dir, t->step, members);
    ft_comm_section_end(t->comm);
  }
  cJSON_Delete(members);
  if (err != FT_OK) return err;
  t->saved_evaluation = t->step;
  ft_log(FT_LOG_INFO, "the checkpoint of step %lld now knows of its evaluation",
         (long long)t->step);
  return prune(t);
}

/* A test aid: memory that errs while a checkpoint is loaded, in one bit of one weight, in whatever
 * form it is kept. */
static void spoil(trainer *t) {
  void *weights;
  uint8_t *low;
  if (!ft_fault("restored").fail || ft_shard_kept(t->shard, 0) == 0) return;
  ft_shard_master_arrays(t->shard, 0, &weights, &low);
  *(uint8_t *)weights ^= 1;
}

/* Compares the weights with what they were when they were saved, over all ranks, files and memory
 * between. */
static ft_err check_weights(trainer *t, const cJSON *extra) {
  ft_err err = FT_OK;
  uint64_t checksum;
  char found[CHECKSUM_BYTES];
  const cJSON *saved = ft_json_get(extra, "weights_checksum"); /* early checkpoints lack it */
  FT_TRY(ft_shard_checksum(t->shard, &checksum));
  print_checksum(checksum, found);
  FT_CHECK(
      !cJSON_IsString(saved) || strcmp(saved->valuestring, found) == 0, FT_ERR_DATA,
      "%s: the weights of step %lld have checksum %s, they had %s when they were saved: use an "
      "earlier checkpoint",
      t->config->run_dir, (long long)t->step, found, saved->valuestring);
  ft_log(FT_LOG_INFO, "weights at step %lld have checksum %s", (long long)t->step, found);
out:
  return err;
}

ft_err ft_trainer_restore(trainer *t, int64_t step, char *const *allow, int64_t num_allow) {
  ft_err err = FT_OK;
  ft_checkpoint *checkpoint = NULL;
  FT_TRY(ft_checkpoint_open_together(t->comm, t->config->run_dir, step, &checkpoint));
  const ft_checkpoint_meta *meta = ft_checkpoint_meta_of(checkpoint);
  FT_TRY(ft_config_check_resume(meta->config, t->config, allow, num_allow));
  FT_TRY(ft_checkpoint_restore(t->comm, checkpoint, t->shard, true));
  t->step = t->committed_step = meta->step;
  t->updates = meta->updates;
  t->tokens = meta->tokens;
  t->checkpoint_seconds = extra_number(meta->extra, "checkpoint_seconds", t->checkpoint_seconds);
  t->best_step = (int64_t)extra_number(meta->extra, "best_step", -1);
  t->best_loss = extra_number(meta->extra, "best_loss", 1e300);
  t->noted_step = t->best_step;
  t->noted_loss = t->best_loss;
  t->lowest_loss = extra_number(meta->extra, "lowest_loss", 1e300);
  t->skipped = (int64_t)extra_number(meta->extra, "skipped", 0);
  t->spike.count = (int64_t)extra_number(meta->extra, "losses", 0);
  t->spike.mean = extra_number(meta->extra, "loss_mean", 0);
  t->spike.variance = extra_number(meta->extra, "loss_variance", 0);
  t->evaluated_step = (int64_t)extra_number(meta->extra, "evaluated_step", -1);
  t->saved_evaluation = t->evaluated_step;
  t->evaluations_without_gain = (int64_t)extra_number(meta->extra, "evaluations_without_gain", 0);
  ft_log(FT_LOG_INFO, "resuming after step %lld, written by %d ranks, on %d ranks",
         (long long)t->step, ft_checkpoint_world_size(checkpoint), t->size);
  spoil(t);
  FT_TRY(check_weights(t, meta->extra));
out:
  ft_checkpoint_close(checkpoint);
  return err;
}

/* ---------------------------------------------------------------- finding a step */

static ft_err read_best(const char *run_dir, int64_t *step) {
  ft_err err = FT_OK;
  char *path = NULL, *text = NULL;
  size_t bytes;
  FT_TRY(ft_path_join(run_dir, "best", &path));
  FT_TRY(ft_read_file(path, 64, &text, &bytes));
  *step = strtoll(text, NULL, 10);
out:
  ft_free(path);
  ft_free(text);
  return err;
}

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

ft_err ft_run_find_step(const char *run_dir, const char *which, int64_t *step) {
  ft_err err = FT_OK;
  int64_t *steps = NULL, num = 0, wanted = -1;
  char *end = NULL;
  FT_CHECK(ft_path_is_dir(run_dir), FT_ERR_NOINPUT, "%s: no such run directory", run_dir);
  FT_TRY(ft_kind_check(run_dir, FT_WANT_RUN));
  FT_TRY(ft_checkpoint_list(run_dir, &steps, &num));
  if (!which || strcmp(which, "latest") == 0)
    wanted = num > 0 ? steps[num - 1] : -1;
  else if (strcmp(which, "best") == 0)
    FT_TRY(read_best(run_dir, &wanted));
  else {
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
