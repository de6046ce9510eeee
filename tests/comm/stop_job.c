/* A job that is asked to stop at a seeded moment, for test_stop.sh: `stop_job SEED [late|end]`. It
 * works as training does: exchanges in flight while it computes, collectives, and sections that all
 * ranks do or none. It checks that all ranks stop after the same section, however far each was, and
 * that collectives work afterwards. With `late` one rank is seconds late when the stop comes; with
 * `end` the stop comes as the job finishes. Exit status 75: stopped; 0: finished; 1: wrong. Not a
 * test by itself. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ft/comm.h"

enum { ITERATIONS = 40, IN_FLIGHT = 3, MESSAGE_BYTES = 200000 };

typedef struct job {
  ft_comm *comm;
  int rank, size;
  uint64_t seed, drawn;
  int64_t stop_at; /* which draw of the asking rank */
  bool asks, late;
  int64_t sections; /* done by this rank */
  char *buffers;    /* [IN_FLIGHT][2][MESSAGE_BYTES] what is sent, what comes */
  ft_message sends[IN_FLIGHT], receives[IN_FLIGHT];
  ft_request *requests[IN_FLIGHT];
} job;

static void on_signal(int number) {
  ft_comm_request_stop(number);
}

static uint64_t draw(job *j) {
  return ft_random_u64(j->seed, FT_RANDOM_BENCH, (uint64_t)j->rank, j->drawn++);
}

_Noreturn static void wrong(const job *j, const char *what) {
  fprintf(stderr, "stop_job: rank %d, section %lld: %s\n", j->rank, (long long)j->sections, what);
  ft_comm_abort(j->comm, ft_fail(FT_ERR_INTERNAL, "%s", what), "stop_job");
}

/* Some time without collectives, of which every rank has its own. The stop comes in one of them. */
static ft_err compute(job *j) {
  double work_s = (double)(draw(j) % 1000) * 4e-6;
  if (j->asks && (int64_t)j->drawn == j->stop_at) raise(SIGUSR1);
  if (j->late && j->sections == 5) work_s = 30;
  for (double end_s = ft_now_s() + work_s; ft_now_s() < end_s;) {
    ft_err err = ft_comm_check(j->comm);
    if (err != FT_OK) return err;
    ft_sleep_s(0.0005);
  }
  return FT_OK;
}

/* To the next rank, from the one before. */
static void post(job *j, int i, int64_t iteration) {
  char *mine = j->buffers + (size_t)(2 * i) * MESSAGE_BYTES, *other = mine + MESSAGE_BYTES;
  memset(mine, (int)(iteration % 100 + j->rank), MESSAGE_BYTES);
  j->sends[i] = (ft_message){.peer = (j->rank + 1) % j->size, .data = mine, .bytes = MESSAGE_BYTES};
  j->receives[i] = (ft_message){
      .peer = (j->rank + j->size - 1) % j->size, .data = other, .bytes = MESSAGE_BYTES};
  ft_exchange e = {.name = "ring",
                   .block = i,
                   .barrier_before = iteration % 2,
                   .barrier_after = iteration % 3 == 0,
                   .sends = &j->sends[i],
                   .num_sends = j->size > 1,
                   .receives = &j->receives[i],
                   .num_receives = j->size > 1};
  j->requests[i] = ft_comm_exchange(j->comm, &e);
}

static ft_err take(job *j, int i, int64_t iteration) {
  ft_err err = ft_comm_wait(j->comm, j->requests[i]);
  j->requests[i] = NULL;
  if (err != FT_OK || j->size == 1) return err;
  const char *other = j->receives[i].data;
  int expected = (int)(iteration % 100) + (j->rank + j->size - 1) % j->size;
  for (int at = 0; at < MESSAGE_BYTES; at += 997)
    if (other[at] != (char)expected) wrong(j, "a message holds something else");
  return FT_OK;
}

/* What all ranks do or none: collectives, and something that counts. */
static ft_err section(job *j) {
  ft_err err = ft_comm_section_begin(j->comm);
  if (err != FT_OK) return err;
  int64_t sum = j->rank;
  if (ft_comm_sum_i64(j->comm, &sum, 1) != FT_OK) wrong(j, "stopped inside a section");
  if (sum != (int64_t)j->size * (j->size - 1) / 2) wrong(j, "a wrong sum");
  j->sections++;
  ft_comm_section_end(j->comm);
  return FT_OK;
}

