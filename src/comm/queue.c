/* The ordered queue: one thread a rank works through operations, first in first out.
 *
 * It owns no core. While data move it tests again at once; when nothing moves it tests for some ten
 * microseconds more, which keeps small collectives quick, and then sleeps between tests. */
#include "comm_internal.h"

#include <signal.h>
#include <time.h>

#define SPIN_S 30e-6  /* of testing after the last movement, before the first sleep */
#define SLEEP_S 50e-6 /* the shortest sleep */
#define IDLE_LONGEST_S 50e-3
#define MOVED_S 10e-6 /* of CPU time: an idle test takes less, one that copied data more */

/* ---------------------------------------------------------------- tests and sleeps */

/* CPU time and not the clock: a test during which the kernel ran somebody else moved nothing. */
static double thread_cpu_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The longer nothing has moved, the longer the sleep: up to 0.2 ms, or more where ranks crowd. */
static void sleep_after(const ft_comm *comm, double idle_s) {
  ft_sleep_s(FT_MIN(FT_MAX(idle_s / 4, SLEEP_S), comm->longest_sleep_s));
}

void ft_progress(ft_comm *comm, int64_t num_requests, MPI_Request *requests, MPI_Status *statuses) {
  double last_move_s = ft_now_s();
  /* a test of one request moves all of them, so only the first incomplete one is ever tested */
  bool exchange = num_requests > 0 && requests == comm->pending;
  for (int64_t i = 0; i < num_requests;) {
    int complete = 0;
    comm->waits_for = exchange ? i : -1;
    double cpu_s = thread_cpu_s();
    ft_mpi_check(comm,
                 MPI_Test(&requests[i], &complete, statuses ? &statuses[i] : MPI_STATUS_IGNORE),
                 "MPI_Test");
    double now_s = ft_now_s();
    if (complete) i++;
    ft_control_look(comm, now_s);
    if (complete || thread_cpu_s() - cpu_s > MOVED_S)
      last_move_s = now_s;
    else if (comm->crowded || now_s - last_move_s > SPIN_S)
      sleep_after(comm, now_s - last_move_s);
  }
  comm->waits_for = -1;
}

double ft_poll(ft_comm *comm, double interval_s) {
  ft_control_look(comm, ft_now_s());
  if (comm->size == 1) return IDLE_LONGEST_S;
  bool moved = false;
  for (double cpu_s = thread_cpu_s();;) {
    int found;
    ft_mpi_check(
        comm, MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm->lane->world, &found, MPI_STATUS_IGNORE),
        "MPI_Iprobe");
    double now_s = thread_cpu_s();
    if (now_s - cpu_s < MOVED_S) break;
    cpu_s = now_s;
    moved = true;
  }
  return moved ? FT_POLL_SHORTEST_S : FT_MIN(2 * interval_s, IDLE_LONGEST_S);
}

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

/* The next request, or NULL when the thread is to end. */
static ft_request *next_request(ft_comm *comm) {
  double interval_s = FT_POLL_SHORTEST_S;
  pthread_mutex_lock(&comm->lock);
  while (!comm->first && !comm->ending) {
    wait_for_post(comm, interval_s);
    if (comm->first || comm->ending) break;
    pthread_mutex_unlock(&comm->lock);
    interval_s = ft_poll(comm, interval_s);
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

void ft_queue_work(ft_comm *comm) {
  for (ft_request *request; (request = next_request(comm)) != NULL;) {
    ft_control_look(comm, comm->current_since_s);
    request->run(comm, request->arg);
    finish(comm, request);
  }
}

static void *work(void *arg) {
  ft_queue_work(arg);
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
  double start_s = ft_now_s();
  ft_part before = ft_time_enter(FT_TIME_COMMUNICATION);
  pthread_mutex_lock(&comm->lock);
  while (!atomic_load(&request->done) && !is_abandoned(comm, request))
    pthread_cond_wait(&comm->done, &comm->lock);
  pthread_mutex_unlock(&comm->lock);
  ft_time_enter(before);
  comm->waited_s += ft_now_s() - start_s;
  return atomic_load(&request->done) ? FT_OK : ft_stopped();
}

/* A request that outlives the call if it is abandoned. */
static ft_request *request_new(ft_comm *comm, const char *name) {
  void *p;
  ft_err err = ft_alloc(FT_MEM_OTHER, sizeof(ft_request), &p);
  if (err != FT_OK) ft_comm_abort(comm, err, name);
  return p;
}

ft_err ft_queue_call(ft_comm *comm, const char *name, void (*run)(ft_comm *, void *), void *arg) {
  ft_request *request = request_new(comm, name);
  *request = (ft_request){.name = name, .block = -1, .run = run, .arg = arg};
  ft_queue_post(comm, request);
  return ft_comm_wait(comm, request);
}

ft_request *ft_comm_exchange(ft_comm *comm, const ft_exchange *exchange) {
  ft_request *request = request_new(comm, exchange->name);
  request->name = exchange->name;
  request->block = exchange->block;
  request->exchange = *exchange;
  request->run = ft_exchange_run;
  request->arg = &request->exchange;
  ft_queue_post(comm, request);
  return request;
}

ft_err ft_comm_wait(ft_comm *comm, ft_request *request) {
  if (!request) return FT_OK;
  ft_err err = wait_for(comm, request);
  if (err == FT_OK) ft_free(request);
  return err;
}

bool ft_comm_done(const ft_request *request) {
  return !request || atomic_load(&request->done);
}

double ft_comm_waited_s(const ft_comm *comm) {
  return comm->waited_s;
}
