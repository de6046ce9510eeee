/* A run's step: its data, what its numbers say, the update and its row in metrics.jsonl. The order
 * of passes is in passes.c. */
#include <math.h>

#include "internal.h"

/* The rows of a step, one micro-batch after the other. */
static int64_t first_row(const trainer *t, int64_t step, int64_t micro_batch) {
  return (step - 1) * t->config->global_batch + micro_batch * t->config->micro_batch;
}

static int64_t num_micro_batches(const trainer *t) {
  return t->config->global_batch / t->config->micro_batch;
}

/* Targets of the global batch: each rank counts its own micro-batches. */
static ft_err count_targets(trainer *t, int64_t step, int64_t *targets) {
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
  return batch;
}

static void note_batch(void *context, int64_t micro_batch, double *loss,
                       const ft_bad_number *number) {
  const step_passes *a = context;
  *loss = spoiled("loss", a, micro_batch, *loss);
  if (a->bad) note_bad(a, micro_batch, *loss, number);
}

static ft_passes passes_of(const trainer *t) {
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

/* docs/formats.md describes the columns. */
static ft_err write_row(const trainer *t, const step_result *r, int64_t rss_bytes) {
  double rate = r->seconds > 0 ? (double)r->tokens / r->seconds : 0;
  double share = ft_share_of_peak(r, t->peak_flops);
  const ft_metric metrics[] = {
      {"loss", "loss/train", FT_METRIC_EXACT, r->has_targets ? r->loss : NAN},
      {"grad_norm", "train/grad_norm", FT_METRIC_EXACT, r->has_targets ? r->grad_norm : NAN},
      {"lr", "train/lr", FT_METRIC_RATE, r->lr},
      {"targets", NULL, FT_METRIC_COUNT, (double)r->targets},
      {"tokens", NULL, FT_METRIC_COUNT, (double)r->tokens},
      {"seconds", NULL, FT_METRIC_MICRO, r->seconds},
      {"tokens_per_second", "speed/tokens_per_second", FT_METRIC_DECIMAL, rate},
      {"mfu", "speed/mfu", FT_METRIC_SHARE, share},
      {"rss_bytes", NULL, FT_METRIC_COUNT, (double)rss_bytes}};
  return ft_run_write_step(t->run, t->step, metrics, FT_ARRAY_SIZE(metrics));
}

static ft_err record(trainer *t, const step_result *r) {
  ft_err err = FT_OK;
  int64_t rss = ft_rss_bytes();
  FT_TRY(ft_comm_max_i64(t->comm, &rss, 1));
  if (t->rank == 0) {
    err = ft_run_check(t->run);
    if (err == FT_OK) err = write_row(t, r, rss);
    if (err == FT_OK) ft_progress_step(t, t->step, r);
  }
  FT_TRY(ft_comm_agree(t->comm, err));
out:
  return err;
}

/* The update and its row in metrics.jsonl: all ranks come to the end of this, or none begins it. */
static ft_err complete_step(trainer *t, double begin_s, step_result *r) {
  ft_err err = ft_comm_section_begin(t->comm);
  if (err != FT_OK) return err;
  (void)ft_fault("update");
  t->step++;
  t->tokens += r->tokens;
  if (r->has_targets && !r->skipped) {
    const ft_passes passes = passes_of(t);
    t->updates = t->step;
    FT_TRY(ft_passes_update(&passes, t->step, r->lr, r->grad_norm));
  }
  ft_trainer_watch_loss(t, r);
  r->seconds = ft_now_s() - begin_s;
  FT_TRY(record(t, r));
out:
  ft_comm_section_end(t->comm);
  return err;
}

ft_err ft_trainer_gradients(trainer *t, int64_t step, step_result *r, ft_bad_report *bad) {
  ft_err err = FT_OK;
  step_passes a = {.t = t, .step = step, .r = r, .bad = bad};
  ft_passes passes = passes_of(t);
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

/* All of a step that has targets, but the update. */
static ft_err compute_step(trainer *t, int64_t step, step_result *r) {
  ft_err err = FT_OK;
  FT_TRY(ft_trainer_gradients(t, step, r, NULL));
  if (!ft_step_is_finite(r)) FT_TRY(ft_trainer_look_again(t, step, r));
  err = ft_trainer_finish_checkpoint(t); /* it reads what the update changes */
  if (err != FT_OK && err != FT_ERR_STOPPED) {
    /* what cannot be saved now can go on, and may be saved later */
    ft_trainer_say_unsaved(t);
    err = FT_OK;
  }
out:
  return err;
}

static ft_schedule_name course(ft_rate_course name) {
  switch (name) {
  case FT_RATE_CONSTANT:
    return FT_SCHEDULE_CONSTANT;
  case FT_RATE_LINEAR:
    return FT_SCHEDULE_LINEAR;
  case FT_RATE_WSD:
    return FT_SCHEDULE_WSD;
  case FT_RATE_COSINE:
    break;
  }
  return FT_SCHEDULE_COSINE;
}

double ft_lr_at(const ft_config *config, int64_t steps, int64_t step) {
  const ft_config_schedule *s = &config->schedule;
  int64_t end = s->steps > 0 ? s->steps : steps;
  const ft_schedule schedule = {.name = course(s->name),
                                .warmup_steps = s->warmup_steps,
                                .decay_steps =
                                    s->decay_steps > 0 ? s->decay_steps : ft_ceil_div(end, 10),
                                .min_lr_ratio = s->min_lr_ratio};
  return ft_schedule_lr(&schedule, config->lr, step, end);
}

ft_err ft_trainer_step(trainer *t) {
  ft_err err = FT_OK;
  int64_t step = t->step + 1;
  double begin_s = ft_now_s();
  step_result r = {.lr = ft_lr_at(t->config, t->steps, step)};
  ft_comm_set_step(t->comm, step);
  FT_TRY(count_targets(t, step, &r.targets));
  r.has_targets = r.targets > 0;
  if (r.has_targets)
    FT_TRY(compute_step(t, step, &r));
  else
    ft_log(t->rank == 0 ? FT_LOG_WARNING : FT_LOG_DEBUG,
           "step %lld has no target token: its loss is null and it changes nothing",
           (long long)step);
  FT_TRY(complete_step(t, begin_s, &r));
  double *shortest_s = &t->stopping.shortest_step_s;
  if (*shortest_s == 0 || r.seconds < *shortest_s) *shortest_s = r.seconds;
out:
  return err;
}
