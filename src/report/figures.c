/* Which pictures a report has, and what each draws. Of one run, numbers of one kind (the validation
 * sets' losses, say) share a picture; of several runs each number has its own, with a line a run.
 */
#include <math.h>
#include <string.h>

#include "internal.h"

typedef enum transform {
  AS_IS,
  CHANGE,  /* since the first value */
  PERCENT, /* of a share */
  GIBIBYTES
} transform;

/* A kind of number: which columns it takes, and how it is drawn. */
typedef struct kind {
  const char *section, *title, *unit;
  const char *group; /* of columns; NULL: any, one after the other, which then names them */
  const char *name;  /* of columns; NULL: any */
  const char *name2; /* another name that belongs into the same picture */
  bool evaluations;  /* from that table */
  bool noisy, logarithmic, zero, best;
  transform as;
} kind;

static const kind kinds[] = {
    {.section = "Learning",
     .title = "Training loss",
     .unit = "nats per target",
     .group = "",
     .name = "loss",
     .noisy = true},
    {.section = "Learning",
     .title = "Validation loss",
     .unit = "nats per target",
     .name = "loss",
     .evaluations = true,
     .best = true},
    {.section = "Learning",
     .title = "Forgetting",
     .unit = "nats per target since step 0; above 0: forgotten",
     .name = "loss",
     .evaluations = true,
     .zero = true,
     .as = CHANGE},
    {.section = "Preferences and scores",
     .title = "Rewards, training",
     .unit = "reward",
     .group = "rewards",
     .name = "chosen",
     .name2 = "rejected",
     .noisy = true},
    {.section = "Preferences and scores",
     .title = "Reward margin, training",
     .unit = "chosen − rejected",
     .group = "rewards",
     .name = "margin",
     .noisy = true},
    {.section = "Preferences and scores",
     .title = "Accuracy, training",
     .unit = "% of rows",
     .group = "rewards",
     .name = "accuracy",
     .noisy = true,
     .as = PERCENT},
    {.section = "Preferences and scores",
     .title = "Log-probabilities, training",
     .unit = "nats per document",
     .group = "logps",
     .noisy = true},
    {.section = "Preferences and scores",
     .title = "Rewards, validation",
     .unit = "reward",
     .name = "chosen",
     .name2 = "rejected",
     .evaluations = true},
    {.section = "Preferences and scores",
     .title = "Reward margin, validation",
     .unit = "chosen − rejected",
     .name = "margin",
     .evaluations = true},
    {.section = "Preferences and scores",
     .title = "Accuracy, validation",
     .unit = "%",
     .name = "accuracy",
     .evaluations = true,
     .as = PERCENT},
    {.section = "Optimisation",
     .title = "Learning rate",
     .unit = "learning rate",
     .group = "",
     .name = "lr",
     .zero = true},
    {.section = "Optimisation",
     .title = "Gradient norm",
     .unit = "norm before clipping",
     .group = "",
     .name = "grad_norm",
     .noisy = true,
     .logarithmic = true},
    {.section = "Speed and memory",
     .title = "Throughput",
     .unit = "tokens per second, all ranks",
     .group = "",
     .name = "tokens_per_second",
     .noisy = true,
     .zero = true},
    {.section = "Speed and memory",
     .title = "Share of peak",
     .unit = "% of the processors' measured peak",
     .group = "",
     .name = "mfu",
     .noisy = true,
     .zero = true,
     .as = PERCENT},
    {.section = "Speed and memory",
     .title = "Time per step",
     .unit = "seconds",
     .group = "",
     .name = "seconds",
     .noisy = true,
     .zero = true},
    {.section = "Speed and memory",
     .title = "Resident memory of rank 0",
     .unit = "GiB",
     .group = "",
     .name = "rss_bytes",
     .zero = true,
     .as = GIBIBYTES},
};

