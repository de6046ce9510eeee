/* Which checkpoints a run may go on from: the newest that is whole, or the one that is asked for.
 * What is newer than that is set aside once the run goes on. */
#include <string.h>

#include "internal.h"

/* Rank 0: the steps to try, newest first. */
static ft_err list(const trainer *t, int64_t asked, ft_candidates *c) {
  ft_err err = FT_OK;
  int64_t *steps = NULL, num = 0;
  const char *dir = t->config->run_dir;
  FT_TRY(ft_checkpoint_list(dir, &steps, &num));
  FT_CHECK(num == 0 || t->config->resume != FT_RESUME_NEVER, FT_ERR_CONFIG,
           "%s holds a checkpoint of step %lld, and run.resume is \"never\": choose another "
           "run.dir, or \"auto\" to go on",
           dir, (long long)steps[num - 1]);
  for (int64_t i = num; i-- > 0 && c->count + c->num_newer < FT_CANDIDATES;) {
    if (asked < 0 || steps[i] == asked) c->steps[c->count++] = steps[i];
    if (asked >= 0 && steps[i] > asked) c->newer[c->num_newer++] = steps[i];
  }
  if (asked >= 0 && c->count == 0) {
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)asked);
    FT_TRY(ft_train_find_step(dir, number, &asked)); /* says which there are */
  }
out:
  ft_free(steps);
  return err;
}

ft_err ft_candidates_find(trainer *t, int64_t asked) {
  ft_candidates *c = &t->candidates;
  *c = (ft_candidates){.chosen = asked >= 0};
  ft_err err = ft_comm_agree(t->comm, t->rank == 0 ? list(t, asked, c) : FT_OK);
  return err == FT_OK ? ft_comm_broadcast(t->comm, 0, c, sizeof *c) : err;
}

/* ---------------------------------------------------------------- one after the other */

void ft_candidates_pass_over(trainer *t) {
  ft_candidates *c = &t->candidates;
  int64_t step = c->steps[c->next - 1];
  ft_log(FT_LOG_WARNING, "the checkpoint of step %lld is not whole: %s", (long long)step,
         ft_error_message());
  c->newer[c->num_newer++] = step;
  ft_checkpoint_close(t->checkpoint);
  t->checkpoint = NULL;
}

ft_err ft_candidates_open(trainer *t) {
  ft_candidates *c = &t->candidates;
  while (c->next < c->count) {
    int64_t step = c->steps[c->next++];
    ft_err err = ft_checkpoint_open_together(t->comm, t->config->run_dir, step, &t->checkpoint);
    if (err != FT_ERR_DATA) return err;
    ft_candidates_pass_over(t);
  }
  if (c->count == 0) return FT_OK;
  char cause[1024];
  snprintf(cause, sizeof cause, "%s", ft_error_message());
  return ft_fail(FT_ERR_DATA, "%s; %s", cause,
                 c->chosen ? "choose another checkpoint (--step N)"
                           : "no checkpoint of this run is whole, so it cannot go on: begin anew "
                             "with another run.dir");
}

/* ---------------------------------------------------------------- setting aside */

/* Rank 0: what is newer than where the run goes on would be taken for its newest next time. */
static ft_err set_aside(const trainer *t) {
  ft_err err = FT_OK;
  char *to = NULL;
  const ft_candidates *c = &t->candidates;
  for (int64_t i = 0; i < c->num_newer; i++) {
    ft_free(to);
    FT_TRY(ft_checkpoint_set_aside(t->config->run_dir, c->newer[i], &to));
    ft_log(FT_LOG_WARNING, "the checkpoint of step %lld is set aside as %s", (long long)c->newer[i],
           to);
  }
out:
  ft_free(to);
  return err;
}

/* Rank 0: whether the best step that the checkpoint knows of still has one. It may have been
 * removed when a newer one, which is set aside now, became the best. */
static ft_err best_is_there(const trainer *t, int64_t *there) {
  ft_err err = FT_OK;
  int64_t *steps = NULL, num = 0;
  FT_TRY(ft_checkpoint_list(t->config->run_dir, &steps, &num));
  for (int64_t i = 0; i < num; i++)
    *there |= steps[i] == t->evaluation.best.step;
out:
  ft_free(steps);
  return err;
}

/* Rank 0: the file `best`. */
static ft_err rewrite_best(const trainer *t) {
  const char *dir = t->config->run_dir;
  const ft_scored *best = &t->evaluation.best;
  return best->exists ? ft_run_write_best(dir, best->step) : ft_run_forget_best(dir);
}

ft_err ft_candidates_set_aside(trainer *t) {
  ft_err err = FT_OK;
  const ft_scored none = {0};
  int64_t there = 0;
  if (t->candidates.num_newer == 0) return FT_OK;
  if (t->rank == 0) err = set_aside(t);
  if (t->rank == 0 && err == FT_OK) err = best_is_there(t, &there);
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(ft_comm_max_i64(t->comm, &there, 1));
  if (!there) ft_evaluation_forget(&t->evaluation, t->evaluation.best.step, &none);
  t->saving.noted = t->evaluation.best;
  FT_TRY(ft_comm_agree(t->comm, t->rank == 0 ? rewrite_best(t) : FT_OK));
out:
  return err;
}
