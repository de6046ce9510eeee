/* Where a run begins or goes on: the checkpoint, what has changed since, what is refused for it,
 * and loading. */
#include <math.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* ---------------------------------------------------------------- the checkpoint to go on from */

/* Rank 0: what has changed since the checkpoint; what may not have is refused. */
static ft_err compare(trainer *t, const ft_checkpoint_meta *meta, const ft_train_options *options) {
  ft_mistakes m = {0};
  ft_resume_rules rules = {.allow = options->allow, .num_allow = options->num_allow};
  t->changes = cJSON_CreateArray();
  ft_inputs_compare(t, meta, t->inputs, &rules, &m, t->changes);
  ft_config_compare(meta->config, t->config, &rules, &m, t->changes);
  if (meta->step > t->steps)
    ft_mistakes_add(&m, FT_ERR_CONFIG,
                    "it has a checkpoint of step %lld, beyond the %lld steps asked for: raise "
                    "train.steps",
                    (long long)meta->step, (long long)t->steps);
  return ft_mistakes_fail(&m, t->config->run_dir);
}

/* Settles the configuration for the checkpoint that is open, or for none, and refuses what has
 * changed since and may not. */
static ft_err settle(trainer *t, ft_config *config, const ft_train_options *options) {
  ft_err err = FT_OK;
  int64_t rows = ft_data_num_rows(t->train);
  const ft_checkpoint_meta *meta = t->checkpoint ? ft_checkpoint_meta_of(t->checkpoint) : NULL;
  ft_config_settle(config, rows, meta ? meta->config : NULL);
  t->steps = ft_config_num_steps(config, rows);
  cJSON_Delete(t->changes);
  t->changes = NULL;
  if (t->rank == 0 && meta) err = compare(t, meta, options);
  return ft_comm_agree(t->comm, err);
}

ft_err ft_trainer_find_start(trainer *t, ft_config *config, const ft_train_options *options) {
  ft_err err = FT_OK;
  FT_TRY(ft_candidates_find(t, options->step));
  FT_TRY(ft_candidates_open(t));
  if (t->rank == 0) err = ft_inputs_describe(t, &t->inputs);
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(settle(t, config, options));
out:
  return err;
}

/* ---------------------------------------------------------------- loading */

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
  char found[FT_CHECKSUM_BYTES];
  const cJSON *saved = ft_json_get(extra, "weights_checksum"); /* early checkpoints lack it */
  FT_TRY(ft_shard_checksum(t->shard, &checksum));
  ft_print_checksum(checksum, found);
  const char *cause = ft_layout_has_frozen(t->hf.layout)
                          ? "is model.path another model now, from which frozen weights come?"
                          : "memory that errs?";
  FT_CHECK(
      !cJSON_IsString(saved) || strcmp(saved->valuestring, found) == 0, FT_ERR_DATA,
      "%s: the weights of step %lld have checksum %s, they had %s when they were saved, though the "
      "files are whole: %s Try again, or take an earlier checkpoint (--step N)",
      t->config->run_dir, (long long)t->step, found, saved->valuestring, cause);
  ft_log(FT_LOG_INFO, "weights at step %lld have checksum %s", (long long)t->step, found);
out:
  return err;
}

/* Where the run stood, from what the checkpoint carries. */
static void take_meta(trainer *t, const ft_checkpoint_meta *meta) {
  t->step = meta->step;
  t->updates = meta->updates;
  t->tokens = meta->tokens;
  ft_evaluation_read(&t->evaluation, meta->extra);
  t->saving.step = meta->step;
  t->saving.committed = true;
  t->saving.committed_step = meta->step;
  t->saving.knows_evaluation = t->evaluation.made && t->evaluation.step == meta->step;
  t->saving.noted = t->evaluation.best;
  cJSON *plan = ft_config_plan(t->config->json);
  t->saving.knows_end = cJSON_Compare(ft_json_get(meta->extra, "finished"), plan, true);
  cJSON_Delete(plan);
  t->saving.seconds = ft_extra_number(meta->extra, "checkpoint_seconds", 0);
  t->skipped = (int64_t)ft_extra_number(meta->extra, "skipped", 0);
  t->spike.count = (int64_t)ft_extra_number(meta->extra, "losses", 0);
  t->spike.mean = ft_extra_number(meta->extra, "loss_mean", 0);
  t->spike.variance = ft_extra_number(meta->extra, "loss_variance", 0);
}