static bool wants(const kind *k, const ft_column *c) {
  bool group = !k->group || strcmp(k->group, c->group) == 0;
  bool name =
      !k->name || strcmp(k->name, c->name) == 0 || (k->name2 && strcmp(k->name2, c->name) == 0);
  return group && name;
}

static const ft_table *table_of(const kind *k, const report_run *run) {
  return k->evaluations ? &run->history.evaluations : &run->history.steps;
}

/* ---------------------------------------------------------------- values */

/* Memory for `count` values that the report owns. */
static ft_err own_values(ft_report *r, int64_t count, double **out) {
  ft_err err = FT_OK;
  void *p;
  FT_TRY(ft_grow_one(FT_MEM_OTHER, r->num_arrays, sizeof *r->arrays, (void **)&r->arrays));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, count, sizeof **out, &p));
  r->arrays[r->num_arrays++] = p;
  *out = p;
out:
  return err;
}

static double transformed(transform as, double value, double first) {
  switch (as) {
  case CHANGE:
    return value - first;
  case PERCENT:
    return 100 * value;
  case GIBIBYTES:
    return value / (1024.0 * 1024 * 1024);
  case AS_IS:
    break;
  }
  return value;
}

/* The values of a column that are there, with their steps. What is missing at some evaluations
 * interrupts no curve; what is missing of steps does. A change needs a value at step 0. */
static ft_err take_values(ft_report *r, const kind *k, const ft_table *t, const ft_column *c,
                          curve *out) {
  ft_err err = FT_OK;
  double *x, *y;
  int64_t count = 0;
  double first = t->num_rows ? c->values[0] : NAN;
  FT_TRY(own_values(r, t->num_rows, &x));
  FT_TRY(own_values(r, t->num_rows, &y));
  if (k->as == CHANGE && !(t->num_rows && t->steps[0] == 0)) first = NAN;
  for (int64_t i = 0; i < t->num_rows; i++) {
    double value = transformed(k->as, c->values[i], first);
    if (k->evaluations && !isfinite(value)) continue;
    x[count] = (double)t->steps[i];
    y[count++] = value;
  }
  *out = (curve){.x = x, .y = y, .count = count};
out:
  return err;
}

/* ---------------------------------------------------------------- figures */

static double last_step(const ft_report *r) {
  int64_t last = 0;
  for (int64_t i = 0; i < r->num_runs; i++)
    last = FT_MAX(last, r->runs[i].status.step);
  return (double)last;
}

static ft_err add_figure(ft_report *r, const kind *k, const char *what, report_figure **out) {
  ft_err err = FT_OK;
  FT_TRY(ft_grow_one(FT_MEM_OTHER, r->num_figures, sizeof *r->figures, (void **)&r->figures));
  report_figure *f = &r->figures[r->num_figures++];
  *f = (report_figure){.section = k->section};
  snprintf(f->title, sizeof f->title, "%s%s%.90s", k->title, what ? ": " : "", what ? what : "");
  snprintf(f->id, sizeof f->id, "figure-%02lld", (long long)r->num_figures);
  f->plot = (plot){.unit = k->unit,
                   .last_x = last_step(r),
                   .logarithmic = k->logarithmic,
                   .zero = k->zero,
                   .noisy = k->noisy,
                   .events = r->events,
                   .num_events = r->num_events};
  *out = f;
out:
  return err;
}

/* The evaluation that the run kept as its best, in a curve of its first set. */
static int64_t find_best(const report_run *run, const kind *k, const ft_column *c, const curve *v) {
  const ft_table *t = &run->history.evaluations;
  if (!k->best || run->best_step < 0 || strcmp(c->group, t->columns[0].group) != 0) return -1;
  for (int64_t i = 0; i < v->count; i++)
    if ((int64_t)v->x[i] == run->best_step) return i;
  return -1;
}

