/* The numbers that a script may ask for by name. */
#include <math.h>
#include <string.h>

#include "ft/report.h"

enum { MAX_KNOWN = 1024 };

static const char forgetting[] = "forgetting";

/* "SET.METRIC", cut at its last dot; without one the group is "". */
static void split(const char *metric, char group[256], const char **name) {
  const char *dot = strrchr(metric, '.');
  *name = dot ? dot + 1 : metric;
  snprintf(group, 256, "%.*s", dot ? (int)FT_MIN(dot - metric, 255) : 0, metric);
}

/* Lists what may be asked for. */
static void list_known(const ft_history *h, char out[MAX_KNOWN]) {
  size_t used = 0;
  const ft_table *tables[] = {&h->evaluations, &h->steps};
  out[0] = 0;
  if (h->evaluations.num_rows) used = (size_t)snprintf(out, MAX_KNOWN, "%s", forgetting);
  for (size_t i = 0; i < FT_ARRAY_SIZE(tables); i++)
    for (int64_t j = 0; j < tables[i]->num_columns && used < MAX_KNOWN; j++) {
      const ft_column *c = &tables[i]->columns[j];
      used += (size_t)snprintf(out + used, MAX_KNOWN - used, "%s%s%s%s", used ? ", " : "", c->group,
                               *c->group ? "." : "", c->name);
    }
}

static ft_err fail_unknown(const ft_history *h, const char *metric) {
  char known[MAX_KNOWN];
  list_known(h, known);
  return ft_fail(FT_ERR_NOINPUT, "there is no number \"%s\" in this run; there are: %s", metric,
                 *known ? known : "none yet");
}

/* The row to look at: that of *step, or with -1 the last; *step becomes the row's. */
static ft_err find_row(const ft_table *t, const char *metric, int64_t *step, int64_t *row) {
  ft_err err = FT_OK;
  const char *what = t->columns && *t->columns[0].group ? "evaluation" : "step";
  *row = *step < 0 ? t->num_rows - 1 : ft_table_row_at(t, *step);
  FT_CHECK(*row >= 0 && (*step < 0 || t->steps[*row] == *step), FT_ERR_NOINPUT,
           "%s: no %s %lld is in the metrics", metric, what, (long long)*step);
  *step = t->steps[*row];
out:
  return err;
}

/* How much a set's loss has risen since step 0. */
static ft_err change_of(const ft_table *t, const ft_column *loss, int64_t row, double *value) {
  ft_err err = FT_OK;
  FT_CHECK(t->steps[0] == 0 && isfinite(loss->values[0]), FT_ERR_NOINPUT,
           "%s.%s: there is no loss of step 0 to compare with", loss->group, forgetting);
  *value = loss->values[row] - loss->values[0];
out:
  return err;
}

/* The largest change of all sets that have a loss there and at step 0. */
static ft_err worst_change(const ft_table *t, int64_t row, double *value) {
  *value = NAN;
  for (int64_t i = 0; i < t->num_columns; i++) {
    double change;
    if (strcmp(t->columns[i].name, "loss") != 0) continue;
    if (change_of(t, &t->columns[i], row, &change) == FT_OK && !(change <= *value))
      *value = isfinite(change) ? change : *value;
  }
  return FT_OK;
}

static ft_err forgetting_value(const ft_history *h, const char *metric, const char *set,
                               int64_t *step, double *value) {
  ft_err err = FT_OK;
  const ft_table *t = &h->evaluations;
  const ft_column *loss = ft_table_find(t, set, "loss");
  int64_t row;
  if (t->num_rows == 0 || (*set && !loss)) return fail_unknown(h, metric);
  FT_TRY(find_row(t, metric, step, &row));
  err = *set ? change_of(t, loss, row, value) : worst_change(t, row, value);
out:
  return err;
}

ft_err ft_gate_value(const ft_history *h, const char *metric, int64_t *step, double *value) {
  ft_err err = FT_OK;
  char group[256];
  const char *name;
  int64_t row;
  split(metric, group, &name);
  if (strcmp(name, forgetting) == 0) {
    FT_TRY(forgetting_value(h, metric, group, step, value));
  } else {
    const ft_table *t = &h->evaluations;
    const ft_column *c = *group ? ft_table_find(t, group, name) : NULL;
    if (!c) c = ft_table_find(t = &h->steps, group, name);
    if (!c) return fail_unknown(h, metric);
    FT_TRY(find_row(t, metric, step, &row));
    *value = c->values[row];
  }
  FT_CHECK(isfinite(*value), FT_ERR_DATA,
           "%s of step %lld does not exist: it is null in the metrics", metric, (long long)*step);
out:
  return err;
}
