/* The order of a step, of a run as of a benchmark: rounds of micro-batches forward and backward,
 * reduction, the norm, and the update. */
#include <string.h>

#include "internal.h"

ft_model_batch ft_trainer_batch(const trainer *t) {
  const ft_batch *b = &t->batch;
  return (ft_model_batch){.num_tokens = b->num_tokens,
                          .num_documents = b->num_documents,
                          .tokens = b->tokens,
                          .targets = b->targets,
                          .positions = b->positions,
                          .offsets = b->offsets,
                          .labels = b->classes};
}

int64_t ft_passes_rounds(const ft_passes *p) {
  return ft_ceil_div(p->num_micro_batches, ft_comm_size(p->comm));
}

ft_err ft_sum_in_order(ft_comm *comm, int64_t num_micro_batches, const double *values,
                       int64_t width, double *sums) {
  ft_err err = FT_OK;
  void *all = NULL;
  int64_t size = ft_comm_size(comm), rounds = ft_ceil_div(num_micro_batches, size);
  size_t bytes = (size_t)width * sizeof *sums;
  memset(sums, 0, bytes);
  FT_TRY(ft_comm_gather(comm, 0, values, (size_t)rounds * bytes, &all, NULL));
  for (int64_t i = 0; i < num_micro_batches && all; i++) {
    const double *one = (const double *)all + (i % size * rounds + i / size) * width;
    for (int64_t k = 0; k < width; k++)
      sums[k] += one[k];
  }
  FT_TRY(ft_comm_broadcast(comm, 0, sums, bytes));
out:
  ft_free(all);
  return err;
}

/* A round, forward and backward. A failure here would leave the others inside a collective: it ends
 * the job. */
static ft_err run_round(const ft_passes *p, int64_t round, double *loss) {
  int64_t size = ft_comm_size(p->comm), i = round * size + ft_comm_rank(p->comm);
  bool mine = i < p->num_micro_batches;
  ft_loss row_loss = p->loss;
  ft_bad_number number = {.found = false};
  ft_model_batch batch;
  ft_shard_round(p->shard, (int)FT_MIN(size, p->num_micro_batches - round * size));
  if (mine) batch = p->read(p->context, i, &row_loss);
  if (p->look_for_bad) ft_shard_look_for_bad(p->shard, &number);
  ft_err err = p->weigher ? ft_model_train_weighed(p->model, mine ? &batch : NULL, p->weigher)
                          : ft_model_train(p->model, mine ? &batch : NULL, &row_loss, loss);
  ft_shard_look_for_bad(p->shard, NULL);
  if (err != FT_OK && err != FT_ERR_STOPPED)
    ft_comm_abort(p->comm, err, "the forward and backward pass");
  if (err == FT_OK && mine && p->done) p->done(p->context, i, loss, &number);
  return err;
}

ft_err ft_passes_gradients(const ft_passes *p, double *losses, double *norm) {
  ft_err err = FT_OK;
  int64_t rounds = ft_passes_rounds(p);
  ft_shard_begin_step(p->shard, p->num_micro_batches);
  for (int64_t round = 0; round < rounds; round++)
    FT_TRY(run_round(p, round, &losses[round]));
  FT_TRY(ft_shard_reduce_finish(p->shard));
  ft_time_enter(FT_TIME_OPTIMIZER);
  FT_TRY(ft_shard_gradient_norm(p->shard, norm));
out:
  ft_time_enter(FT_TIME_OTHER);
  return err;
}

ft_err ft_passes_update(const ft_passes *p, int64_t step, const ft_rate *rate, double norm) {
  ft_time_enter(FT_TIME_OPTIMIZER);
  ft_optim_step(p->optim, step, rate, norm);
  ft_shard_set_version(p->shard, step);
  ft_err err = ft_shard_weights_changed(p->shard);
  ft_time_enter(FT_TIME_OTHER);
  return err;
}
