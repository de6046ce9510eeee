/* A training run from start to end: resume or import, steps, evaluations, checkpoints, stopping. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- the run directory */

/* Nobody else may write there from here on. */
static ft_err take_run_dir(trainer *t) {
  ft_err err = t->rank == 0 ? ft_run_open(t->config->run_dir, &t->run) : FT_OK;
  return ft_comm_agree(t->comm, err);
}

static ft_err prepare_run_dir(const trainer *t) {
  ft_err err = t->rank == 0 ? ft_run_prepare(t->run, t->config->json) : FT_OK;
  return ft_comm_agree(t->comm, err);
}

static ft_err open_log(const trainer *t) {
  char *path = NULL;
  ft_err err = ft_format(&path, "%s/log/rank-%d.log", t->config->run_dir, t->rank);
  if (err == FT_OK) err = ft_log_open(path);
  ft_free(path);
  return ft_comm_agree(t->comm, err);
}

/* The step to go on from, the same on every rank; -1: a fresh run. */
static ft_err find_checkpoint(trainer *t, int64_t *step) {
  ft_err err = FT_OK;
  int64_t *steps = NULL, num = 0;
  *step = -1;
  if (t->rank == 0) {
    FT_TRY(ft_checkpoint_list(t->config->run_dir, &steps, &num));
    if (num > 0) *step = steps[num - 1];
    FT_CHECK(num == 0 || t->config->resume != FT_RESUME_NEVER, FT_ERR_CONFIG,
             "%s holds a checkpoint of step %lld, and run.resume is \"never\": choose another "
             "run.dir, or \"auto\" to go on",
             t->config->run_dir, (long long)*step);
  }
out:
  ft_free(steps);
  err = ft_comm_agree(t->comm, err);
  return err == FT_OK ? ft_comm_broadcast(t->comm, 0, step, sizeof *step) : err;
}

/* ---------------------------------------------------------------- starting */

/* The model's weights, or with them all that a checkpoint has. Each byte is read by one rank. */
static ft_err load(trainer *t, const ft_train_options *options, int64_t checkpoint) {
  ft_err err = FT_OK;
  uint64_t checksum;
  double begin_s = ft_now_s();
  int64_t bytes = ft_read_bytes();
  if (checkpoint >= 0) {
    FT_TRY(ft_trainer_restore(t, checkpoint, options->allow, options->num_allow));
  } else {
    FT_TRY(ft_hf_import(t->config->model_path, t->shard, t->comm));
    FT_TRY(ft_shard_checksum(t->shard, &checksum));
    ft_log(FT_LOG_INFO, "weights at step 0 have checksum %016llx", (unsigned long long)checksum);
  }
  bytes = ft_read_bytes() - bytes;
  FT_TRY(ft_comm_sum_i64(t->comm, &bytes, 1));
  ft_log(FT_LOG_INFO, "%.3f MiB were read in %.1f s by all ranks together",
         (double)bytes / 1048576.0, ft_now_s() - begin_s);
out:
  return err;
}

static ft_err start_fresh(const trainer *t) {
  bool ignored;
  ft_err err = FT_OK;
  if (t->rank == 0) err = ft_run_rewind(t->config->run_dir, -1, false, &ignored);
  return ft_comm_agree(t->comm, err);
}

/* Rows after the checkpoint go; *evaluate: the checkpoint's own evaluation is due and missing, or
 * was made after the checkpoint, which then knows nothing of it. */
static ft_err rewind_metrics(trainer *t, bool *evaluate) {
  ft_err err = FT_OK;
  bool has = false, due = ft_trainer_evaluation_due(t, t->step);
  bool known = due && t->evaluation.made && t->evaluation.step == t->step;
  if (t->rank == 0) err = ft_run_rewind(t->config->run_dir, t->step, known, &has);
  FT_TRY(ft_comm_agree(t->comm, err));
  int64_t missing = due && !has && t->rank == 0;
  FT_TRY(ft_comm_max_i64(t->comm, &missing, 1));
  *evaluate = missing != 0;
out:
  return err;
}

