/* Signals mean "stop soon"; a second one ends the process at once (nothing committed is harmed). */
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/* Signals that come together are one request: a launcher forwards what its caller has also sent to
 * the ranks themselves. */
#define TOGETHER_NS 250000000LL

static volatile sig_atomic_t received;
static volatile long long first_ns;
static double started_s;

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void on_signal(int number) {
  if (received) {
    if (now_ns() - first_ns > TOGETHER_NS) _exit(128 + number);
    return;
  }
  first_ns = now_ns();
  received = 1;
  ft_comm_request_stop(number);
}

void ft_train_catch_signals(void) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < FT_ARRAY_SIZE(numbers); i++)
    sigaction(numbers[i], &action, NULL);
  (void)ft_process_started_s();
}

double ft_process_started_s(void) {
  if (started_s == 0) started_s = ft_now_s();
  return started_s;
}
