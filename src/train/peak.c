/* The peak that the share `mfu` is taken of: dot products in registers, on all ranks at once. */
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <time.h>

#include "internal.h"

static double process_cpu_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A rate by the clock, and by the processor time that this process got, as of one thread. */
typedef struct rates {
  double by_clock, by_thread;
} rates;

/* Best rates of a few short loops of about a hundredth of a second each. */
static rates own_rates(ft_dtype type) {
  int64_t rounds = 1000;
  rates best = {0, 0};
  for (int done = 0; done < 5;) {
    double begin = ft_now_s(), begin_cpu = process_cpu_s();
    double flop = ft_kernels_dot_products(type, rounds);
    double seconds = ft_now_s() - begin, cpu_s = process_cpu_s() - begin_cpu;
    if (seconds < 0.005) {
      rounds *= 4; /* too short to be timed */
      continue;
    }
    best.by_clock = FT_MAX(best.by_clock, flop / seconds);
    if (cpu_s > 0) best.by_thread = FT_MAX(best.by_thread, flop / cpu_s);
    done++;
  }
  return best;
}

/* Threads of this rank that can run at once, if all ranks of the node have as many. */
static double parallel_threads(const ft_comm *comm) {
  cpu_set_t set;
  double threads = omp_get_max_threads();
  double wanted = threads * ft_comm_node_size(comm, ft_comm_node(comm));
  double cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : wanted;
  return threads * FT_MIN(1.0, FT_MAX(cores, threads) / wanted);
}

ft_err ft_measure_peak(ft_comm *comm, ft_dtype type, double *flops) {
  ft_err err = FT_OK;
  FT_TRY(ft_comm_barrier(comm));
  int64_t mega_flops = (int64_t)(own_rates(type).by_clock * 1e-6);
  FT_TRY(ft_comm_sum_i64(comm, &mega_flops, 1));
  *flops = (double)mega_flops * 1e6;
out:
  return err;
}

/* What other programs do while this is measured must not count: a run's share would be of another
 * peak each time. */
ft_err ft_trainer_measure_peak(trainer *t) {
  double peak = own_rates(t->config->precision).by_thread * parallel_threads(t->comm);
  int64_t mega_flops = (int64_t)(peak * 1e-6);
  ft_err err = ft_comm_sum_i64(t->comm, &mega_flops, 1);
  t->peak_flops = (double)mega_flops * 1e6;
  return err;
}
