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
  out->waiting_s = current ? ft_now_s() - comm->current_since_s : 0;
  snprintf(out->name, sizeof out->name, "%.31s", current ? current->name : "");
  pthread_mutex_unlock(&comm->lock);
  snprintf(out->host, sizeof out->host, "%.63s", comm->host);
}

bool ft_stall_seen(ft_comm *comm) {
  pthread_mutex_lock(&comm->lock);
  bool seen = comm->stall_timeout_s > 0 && comm->current &&
              ft_now_s() - comm->current_since_s > comm->stall_timeout_s;
  pthread_mutex_unlock(&comm->lock);
  return seen;
}

/* "gather of block 3", or what a rank does that is in no operation. */
static void describe_operation(const ft_control_message *state, char *out, size_t size) {
  if (!*state->name)
    snprintf(out, size, "is in no collective: it computes, reads or writes");
  else if (state->block >= 0)
    snprintf(out, size, "waits in %s of block %lld for %.1f s", state->name,
             (long long)state->block, state->waiting_s);
  else
    snprintf(out, size, "waits in %s for %.1f s", state->name, state->waiting_s);
}

void ft_stall_log(ft_comm *comm) {
  if (comm->control.stall_logged) return;
  comm->control.stall_logged = true;
  ft_control_message state = {0};
  char doing[160];
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

void ft_stall_report(ft_comm *comm) {
  const ft_control_message *states = comm->control.states, *ahead = NULL;
  int behind = 0, lines = 0;
  for (int r = 0; r < comm->size; r++) {
    const ft_control_message *s = &states[r];
    if (s->word == FT_WORD_NONE) continue;
    if (!ahead || s->operations > ahead->operations ||
        (s->operations == ahead->operations && *s->name && !*ahead->name))
      ahead = s;
  }
  if (!ahead) return;
  for (int r = 0; r < comm->size; r++)
    behind += is_behind(&states[r], ahead->operations);
  char doing[160];
  describe_operation(ahead, doing, sizeof doing);
  ft_log(FT_LOG_ERROR,
         "step %lld: %d of %d ranks have not come to where rank %d %s:", (long long)ahead->step,
         behind, comm->size, (int)(ahead - states), doing);
  for (int r = 0; r < comm->size && lines < MOST_LINES; r++) {
    const ft_control_message *s = &states[r];
    if (!is_behind(s, ahead->operations)) continue;
    lines++;
    if (s->word == FT_WORD_NONE) {
      ft_log(FT_LOG_ERROR, "  rank %d does not answer: stopped, dead or cut off", r);
      continue;
    }
    describe_operation(s, doing, sizeof doing);
    ft_log(FT_LOG_ERROR, "  rank %d (host %s) %s; %lld operations behind", r, s->host, doing,
           (long long)(ahead->operations - s->operations));
  }
  if (behind > lines) ft_log(FT_LOG_ERROR, "  and %d more", behind - lines);
}
