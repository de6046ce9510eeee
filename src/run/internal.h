/* What the files of this module share: a run directory that is open. */
#ifndef FT_RUN_INTERNAL_H
#define FT_RUN_INTERNAL_H

#include "ft/run.h"
#include "lock.h"
#include "rows.h"
#include "tensorboard.h"
#include "watch.h"

struct ft_run {
  char *dir;
  int made;      /* levels of dir that ft_run_open has made */
  bool prepared; /* and that stay */
  ft_run_lock *lock;
  ft_run_watch *watch;
  ft_rows *rows;          /* of metrics.jsonl; NULL before ft_run_begin_rows */
  ft_tensorboard *curves; /* NULL: given up, or not begun */
};

#endif
