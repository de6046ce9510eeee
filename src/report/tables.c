/* Tables of the page: what became of the runs, and every evaluation. */
#include <math.h>
#include <string.h>

#include "internal.h"
#include "text.h"

/* ---------------------------------------------------------------- facts of each run */

/* Writes one fact of a run as HTML. */
typedef void (*put_fact)(FILE *out, const report_run *run);

void ft_report_put_runs_head(FILE *out, const ft_report *r, const char *corner) {
  fprintf(out, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">%s</th>", corner);
  for (int64_t i = 0; i < r->num_runs; i++) {
    fputs("<th scope=\"col\">", out);
    if (r->num_runs > 1) {
      ft_plot_symbol(out, (int)i);
      fputc(' ', out);
    }
    ft_text_escaped(out, r->runs[i].name);
    fputs("</th>", out);
  }
  fputs("</tr></thead>\n<tbody>", out);
}

static void put_facts(FILE *out, const ft_report *r, const char *label, put_fact put) {
  fprintf(out, "<tr><th scope=\"row\">%s</th>", label);
  for (int64_t i = 0; i < r->num_runs; i++) {
    fputs("<td>", out);
    put(out, &r->runs[i]);
    fputs("</td>", out);
  }
  fputs("</tr>\n", out);
}

static double total(const report_run *run, const char *name) {
  const ft_column *c = ft_table_find(&run->history.steps, "", name);
  double sum = 0;
  for (int64_t i = 0; c && i < run->history.steps.num_rows; i++)
    if (isfinite(c->values[i])) sum += c->values[i];
  return sum;
}

static void put_dir(FILE *out, const report_run *run) {
  fputs("<span class=\"where\">", out);
  ft_text_escaped(out, run->dir);
  fputs("</span>", out);
}

static void put_state(FILE *out, const report_run *run) {
  fputs(ft_run_state_name(run->status.state), out);
}

static void put_steps(FILE *out, const report_run *run) {
  char done[TEXT_NUMBER_BYTES], planned[TEXT_NUMBER_BYTES];
  const ft_table *t = &run->history.steps;
  fputs(ft_text_count(t->num_rows ? t->steps[t->num_rows - 1] : 0, done), out);
  if (run->planned_steps > 0) fprintf(out, " of %s", ft_text_count(run->planned_steps, planned));
}

static void put_tokens(FILE *out, const report_run *run) {
  char number[TEXT_NUMBER_BYTES];
  fputs(ft_text_count((int64_t)total(run, "tokens"), number), out);
}

static void put_time(FILE *out, const report_run *run) {
  char number[TEXT_NUMBER_BYTES];
  fputs(ft_text_duration(total(run, "seconds"), number), out);
}

static void put_rate(FILE *out, const report_run *run) {
  char number[TEXT_NUMBER_BYTES];
  fprintf(out, "%s tokens/s", ft_text_number(total(run, "tokens") / total(run, "seconds"), number));
}

/* The mean over time: a step counts as long as it takes. */
static void put_share(FILE *out, const report_run *run) {
  const ft_table *t = &run->history.steps;
  const ft_column *share = ft_table_find(t, "", "mfu"), *seconds = ft_table_find(t, "", "seconds");
  double sum = 0, time = 0;
  for (int64_t i = 0; share && seconds && i < t->num_rows; i++) {
    if (!isfinite(share->values[i]) || !isfinite(seconds->values[i])) continue;
    sum += share->values[i] * seconds->values[i];
    time += seconds->values[i];
  }
  if (time > 0)
    fprintf(out, "%.1f %%", 100 * sum / time);
  else
    fputs("not recorded", out);
}

static void put_loss(FILE *out, const report_run *run) {
  const ft_table *t = &run->history.steps;
  const ft_column *c = ft_table_find(t, "", "loss");
  char number[TEXT_NUMBER_BYTES];
  int64_t last = t->num_rows - 1;
  while (c && last >= 0 && !isfinite(c->values[last]))
    last--;
  fputs(ft_text_number(c && last >= 0 ? c->values[last] : NAN, number), out);
}

