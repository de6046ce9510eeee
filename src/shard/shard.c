/* The shard's life: the arrays over what a rank keeps, windows and buffers. */
#include "internal.h"

/* ---------------------------------------------------------------- small helpers */

static ft_err messages_new(messages *list, int64_t capacity) {
  void *items;
  ft_err err = ft_alloc_array(FT_MEM_EXCHANGE, capacity, sizeof(ft_message), &items);
  *list = (messages){.items = items, .capacity = capacity};
  return err;
}

/* ---------------------------------------------------------------- who is where */

static ft_err map_ranks(ft_shard *s) {
  ft_err err = FT_OK;
  void *rank_at, *node_index, *feeders;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->size, sizeof(int), &rank_at));
  s->rank_at = rank_at;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->size, sizeof(int), &node_index));
  s->node_index = node_index;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->size, sizeof(int), &feeders));
  s->feeders = feeders;
  int at = 0;
  for (int node = 0; node < s->num_nodes; node++)
    for (int i = 0; i < ft_comm_node_size(s->comm, node); i++, at++) {
      int rank = ft_comm_node_member(s->comm, node, i);
      s->rank_at[at] = rank;
      s->node_index[rank] = i;
      if (rank == s->rank) s->my_place = at;
      /* A remote owner delivers to the rank of our node whose index is its own, wrapped. */
      if (node != s->node && i % s->node_size == s->node_rank) s->feeders[s->num_feeders++] = at;
    }
  FT_ASSERT(at == s->size);
out:
  return err;
}

/* ---------------------------------------------------------------- arrays and buffers */

static ft_err new_training_arrays(ft_shard *s) {
  ft_err err = FT_OK;
  void *gradient, *receive, *sums, *sizes;
  ft_state_info masters[2];
  int num = ft_shard_master_states(s->options.master, masters);
  for (int i = 0; i < num; i++)
    FT_TRY(ft_shard_new_state(s, FT_MEM_MASTER, &masters[i]));
  FT_TRY(ft_alloc(FT_MEM_GRADIENT, s->bytes.gradient, &gradient));
  s->gradient = gradient;
  FT_TRY(ft_alloc(FT_MEM_EXCHANGE, s->bytes.receive, &receive));
  s->receive_buffer = receive;
  FT_TRY(ft_alloc(FT_MEM_GRADIENT, s->bytes.chunk_sums, &sums));
  s->chunk_sums = sums;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->size, sizeof(size_t), &sizes));
  s->sizes = sizes;
  for (int i = 0; i < NUM_SEND_BUFFERS; i++) {
    reduction *r = &s->reductions[i];
    *r = (reduction){.shard = s, .index = i};
    FT_TRY(messages_new(&r->sends, s->most_reduction_messages));
    FT_TRY(messages_new(&r->receives, s->most_reduction_messages));
  }
out:
  return err;
}

static ft_err new_local(ft_shard *s) {
  ft_err err = FT_OK;
  FT_TRY(map_ranks(s));
  FT_TRY(ft_shard_lay_out(s));
  if (s->options.training) FT_TRY(new_training_arrays(s));
  if (s->has_frozen && s->options.stage == 3) {
    void *frozen;
    FT_TRY(ft_alloc(FT_MEM_FROZEN, (size_t)s->frozen_bytes, &frozen));
    s->frozen = frozen;
  }
  for (int i = 0; i < s->num_slots; i++) {
    slot *p = &s->slots[i];
    *p = (slot){.shard = s, .block = -1};
    FT_TRY(messages_new(&p->sends, s->most_gather_sends));
    FT_TRY(messages_new(&p->receives, s->most_gather_receives));
  }
out:
  return err;
}

/* Collective over all ranks, as the next two. */
static ft_err new_weights_windows(ft_shard *s) {
  ft_err err = FT_OK;
  if (s->bytes.slots + s->bytes.full > 0) {
    FT_TRY(ft_comm_window_new(s->comm, FT_MEM_WEIGHTS, s->bytes.slots + s->bytes.full,
                              &s->weights_window));
    s->slot_memory = ft_comm_window_data(s->weights_window);
    s->full = s->slot_memory + s->bytes.slots;
  }
  if (s->has_frozen && s->options.stage < 3) {
    FT_TRY(ft_comm_window_new(s->comm, FT_MEM_FROZEN, (size_t)s->frozen_bytes, &s->frozen_window));
    s->frozen = ft_comm_window_data(s->frozen_window);
  }
  ft_shard_empty_slots(s);
out:
  return err;
}

