/* One optimizer step: rounds of micro-batches, reduction, clipping, update. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* Micro-batch i of a step is computed by rank i mod N as its ⌊i/N⌋-th (DESIGN.md 2). */
typedef struct plan {
  int64_t first_row, num_micro_batches, rounds;
} plan;

static plan plan_of(const trainer *t, int64_t step) {
  int64_t g = t->config->global_batch / t->config->micro_batch;
  return (plan){.first_row = (step - 1) * t->config->global_batch,
                .num_micro_batches = g,
                .rounds = ft_ceil_div(g, t->size)};
}

static int contributors(const trainer *t, const plan *p, int64_t round) {
  return (int)FT_MIN((int64_t)t->size, p->num_micro_batches - round * t->size);
}

static int64_t first_row(const trainer *t, const plan *p, int64_t round) {
  return p->first_row + (round * t->size + t->rank) * t->config->micro_batch;
}

/* Targets of the global batch: each rank counts its own micro-batches. */
static ft_err count_targets(trainer *t, const plan *p, int64_t *targets) {
  ft_err err = FT_OK;
  *targets = 0;
  for (int64_t round = 0; round < p->rounds && err == FT_OK; round++) {
    int64_t n = 0;
    if (t->rank < contributors(t, p, round))
      err = ft_data_count_targets(t->train, first_row(t, p, round), t->config->micro_batch, &n);
    *targets += n;
  }
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(ft_comm_sum_i64(t->comm, targets, 1));
out:
  return err;
}

static double batch_flops(const trainer *t, const ft_batch *b) {
  double sum = 0;
  for (int64_t d = 0; d < b->num_documents; d++) {
    int64_t length = b->offsets[d + 1] - b->offsets[d];
    sum += ft_arch_training_flops(&t->hf.arch, &length, 1);
  }
  return sum;
}

/* This rank's micro-batch of a round, forward and backward. A failure here would leave the others
 * inside a collective: it ends the job. */
static ft_err train_round(trainer *t, const plan *p, int64_t round, double scale, double *loss,
                          step_result *r) {
  ft_err err = FT_OK;
  int n = contributors(t, p, round);
  ft_model_batch batch;
  bool mine = t->rank < n;
  ft_shard_round(t->shard, n);
  if (mine) {
    ft_time_enter(FT_TIME_DATA);
    err = ft_data_rows(t->train, first_row(t, p, round), t->config->micro_batch, &t->batch);
    if (err != FT_OK) ft_comm_abort(t->comm, err, "reading a micro-batch");
    ft_time_enter(FT_TIME_OTHER);
    const ft_batch *b = &t->batch;
    batch = (ft_model_batch){.num_tokens = b->num_tokens,
                             .num_documents = b->num_documents,
                             .tokens = b->tokens,
                             .targets = b->targets,
                             .positions = b->positions,
                             .offsets = b->offsets};
    r->tokens += b->num_tokens;
    r->flops += batch_flops(t, b);
  }
  err = ft_model_train(t->model, mine ? &batch : NULL, scale, loss);
  if (err != FT_OK && err != FT_ERR_STOPPED)
    ft_comm_abort(t->comm, err, "the forward and backward pass");
  return err;
}

/* Sums of all ranks' losses in order of micro-batch, on every rank; tokens and FLOPs too. */
static ft_err combine(trainer *t, const plan *p, const double *losses, step_result *r,
                      double *sum) {
  ft_err err = FT_OK;
  void *all = NULL;
  double result[2] = {0, 0};
  size_t bytes = (size_t)p->rounds * sizeof(double);
  FT_TRY(ft_comm_gather(t->comm, 0, losses, bytes, &all, NULL));
  if (t->rank == 0) {
    const double *by_rank = all; /* [size, rounds] */
    for (int64_t i = 0; i < p->num_micro_batches; i++)
      result[0] += by_rank[i % t->size * p->rounds + i / t->size];
  }
  ft_free(all);
  all = NULL;
  int64_t counts[2] = {r->tokens,
                       (int64_t)(r->flops * 1e-6)}; /* integers: any order gives the same */
  FT_TRY(ft_comm_sum_i64(t->comm, counts, 2));
  FT_TRY(ft_comm_broadcast(t->comm, 0, result, sizeof result));
  r->tokens = counts[0];
  r->flops = (double)counts[1] * 1e6;
  *sum = result[0];
out:
  return err;
}

static ft_err update(trainer *t, int64_t step, step_result *r) {
  ft_err err = FT_OK;
  ft_time_enter(FT_TIME_OPTIMIZER);
  FT_TRY(ft_shard_gradient_norm(t->shard, &r->grad_norm));
  FT_CHECK(
      isfinite(r->loss) && isfinite(r->grad_norm), FT_ERR_DATA,
      "step %lld: the loss is %g and the gradient norm %g; nothing was changed by this step. Lower "
      "optimizer.lr, or look at the data of this step",
      (long long)step, r->loss, r->grad_norm);
  FT_TRY(ft_trainer_finish_checkpoint(t)); /* it reads what the update changes */
  ft_optim_step(t->optim, step, r->lr, r->grad_norm);
  ft_shard_set_version(t->shard, step);
  FT_TRY(ft_shard_weights_changed(t->shard));
out:
  ft_time_enter(FT_TIME_OTHER);
  return err;
}

ft_err ft_trainer_step(trainer *t, int64_t step, step_result *r) {
  ft_err err = FT_OK;
  plan p = plan_of(t, step);
  double *losses = NULL, sum, begin = ft_now_s();
  void *memory;
  *r = (step_result){.lr = ft_schedule_lr(&t->config->schedule, t->config->lr, step, t->steps)};
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, p.rounds, sizeof *losses, &memory));
  losses = memory;
  FT_TRY(count_targets(t, &p, &r->targets));
  r->has_targets = r->targets > 0;
  if (!r->has_targets) {
    ft_log(t->rank == 0 ? FT_LOG_WARNING : FT_LOG_DEBUG,
           "step %lld has no target token: its loss is null and it changes nothing",
           (long long)step);
    goto out;
  }
  ft_time_enter(FT_TIME_OPTIMIZER);
  ft_shard_zero_gradients(t->shard);
  ft_time_enter(FT_TIME_OTHER);
  for (int64_t round = 0; round < p.rounds; round++)
    FT_TRY(train_round(t, &p, round, 1.0 / (double)r->targets, &losses[round], r));
  FT_TRY(ft_shard_reduce_finish(t->shard));
  FT_TRY(combine(t, &p, losses, r, &sum));
  r->loss = sum / (double)r->targets;
  FT_TRY(update(t, step, r));
  t->tokens += r->tokens;
out:
  r->seconds = ft_now_s() - begin;
  t->last_step_s = r->seconds;
  ft_free(losses);
  return err;
}
