/* Gradients on their way to their owners. A contribution is filled in flat order into a send buffer
 * in node-shared memory; a finished piece leaves while the next is filled into the other buffer.
 * The owner of a slice adds the contributions of all ranks in order of rank: those of its node
 * where they lie, those of other nodes from its receive buffer. A sum in bf16 is rounded after each
 * of them, by random numbers of (update, micro-batch, element). */
#include "internal.h"

#include <string.h>

/* ---------------------------------------------------------------- adding */

/* Where contribution `rank`'s elements of a slice begin; `remote` counts remote contributors before
 * it. */
static const char *contribution(const reduction *r, const ft_range *slice, int rank, int remote) {
  const ft_shard *s = r->shard;
  if (!on_my_node(s, rank))
    return s->receive_buffer + (size_t)(remote * slice->count) * s->element_bytes;
  const char *buffers = ft_comm_window_data(s->send_window);
  size_t index = (size_t)(s->node_index[rank] * NUM_SEND_BUFFERS + r->index);
  int64_t start = slice->start - s->parts[r->block].pieces[r->piece].start;
  return buffers + index * s->send_buffer_bytes + (size_t)start * s->element_bytes;
}

/* Micro-batches of a step are fewer than 2^24 (train.global_batch), updates fewer than 2^40. */
static uint64_t rounding_step(const ft_shard *s, int64_t micro_batch) {
  FT_ASSERT(micro_batch < 1 << 24);
  return (uint64_t)s->version << 24 | (uint64_t)micro_batch;
}

/* Adds to the sums of flat elements start … of the block; a step's first contribution begins them.
 */
static void add(const reduction *r, int64_t start, char *sums, int rank, const char *values,
                int64_t count) {
  const ft_shard_options *o = &r->shard->options;
  int64_t micro_batch = r->first_contribution + rank;
  if (o->gradient == FT_F32 && micro_batch == 0) {
    ft_convert(FT_F32, sums, o->compute, values, count);
  } else if (o->gradient == FT_F32) {
    ft_accumulate((float *)(void *)sums, o->compute, values, count);
  } else {
    if (micro_batch == 0) memset(sums, 0, (size_t)count * sizeof(uint16_t));
    ft_accumulate_bf16(o->seed, rounding_step(r->shard, micro_batch),
                       ft_element_number(r->block, start), (uint16_t *)(void *)sums, o->compute,
                       values, count);
  }
}

/* A chunk of the accumulator, from element `at` of this rank's slice on, takes all contributions in
 * order of rank, while it is in cache, and is squared for the norm in a step's last round. In the
 * first, what the accumulator held before is not fetched. */
static void add_to_chunk(const reduction *r, const ft_range *slice, int64_t at) {
  const ft_shard *s = r->shard;
  const part *b = &s->parts[r->block];
  int64_t local = slice->local + at, count = FT_MIN((int64_t)FT_CHUNK, slice->count - at);
  size_t bytes = (size_t)count * gradient_bytes(s);
  bool first = r->first_contribution == 0;
  FT_ASSERT(r->contributors > 0);
  float room[FT_CHUNK];
  char *sums = first ? (char *)room : gradient_at(s, b, local);
  int remote = 0;
  for (int rank = 0; rank < r->contributors; rank++) {
    const char *values = contribution(r, slice, rank, remote);
    if (!on_my_node(s, rank)) remote++;
    add(r, slice->start + at, sums, rank, values + (size_t)at * s->element_bytes, count);
  }
  if (r->last_round)
    s->chunk_sums[b->first_chunk[r->piece] + at / FT_CHUNK] = ft_shard_square_sums(s, sums, count);
  if (first) ft_store_far(gradient_at(s, b, local), room, bytes);
}

/* On the communication thread, or, of a rank that is alone, on the compute threads. */
static void add_contributions(void *arg) {
  const reduction *r = arg;
  const ft_range *slice = &r->shard->parts[r->block].slices[r->piece];
#pragma omp parallel for schedule(static) if (is_alone(r->shard))
  for (int64_t at = 0; at < slice->count; at += FT_CHUNK)
    add_to_chunk(r, slice, at);
}

/* ---------------------------------------------------------------- sending a piece */

static bool contributes(const ft_shard *s) {
  return s->rank < s->contributors;
}