static ft_err start(trainer *t, const ft_train_options *options, int64_t checkpoint,
                    bool *evaluate) {
  ft_err err = FT_OK;
  *evaluate = ft_trainer_evaluation_due(t, 0);
  FT_TRY(load(t, options, checkpoint));
  if (checkpoint < 0)
    FT_TRY(start_fresh(t));
  else {
    FT_CHECK(t->step <= t->steps, FT_ERR_CONFIG,
             "%s has a checkpoint of step %lld, beyond the %lld steps asked for: raise train.steps",
             t->config->run_dir, (long long)t->step, (long long)t->steps);
    FT_TRY(ft_trainer_note_best(t)); /* it may have been killed between the checkpoint and this */
    FT_TRY(rewind_metrics(t, evaluate));
  }
  if (t->rank == 0) err = ft_run_begin_rows(t->run, t->step);
  FT_TRY(ft_comm_agree(t->comm, err));
out:
  return err;
}

/* ---------------------------------------------------------------- the loop */

/* A checkpoint that cannot be written must not end a run that can go on. */
static ft_err begin_checkpoint(trainer *t) {
  ft_err err = ft_trainer_begin_checkpoint(t);
  if (err == FT_OK || err == FT_ERR_STOPPED) return err;
  ft_log(FT_LOG_ERROR, "no checkpoint of step %lld: %s", (long long)t->step, ft_error_message());
  return FT_OK;
}

static ft_err steps(trainer *t) {
  ft_err err = FT_OK;
  while (t->step < t->steps && !ft_trainer_patience_over(t)) {
    FT_TRY(ft_trainer_step(t));
    ft_trainer_plan_stop(t);
    if (ft_trainer_evaluation_due(t, t->step)) FT_TRY(ft_trainer_evaluate_now(t));
    if (t->step < t->steps && t->step % t->config->checkpoint_every == 0)
      FT_TRY(begin_checkpoint(t));
  }
  if (ft_trainer_patience_over(t))
    ft_log(FT_LOG_INFO, "no lower loss in %lld evaluations: the run ends after step %lld",
           (long long)t->config->patience, (long long)t->step);
out:
  return err;
}

static void say_check(const trainer *t, int64_t checkpoint) {
  ft_log(FT_LOG_INFO, "nothing is wrong with the configuration, the model and the data");
  if (checkpoint >= 0)
    ft_log(FT_LOG_INFO, "the run would resume from the checkpoint of step %lld in %s",
           (long long)checkpoint, t->config->run_dir);
  else
    ft_log(FT_LOG_INFO, "the run would start afresh in %s", t->config->run_dir);
}

static ft_err check_run(trainer *t, const ft_train_options *options, int64_t checkpoint) {
  ft_err err = FT_OK;
  ft_progress_start(t, 0);
  FT_TRY(load(t, options, checkpoint));
  say_check(t, checkpoint);
  ft_progress_end(t);
out:
  return err;
}

static ft_err run(trainer *t, const ft_train_options *options) {
  ft_err err = FT_OK;
  int64_t checkpoint;
  bool evaluate;
  if (!options->check_only) FT_TRY(take_run_dir(t));
  FT_TRY(find_checkpoint(t, &checkpoint));
  FT_TRY(ft_trainer_allocate(t, true));
  if (options->check_only) {
    FT_TRY(check_run(t, options, checkpoint));
    goto out;
  }
  FT_TRY(prepare_run_dir(t));
  FT_TRY(open_log(t));
  (void)ft_fault("load");
  (void)ft_comm_enter(t->comm, "loads");
  FT_TRY(start(t, options, checkpoint, &evaluate));
  (void)ft_comm_enter(t->comm, "trains");
  ft_trainer_prepare_stop(t);
  FT_TRY(ft_trainer_measure_peak(t));
  ft_progress_start(t, t->step);
  if (evaluate) FT_TRY(ft_trainer_evaluate_now(t));
  if (t->step == t->steps)
    ft_log(FT_LOG_INFO, "the run is finished: all %lld steps are done", (long long)t->steps);
  FT_TRY(steps(t));
  FT_TRY(ft_trainer_leave_checkpoint(t));
  t->stopping.finished = true;
  ft_progress_end(t);
out:
  return err;
}

