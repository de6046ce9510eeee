/* What the files of comm share: the state of a rank, the queue, and the few steps that every
 * collective is made of. Functions marked "communication thread" are called by it alone.
 *
 * Calls go one way (tests/circles.py checks it), from left to right:
 *   life, window, collectives, exchange, leave > queue > board > progress > control > stall, stop >
 *   abort > asked, nodes, messages */
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

#define FT_LOOK_AT_RESULT __attribute__((warn_unused_result))

/* One MPI call never moves more than this. */
#define FT_PIECE_BYTES ((size_t)64 << 20)
/* What is broadcast is copied up to this size; larger things do not lie on stacks. */
#define FT_COPY_BYTES ((size_t)64 << 10)

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

/* Makes an operation from start to end on the communication thread. False: the job stops, or cannot
 * go on; then it touches nothing more, and is never finished. */
typedef bool ft_operation(ft_comm *comm, void *arg);

/* An operation of the queue. */
struct ft_request {
  const char *name; /* for reports, with `block` */
  int64_t block;
  ft_operation *run;
  void *arg;
  ft_exchange exchange; /* of ft_comm_exchange */
  int64_t sections;     /* that this rank had left when it was posted */
  int epoch;            /* ft_epoch when it was posted */
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

/* ---------------------------------------------------------------- processors */

/* What a rank may use: cores, and processors' time by a control group that others may share. */
typedef struct ft_rank_cpus {
  cpu_set_t cores;
  double quota; /* HUGE_VAL: no limit */
  uint64_t quota_group;
  int bound_before; /* processors that the launcher had bound it to, undone; 0: it had not */
} ft_rank_cpus;

/* ---------------------------------------------------------------- stopping */

/* What operations move on. The job has two: after a stop in the middle of a step the second takes
 * over, so that nothing that was abandoned ever meets what follows. */
typedef struct ft_lane {
  MPI_Comm world;    /* collectives over all ranks */
  MPI_Comm messages; /* messages of exchanges, tagged with the exchange's number */
  MPI_Comm leaders;  /* the first ranks of the nodes; elsewhere MPI_COMM_NULL */
  MPI_Win board_window;
  ft_board *board;
} ft_lane;

typedef enum ft_epoch {
  FT_EPOCH_RUN,     /* as always */
  FT_EPOCH_STOPPED, /* operations were abandoned; what is posted is dropped */
  FT_EPOCH_AFTER    /* the second lane works: for the checkpoint */
} ft_epoch;

/* Why a job stops. The highest of several counts. */
typedef enum ft_reason {
  FT_REASON_NONE,
  FT_REASON_TIME,
  FT_REASON_SIGNAL,
  FT_REASON_STALL
} ft_reason;

typedef enum ft_word {
  FT_WORD_NONE,
  FT_WORD_STOP,  /* to rank 0: somebody asks for a stop */
  FT_WORD_QUERY, /* from rank 0: begin no new section, and say where you are */
  FT_WORD_STATE, /* to rank 0: the answer */
  FT_WORD_COMMIT /* from rank 0: stop after that many sections */
} ft_word;

/* All control messages have this form; each uses a part. */
typedef struct ft_control_message {
  int32_t word, reason, origin, signal; /* origin: the rank that asks; its signal */
  double after_s;                       /* seconds since origin was asked */
  int64_t sections;                     /* STATE: begun; COMMIT: to be finished by all */
  int64_t operations, block, step;      /* STATE: done; in progress; ft_comm_set_step's */
  double waiting_s; /* STATE: how long the operation is in progress, or no sign of life was given */
  int32_t peer;     /* STATE: whose message is waited for; -1: none */
  int32_t
      arrived; /* STATE: ranks of the node that have come to its barrier; 0: none is waited in */
  int32_t node_size;
  char name[32], activity[48], host[64]; /* name "": in no operation */
} ft_control_message;

typedef struct ft_letter ft_letter; /* a control message on its way */

/* The communication thread's own. */
typedef struct ft_control {
  MPI_Comm comm;
  double next_s;      /* when to look again */
  ft_letter *letters; /* sent, not yet known to have left */
  double asked_s;     /* when this rank asked rank 0, or rank 0 all; 0: not yet */
  double frozen_s, decided_s, stopped_s; /* likewise */
  int64_t signs; /* of life, when it was last looked; and since when there was no other */
  double moved_s;
  bool stall_logged;
  ft_control_message *states; /* rank 0, while it asks: [size]; word NONE: no answer yet */
  int num_states;
  ft_err failed; /* the job cannot go on: the thread's error says why */
} ft_control;

struct ft_comm {
  int rank, size;
  ft_nodes nodes;
  char host[MPI_MAX_PROCESSOR_NAME + 1];

