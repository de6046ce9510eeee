/* Everything a run needs, opened, checked and allocated. */
#include <math.h>
#include <string.h>

#include "ft/io_kind.h"
#include "ft/tokenizer.h"
#include "preference.h"

/* What shards know the model's tokenizer by; "" where there is none. Training needs none: one that
 * cannot be read is said. */
static ft_err identify_tokenizer(const char *dir, char out[65]) {
  ft_err err = FT_OK;
  char *path = NULL;
  ft_tokenizer *tokenizer = NULL;
  *out = 0;
  FT_TRY(ft_path_join(dir, "tokenizer.json", &path));
  if (!ft_path_exists(path)) goto out;
  if (ft_tokenizer_open(dir, &tokenizer) == FT_OK)
    snprintf(out, 65, "%s", ft_tokenizer_sha256(tokenizer));
  else
    ft_log(FT_LOG_WARNING, "the data cannot be compared with the model's tokenizer: %s",
           ft_error_message());
out:
  ft_tokenizer_close(tokenizer);
  ft_free(path);
  return err;
}

/* Read by rank 0. */
static ft_err share_tokenizer(trainer *t, const char *dir) {
  ft_err err = t->rank == 0 ? identify_tokenizer(dir, t->tokenizer_sha256) : FT_OK;
  err = ft_comm_agree(t->comm, err);
  return err == FT_OK
             ? ft_comm_broadcast(t->comm, 0, t->tokenizer_sha256, sizeof t->tokenizer_sha256)
             : err;
}

static ft_err open_set(const trainer *t, int64_t set, const char *key, ft_data **out) {
  ft_err err = ft_plan_open_set(t->config, t->hf.layout, set, t->tokenizer_sha256, out);
  if (err != FT_OK) ft_fail_prefix(err, "%s", key);
  return err;
}

static ft_err open_validation(trainer *t, ft_mistakes *m) {
  ft_err err = FT_OK;
  void *p;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, t->config->num_validation, sizeof *t->validation, &p));
  t->validation = p;
  for (int64_t i = 0; i < t->config->num_validation; i++)
    ft_mistakes_note(m, open_set(t, i, "data.validation", &t->validation[i]));
out:
  return err;
}

static void look_for_set(const char *key, const char *path, ft_mistakes *m) {
  if (!ft_path_exists(path)) {
    ft_mistakes_add(m, FT_ERR_NOINPUT, "%s does not exist (%s)", path, key);
    return;
  }
  ft_err err = ft_kind_check(path, FT_WANT_TOKENS);
  if (err != FT_OK) ft_mistakes_note(m, ft_fail_prefix(err, "%s", key));
}

/* Without a model's configuration data cannot be opened, but be there or not, or something else. */
static void look_for_data(const ft_config *c, bool training, ft_mistakes *m) {
  for (int64_t i = 0; i < (training ? c->num_train : 0); i++)
    look_for_set("data.train", c->train[i].path, m);
  for (int64_t i = 0; i < c->num_validation; i++)
    look_for_set("data.validation", c->validation[i].path, m);
}

void ft_train_look(const ft_config *c, ft_mistakes *m) {
  ft_run *run = NULL;
  if (c->model_path && !ft_path_is_dir(c->model_path))
    ft_mistakes_add(
        m, FT_ERR_NOINPUT,
        "the model directory %s does not exist (model.path); nothing is downloaded: put it "
        "there, with `hf download NAME --local-dir DIR` for instance",
        c->model_path);
  else if (c->model_path)
    ft_mistakes_note(m, ft_kind_check(c->model_path, FT_WANT_MODEL));
  look_for_data(c, true, m);
  if (c->run_dir) ft_mistakes_note(m, ft_run_open(c->run_dir, NULL, &run));
  ft_run_close(run);
}

static void open_with_model(trainer *t, const char *model_dir, bool training, ft_mistakes *m) {
  const ft_config *c = t->config;
  ft_mistakes_note(m, ft_plan_check_positions(c, model_dir, &t->hf));
  ft_mistakes_note(m, ft_objective_check(&t->objective, t->hf.arch.two_way, t->hf.arch.num_labels));
  ft_mistakes_note(m, ft_reference_check(t));
  if (t->rank == 0) ft_mistakes_note(m, ft_hf_check_weights(model_dir, &t->hf));
  if (training) ft_mistakes_note(m, open_set(t, FT_PLAN_TRAINING, "data.train", &t->train));
  if (t->rank == 0 && training)
    ft_mistakes_note(m, ft_prompt_tokens(c, t->hf.arch.vocab, &t->prompt));
  ft_mistakes_note(m, open_validation(t, m));
  if (training && t->rank == 0) ft_mistakes_note(m, ft_samples_read(t, model_dir));
}

static bool is_stopped(void *comm) {
  return ft_comm_check(comm) != FT_OK;
}

/* Nobody else may write there from here on. */
static void look_at_run_dir(trainer *t, ft_mistakes *m) {
  const char *dir = t->config->run_dir;
  if (ft_run_asked_to_stop(dir))
    ft_mistakes_add(m, FT_ERR_CONFIG, "run.dir: %s/stop asks for no more steps: remove it to go on",
                    dir);
  ft_mistakes_note(m, ft_run_open(dir, &(ft_run_asked){is_stopped, t->comm}, &t->run));
}