static ft_err save_last(trainer *t) {
  return t->stopping.keep_last ? ft_trainer_leave_checkpoint(t) : ft_trainer_finish_checkpoint(t);
}

/* The run ends with an error that all ranks share. A checkpoint that is being written reads what is
 * freed next: it is finished, and may be the last good one. */
static ft_err end_writing(trainer *t, ft_err err) {
  char *message = NULL;
  (void)ft_strdup(ft_error_message(), &message);
  ft_err written = save_last(t);
  if (written == FT_ERR_STOPPED) {
    ft_comm_start_over(t->comm);
    written = save_last(t);
  }
  if (written != FT_OK) ft_trainer_say_unsaved(t);
  err = ft_fail(err, "%s", message ? message : "out of memory");
  ft_free(message);
  return err;
}

/* train.steps, or what train.epochs comes to. */
static int64_t steps_of(const trainer *t) {
  const ft_config *c = t->config;
  if (c->steps > 0) return c->steps;
  return (int64_t)ceil(c->epochs * (double)ft_data_num_rows(t->train) / (double)c->global_batch);
}

ft_err ft_train(ft_comm *comm, const ft_config *config, const ft_train_options *options) {
  ft_err err = FT_OK;
  void *memory = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(trainer), &memory));
  trainer *t = memory;
  ft_comm_on_stop(comm, ft_kernels_stop);
  ft_comm_set_stall_timeout(comm, config->stall_timeout_s);
  err = ft_trainer_open(t, comm, config, config->model_path, true);
  if (err == FT_OK) {
    t->steps = steps_of(t);
    err = run(t, options);
  }
  if (err == FT_OK) err = ft_comm_section_last(comm);
  if (err == FT_ERR_STOPPED) {
    err = ft_trainer_commit_stop(t);
    ft_run_give_up(t->run);
    return err; /* what was abandoned may still use all the rest */
  }
  if (err != FT_OK) err = end_writing(t, err);
out:
  if (memory) ft_trainer_close(memory);
  ft_free(memory);
  return err;
}

ft_err ft_evaluate(ft_comm *comm, const ft_config *config, const ft_eval_options *options,
                   cJSON **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  ft_checkpoint *checkpoint = NULL;
  int64_t step = 0;
  double first_loss;
  const char *model_dir = options->model_dir ? options->model_dir : config->model_path;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(trainer), &memory));
  trainer *t = memory;
  FT_CHECK(config->num_validation > 0, FT_ERR_CONFIG,
           "data.validation is empty: nothing to evaluate");
  FT_TRY(ft_trainer_open(t, comm, config, model_dir, false));
  if (!options->model_dir)
    FT_TRY(ft_comm_agree(comm, ft_train_find_step(config->run_dir, options->step, &step)));
  FT_TRY(ft_trainer_allocate(t, false));
  if (options->model_dir)
    FT_TRY(ft_hf_import(model_dir, t->shard, comm));
  else {
    FT_TRY(ft_checkpoint_open_together(comm, config->run_dir, step, &checkpoint));
    FT_TRY(ft_checkpoint_restore(comm, checkpoint, t->shard, false));
  }
  cJSON *validation;
  FT_TRY(ft_trainer_evaluate(t, &validation, &first_loss));
  if (ft_comm_rank(comm) == 0) {
    *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(*out, "step", (double)step);
    cJSON_AddItemToObject(*out, "validation", validation);
  }
out:
  ft_checkpoint_close(checkpoint);
  if (memory) ft_trainer_close(memory);
  ft_free(memory);
  return err;
}
