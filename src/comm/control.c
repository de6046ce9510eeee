/* Control messages: how the ranks agree on where to stop, while any of them may be inside an
 * operation that never ends. The communication thread serves them between its tests. Rank 0 speaks
 * with every other rank, nobody else with each other. */
#include "comm_internal.h"

#include <string.h>

#define LOOK_S 2e-3 /* between two looks of a rank whose data move */
/* How long a rank may take to answer: its communication thread looks up every few milliseconds
 * unless its process is stopped, dead or cut off. */
#define ANSWER_S 10.0
/* How long ranks wait for rank 0, which waits that long for all of them. */
#define DECISION_S 15.0
/* How long a rank may take from the decision to the end of a section that others have begun, or to
 * notice the stop: both are a matter of seconds. */
#define REACT_S 60.0

struct ft_letter {
  ft_control_message message;
  MPI_Request request;
  ft_letter *next;
};

/* The job cannot go on: whoever works on an operation stops, and ends the job. */
static void fail(ft_comm *comm, ft_err code) {
  if (comm->control.failed == FT_OK) comm->control.failed = code;
}

static bool mpi_ok(ft_comm *comm, int result, const char *call) {
  char text[MPI_MAX_ERROR_STRING + 1] = "";
  int length = 0;
  if (result == MPI_SUCCESS) return true;
  MPI_Error_string(result, text, &length);
  fail(comm, ft_fail(FT_ERR_INTERNAL, "%s failed: %s", call, text));
  return false;
}

/* ---------------------------------------------------------------- sending */

static void forget_sent(ft_comm *comm) {
  for (ft_letter **at = &comm->control.letters; *at;) {
    ft_letter *letter = *at;
    int complete = 0;
    if (!mpi_ok(comm, MPI_Test(&letter->request, &complete, MPI_STATUS_IGNORE), "MPI_Test")) return;
    if (complete) {
      *at = letter->next;
      ft_free(letter);
    } else {
      at = &letter->next;
    }
  }
}

static void send(ft_comm *comm, int to, const ft_control_message *message) {
  void *p;
  ft_err err = ft_alloc(FT_MEM_OTHER, sizeof(ft_letter), &p);
  if (err != FT_OK) {
    fail(comm, err);
    return;
  }
  ft_letter *letter = p;
  letter->message = *message;
  if (!mpi_ok(comm,
              MPI_Isend(&letter->message, (int)sizeof letter->message, MPI_BYTE, to, 0,
                        comm->control.comm, &letter->request),
              "MPI_Isend"))
    return;
  letter->next = comm->control.letters;
  comm->control.letters = letter;
}

static void send_all(ft_comm *comm, const ft_control_message *message) {
  for (int r = 1; r < comm->size; r++)
    send(comm, r, message);
}

void ft_control_fini(ft_comm *comm) {
  for (ft_letter *letter = comm->control.letters, *next; letter; letter = next) {
    next = letter->next;
    MPI_Wait(&letter->request, MPI_STATUS_IGNORE); /* small: it has left long ago */
    ft_free(letter);
  }
  ft_free(comm->control.states);
}

/* ---------------------------------------------------------------- every rank */

static void decided(ft_comm *comm, int64_t sections) {
  comm->control.decided_s = ft_now_s();
  ft_stop_decide(comm, sections);
}

/* Rank 0 asks: this rank's answer. */
static ft_control_message answer(ft_comm *comm, const ft_control_message *query) {
  double now_s = ft_now_s();
  comm->control.frozen_s = now_s;
  ft_control_message state = {.word = FT_WORD_STATE};
  ft_stall_describe(comm, &state);
  state.sections = ft_stop_freeze(comm);
  pthread_mutex_lock(&comm->lock);
  comm->cause = *query;
  comm->asked_s = now_s - query->after_s;
  pthread_mutex_unlock(&comm->lock);
  if (query->reason == FT_REASON_STALL) ft_stall_log(comm);
  return state;
}

/* ---------------------------------------------------------------- rank 0 */

static void decide(ft_comm *comm) {
  ft_control *c = &comm->control;
  ft_control_message commit = {.word = FT_WORD_COMMIT};
  for (int r = 0; r < comm->size; r++)
    commit.sections = FT_MAX(commit.sections, c->states[r].sections);
  send_all(comm, &commit);
  if (comm->cause.reason == FT_REASON_STALL) ft_stall_report(comm);
  decided(comm, commit.sections);
}

static void take_state(ft_comm *comm, int from, const ft_control_message *state) {
  ft_control *c = &comm->control;
  c->states[from] = *state;
  if (++c->num_states == comm->size) decide(comm);
}

/* Asks all ranks, once in the life of a job. */
static void ask_all(ft_comm *comm, const ft_control_message *stop) {
  ft_control *c = &comm->control;
  if (c->states) return;
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, comm->size, sizeof *c->states, &p);
  if (err != FT_OK) {
    fail(comm, err);
    return;
  }
  c->states = p;
  c->asked_s = ft_now_s();
  ft_control_message query = *stop;
  query.word = FT_WORD_QUERY;
  send_all(comm, &query);
  ft_control_message mine = answer(comm, &query);
  take_state(comm, 0, &mine);
}

/* ---------------------------------------------------------------- receiving */

