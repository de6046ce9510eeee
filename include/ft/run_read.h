/* run_read: what a run directory says of its run, for those who only look. Nothing here writes,
 * and a run that goes on meanwhile is not disturbed. Not collective, all of it. */
#ifndef FT_RUN_READ_H
#define FT_RUN_READ_H

#include "ft/io.h"

/* Numbers of one name, one for each row of a table: members of the rows of metrics.jsonl. A member
 * of an object has the object's name as its group: "rewards" and "margin", or a validation set and
 * "loss"; other columns have the group "". */
typedef struct ft_column {
  char *group, *name;
  double *values; /* [num_rows]; NaN where a row lacks it, or has null */
  int64_t room;   /* that values has, of the reader */
} ft_column;

/* Rows in the order of the file, which is that of steps. */
typedef struct ft_table {
  int64_t num_rows, num_columns;
  int64_t *steps; /* [num_rows] */
  ft_column *columns;
  int64_t room; /* that steps has, of the reader */
} ft_table;

/* What the model wrote when it was asked at an evaluation. */
typedef struct ft_sample {
  int64_t step;
  char *prompt, *text;
} ft_sample;

/* metrics.jsonl as numbers. */
typedef struct ft_history {
  ft_table steps;       /* training: loss, grad_norm, lr, targets, tokens, seconds … */
  ft_table evaluations; /* a group for each validation set: loss, perplexity, targets … */
  ft_sample *samples;   /* [num_samples] */
  int64_t num_samples;
} ft_history;

/* Reads RUN/metrics.jsonl, or an empty history where there is none. A last line without its end is
 * still being written, and left out. Errors: FT_ERR_DATA naming the line, FT_ERR_IO,
 * FT_ERR_MEMORY. Free with ft_history_fini, also after an error. */
ft_err ft_history_read(const char *run_dir, ft_history *out);
void ft_history_fini(ft_history *history);

/* The column, or NULL. */
const ft_column *ft_table_find(const ft_table *table, const char *group, const char *name);
/* The last row at or before `step`; -1: there is none. */
int64_t ft_table_row_at(const ft_table *table, int64_t step);

/* RUN/history.jsonl as an array: how each part of the run began (docs/formats.md); empty where
 * there is no such file. Errors: FT_ERR_DATA naming the line, FT_ERR_IO. *out: cJSON_Delete. */
ft_err ft_run_read_starts(const char *run_dir, cJSON **out);

/* ---------------------------------------------------------------- where a run is
 * Read from the ends of its files, so that asking costs the same however long the run is. */

/* The newest rows of RUN/metrics.jsonl. */
enum { FT_TAIL_STEPS = 20 };
typedef struct ft_tail {
  cJSON *steps[FT_TAIL_STEPS]; /* of steps, the newest first; owned */
  int64_t num_steps;
  cJSON *evaluation; /* the newest; NULL: there is none; owned */
} ft_tail;

/* Errors: as ft_history_read. Free with ft_tail_fini, also after an error. */
ft_err ft_tail_read(const char *run_dir, ft_tail *out);
void ft_tail_fini(ft_tail *tail);
/* The evaluation made after `step` (cJSON_Delete), or NULL. Errors: the same. */
ft_err ft_run_read_evaluation(const char *run_dir, int64_t step, cJSON **out);
/* The newest step that has a committed checkpoint; -1: there is none. Errors: FT_ERR_IO. */
ft_err ft_run_newest_checkpoint(const char *run_dir, int64_t *step);

/* Who holds a run directory, by its lock file. */
typedef struct ft_run_holder {
  bool found; /* there is a lock file; all else is about its holder */
  bool alive; /* it is locked, or its last sign of life is not older than the lock allows */
  char host[256], job[64]; /* "": not known, not part of a batch job */
  int64_t pid;
  double held_s, silence_s; /* since it took the lock, since its last sign of life */
} ft_run_holder;

/* Looks without taking anything, on any machine that sees the directory. Ages compare the file's
 * time with this machine's clock. Errors: FT_ERR_IO. */
ft_err ft_run_look_at_holder(const char *run_dir, ft_run_holder *out);

#endif
