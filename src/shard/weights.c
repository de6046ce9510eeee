/* Gathered weights. Stage 3: a pool of slots in node-shared memory, filled block by block; stages
 * 0 to 2: a full copy a node, made again when the weights have changed, and the pool for what is
 * kept in codes.
 *
 * What a rank decides here (gather or reuse, which slot) follows from the calls alone, which are
 * the same on all ranks: so are the exchanges that they post. */
#include "internal.h"

#include <string.h>

/* ---------------------------------------------------------------- rounding */

/* At most FT_CHUNK elements start … of a block, kept from `local` on: master weights to the compute
 * type; frozen ones are copied or decoded. */
static void round_master(const ft_shard *s, int64_t block, int64_t start, int64_t local,
                         int64_t count, char *to) {
  const part *b = &s->parts[block];
  const ft_shard_options *o = &s->options;
  if (!b->trained) {
    ft_shard_frozen_read(s, block, start, count, to);
    return;
  }
  float values[FT_CHUNK];
  char *w;
  uint8_t *low;
  master_at(s, b, local, &w, &low);
  if (o->master == FT_MASTER_F32) {
    ft_shard_round_weights(o, s->version, block, start, count, (const float *)(void *)w, to);
  } else if (o->master == FT_MASTER_BF16 && o->compute == FT_BF16) {
    memcpy(to, w, (size_t)count * sizeof(uint16_t)); /* nothing to round */
  } else {
    read_master(s, b, local, count, values);
    ft_shard_round_weights(o, s->version, block, start, count, values, to);
  }
}

/* Weights of a range of a block in the compute type, at `to`; on the compute threads if this
 * is one of them. */
static void round_range(const ft_shard *s, int64_t block, const ft_range *r, char *to,
                        bool on_compute_threads) {
#pragma omp parallel for schedule(static) if (on_compute_threads)
  for (int64_t at = 0; at < r->count; at += FT_CHUNK)
    round_master(s, block, r->start + at, r->local + at, FT_MIN((int64_t)FT_CHUNK, r->count - at),
                 to + (size_t)at * s->element_bytes);
}

/* ---------------------------------------------------------------- moving a block */

/* Rounds, copies or decodes this rank's part of the block into its slot. On the communication
 * thread, or, of a rank that is alone, on the compute threads. */
static void fill_slot(void *arg) {
  const slot *p = arg;
  const ft_shard *s = p->shard;
  const part *b = &s->parts[p->block];
  for (int64_t i = 0; i < b->num_converted; i++) {
    const ft_range *r = &b->converted[i];
    round_range(s, p->block, r, p->data + (size_t)r->start * s->element_bytes, is_alone(s));
  }
}

/* Where a range lies in the room of a whole block: of what is kept frozen, or gathered. */
static char *bytes_of(const slot *p, bool as_kept, const ft_range *r, int64_t *bytes) {
  const ft_shard *s = p->shard;
  const part *b = &s->parts[p->block];
  int64_t width = (int64_t)s->element_bytes, begin = r->start * width;
  *bytes = r->count * width;
  if (as_kept && !b->trained) {
    begin = ft_shard_frozen_at(s, b->block, r->start);
    *bytes = ft_shard_frozen_at(s, b->block, r->start + r->count) - begin;
  }
  return p->data + begin;
}

/* Lists what crosses between nodes: each rank's slices go once to every other node, to the rank
 * with the same index there (wrapped where that node has fewer). */
static void list_messages(slot *p, bool as_kept) {
  ft_shard *s = p->shard;
  const part *b = &s->parts[p->block];
  int64_t bytes;
  for (int64_t i = 0; i < b->num_pieces; i++) {
    char *own = bytes_of(p, as_kept, &b->slices[i], &bytes);
    for (int node = 0; node < s->num_nodes; node++) {
      if (node == s->node) continue;
      int index = s->node_rank % ft_comm_node_size(s->comm, node);
      ft_shard_messages_add(&p->sends, ft_comm_node_member(s->comm, node, index), own, bytes);
    }
    for (int f = 0; f < s->num_feeders; f++) {
      ft_range slice = ft_shard_piece_slice(&b->pieces[i], s->feeders[f], s->size);
      char *theirs = bytes_of(p, as_kept, &slice, &bytes);
      ft_shard_messages_add(&p->receives, s->rank_at[s->feeders[f]], theirs, bytes);
    }
  }
}

