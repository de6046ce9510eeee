/* One run, one writer: the lock file of a run directory. Not collective, all of it: rank 0's. */
#ifndef FT_RUN_LOCK_H
#define FT_RUN_LOCK_H

#include "ft/run.h"

typedef struct ft_run_lock ft_run_lock;

/* Takes RUN/lock, if need be from a holder that is provably gone; waits for one that gives no sign
 * of life, saying so, until it gives one or has been silent for two minutes. Errors: FT_ERR_CREATE,
 * naming host, job and age of the holder; FT_ERR_STOPPED. */
ft_err ft_run_lock_take(const char *run_dir, const ft_run_asked *asked, ft_run_lock **out);
/* Gives a sign of life, for which others wait FT_LOCK_BEAT_S. Any thread. */
void ft_run_lock_renew(ft_run_lock *lock);
#define FT_LOCK_BEAT_S 10.0
/* FT_ERR_CREATE if another job has taken over meanwhile. A lock that was removed is taken again;
 * where the directory was renamed, a link to it is left in its old place; what cannot be looked at
 * is looked for, for half a minute: FT_ERR_IO. NULL is FT_OK. */
ft_err ft_run_lock_check(ft_run_lock *lock);
/* Gives it up and removes the file. NULL is legal. */
void ft_run_lock_release(ft_run_lock *lock);

#endif
