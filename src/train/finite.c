/* Numbers that went wrong. A step whose loss or gradients are not finite is computed again, looking
 * at every output and every contribution: the same bits go wrong at the same place, which is named;
 * where nothing goes wrong the second time, a processor or memory did. Then the run stops, or
 * leaves the step out. A loss far above the ones before it is only pointed out. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- where it came from */

/* The report of the lowest micro-batch, on every rank. Collective over all ranks. */
static ft_err share(trainer *t, ft_bad_report *report) {
  ft_err err = FT_OK;
  void *all = NULL;
  report->rank = t->rank;
  snprintf(report->host, sizeof report->host, "%.60s", ft_comm_host(t->comm));
  FT_TRY(ft_comm_gather(t->comm, 0, report, sizeof *report, &all, NULL));
  for (int r = 0; t->rank == 0 && r < t->size; r++) {
    const ft_bad_report *other = (const ft_bad_report *)all + r;
    if (other->found && (!report->found || other->micro_batch < report->micro_batch))
      *report = *other;
  }
  FT_TRY(ft_comm_broadcast(t->comm, 0, report, sizeof *report));
out:
  ft_free(all);
  return err;
}

/* Every contribution is finite and their sum is not: in which tensor. Collective over all ranks. */
static ft_err find_sum(trainer *t, ft_bad_report *report) {
  ft_err err = FT_OK;
  double squares[FT_MAX_BLOCK_TENSORS];
  for (int64_t b = 0; b < ft_shard_num_blocks(t->shard) && report->tensor < 0; b++) {
    FT_TRY(ft_shard_tensor_gradient_norms(t->shard, b, squares));
    for (int i = 0; i < ft_shard_block(t->shard, b)->num_tensors && report->tensor < 0; i++)
      if (!isfinite(squares[i])) {
        report->block = b;
        report->tensor = i;
      }
  }
out:
  return err;
}

/* For people: a NaN has no sign. */
static double shown(double x) {
  return isnan(x) ? fabs((double)NAN) : x;
}

static void describe(const trainer *t, const ft_bad_report *r, char *out, size_t size) {
  const ft_block *block = ft_shard_block(t->shard, r->block);
  char name[160];
  snprintf(name, sizeof name, "%s", block->name);
  if (r->tensor >= 0)
    (void)ft_hf_tensor_name(&t->hf, block, block->tensors[r->tensor].role, name, sizeof name);
  if (!r->found) {
    snprintf(out, size, "every micro-batch is finite, but their sum for %s is not", name);
    return;
  }
  int n = snprintf(out, size, "first in micro-batch %lld (rows %lld to %lld; rank %d, host %s): ",
                   (long long)r->micro_batch, (long long)r->first_row,
                   (long long)(r->first_row + t->config->micro_batch - 1), r->rank, r->host);
  size_t used = FT_MIN((size_t)n, size - 1);
  if (r->is_loss)
    snprintf(out + used, size - used, "its loss is %g", shown(r->value));
  else
    snprintf(out + used, size - used, "%s %s has %g at element %lld",
             r->tensor >= 0 ? "the gradient of" : "the output of", name, shown(r->value),
             (long long)r->element);
}

/* ---------------------------------------------------------------- what happens then */

static ft_err stop_or_skip(trainer *t, int64_t step, const step_result *r, const char *where) {
  const ft_config *c = t->config;
  bool skip = c->not_finite == FT_NOT_FINITE_SKIP, room = t->skipped < c->max_skipped;
  t->stopping.keep_last = true;
  if (!skip || !room)
    return ft_fail(FT_ERR_DATA,
                   "step %lld: the loss is %g and the gradient norm %g; %s. This step has changed "
                   "nothing. %s",
                   (long long)step, shown(r->loss), shown(r->grad_norm), where,
                   skip ? "As many steps as train.max_skipped allows were skipped: lower "
                          "optimizer.lr, or look at the data of such steps"
                        : "Lower optimizer.lr, look at these rows, or have such steps left out "
                          "(train.not_finite=skip)");
  t->stopping.keep_last = false;
  t->skipped++;
  ft_log(FT_LOG_WARNING,
         "step %lld is skipped (%lld of at most %lld): the loss is %g and the gradient norm %g; %s",
         (long long)step, (long long)t->skipped, (long long)c->max_skipped, shown(r->loss),
         shown(r->grad_norm), where);
  return FT_OK;
}

ft_err ft_trainer_look_again(trainer *t, int64_t step, step_result *r) {
  ft_err err = FT_OK;
  char where[512];
  ft_bad_report report = {.tensor = -1};
  ft_log(FT_LOG_WARNING,
         "step %lld: the loss is %g and the gradient norm %g: the step is computed again, to see "
         "where that comes from",
         (long long)step, shown(r->loss), shown(r->grad_norm));
  FT_TRY(ft_trainer_gradients(t, step, r, &report));
  FT_TRY(share(t, &report));
  if (ft_step_is_finite(r)) {
    ft_log(FT_LOG_WARNING,
           "step %lld: computed again, all numbers are finite (loss %g): a processor or memory "
           "makes mistakes; the second result counts",
           (long long)step, r->loss);
    goto out;
  }
  if (!report.found) FT_TRY(find_sum(t, &report));
  describe(t, &report, where, sizeof where);
  FT_TRY(stop_or_skip(t, step, r, where));
  r->skipped = true;
out:
  return err;
}

bool ft_step_is_finite(const step_result *r) {
  return isfinite(r->loss) && isfinite(r->grad_norm);
}

/* ---------------------------------------------------------------- loss spikes */

#define SPIKE_FORGETS 0.05   /* the mean is of about the last 20 steps */
#define SPIKE_FIRST 16       /* steps before the first one can be called a spike */
#define SPIKE_DEVIATIONS 5.0 /* above the mean, */
#define SPIKE_SHARE 0.05     /* and that part of it */

bool ft_spike_note(ft_spike *s, double loss) {
  double most = s->mean + fmax(SPIKE_DEVIATIONS * sqrt(s->variance), SPIKE_SHARE * fabs(s->mean));
  bool spike = s->count >= SPIKE_FIRST && loss > most;
  double counted = spike ? most : loss; /* one spike must not hide the next */
  double weight = fmax(SPIKE_FORGETS, 1.0 / (double)(s->count + 1));
  double difference = counted - s->mean;
  s->mean += weight * difference;
  s->variance = (1 - weight) * (s->variance + weight * difference * difference);
  s->count++;
  return spike;
}

void ft_trainer_watch_loss(trainer *t, const step_result *r) {
  double mean = t->spike.mean, deviation = sqrt(t->spike.variance);
  if (!r->has_targets || !ft_step_is_finite(r) || !ft_spike_note(&t->spike, r->loss)) return;
  int64_t rows = t->config->global_batch;
  ft_log(FT_LOG_WARNING,
         "step %lld: loss spike: %.4f after a mean of %.4f, deviation %.4f (gradient norm %.3g, "
         "rows %lld to %lld)",
         (long long)t->step, r->loss, mean, deviation, r->grad_norm,
         (long long)((t->step - 1) * rows), (long long)(t->step * rows - 1));
}
