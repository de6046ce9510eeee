/* Where a run is now. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

const char *ft_run_state_name(ft_run_state state) {
  static const char *const names[FT_RUN_NUM_STATES] = {"new",      "starting", "running",
                                                       "finished", "stopped",  "lost"};
  return names[state];
}

static double number_of(const cJSON *row, const char *name) {
  const cJSON *item = ft_json_get(row, name);
  return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The median of a number over the newest steps; NaN: none has it. */
static double median(const ft_tail *t, const char *name) {
  double values[FT_TAIL_STEPS];
  size_t count = 0;
  for (int64_t i = 0; i < t->num_steps; i++) {
    double value = number_of(t->steps[i], name);
    if (isfinite(value)) values[count++] = value;
  }
  qsort(values, count, sizeof *values, compare);
  return count ? values[count / 2] : NAN;
}

static ft_run_state state_of(const ft_status *s) {
  bool finished = s->num_steps > 0 && s->step >= s->num_steps;
  if (s->holder.found && s->holder.alive) return s->step > 0 ? FT_RUN_RUNNING : FT_RUN_STARTING;
  if (finished) return FT_RUN_FINISHED;
  if (s->holder.found) return FT_RUN_LOST;
  return s->step > 0 ? FT_RUN_STOPPED : FT_RUN_NEW;
}

static ft_err read_rows(const char *dir, ft_status *s) {
  ft_err err = FT_OK;
  ft_tail tail;
  FT_TRY(ft_tail_read(dir, &tail));
  const cJSON *newest = tail.num_steps ? tail.steps[0] : NULL;
  if (!ft_json_i64(ft_json_get(newest, "step"), &s->step)) s->step = 0;
  s->loss = number_of(newest, "loss");
  s->tokens_per_second = median(&tail, "tokens_per_second");
  s->share_of_peak = median(&tail, "mfu");
  if (s->num_steps >= 0)
    s->left_s = (double)FT_MAX(0, s->num_steps - s->step) * median(&tail, "seconds");
  if (s->num_steps >= 0 && s->step >= s->num_steps) s->left_s = 0;
  if (tail.evaluation) {
    if (!ft_json_i64(ft_json_get(tail.evaluation, "step"), &s->evaluated_step)) goto out;
    s->evaluated = cJSON_DetachItemFromObjectCaseSensitive(tail.evaluation, "validation");
  }
out:
  ft_tail_fini(&tail);
  return err;
}

static ft_err read_best(const char *dir, ft_status *s) {
  ft_err err = FT_OK;
  cJSON *row = NULL;
  if (ft_run_read_best(dir, &s->best_step) != FT_OK) {
    s->best_step = -1;
    return FT_OK;
  }
  FT_TRY(ft_run_read_evaluation(dir, s->best_step, &row));
  if (row) s->best = cJSON_DetachItemFromObjectCaseSensitive(row, "validation");
out:
  cJSON_Delete(row);
  return err;
}

ft_err ft_status_read(const char *dir, ft_status *s) {
  ft_err err = FT_OK;
  cJSON *config = NULL, *starts = NULL;
  *s = (ft_status){.num_steps = -1,
                   .checkpoint_step = -1,
                   .evaluated_step = -1,
                   .best_step = -1,
                   .loss = NAN,
                   .tokens_per_second = NAN,
                   .share_of_peak = NAN,
                   .left_s = NAN};
  FT_TRY(ft_report_read_config(dir, &config));
  FT_TRY(ft_run_read_starts(dir, &starts));
  s->num_steps = ft_report_planned_steps(config, starts);
  FT_TRY(ft_run_look_at_holder(dir, &s->holder));
  FT_TRY(read_rows(dir, s));
  FT_TRY(ft_run_newest_checkpoint(dir, &s->checkpoint_step));
  FT_TRY(read_best(dir, s));
  s->state = state_of(s);
out:
  cJSON_Delete(config);
  cJSON_Delete(starts);
  return err;
}

void ft_status_fini(ft_status *s) {
  cJSON_Delete(s->evaluated);
  cJSON_Delete(s->best);
  *s = (ft_status){0};
}

/* ---------------------------------------------------------------- for programs */

static void add_number(cJSON *to, const char *name, double value) {
  if (isfinite(value))
    cJSON_AddNumberToObject(to, name, value);
  else
    cJSON_AddNullToObject(to, name);
}

static void add_step(cJSON *to, const char *name, int64_t step) {
  add_number(to, name, step >= 0 ? (double)step : NAN);
}

/* {"step":…,"validation":{…}}, as metrics.jsonl has it, or null. */
static void add_evaluation(cJSON *to, const char *name, int64_t step, const cJSON *sets) {
  if (!sets) {
    cJSON_AddNullToObject(to, name);
    return;
  }
  cJSON *row = cJSON_AddObjectToObject(to, name);
  add_step(row, "step", step);
  cJSON_AddItemToObject(row, "validation", cJSON_Duplicate(sets, true));
}

static void add_holder(cJSON *to, const ft_run_holder *h) {
  if (!h->found) {
    cJSON_AddNullToObject(to, "holder");
    return;
  }
  cJSON *holder = cJSON_AddObjectToObject(to, "holder");
  cJSON_AddStringToObject(holder, "host", h->host);
  cJSON_AddNumberToObject(holder, "pid", (double)h->pid);
  cJSON_AddStringToObject(holder, "job", h->job);
  cJSON_AddBoolToObject(holder, "alive", h->alive);
  cJSON_AddNumberToObject(holder, "held_s", floor(h->held_s));
  cJSON_AddNumberToObject(holder, "silence_s", floor(h->silence_s));
}

ft_err ft_status_json(const char *dir, const ft_status *s, cJSON **out) {
  cJSON *json = cJSON_CreateObject();
  cJSON_AddStringToObject(json, "run", dir);
  cJSON_AddStringToObject(json, "state", ft_run_state_name(s->state));
  add_step(json, "step", s->step);
  add_step(json, "steps", s->num_steps);
  add_number(json, "loss", s->loss);
  add_number(json, "tokens_per_second", s->tokens_per_second);
  add_number(json, "mfu", s->share_of_peak);
  add_number(json, "left_s", s->left_s);
  add_step(json, "checkpoint", s->checkpoint_step);
  add_evaluation(json, "evaluated", s->evaluated_step, s->evaluated);
  add_evaluation(json, "best", s->best_step, s->best);
  add_holder(json, &s->holder);
  *out = json;
  return json ? FT_OK : ft_fail(FT_ERR_MEMORY, "%s: no memory for its status", dir);
}
