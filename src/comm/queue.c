/* The ordered queue: one thread a rank works through operations, first in first out.
 * An operation that the job has agreed to abandon returns early, and what follows it moves on the
 * second lane (stop.c). */
#include "comm_internal.h"

#include <signal.h>
#include <time.h>

/* ---------------------------------------------------------------- the thread */

/* Waits for a post, but no longer than that. */
static void wait_for_post(ft_comm *comm, double interval_s) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_nsec += (long)(interval_s * 1e9);
  end.tv_sec += end.tv_nsec / 1000000000;
  end.tv_nsec %= 1000000000;
  pthread_cond_timedwait(&comm->posted, &comm->lock, &end);
}

/* What a look at the control channel leaves to be done when nothing is in progress any more. */
static void end_if_failed(ft_comm *comm) {
  if (comm->control.failed == FT_OK) return;
  ft_comm_abort(comm, comm->control.failed, "stopping");
}

/* The next request, or NULL when the thread is to end. */
static ft_request *next_request(ft_comm *comm) {
  double interval_s = FT_POLL_SHORTEST_S;
  pthread_mutex_lock(&comm->lock);
  while (!comm->first && !comm->ending) {
    wait_for_post(comm, interval_s);
    if (comm->first || comm->ending) break;
    pthread_mutex_unlock(&comm->lock);
    if (!ft_poll(comm, &interval_s)) end_if_failed(comm);
    pthread_mutex_lock(&comm->lock);
  }
  ft_request *request = comm->first;
  if (request) {
    comm->first = request->next;
    if (!comm->first) comm->last = NULL;
    comm->current = request;
    comm->current_since_s = ft_now_s();
  }
  pthread_mutex_unlock(&comm->lock);
  return request;
}

static void finish(ft_comm *comm, ft_request *request) {
  pthread_mutex_lock(&comm->lock);
  comm->current = NULL;
  comm->operations++;
  atomic_store(&request->done, true); /* from here on it may be gone */
  pthread_cond_broadcast(&comm->done);
  pthread_mutex_unlock(&comm->lock);
}

static void *work(void *arg) {
  ft_comm *comm = arg;
  for (ft_request *request; (request = next_request(comm)) != NULL;) {
    bool made = ft_control_look(comm, comm->current_since_s) && request->run(comm, request->arg);
    if (made)
      finish(comm, request);
    else
      end_if_failed(comm);
  }
  return NULL;
}

ft_err ft_queue_start(ft_comm *comm) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&comm->lock, NULL);
  pthread_cond_init(&comm->posted, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_cond_init(&comm->done, NULL);

  /* signals are for the program's own threads; faults are for whoever makes them */
  sigset_t blocked, before;
  sigfillset(&blocked);
  static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
  for (size_t i = 0; i < FT_ARRAY_SIZE(faults); i++)
    sigdelset(&blocked, faults[i]);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  int failed = pthread_create(&comm->thread, NULL, work, comm);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed)
    return ft_fail(FT_ERR_INTERNAL,
                   "cannot start the communication thread (error %d): check the limit on "
                   "processes (ulimit -u)",
                   failed);
  return FT_OK;
}

void ft_queue_stop(ft_comm *comm) {
  pthread_mutex_lock(&comm->lock);
  comm->ending = true;
  pthread_cond_signal(&comm->posted);
  pthread_mutex_unlock(&comm->lock);
  pthread_join(comm->thread, NULL);
  pthread_cond_destroy(&comm->done);
  pthread_cond_destroy(&comm->posted);
  pthread_mutex_destroy(&comm->lock);
}

/* ---------------------------------------------------------------- posting and waiting */

void ft_queue_post(ft_comm *comm, ft_request *request) {
  request->next = NULL;
  atomic_init(&request->done, false);
  pthread_mutex_lock(&comm->lock);
  request->sections = comm->sections_left;
  request->epoch = atomic_load(&comm->epoch);
  if (request->epoch != FT_EPOCH_STOPPED) {
    if (comm->last)
      comm->last->next = request;
    else
      comm->first = request;
    comm->last = request;
    pthread_cond_signal(&comm->posted);
  }
  pthread_mutex_unlock(&comm->lock);
}

/* Whether nobody will ever finish the request. */
static bool is_abandoned(ft_comm *comm, const ft_request *request) {
  return request->epoch == FT_EPOCH_STOPPED ||
         (request->epoch == FT_EPOCH_RUN && atomic_load(&comm->epoch) != FT_EPOCH_RUN);
}

static ft_err wait_for(ft_comm *comm, const ft_request *request) {
  if (atomic_load(&request->done)) return FT_OK;
  ft_part before = ft_time_enter(FT_TIME_COMMUNICATION);
  pthread_mutex_lock(&comm->lock);
  while (!atomic_load(&request->done) && !is_abandoned(comm, request))
    pthread_cond_wait(&comm->done, &comm->lock);
  pthread_mutex_unlock(&comm->lock);
  ft_time_enter(before);
  return atomic_load(&request->done) ? FT_OK : ft_stopped();
}

ft_request *ft_queue_request(ft_comm *comm, const char *name) {
  void *p;
  ft_err err = ft_alloc(FT_MEM_OTHER, sizeof(ft_request), &p);
  if (err != FT_OK) ft_comm_abort(comm, err, name);
  return p;
}

ft_err ft_queue_call(ft_comm *comm, const char *name, ft_operation *run, void *arg) {
  ft_request *request = ft_queue_request(comm, name);
  *request = (ft_request){.name = name, .block = -1, .run = run, .arg = arg};
  ft_queue_post(comm, request);
  return ft_comm_wait(comm, request);
}

ft_err ft_comm_wait(ft_comm *comm, ft_request *request) {
  if (!request) return FT_OK;
  ft_err err = wait_for(comm, request);
  if (err == FT_OK) ft_free(request);
  return err;
}
