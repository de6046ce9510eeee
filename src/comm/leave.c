/* Ending the process after a stop, without waiting for what was abandoned. */
#include "comm_internal.h"

#include <stdlib.h>
#include <unistd.h>

/* How long a rank that leaves waits for the others to have come as far. */
#define LEAVE_S 10.0

/* Under mpirun (which sets the variable; srun does not), MPI_Abort is the quiet way out; elsewhere
 * the plain one is, and under srun MPI_Abort would be a noisy cancellation. MPI_Finalize is
 * neither: it may wait for what was abandoned. */
static bool run_leave(ft_comm *comm, void *arg) {
  const int *status = arg;
  bool by_mpirun = getenv("OMPI_COMM_WORLD_SIZE") != NULL;
  if (!ft_world_barrier(comm)) return false;
  fflush(NULL);
  if (by_mpirun && comm->rank == 0) ft_end_job((ft_err)*status);
  if (by_mpirun) ft_ended_by_others(FT_END_PATIENCE_S);
  _exit(*status);
}

_Noreturn void ft_comm_leave(ft_comm *comm, int status) {
  ft_comm_start_over(comm);
  static int kept; /* these two outlive the call: the operation ends the process */
  static ft_request request;
  kept = status;
  request = (ft_request){.name = "leaving", .block = -1, .run = run_leave, .arg = &kept};
  ft_queue_post(comm, &request);
  ft_sleep_s(LEAVE_S);
  fflush(NULL);
  _exit(status); /* others do not come: what was to be committed is */
}
