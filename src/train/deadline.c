/* When to stop so that a checkpoint still fits the time limit, and what a signal is answered with.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

/* Until a checkpoint was timed, a node is taken to write this much a second. */
#define ASSUMED_BYTES_PER_S 200e6
/* Of the limit that is kept free beside the checkpoint: for agreeing, an update, and leaving. */
#define RESERVE_SHARE 0.02
#define LEAST_RESERVE_S 1.0
#define MOST_RESERVE_S 20.0

/* ---------------------------------------------------------------- the time limit */

/* What SLURM_JOB_END_TIME (seconds since 1970) comes to by ft_now_s's clock; 0: nothing, or what
 * cannot be this job's: the variable outlives its job in shells and in what they start. */
static double slurm_end_s(void) {
  const char *text = getenv("SLURM_JOB_END_TIME");
  char *rest = NULL;
  double at = text ? strtod(text, &rest) : 0, left_s = at - (double)time(NULL);
  if (!text || rest == text || !(at > 0)) return 0;
  if (left_s > 0) return ft_now_s() + left_s;
  ft_log(FT_LOG_WARNING,
         "SLURM_JOB_END_TIME=%s is in the past by %.0f s: another job's, and not heeded", text,
         -left_s);
  return 0;
}

/* When the job will be ended, by ft_now_s's clock; 0: not known. */
static double end_of_time(const trainer *t) {
  double limit_s =
      t->config->time_limit_s > 0 ? t->stopping.started_s + t->config->time_limit_s : 0;
  double slurm_s = t->stopping.slurm_end_s;
  return limit_s > 0 && slurm_s > 0 ? fmin(limit_s, slurm_s) : fmax(limit_s, slurm_s);
}

/* A wrong estimate must not keep a run from ever making a step: it takes at most half of the time.
 */
static double reserve_s(const trainer *t, double end_s) {
  double whole_s = end_s - t->stopping.started_s, write_s = 1.25 * t->saving.seconds;
  if (!t->saving.measured) write_s = fmin(write_s, 0.5 * whole_s);
  return write_s + fmin(fmax(RESERVE_SHARE * whole_s, LEAST_RESERVE_S), MOST_RESERVE_S);
}

/* What Ctrl-C is answered with, from now on. */
static void prepare_answers(const trainer *t) {
  const ft_saving *s = &t->saving;
  int64_t saved = s->committed ? s->committed_step : 0;
  char first[320], second[320];
  if (t->rank != 0) return;
  if (t->step > saved) {
    snprintf(first, sizeof first,
             "stopping: the checkpoint of step %lld is written now, which takes about %.1f s; a "
             "second signal ends at once and loses steps %lld to %lld",
             (long long)t->step, s->seconds, (long long)saved + 1, (long long)t->step);
    snprintf(second, sizeof second,
             "ended at once: unless their checkpoint was just committed, steps %lld to %lld are "
             "lost; run again to go on from %s %lld",
             (long long)saved + 1, (long long)t->step, saved > 0 ? "step" : "the beginning, step",
             (long long)saved);
  } else {
    snprintf(first, sizeof first,
             "stopping: all %lld steps that are done are saved already; a second signal ends at "
             "once and loses none of them",
             (long long)t->step);
    snprintf(second, sizeof second, "ended at once: run again to go on from step %lld",
             (long long)t->step);
  }
  ft_signals_answer(first, second);
}

static void set_deadline(trainer *t) {
  double end_s = t->rank == 0 ? end_of_time(t) : 0;
  if (end_s <= 0) return;
  double deadline_s = end_s - reserve_s(t, end_s), now_s = ft_now_s();
  /* A step that cannot end in time need not begin. */
  if (t->step > 0 && now_s + t->stopping.shortest_step_s > deadline_s) deadline_s = now_s;
  ft_comm_set_deadline(t->comm, deadline_s);
}

/* Where no signal can be sent, a file asks. Another thread calls this. */
static void stop_by_file(void *arg) {
  trainer *t = arg;
  t->stopping.by_file = true;
  ft_comm_set_deadline(t->comm, ft_now_s());
}

void ft_trainer_plan_stop(trainer *t) {
  prepare_answers(t);
  set_deadline(t);
  if (t->stopping.by_file) stop_by_file(t); /* whatever the time limit is */
}

static double estimate_checkpoint_s(const trainer *t) {
  return (double)ft_trainer_checkpoint_bytes(t) / ft_comm_num_nodes(t->comm) / ASSUMED_BYTES_PER_S;
}

void ft_trainer_prepare_stop(trainer *t) {
  if (t->saving.seconds == 0) t->saving.seconds = estimate_checkpoint_s(t);
  if (t->rank == 0) t->stopping.slurm_end_s = slurm_end_s(); /* once: the time of day may be set */
  if (t->rank == 0) ft_run_on_stop(t->run, stop_by_file, t);
  double end_s = t->rank == 0 ? end_of_time(t) : 0;
  if (end_s > 0)
    ft_log(FT_LOG_INFO, "the run may last %.0f s more; %.0f s of it are kept for a checkpoint",
           end_s - ft_now_s(), reserve_s(t, end_s));
  ft_trainer_plan_stop(t);
}