static ft_err add_series(ft_report *r, report_figure *f, const kind *k, const report_run *run,
                         const ft_column *c, const char *name) {
  ft_err err = FT_OK;
  plot_series s = {.colour = (int)(r->num_runs > 1 ? run - r->runs : f->plot.num_series)};
  FT_TRY(take_values(r, k, table_of(k, run), c, &s.curve));
  double low, high;
  if (!ft_curve_range(&s.curve, &low, &high)) return FT_OK;
  s.best = find_best(run, k, c, &s.curve);
  FT_TRY(ft_grow_one(FT_MEM_OTHER, f->plot.num_series, sizeof s, (void **)&f->plot.series));
  FT_TRY(ft_strdup(name, &s.name));
  f->plot.series[f->plot.num_series++] = s;
out:
  return err;
}

/* What tells the columns of a kind apart: the set, the number's name, or both. */
static void label(const kind *k, const ft_column *c, char out[128]) {
  const char *group = k->group ? "" : c->group, *name = k->name && !k->name2 ? "" : c->name;
  snprintf(out, 128, "%.60s%s%.60s", group, *group && *name ? ", " : "", name);
}

/* A picture of one column, with a line for each run that has it. */
static ft_err add_compared(ft_report *r, const kind *k, const ft_column *like) {
  ft_err err = FT_OK;
  report_figure *f;
  char what[128];
  label(k, like, what);
  FT_TRY(add_figure(r, k, *what ? what : NULL, &f));
  for (int64_t i = 0; i < r->num_runs; i++) {
    const ft_column *c = ft_table_find(table_of(k, &r->runs[i]), like->group, like->name);
    if (c) FT_TRY(add_series(r, f, k, &r->runs[i], c, r->runs[i].name));
  }
out:
  return err;
}

/* Pictures of all columns of a kind of one run, as many in each as can be told apart. */
static ft_err add_together(ft_report *r, const kind *k) {
  ft_err err = FT_OK;
  const ft_table *t = table_of(k, &r->runs[0]);
  report_figure *f = NULL;
  char name[128];
  for (int64_t i = 0; i < t->num_columns; i++) {
    if (!wants(k, &t->columns[i])) continue;
    if (!f || f->plot.num_series == PLOT_NUM_COLOURS) FT_TRY(add_figure(r, k, NULL, &f));
    label(k, &t->columns[i], name);
    FT_TRY(add_series(r, f, k, &r->runs[0], &t->columns[i], *name ? name : k->title));
  }
out:
  return err;
}

/* Whether one of the runs before this one has such a column. */
static bool seen(const ft_report *r, const kind *k, int64_t run, const ft_column *c) {
  for (int64_t i = 0; i < run; i++)
    if (ft_table_find(table_of(k, &r->runs[i]), c->group, c->name)) return true;
  return false;
}

static ft_err add_each(ft_report *r, const kind *k) {
  for (int64_t i = 0; i < r->num_runs; i++) {
    const ft_table *t = table_of(k, &r->runs[i]);
    for (int64_t j = 0; j < t->num_columns; j++) {
      const ft_column *c = &t->columns[j];
      if (!wants(k, c) || seen(r, k, i, c)) continue;
      ft_err err = add_compared(r, k, c);
      if (err != FT_OK) return err;
    }
  }
  return FT_OK;
}

/* A picture without a line is none. */
static void drop_empty(ft_report *r) {
  int64_t kept = 0;
  for (int64_t i = 0; i < r->num_figures; i++)
    if (r->figures[i].plot.num_series) r->figures[kept++] = r->figures[i];
  r->num_figures = kept;
  for (int64_t i = 0; i < kept; i++) {
    r->figures[i].plot.id = r->figures[i].id;
    r->figures[i].plot.title = r->figures[i].title;
  }
}

ft_err ft_report_make_figures(ft_report *r) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(kinds); i++) {
    ft_err err = r->num_runs == 1 ? add_together(r, &kinds[i]) : add_each(r, &kinds[i]);
    if (err != FT_OK) return err;
  }
  drop_empty(r);
  return FT_OK;
}