static ft_err new_windows(ft_shard *s) {
  ft_err err = FT_OK;
  FT_TRY(new_weights_windows(s));
  if (!s->options.training) goto out;
  FT_TRY(ft_comm_window_new(s->comm, FT_MEM_EXCHANGE, s->bytes.send, &s->send_window));
  char *mine = (char *)ft_comm_window_data(s->send_window) +
               (size_t)s->node_rank * NUM_SEND_BUFFERS * s->send_buffer_bytes;
  for (int i = 0; i < NUM_SEND_BUFFERS; i++)
    s->reductions[i].data = mine + (size_t)i * s->send_buffer_bytes;
out:
  return err;
}

/* ---------------------------------------------------------------- life */

static ft_err check_options(const ft_shard_options *o) {
  ft_err err = FT_OK;
  FT_CHECK(o->stage >= 0 && o->stage <= 3, FT_ERR_CONFIG,
           "sharding.stage is %d; it must be 0, 1, 2 or 3", o->stage);
  FT_CHECK(o->compute == FT_BF16 || o->compute == FT_F32, FT_ERR_CONFIG,
           "weights cannot be gathered as %s; BF16 and F32 are supported",
           ft_dtype_name(o->compute));
  FT_CHECK(o->gradient == FT_BF16 || o->gradient == FT_F32, FT_ERR_CONFIG,
           "gradients cannot be summed as %s; BF16 and F32 are supported",
           ft_dtype_name(o->gradient));
  FT_CHECK(o->piece_elements >= 0, FT_ERR_CONFIG,
           "the length of a piece is %lld elements; it must not be negative",
           (long long)o->piece_elements);
out:
  return err;
}

ft_err ft_shard_new(ft_comm *comm, const ft_layout *layout, const ft_shard_options *options,
                    ft_shard **out) {
  void *memory = NULL;
  *out = NULL;
  ft_err err = check_options(options);
  if (err == FT_OK) err = ft_alloc(FT_MEM_OTHER, sizeof(ft_shard), &memory);
  ft_shard *s = memory;
  if (err == FT_OK) {
    int node = ft_comm_node(comm);
    *s = (ft_shard){.comm = comm,
                    .layout = layout,
                    .options = ft_shard_with_defaults(options),
                    .element_bytes = ft_dtype_bytes(options->compute),
                    .rank = ft_comm_rank(comm),
                    .size = ft_comm_size(comm),
                    .node = node,
                    .node_rank = ft_comm_node_rank(comm),
                    .node_size = ft_comm_node_size(comm, node),
                    .num_nodes = ft_comm_num_nodes(comm),
                    .open_block = -1};
    err = new_local(s);
  }
  FT_TRY(ft_comm_agree(comm, err));
  FT_TRY(new_windows(s));
  *out = s;
out:
  if (err != FT_OK) ft_shard_free(s);
  return err;
}

static void free_exchanges(ft_shard *s) {
  for (int i = 0; i < MAX_SLOTS; i++) {
    ft_free(s->slots[i].sends.items);
    ft_free(s->slots[i].receives.items);
  }
  for (int i = 0; i < NUM_SEND_BUFFERS; i++) {
    ft_free(s->reductions[i].sends.items);
    ft_free(s->reductions[i].receives.items);
  }
  if (s->send_window) ft_comm_window_free(s->comm, s->send_window);
  if (s->frozen_window) ft_comm_window_free(s->comm, s->frozen_window);
  if (s->weights_window) ft_comm_window_free(s->comm, s->weights_window);
}

/* What is in flight must end before its memory goes. */
static ft_err finish_requests(ft_shard *s) {
  ft_err err = FT_OK;
  FT_TRY(ft_shard_finish_gathers(s));
  for (int i = 0; i < NUM_SEND_BUFFERS; i++)
    FT_TRY(ft_shard_wait_for(s, &s->reductions[i].request));
out:
  return err;
}

void ft_shard_free(ft_shard *s) {
  if (!s) return;
  /* Once the job stops, requests in flight borrow our memory until the process ends. */
  if (finish_requests(s) != FT_OK) return;
  free_exchanges(s);
  ft_shard_forget_layout(s);
  ft_free(s->rank_at);
  ft_free(s->node_index);
  ft_free(s->feeders);
  for (int i = 0; i < s->num_states; i++)
    ft_free(s->states[i].data);
  ft_free(s->gradient);
  if (s->options.stage == 3) ft_free(s->frozen);
  ft_free(s->receive_buffer);
  ft_free(s->chunk_sums);
  ft_free(s->sizes);
  ft_free(s);
}
