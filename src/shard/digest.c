/* Norms and checksums that do not depend on the number of ranks: values per chunk, combined in
 * global chunk order (block, piece, chunk). */
#include "internal.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- combining on rank 0 */

static int64_t num_chunks(int64_t elements) {
  return ft_ceil_div(elements, FT_CHUNK);
}

/* Blocks first … *end-1 whose chunks, together at most a million unless one block alone has more,
 * are brought to rank 0 at once. */
static void group_blocks(const ft_shard *s, int64_t first, int64_t *end) {
  const int64_t most = 1 << 20;
  int64_t chunks = 0;
  for (*end = first; *end < s->num_blocks; ++*end) {
    chunks += num_chunks(s->parts[*end].block->num_elements);
    if (*end > first && chunks > most) return;
  }
}

/* Where in the gathered array each rank's values begin: sizes becomes offsets, in values. */
static void offsets_from_sizes(ft_shard *s) {
  size_t at = 0;
  for (int rank = 0; rank < s->size; rank++) {
    size_t bytes = s->sizes[rank];
    s->sizes[rank] = at;
    at += bytes / sizeof(double);
  }
}

/* ---------------------------------------------------------------- the gradient norm */

double ft_shard_square_sums(const ft_shard *s, const void *sums, int64_t count) {
  float room[FT_CHUNK];
  if (s->options.gradient == FT_F32) return ft_sum_of_squares(sums, count);
  ft_convert(FT_F32, room, s->options.gradient, sums, count);
  return ft_sum_of_squares(room, count);
}

/* This rank's chunks of a block, in flat order; a frozen one has no gradient. */
static int64_t own_chunks_of(const part *b) {
  int64_t num = 0;
  for (int64_t i = 0; b->trained && i < b->num_pieces; i++)
    num += num_chunks(b->slices[i].count);
  return num;
}

/* Adds a block's chunk sums in order of piece and chunk; sizes[rank] is the next one of `rank`. */
static void add_block(ft_shard *s, const part *b, const double *sums, double *total) {
  for (int64_t i = 0; b->trained && i < b->num_pieces; i++)
    for (int at = 0; at < s->size; at++) {
      int64_t chunks = num_chunks(ft_shard_piece_slice(&b->pieces[i], at, s->size).count);
      size_t *next = &s->sizes[s->rank_at[at]];
      for (int64_t c = 0; c < chunks; c++)
        *total += sums[(*next)++];
    }
}

ft_err ft_shard_gradient_norm(ft_shard *s, double *norm) {
  ft_err err = FT_OK;
  double total = 0;
  void *sums = NULL;
  FT_ASSERT(s->options.training && sums_are_complete(s));
  FT_TRY(ft_shard_check(s));
  for (int64_t first = 0, end; first < s->num_blocks; first = end) {
    int64_t num = 0;
    group_blocks(s, first, &end);
    for (int64_t i = first; i < end; i++)
      num += own_chunks_of(&s->parts[i]);
    const double *own = s->chunk_sums + s->parts[first].first_chunk[0];
    FT_TRY(ft_comm_gather(s->comm, 0, own, (size_t)num * sizeof(double), &sums, s->sizes));
    if (s->rank == 0) {
      offsets_from_sizes(s);
      for (int64_t i = first; i < end; i++)
        add_block(s, &s->parts[i], sums, &total);
    }
    ft_free(sums);
    sums = NULL;
  }
  *norm = sqrt(total);
  FT_TRY(ft_comm_broadcast(s->comm, 0, norm, sizeof *norm));
out:
  ft_free(sums);
  return err;
}

/* ---------------------------------------------------------------- per tensor */

/* Calls `visit` for what each tensor has of each chunk of a range, in flat order. */
static void visit_segments(const ft_block *block, const ft_range *r,
                           void (*visit)(void *arg, int tensor, int64_t flat, int64_t count),
                           void *arg) {
  for (int64_t at = r->start; at < r->start + r->count; at += FT_CHUNK) {
    int64_t stop = FT_MIN(at + FT_CHUNK, r->start + r->count);
    for (int i = 0; i < block->num_tensors; i++) {
      const ft_tensor *t = &block->tensors[i];
      int64_t from = FT_MAX(at, t->offset), end = FT_MIN(stop, t->offset + ft_tensor_elements(t));
      if (from < end) visit(arg, i, from, end - from);
    }
  }
}

typedef struct squares {
  const ft_shard *shard;
  const part *part;
  const ft_range *range; /* at hand */
  double *sums;          /* NULL: only count */
  int64_t num;
} squares;