/* Padding counts in sums and norms: it must be zero, and the buffer held something else before. */
static void clear_padding(const reduction *r) {
  const ft_shard *s = r->shard;
  const ft_block *block = s->parts[r->block].block;
  const ft_range *p = &s->parts[r->block].pieces[r->piece];
  for (int i = 0; i < block->num_tensors; i++) {
    const ft_tensor *t = &block->tensors[i];
    int64_t from = t->offset + ft_tensor_elements(t);
    int64_t end = i + 1 < block->num_tensors ? t[1].offset : block->num_elements;
    from = FT_MAX(from, p->start);
    end = FT_MIN(end, p->start + p->count);
    if (from < end)
      memset(r->data + (size_t)(from - p->start) * s->element_bytes, 0,
             (size_t)(end - from) * s->element_bytes);
  }
}

static void list_messages(reduction *r) {
  ft_shard *s = r->shard;
  const part *b = &s->parts[r->block];
  const ft_range *p = &b->pieces[r->piece], *own = &b->slices[r->piece];
  int64_t bytes = (int64_t)s->element_bytes;
  r->sends.count = r->receives.count = 0;
  for (int at = 0; at < s->size && contributes(s); at++) {
    int rank = s->rank_at[at];
    if (on_my_node(s, rank)) continue;
    ft_range slice = ft_shard_piece_slice(p, at, s->size);
    ft_shard_messages_add(&r->sends, rank, r->data + (slice.start - p->start) * bytes,
                          slice.count * bytes);
  }
  for (int rank = 0; rank < r->contributors; rank++)
    if (!on_my_node(s, rank)) {
      char *room = s->receive_buffer + r->receives.count * own->count * bytes;
      ft_shard_messages_add(&r->receives, rank, room, own->count * bytes);
    }
}

/* Waits until the send buffer that comes next is free. */
static ft_err next_buffer(ft_shard *s, reduction **out) {
  *out = &s->reductions[s->turn];
  return ft_shard_wait_for(s, &(*out)->request);
}

/* Sends the open piece; the buffer it lies in may be filled again once its request is done on all
 * ranks of the node, which read it in place. */
static ft_err send_piece(ft_shard *s) {
  reduction *r;
  ft_err err = next_buffer(s, &r);
  if (err != FT_OK) return err;
  r->block = s->open_block;
  r->piece = s->open_piece++;
  r->contributors = s->contributors;
  r->first_contribution = s->first_contribution;
  r->last_round = sums_are_complete(s);
  if (contributes(s)) {
    clear_padding(r);
    ft_shard_look_at_piece(s, r);
  }
  if (is_alone(s)) {
    ft_part before = ft_time_enter(FT_TIME_OPTIMIZER);
    add_contributions(r);
    ft_time_enter(before);
    return FT_OK;
  }
  list_messages(r);
  const ft_exchange e = {.name = "reduce",
                         .block = r->block,
                         .barrier_before = true,
                         .barrier_after = true,
                         .complete = add_contributions,
                         .arg = r,
                         .sends = r->sends.items,
                         .num_sends = r->sends.count,
                         .receives = r->receives.items,
                         .num_receives = r->receives.count};
  r->request = ft_comm_exchange(s->comm, &e);
  s->turn = (s->turn + 1) % NUM_SEND_BUFFERS;
  return FT_OK;
}

/* ---------------------------------------------------------------- a round */

void ft_shard_begin_step(ft_shard *s, int64_t num_micro_batches) {
  FT_ASSERT(num_micro_batches >= 0);
  if (num_micro_batches == 0) {
    memset(s->gradient, 0, (size_t)s->kept_elements * gradient_bytes(s));
    memset(s->chunk_sums, 0, (size_t)s->own_chunks * sizeof *s->chunk_sums);
  }
  s->contributors = 0;
  s->first_contribution = 0;
  s->num_contributions = num_micro_batches;
}

void ft_shard_round(ft_shard *s, int contributors) {
  FT_ASSERT(contributors >= 0 && contributors <= s->size && s->open_block < 0);
  s->first_contribution += s->contributors;
  s->contributors = contributors;
  FT_ASSERT(s->first_contribution + contributors <= s->num_contributions);
}

ft_err ft_shard_gradient_open(ft_shard *s, int64_t block) {
  ft_err err = ft_shard_check(s);
  if (err != FT_OK) return err;
  FT_ASSERT(s->open_block < 0 && ft_shard_is_trained(s, block));
  s->open_block = block;
  s->open_piece = 0;
  s->next_tensor = 0;
  s->next_row = 0;
  return FT_OK;
}

