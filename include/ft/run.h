/* run: a run directory: who may write there, the rows of metrics.jsonl, TensorBoard's curves, the
 * best step, the configuration as it was. No MPI: one process writes, rank 0. Not collective, all
 * of it. docs/formats.md describes the files. */
#ifndef FT_RUN_H
#define FT_RUN_H

#include "ft/run_config.h"

/* ---------------------------------------------------------------- the directory */

/* A run directory that this process may write to. */
typedef struct ft_run ft_run;

/* Whether to stop waiting. */
typedef struct ft_run_asked {
  bool (*to_stop)(void *arg);
  void *arg;
} ft_run_asked;

/* Makes DIR where it is missing and takes its lock, if need be from a holder that is provably gone;
 * one that may be is waited for, unless `asked` (NULL: nobody is) says to stop. Nobody else may
 * write there until ft_run_close. What the run will write to is looked at. Errors: FT_ERR_CREATE,
 * naming host, job and age of the holder, or what is in the way; FT_ERR_STOPPED. */
ft_err ft_run_open(const char *dir, const ft_run_asked *asked, ft_run **out);
/* Whether DIR can be written to and has room for `bytes` more, by writing to a file and reserving
 * the rest, all of which is given back. Errors: FT_ERR_CREATE, FT_ERR_IO naming what is needed and
 * what is free. */
ft_err ft_run_check_room(const ft_run *run, int64_t bytes);
/* FT_ERR_CREATE if another job has taken over meanwhile. Where the directory was renamed, a link in
 * its old place leads there afterwards. NULL is FT_OK. */
ft_err ft_run_check(const ft_run *run);
/* Whether somebody has put a file `stop` into the directory. */
bool ft_run_asked_to_stop(const char *dir);
/* Calls `asked` once, on another thread, within about a second of that file being there; not after
 * ft_run_give_up. */
void ft_run_on_stop(ft_run *run, void (*asked)(void *arg), void *arg);
/* Makes the folders of logs, checkpoints and curves. Before that a directory that ft_run_open has
 * made goes away again when the run is closed: a run that is refused leaves nothing. Errors:
 * FT_ERR_CREATE. */
ft_err ft_run_prepare(ft_run *run);
/* Writes config.json, and appends to history.jsonl how this part of the run began: `start` is taken
 * over and gets a time. Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_run_begin(ft_run *run, const cJSON *config, cJSON *start);
/* Gives the directory up, while its files may still be written to: for what is abandoned. NULL is
 * legal. */
void ft_run_give_up(ft_run *run);
/* Writes what is kept, and gives the directory up. NULL is legal. */
void ft_run_close(ft_run *run);

/* The file `best`: the step of the best checkpoint. Errors of reading: FT_ERR_NOINPUT. */
ft_err ft_run_write_best(const char *dir, int64_t step);
ft_err ft_run_read_best(const char *dir, int64_t *step);
/* No step is the best any more. Errors: FT_ERR_IO. */
ft_err ft_run_forget_best(const char *dir);

/* ---------------------------------------------------------------- metrics */

/* How a column's number is written. */
typedef enum ft_metric_form {
  FT_METRIC_EXACT,  /* 17 significant digits: equal text means equal bits */
  FT_METRIC_RATE,   /* 9 significant digits */
  FT_METRIC_COUNT,  /* a whole number below 2^53 */
  FT_METRIC_MICRO,  /* 6 decimals */
  FT_METRIC_SHARE,  /* 4 decimals */
  FT_METRIC_DECIMAL /* 1 decimal */
} ft_metric_form;

/* A number of a step. What is not finite is null in the row and missing in the curve. */
typedef struct ft_metric {
  const char *name;  /* in metrics.jsonl */
  const char *curve; /* in TensorBoard; NULL: none */
  ft_metric_form form;
  double value;
  const char *group; /* the object in the row that it is a member of, with its neighbours of the
                        same group; NULL: the row itself */
} ft_metric;

/* Opens metrics.jsonl and TensorBoard's curves behind what is there of a run that reached `step`.
 * Errors: FT_ERR_CREATE, FT_ERR_MEMORY. */
ft_err ft_run_begin_rows(ft_run *run, int64_t step);
/* The row of a step, after "step". A file that cannot be written is said once, and rows are kept in
 * memory until it can; curves are given up. Errors: FT_ERR_MEMORY, FT_ERR_IO (too many are kept).
 */
ft_err ft_run_write_step(ft_run *run, int64_t step, const ft_metric *metrics, int64_t num_metrics);
/* The row of an evaluation: validation is {NAME: {"loss":…, "perplexity":…, "targets":…}}, where
 * figures may lie in one object more; samples: [{"prompt":…, "text":…}], or NULL. Errors: the same.
 */
ft_err ft_run_write_validation(ft_run *run, int64_t step, const cJSON *validation,
                               const cJSON *samples);
/* All rows so far are on the disk when this returns. Errors: FT_ERR_IO. */
ft_err ft_run_sync(ft_run *run);

/* Rows that could not be written yet, as strings: for a checkpoint, which does not wait for them.
 * NULL: none. cJSON_Delete. */
cJSON *ft_run_unwritten(const ft_run *run);
/* Appends those of a checkpoint's unwritten rows that DIR's metrics.jsonl does not have. rows may
 * be NULL. Errors: FT_ERR_IO. */
ft_err ft_run_add_missing(const char *dir, const cJSON *rows);
/* Keeps of DIR's metrics.jsonl what a run that reached `step` has written: an evaluation at `step`
 * stays if keep_evaluation. *has_evaluation: one at `step` is there. Errors: FT_ERR_IO. */
ft_err ft_run_rewind(const char *dir, int64_t step, bool keep_evaluation, bool *has_evaluation);
/* {"step":…,"validation":{…}}, with "samples" unless that is NULL, as metrics.jsonl has it; *out:
 * ft_free. */
ft_err ft_metrics_text(int64_t step, const cJSON *validation, const cJSON *samples, char **out);

#endif
