/* What a run computes with: its shard, optimizer and model, without weights yet. */
#include "internal.h"

/* The most tokens that any micro-batch of training or validation may have. */
static int64_t max_tokens(const trainer *t) {
  int64_t most = 1, rows = t->config->micro_batch;
  if (t->train) most = FT_MAX(most, ft_data_max_tokens(t->train, rows));
  for (int64_t i = 0; i < t->config->num_validation; i++)
    most = FT_MAX(most, ft_data_max_tokens(t->validation[i], rows));
  return most;
}

ft_err ft_trainer_allocate(trainer *t, ft_purpose_of_run purpose) {
  ft_err err = FT_OK;
  const ft_config *c = t->config;
  bool training = purpose == FT_FOR_TRAINING;
  bool stochastic = c->rounding == FT_ROUND_STOCHASTIC && purpose != FT_FOR_AVERAGE;
  ft_plan_modules m = ft_plan_modules_of(c, max_tokens(t));
  m.shard.training = m.model.training = training;
  m.shard.stochastic_rounding = stochastic;
  FT_TRY(ft_shard_new(t->comm, t->hf.layout, &m.shard, &t->shard));
  if (training) FT_TRY(ft_optim_new(t->shard, &m.optim, &t->optim));
  FT_TRY(ft_comm_agree(t->comm, ft_model_new(t->shard, &m.model, &t->model)));
  if (t->samples) FT_TRY(ft_comm_agree(t->comm, ft_samples_allocate(t, &m.generator)));
out:
  return err;
}

void ft_trainer_release(trainer *t) {
  ft_model_free(t->model);
  ft_optim_free(t->optim);
  ft_shard_free(t->shard);
  t->model = NULL;
  t->optim = NULL;
  t->shard = NULL;
}
