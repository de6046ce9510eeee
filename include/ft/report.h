/* report: what runs were, from the files of their run directories: one page of curves and facts,
 * where a run is now, and whether its numbers are good enough. Needs no MPI, no model and no data,
 * and writes nothing into a run. Not collective, all of it. */
#ifndef FT_REPORT_H
#define FT_REPORT_H

#include "ft/run_read.h"

/* ---------------------------------------------------------------- the page */

/* More lines than that in one picture cannot be told apart. */
enum { FT_REPORT_MAX_RUNS = 8 };

typedef struct ft_report ft_report;

/* Reads what the report tells of [num_runs] run directories. Errors: FT_ERR_NOINPUT (a directory
 * that is not there), FT_ERR_DATA (it is no run directory; a damaged file, named), FT_ERR_USAGE
 * (too many runs), FT_ERR_IO, FT_ERR_MEMORY. Free with ft_report_free. */
ft_err ft_report_open(char *const *run_dirs, int64_t num_runs, ft_report **out);
void ft_report_free(ft_report *report);

/* One HTML page that needs nothing else: curves laid over each other, tables, configurations.
 * path "-": standard output. Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_report_write_page(const ft_report *report, const char *path);
/* The page's pictures as DIR/NAME.svg, each alone. Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_report_write_pictures(const ft_report *report, const char *dir);
/* All numbers, a line a run and step, with what was evaluated after it; docs/report.md has the
 * columns. path "-": standard output. Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_report_write_csv(const ft_report *report, const char *path);

/* ---------------------------------------------------------------- where a run is now */

typedef enum ft_run_state {
  FT_RUN_NEW,      /* prepared: no step is finished, and nobody holds it */
  FT_RUN_STARTING, /* held, no step finished yet */
  FT_RUN_RUNNING,  /* held */
  FT_RUN_FINISHED, /* its last step is done */
  FT_RUN_STOPPED,  /* given up before the last step: run again to go on */
  FT_RUN_LOST,     /* the holder is gone and has not given it up: killed, or its node is lost */
  FT_RUN_NUM_STATES
} ft_run_state;
const char *ft_run_state_name(ft_run_state state); /* "running" … */

/* Numbers that do not exist are NaN, steps -1. */
typedef struct ft_status {
  ft_run_state state;
  ft_run_holder holder;
  int64_t step, num_steps; /* the last finished, of how many (-1: not known) */
  double loss, tokens_per_second, share_of_peak; /* the last step's; the last steps' medians */
  double left_s;                                 /* of steps alone; 0 of a finished run */
  int64_t checkpoint_step;                       /* the newest committed one */
  int64_t evaluated_step, best_step;
  cJSON *evaluated, *best; /* {set: {"loss":…}} of these two; NULL: there is none; owned */
} ft_status;

/* From the ends of the run's files: a run of any length takes about a millisecond. Errors:
 * FT_ERR_NOINPUT, FT_ERR_DATA, FT_ERR_IO, FT_ERR_MEMORY. Free with ft_status_fini, also after an
 * error. */
ft_err ft_status_read(const char *run_dir, ft_status *out);
void ft_status_fini(ft_status *status);
/* As one JSON object, for programs (docs/report.md); cJSON_Delete. */
ft_err ft_status_json(const char *run_dir, const ft_status *status, cJSON **out);

/* ---------------------------------------------------------------- is it good enough */

/* The number that `metric` names (docs/report.md lists the names) at `step`, or with step -1 at the
 * last row that has it. *step becomes the step it was found at. Errors: FT_ERR_NOINPUT: there is no
 * such number, with those that there are; FT_ERR_DATA: it is null there. */
ft_err ft_gate_value(const ft_history *history, const char *metric, int64_t *step, double *value);

#endif
