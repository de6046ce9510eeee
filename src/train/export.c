/* A model directory from a checkpoint: master weights, rounded as the run computed with them. */
#include <stdatomic.h>

#include "ft/checkpoint.h"
#include "ft/run.h"
#include "internal.h"

typedef struct reader {
  ft_checkpoint *checkpoint;
  const ft_layout *layout;
  const char *state; /* that stands for the weights; NULL: the master weights */
  int64_t updates;
  bool round; /* to bf16, as the run's own compute weights of that step */
  ft_shard_options rounding;
  const atomic_bool *stop; /* NULL: is not asked to */
} reader;

/* Values become what the run computed with: a validation of the export is the run's own. */
static void round_as_trained(const reader *r, int64_t block, int64_t start, int64_t count,
                             float *values) {
  uint16_t rounded[FT_CHUNK];
  for (int64_t at = 0; at < count; at += FT_CHUNK) {
    int64_t n = FT_MIN((int64_t)FT_CHUNK, count - at);
    ft_shard_round_weights(&r->rounding, r->updates, block, start + at, n, values + at, rounded);
    for (int64_t i = 0; i < n; i++)
      values[at + i] = ft_f32_from_bf16(rounded[i]);
  }
}

/* Master weights of a block, for the exporter, which removes what it has written if they fail. */
static ft_err read_master(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  reader *r = arg;
  if (r->stop && atomic_load(r->stop))
    return ft_fail(FT_ERR_STOPPED, "export was interrupted: nothing is left of it; run it again");
  const char *name = r->layout->blocks[block].name;
  ft_err err = ft_checkpoint_read_weights(r->checkpoint, name, r->state, start, count, out);
  if (err == FT_OK && r->round) round_as_trained(r, block, start, count, out);
  return err;
}

/* Which step is taken, and whether another one is the best. */
static void say_step(const char *run_dir, int64_t step) {
  int64_t best;
  bool has_best = ft_run_read_best(run_dir, &best) == FT_OK;
  if (has_best && best != step)
    ft_log(FT_LOG_INFO,
           "taking step %lld of %s; by the first validation set, step %lld is the best "
           "(--step best)",
           (long long)step, run_dir, (long long)best);
  else
    ft_log(FT_LOG_INFO, "taking step %lld of %s%s", (long long)step, run_dir,
           has_best ? ", which is the best by the first validation set" : "");
}

static void set_reader(reader *r, const ft_config *config, const ft_hf_config *hf, ft_dtype dtype) {
  r->layout = hf->layout;
  r->updates = ft_checkpoint_meta_of(r->checkpoint)->updates;
  /* No pass was ever made with an average: it is rounded to nearest. What a method adds is exported
   * in f32, or merged in f32 and rounded once. */
  r->round = dtype == FT_BF16 && config->rounding == FT_ROUND_STOCHASTIC && !r->state &&
             !ft_train_has_method(config);
  r->rounding = (ft_shard_options){
      .compute = FT_BF16, .stochastic_rounding = true, .seed = (uint64_t)config->seed};
}

ft_err ft_train_average_state(const ft_checkpoint *checkpoint, const char *run_dir, bool average,
                              const char **state) {
  *state = average ? FT_OPTIM_AVERAGE : NULL;
  if (!average || ft_checkpoint_has(checkpoint, FT_OPTIM_AVERAGE)) return FT_OK;
  return ft_fail(FT_ERR_USAGE,
                 "--ema: %s keeps no average of its weights, which it does from its beginning on "
                 "where its configuration has train.ema (0.999, say): leave --ema away",
                 run_dir);
}

static ft_err write_method(const ft_export_options *o, const char *model_dir,
                           const ft_hf_config *hf, const ft_hf_method *method,
                           const ft_hf_source *source, ft_dtype dtype) {
  if (o->merge) return ft_hf_export_merged(model_dir, hf, method, source, dtype, o->out_dir);
  return ft_hf_export_adapter(model_dir, hf, method, source, o->out_dir);
}

static ft_err export_method(const ft_export_options *o, const ft_config *config,
                            const ft_hf_config *hf, const ft_hf_source *source, ft_dtype dtype) {
  ft_train_method method;
  ft_err err = ft_train_method_open(config, &method);
  if (err == FT_OK) err = write_method(o, config->model_path, hf, &method.method, source, dtype);
  ft_train_method_close(&method);
  return err;
}

ft_err ft_train_export_adapter(const ft_export_options *o, const char *model_dir,
                               const char *adapter_dir) {
  ft_err err = FT_OK;
  ft_hf_config hf = {0};
  ft_hf_adapter *adapter = NULL;
  ft_hf_source source;
  FT_TRY(ft_hf_config_read(model_dir, &hf));
  FT_TRY(ft_hf_adapter_open(adapter_dir, &adapter));
  FT_TRY(ft_hf_adapter_put(adapter, model_dir, &hf));
  ft_hf_adapter_source(adapter, &source);
  FT_TRY(write_method(o, model_dir, &hf, ft_hf_adapter_method(adapter), &source,
                      o->dtype ? *o->dtype : hf.dtype));
  ft_log(FT_LOG_INFO, "%s, laid over %s, exported to %s", adapter_dir, model_dir, o->out_dir);
out:
  ft_hf_adapter_close(adapter);
  ft_hf_config_fini(&hf);
  return err;
}

ft_err ft_train_export(const ft_export_options *o, ft_config *config) {
  ft_err err = FT_OK;
  int64_t step;
  reader r = {.stop = o->stop};
  ft_hf_config hf = {0};
  FT_TRY(ft_train_find_step(o->run_dir, o->step, &step));
  say_step(o->run_dir, step);
  FT_TRY(ft_checkpoint_open(o->run_dir, step, &r.checkpoint));
  FT_TRY(ft_train_average_state(r.checkpoint, o->run_dir, o->average, &r.state));
  FT_TRY(ft_config_from_json(ft_checkpoint_meta_of(r.checkpoint)->config, o->run_dir, config));
  FT_TRY(ft_hf_check_sums(config->model_path)); /* its texts are copied */
  FT_TRY(ft_hf_config_read(config->model_path, &hf));
  FT_TRY(ft_train_put_method(config, &hf));
  ft_dtype dtype = o->dtype ? *o->dtype : hf.dtype;
  set_reader(&r, config, &hf, dtype);
  ft_hf_source source = {.read = read_master, .arg = &r};
  if (ft_train_has_method(config))
    FT_TRY(export_method(o, config, &hf, &source, dtype));
  else
    FT_TRY(ft_hf_export(config->model_path, &hf, &source, dtype, 0, o->out_dir));
  ft_log(FT_LOG_INFO, "%sstep %lld of %s exported to %s",
         o->average ? "the average of the weights at " : "", (long long)step, o->run_dir,
         o->out_dir);
out:
  ft_checkpoint_close(r.checkpoint);
  ft_hf_config_fini(&hf);
  return err;
}
