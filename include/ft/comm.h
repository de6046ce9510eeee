/* comm: all of MPI. Who the ranks are, the ordered queue of collectives that one thread per rank
 * works through, agreement on errors, node-shared memory, binding and abort.
 *
 * One communication thread a rank makes every MPI call between ft_comm_new and ft_comm_free, first
 * in first out; every rank must post the same collectives in the same order. Operations are started
 * nonblocking, tested, and the thread sleeps briefly (0.2 ms) when nothing moves, so that it does
 * not take the compute threads' cores. Posting and waiting may be done from one thread at a time.
 *
 * Sizes are bytes in size_t; whatever exceeds one MPI count is moved in pieces of at most 64 MiB.
 */
#ifndef FT_COMM_H
#define FT_COMM_H

#include "ft/base.h"

typedef struct ft_comm ft_comm;
typedef struct ft_request ft_request;

/* The module's libraries with their versions: "Open MPI 4.1.4, hwloc 2.9.0". Before MPI is up, too.
 * Not collective. */
const char *ft_comm_libraries(void);

/* ---------------------------------------------------------------- who started this process */

/* What the launcher's environment says, before MPI is up. */
typedef struct ft_launch {
  const char *launcher; /* for people: "srun", "nobody" … */
  int rank, size;       /* 0 and 1 without one */
  int local_rank;       /* on this host; 0: unknown */
  bool apart;           /* srun started several, and was told no way to connect them */
  bool by_hand;         /* from an interactive shell whose environment speaks of several */
} ft_launch;
/* Not collective. */
ft_launch ft_comm_launch(void);

/* ---------------------------------------------------------------- life */

/* Starts MPI (MPI_THREAD_SERIALIZED; fine without mpirun: one rank) and the communication thread.
 * Collective over all ranks. Install signal handlers before: MPI's own do not replace them. Errors:
 * FT_ERR_INTERNAL if MPI cannot start; once it has, a rank that cannot go on aborts the job. Sets
 * the rank of the log.
 *
 * FT_FAKE_NODE_SIZE=k in the environment is a test aid: the ranks of one machine behave as nodes of
 * k consecutive ranks (k < 0: as if dealt in turn to nodes of -k ranks each). */
ft_err ft_comm_new(ft_comm **out);

/* Waits for all posted work, stops the thread and finalizes MPI. Collective over all ranks. Where
 * the job has stopped in the middle of a step, it ends the process (ft_comm_leave with status 75).
 */
void ft_comm_free(ft_comm *comm);

/* Ends the job at once: prints the calling thread's error once, with rank, host and where, then
 * MPI_Abort with `code`. For a rank that failed where others may be inside a collective. */
_Noreturn void ft_comm_abort(ft_comm *comm, ft_err code, const char *where);

/* ---------------------------------------------------------------- who is where (not collective) */

int ft_comm_rank(const ft_comm *comm);
int ft_comm_size(const ft_comm *comm);
int ft_comm_num_nodes(const ft_comm *comm);
int ft_comm_node(const ft_comm *comm);                /* this rank's node, 0 … num_nodes-1 */
int ft_comm_node_rank(const ft_comm *comm);           /* this rank's index on its node */
int ft_comm_node_size(const ft_comm *comm, int node); /* ranks on `node` */
int ft_comm_node_member(const ft_comm *comm, int node, int index); /* world rank of a member */
int ft_comm_node_of(const ft_comm *comm, int rank);                /* node of a world rank */
const char *ft_comm_host(const ft_comm *comm);                     /* this host's name */

/* ---------------------------------------------------------------- exchanges: asynchronous */

typedef struct ft_message {
  int peer;     /* world rank; never this rank */
  void *data;   /* borrowed until the exchange is done; not written by a send */
  size_t bytes; /* both sides name the same size; 0 is allowed and sends nothing */
} ft_message;

/* One step of the queue, in this order: node barrier (if asked), prepare, all sends and receives at
 * once, complete, node barrier (if asked). Everything it points to stays valid until it is done.
 * prepare and complete run on the communication thread and must not call ft_comm. */
typedef struct ft_exchange {
  const char *name;                   /* for reports: "gather", "reduce" … ; a literal */
  int64_t block;                      /* for reports; -1: none */
  bool barrier_before, barrier_after; /* over the ranks of this node */
  void (*prepare)(void *arg);
  void (*complete)(void *arg);
  void *arg;
  const ft_message *sends; /* between two ranks, messages match in the order listed */
  int64_t num_sends;
  const ft_message *receives;
  int64_t num_receives;
} ft_exchange;

/* Posts an exchange. Collective over all ranks (each posts its own part, which may be empty). The
 * struct is copied, the arrays are borrowed. Never fails: resource errors abort the job. */
ft_request *ft_comm_exchange(ft_comm *comm, const ft_exchange *exchange);