/* *damaged: the error is the checkpoint's own, and an older one may be whole. */
static ft_err restore_open(trainer *t, bool *damaged) {
  ft_err err = FT_OK;
  const ft_checkpoint_meta *meta = ft_checkpoint_meta_of(t->checkpoint);
  *damaged = false;
  FT_TRY(ft_comm_agree(t->comm, ft_checkpoint_fits(t->checkpoint, t->shard, true)));
  err = ft_checkpoint_restore(t->comm, t->checkpoint, t->shard, true);
  *damaged = err == FT_ERR_DATA;
  if (err != FT_OK) goto out;
  take_meta(t, meta);
  ft_log(FT_LOG_INFO, "resuming after step %lld, written by %d ranks, on %d ranks",
         (long long)t->step, ft_checkpoint_world_size(t->checkpoint), t->size);
  spoil(t);
  FT_TRY(check_weights(t, meta->extra));
out:
  return err;
}

static ft_err restore(trainer *t, ft_config *config, const ft_train_options *options) {
  for (bool damaged;;) {
    ft_err err = restore_open(t, &damaged);
    if (!damaged) return err;
    ft_candidates_pass_over(t);
    err = ft_candidates_open(t);
    if (err == FT_OK) err = settle(t, config, options);
    if (err != FT_OK) return err;
  }
}

/* Rank 0 knows the tokens that a prompt begins with. */
static ft_err share_prompt(trainer *t) {
  ft_err err = FT_OK;
  int64_t num = t->prompt ? t->hf.layout->method.prompt_tokens : 0;
  void *p;
  FT_TRY(ft_comm_broadcast(t->comm, 0, &num, sizeof num));
  if (num == 0) goto out;
  if (t->rank > 0) {
    err = ft_alloc_array(FT_MEM_OTHER, num, sizeof *t->prompt, &p);
    t->prompt = err == FT_OK ? p : NULL;
  }
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(ft_comm_broadcast(t->comm, 0, t->prompt, (size_t)num * sizeof *t->prompt));
out:
  return err;
}

/* First values of what is trained beside the model. */
static ft_err start_method(trainer *t) {
  ft_err err = FT_OK;
  const ft_config *c = t->config;
  if (c->adapter)
    return ft_train_import_adapter(c->adapter, c->model_path, &t->hf, t->shard, t->comm);
  if (!ft_train_has_method(c)) return FT_OK;
  FT_TRY(share_prompt(t));
  FT_TRY(ft_model_start_method(t->model, t->prompt));
out:
  return err;
}

ft_err ft_trainer_load(trainer *t, ft_config *config, const ft_train_options *options) {
  ft_err err = FT_OK;
  uint64_t checksum;
  double begin_s = ft_now_s();
  int64_t bytes = ft_read_bytes();
  if (t->checkpoint) {
    if (ft_layout_has_frozen(t->hf.layout)) /* which no checkpoint holds */
      FT_TRY(ft_hf_import(t->config->model_path, &t->hf, t->shard, t->comm));
    FT_TRY(restore(t, config, options));
  } else {
    FT_TRY(ft_hf_import(t->config->model_path, &t->hf, t->shard, t->comm));
    FT_TRY(start_method(t));
    ft_optim_begin_average(t->optim);
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

/* ---------------------------------------------------------------- the run directory */

/* The ranks by host: [{"host": …, "ranks": …}]. */
static ft_err describe_hosts(trainer *t, cJSON **out) {
  ft_err err = FT_OK;
  char host[64] = "";
  void *all = NULL;
  cJSON *list = cJSON_CreateArray();
  *out = NULL;
  snprintf(host, sizeof host, "%.63s", ft_comm_host(t->comm));
  FT_TRY(ft_comm_gather(t->comm, 0, host, sizeof host, &all, NULL));
  for (int r = 0; t->rank == 0 && r < t->size; r++) {
    const char *name = (const char *)all + (size_t)r * sizeof host;
    cJSON *item = cJSON_GetArrayItem(list, cJSON_GetArraySize(list) - 1);
    cJSON *ranks = ft_json_get(item, "ranks");
    const cJSON *last = ft_json_get(item, "host");
    if (last && strcmp(last->valuestring, name) == 0) {
      cJSON_SetNumberValue(ranks, ranks->valuedouble + 1);
      continue;
    }
    item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "host", name);
    cJSON_AddNumberToObject(item, "ranks", 1);
    cJSON_AddItemToArray(list, item);
  }
  *out = list;
  list = NULL;
out:
  ft_free(all);
  cJSON_Delete(list);
  return err;
}

/* Variables that change bits or speed. */
static void describe_environment(cJSON *start) {
  static const char *const names[] = {"FTRUN_CPU", "FTRUN_MATMUL", "FTRUN_LOGITS_BYTES",
                                      "OMP_NUM_THREADS", "SLURM_JOB_ID"};
  cJSON *object = cJSON_AddObjectToObject(start, "environment");
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    const char *value = getenv(names[i]);
    if (value) cJSON_AddStringToObject(object, names[i], value);
  }
}

