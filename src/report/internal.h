/* What the files of this module share: the runs of a report, and its pictures. */
#ifndef FT_REPORT_INTERNAL_H
#define FT_REPORT_INTERNAL_H

#include "ft/report.h"
#include "ft/run.h"
#include "plot.h"

typedef struct report_run {
  char *dir;
  const char *name; /* the last part of dir, or more of it where that is another run's too */
  cJSON *config;    /* as resolved; NULL: not there */
  ft_status status;
  ft_history history;
  cJSON *usage;                  /* of usage.json; NULL: not there */
  cJSON *starts;                 /* of history.jsonl */
  double *train_x;               /* [history.steps.num_rows]: its steps as numbers */
  int64_t best_step;             /* that the run kept as the best; -1: none */
  int64_t planned_steps;         /* -1: not known */
  int64_t *resumes, num_resumes; /* the steps after which it went on */
} report_run;

/* One picture with what it draws. */
typedef struct report_figure {
  const char *section;
  plot plot;
  char id[64], title[128];
} report_figure;

struct ft_report {
  report_run *runs;
  int64_t num_runs;
  report_figure *figures;
  int64_t num_figures;
  plot_event *events; /* resumes, of all runs */
  int64_t num_events;
  double **arrays; /* owned: values that were computed for figures */
  int64_t num_arrays;
};

/* ---- report.c */
/* The run's configuration as it was resolved (cJSON_Delete). Errors: FT_ERR_NOINPUT; FT_ERR_DATA:
 * it is no run directory; FT_ERR_IO. */
ft_err ft_report_read_config(const char *dir, cJSON **out);
/* How many steps the run is to have, by its last start or else its configuration; -1: not known. */
int64_t ft_report_planned_steps(const cJSON *config, const cJSON *starts);

/* ---- figures.c */
/* Makes the figures of the runs that were read. Errors: FT_ERR_MEMORY. */
ft_err ft_report_make_figures(ft_report *r);

/* ---- tables.c, settings.c: parts of the page */
/* Opens a table with a column for each run; the caller closes tbody, table and div. */
void ft_report_put_runs_head(FILE *out, const ft_report *r, const char *corner);
void ft_report_put_overview(FILE *out, const ft_report *r);
void ft_report_put_usage(FILE *out, const ft_report *r);
void ft_report_put_numbers(FILE *out, const ft_report *r);
void ft_report_put_configurations(FILE *out, const ft_report *r);
void ft_report_put_environments(FILE *out, const ft_report *r);
void ft_report_put_samples(FILE *out, const ft_report *r);

/* ---- writing: calls `put` with a stream and commits what it wrote under `path`; "-" is standard
 * output. Errors: FT_ERR_CREATE, FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_report_write(const char *path, void (*put)(FILE *out, const void *arg), const void *arg);

#endif
