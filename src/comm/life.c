/* Starting and ending MPI, and finding out who is where. */
#include "comm_internal.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_SLEEP_S 200e-6 /* per rank that shares a core */

static ft_err mpi_ok(int result, const char *call) {
  if (result == MPI_SUCCESS) return FT_OK;
  char text[MPI_MAX_ERROR_STRING + 1] = "";
  int length = 0;
  MPI_Error_string(result, text, &length);
  return ft_fail(FT_ERR_INTERNAL, "%s failed: %s", call, text);
}

/* Once MPI runs, every error of it reaches this program as a code and is reported with what was
 * being done. Open MPI's own pages of advice about aborted jobs and vanished peers would bury that
 * line. The switch is no interface of MPI; where there is none, nothing happens. */
static void silence_mpi(void) {
  bool *quiet = dlsym(RTLD_DEFAULT, "orte_execute_quiet");
  if (quiet) *quiet = true;
}

/* MPICH and Intel MPI put handlers of their own in place of the program's (SIGUSR1), which then
 * ends on a request to stop. What the program had set before MPI_Init is set again. */
typedef struct handlers {
  struct sigaction of[32]; /* by number */
} handlers;

static void keep_handlers(handlers *h) {
  for (int s = 1; s < (int)FT_ARRAY_SIZE(h->of); s++)
    if (sigaction(s, NULL, &h->of[s]) != 0) h->of[s].sa_handler = SIG_DFL;
}

static void restore_handlers(const handlers *h) {
  for (int s = 1; s < (int)FT_ARRAY_SIZE(h->of); s++)
    if (h->of[s].sa_handler != SIG_DFL) sigaction(s, &h->of[s], NULL);
}

static ft_err start_mpi(void) {
  int initialized = 0, provided = 0;
  MPI_Initialized(&initialized);
  if (initialized) return ft_fail(FT_ERR_INTERNAL, "MPI can be started only once in a process");
  ft_set_environment();
  ft_look_for_leaks(false);
  handlers before;
  keep_handlers(&before);
  ft_err err =
      mpi_ok(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  restore_handlers(&before);
  ft_look_for_leaks(true);
  if (err == FT_OK && provided < MPI_THREAD_SERIALIZED)
    err = ft_fail(FT_ERR_INTERNAL,
                  "this MPI library gives thread level %d, but MPI_THREAD_SERIALIZED (%d) is "
                  "needed: use an MPI built with thread support",
                  provided, MPI_THREAD_SERIALIZED);
  if (err == FT_OK) silence_mpi();
  return err;
}

/* ---------------------------------------------------------------- communicators and nodes */

static ft_err fake_node_size(long *out) {
  const char *text = getenv("FT_FAKE_NODE_SIZE");
  *out = 0;
  if (!text || !*text) return FT_OK;
  char *end;
  *out = strtol(text, &end, 10);
  if (*end || *out > INT32_MAX || *out < -INT32_MAX)
    return ft_fail(FT_ERR_USAGE,
                   "FT_FAKE_NODE_SIZE is \"%s\", expected a number of ranks (0: no fake nodes)",
                   text);
  return FT_OK;
}

/* `first`: whether this rank is its node's first. */
static ft_err make_lane(ft_comm *comm, bool first, ft_lane *lane) {
  ft_err err = FT_OK;
  FT_TRY(mpi_ok(MPI_Comm_dup(comm->control.comm, &lane->world), "MPI_Comm_dup"));
  FT_TRY(mpi_ok(MPI_Comm_dup(comm->control.comm, &lane->messages), "MPI_Comm_dup"));
  FT_TRY(mpi_ok(MPI_Comm_split(lane->world, first ? 0 : MPI_UNDEFINED, comm->rank, &lane->leaders),
                "MPI_Comm_split"));
out:
  return err;
}

static ft_err make_communicators(ft_comm *comm) {
  ft_err err = FT_OK;
  long fake;
  FT_TRY(fake_node_size(&fake));
  MPI_Comm control;
  FT_TRY(mpi_ok(MPI_Comm_dup(MPI_COMM_WORLD, &control), "MPI_Comm_dup"));
  comm->control.comm = control;
  MPI_Comm_set_errhandler(control, MPI_ERRORS_RETURN); /* inherited by those made from it */
  FT_TRY(mpi_ok(
      MPI_Comm_split_type(control, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &comm->machine),
      "MPI_Comm_split_type"));
  MPI_Comm_rank(comm->machine, &comm->machine_rank);
  MPI_Comm_size(comm->machine, &comm->machine_size);
  int color = fake ? ft_fake_node(comm->rank, comm->size, fake) : 0;
  FT_TRY(mpi_ok(MPI_Comm_split(comm->machine, color, comm->rank, &comm->node), "MPI_Comm_split"));
  int index;
  MPI_Comm_rank(comm->node, &index);
  for (size_t i = 0; i < FT_ARRAY_SIZE(comm->lanes); i++)
    FT_TRY(make_lane(comm, index == 0, &comm->lanes[i]));
  comm->lane = &comm->lanes[0];
  int *largest, found;
  MPI_Comm_get_attr(comm->lane->messages, MPI_TAG_UB, &largest, &found);
  comm->largest_tag = 32767; /* the least that MPI allows */
  while (found && comm->largest_tag <= (*largest - 1) / 2)
    comm->largest_tag = 2 * comm->largest_tag + 1;
out:
  return err;
}

static ft_err find_nodes(ft_comm *comm) {
  ft_err err = FT_OK;
  int *leaders = NULL, leader = comm->rank;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, comm->size, sizeof(int), (void **)&leaders));
  FT_TRY(mpi_ok(MPI_Bcast(&leader, 1, MPI_INT, 0, comm->node), "MPI_Bcast"));
  FT_TRY(mpi_ok(MPI_Allgather(&leader, 1, MPI_INT, leaders, 1, MPI_INT, comm->control.comm),
                "MPI_Allgather"));
  FT_TRY(ft_nodes_init(&comm->nodes, comm->size, leaders));
