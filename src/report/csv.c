/* All numbers of the runs, a line a run and step. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* A column of the file: of the steps' tables, or of the evaluations'. */
typedef struct csv_column {
  const char *group, *name;
  bool evaluations;
} csv_column;

typedef struct csv {
  const ft_report *report;
  csv_column *columns;
  int64_t num_columns;
} csv;

static const ft_table *table_of(const report_run *run, bool evaluations) {
  return evaluations ? &run->history.evaluations : &run->history.steps;
}

static bool has_column(const csv *c, const ft_column *column, bool evaluations) {
  for (int64_t i = 0; i < c->num_columns; i++)
    if (c->columns[i].evaluations == evaluations &&
        strcmp(c->columns[i].group, column->group) == 0 &&
        strcmp(c->columns[i].name, column->name) == 0)
      return true;
  return false;
}

/* The columns of all runs, in the order in which they are met. */
static ft_err collect(csv *c, bool evaluations) {
  for (int64_t i = 0; i < c->report->num_runs; i++) {
    const ft_table *t = table_of(&c->report->runs[i], evaluations);
    for (int64_t j = 0; j < t->num_columns; j++) {
      if (has_column(c, &t->columns[j], evaluations)) continue;
      ft_err err =
          ft_grow_one(FT_MEM_OTHER, c->num_columns, sizeof *c->columns, (void **)&c->columns);
      if (err != FT_OK) return err;
      c->columns[c->num_columns++] = (csv_column){
          .group = t->columns[j].group, .name = t->columns[j].name, .evaluations = evaluations};
    }
  }
  return FT_OK;
}

/* A field in quotes where it has to be (RFC 4180). */
static void put_part(FILE *out, const char *text) {
  for (const char *c = text; *c; c++) {
    if (*c == '"') fputc('"', out);
    fputc(*c, out);
  }
}

static void put_name(FILE *out, const csv_column *c) {
  bool quoted = strpbrk(c->group, ",\"\r\n") || strpbrk(c->name, ",\"\r\n");
  fputs(quoted ? ",\"" : ",", out);
  if (c->evaluations) fputs("validation.", out);
  put_part(out, c->group);
  if (*c->group) fputc('.', out);
  put_part(out, c->name);
  if (quoted) fputc('"', out);
}

static void put_row(FILE *out, const csv *c, const report_run *run, int64_t step, int64_t train_row,
                    int64_t evaluation_row) {
  bool quoted = strpbrk(run->name, ",\"\r\n");
  if (quoted) fputc('"', out);
  put_part(out, run->name);
  if (quoted) fputc('"', out);
  fprintf(out, ",%lld", (long long)step);
  for (int64_t i = 0; i < c->num_columns; i++) {
    const csv_column *k = &c->columns[i];
    int64_t row = k->evaluations ? evaluation_row : train_row;
    const ft_column *column =
        row < 0 ? NULL : ft_table_find(table_of(run, k->evaluations), k->group, k->name);
    fputc(',', out);
    if (column && isfinite(column->values[row])) fprintf(out, "%.17g", column->values[row]);
  }
  fputc('\n', out);
}

/* Merges the two tables by step. */
static void put_run(FILE *out, const csv *c, const report_run *run) {
  const ft_table *train = &run->history.steps, *evaluations = &run->history.evaluations;
  for (int64_t i = 0, j = 0; i < train->num_rows || j < evaluations->num_rows;) {
    int64_t a = i < train->num_rows ? train->steps[i] : INT64_MAX;
    int64_t b = j < evaluations->num_rows ? evaluations->steps[j] : INT64_MAX;
    put_row(out, c, run, FT_MIN(a, b), a <= b ? i : -1, b <= a ? j : -1);
    if (a <= b) i++;
    if (b <= a) j++;
  }
}

static void put_csv(FILE *out, const void *arg) {
  const csv *c = arg;
  fputs("run,step", out);
  for (int64_t i = 0; i < c->num_columns; i++)
    put_name(out, &c->columns[i]);
  fputc('\n', out);
  for (int64_t i = 0; i < c->report->num_runs; i++)
    put_run(out, c, &c->report->runs[i]);
}

ft_err ft_report_write_csv(const ft_report *r, const char *path) {
  ft_err err = FT_OK;
  csv c = {.report = r};
  FT_TRY(collect(&c, false));
  FT_TRY(collect(&c, true));
  FT_TRY(ft_report_write(path, put_csv, &c));
out:
  ft_free(c.columns);
  return err;
}
