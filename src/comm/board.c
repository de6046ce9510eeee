/* The node's board: a little memory that the ranks of a node share, for barriers and sums of few
 * numbers. A rank that waits here sleeps in the kernel until the last one comes, and costs no test;
 * with 64 ranks on two cores that is ten times quicker than messages. Only the nodes' first ranks
 * then speak to each other by MPI. */
#include "comm_internal.h"

#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BOARD_SPIN_S 20e-6 /* of looking before the first sleep, where cores are not shared */

static_assert(ATOMIC_INT_LOCK_FREE == 2, "the board needs atomics that work between processes");

/* ---------------------------------------------------------------- making */

ft_err ft_board_init(ft_comm *comm, ft_lane *lane) {
  size_t ranks = (size_t)ft_comm_node_size(comm, ft_comm_node(comm));
  size_t bytes = sizeof(ft_board) + ranks * sizeof(ft_board_slot);
  void *base;
  if (ranks == 1) {
    ft_err err = ft_alloc(FT_MEM_OTHER, bytes, &base);
    if (err == FT_OK) lane->board = base;
    return err;
  }
  MPI_Aint mine = ft_comm_node_rank(comm) == 0 ? (MPI_Aint)bytes + 64 : 0;
  int unit;
  int failed =
      MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, comm->node, &base, &lane->board_window);
  if (!failed) failed = MPI_Win_shared_query(lane->board_window, 0, &mine, &unit, &base);
  if (failed)
    return ft_fail(FT_ERR_MEMORY,
                   "cannot share %zu bytes on %s: is /dev/shm full, or the address space limited "
                   "(ulimit -v)?",
                   bytes, comm->host);
  lane->board = (ft_board *)(((uintptr_t)base + 63) / 64 * 64);
  return FT_OK;
}

void ft_board_fini(ft_lane *lane) {
  if (lane->board_window != MPI_WIN_NULL)
    MPI_Win_free(&lane->board_window);
  else
    ft_free(lane->board);
  lane->board = NULL;
}

/* ---------------------------------------------------------------- barrier */

/* Also returns after a while, though nobody woke it. */
static void futex_wait(atomic_uint *word, unsigned seen, double most_s) {
  struct timespec most = {.tv_nsec = (long)(most_s * 1e9)};
  syscall(SYS_futex, word, FUTEX_WAIT, seen, &most, NULL, 0);
}

static void futex_wake_all(atomic_uint *word) {
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

bool ft_node_barrier(ft_comm *comm) {
  unsigned ranks = (unsigned)ft_comm_node_size(comm, ft_comm_node(comm));
  ft_board *board = comm->lane->board;
  unsigned generation = atomic_load(&board->generation);
  if (atomic_fetch_add(&board->arrived, 1) + 1 == ranks) {
    atomic_store(&board->arrived, 0);
    atomic_fetch_add(&board->generation, 1);
    if (ranks > 1) futex_wake_all(&board->generation);
    return true;
  }
  for (double end_s = ft_now_s() + (comm->crowded ? 0 : BOARD_SPIN_S); ft_now_s() < end_s;)
    if (atomic_load(&board->generation) != generation) return true;
  double interval_s = FT_POLL_SHORTEST_S;
  comm->in_barrier = true;
  while (atomic_load(&board->generation) == generation) {
    futex_wait(&board->generation, generation, interval_s);
    if (atomic_load(&board->generation) == generation && !ft_poll(comm, &interval_s)) return false;
  }
  comm->in_barrier = false;
  return true;
}

/* ---------------------------------------------------------------- over all ranks */

bool ft_world_barrier(ft_comm *comm) {
  if (!ft_node_barrier(comm)) return false;
  if (comm->nodes.num_nodes == 1) return true;
  if (comm->lane->leaders != MPI_COMM_NULL) {
    MPI_Request request;
    ft_mpi_check(comm, MPI_Ibarrier(comm->lane->leaders, &request), "MPI_Ibarrier");
    if (!ft_progress(comm, 1, &request, NULL)) return false;
  }
  return ft_node_barrier(comm);
}

static void combine(ft_reduce op, int64_t *into, const int64_t *from, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    switch (op) {
    case FT_REDUCE_SUM:
      into[i] = (int64_t)((uint64_t)into[i] + (uint64_t)from[i]);
      break;
    case FT_REDUCE_MAX:
      into[i] = FT_MAX(into[i], from[i]);
      break;
    case FT_REDUCE_MIN:
      into[i] = FT_MIN(into[i], from[i]);
      break;
    }
}

bool ft_world_reduce(ft_comm *comm, ft_reduce op, int64_t *values, int64_t count) {
  static const MPI_Op ops[] = {
      [FT_REDUCE_SUM] = MPI_SUM, [FT_REDUCE_MAX] = MPI_MAX, [FT_REDUCE_MIN] = MPI_MIN};
  ft_board *board = comm->lane->board;
  size_t bytes = (size_t)count * sizeof(int64_t);
  FT_ASSERT(count <= FT_BOARD_VALUES);
  memcpy(board->slots[ft_comm_node_rank(comm)].values, values, bytes);
  /* all slots are written; the last result has been read by all */
  if (!ft_node_barrier(comm)) return false;
  if (comm->lane->leaders != MPI_COMM_NULL) {
    memcpy(board->result.values, values, bytes);
    for (int i = 1; i < ft_comm_node_size(comm, ft_comm_node(comm)); i++)
      combine(op, board->result.values, board->slots[i].values, count);
    if (comm->nodes.num_nodes > 1) {
      MPI_Request request;
      ft_mpi_check(comm,
                   MPI_Iallreduce(MPI_IN_PLACE, board->result.values, (int)count, MPI_INT64_T,
                                  ops[op], comm->lane->leaders, &request),
                   "MPI_Iallreduce");
      if (!ft_progress(comm, 1, &request, NULL)) return false;
    }
  }
  if (!ft_node_barrier(comm)) return false;
  memcpy(values, board->result.values, bytes);
  return true;
}
