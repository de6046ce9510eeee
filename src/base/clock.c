/* The clock. */
#include <errno.h>
#include <math.h>
#include <time.h>

#include "ft/base.h"

double ft_now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double ft_thread_cpu_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void ft_sleep_s(double seconds) {
  double whole = floor(seconds);
  struct timespec t = {.tv_sec = (time_t)whole, .tv_nsec = (long)((seconds - whole) * 1e9)};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {
  }
}