/* A validation set's loss: first → last. */
static void put_set(FILE *out, const report_run *run, const char *set) {
  const ft_table *t = &run->history.evaluations;
  const ft_column *c = ft_table_find(t, set, "loss");
  char first[TEXT_NUMBER_BYTES], last[TEXT_NUMBER_BYTES];
  if (!c || t->num_rows == 0) {
    fputs("–", out);
    return;
  }
  fprintf(out, "%s → %s", ft_text_number(c->values[0], first),
          ft_text_number(c->values[t->num_rows - 1], last));
}

static bool set_seen(const ft_report *r, int64_t run, const char *set) {
  for (int64_t i = 0; i < run; i++)
    if (ft_table_find(&r->runs[i].history.evaluations, set, "loss")) return true;
  return false;
}

static void put_sets(FILE *out, const ft_report *r) {
  for (int64_t i = 0; i < r->num_runs; i++) {
    const ft_table *t = &r->runs[i].history.evaluations;
    for (int64_t j = 0; j < t->num_columns; j++) {
      const char *set = t->columns[j].group;
      if (strcmp(t->columns[j].name, "loss") != 0 || set_seen(r, i, set)) continue;
      fputs("<tr><th scope=\"row\">Loss on ", out);
      ft_text_escaped(out, set);
      fputs(", first → last</th>", out);
      for (int64_t k = 0; k < r->num_runs; k++) {
        fputs("<td>", out);
        put_set(out, &r->runs[k], set);
        fputs("</td>", out);
      }
      fputs("</tr>\n", out);
    }
  }
}

static void put_best(FILE *out, const report_run *run) {
  char number[TEXT_NUMBER_BYTES];
  if (run->best_step < 0)
    fputs("none kept", out);
  else
    fprintf(out, "step %s", ft_text_count(run->best_step, number));
}

static void put_resumes(FILE *out, const report_run *run) {
  char number[TEXT_NUMBER_BYTES];
  if (run->num_resumes == 0) fputs("none", out);
  for (int64_t i = 0; i < run->num_resumes; i++)
    fprintf(out, "%s%s", i ? ", " : "after step ", ft_text_count(run->resumes[i], number));
}

void ft_report_put_overview(FILE *out, const ft_report *r) {
  fputs("<section aria-label=\"Overview\">\n", out);
  ft_report_put_runs_head(out, r, "Run");
  put_facts(out, r, "Directory", put_dir);
  put_facts(out, r, "State", put_state);
  put_facts(out, r, "Steps", put_steps);
  put_facts(out, r, "Tokens", put_tokens);
  put_facts(out, r, "Time in steps", put_time);
  put_facts(out, r, "Throughput, mean", put_rate);
  put_facts(out, r, "Share of peak, mean", put_share);
  put_facts(out, r, "Training loss, last step", put_loss);
  put_sets(out, r);
  put_facts(out, r, "Best checkpoint", put_best);
  put_facts(out, r, "Resumed", put_resumes);
  fputs("</tbody></table></div></section>\n", out);
}

/* ---------------------------------------------------------------- what rank 0 takes */

/* Writes a value of usage.json. */
typedef void (*put_value)(FILE *out, double value, double sum);

static void put_bytes(FILE *out, double value, double sum) {
  char number[TEXT_NUMBER_BYTES];
  (void)sum;
  fputs(ft_text_bytes(value, number), out);
}

static void put_share_of_time(FILE *out, double value, double sum) {
  char number[TEXT_NUMBER_BYTES];
  fprintf(out, "%s, %.1f %%", ft_text_duration(value, number), sum > 0 ? 100 * value / sum : 0);
}

