/* What the communication thread costs: latency of small collectives, throughput of large exchanges,
 * and what is left for compute on this rank while a peer is late. A benchmark, not a test.
 * Alone: mpirun --oversubscribe -np 8 build/tests/comm/bench_comm */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "ft/comm.h"

static double cpu_s(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void latency(ft_comm *comm) {
  enum { REPEATS = 200 };
  int64_t value = 1;
  ft_comm_barrier(comm);
  double start_s = ft_now_s(), start_cpu_s = cpu_s();
  for (int i = 0; i < REPEATS; i++) {
    value = 1;
    ft_comm_sum_i64(comm, &value, 1);
  }
  double us = (ft_now_s() - start_s) / REPEATS * 1e6, cpu = (cpu_s() - start_cpu_s) / REPEATS * 1e6;
  if (ft_comm_rank(comm) == 0)
    printf("allreduce of 8 bytes     %8.1f us, %.1f us of CPU a rank\n", us, cpu);
  ft_comm_barrier(comm);
  start_s = ft_now_s();
  for (int i = 0; i < REPEATS; i++)
    ft_comm_agree(comm, FT_OK);
  us = (ft_now_s() - start_s) / REPEATS * 1e6;
  if (ft_comm_rank(comm) == 0) printf("agreement                %8.1f us\n", us);
}

static void throughput(ft_comm *comm, size_t bytes) {
  int rank = ft_comm_rank(comm), size = ft_comm_size(comm);
  void *out, *in;
  if (size == 1 || ft_alloc(FT_MEM_OTHER, bytes, &out) != FT_OK ||
      ft_alloc(FT_MEM_OTHER, bytes, &in) != FT_OK)
    return;
  ft_message send = {(rank + 1) % size, out, bytes},
             receive = {(rank + size - 1) % size, in, bytes};
  ft_exchange e = {.name = "ring",
                   .block = -1,
                   .sends = &send,
                   .num_sends = 1,
                   .receives = &receive,
                   .num_receives = 1};
  double best_s = 1e9;
  for (int i = 0; i < 6; i++) {
    ft_comm_barrier(comm);
    double start_s = ft_now_s();
    ft_comm_wait(comm, ft_comm_exchange(comm, &e));
    ft_comm_barrier(comm);
    best_s = FT_MIN(best_s, ft_now_s() - start_s);
  }
  if (rank == 0)
    printf("ring of %8zu KiB     %8.2f ms, %.2f GB/s a rank\n", bytes / 1024, best_s * 1e3,
           (double)bytes / best_s / 1e9);
  ft_free(out);
  ft_free(in);
}

static volatile double source = 1.0, sink;

/* Seconds that a fixed piece of arithmetic takes. */
static double compute_s(void) {
  double start_s = ft_now_s(), x = source;
  for (int64_t i = 0; i < 100000000; i++)
    x = x * 0.999999999 + 1e-9;
  sink = x;
  return ft_now_s() - start_s;
}

/* Rank 0 computes with an exchange in flight that the others are late for. */
static void late_peer(ft_comm *comm) {
  int rank = ft_comm_rank(comm), size = ft_comm_size(comm);
  int value = rank, received;
  ft_message send = {0, &value, sizeof value}, receive = {size - 1, &received, sizeof received};
  ft_exchange e = {.name = "late",
                   .block = -1,
                   .sends = &send,
                   .num_sends = rank == size - 1 && size > 1,
                   .receives = &receive,
                   .num_receives = rank == 0 && size > 1};
  double alone_s = 1e9, waiting_s = 1e9;
  for (int i = 0; i < 5; i++) {
    ft_comm_barrier(comm);
    if (rank == 0) alone_s = FT_MIN(alone_s, compute_s());
    ft_comm_barrier(comm);
    if (rank != 0) ft_sleep_s(1.5 * (alone_s < 1 ? alone_s : 0.4));
    ft_request *r = ft_comm_exchange(comm, &e);
    if (rank == 0) waiting_s = FT_MIN(waiting_s, compute_s());
    ft_comm_wait(comm, r);
  }
  if (rank == 0) printf("compute while waiting    %8.3f of its speed alone\n", alone_s / waiting_s);
}

int main(void) {
  ft_comm *comm;
  double start_s = ft_now_s();
  if (ft_comm_new(&comm) != FT_OK) return 1;
  ft_comm_barrier(comm);
  double ready_s = ft_now_s();
  int threads = ft_comm_setup_threads(comm);
  if (ft_comm_rank(comm) == 0)
    printf("%d ranks of %d threads: start %.3f s, binding %.3f s\n", ft_comm_size(comm), threads,
           ready_s - start_s, ft_now_s() - ready_s);
  latency(comm);
  throughput(comm, 4096);
  throughput(comm, (size_t)1 << 20);
  if (ft_comm_size(comm) <= 8) throughput(comm, (size_t)100 << 20);
  late_peer(comm);
  start_s = ft_now_s();
  bool speaks = ft_comm_rank(comm) == 0;
  ft_comm_free(comm);
  if (speaks) printf("end                      %8.3f s\n", ft_now_s() - start_s);
  return 0;
}
