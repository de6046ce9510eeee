/* Timing: with one thread CPU time is taken, which other programs on the machine disturb less; with
 * more, wall time. Each number is the best of several runs. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double seconds_each = 0.4;
ft_dtype type = FT_BF16;
int threads = 1;

static double now(void) {
  struct timespec t;
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void check(ft_err err) {
  if (err == FT_OK) return;
  fprintf(stderr, "bench_kernels: %s\n", ft_error_message());
  exit((int)err);
}

/* ---------------------------------------------------------------- runs */

double best_rate(const job *j) {
  double best = 0, spent = 0;
  j->run(j->context);
  for (int run = 0; run < 100 && (spent < seconds_each || run < 3); run++) {
    double start = now();
    j->run(j->context);
    double took = now() - start;
    best = FT_MAX(best, j->work / took);
    spent += took;
  }
  return best;
}

/* FLOP/s of all threads. */
static double peak_rate(void) {
  double best = 0;
  for (int run = 0; run < 4; run++) {
    double start = now(), flops = ft_kernels_dot_products(type, 1000000);
    best = FT_MAX(best, flops / (now() - start));
  }
  return best;
}

void report(const char *name, const job *j) {
  double peak = peak_rate(), rate = best_rate(j);
  peak = FT_MAX(peak, peak_rate());
  printf("%-44s %8.1f GFLOP/s  %5.3f of peak (%.0f)\n", name, rate / 1e9, rate / peak, peak / 1e9);
  fflush(stdout);
}

void *random_array(int64_t count, double scale) {
  void *out;
  check(ft_alloc_array(FT_MEM_OTHER, count, ft_dtype_bytes(type), &out));
#pragma omp parallel for
  for (int64_t i = 0; i < count; i++) {
    float value = (float)(scale * (ft_random_uniform(1, FT_RANDOM_BENCH, 0, (uint64_t)i) - 0.5));
    ft_convert(type, (char *)out + i * (int64_t)ft_dtype_bytes(type), FT_F32, &value, 1);
  }
  return out;
}