static double sum_of(const cJSON *object) {
  double sum = 0;
  for (const cJSON *item = object ? object->child : NULL; item; item = item->next)
    if (cJSON_IsNumber(item)) sum += item->valuedouble;
  return sum;
}

/* Whether a member is there, and not 0, in one of the runs. */
static bool is_used(const ft_report *r, const char *object, const char *name) {
  for (int64_t i = 0; i < r->num_runs; i++) {
    const cJSON *item = ft_json_get(ft_json_get(r->runs[i].usage, object), name);
    if (cJSON_IsNumber(item) && item->valuedouble > 0) return true;
  }
  return false;
}

static void put_usage_row(FILE *out, const ft_report *r, const char *object, const char *name,
                          put_value put) {
  fputs("<tr><th scope=\"row\">", out);
  for (const char *c = name; *c; c++)
    fputc(*c == '_' ? ' ' : *c, out);
  fputs("</th>", out);
  for (int64_t i = 0; i < r->num_runs; i++) {
    const cJSON *all = ft_json_get(r->runs[i].usage, object), *item = ft_json_get(all, name);
    fputs("<td class=\"number\">", out);
    if (cJSON_IsNumber(item))
      put(out, item->valuedouble, sum_of(all));
    else
      fputs("–", out);
    fputs("</td>", out);
  }
  fputs("</tr>\n", out);
}

/* Rows by the first run that has the object: all have the same names unless versions differ. */
static void put_usage(FILE *out, const ft_report *r, const char *heading, const char *object,
                      put_value put) {
  const cJSON *names = NULL;
  for (int64_t i = 0; i < r->num_runs && !names; i++)
    names = ft_json_get(r->runs[i].usage, object);
  if (!names) return;
  fprintf(out, "<div><h3>%s</h3>\n", heading);
  ft_report_put_runs_head(out, r, "Rank 0");
  for (const cJSON *item = names->child; item; item = item->next)
    if (is_used(r, object, item->string)) put_usage_row(out, r, object, item->string, put);
  fputs("</tbody></table></div></div>\n", out);
}

void ft_report_put_usage(FILE *out, const ft_report *r) {
  fputs("<section><h2 id=\"usage\">Memory and time of rank 0</h2>\n<div class=\"figures\">\n", out);
  put_usage(out, r, "Memory by owner, peaks", "memory", put_bytes);
  put_usage(out, r, "Where the time went, last part of the run", "seconds", put_share_of_time);
  fputs("</div>\n", out);
  for (int64_t i = 0; i < r->num_runs; i++) {
    if (r->runs[i].usage) continue;
    fputs("<p class=\"note\">", out);
    ft_text_escaped(out, r->runs[i].name);
    fputs(": not recorded.</p>\n", out);
  }
  fputs("</section>\n", out);
}

/* ---------------------------------------------------------------- numbers */

/* A kind of rows: what it is called, and how many of them are shown at most. */
typedef struct rows_kind {
  const char *one, *many;
  int64_t most;
} rows_kind;
static const rows_kind evaluations = {"evaluation", "evaluations", 100};
static const rows_kind steps = {"training step", "training steps", 25};

/* Targets are counted, not measured. */
static bool is_shown(const ft_column *c) {
  return strcmp(c->name, "targets") != 0;
}

static void put_numbers_head(FILE *out, const ft_table *t) {
  fputs("<div class=\"scroll\"><table><thead><tr><th scope=\"col\" class=\"number\">step</th>",
        out);
  for (int64_t i = 0; i < t->num_columns; i++) {
    if (!is_shown(&t->columns[i])) continue;
    fputs("<th scope=\"col\" class=\"number\">", out);
    ft_text_escaped(out, t->columns[i].group);
    fputs(*t->columns[i].group ? "<br>" : "", out);
    ft_text_escaped(out, t->columns[i].name);
    fputs("</th>", out);
  }
  fputs("</tr></thead>\n<tbody>", out);
}

