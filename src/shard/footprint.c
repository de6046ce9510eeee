/* What a rank keeps of every block, and from that the size of every array, window and buffer:
 * worked out in one place, for a shard that allocates them and for a planner that does not. */
#include "internal.h"

ft_shard_options ft_shard_with_defaults(const ft_shard_options *options) {
  const int64_t piece_bytes = (int64_t)128 << 20;
  ft_shard_options o = *options;
  if (o.stage == 0 && !o.training) o.stage = 2; /* one copy a node: there is nothing else to keep */
  if (o.piece_elements == 0) o.piece_elements = piece_bytes / (int64_t)ft_dtype_bytes(o.compute);
  return o;
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

/* The most blocks that a pass holds at once, and one that is on its way. */
static int count_slots(const ft_layout *l) {
  int most = FT_MAX(l->embedding.num_blocks,
                    l->head.num_blocks + (l->arch.tied ? l->embedding.num_blocks : 0));
  for (int64_t i = 0; i < l->arch.layers; i++)
    most = FT_MAX(most, l->layers[i].num_blocks);
  FT_ASSERT(most + 1 <= MAX_SLOTS);
  return most + 1;
}

int ft_shard_master_states(ft_master kind, ft_state_info *out) {
  out[0] =
      (ft_state_info){.name = "master", .group_elements = 1, .group_bytes = ft_master_bytes(kind)};
  out[1] = (ft_state_info){
      .name = "master.low", .group_elements = 1, .group_bytes = ft_master_low_bytes(kind)};
  return ft_master_low_bytes(kind) > 0 ? 2 : 1;
}

size_t ft_shard_state_bytes(const ft_shard *s, const ft_state_info *info) {
  return (size_t)(s->kept_elements / info->group_elements) * info->group_bytes;
}

static void size_arrays(ft_shard *s) {
  size_t num_remote = (size_t)(s->size - s->node_size);
  bool has_copy = s->options.stage < 3;
  s->most_gather_sends = s->most_pieces * (s->num_nodes - 1);
  s->most_gather_receives = s->most_pieces * s->num_feeders;
  s->bytes.slots = (size_t)s->num_slots * (size_t)s->largest_block * s->element_bytes;
  s->bytes.full = has_copy ? (size_t)s->full_elements * s->element_bytes : 0;
  if (!s->options.training) return;
  s->most_reduction_messages = s->size; /* stage 0 also sends its sums to everyone */
  s->send_buffer_bytes = (size_t)s->largest_piece * s->element_bytes;
  s->bytes.send = (size_t)s->node_size * NUM_SEND_BUFFERS * s->send_buffer_bytes;
  s->bytes.gradient = (size_t)s->kept_elements * gradient_bytes(s);
  s->bytes.chunk_sums = (size_t)s->own_chunks * sizeof(double);
  s->bytes.receive = num_remote * (size_t)s->largest_slice * s->element_bytes;
}

ft_err ft_shard_lay_out(ft_shard *s) {
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
  s->num_slots = count_slots(s->layout);
  size_arrays(s);
out:
  return err;
}

void ft_shard_forget_layout(ft_shard *s) {
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

/* ---------------------------------------------------------------- what it comes to */

static void add_states(const ft_shard *s, const ft_state_info *states, int num, ft_footprint *out) {
  ft_state_info masters[2];
  int num_masters = ft_shard_master_states(s->options.master, masters);
  for (int i = 0; i < num_masters; i++)
    out->rank[FT_MEM_MASTER] += (int64_t)ft_shard_state_bytes(s, &masters[i]);
  for (int i = 0; i < num; i++)
    out->rank[FT_MEM_STATE] += (int64_t)ft_shard_state_bytes(s, &states[i]);
}

/* Lists of messages of slots and of send buffers. */
static int64_t message_bytes(const ft_shard *s) {
  int64_t of_slots = s->num_slots * (s->most_gather_sends + s->most_gather_receives);
  int64_t of_buffers = 2 * NUM_SEND_BUFFERS * s->most_reduction_messages;
  return (of_slots + of_buffers) * (int64_t)sizeof(ft_message);
}

static int64_t saved_bytes(const ft_layout *l, const ft_state_info *states, int num) {
  int64_t bytes = 0;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; i < num && l->blocks[b].trained; i++)
      bytes += ft_ceil_div(l->blocks[b].num_elements, states[i].group_elements) *
               (int64_t)states[i].group_bytes;
  return bytes;
}

int64_t ft_shard_saved_bytes(const ft_layout *layout, ft_master master, const ft_state_info *states,
                             int num_states) {
  ft_state_info masters[2];
  int num_masters = ft_shard_master_states(master, masters);
  return saved_bytes(layout, masters, num_masters) + saved_bytes(layout, states, num_states);
}

ft_err ft_shard_footprint(const ft_layout *layout, const ft_shard_options *options,
                          const ft_placement *at, const ft_state_info *states, int num_states,
                          ft_footprint *out) {
  ft_shard s = {.layout = layout,
                .options = ft_shard_with_defaults(options),
                .element_bytes = ft_dtype_bytes(options->compute),
                .size = at->size,
                .my_place = at->place,
                .num_nodes = at->num_nodes,
                .node_size = at->node_size,
                .node_rank = at->node_rank,
                .num_feeders = at->num_feeders};
  ft_err err = ft_shard_lay_out(&s);
  bool has_copy = s.options.stage < 3;
  *out = (ft_footprint){0};
  if (s.options.training) add_states(&s, states, num_states, out);
  out->rank[FT_MEM_GRADIENT] = (int64_t)(s.bytes.gradient + s.bytes.chunk_sums);
  out->rank[FT_MEM_EXCHANGE] = (int64_t)s.bytes.receive + message_bytes(&s);
  out->node[FT_MEM_EXCHANGE] = (int64_t)s.bytes.send;
  out->node[FT_MEM_WEIGHTS] = (int64_t)(s.bytes.slots + s.bytes.full);
  *(has_copy ? &out->node[FT_MEM_FROZEN] : &out->rank[FT_MEM_FROZEN]) = s.frozen_bytes;
  ft_shard_forget_layout(&s);
  return err;
}
