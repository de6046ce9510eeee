/* A run's step: its gradients, what its numbers say, the update and its row in metrics.jsonl. */
#include <math.h>
#include <string.h>

#include "preference.h"

/* Columns of an objective that weighs whole documents. */
static int64_t add_columns(const trainer *t, const step_result *r, ft_metric *out) {
  static const char *const curves[] = {"rewards/chosen", "rewards/rejected", "rewards/margin",
                                       "rewards/kl",     "rewards/accuracy", "logps/chosen",
                                       "logps/rejected"};
  ft_preference_column c[FT_PREFERENCE_COLUMNS];
  int num = ft_preference_columns(&t->objective, &r->sums, r->kl, c);
  for (int i = 0; i < num; i++) {
    out[i] = (ft_metric){c[i].name, NULL, FT_METRIC_EXACT, c[i].value, c[i].group};
    size_t group = strlen(c[i].group);
    for (size_t k = 0; k < FT_ARRAY_SIZE(curves); k++)
      if (strncmp(curves[k], c[i].group, group) == 0 &&
          strcmp(curves[k] + group + 1, c[i].name) == 0)
        out[i].curve = curves[k];
  }
  return num;
}

/* docs/formats.md describes the columns. */
static ft_err write_row(const trainer *t, const step_result *r, int64_t rss_bytes) {
  double rate = r->seconds > 0 ? (double)r->tokens / r->seconds : 0;
  double share = ft_share_of_peak(r, t->peak_flops);
  ft_metric metrics[9 + FT_PREFERENCE_COLUMNS] = {
      {"loss", "loss/train", FT_METRIC_EXACT, r->has_targets ? r->loss : NAN, NULL},
      {"grad_norm", "train/grad_norm", FT_METRIC_EXACT, r->has_targets ? r->grad_norm : NAN, NULL},
      {"lr", "train/lr", FT_METRIC_RATE, r->lr, NULL},
      {"targets", NULL, FT_METRIC_COUNT, (double)r->targets, NULL},
      {"tokens", NULL, FT_METRIC_COUNT, (double)r->tokens, NULL},
      {"seconds", NULL, FT_METRIC_MICRO, r->seconds, NULL},
      {"tokens_per_second", "speed/tokens_per_second", FT_METRIC_DECIMAL, rate, NULL},
      {"mfu", "speed/mfu", FT_METRIC_SHARE, share, NULL},
      {"rss_bytes", NULL, FT_METRIC_COUNT, (double)rss_bytes, NULL}};
  int64_t num = t->preference ? add_columns(t, r, metrics + 9) : 0;
  return ft_run_write_step(t->run, t->step, metrics, 9 + num);
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

/* The rate of a step whose peak is `lr`. */
static double rate_of(const ft_config *config, double lr, int64_t steps, int64_t step) {
  const ft_config_schedule *s = &config->schedule;
  int64_t end = s->steps > 0 ? s->steps : steps;
  const ft_schedule schedule = {.name = course(s->name),
                                .warmup_steps = s->warmup_steps,
                                .decay_steps =
                                    s->decay_steps > 0 ? s->decay_steps : ft_ceil_div(end, 10),
                                .min_lr_ratio = s->min_lr_ratio};
  return ft_schedule_lr(&schedule, lr, step, end);
}

double ft_lr_at(const ft_config *config, int64_t steps, int64_t step) {
  return rate_of(config, config->lr, steps, step);
}

/* The learning rate of an update, from 1, and its share of the peak. */
static ft_rate rate_at(const ft_config *config, int64_t steps, int64_t step) {
  return (ft_rate){.lr = ft_lr_at(config, steps, step), .share = rate_of(config, 1, steps, step)};
}

/* The update and its row in metrics.jsonl: all ranks come to the end of this, or none begins it. */
static ft_err complete_step(trainer *t, double begin_s, step_result *r) {
  ft_err err = ft_comm_section_begin(t->comm);
  if (err != FT_OK) return err;
  (void)ft_fault("update");
  t->step++;
  t->tokens += r->tokens;
  if (r->has_targets && !r->skipped) {
    const ft_passes passes = ft_trainer_passes(t);
    t->updates = t->step;
    const ft_rate rate = rate_at(t->config, t->steps, t->step);
    FT_TRY(ft_passes_update(&passes, t->step, &rate, r->grad_norm));
  }
  ft_trainer_watch_loss(t, r);
  r->seconds = ft_now_s() - begin_s;
  FT_TRY(record(t, r));
out:
  ft_comm_section_end(t->comm);
  return err;
}

/* All of a step that has targets, but the update. */
static ft_err compute_step(trainer *t, int64_t step, const ft_data_counts *counts, step_result *r) {
  ft_err err = FT_OK;
  if (t->preference) FT_TRY(ft_preference_begin_step(t->preference, step, counts));
  r->kl = t->preference ? t->preference->whole.kl : 0;
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

ft_err ft_trainer_step(trainer *t) {
  ft_err err = FT_OK;
  int64_t step = t->step + 1;
  double begin_s = ft_now_s();
  step_result r = {.lr = ft_lr_at(t->config, t->steps, step)};
  ft_data_counts counts;
  ft_comm_set_step(t->comm, step);
  FT_TRY(ft_trainer_count(t, step, &counts));
  r.targets = t->preference && t->preference->scores ? 2 * counts.items : counts.targets;
  r.has_targets = r.targets > 0;
  if (r.has_targets)
    FT_TRY(compute_step(t, step, &counts, &r));
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