static void handle(ft_comm *comm, int from, const ft_control_message *message) {
  ft_control_message state;
  switch ((ft_word)message->word) {
  case FT_WORD_STOP:
    ask_all(comm, message);
    break;
  case FT_WORD_QUERY:
    state = answer(comm, message);
    send(comm, 0, &state);
    break;
  case FT_WORD_STATE:
    take_state(comm, from, message);
    break;
  case FT_WORD_COMMIT:
    decided(comm, message->sections);
    break;
  case FT_WORD_NONE:
    break;
  }
}

static void receive_all(ft_comm *comm) {
  int from = comm->rank == 0 ? MPI_ANY_SOURCE : 0, found = comm->size > 1;
  while (found) {
    MPI_Status status;
    if (!mpi_ok(comm, MPI_Iprobe(from, 0, comm->control.comm, &found, &status), "MPI_Iprobe") ||
        !found)
      return;
    ft_control_message message;
    if (!mpi_ok(comm,
                MPI_Recv(&message, (int)sizeof message, MPI_BYTE, status.MPI_SOURCE, 0,
                         comm->control.comm, MPI_STATUS_IGNORE),
                "MPI_Recv"))
      return;
    handle(comm, status.MPI_SOURCE, &message);
  }
}

/* ---------------------------------------------------------------- asking */

static ft_reason reason_to_stop(ft_comm *comm, double now_s) {
  if (ft_stall_seen(comm, now_s)) return FT_REASON_STALL;
  if (ft_comm_stop_requested()) return FT_REASON_SIGNAL;
  pthread_mutex_lock(&comm->lock);
  double deadline_s = comm->deadline_s;
  pthread_mutex_unlock(&comm->lock);
  return comm->rank == 0 && deadline_s > 0 && now_s > deadline_s ? FT_REASON_TIME : FT_REASON_NONE;
}

static void ask_if_wanted(ft_comm *comm, double now_s) {
  ft_control *c = &comm->control;
  ft_reason reason = reason_to_stop(comm, now_s);
  if (reason == FT_REASON_NONE) return;
  ft_control_message stop = {.word = FT_WORD_STOP, .reason = reason, .origin = comm->rank};
  snprintf(stop.host, sizeof stop.host, "%.60s", comm->host);
  if (reason == FT_REASON_SIGNAL) {
    double asked_s;
    stop.signal = ft_stop_signal(&asked_s);
    stop.after_s = now_s - asked_s;
  }
  if (reason == FT_REASON_STALL) ft_stall_log(comm); /* though rank 0 should never answer */
  c->asked_s = now_s;
  if (comm->rank == 0)
    ask_all(comm, &stop);
  else
    send(comm, 0, &stop);
}

/* ---------------------------------------------------------------- bounds */

/* No wait is for ever. */
static void watch(ft_comm *comm, double now_s, bool last_section) {
  ft_control *c = &comm->control;
  int epoch = atomic_load(&comm->epoch);
  if (c->decided_s == 0 && comm->rank == 0 && c->states && now_s - c->asked_s > ANSWER_S) {
    ft_stall_report(comm);
    fail(comm, ft_fail(FT_ERR_STOPPED,
                       "%d of %d ranks did not answer within %.0f s: the run ends with the last "
                       "checkpoint that was committed",
                       comm->size - c->num_states, comm->size, ANSWER_S));
  }
  bool waits = c->decided_s == 0 && comm->rank != 0 && !last_section;
  if (waits && c->asked_s > 0 && now_s - c->asked_s > DECISION_S)
    fail(comm, ft_fail(FT_ERR_STOPPED,
                       "rank 0 did not answer within %.0f s: the run ends with the last "
                       "checkpoint that was committed",
                       DECISION_S));
  if (waits && c->frozen_s > 0 && now_s - c->frozen_s > DECISION_S)
    fail(comm, ft_fail(FT_ERR_STOPPED,
                       "rank 0 did not decide within %.0f s: the run ends with the last "
                       "checkpoint that was committed",
                       DECISION_S));
  double since_s = epoch == FT_EPOCH_RUN ? c->decided_s : c->stopped_s;
  if (epoch != FT_EPOCH_AFTER && since_s > 0 && !last_section && now_s - since_s > REACT_S)
    fail(comm, ft_fail(FT_ERR_STOPPED,
                       "rank %d (host %s) did not come to where all ranks stop within %.0f s",
                       comm->rank, comm->host, REACT_S));
  if (epoch == FT_EPOCH_AFTER && ft_stall_seen(comm, now_s)) {
    comm->control.stall_logged = false; /* what it said before was about something else */
    ft_stall_log(comm);
    fail(comm, ft_fail(FT_ERR_STOPPED,
                       "the checkpoint was not written: a rank does not come, or a file system "
                       "does not answer (log/rank-*.log)"));
  }
}

bool ft_control_look(ft_comm *comm, double now_s) {
  ft_control *c = &comm->control;
  if (now_s < c->next_s) return true;
  c->next_s = now_s + LOOK_S;
  if (c->letters) forget_sent(comm);
  receive_all(comm);
  pthread_mutex_lock(&comm->lock);
  bool last_section = comm->last_section, frozen = comm->frozen;
  pthread_mutex_unlock(&comm->lock);
  if (c->asked_s == 0 && !frozen && !last_section) ask_if_wanted(comm, now_s);
  if (c->asked_s > 0 || frozen) watch(comm, now_s, last_section);
  bool stops = (c->asked_s > 0 || frozen) && c->failed == FT_OK && ft_stop_if_due(comm);
  return !stops && c->failed == FT_OK;
}
