/* The shard's life: the layout of all blocks for this rank, the arrays over what it keeps, the
 * registered states. */
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

/* ---------------------------------------------------------------- the layout */

static ft_err new_ranges(int64_t count, ft_range **out) {
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, count, sizeof(ft_range), &p);
  *out = p;
  return err;
}

/* This rank's slices of a block and what it keeps and converts of it. */
static ft_err lay_out_ranges(ft_shard *s, part *b) {
  ft_err err = FT_OK;
  bool whole = s->options.stage == 0 && b->trained;
  int64_t limit = s->options.piece_elements;
  void *numbers;
  b->num_pieces = ft_shard_cut_pieces(b->block, limit, NULL);
  FT_TRY(new_ranges(b->num_pieces, &b->pieces));
  FT_TRY(new_ranges(b->num_pieces, &b->slices));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, b->num_pieces, sizeof(int64_t), &numbers));
  b->first_chunk = numbers;
  FT_TRY(new_ranges(b->num_pieces, &b->owned));
  FT_TRY(new_ranges(b->num_pieces, &b->kept_ranges));
  FT_TRY(new_ranges(b->num_pieces, &b->converted));
  ft_shard_cut_pieces(b->block, limit, b->pieces);
  int64_t local = 0;
  for (int64_t i = 0; i < b->num_pieces; i++) {
    ft_range own = ft_shard_piece_slice(&b->pieces[i], s->my_place, s->size);
    own.local = whole ? own.start : local;
    local += own.count;
    b->slices[i] = own;
    if (own.count > 0) b->owned[b->num_owned++] = own;
    ft_range kept = whole ? b->pieces[i] : own;
    if (whole) kept.local = kept.start;
    if (kept.count > 0) b->kept_ranges[b->num_kept_ranges++] = kept;
    /* What is whole on the rank or its node is rounded or decoded by the node's ranks together. */
    bool together = whole || (s->options.stage < 3 && is_gathered(s, b));
    ft_range mine = own;
    if (together) mine = ft_shard_piece_slice(&b->pieces[i], s->node_rank, s->node_size);
    if (together) mine.local = mine.start;
    if (mine.count > 0) b->converted[b->num_converted++] = mine;
    b->first_chunk[i] = s->own_chunks;
    if (!b->trained) continue;
    s->largest_piece = FT_MAX(s->largest_piece, b->pieces[i].count);
    s->largest_slice = FT_MAX(s->largest_slice, own.count);
    s->own_chunks += ft_ceil_div(own.count, FT_CHUNK);
  }
  b->kept = whole ? b->block->num_elements : local;
out:
  return err;
}

static ft_err lay_out(ft_shard *s) {
  ft_err err = FT_OK;
  void *parts;
  int64_t num_blocks = s->layout->num_blocks;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, num_blocks, sizeof(part), &parts));
  s->parts = parts;
  s->num_blocks = num_blocks;
  for (int64_t i = 0; i < num_blocks; i++) {
    part *b = &s->parts[i];
    b->block = &s->layout->blocks[i];
    b->trained = s->options.training && b->block->trained;
    for (int k = 0; k < b->block->num_tensors; k++)
      b->coded |= b->block->tensors[k].storage != FT_CODE_NONE;
    FT_TRY(lay_out_ranges(s, b));
    b->kept_offset = s->kept_elements;
    b->full_offset = s->full_elements;
    b->frozen_offset = s->frozen_bytes;
    if (b->trained) {
      s->kept_elements += b->kept;
      s->full_elements += b->block->num_elements;
    } else {
      s->frozen_bytes += ft_round_up(ft_shard_frozen_bytes(s, b), 64); /* a cache line */
      s->has_frozen = true;
    }
    if (is_gathered(s, b)) s->largest_block = FT_MAX(s->largest_block, b->block->num_elements);
    s->most_pieces = FT_MAX(s->most_pieces, b->num_pieces);
  }
out:
  return err;
}

/* ---------------------------------------------------------------- arrays and buffers */

static ft_err new_state_array(ft_shard *s, ft_owner owner, const ft_state_info *info) {
  FT_ASSERT(s->num_states < MAX_STATES);
  FT_ASSERT(info->group_elements > 0 && FT_TENSOR_ALIGN % info->group_elements == 0);
  void *data;
  ft_err err =
      ft_alloc_array(owner, s->kept_elements / info->group_elements, info->group_bytes, &data);
  if (err == FT_OK) s->states[s->num_states++] = (state){.info = *info, .data = data};
  return err;
}

