/* A job that ends by ft_comm_abort, for test_abort.sh: `abort_job HOW`, where HOW says which ranks
 * fail and what the others do meanwhile. Not a test by itself. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ft/comm.h"

/* As the program does: SIGTERM asks to stop. What ends a job must not depend on its default action.
 */
static void on_signal(int number) {
  ft_comm_request_stop(number);
}

static void hold(void *arg) {
  (void)arg;
  ft_sleep_s(30);
}

int main(int argc, char **argv) {
  ft_comm *comm;
  const char *how = argc > 1 ? argv[1] : "";
  signal(SIGTERM, on_signal);
  if (ft_comm_new(&comm) != FT_OK) return 1;
  int rank = ft_comm_rank(comm), size = ft_comm_size(comm);
  ft_comm_barrier(comm);

  if (strcmp(how, "last") == 0) { /* the last rank fails, the others are inside a collective */
    if (rank == size - 1)
      ft_comm_abort(comm, ft_fail(FT_ERR_IO, "the disk of rank %d is gone", rank), "step 7");
  } else if (strcmp(how, "all") == 0) { /* all fail for one reason */
    ft_comm_abort(comm, ft_fail(FT_ERR_MEMORY, "no room anywhere"), "step 8");
  } else if (strcmp(how, "short") == 0 || strcmp(how, "long") == 0) {
    /* a message is shorter or longer than its receiver expects */
    size_t sent = strcmp(how, "short") == 0 ? 50 : 100;
    char data[100] = {0};
    ft_message m = {.peer = 1 - rank, .data = data, .bytes = rank == 0 ? 75 : sent};
    ft_exchange e = {.name = "gather", .block = 3};
    if (rank == 0) {
      e.receives = &m;
      e.num_receives = 1;
    } else if (rank == 1) {
      e.sends = &m;
      e.num_sends = 1;
    }
    ft_comm_wait(comm, ft_comm_exchange(comm, &e));
  } else if (strcmp(how, "busy") == 0) { /* the others' communication threads cannot look */
    ft_exchange e = {.name = "busy", .block = -1, .prepare = hold};
    if (rank == size - 1) {
      ft_sleep_s(0.2);
      ft_comm_abort(comm, ft_fail(FT_ERR_DATA, "a bad file"), "step 9");
    }
    ft_comm_wait(comm, ft_comm_exchange(comm, &e));
  }
  ft_comm_barrier(comm);
  fprintf(stderr, "abort_job: rank %d came through\n", rank);
  ft_sleep_s(30);
  ft_comm_free(comm);
  return 0;
}
