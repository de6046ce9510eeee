/* Waiting for others, and the lists of messages that are waited for. */
#include "internal.h"

void ft_shard_messages_add(messages *list, int peer, void *data, int64_t bytes) {
  if (bytes == 0) return;
  FT_ASSERT(list->count < list->capacity);
  list->items[list->count++] = (ft_message){.peer = peer, .data = data, .bytes = (size_t)bytes};
}

ft_err ft_shard_check(const ft_shard *s) {
  return ft_comm_check(s->comm);
}

ft_err ft_shard_wait_for(ft_shard *s, ft_request **request) {
  ft_err err = ft_shard_check(s);
  if (err != FT_OK) return err;
  err = ft_comm_wait(s->comm, *request);
  *request = NULL;
  return err;
}

ft_err ft_shard_node_barrier(ft_shard *s) {
  ft_err err = ft_shard_check(s);
  if (err != FT_OK) return err;
  const ft_exchange barrier = {.name = "node barrier", .block = -1, .barrier_before = true};
  ft_request *request = ft_comm_exchange(s->comm, &barrier);
  return ft_shard_wait_for(s, &request);
}
