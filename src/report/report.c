/* Reading the runs of a report, and writing what it makes of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- reading */

static ft_err read_usage(report_run *run) {
  ft_err err = FT_OK;
  char *path = NULL;
  FT_TRY(ft_path_join(run->dir, "usage.json", &path));
  if (ft_path_exists(path)) FT_TRY(ft_json_read(path, &run->usage));
out:
  ft_free(path);
  return err;
}

/* The steps after which the run went on, of those parts that its rows come from: what a later part
 * has begun before was overwritten. */
static ft_err find_resumes(report_run *run) {
  ft_err err = FT_OK;
  void *p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, cJSON_GetArraySize(run->starts), sizeof *run->resumes, &p));
  run->resumes = p;
  for (const cJSON *start = run->starts->child; start; start = start->next) {
    int64_t step;
    if (!ft_json_i64(ft_json_get(start, "step"), &step)) continue;
    while (run->num_resumes && run->resumes[run->num_resumes - 1] >= step)
      run->num_resumes--;
    if (step > 0) run->resumes[run->num_resumes++] = step;
  }
out:
  return err;
}

/* Of all runs, for the pictures. */
static ft_err collect_events(ft_report *r) {
  ft_err err = FT_OK;
  int64_t count = 0;
  void *p;
  for (int64_t i = 0; i < r->num_runs; i++)
    count += r->runs[i].num_resumes;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, count, sizeof *r->events, &p));
  r->events = p;
  for (int64_t i = 0; i < r->num_runs; i++)
    for (int64_t k = 0; k < r->runs[i].num_resumes; k++)
      r->events[r->num_events++] =
          (plot_event){.x = (double)r->runs[i].resumes[k],
                       .colour = r->num_runs > 1 ? (int)i : PLOT_PLAIN_COLOUR};
out:
  return err;
}

static ft_err read_run(const char *dir, report_run *run) {
  ft_err err = FT_OK;
  FT_TRY(ft_strdup(dir, &run->dir));
  for (size_t n = strlen(run->dir); n > 1 && run->dir[n - 1] == '/'; n--)
    run->dir[n - 1] = 0;
  FT_TRY(ft_report_read_config(run->dir, &run->config));
  FT_TRY(ft_history_read(run->dir, &run->history));
  FT_TRY(ft_status_read(run->dir, &run->status));
  FT_TRY(ft_run_read_starts(run->dir, &run->starts));
  run->planned_steps = ft_report_planned_steps(run->config, run->starts);
  FT_TRY(find_resumes(run));
  FT_TRY(read_usage(run));
  if (ft_run_read_best(run->dir, &run->best_step) != FT_OK) run->best_step = -1;
out:
  return err;
}

/* The last `parts` parts of a path. */
static const char *tail_of(const char *path, int parts) {
  const char *at = path + strlen(path);
  while (at > path && !(at[-1] == '/' && --parts == 0))
    at--;
  return at;
}

/* As short as tells the runs apart. */
static void name_runs(ft_report *r) {
  for (int64_t i = 0; i < r->num_runs; i++) {
    int parts = 1;
    bool unique = false;
    while (!unique && parts < 64) {
      r->runs[i].name = tail_of(r->runs[i].dir, parts++);
      unique = true;
      for (int64_t j = 0; j < r->num_runs; j++)
        unique &= j == i || strcmp(tail_of(r->runs[j].dir, parts - 1), r->runs[i].name) != 0;
    }
  }
}

ft_err ft_report_open(char *const *run_dirs, int64_t num_runs, ft_report **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_CHECK(num_runs <= FT_REPORT_MAX_RUNS, FT_ERR_USAGE,
           "%lld runs: a report lays at most %d over each other, more lines cannot be told apart",
           (long long)num_runs, FT_REPORT_MAX_RUNS);
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(ft_report), &memory));
  ft_report *r = memory;
  void *p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, num_runs, sizeof *r->runs, &p));
  r->runs = p;
  r->num_runs = num_runs;
  for (int64_t i = 0; i < num_runs; i++)
    FT_TRY(read_run(run_dirs[i], &r->runs[i]));
  name_runs(r);
  FT_TRY(collect_events(r));
  FT_TRY(ft_report_make_figures(r));
  *out = r;
  memory = NULL;
out:
  ft_report_free(memory);
  return err;
}

static void free_figure(report_figure *f) {
  for (int64_t i = 0; i < f->plot.num_series; i++)
    ft_free(f->plot.series[i].name);
  ft_free(f->plot.series);
}

void ft_report_free(ft_report *r) {
  if (!r) return;
  for (int64_t i = 0; i < r->num_figures; i++)
    free_figure(&r->figures[i]);
  for (int64_t i = 0; i < r->num_arrays; i++)
    ft_free(r->arrays[i]);
  for (int64_t i = 0; r->runs && i < r->num_runs; i++) {
    ft_free(r->runs[i].dir);
    cJSON_Delete(r->runs[i].config);
    ft_status_fini(&r->runs[i].status);
    ft_history_fini(&r->runs[i].history);
    cJSON_Delete(r->runs[i].starts);
    cJSON_Delete(r->runs[i].usage);
    ft_free(r->runs[i].resumes);
  }
  ft_free(r->figures);
  ft_free(r->arrays);
  ft_free(r->events);
  ft_free(r->runs);
  ft_free(r);
}

/* ---------------------------------------------------------------- writing */

ft_err ft_report_write(const char *path, void (*put)(FILE *out, const void *arg), const void *arg) {
  ft_err err = FT_OK;
  char *text = NULL;
  size_t bytes = 0;
  FILE *out = open_memstream(&text, &bytes);
  FT_CHECK(out, FT_ERR_MEMORY, "%s: no memory for its text", path);
  put(out, arg);
  bool complete = fclose(out) == 0;
  FT_CHECK(complete, FT_ERR_MEMORY, "%s: no memory for its text", path);
  if (strcmp(path, "-") != 0)
    FT_TRY(ft_write_file(path, text, bytes));
  else
    FT_CHECK(fwrite(text, 1, bytes, stdout) == bytes && fflush(stdout) == 0, FT_ERR_IO,
             "standard output: cannot write: %s", strerror(errno));
out:
  free(text);
  return err;
}

static void put_picture(FILE *out, const void *arg) {
  ft_plot_file(out, arg);
}

/* "02-validation-loss.svg": a title as a file name; the number tells equal ones apart. */
static void file_name(int64_t number, const char *title, char out[160]) {
  size_t n = (size_t)snprintf(out, 160, "%02lld-", (long long)number);
  for (const char *c = title; *c && n < 150; c++) {
    char lower = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    bool plain = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    if (plain)
      out[n++] = lower;
    else if (out[n - 1] != '-')
      out[n++] = '-';
  }
  while (out[n - 1] == '-')
    n--;
  snprintf(out + n, 160 - n, ".svg");
}

ft_err ft_report_write_pictures(const ft_report *r, const char *dir) {
  ft_err err = FT_OK;
  char *path = NULL, name[160];
  FT_TRY(ft_make_dirs(dir));
  for (int64_t i = 0; i < r->num_figures; i++) {
    file_name(i + 1, r->figures[i].title, name);
    FT_TRY(ft_path_join(dir, name, &path));
    FT_TRY(ft_report_write(path, put_picture, &r->figures[i].plot));
    ft_free(path);
    path = NULL;
  }
out:
  ft_free(path);
  return err;
}