  ft_lane lanes[2];
  ft_lane *lane;    /* in use; the communication thread's own once it runs */
  MPI_Comm machine; /* the ranks that share memory */
  MPI_Comm node;    /* the ranks of this node: all of `machine` unless nodes are faked */

  ft_rank_cpus *machine_cpus; /* [machine_size] of each rank of this machine */
  cpu_set_t own_cpus;         /* this rank's, where its helper threads may run */
  int64_t machine_leader;     /* lowest world rank of this machine */
  int machine_rank, machine_size;
  bool crowded; /* more ranks than cores share this rank's cores */

  pthread_t thread;
  pthread_mutex_t lock;  /* guards what follows down to `epoch` */
  pthread_cond_t posted; /* the queue is no longer empty, or stopping */
  pthread_cond_t done;   /* a request is done */
  ft_request *first, *last;
  bool ending;
  ft_request *current; /* in progress; for reports */
  double current_since_s;
  int64_t operations; /* done */
  int64_t sections_begun, sections_left;
  int64_t decided;        /* sections that all ranks finish before they stop; -1: none yet */
  bool frozen;            /* rank 0 was told sections_begun */
  bool last_section;      /* a stop comes too late */
  double deadline_s;      /* 0: none; rank 0's counts */
  double stall_timeout_s; /* 0: none */
  int64_t step;           /* for reports, as the next */
  const char *activity;
  ft_control_message cause; /* why this rank stops; word NONE: it does not */
  double asked_s;           /* when somebody was asked to */
  void (*on_stop)(void);
  atomic_int epoch; /* ft_epoch; written under the lock */

  /* the communication thread's own */
  ft_control control;
  double longest_sleep_s; /* between two tests */
  uint64_t exchange_number;
  int largest_tag;      /* exchange numbers wrap here; a power of two less one */
  MPI_Request *pending; /* [pending_capacity] of the exchange in progress: receives, then sends */
  MPI_Status *statuses; /* [pending_capacity] */
  int64_t pending_capacity;
  int64_t waits_for; /* request of `pending` that is not complete; -1: it waits for none of them */
  bool in_barrier;   /* of the node */

