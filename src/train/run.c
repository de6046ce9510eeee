/* A training run from start to end: resume or import, steps, evaluations, checkpoints, stopping. */
#include <math.h>
#include <string.h>

#include "preference.h"

/* ---------------------------------------------------------------- the run directory */

static ft_err prepare_run_dir(const trainer *t) {
  ft_err err = t->rank == 0 ? ft_run_prepare(t->run) : FT_OK;
  return ft_comm_agree(t->comm, err);
}

static ft_err open_log(const trainer *t) {
  char *path = NULL;
  ft_err err = ft_path_join(t->config->run_dir, "log", &path);
  if (err == FT_OK)
    err = ft_path_await(path, ft_trainer_patience_s()); /* rank 0 has just made it */
  ft_free(path);
  path = NULL;
  if (err == FT_OK) err = ft_format(&path, "%s/log/rank-%d.log", t->config->run_dir, t->rank);
  if (err == FT_OK) err = ft_log_open(path);
  ft_free(path);
  return ft_comm_agree(t->comm, err);
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
    if (ft_trainer_checkpoint_due(t)) FT_TRY(begin_checkpoint(t));
  }
  if (ft_trainer_patience_over(t))
    ft_log(FT_LOG_INFO, "no lower loss in %lld evaluations: the run ends after step %lld",
           (long long)t->config->patience, (long long)t->step);
out:
  return err;
}

static void say_check(const trainer *t) {
  ft_log(FT_LOG_INFO, "nothing is wrong with the configuration, the model and the data");
  if (t->checkpoint)
    ft_log(FT_LOG_INFO, "the run would resume from the checkpoint of step %lld in %s",
           (long long)t->step, t->config->run_dir);
  else
    ft_log(FT_LOG_INFO, "the run would start afresh in %s", t->config->run_dir);
}

static ft_err check_run(trainer *t, ft_config *config, const ft_train_options *options) {
  ft_err err = FT_OK;
  FT_TRY(ft_trainer_load(t, config, options));
  ft_progress_memory(t);
  say_check(t);
out:
  return err;
}

/* All that is known before the first step: what cannot go on, and what there is no room for. */
static ft_err get_ready(trainer *t, ft_config *config, const ft_train_options *options) {
  ft_mistakes m = {0};
  ft_before_note(&t->before);
  ft_err err = ft_trainer_allocate(t, FT_FOR_TRAINING);
  if (err != FT_OK) return err;
  err = ft_trainer_find_start(t, config, options);
  if (err == FT_ERR_STOPPED) return err;
  ft_mistakes_note(&m, err);
  err = ft_trainer_check_room(t, &m);
  if (err == FT_OK) ft_outlook_say(t);
  return err;
}

static ft_err run(trainer *t, ft_config *config, const ft_train_options *options) {
  ft_err err = FT_OK;
  bool evaluate;
  FT_TRY(get_ready(t, config, options));
  if (options->check_only) {
    FT_TRY(check_run(t, config, options));
    goto out;
  }
  (void)ft_fault("load");
  FT_TRY(ft_reference_prepare(t, true));
  (void)ft_comm_enter(t->comm, "loads");
  FT_TRY(
      ft_trainer_load(t, config, options)); /* the last that may refuse: nothing is written yet */
  FT_TRY(prepare_run_dir(t));
  FT_TRY(open_log(t));
  FT_TRY(ft_trainer_begin(t, options, &evaluate));
  (void)ft_comm_enter(t->comm, "trains");
  ft_trainer_prepare_stop(t);
  FT_TRY(ft_trainer_measure_peak(t));
  if (t->step > 0) ft_log(FT_LOG_INFO, "going on with step %lld", (long long)t->step + 1);
  if (evaluate) FT_TRY(ft_trainer_evaluate_now(t));
  if (t->step == t->steps)
    ft_log(FT_LOG_INFO, "the run is finished: all %lld steps are done", (long long)t->steps);
  FT_TRY(steps(t));
  FT_TRY(ft_trainer_leave_checkpoint(t));
  t->stopping.finished = true;
  ft_progress_memory(t);
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

ft_err ft_train(ft_comm *comm, ft_config *config, const ft_train_options *options) {
  ft_err err = FT_OK;
  void *memory = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(trainer), &memory));
  trainer *t = memory;
  ft_comm_on_stop(comm, ft_kernels_stop);
  if (ft_comm_rank(comm) == 0)
    ft_signals_answer("stopping: no step was made yet, so there is nothing to save",
                      "ended at once: no step was made");
  ft_comm_set_stall_timeout(comm, config->stall_timeout_s);
  err = ft_trainer_open(t, comm, config, config->model_path, true);
  if (err == FT_OK) err = run(t, config, options);
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

/* Weights of a checkpoint, and what it does not hold from the model. An average is rounded to
 * nearest, as its export is. */
static ft_err load_checkpoint(trainer *t, const ft_eval_options *options, const char *model_dir,
                              int64_t *step) {
  ft_err err = FT_OK;
  const char *run_dir = t->config->run_dir, *state;
  ft_checkpoint *checkpoint = NULL;
  FT_TRY(ft_comm_agree(t->comm, ft_train_find_step(run_dir, options->step, step)));
  FT_TRY(ft_checkpoint_open_together(t->comm, run_dir, *step, &checkpoint));
  FT_TRY(ft_train_average_state(checkpoint, run_dir, options->average, &state));
  FT_TRY(ft_trainer_allocate(t, options->average ? FT_FOR_AVERAGE : FT_FOR_EVALUATION));
  if (ft_layout_has_frozen(t->hf.layout))
    FT_TRY(ft_hf_import(model_dir, &t->hf, t->shard, t->comm));
  FT_TRY(ft_checkpoint_restore_weights(t->comm, checkpoint, t->shard, state));
out:
  ft_checkpoint_close(checkpoint);
  return err;
}

/* Weights of a model directory, and of an adapter's (NULL: none). */
static ft_err load_directory(trainer *t, const char *adapter, const char *model_dir) {
  ft_err err = FT_OK;
  FT_TRY(ft_trainer_allocate(t, FT_FOR_EVALUATION));
  FT_TRY(ft_hf_import(model_dir, &t->hf, t->shard, t->comm));
  if (adapter) FT_TRY(ft_train_import_adapter(adapter, model_dir, &t->hf, t->shard, t->comm));
out:
  return err;
}

ft_err ft_evaluate(ft_comm *comm, const ft_config *config, const ft_eval_options *options,
                   cJSON **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  int64_t step = 0;
  double monitored;
  const char *model_dir = options->model_dir ? options->model_dir : config->model_path;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(trainer), &memory));
  trainer *t = memory;
  t->is_plain = options->model_dir || options->adapter;
  t->adapter = options->adapter;
  FT_CHECK(config->num_validation > 0, FT_ERR_CONFIG,
           "data.validation is empty: nothing to evaluate");
  FT_TRY(ft_trainer_open(t, comm, config, model_dir, false));
  FT_TRY(ft_reference_prepare(t, false));
  if (t->is_plain)
    FT_TRY(load_directory(t, options->adapter, model_dir));
  else
    FT_TRY(load_checkpoint(t, options, model_dir, &step));
  cJSON *validation;
  FT_TRY(ft_trainer_evaluate(t, &validation, &monitored));
  if (ft_comm_rank(comm) == 0) {
    *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(*out, "step", (double)step);
    cJSON_AddItemToObject(*out, "validation", validation);
  }
out:
  if (memory) ft_trainer_close(memory);
  ft_free(memory);
  return err;
}
