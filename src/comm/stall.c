/* What a rank waits in, and which ranks the others wait for. */
#include "comm_internal.h"

#include <string.h>

enum { MOST_LINES = 24 };

void ft_stall_describe(ft_comm *comm, ft_control_message *out) {
  pthread_mutex_lock(&comm->lock);
  const ft_request *current = comm->current;
  out->operations = comm->operations;
  out->step = comm->step;
  out->block = current ? current->block : -1;
  out->waiting_s = ft_now_s() - (current ? comm->current_since_s : comm->control.moved_s);
  out->peer = -1;
  if (current && comm->waits_for >= 0)
    out->peer = ft_exchange_peer(&current->exchange, comm->waits_for);
  out->node_size = ft_comm_node_size(comm, ft_comm_node(comm));
  if (current && comm->in_barrier) out->arrived = (int32_t)atomic_load(&comm->lane->board->arrived);
  snprintf(out->name, sizeof out->name, "%.31s", current ? current->name : "");
  snprintf(out->activity, sizeof out->activity, "%.47s", comm->activity);
  pthread_mutex_unlock(&comm->lock);
  snprintf(out->host, sizeof out->host, "%.63s", comm->host);
}

bool ft_stall_seen(ft_comm *comm, double now_s) {
  ft_control *c = &comm->control;
  pthread_mutex_lock(&comm->lock);
  bool waits = comm->current != NULL;
  double timeout_s = comm->stall_timeout_s, since_s = comm->current_since_s;
  int64_t signs = comm->operations + ft_stop_signs();
  pthread_mutex_unlock(&comm->lock);
  if (waits || signs != c->signs || c->moved_s == 0) c->moved_s = now_s;
  c->signs = signs;
  return timeout_s > 0 && now_s - (waits ? since_s : c->moved_s) > timeout_s;
}

/* What a rank does: "evaluates, waits in gather of block 3 for 2.0 s for a message from rank 1". */
static void describe_operation(const ft_control_message *s, char *out, size_t size) {
  char block[40] = "", what[60] = "";
  if (s->block >= 0) snprintf(block, sizeof block, " of block %lld", (long long)s->block);
  if (s->arrived > 0)
    snprintf(what, sizeof what, ": %d of the %d ranks of its node are there", s->arrived,
             s->node_size);
  else if (s->peer >= 0)
    snprintf(what, sizeof what, " for a message from rank %d", s->peer);
  if (*s->name)
    snprintf(out, size, "%s, waits in %s%s for %.1f s%s", s->activity, s->name, block, s->waiting_s,
             what);
  else
    snprintf(out, size, "%s, is in no collective (last sign of life %.1f s ago)", s->activity,
             s->waiting_s);
}

void ft_stall_log(ft_comm *comm) {
  if (comm->control.stall_logged) return;
  comm->control.stall_logged = true;
  ft_control_message state = {0};
  char doing[256];
  ft_stall_describe(comm, &state);
  describe_operation(&state, doing, sizeof doing);
  ft_log(FT_LOG_WARNING, "stall: rank %d (host %s), step %lld: %s; %lld operations done before",
         comm->rank, comm->host, (long long)state.step, doing, (long long)state.operations);
}

/* Whether a rank has not begun the operation that those ahead are in. */
static bool is_behind(const ft_control_message *state, int64_t most) {
  return state->word == FT_WORD_NONE || state->operations < most ||
         (state->operations == most && !*state->name);
}

/* The rank that has come farthest; NULL: none has answered. */
static const ft_control_message *find_ahead(const ft_comm *comm) {
  const ft_control_message *states = comm->control.states, *ahead = NULL;
  for (int r = 0; r < comm->size; r++) {
    const ft_control_message *s = &states[r];
    if (s->word == FT_WORD_NONE) continue;
    if (!ahead || s->operations > ahead->operations ||
        (s->operations == ahead->operations && *s->name && !*ahead->name))
      ahead = s;
  }
  return ahead;
}

/* Operations that a rank has begun. */
static int64_t begun(const ft_control_message *s) {
  return s->operations + (*s->name != 0);
}

static void report_rank(const ft_comm *comm, int rank, const ft_control_message *ahead) {
  const ft_control_message *s = &comm->control.states[rank];
  char doing[256];
  if (s->word == FT_WORD_NONE) {
    ft_log(FT_LOG_ERROR, "  rank %d does not answer: stopped, dead or cut off", rank);
    return;
  }
  describe_operation(s, doing, sizeof doing);
  ft_log(FT_LOG_ERROR, "  rank %d (host %s) %s; %lld operations behind", rank, s->host, doing,
         (long long)(begun(ahead) - begun(s)));
}

void ft_stall_report(ft_comm *comm) {
  const ft_control_message *states = comm->control.states, *ahead = find_ahead(comm);
  int behind = 0, lines = 0;
  char doing[256];
  if (!ahead) return;
  for (int r = 0; r < comm->size; r++)
    behind += is_behind(&states[r], ahead->operations);
  describe_operation(ahead, doing, sizeof doing);
  if (*ahead->name)
    ft_log(FT_LOG_ERROR, "step %lld: %d of %d ranks have not come to where rank %d is, which %s:",
           (long long)ahead->step, behind, comm->size, (int)(ahead - states), doing);
  else
    ft_log(FT_LOG_ERROR,
           "step %lld: nothing moves, though no rank waits for another:", (long long)ahead->step);
  for (int r = 0; r < comm->size && lines < MOST_LINES; r++)
    if (is_behind(&states[r], ahead->operations)) {
      report_rank(comm, r, ahead);
      lines++;
    }
  if (behind > lines) ft_log(FT_LOG_ERROR, "  and %d more", behind - lines);
}