  /* the posting thread's own */
  int section_depth;
};

ft_err ft_queue_start(ft_comm *comm);
/* Lets the thread end once the queue is empty, and joins it. */
void ft_queue_stop(ft_comm *comm);
/* Posts run(comm, arg) and waits for it. After FT_ERR_STOPPED the operation may still be in flight:
 * whatever MPI writes to must not lie on a stack. */
ft_err ft_queue_call(ft_comm *comm, const char *name, ft_operation *run, void *arg);
/* A new request, which outlives the call that waits for it if it is abandoned. Without memory for
 * it the job ends. */
ft_request *ft_queue_request(ft_comm *comm, const char *name);
/* Appends a request that the caller has filled. */
void ft_queue_post(ft_comm *comm, ft_request *request);

/* ---- control.c: communication thread */
/* Whoever waits calls it often; it looks only when it is time again. False: the operation in
 * progress is to be left as it is, because the job has just agreed to abandon it or cannot go on
 * (control.failed). */
FT_LOOK_AT_RESULT bool ft_control_look(ft_comm *comm, double now_s);
void ft_control_fini(ft_comm *comm);

/* ---- asked.c */
int ft_stop_requests(void); /* signals seen so far */
/* The signal that asked, and when. */
int ft_stop_signal(double *asked_s);

/* ---- stop.c */
int64_t ft_stop_signs(void); /* of life, from ft_comm_check */
ft_err ft_stopped(void);     /* FT_ERR_STOPPED with its message */
/* Communication thread: from here on this rank begins no section until there is a decision. Returns
 * how many it has begun. */
int64_t ft_stop_freeze(ft_comm *comm);
void ft_stop_decide(ft_comm *comm, int64_t sections);
/* Communication thread: abandons what the job has agreed to abandon, once this rank is there: then
 * it is true, and the second lane is in use. */
FT_LOOK_AT_RESULT bool ft_stop_if_due(ft_comm *comm);

/* ---- stall.c: communication thread */
/* What this rank is doing. */
void ft_stall_describe(ft_comm *comm, ft_control_message *out);
/* Whether an operation is in progress, or no sign of life was given, for longer than the stall
 * timeout. To be asked often. */
bool ft_stall_seen(ft_comm *comm, double now_s);
void ft_stall_log(ft_comm *comm);
/* Rank 0, from the answers: which ranks have not come to the operation that the others wait in. */
void ft_stall_report(ft_comm *comm);

/* ---- abort.c */
#define FT_END_PATIENCE_S 5.0 /* of a rank that is to be ended by others */
_Noreturn void ft_end_job(ft_err code);
/* Waits for being ended by others; true, and early, when the launcher has begun to (by SIGTERM,
 * which the program catches). */
bool ft_ended_by_others(double seconds);
/* Communication thread: aborts the job, naming the operation and block in progress. */
_Noreturn void ft_current_failed(ft_comm *comm, ft_err code);
/* Communication thread: aborts the job if an MPI call did not succeed. */
void ft_mpi_check(ft_comm *comm, int result, const char *call);
/* ---- progress.c: communication thread. False, of these and all below: the operation is to be left
 * as it is (ft_control_look). */
/* Tests until the requests are complete, sleeping when nothing moves. statuses (one a request) may
 * be NULL. */
FT_LOOK_AT_RESULT bool ft_progress(ft_comm *comm, int64_t num_requests, MPI_Request *requests,
                                   MPI_Status *statuses);
/* For whoever waits for anything but MPI: lets MPI move what it still holds (a small send is
 * complete before its bytes have left), and sets how long to wait until the next time; before, it
 * is what has passed since the last. */
#define FT_POLL_SHORTEST_S 0.5e-3
#define FT_POLL_LONGEST_S 50e-3
FT_LOOK_AT_RESULT bool ft_poll(ft_comm *comm, double *interval_s);

/* ---- messages.c */
int64_t ft_message_pieces(const ft_message *messages, int64_t count);
/* Whose message the exchange's request number `index` is. A pure function. */
int ft_exchange_peer(const ft_exchange *exchange, int64_t index);

/* ---- board.c */
/* Collective over this node's ranks. */
ft_err ft_board_init(ft_comm *comm, ft_lane *lane);
void ft_board_fini(ft_lane *lane);
/* Communication thread: waits until all ranks of this node have come here; what they wrote to
 * shared memory before is then visible. */
FT_LOOK_AT_RESULT bool ft_node_barrier(ft_comm *comm);
/* Communication thread: the same over all ranks. */
FT_LOOK_AT_RESULT bool ft_world_barrier(ft_comm *comm);
/* Communication thread: at most FT_BOARD_VALUES values in place, over all ranks. */
FT_LOOK_AT_RESULT bool ft_world_reduce(ft_comm *comm, ft_reduce op, int64_t *values, int64_t count);

/* ---------------------------------------------------------------- the machine */

/* Which cores this rank may use: its own affinity mask, or its launcher's where the launcher bound
 * it to a few cores only by default; and how much processor time. */
void ft_usable_cpus(ft_rank_cpus *out);

/* ---- launcher.c: a pure function of the environment (NULL: not set, or empty) and of the name of
 * the process that started this one. */
typedef const char *ft_environment(const char *name);
ft_launch ft_launch_of(ft_environment *get, int srun_distance);

/* ---- environment.c: to be called before MPI_Init. */
void ft_set_environment(void);
/* A network interface that is up and has an address. */
typedef struct ft_network {
  char name[64];
  bool plugged_in; /* it has a carrier */
} ft_network;
/* Lists, with commas, those that lead to no other host: without a carrier, or bridges of container
 * programs. False: there are none, or there is nothing else. A pure function. */
bool ft_networks_to_avoid(const ft_network *networks, int64_t count, char *out, size_t size);

/* For the address sanitizer: before MPI ends, and of the calling thread; otherwise nothing. */
void ft_keep_libraries(void);
void ft_look_for_leaks(bool look);

/* ---- start_watch.c: ends the process with status 75 if it is not over in 300 s
 * (FT_START_TIMEOUT). `host` is borrowed. Errors: FT_ERR_USAGE, FT_ERR_INTERNAL. */
typedef struct ft_start_watch ft_start_watch;
ft_err ft_start_watch_begin(int rank, int size, const char *host, ft_start_watch **out);
/* NULL is legal. */
void ft_start_watch_end(ft_start_watch *watch);

#endif
