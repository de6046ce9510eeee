/* What goes on beside a run as long as its directory is held, on a thread of its own. Not
 * collective, all of it: rank 0's. */
#ifndef FT_RUN_WATCH_H
#define FT_RUN_WATCH_H

#include "lock.h"

typedef struct ft_run_watch ft_run_watch;

/* Gives signs of life for a lock, which is borrowed, until ft_run_watch_end. */
ft_err ft_run_watch_begin(const char *run_dir, ft_run_lock *lock, ft_run_watch **out);
/* From now on, within a second of RUN/stop being there, `asked` is called on the watch's thread:
 * once. NULL: no more. */
void ft_run_watch_stop(ft_run_watch *watch, void (*asked)(void *arg), void *arg);
/* NULL is legal. */
void ft_run_watch_end(ft_run_watch *watch);

#endif