/* Waits until the request is done and frees it; NULL is legal. Returns FT_OK, or FT_ERR_STOPPED as
 * soon as the job has agreed to stop in the middle of a step (the request then stays in flight and
 * everything it borrows must stay valid until the process ends). */
ft_err ft_comm_wait(ft_comm *comm, ft_request *request);

/* ---------------------------------------------------------------- blocking collectives
 * Each is posted to the same queue and waited for. Collective over all ranks. All may return
 * FT_ERR_STOPPED (as ft_comm_wait); then the caller's data are as before, except that a broadcast
 * of more than 64 KiB goes on using its memory, which must not lie on a stack. */

ft_err ft_comm_barrier(ft_comm *comm);
ft_err ft_comm_broadcast(ft_comm *comm, int root, void *data, size_t bytes);
ft_err ft_comm_sum_i64(ft_comm *comm, int64_t *values, int64_t count);  /* in place; exact */
ft_err ft_comm_sum_u64(ft_comm *comm, uint64_t *values, int64_t count); /* modulo 2^64 */
ft_err ft_comm_max_i64(ft_comm *comm, int64_t *values, int64_t count);
/* Every rank's `bytes` (they may differ) to root, in rank order. On root *out is a new array
 * (ft_free) and sizes[size] (caller's array; NULL: not wanted) its parts' sizes; elsewhere *out is
 * NULL. */
ft_err ft_comm_gather(ft_comm *comm, int root, const void *data, size_t bytes, void **out,
                      size_t *sizes);

/* Agreement on errors. Every rank passes its own result; if any is not FT_OK, every rank returns
 * the code and message of the lowest failing rank (which becomes each caller's ft_error_message).
 * Where others did not fail, the message begins with that rank and its host; not so rank 0's of a
 * job on one node. To be called after local work that may fail and before the next collective. */
ft_err ft_comm_agree(ft_comm *comm, ft_err mine);

/* ---------------------------------------------------------------- what all must share
 *
 * Files, programs and environments are each rank's own, and may differ from host to host: a copy
 * that is out of date, a disk that is not the shared one. What a rank finds out by itself and the
 * result depends on is a fact, and facts are compared before anything is begun. */

typedef struct ft_facts ft_facts;

ft_err ft_facts_new(ft_facts **out);
void ft_facts_free(ft_facts *facts);
/* Adds a fact: what it is (unique, "model m"), its value for people ("3 files, digest …"), and for
 * the case that it differs the error's code and what to do. Texts are copied, and cut at some 200
 * bytes. Errors: FT_ERR_MEMORY. */
