/* What the files of comm share: the state of a rank, the queue, and the few steps that every
 * collective is made of. Functions marked "communication thread" are called by it alone. */
#ifndef FT_COMM_INTERNAL_H
#define FT_COMM_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* cpu_set_t */
#endif

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <mpi.h>

#include "ft/comm.h"

/* One MPI call never moves more than this. */
#define FT_PIECE_BYTES ((size_t)64 << 20)

/* ---------------------------------------------------------------- who is where */

/* Nodes are numbered by their lowest world rank, members of a node by world rank. */
typedef struct ft_nodes {
  int size, num_nodes;
  int *node_of;  /* [size] node of a world rank */
  int *index_of; /* [size] its index among the node's ranks */
  int *first;    /* [num_nodes + 1] where a node's members begin in `members` */
  int *members;  /* [size] world ranks, node by node */
} ft_nodes;

/* Fills *nodes from leaders[size]: the lowest world rank on the node of each rank. A pure function.
 * Errors: FT_ERR_MEMORY. */
ft_err ft_nodes_init(ft_nodes *nodes, int size, const int *leaders);
void ft_nodes_fini(ft_nodes *nodes);

/* The node of `rank` in the layout that FT_FAKE_NODE_SIZE=k asks for (a test aid): k > 0 makes
 * nodes of k consecutive ranks, k < 0 deals the ranks in turn to as many nodes as -k ranks each
 * need. A pure function. */
int ft_fake_node(int rank, int size, long k);

/* ---------------------------------------------------------------- the queue */

/* An operation of the queue. `run` makes it from start to end on the communication thread. */
struct ft_request {
  const char *name; /* for reports, with `block` */
  int64_t block;
  void (*run)(ft_comm *comm, void *arg);
  void *arg;
  ft_exchange exchange; /* of ft_comm_exchange */
  atomic_bool done;     /* set last: after it the request belongs to its waiter */
  ft_request *next;
};

/* ---------------------------------------------------------------- the node's board */

enum { FT_BOARD_VALUES = 1024 };

typedef struct ft_board_slot {
  int64_t values[FT_BOARD_VALUES];
} ft_board_slot;

/* In shared memory, 64-byte aligned, zeroed. */
typedef struct ft_board {
  atomic_int aborting;             /* 1: a rank of this node reports the error that ends the job */
  atomic_uint arrived, generation; /* of the barrier: ranks that have come, barriers passed */
  _Alignas(64) ft_board_slot result; /* written by the node's first rank, read by all */
  ft_board_slot slots[];             /* [ranks of the node] written by each, read by the first */
} ft_board;

typedef enum ft_reduce { FT_REDUCE_SUM, FT_REDUCE_MAX, FT_REDUCE_MIN } ft_reduce;

struct ft_comm {
  int rank, size;
  ft_nodes nodes;
  char host[MPI_MAX_PROCESSOR_NAME + 1];

  MPI_Comm world;    /* collectives over all ranks */
  MPI_Comm messages; /* messages of exchanges, tagged with the exchange's number */
  MPI_Comm machine;  /* the ranks that share memory */
  MPI_Comm node;     /* the ranks of this node: all of `machine` unless nodes are faked */
  MPI_Comm leaders;  /* the first ranks of the nodes; elsewhere MPI_COMM_NULL */
  MPI_Win board_window;
  ft_board *board;

  cpu_set_t *machine_cpus; /* [machine_size] cores usable by each rank of this machine */
  cpu_set_t own_cpus;      /* this rank's, where its helper threads may run */
  int machine_rank, machine_size;
  bool crowded; /* more ranks than cores share this rank's cores */

  pthread_t thread;
  pthread_mutex_t lock;  /* guards what follows down to `current` */
  pthread_cond_t posted; /* the queue is no longer empty, or stopping */
  pthread_cond_t done;   /* a request is done */
  ft_request *first, *last;
  bool stopping;
  ft_request *current; /* in progress; for reports */
  double current_since_s;

  /* the communication thread's own */
  double longest_sleep_s; /* between two tests */
  uint64_t exchange_number;
  int largest_tag;      /* exchange numbers wrap here; a power of two less one */
  MPI_Request *pending; /* [pending_capacity] of the exchange in progress: receives, then sends */
  MPI_Status *statuses; /* [pending_capacity] */
  int64_t pending_capacity;

  double waited_s; /* the posting thread's own */
};

ft_err ft_queue_start(ft_comm *comm);
/* Lets the thread end once the queue is empty, and joins it. */
void ft_queue_stop(ft_comm *comm);
/* Posts run(comm, arg) and waits for it. */
void ft_queue_call(ft_comm *comm, const char *name, void (*run)(ft_comm *, void *), void *arg);
/* Appends a request that the caller has filled. */
void ft_queue_post(ft_comm *comm, ft_request *request);

/* Communication thread: aborts the job, naming the operation and block in progress. */
_Noreturn void ft_current_failed(ft_comm *comm, ft_err code);
/* Communication thread: aborts the job if an MPI call did not succeed. */
void ft_mpi_check(ft_comm *comm, int result, const char *call);
/* Communication thread: tests until the requests are complete, sleeping when nothing moves.
 * statuses (one a request) may be NULL. */
void ft_progress(ft_comm *comm, int64_t num_requests, MPI_Request *requests, MPI_Status *statuses);
/* Communication thread, when it waits for anything but MPI: lets MPI move what it still holds (a
 * small send is complete before its bytes have left), and says how long to wait until the next
 * time, `interval_s` having passed since the last. */
#define FT_POLL_SHORTEST_S 0.5e-3
double ft_poll(ft_comm *comm, double interval_s);
/* Communication thread: an exchange from its first barrier to its last. */
void ft_exchange_run(ft_comm *comm, void *request);

/* Collective over this node's ranks. */
ft_err ft_board_init(ft_comm *comm);
void ft_board_fini(ft_comm *comm);
/* Communication thread: waits until all ranks of this node have come here; what they wrote to
 * shared memory before is then visible. */
void ft_node_barrier(ft_comm *comm);
/* Communication thread: the same over all ranks. */
void ft_world_barrier(ft_comm *comm);
/* Communication thread: at most FT_BOARD_VALUES values in place, over all ranks. */
void ft_world_reduce(ft_comm *comm, ft_reduce op, int64_t *values, int64_t count);

/* ---------------------------------------------------------------- the machine */

/* Which cores this rank may use: its own affinity mask, or its launcher's where the launcher bound
 * it to a few cores only by default. */
void ft_usable_cpus(cpu_set_t *out);

/* For the address sanitizer: before MPI ends, and of the calling thread; otherwise nothing. */
void ft_keep_libraries(void);
void ft_look_for_leaks(bool look);

#endif