static ft_err new_training_arrays(ft_shard *s) {
  ft_err err = FT_OK;
  void *gradient, *receive, *sums, *sizes;
  ft_master kind = s->options.master;
  const ft_state_info master = {
      .name = "master", .group_elements = 1, .group_bytes = ft_master_bytes(kind)};
  const ft_state_info low = {.name = "master.low", .group_elements = 1, .group_bytes = 1};
  int64_t num_remote = s->size - s->node_size;
  FT_TRY(new_state_array(s, FT_MEM_MASTER, &master));
  if (ft_master_low_bytes(kind)) FT_TRY(new_state_array(s, FT_MEM_MASTER, &low));
  FT_TRY(ft_alloc_array(FT_MEM_GRADIENT, s->kept_elements, gradient_bytes(s), &gradient));
  s->gradient = gradient;
  FT_TRY(
      ft_alloc_array(FT_MEM_EXCHANGE, num_remote * s->largest_slice, s->element_bytes, &receive));
  s->receive_buffer = receive;
  FT_TRY(ft_alloc_array(FT_MEM_GRADIENT, s->own_chunks, sizeof(double), &sums));
  s->chunk_sums = sums;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->size, sizeof(size_t), &sizes));
  s->sizes = sizes;
  for (int i = 0; i < NUM_SEND_BUFFERS; i++) {
    reduction *r = &s->reductions[i];
    *r = (reduction){.shard = s, .index = i};
    /* Stage 0 also sends its sums to everyone. */
    FT_TRY(messages_new(&r->sends, s->size));
    FT_TRY(messages_new(&r->receives, s->size));
  }
out:
  return err;
}

/* The most blocks that a pass holds at once, and one that is on its way. */
static int count_slots(const ft_layout *l) {
  int most = FT_MAX(l->embedding.num_blocks,
                    l->head.num_blocks + (l->arch.tied ? l->embedding.num_blocks : 0));
  for (int64_t i = 0; i < l->arch.layers; i++)
    most = FT_MAX(most, l->layers[i].num_blocks);
  FT_ASSERT(most + 1 <= MAX_SLOTS);
  return most + 1;
}

static ft_err new_local(ft_shard *s) {
  ft_err err = FT_OK;
  FT_TRY(map_ranks(s));
  FT_TRY(lay_out(s));
  if (s->options.training) FT_TRY(new_training_arrays(s));
  if (s->has_frozen && s->options.stage == 3) {
    void *frozen;
    FT_TRY(ft_alloc(FT_MEM_FROZEN, (size_t)s->frozen_bytes, &frozen));
    s->frozen = frozen;
  }
  s->num_slots = count_slots(s->layout);
  for (int i = 0; i < s->num_slots; i++) {
    slot *p = &s->slots[i];
    *p = (slot){.shard = s, .block = -1};
    FT_TRY(messages_new(&p->sends, s->most_pieces * (s->num_nodes - 1)));
    FT_TRY(messages_new(&p->receives, s->most_pieces * s->num_feeders));
  }
out:
  return err;
}

/* Collective over all ranks, as the next two. */
static ft_err new_weights_windows(ft_shard *s) {
  ft_err err = FT_OK;
  size_t slots_bytes = (size_t)s->num_slots * (size_t)s->largest_block * s->element_bytes;
  size_t full_bytes = s->options.stage == 3 ? 0 : (size_t)s->full_elements * s->element_bytes;
  if (slots_bytes + full_bytes > 0) {
    FT_TRY(
        ft_comm_window_new(s->comm, FT_MEM_WEIGHTS, slots_bytes + full_bytes, &s->weights_window));
    s->slot_memory = ft_comm_window_data(s->weights_window);
    s->full = s->slot_memory + slots_bytes;
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
  s->send_buffer_bytes = (size_t)s->largest_piece * s->element_bytes;
  size_t rank_bytes = NUM_SEND_BUFFERS * s->send_buffer_bytes;
  FT_TRY(ft_comm_window_new(s->comm, FT_MEM_EXCHANGE, (size_t)s->node_size * rank_bytes,
                            &s->send_window));
  char *mine = (char *)ft_comm_window_data(s->send_window) + (size_t)s->node_rank * rank_bytes;
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

static ft_shard_options with_defaults(const ft_shard_options *options) {
  const int64_t piece_bytes = (int64_t)128 << 20;
  ft_shard_options o = *options;
  if (o.stage == 0 && !o.training) o.stage = 2; /* one copy a node: there is nothing else to keep */
  if (o.piece_elements == 0) o.piece_elements = piece_bytes / (int64_t)ft_dtype_bytes(o.compute);
  return o;
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
                    .options = with_defaults(options),
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

static void free_parts(ft_shard *s) {
  for (int64_t i = 0; i < s->num_blocks; i++) {
    part *b = &s->parts[i];
    ft_free(b->pieces);
    ft_free(b->slices);
    ft_free(b->first_chunk);
    ft_free(b->owned);
    ft_free(b->kept_ranges);
    ft_free(b->converted);
  }
  ft_free(s->parts);
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
  free_parts(s);
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
