/* What a step learns from its rows of data: passes over this rank's micro-batches, and the sums of
 * all ranks. */
#include <math.h>
#include <string.h>

#include "preference.h"

/* The rows of a step, one micro-batch after the other. */
static int64_t first_row(const trainer *t, int64_t step, int64_t micro_batch) {
  return (step - 1) * t->config->global_batch + micro_batch * t->config->micro_batch;
}

static int64_t num_micro_batches(const trainer *t) {
  return t->config->global_batch / t->config->micro_batch;
}

/* Each rank counts its own micro-batches. */
ft_err ft_trainer_count(trainer *t, int64_t step, ft_data_counts *counts) {
  ft_err err = FT_OK;
  int64_t sums[4] = {0};
  for (int64_t i = t->rank; i < num_micro_batches(t) && err == FT_OK; i += t->size) {
    ft_data_counts c = {0};
    err = ft_data_count(t->train, first_row(t, step, i), t->config->micro_batch, &c);
    const int64_t more[] = {c.targets, c.items, c.chosen_answers, c.chosen_tokens};
    for (size_t k = 0; k < FT_ARRAY_SIZE(more); k++)
      sums[k] += more[k];
  }
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(ft_comm_sum_i64(t->comm, sums, FT_ARRAY_SIZE(sums)));
  *counts = (ft_data_counts){sums[0], sums[1], sums[2], sums[3]};
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
  double *sums;       /* [rounds, FT_PREFERENCE_SUMS] of documents that are weighed; else NULL */
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
  if (err == FT_OK && t->preference) err = ft_preference_prepare(t->preference);
  if (err != FT_OK) ft_comm_abort(t->comm, err, "reading a micro-batch");
  ft_time_enter(FT_TIME_OTHER);
  a->r->tokens += t->batch.num_tokens - t->batch.virtual_rows * t->batch.num_documents;
  a->r->flops += batch_flops(t, &t->batch);
  loss->weight = (float)spoiled("gradient", a, micro_batch, loss->weight);
  if (t->preference) t->preference->factor = (double)loss->weight;
  ft_model_batch batch = ft_trainer_batch(t);
  batch.noise = (ft_noise){.alpha = t->config->neftune_alpha,
                           .seed = (uint64_t)t->config->seed,
                           .step = (uint64_t)a->step,
                           .micro_batch = (uint64_t)micro_batch};
  batch.draw = (uint64_t)a->step << 24 | (uint64_t)micro_batch;
  return batch;
}

/* A micro-batch's sums to its place; returns its own loss. */
static double take_sums(const step_passes *a, int64_t micro_batch) {
  ft_preference_sums *sums = &a->t->preference->sums;
  sums->loss = spoiled("loss", a, micro_batch, sums->loss);
  memcpy(a->sums + micro_batch / a->t->size * FT_PREFERENCE_SUMS, sums, sizeof *sums);
  return ft_preference_loss(&a->t->objective, sums);
}

static void note_batch(void *context, int64_t micro_batch, double *loss,
                       const ft_bad_number *number) {
  const step_passes *a = context;
  if (a->sums) *loss = take_sums(a, micro_batch);
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

/* The loss, tokens and FLOPs of all ranks. */
static ft_err combine(const step_passes *a, const double *losses) {
  ft_err err = FT_OK;
  trainer *t = a->t;
  step_result *r = a->r;
  double sum;
  int64_t num = num_micro_batches(t), counts[2] = {r->tokens, (int64_t)(r->flops * 1e-6)};
  if (a->sums)
    FT_TRY(ft_sum_in_order(t->comm, num, a->sums, FT_PREFERENCE_SUMS, (double *)(void *)&r->sums));
  else
    FT_TRY(ft_sum_in_order(t->comm, num, losses, 1, &sum));
  r->loss = a->sums ? ft_preference_loss(&t->objective, &r->sums) : sum / (double)r->targets;
  FT_TRY(ft_comm_sum_i64(t->comm, counts, 2)); /* integers: any order gives the same */
  r->tokens = counts[0];
  r->flops = (double)counts[1] * 1e6;
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
  int64_t rounds = ft_passes_rounds(&passes), width = t->preference ? 1 + FT_PREFERENCE_SUMS : 1;
  passes.loss =
      t->preference ? (ft_loss){.weight = 1} : ft_objective_loss(&t->objective, r->targets);
  passes.weigher = t->preference ? &t->preference->weigher : NULL;
  passes.look_for_bad = bad != NULL;
  passes.context = &a;
  passes.read = read_batch;
  passes.done = note_batch;
  void *memory;
  err = ft_alloc_array(FT_MEM_OTHER, rounds * width, sizeof(double), &memory);
  if (err != FT_OK) ft_comm_abort(t->comm, err, "a step");
  double *losses = memory;
  if (t->preference) a.sums = losses + rounds;
  r->tokens = 0;
  r->flops = 0;
  FT_TRY(ft_passes_gradients(&passes, losses, &r->grad_norm));
  FT_TRY(combine(&a, losses));
out:
  ft_free(memory);
  return err;
}
