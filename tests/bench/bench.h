/* What the benchmarks of kernels share: how long to run, how to time, arrays to work on. */
#ifndef FT_BENCH_H
#define FT_BENCH_H

#include "ft/kernels.h"

/* What the command line says. */
extern double seconds_each;
extern ft_dtype type;
extern int threads;

/* Ends the program with the error's message unless there is none. */
void check(ft_err err);

/* Something to run; `work` is FLOP or bytes of one run. */
typedef struct job {
  void (*run)(void *context);
  void *context;
  double work;
} job;

/* Work a second of the best of several runs. */
double best_rate(const job *j);
/* Prints a job's FLOP/s beside the peak, which is measured around it. */
void report(const char *name, const job *j);
/* Numbers between -scale/2 and scale/2 of the benchmark's type; ft_free gives them back. */
void *random_array(int64_t count, double scale);

/* bench_layer.c */
void bench_elementwise(void);
void bench_codes(void);

#endif
