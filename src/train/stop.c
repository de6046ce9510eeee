/* The end before the end: the checkpoint of the last finished step once the job has stopped in the
 * middle of the next. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

ft_err ft_trainer_commit_stop(trainer *t) {
  ft_err err = FT_OK;
  char cause[256];
  double asked_s = ft_comm_stop_cause(t->comm, cause, sizeof cause);
  if (t->stopping.by_file)
    snprintf(cause, sizeof cause, "the file %.200s/stop (remove it to go on)", t->config->run_dir);
  ft_comm_start_over(t->comm);
  if (t->stopping.finished) return FT_OK;
  if (t->step == 0)
    return ft_fail(FT_ERR_STOPPED,
                   "stopped by %s before a step was finished or a checkpoint loaded: run again",
                   cause);
  bool saved = t->saving.committed && t->saving.committed_step == t->step;
  if (!saved)
    ft_log(FT_LOG_INFO,
           "stopped by %s: the checkpoint of step %lld is written, which takes about "
           "%.1f s",
           cause, (long long)t->step, t->saving.seconds);
  if (t->saving.writer && t->saving.step == t->step) FT_TRY(ft_trainer_finish_checkpoint(t));
  if (!(t->saving.committed && t->saving.committed_step == t->step)) {
    FT_TRY(ft_trainer_begin_checkpoint(t));
    FT_TRY(ft_trainer_finish_checkpoint(t));
  }
  err = ft_fail(FT_ERR_STOPPED,
                "stopped by %s after step %lld of %lld; its checkpoint was there %.2f s later: run "
                "again to go on",
                cause, (long long)t->step, (long long)t->steps, ft_now_s() - asked_s);
out:
  return err;
}
