/* One run, one writer: the lock file of a run directory. Not collective, all of it: rank 0's. */
#ifndef FT_RUN_LOCK_H
#define FT_RUN_LOCK_H

#include "ft/io.h"

typedef struct ft_run_lock ft_run_lock;

/* Takes RUN/lock, if need be from a holder that is provably gone. Errors: FT_ERR_CREATE, naming
 * host, job and age of the holder. */
ft_err ft_run_lock_take(const char *run_dir, ft_run_lock **out);
/* FT_ERR_CREATE if another job has taken over meanwhile. NULL is FT_OK. */
ft_err ft_run_lock_check(const ft_run_lock *lock);
/* Gives it up and removes the file. NULL is legal. */
void ft_run_lock_release(ft_run_lock *lock);

#endif