static const char *user_name(void) {
  const struct passwd *user = getpwuid(getuid());
  return user ? user->pw_name : "";
}

/* A line of history.jsonl (docs/formats.md); NULL on other ranks. */
static ft_err describe_start(trainer *t, const ft_train_options *options, cJSON **out) {
  cJSON *hosts;
  *out = NULL;
  ft_err err = describe_hosts(t, &hosts);
  if (err != FT_OK || t->rank != 0) {
    cJSON_Delete(hosts);
    return err;
  }
  cJSON *start = cJSON_CreateObject();
  cJSON_AddNumberToObject(start, "step", (double)t->step);
  cJSON_AddNumberToObject(start, "steps", (double)t->steps);
  cJSON_AddStringToObject(start, "user", user_name());
  cJSON_AddStringToObject(start, "version", options->version ? options->version : "");
  cJSON_AddStringToObject(start, "libraries", options->libraries ? options->libraries : "");
  cJSON_AddStringToObject(start, "computes", ft_kernels_describe());
  cJSON_AddStringToObject(start, "command", options->command ? options->command : "");
  cJSON_AddItemToObject(start, "hosts", hosts);
  describe_environment(start);
  cJSON_AddItemToObject(start, "inputs", cJSON_Duplicate(t->inputs, true));
  cJSON_AddItemToObject(start, "changes",
                        t->changes ? cJSON_Duplicate(t->changes, true) : cJSON_CreateArray());
  *out = start;
  return FT_OK;
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
  if (t->rank == 0) {
    const cJSON *extra = ft_checkpoint_meta_of(t->checkpoint)->extra;
    err = ft_run_add_missing(t->config->run_dir, ft_json_get(extra, "unwritten_rows"));
    if (err == FT_OK) err = ft_run_rewind(t->config->run_dir, t->step, known, &has);
  }
  FT_TRY(ft_comm_agree(t->comm, err));
  int64_t missing = due && !has && t->rank == 0;
  FT_TRY(ft_comm_max_i64(t->comm, &missing, 1));
  *evaluate = missing != 0;
out:
  return err;
}

ft_err ft_trainer_begin(trainer *t, const ft_train_options *options, bool *evaluate) {
  ft_err err = FT_OK;
  cJSON *start = NULL;
  *evaluate = ft_trainer_evaluation_due(t, 0);
  FT_TRY(describe_start(t, options, &start));
  if (t->rank == 0) err = ft_run_begin(t->run, t->config->json, start);
  FT_TRY(ft_comm_agree(t->comm, err));
  if (t->checkpoint) {
    FT_TRY(ft_candidates_set_aside(t));
    FT_TRY(ft_trainer_note_best(t)); /* it may have been killed between the checkpoint and this */
    FT_TRY(rewind_metrics(t, evaluate));
  } else {
    FT_TRY(start_fresh(t));
  }
  if (t->rank == 0) err = ft_run_begin_rows(t->run, t->step);
  FT_TRY(ft_comm_agree(t->comm, err));
out:
  return err;
}