static void post_gather(slot *p, const ft_exchange *kind) {
  ft_exchange e = *kind;
  e.name = "gather";
  e.block = p->block;
  e.arg = p;
  e.sends = p->sends.items;
  e.num_sends = p->sends.count;
  e.receives = p->receives.items;
  e.num_receives = p->receives.count;
  p->request = ft_comm_exchange(p->shard->comm, &e);
}

ft_err ft_shard_finish_gathers(ft_shard *s) {
  ft_err err = FT_OK;
  for (int i = 0; i < s->num_slots; i++)
    FT_TRY(ft_shard_wait_for(s, &s->slots[i].request));
out:
  return err;
}

/* ---------------------------------------------------------------- the pool */

static slot *find_slot(ft_shard *s, int64_t block) {
  for (int i = 0; i < s->num_slots; i++)
    if (s->slots[i].block == block) return &s->slots[i];
  return NULL;
}

/* Of the slots that nobody holds: an empty one, else the one used longest ago, and only if there
 * is no other the one with block `spare`. NULL: all are held. */
static slot *free_slot(ft_shard *s, int64_t spare) {
  slot *best = NULL;
  for (int i = 0; i < s->num_slots; i++) {
    slot *p = &s->slots[i];
    if (p->num_holders > 0) continue;
    if (p->block < 0) return p;
    if (!best || best->block == spare || (p->block != spare && p->used < best->used)) best = p;
  }
  return best;
}

/* Starts a gather into a free slot. Nobody of the node writes there before all have posted it, so
 * have released what they read there. */
static ft_err start_gather(ft_shard *s, slot *p, int64_t block) {
  static const ft_exchange kind = {
      .barrier_before = true, .prepare = fill_slot, .barrier_after = true};
  ft_err err = ft_shard_wait_for(s, &p->request);
  if (err != FT_OK) return err;
  p->block = block;
  if (is_alone(s)) {
    ft_part before = ft_time_enter(FT_TIME_OPTIMIZER);
    fill_slot(p);
    ft_time_enter(before);
  } else {
    p->sends.count = p->receives.count = 0;
    if (s->options.stage == 3) list_messages(p, false); /* otherwise the node has all of it */
    post_gather(p, &kind);
  }
  return FT_OK;
}

/* The block of the pass that will be gathered next; -1: none. */
static int64_t next_gathered(const ft_shard *s) {
  for (int64_t i = s->next_in_order; i < s->num_order; i++)
    if (is_gathered(s, &s->parts[s->order[i]])) return s->order[i];
  return -1;
}

static ft_err acquire_gathered(ft_shard *s, int64_t block, const void **weights) {
  ft_err err = FT_OK;
  int64_t next = next_gathered(s);
  slot *p = find_slot(s, block);
  if (!p) {
    p = free_slot(s, next);
    FT_ASSERT(p); /* more blocks are held than there are slots */
    FT_TRY(start_gather(s, p, block));
  }
  p->num_holders++;
  p->used = ++s->clock;
  slot *ahead = next < 0 || is_alone(s) ? p : find_slot(s, next);
  if (!ahead && (ahead = free_slot(s, -1)) != NULL) {
    FT_TRY(start_gather(s, ahead, next));
    ahead->used = s->clock;
  }
  FT_TRY(ft_shard_wait_for(s, &p->request));
  *weights = p->data;
out:
  return err;
}