ft_err ft_shard_gradient_rows(ft_shard *s, int tensor, int64_t row, int64_t *num_rows, void **out) {
  ft_err err = FT_OK;
  FT_TRY(ft_shard_check(s));
  FT_ASSERT(s->open_block >= 0 && contributes(s));
  FT_ASSERT(tensor == s->next_tensor && row == s->next_row); /* flat order, nothing left out */
  const part *b = &s->parts[s->open_block];
  FT_ASSERT(tensor < b->block->num_tensors);
  const ft_tensor *t = &b->block->tensors[tensor];
  int64_t flat = t->offset + row * t->cols;
  const ft_range *p = &b->pieces[s->open_piece];
  if (flat >= p->start + p->count) {
    FT_TRY(send_piece(s));
    p++;
  }
  reduction *r;
  FT_TRY(next_buffer(s, &r));
  *out = r->data + (size_t)(flat - p->start) * s->element_bytes;
  *num_rows = FT_MIN(t->rows - row, (p->start + p->count - flat) / t->cols);
  FT_ASSERT(*num_rows > 0);
  s->next_row += *num_rows;
  if (s->next_row == t->rows) {
    s->next_tensor++;
    s->next_row = 0;
  }
out:
  return err;
}

ft_err ft_shard_gradient_close(ft_shard *s) {
  ft_err err = FT_OK;
  FT_TRY(ft_shard_check(s));
  FT_ASSERT(s->open_block >= 0);
  const part *b = &s->parts[s->open_block];
  FT_ASSERT(!contributes(s) || s->next_tensor == b->block->num_tensors);
  while (s->open_piece < b->num_pieces)
    FT_TRY(send_piece(s));
  s->open_block = -1;
out:
  return err;
}

/* ---------------------------------------------------------------- the end of a step */

/* Stage 0: what every rank has of one piece of a block's array to every other rank, in place.
 * `bytes` for each `elements`. */
static ft_err post_piece(ft_shard *s, const char *name, char *array, int64_t elements,
                         int64_t bytes, int64_t block, int64_t number) {
  reduction *r;
  const part *b = &s->parts[block];
  ft_err err = next_buffer(s, &r);
  if (err != FT_OK) return err;
  const ft_range *own = &b->slices[number];
  r->sends.count = r->receives.count = 0;
  for (int at = 0; at < s->size; at++) {
    if (at == s->my_place) continue;
    ft_range slice = ft_shard_piece_slice(&b->pieces[number], at, s->size);
    ft_shard_messages_add(&r->sends, s->rank_at[at], array + own->start / elements * bytes,
                          own->count / elements * bytes);
    ft_shard_messages_add(&r->receives, s->rank_at[at], array + slice.start / elements * bytes,
                          slice.count / elements * bytes);
  }
  const ft_exchange e = {.name = name,
                         .block = block,
                         .sends = r->sends.items,
                         .num_sends = r->sends.count,
                         .receives = r->receives.items,
                         .num_receives = r->receives.count};
  r->request = ft_comm_exchange(s->comm, &e);
  s->turn = (s->turn + 1) % NUM_SEND_BUFFERS;
  return FT_OK;
}

static ft_err finish_reductions(ft_shard *s) {
  ft_err err = FT_OK;
  for (int i = 0; i < NUM_SEND_BUFFERS; i++)
    FT_TRY(ft_shard_wait_for(s, &s->reductions[i].request));
out:
  return err;
}

ft_err ft_shard_reduce_finish(ft_shard *s) {
  ft_err err = FT_OK;
  const int64_t bytes = (int64_t)gradient_bytes(s);
  FT_TRY(ft_shard_check(s));
  FT_ASSERT(s->open_block < 0);
  /* Gathers read the master weights, which change next. */
  FT_TRY(ft_shard_finish_gathers(s));
  FT_TRY(finish_reductions(s));
  if (s->options.stage > 0 || s->size == 1) goto out;
  for (int64_t i = 0; i < s->num_blocks; i++)
    for (int64_t k = 0; s->parts[i].trained && k < s->parts[i].num_pieces; k++)
      FT_TRY(post_piece(s, "sums", s->gradient + s->parts[i].kept_offset * bytes, 1, bytes, i, k));
  FT_TRY(finish_reductions(s));
out:
  return err;
}

ft_err ft_shard_spread(ft_shard *s) {
  ft_err err = FT_OK;
  s->frozen_is_spread = false;
  if (s->options.stage > 0 || s->size == 1) return FT_OK;
  for (int n = 0; n < s->num_states; n++) {
    const ft_state_info *info = &s->states[n].info;
    for (int64_t i = 0; i < s->num_blocks; i++)
      for (int64_t k = 0; s->parts[i].trained && k < s->parts[i].num_pieces; k++)
        FT_TRY(post_piece(s, "spread", ft_shard_state(s, n, i), info->group_elements,
                          (int64_t)info->group_bytes, i, k));
  }
  FT_TRY(finish_reductions(s));
out:
  return err;
}