static ft_err iterate(job *j, int64_t iteration) {
  ft_err err = FT_OK;
  void *all = NULL;
  int64_t value = j->rank;
  for (int i = 0; i < IN_FLIGHT; i++) {
    post(j, i, iteration);
    FT_TRY(compute(j));
  }
  FT_TRY(ft_comm_max_i64(j->comm, &value, 1));
  FT_TRY(compute(j));
  for (int i = 0; i < IN_FLIGHT; i++)
    FT_TRY(take(j, i, iteration));
  FT_TRY(ft_comm_gather(j->comm, 0, &value, sizeof value, &all, NULL));
  FT_TRY(ft_comm_broadcast(j->comm, j->size - 1, &value, sizeof value));
  FT_TRY(ft_comm_agree(j->comm, FT_OK));
  FT_TRY(section(j));
out:
  ft_free(all);
  return err;
}

/* After the stop: everybody did the same, and collectives work. */
static void check_stopped(job *j) {
  void *all = NULL;
  ft_comm_start_over(j->comm);
  int64_t most = j->sections, sum = 1;
  if (ft_comm_max_i64(j->comm, &most, 1) != FT_OK || most != j->sections)
    wrong(j, "ranks stopped after other sections");
  for (int i = 0; i < 3; i++) {
    if (ft_comm_sum_i64(j->comm, &sum, 1) != FT_OK) wrong(j, "no sum after the stop");
    post(j, 0, i);
    if (take(j, 0, i) != FT_OK) wrong(j, "no exchange after the stop");
  }
  if (sum != (int64_t)j->size * j->size * j->size) wrong(j, "a wrong sum after the stop");
  if (ft_comm_gather(j->comm, 0, &sum, sizeof sum, &all, NULL) != FT_OK)
    wrong(j, "no gather after the stop");
  if (ft_comm_agree(j->comm, FT_OK) != FT_OK) wrong(j, "no agreement after the stop");
  char cause[128];
  double asked_s = ft_comm_stop_cause(j->comm, cause, sizeof cause);
  if (j->rank == 0)
    printf("stopped by %.7s after section %lld, %.1f s later\n", cause, (long long)j->sections,
           ft_now_s() - asked_s);
}

int main(int argc, char **argv) {
  job j = {.seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1};
  const char *how = argc > 2 ? argv[2] : "";
  signal(SIGUSR1, on_signal);
  if (ft_comm_new(&j.comm) != FT_OK) return 1;
  j.rank = ft_comm_rank(j.comm);
  j.size = ft_comm_size(j.comm);
  int64_t draws = ITERATIONS * (IN_FLIGHT + 1);
  uint64_t word = ft_random_u64(j.seed, FT_RANDOM_BENCH, 1000, 0);
  j.asks = (int)(word % (uint64_t)j.size) == j.rank;
  j.stop_at = 1 + (int64_t)(word >> 32) % draws;
  if (strcmp(how, "end") == 0) j.stop_at = draws;
  if (strcmp(how, "late") == 0) {
    j.stop_at = 5 * (IN_FLIGHT + 1) + IN_FLIGHT; /* before the collective that waits for the late */
    j.late = !j.asks && (j.rank == j.size - 1 || (j.rank == j.size - 2));
  }
  if (ft_alloc(FT_MEM_OTHER, (size_t)2 * IN_FLIGHT * MESSAGE_BYTES, (void **)&j.buffers) != FT_OK)
    return 1;
  ft_err err = FT_OK;
  for (int64_t i = 0; i < ITERATIONS && err == FT_OK; i++)
    err = iterate(&j, i);
  if (err == FT_OK) err = ft_comm_section_last(j.comm);
  if (err == FT_ERR_STOPPED) {
    check_stopped(&j);
    ft_comm_leave(j.comm, FT_ERR_STOPPED);
  }
  if (j.rank == 0) printf("finished\n");
  ft_free(j.buffers);
  ft_comm_free(j.comm);
  return (int)err;
}
