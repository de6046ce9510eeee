/* Every signal that announces an end means "stop soon"; a second one ends the process at once
 * (nothing committed is harmed). */
#include <signal.h>
#include <stdatomic.h>
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

/* The kernel repeats SIGXCPU every second until the hard limit, and SIGPWR may come with each
 * change of the power supply: whoever sends these does not insist. */
static bool insists(int number) {
  return number != SIGXCPU && number != SIGPWR;
}

/* What a handler says; the spare one is written while the other may be read. */
typedef struct answers {
  char first[400], second[400];
} answers;
static answers texts[2];
static atomic_int current = -1; /* of texts; -1: nothing is said */

void ft_signals_answer(const char *first, const char *second) {
  int spare = atomic_load(&current) == 0 ? 1 : 0;
  snprintf(texts[spare].first, sizeof texts[spare].first, "ftrun: %s\n", first);
  snprintf(texts[spare].second, sizeof texts[spare].second, "ftrun: %s\n", second);
  atomic_store(&current, spare);
}

/* Async-signal-safe. A reader that has gone away ends nothing. */
static void say(bool first) {
  int i = atomic_load(&current);
  if (i < 0) return;
  const char *text = first ? texts[i].first : texts[i].second;
  ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
  (void)ignored;
}

static void on_signal(int number) {
  if (received) {
    if (!insists(number) || now_ns() - first_ns <= TOGETHER_NS) return;
    say(false);
    _exit(128 + number);
  }
  first_ns = now_ns();
  received = 1;
  say(true);
  ft_comm_request_stop(number);
}

/* nohup and its like start a program so that a closed terminal does not concern it. */
static bool is_ignored(int number) {
  struct sigaction now;
  return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void ft_train_catch_signals(void) {
  /* of people and launchers; of a closed terminal; of Slurm, LSF (USR2, INT, TERM), SGE (USR1,
   * USR2, XCPU) and PBS (TERM) ahead of a limit; of limits on processor time; of a failing power
   * supply */
  static const int stop[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP, SIGXCPU, SIGPWR};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < FT_ARRAY_SIZE(stop); i++) {
    action.sa_handler = stop[i] == SIGHUP && is_ignored(SIGHUP) ? SIG_IGN : on_signal;
    sigaction(stop[i], &action, NULL);
  }
  (void)ft_process_started_s();
}

double ft_process_started_s(void) {
  if (started_s == 0) started_s = ft_now_s();
  return started_s;
}
