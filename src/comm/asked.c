/* What a signal's handler leaves behind: that this process was asked to stop, by which, and when.
 */
#include "comm_internal.h"

#include <time.h>

static atomic_int stop_requests;      /* signals seen so far */
static atomic_int first_signal;       /* the first of them */
static atomic_llong first_request_ns; /* when, by ft_now_s's clock; 0: not yet */

void ft_comm_request_stop(int signal_number) {
  if (atomic_fetch_add(&stop_requests, 1) > 0) return;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  atomic_store(&first_signal, signal_number);
  atomic_store(&first_request_ns, (long long)t.tv_sec * 1000000000 + t.tv_nsec);
}

bool ft_comm_stop_requested(void) {
  return atomic_load_explicit(&first_request_ns, memory_order_acquire) != 0;
}

int ft_stop_signal(double *asked_s) {
  *asked_s = (double)atomic_load(&first_request_ns) * 1e-9;
  return atomic_load(&first_signal);
}

int ft_stop_requests(void) {
  return atomic_load(&stop_requests);
}
