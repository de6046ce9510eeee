/* Learning-rate schedules as pure functions of the update. */
#include "ft/optim.h"

#include <math.h>

double ft_schedule_lr(const ft_schedule *schedule, double lr, int64_t t, int64_t steps) {
  const double pi = 3.14159265358979323846;
  int64_t warmup = schedule->warmup_steps;
  if (t <= warmup) return lr * (double)t / (double)warmup;
  double progress = t < steps ? (double)(t - warmup) / (double)(steps - warmup) : 1.0;
  int64_t decay = FT_MIN(schedule->decay_steps, steps - warmup), stable = steps - decay;
  double ratio = schedule->min_lr_ratio;
  switch (schedule->name) {
  case FT_SCHEDULE_CONSTANT:
    return lr;
  case FT_SCHEDULE_LINEAR:
    return lr * (ratio + (1.0 - ratio) * (1.0 - progress));
  case FT_SCHEDULE_COSINE:
    return lr * (ratio + (1.0 - ratio) * 0.5 * (1.0 + cos(pi * progress)));
  case FT_SCHEDULE_WSD:
    if (t <= stable) return lr;
    progress = t < steps ? (double)(t - stable) / (double)decay : 1.0;
    return lr * (ratio + (1.0 - ratio) * (1.0 - progress));
  }
  FT_ASSERT(false);
  return lr;
}
