/* Signals mean "stop soon"; a second one ends the process at once (nothing committed is harmed). */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static volatile sig_atomic_t received;

static void on_signal(int number) {
  if (received) _exit(128 + number);
  received = 1;
  ft_comm_request_stop(number);
}

void ft_train_catch_signals(void) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < FT_ARRAY_SIZE(numbers); i++)
    sigaction(numbers[i], &action, NULL);
}