static void square_segment(void *arg, int tensor, int64_t flat, int64_t count) {
  squares *q = arg;
  (void)tensor;
  if (q->sums) {
    int64_t local = q->range->local + (flat - q->range->start);
    q->sums[q->num] = ft_shard_square_sums(q->shard, gradient_at(q->shard, q->part, local), count);
  }
  q->num++;
}

/* Sums of squares of what this rank owns of a block, by chunk and tensor; free with ft_free. */
static ft_err square_segments(const ft_shard *s, const part *b, void **sums, int64_t *num) {
  squares count = {0};
  for (int64_t i = 0; i < b->num_owned; i++)
    visit_segments(b->block, &b->owned[i], square_segment, &count);
  ft_err err = ft_alloc_array(FT_MEM_WORKSPACE, count.num, sizeof(double), sums);
  if (err != FT_OK) return err;
  squares q = {.shard = s, .part = b, .sums = *sums};
  for (int64_t i = 0; i < b->num_owned; i++) {
    q.range = &b->owned[i];
    visit_segments(b->block, q.range, square_segment, &q);
  }
  *num = q.num;
  return FT_OK;
}

typedef struct tensor_sums {
  const double *next; /* of the rank at hand */
  double *out;        /* [FT_MAX_BLOCK_TENSORS] */
} tensor_sums;

static void add_segment(void *arg, int tensor, int64_t flat, int64_t count) {
  tensor_sums *t = arg;
  (void)flat;
  (void)count;
  t->out[tensor] += *t->next++;
}

ft_err ft_shard_tensor_gradient_norms(ft_shard *s, int64_t block, double *out) {
  FT_ASSERT(ft_shard_is_trained(s, block));
  const part *b = &s->parts[block];
  void *mine = NULL, *sums = NULL;
  int64_t num = 0;
  ft_err err = FT_OK;
  FT_TRY(ft_shard_check(s));
  err = square_segments(s, b, &mine, &num);
  FT_TRY(ft_comm_agree(s->comm, err));
  FT_TRY(ft_comm_gather(s->comm, 0, mine, (size_t)num * sizeof(double), &sums, s->sizes));
  memset(out, 0, FT_MAX_BLOCK_TENSORS * sizeof(double));
  if (s->rank == 0) {
    offsets_from_sizes(s);
    for (int64_t i = 0; i < b->num_pieces; i++)
      for (int at = 0; at < s->size; at++) {
        ft_range slice = ft_shard_piece_slice(&b->pieces[i], at, s->size);
        size_t *next = &s->sizes[s->rank_at[at]];
        tensor_sums t = {.next = (const double *)sums + *next, .out = out};
        visit_segments(b->block, &slice, add_segment, &t);
        *next = (size_t)(t.next - (const double *)sums);
      }
  }
  FT_TRY(ft_comm_broadcast(s->comm, 0, out, FT_MAX_BLOCK_TENSORS * sizeof(double)));
out:
  ft_free(mine);
  ft_free(sums);
  return err;
}

/* ---------------------------------------------------------------- checksum of the weights */

/* The values that stand for `count` ≤ FT_CHUNK elements of an owned range from `at` on: those of
 * the master weights, or the weights that nobody trains as they are computed with. */
static size_t weight_values(const ft_shard *s, int64_t block, const ft_range *r, int64_t at,
                            int64_t count, float room[FT_CHUNK]) {
  const part *b = &s->parts[block];
  if (b->trained) {
    read_master(s, b, r->local + at, count, room);
    return (size_t)count * sizeof(float);
  }
  ft_shard_frozen_read(s, block, r->start + at, count, room);
  return (size_t)count * s->element_bytes;
}

/* Sum of the hashes of a range's chunks, each seeded by block and place in it. */
static uint64_t hash_range(const ft_shard *s, int64_t block, const ft_range *r) {
  uint64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)
  for (int64_t at = 0; at < r->count; at += FT_CHUNK) {
    float room[FT_CHUNK];
    int64_t count = FT_MIN((int64_t)FT_CHUNK, r->count - at);
    size_t bytes = weight_values(s, block, r, at, count, room);
    sum += ft_hash64(room, bytes, ft_element_number(block, r->start + at));
  }
  return sum;
}

ft_err ft_shard_checksum(ft_shard *s, uint64_t *out) {
  ft_err err = FT_OK;
  uint64_t sum = 0;
  /* others of the node may still set their part of the full copy */
  if (s->has_frozen) FT_TRY(ft_shard_node_barrier(s));
  for (int64_t i = 0; i < s->num_blocks; i++)
    for (int64_t k = 0; k < s->parts[i].num_owned; k++)
      sum += hash_range(s, i, &s->parts[i].owned[k]);
  FT_TRY(ft_comm_sum_u64(s->comm, &sum, 1));
  *out = sum;
out:
  return err;
}
