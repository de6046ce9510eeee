/* Which checkpoints of a run stay and which are removed. */
#include <stdlib.h>

#include "internal.h"

static int by_number(const void *a, const void *b) {
  const int64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

/* What rank 0 does in ft_checkpoint_prune. What is newer than the newest checkpoint may be one that
 * is being written. */
static ft_err prune(const char *run_dir, int64_t keep, int64_t best) {
  ft_err err = FT_OK;
  int64_t *committed = NULL, *all = NULL, num_committed, num_all;
  FT_TRY(ft_checkpoint_list_steps(run_dir, true, &committed, &num_committed));
  FT_TRY(ft_checkpoint_list_steps(run_dir, false, &all, &num_all));
  if (num_committed == 0) goto out;
  int64_t newest = committed[num_committed - 1];
  int64_t first_kept = committed[FT_MAX(0, num_committed - FT_MAX(1, keep))];
  for (int64_t i = 0; i < num_all; i++) {
    int64_t step = all[i];
    bool is_checkpoint =
        bsearch(&step, committed, (size_t)num_committed, sizeof step, by_number) != NULL;
    bool kept = is_checkpoint ? step >= first_kept || step == best : step > newest;
    if (!kept) FT_TRY(ft_checkpoint_remove(run_dir, step));
  }
out:
  ft_free(committed);
  ft_free(all);
  return err;
}

ft_err ft_checkpoint_prune(ft_comm *comm, const char *run_dir, int64_t keep, int64_t best) {
  return ft_comm_agree(comm, ft_comm_rank(comm) == 0 ? prune(run_dir, keep, best) : FT_OK);
}