static void put_numbers_row(FILE *out, const ft_table *t, int64_t row) {
  char number[TEXT_NUMBER_BYTES];
  fprintf(out, "<tr><td class=\"number\">%s</td>", ft_text_count(t->steps[row], number));
  for (int64_t i = 0; i < t->num_columns; i++)
    if (is_shown(&t->columns[i]))
      fprintf(out, "<td class=\"number\">%s</td>",
              ft_text_number(t->columns[i].values[row], number));
  fputs("</tr>\n", out);
}

static void put_numbers(FILE *out, const report_run *run, const ft_table *t, const rows_kind *kind,
                        bool open) {
  int64_t every = ft_ceil_div(t->num_rows, kind->most);
  fputs(open ? "<details open><summary>" : "<details><summary>", out);
  ft_text_escaped(out, run->name);
  fprintf(out, ": %lld %s", (long long)t->num_rows, t->num_rows == 1 ? kind->one : kind->many);
  if (every > 1) fprintf(out, ", one of every %lld and the last shown", (long long)every);
  fputs("</summary>\n", out);
  put_numbers_head(out, t);
  for (int64_t row = 0; row < t->num_rows; row++)
    if (row % every == 0 || row + 1 == t->num_rows) put_numbers_row(out, t, row);
  fputs("</tbody></table></div></details>\n", out);
}

static void put_none(FILE *out, const report_run *run, const char *what) {
  fputs("<p class=\"note\">", out);
  ft_text_escaped(out, run->name);
  fprintf(out, ": %s</p>\n", what);
}

void ft_report_put_numbers(FILE *out, const ft_report *r) {
  fputs("<section><h2 id=\"numbers\">Numbers</h2>\n", out);
  for (int64_t i = 0; i < r->num_runs; i++) {
    const report_run *run = &r->runs[i];
    const ft_table *measured = &run->history.evaluations, *trained = &run->history.steps;
    if (measured->num_rows)
      put_numbers(out, run, measured, &evaluations, measured->num_rows <= 12);
    else
      put_none(out, run, "nothing was evaluated.");
    if (trained->num_rows)
      put_numbers(out, run, trained, &steps, false);
    else
      put_none(out, run, "no step is finished.");
  }
  fputs("</section>\n", out);
}

/* ---------------------------------------------------------------- samples */

static void put_sample(FILE *out, const ft_sample *s) {
  fputs("<dt><pre>", out);
  ft_text_escaped(out, s->prompt);
  fputs("</pre></dt><dd><pre>", out);
  ft_text_escaped(out, s->text);
  fputs("</pre></dd>\n", out);
}

/* Of one run: a part for each evaluation that has samples, the last one open. */
static void put_samples_of(FILE *out, const report_run *run) {
  const ft_history *h = &run->history;
  for (int64_t i = 0; i < h->num_samples; i++) {
    const ft_sample *s = &h->samples[i];
    bool first = i == 0 || h->samples[i - 1].step != s->step;
    bool last = i + 1 == h->num_samples || h->samples[i + 1].step != s->step;
    if (first) {
      bool open = s->step == h->samples[h->num_samples - 1].step;
      fputs(open ? "<details open><summary>" : "<details><summary>", out);
      ft_text_escaped(out, run->name);
      fprintf(out, ", step %lld</summary>\n<dl>", (long long)s->step);
    }
    put_sample(out, s);
    if (last) fputs("</dl></details>\n", out);
  }
}

void ft_report_put_samples(FILE *out, const ft_report *r) {
  int64_t count = 0;
  for (int64_t i = 0; i < r->num_runs; i++)
    count += r->runs[i].history.num_samples;
  if (count == 0) return;
  fputs("<section><h2 id=\"samples\">Samples</h2>\n", out);
  for (int64_t i = 0; i < r->num_runs; i++)
    put_samples_of(out, &r->runs[i]);
  fputs("</section>\n", out);
}
