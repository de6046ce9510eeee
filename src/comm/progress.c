/* Waiting for MPI without owning a core: tests, sleeps, and between them a look at the control
 * channel. While data move it tests again at once; when nothing moves it tests for some ten
 * microseconds more, which keeps small collectives quick, and then sleeps between tests. */
#include "comm_internal.h"

#include <time.h>

#define SPIN_S 30e-6  /* of testing after the last movement, before the first sleep */
#define SLEEP_S 50e-6 /* the shortest sleep */
#define MOVED_S 10e-6 /* of CPU time: an idle test takes less, one that copied data more */

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

bool ft_progress(ft_comm *comm, int64_t num_requests, MPI_Request *requests, MPI_Status *statuses) {
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
    if (!ft_control_look(comm, now_s)) return false;
    if (complete || thread_cpu_s() - cpu_s > MOVED_S)
      last_move_s = now_s;
    else if (comm->crowded || now_s - last_move_s > SPIN_S)
      sleep_after(comm, now_s - last_move_s);
  }
  comm->waits_for = -1;
  return true;
}

bool ft_poll(ft_comm *comm, double *interval_s) {
  if (!ft_control_look(comm, ft_now_s())) return false;
  if (comm->size == 1) {
    *interval_s = FT_POLL_LONGEST_S;
    return true;
  }
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
  *interval_s = moved ? FT_POLL_SHORTEST_S : FT_MIN(2 * *interval_s, FT_POLL_LONGEST_S);
  return true;
}
