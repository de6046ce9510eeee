/* The peak that the share `mfu` is taken of: dot products in registers, on all ranks at once. */
#include "internal.h"

/* Best rate of a few short loops of about a hundredth of a second each. */
static double own_peak(ft_dtype type) {
  int64_t rounds = 1000;
  double best = 0;
  for (int done = 0; done < 5;) {
    double begin = ft_now_s(), flop = ft_kernels_dot_products(type, rounds);
    double seconds = ft_now_s() - begin;
    if (seconds < 0.005) {
      rounds *= 4; /* too short to be timed */
      continue;
    }
    best = FT_MAX(best, flop / seconds);
    done++;
  }
  return best;
}

ft_err ft_measure_peak(ft_comm *comm, ft_dtype type, double *flops) {
  ft_err err = FT_OK;
  FT_TRY(ft_comm_barrier(comm));
  int64_t mega_flops = (int64_t)(own_peak(type) * 1e-6);
  FT_TRY(ft_comm_sum_i64(comm, &mega_flops, 1));
  *flops = (double)mega_flops * 1e6;
out:
  return err;
}

ft_err ft_trainer_measure_peak(trainer *t) {
  return ft_measure_peak(t->comm, t->config->precision, &t->peak_flops);
}