void ft_shard_empty_slots(ft_shard *s) {
  size_t slot_bytes = (size_t)s->largest_block * s->element_bytes;
  for (int i = 0; i < s->num_slots; i++) {
    slot *p = &s->slots[i];
    FT_ASSERT(p->num_holders == 0);
    p->block = -1;
    p->data = s->slot_memory ? s->slot_memory + (size_t)i * slot_bytes : NULL;
  }
}

/* Where the node has a whole block: what is kept of a frozen one, otherwise the full copy. */
static char *whole_block(const ft_shard *s, const part *b) {
  if (!b->trained) return s->frozen + b->frozen_offset;
  return s->full + (size_t)b->full_offset * s->element_bytes;
}

/* ---------------------------------------------------------------- lending */

void ft_shard_begin_pass(ft_shard *s, const int64_t *order, int64_t num) {
  s->order = order;
  s->num_order = num;
  s->next_in_order = 0;
}

ft_err ft_shard_acquire(ft_shard *s, int64_t block, const void **weights) {
  ft_err err = ft_shard_check(s);
  if (err != FT_OK) return err;
  FT_ASSERT(s->next_in_order < s->num_order && s->order[s->next_in_order] == block);
  FT_ASSERT(block >= 0 && block < s->num_blocks);
  FT_ASSERT(s->open_block < 0); /* ranks that contribute nothing post their exchanges at close */
  s->next_in_order++;
  const part *b = &s->parts[block];
  if (is_gathered(s, b)) return acquire_gathered(s, block, weights);
  *weights = whole_block(s, b);
  return FT_OK;
}

void ft_shard_release(ft_shard *s, int64_t block) {
  if (!is_gathered(s, &s->parts[block])) return;
  slot *p = find_slot(s, block);
  FT_ASSERT(p && p->num_holders > 0);
  p->num_holders--;
}

/* ---------------------------------------------------------------- changed weights */

/* Rounds this rank's part of the node's full copy, on the compute threads. */
static void convert_full_copy(ft_shard *s) {
  for (int64_t i = 0; i < s->num_blocks; i++) {
    const part *b = &s->parts[i];
    for (int64_t k = 0; b->trained && k < b->num_converted; k++) {
      const ft_range *r = &b->converted[k];
      round_range(s, i, r, whole_block(s, b) + (size_t)r->start * s->element_bytes, true);
    }
  }
}

/* Whether other nodes' slices of a block have to come into this node's full copy: what is trained,
 * unless every rank has it whole; what is frozen, in a training once. */
static bool comes_from_others(const ft_shard *s, const part *b) {
  if (b->trained) return s->options.stage > 0;
  return !s->options.training || !s->frozen_is_spread;
}

/* Brings the other nodes' slices of whole blocks here, block by block. The slots' lists of messages
 * serve for it. */
static ft_err exchange_whole_blocks(ft_shard *s) {
  ft_err err = FT_OK;
  static const ft_exchange kind = {.barrier_before = false};
  for (int64_t i = 0; i < s->num_blocks; i++) {
    slot *p = &s->slots[i % s->num_slots];
    if (!comes_from_others(s, &s->parts[i])) continue;
    FT_TRY(ft_shard_wait_for(s, &p->request));
    p->block = i;
    p->data = whole_block(s, &s->parts[i]);
    p->sends.count = p->receives.count = 0;
    list_messages(p, true);
    post_gather(p, &kind);
  }
  FT_TRY(ft_shard_finish_gathers(s));
out:
  return err;
}

ft_err ft_shard_weights_changed(ft_shard *s) {
  ft_err err = FT_OK;
  FT_TRY(ft_shard_check(s));
  FT_TRY(ft_shard_finish_gathers(s));
  ft_shard_empty_slots(s);
  if (s->options.stage == 3) goto out;
  FT_TRY(ft_shard_node_barrier(s)); /* nobody of the node reads the old copy any more */
  convert_full_copy(s);
  if (s->num_nodes > 1) FT_TRY(exchange_whole_blocks(s));
  ft_shard_empty_slots(s);
  s->frozen_is_spread = true;
  FT_TRY(ft_shard_node_barrier(s));
out:
  return err;
}