ft_err ft_train_lay_out(const ft_config *config, ft_hf_config *hf) {
  ft_err err = ft_train_put_method(config, hf);
  return err == FT_OK ? ft_layout_set_storage(hf->layout, config->storage) : err;
}

/* Of a model as it is, nothing is frozen that model.storage could be about. */
static ft_err lay_out(trainer *t, const char *model_dir) {
  ft_err err = FT_OK;
  if (t->is_plain && !t->adapter) return FT_OK;
  if (!t->is_plain) return ft_train_lay_out(t->config, &t->hf);
  FT_TRY(ft_train_put_adapter(t->adapter, model_dir, &t->hf));
  FT_TRY(ft_layout_set_storage(t->hf.layout, t->config->storage));
out:
  return err;
}

/* Opens all inputs, and of a training run its directory; all that is wrong comes in one message. */
static ft_err open_inputs(trainer *t, const char *model_dir, bool training) {
  ft_mistakes m = {0};
  if (t->rank == 0)
    ft_mistakes_note(&m, ft_hf_check_sums(model_dir)); /* first: it explains others */
  ft_mistakes_note(&m, ft_objective_resolve(&t->objective));
  ft_err found = ft_hf_config_read(model_dir, &t->hf);
  if (found == FT_OK) found = lay_out(t, model_dir);
  ft_mistakes_note(&m, found);
  if (found == FT_OK)
    open_with_model(t, model_dir, training, &m);
  else
    look_for_data(t->config, training, &m);
  if (t->rank == 0 && training) look_at_run_dir(t, &m);
  return ft_mistakes_fail(&m, NULL);
}

/* A difference of CPU or libraries is worth a warning: the same bits are promised for the same CPU.
 */
static ft_err compare_hosts(trainer *t) {
  ft_err err = FT_OK;
  const char *mine = ft_kernels_describe();
  char first[512] = "";
  snprintf(first, sizeof first, "%s", mine);
  FT_TRY(ft_comm_broadcast(t->comm, 0, first, sizeof first));
  int64_t differs = strncmp(first, mine, sizeof first - 1) != 0;
  if (differs) ft_log(FT_LOG_WARNING, "this rank runs on %s, rank 0 on %s", mine, first);
  FT_TRY(ft_comm_sum_i64(t->comm, &differs, 1));
  if (differs && t->rank == 0)
    ft_log(FT_LOG_WARNING,
           "%lld of %d ranks have another CPU or other libraries than rank 0 (%s): training works, "
           "but "
           "its bits may depend on which rank computes what (log/rank-*.log names them)",
           (long long)differs, t->size, first);
out:
  return err;
}

static double given(const ft_config *c, const char *key, double value) {
  const cJSON *json = ft_config_value(c, key);
  return cJSON_IsNumber(json) ? value : NAN;
}

static ft_objective objective_of(const ft_config *c) {
  const ft_config_preference *p = &c->preference;
  return (ft_objective){
      .kind = (ft_objective_kind)c->objective,
      .label_smoothing = (float)c->label_smoothing,
      .z_loss = (float)c->z_loss,
      .loss = (ft_pair_loss)c->pair_loss,
      .numbers = {.beta = given(c, "objective.beta", p->beta),
                  .gamma = given(c, "objective.gamma", p->gamma),
                  .nll = given(c, "objective.nll", p->nll),
                  .desirable_weight = given(c, "objective.desirable_weight", p->desirable_weight),
                  .undesirable_weight =
                      given(c, "objective.undesirable_weight", p->undesirable_weight),
                  .centre = given(c, "objective.centre", p->centre)}};
}

ft_err ft_trainer_open(trainer *t, ft_comm *comm, const ft_config *config, const char *model_dir,
                       bool training) {
  ft_err err = FT_OK;
  t->comm = comm;
  t->config = config;
  t->objective = objective_of(config);
  FT_TRY(ft_comm_agree(comm, ft_preference_new(t, &t->preference)));
  t->rank = ft_comm_rank(comm);
  t->size = ft_comm_size(comm);
  t->stopping.started_s = ft_process_started_s();
  t->evaluation.lowest = t->evaluation.yardstick = INFINITY;
  t->evaluation.replay_loss = NAN;
  FT_TRY(compare_hosts(t));
  FT_TRY(share_tokenizer(t, model_dir));
  FT_TRY(ft_comm_agree(comm, open_inputs(t, model_dir, training)));
  FT_TRY(ft_trainer_agree(t, model_dir));
  if (training) FT_TRY(ft_samples_share(t));
  if (training) FT_TRY(ft_trainer_share_run_dir(t));
out:
  return err;
}

void ft_trainer_close(trainer *t) {
  ft_run_close(t->run);
  ft_checkpoint_close(t->checkpoint);
  cJSON_Delete(t->inputs);
  cJSON_Delete(t->changes);
  ft_samples_free(t->samples);
  ft_trainer_release(t);
  ft_data_close(t->train);
  for (int64_t i = 0; t->validation && i < t->config->num_validation; i++)
    ft_data_close(t->validation[i]);
  ft_free(t->validation);
  ft_batch_fini(&t->batch);
  ft_preference_free(t->preference);
  ft_free(t->prompt);
  ft_hf_config_fini(&t->hf);
}