ft_err ft_facts_add(ft_facts *facts, ft_err code, const char *name, const char *advice,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Whether a number is the same on all ranks (its lowest bit does not count): for what is cheap to
 * know and need not be the same. Collective over all ranks. */
ft_err ft_comm_same(ft_comm *comm, uint64_t value, bool *same);
/* Every rank's facts must be the same. Collective over all ranks; errors are agreed: the first
 * differing fact's code, and a message that has for each one that differs (at most eight) every
 * value with a host and rank that has it. Each rank must have at least one fact. */
ft_err ft_comm_compare(ft_comm *comm, ft_facts *facts);

/* ---------------------------------------------------------------- node-shared memory */

typedef struct ft_window ft_window;

/* `bytes` of memory shared by the ranks of a node, zeroed, 64-byte aligned (same bytes on every
 * rank of the node, else the node's largest). Checks the room in /dev/shm first. Few and large,
 * please. Collective over all ranks. Errors (on every rank): FT_ERR_MEMORY. Accounted to `owner` on
 * the node's first rank. */
ft_err ft_comm_window_new(ft_comm *comm, ft_owner owner, size_t bytes, ft_window **out);
void *ft_comm_window_data(const ft_window *window);
/* Collective over all ranks. */
void ft_comm_window_free(ft_comm *comm, ft_window *window);

/* ---------------------------------------------------------------- room in memory */

/* The bound on memory that is nearest to what the ranks it holds for will take: a machine's free
 * memory, or a control group's limit (ft/base_machine.h). */
typedef struct ft_room {
  char host[64], name[232]; /* name: "MemAvailable", "memory.max of /sys/fs/cgroup/…" */
  int num_ranks;            /* that share it; 0: no bound is known */
  int64_t needed_bytes;     /* by these ranks together */
  int64_t available_bytes;  /* to these ranks together, with what they have already */
  int64_t limit_bytes;      /* with what others use */
} ft_room;

/* Finds the tightest bound of each machine, and of the groups there. needed_bytes: all memory that
 * this rank will have in the end, what it has already included (shared memory on one rank of the
 * node). On rank 0 *rooms (to be freed with ft_free) has `*count` of them, the fullest first; NULL
 * and 0 on the others. Collective over all ranks; to be called before large memory is taken: what
 * is too much would end the ranks, without a word. Errors: FT_ERR_MEMORY, FT_ERR_STOPPED. */
ft_err ft_comm_memory_rooms(ft_comm *comm, int64_t needed_bytes, ft_room **rooms, int64_t *count);
/* FT_ERR_MEMORY if more is needed than there is, naming host, ranks, both numbers and the bound.
 * Not collective. */
ft_err ft_room_check(const ft_room *room);

/* ---------------------------------------------------------------- compute threads */

/* Number of compute threads of this rank: OMP_NUM_THREADS, or the smaller of the node's usable
 * cores (by affinity and hwloc) and whole processors that control groups allow (ft_machine_cpus),
 * each divided by the ranks that share them; at least 1. Calls omp_set_num_threads with it and
 * binds the OpenMP threads to the rank's own cores where the ranks fit the cores. Not collective;
 * call once. */
int ft_comm_setup_threads(ft_comm *comm);

/* Lets the calling thread run on any of the rank's cores. A helper thread (writing) calls it:
 * started after ft_comm_setup_threads, it inherits the one core of the thread that started it. Not
 * collective. */
void ft_comm_float_thread(const ft_comm *comm);

/* ---------------------------------------------------------------- stopping
 *
 * A job can be asked to stop at any moment, at any rank. The communication threads then agree, over
 * control messages that they serve between their tests, on a place to stop: the end of a SECTION.
 * All ranks do the same sections in the same order, and a section that one rank has begun is
 * finished by all. Between sections a job stops in the middle of whatever it does: waits return
 * FT_ERR_STOPPED within milliseconds, however late other ranks are; what was posted is abandoned;
 * ft_free becomes empty (ft_mem_keep), because MPI may still write to what was lent to it. */

/* Called from a signal handler (async-signal-safe): asks all ranks to stop soon. */
void ft_comm_request_stop(int signal_number);
/* True on this rank once it was asked. */
bool ft_comm_stop_requested(void);
/* Stops as by a signal once ft_now_s() is past at_s (0: never). Rank 0's counts. Not collective. */
void ft_comm_set_deadline(ft_comm *comm, double at_s);

/* What lies between begin and end is done by all ranks or by none; it may hold collectives, but
 * nothing that takes long, because a stop waits for it. begin may wait a moment, while ranks agree.
 * Sections nest; the outermost counts. Same order on all ranks, not collective by themselves.
 * Errors of begin: FT_ERR_STOPPED; then there is no end. */
ft_err ft_comm_section_begin(ft_comm *comm);
void ft_comm_section_end(ft_comm *comm);
/* Begins a section that never ends: the program is about to finish, a stop comes too late. */
ft_err ft_comm_section_last(ft_comm *comm);

/* FT_ERR_STOPPED once the job has stopped in the middle; cheap: for loops that compute long. It is
 * also this rank's sign of life, as every collective is: see ft_comm_set_stall_timeout. */
ft_err ft_comm_check(const ft_comm *comm);
/* The same without the sign of life: for waiting for something that may never come. */
bool ft_comm_stopped(const ft_comm *comm);
/* `call` runs on the communication thread as soon as the job has stopped. Not collective. */
void ft_comm_on_stop(ft_comm *comm, void (*call)(void));
/* After FT_ERR_STOPPED: collectives work again (ft_comm_check goes on to say what has happened), on
 * communicators of their own, so that nothing abandoned meets them. For writing what must not be
 * lost. Collective over all ranks. */
void ft_comm_start_over(ft_comm *comm);
/* Who asked to stop, for people: "SIGUSR1 at rank 1 (host c3)". Returns when that was, by
 * ft_now_s(). Not collective. */
double ft_comm_stop_cause(ft_comm *comm, char *out, size_t size);
/* Ends the process with `status`, without waiting for what was abandoned, once all ranks are here
 * (but waits at most ten seconds). Collective over all ranks. */
_Noreturn void ft_comm_leave(ft_comm *comm, int status);

/* ---------------------------------------------------------------- stalls */

/* When one operation is in progress for that many seconds (0: no bound), or a rank gives no sign of
 * life for so long, every rank writes to its log what it does or waits for, rank 0 prints which
 * ranks have not come there, and the job stops as by a signal; where ranks do not answer, it ends
 * with status 75 at once. Not collective; the same on every rank. */
void ft_comm_set_stall_timeout(ft_comm *comm, double seconds);
/* The step that reports name. */
void ft_comm_set_step(ft_comm *comm, int64_t step);
/* What this rank does, for reports: a literal of a few words, such as "reads the model". Returns
 * what it did until now, for those who go back to it. Not collective. */
const char *ft_comm_enter(ft_comm *comm, const char *activity);

#endif
