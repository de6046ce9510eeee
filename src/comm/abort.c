/* Ending the job at once, with one message. */
#include "comm_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A rank of another node than rank 0's waits so long before it speaks: where many ranks fail for
 * one reason, somebody else does, and this process is ended meanwhile (mpirun sends SIGTERM one
 * second after an abort and SIGKILL after two, measured). */
#define GRACE_S 1.5
#define POLL_S 0.01

_Noreturn void ft_end_job(ft_err code) {
  fflush(NULL);
  int initialized = 0, finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized && !finalized) {
    signal(SIGALRM, SIG_DFL); /* should MPI_Abort hang, the launcher sees a dead rank instead */
    alarm(10);
    MPI_Abort(MPI_COMM_WORLD, (int)code);
  }
  _exit((int)code);
}

bool ft_ended_by_others(double seconds) {
  int before = ft_stop_requests();
  for (double end_s = ft_now_s() + seconds; ft_now_s() < end_s;) {
    if (ft_stop_requests() != before) return true;
    ft_sleep_s(POLL_S);
  }
  return false;
}

static bool is_on_first_node(const ft_comm *comm) {
  return comm->rank == 0 || (comm->nodes.num_nodes > 0 && ft_comm_node(comm) == 0);
}

_Noreturn void ft_comm_abort(ft_comm *comm, ft_err code, const char *where) {
  static atomic_flag busy = ATOMIC_FLAG_INIT;
  while (atomic_flag_test_and_set(&busy)) /* another thread of this rank is at it */
    ft_sleep_s(POLL_S);
  FT_ASSERT(code != FT_OK);
  if (!comm) {
    ft_log(FT_LOG_ERROR, "%s: %s", where, ft_error_message());
    ft_end_job(code);
  }
  ft_board *board = comm->lanes[0].board;
  if (board && atomic_exchange(&board->aborting, 1)) {
    ft_ended_by_others(FT_END_PATIENCE_S);
    ft_end_job(code);
  }
  if (is_on_first_node(comm) || !ft_ended_by_others(GRACE_S)) {
    if (comm->rank != 0)
      fprintf(stderr, "ftrun: error: rank %d (host %s), %s: %s\n", comm->rank, comm->host, where,
              ft_error_message());
    ft_log(FT_LOG_ERROR, "rank %d (host %s), %s: %s", comm->rank, comm->host, where,
           ft_error_message());
  }
  ft_end_job(code);
}

_Noreturn void ft_current_failed(ft_comm *comm, ft_err code) {
  const ft_request *current = comm->current; /* set by this very thread */
  char where[128];
  if (current && current->block >= 0)
    snprintf(where, sizeof where, "%s of block %lld", current->name, (long long)current->block);
  else
    snprintf(where, sizeof where, "%s", current ? current->name : "start");
  ft_comm_abort(comm, code, where);
}

void ft_mpi_check(ft_comm *comm, int result, const char *call) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING + 1] = "";
  int length = 0;
  MPI_Error_string(result, text, &length);
  ft_current_failed(comm, ft_fail(FT_ERR_INTERNAL, "%s failed: %s", call, text));
}