out:
  ft_free(leaders);
  return err;
}

static ft_err find_machine(ft_comm *comm) {
  ft_err err = FT_OK;
  ft_rank_cpus mine = {0};
  FT_TRY(
      ft_alloc_array(FT_MEM_OTHER, comm->machine_size, sizeof mine, (void **)&comm->machine_cpus));
  ft_usable_cpus(&mine);
  comm->own_cpus = mine.cores;
  FT_TRY(mpi_ok(MPI_Allgather(&mine, (int)sizeof mine, MPI_BYTE, comm->machine_cpus,
                              (int)sizeof mine, MPI_BYTE, comm->machine),
                "MPI_Allgather"));
  comm->machine_leader = comm->rank;
  FT_TRY(mpi_ok(MPI_Bcast(&comm->machine_leader, 1, MPI_INT64_T, 0, comm->machine), "MPI_Bcast"));
out:
  return err;
}

/* The more ranks share a core, the more often one would wake for nothing. */
static void see_crowding(ft_comm *comm) {
  int64_t cores = FT_MAX(CPU_COUNT(&comm->own_cpus), 1), sharing = 0;
  for (int r = 0; r < comm->machine_size; r++)
    sharing += CPU_EQUAL(&comm->machine_cpus[r].cores, &comm->own_cpus) ? 1 : 0;
  comm->crowded = sharing > cores;
  comm->longest_sleep_s = LONGEST_SLEEP_S * (double)FT_MAX(ft_ceil_div(sharing, cores), 1);
}

/* ---------------------------------------------------------------- life */

ft_err ft_comm_new(ft_comm **out) {
  ft_err err = FT_OK;
  ft_comm *comm = NULL;
  ft_start_watch *watch = NULL;
  *out = NULL;
  FT_TRY(start_mpi());
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *comm, (void **)&comm));
  MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
  ft_log_set_rank(comm->rank);
  comm->decided = comm->waits_for = -1;
  comm->activity = "starts";
  for (size_t i = 0; i < FT_ARRAY_SIZE(comm->lanes); i++)
    comm->lanes[i].board_window = MPI_WIN_NULL;
  if (gethostname(comm->host, sizeof comm->host - 1) != 0) strcpy(comm->host, "unknown");
  FT_TRY(ft_start_watch_begin(comm->rank, comm->size, comm->host, &watch));
  (void)ft_fault("start");
  FT_TRY(make_communicators(comm));
  FT_TRY(find_nodes(comm));
  FT_TRY(find_machine(comm));
  for (size_t i = 0; i < FT_ARRAY_SIZE(comm->lanes); i++)
    FT_TRY(ft_board_init(comm, &comm->lanes[i]));
  see_crowding(comm);
  FT_TRY(ft_queue_start(comm));
  *out = comm;
out:
  ft_start_watch_end(watch);
  /* once MPI runs, others may be inside a collective: a rank that cannot go on ends the job */
  if (comm && err != FT_OK) ft_comm_abort(comm, err, "start");
  return err;
}

static void free_lane(ft_lane *lane) {
  ft_board_fini(lane);
  if (lane->leaders != MPI_COMM_NULL) MPI_Comm_free(&lane->leaders);
  MPI_Comm_free(&lane->messages);
  MPI_Comm_free(&lane->world);
}

void ft_comm_free(ft_comm *comm) {
  if (!comm) return;
  if (ft_comm_section_last(comm) != FT_OK) ft_comm_leave(comm, FT_ERR_STOPPED);
  (void)ft_comm_barrier(comm);
  ft_queue_stop(comm);
  ft_control_fini(comm);
  for (size_t i = 0; i < FT_ARRAY_SIZE(comm->lanes); i++)
    free_lane(&comm->lanes[i]);
  MPI_Comm_free(&comm->node);
  MPI_Comm_free(&comm->machine);
  MPI_Comm_free(&comm->control.comm);
  ft_keep_libraries();
  MPI_Finalize();
  ft_nodes_fini(&comm->nodes);
  ft_free(comm->machine_cpus);
  ft_free(comm->pending);
  ft_free(comm->statuses);
  ft_free(comm);
}
