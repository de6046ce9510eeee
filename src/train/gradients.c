/* What a step learns from its rows of data: passes over this rank's micro-batches, and the sums of
 * all ranks. */
#include <math.h>

#include "internal.h"

/* The rows of a step, one micro-batch after the other. */
static int64_t first_row(const trainer *t, int64_t step, int64_t micro_batch) {
  return (step - 1) * t->config->global_batch + micro_batch * t->config->micro_batch;
}

static int64_t num_micro_batches(const trainer *t) {
  return t->config->global_batch / t->config->micro_batch;
}

/* Each rank counts its own micro-batches. */
ft_err ft_trainer_count_targets(trainer *t, int64_t step, int64_t *targets) {
  ft_err err = FT_OK;
  *targets = 0;
  for (int64_t i = t->rank; i < num_micro_batches(t) && err == FT_OK; i += t->size) {
    ft_data_counts counts = {0};
    err = ft_data_count(t->train, first_row(t, step, i), t->config->micro_batch, &counts);
    *targets += counts.targets;
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
    sum += ft_layout_training_flops(t->hf.layout, &length, 1);
  }
  return sum;
}

/* One step's passes over a run's data. */
typedef struct step_passes {
  trainer *t;
  int64_t step;
  step_result *r;
  ft_bad_report *bad; /* NULL: nobody looks */
} step_passes;

/* A test aid: NaN instead of a micro-batch's number where FT_FAULT asks for it. */
static double spoiled(const char *what, const step_passes *a, int64_t micro_batch, double value) {
  char point[48];
  snprintf(point, sizeof point, "%s-%lld-%lld", what, (long long)a->step, (long long)micro_batch);
  return ft_fault(point).nan ? NAN : value;
}

/* The first of this rank's micro-batches that has one counts. The loss comes before the gradients.
 */
static void note_bad(const step_passes *a, int64_t micro_batch, double loss,
                     const ft_bad_number *number) {
  ft_bad_report *bad = a->bad;
  bool is_loss = !isfinite(loss) && !(number->found && number->tensor < 0);
  if (bad->found || !(number->found || is_loss)) return;
  *bad = (ft_bad_report){.found = true,
                         .is_loss = is_loss,
                         .micro_batch = micro_batch,
                         .first_row = first_row(a->t, a->step, micro_batch),
                         .block = number->block,
                         .tensor = number->tensor,
                         .element = number->element,
                         .value = is_loss ? loss : number->value};
}

static ft_model_batch read_batch(void *context, int64_t micro_batch, ft_loss *loss) {
  const step_passes *a = context;
  trainer *t = a->t;
  ft_time_enter(FT_TIME_DATA);
  ft_err err =
      ft_data_rows(t->train, first_row(t, a->step, micro_batch), t->config->micro_batch, &t->batch);
  if (err != FT_OK) ft_comm_abort(t->comm, err, "reading a micro-batch");
  ft_time_enter(FT_TIME_OTHER);
  a->r->tokens += t->batch.num_tokens;
  a->r->flops += batch_flops(t, &t->batch);
  loss->weight = (float)spoiled("gradient", a, micro_batch, loss->weight);
  ft_model_batch batch = ft_trainer_batch(t);
  batch.noise = (ft_noise){.alpha = t->config->neftune_alpha,
                           .seed = (uint64_t)t->config->seed,
                           .step = (uint64_t)a->step,
                           .micro_batch = (uint64_t)micro_batch};
  batch.draw = (uint64_t)a->step << 24 | (uint64_t)micro_batch;
  return batch;
}

static void note_batch(void *context, int64_t micro_batch, double *loss,
                       const ft_bad_number *number) {
  const step_passes *a = context;
  *loss = spoiled("loss", a, micro_batch, *loss);
  if (a->bad) note_bad(a, micro_batch, *loss, number);
}

ft_passes ft_trainer_passes(const trainer *t) {
  return (ft_passes){.comm = t->comm,
                     .shard = t->shard,
                     .optim = t->optim,
                     .model = t->model,
                     .num_micro_batches = num_micro_batches(t)};
}

/* Sums of all ranks' losses in order of micro-batch, on every rank; tokens and FLOPs too. */
static ft_err combine(trainer *t, int64_t rounds, const double *losses, step_result *r,
                      double *sum) {
  ft_err err = FT_OK;
  void *all = NULL;
  double result[2] = {0, 0};
  size_t bytes = (size_t)rounds * sizeof(double);
  FT_TRY(ft_comm_gather(t->comm, 0, losses, bytes, &all, NULL));
  if (t->rank == 0) {
    const double *by_rank = all; /* [size, rounds] */
    for (int64_t i = 0; i < num_micro_batches(t); i++)
      result[0] += by_rank[i % t->size * rounds + i / t->size];
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

double ft_share_of_peak(const step_result *r, double peak_flops) {
  return peak_flops > 0 && r->seconds > 0 ? r->flops / r->seconds / peak_flops : NAN;
}

ft_err ft_trainer_gradients(trainer *t, int64_t step, step_result *r, ft_bad_report *bad) {
  ft_err err = FT_OK;
  step_passes a = {.t = t, .step = step, .r = r, .bad = bad};
  ft_passes passes = ft_trainer_passes(t);
  int64_t rounds = ft_passes_rounds(&passes);
  double sum;
  passes.loss = ft_objective_loss(&t->objective, r->targets);
  passes.look_for_bad = bad != NULL;
  passes.context = &a;
  passes.read = read_batch;
  passes.done = note_batch;
  void *losses;
  err = ft_alloc_array(FT_MEM_OTHER, rounds, sizeof(double), &losses);
  if (err != FT_OK) ft_comm_abort(t->comm, err, "a step");
  r->tokens = 0;
  r->flops = 0;
  FT_TRY(ft_passes_gradients(&passes, losses, &r->grad_norm));
  FT_TRY(combine(t, rounds, losses, r, &sum));
  r->loss = sum / (double)r->targets;
out:
  ft_free(losses);
  return err;
}
