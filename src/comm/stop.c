/* Stopping in the middle of a step.
 *
 * The program is a sequence of sections that all ranks do or none (an update, a commit), and of
 * time between them (forward and backward passes), where it may stop. Every rank counts the
 * sections it has begun. To stop, rank 0 asks all ranks; each answers with its count and from then
 * on begins no section (control.c). The largest count is what all ranks can reach: whoever began
 * that section came through all collectives before it, so everybody can. Rank 0 says so, all ranks
 * go on until they have left that many sections, and there each communication thread leaves the
 * queue as it is: the operation in progress returns unfinished, waiters get FT_ERR_STOPPED, and
 * what is posted from then on moves on communicators and a board that no abandoned message can
 * reach.
 */
#include "comm_internal.h"

#include <signal.h>
#include <string.h>

static atomic_llong signs_of_life;

/* ---------------------------------------------------------------- who asked, when, for what */

static const char *signal_name(int number) {
  static const struct {
    int number;
    const char *name;
  } known[] = {{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGUSR1, "SIGUSR1"},
               {SIGUSR2, "SIGUSR2"}, {SIGHUP, "SIGHUP"}, {SIGXCPU, "SIGXCPU"},
               {SIGPWR, "SIGPWR"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(known); i++)
    if (known[i].number == number) return known[i].name;
  return "a request";
}

double ft_comm_stop_cause(ft_comm *comm, char *out, size_t size) {
  pthread_mutex_lock(&comm->lock);
  ft_control_message cause = comm->cause;
  double asked_s = comm->asked_s;
  pthread_mutex_unlock(&comm->lock);
  switch ((ft_reason)cause.reason) {
  case FT_REASON_TIME:
    snprintf(out, size, "the time limit");
    break;
  case FT_REASON_SIGNAL:
    snprintf(out, size, "%s at rank %d (host %s)", signal_name(cause.signal), cause.origin,
             cause.host);
    break;
  case FT_REASON_STALL:
    snprintf(out, size, "a stall that rank %d (host %s) saw", cause.origin, cause.host);
    break;
  case FT_REASON_NONE:
    snprintf(out, size, "nothing");
    break;
  }
  return asked_s;
}

void ft_comm_set_deadline(ft_comm *comm, double at_s) {
  pthread_mutex_lock(&comm->lock);
  comm->deadline_s = at_s;
  pthread_mutex_unlock(&comm->lock);
}

void ft_comm_set_stall_timeout(ft_comm *comm, double seconds) {
  pthread_mutex_lock(&comm->lock);
  comm->stall_timeout_s = seconds;
  pthread_mutex_unlock(&comm->lock);
}

void ft_comm_set_step(ft_comm *comm, int64_t step) {
  pthread_mutex_lock(&comm->lock);
  comm->step = step;
  pthread_mutex_unlock(&comm->lock);
}

const char *ft_comm_enter(ft_comm *comm, const char *activity) {
  pthread_mutex_lock(&comm->lock);
  const char *before = comm->activity;
  comm->activity = activity;
  pthread_mutex_unlock(&comm->lock);
  return before;
}

void ft_comm_on_stop(ft_comm *comm, void (*call)(void)) {
  pthread_mutex_lock(&comm->lock);
  comm->on_stop = call;
  pthread_mutex_unlock(&comm->lock);
}

/* ---------------------------------------------------------------- sections */

ft_err ft_stopped(void) {
  return ft_fail(FT_ERR_STOPPED, "the job stops before this step is finished");
}

bool ft_comm_stopped(const ft_comm *comm) {
  return atomic_load_explicit(&comm->epoch, memory_order_acquire) != FT_EPOCH_RUN;
}

ft_err ft_comm_check(const ft_comm *comm) {
  atomic_fetch_add_explicit(&signs_of_life, 1, memory_order_relaxed);
  return ft_comm_stopped(comm) ? ft_stopped() : FT_OK;
}

int64_t ft_stop_signs(void) {
  return atomic_load_explicit(&signs_of_life, memory_order_relaxed);
}

ft_err ft_comm_section_begin(ft_comm *comm) {
  if (comm->section_depth > 0) {
    comm->section_depth++;
    return FT_OK;
  }
  pthread_mutex_lock(&comm->lock);
  /* A rank that has answered waits for the decision; one that is where all stop, for the stop. */
  while (atomic_load(&comm->epoch) == FT_EPOCH_RUN && comm->frozen &&
         comm->sections_begun >= comm->decided)
    pthread_cond_wait(&comm->done, &comm->lock);
  int epoch = atomic_load(&comm->epoch);
  if (epoch == FT_EPOCH_RUN) comm->sections_begun++;
  if (epoch != FT_EPOCH_STOPPED) comm->section_depth = 1;
  pthread_mutex_unlock(&comm->lock);
  return epoch == FT_EPOCH_STOPPED ? ft_stopped() : FT_OK;
}

void ft_comm_section_end(ft_comm *comm) {
  FT_ASSERT(comm->section_depth > 0);
  if (--comm->section_depth > 0) return;
  pthread_mutex_lock(&comm->lock);
  if (!comm->last_section) comm->sections_left = comm->sections_begun;
  pthread_mutex_unlock(&comm->lock);
}

ft_err ft_comm_section_last(ft_comm *comm) {
  ft_err err = ft_comm_section_begin(comm);
  if (err != FT_OK) return err;
  pthread_mutex_lock(&comm->lock);
  comm->last_section = true;
  pthread_mutex_unlock(&comm->lock);
  return FT_OK;
}

/* ---------------------------------------------------------------- the stop */

int64_t ft_stop_freeze(ft_comm *comm) {
  pthread_mutex_lock(&comm->lock);
  comm->frozen = true;
  int64_t begun = comm->sections_begun;
  pthread_mutex_unlock(&comm->lock);
  return begun;
}

void ft_stop_decide(ft_comm *comm, int64_t sections) {
  pthread_mutex_lock(&comm->lock);
  FT_ASSERT(comm->frozen && comm->sections_begun <= sections);
  comm->decided = sections;
  pthread_cond_broadcast(&comm->done);
  pthread_mutex_unlock(&comm->lock);
}

/* Whether nothing is left of what all ranks finish; the lock is held. Operations that were posted
 * before the last section's end are finished too: others wait for this rank's part in them. */
static bool is_due(const ft_comm *comm) {
  const ft_request *oldest = comm->current ? comm->current : comm->first;
  return comm->decided >= 0 && atomic_load(&comm->epoch) == FT_EPOCH_RUN &&
         comm->sections_left >= comm->decided && (!oldest || oldest->sections >= comm->decided);
}

bool ft_stop_if_due(ft_comm *comm) {
  pthread_mutex_lock(&comm->lock);
  bool due = is_due(comm);
  void (*on_stop)(void) = comm->on_stop;
  if (due) {
    ft_mem_keep(); /* before anybody frees what MPI still works on */
    comm->lane = &comm->lanes[1];
    comm->exchange_number = 0;
    comm->pending = NULL;
    comm->statuses = NULL;
    comm->pending_capacity = 0;
    comm->waits_for = -1;
    comm->in_barrier = false;
    comm->current = comm->first = comm->last = NULL;
    atomic_store(&comm->epoch, FT_EPOCH_STOPPED);
    pthread_cond_broadcast(&comm->done);
  }
  pthread_mutex_unlock(&comm->lock);
  if (!due) return false;
  if (on_stop) on_stop();
  comm->control.stopped_s = ft_now_s();
  return true;
}

void ft_comm_start_over(ft_comm *comm) {
  pthread_mutex_lock(&comm->lock);
  while (atomic_load(&comm->epoch) == FT_EPOCH_RUN)
    pthread_cond_wait(&comm->done, &comm->lock);
  atomic_store(&comm->epoch, FT_EPOCH_AFTER);
  comm->section_depth = 0;
  pthread_mutex_unlock(&comm->lock);
}
