/* Weights that nobody trains, as they are kept: of each block its tensors one after the other, in
 * the compute type or in codes. Stage 3: every rank has its own slices; stages 0 to 2: a node has
 * all of them once. What is in codes is decoded into a slot (weights.c), the rest is read where it
 * lies (a rank that is alone has whole blocks in stage 3, too), or copied. Slices and tensors begin
 * on whole packets of codes, so a code depends on its tensor alone. */
#include "internal.h"

#include <assert.h>
#include <string.h>

static_assert(FT_TENSOR_ALIGN % FT_CODE_ELEMENTS == 0 && FT_CHUNK % FT_CODE_ELEMENTS == 0,
              "a packet of codes lies in one tensor and one slice");

/* ---------------------------------------------------------------- where an element is */

/* Where the next tensor begins, or the block ends. */
static int64_t room_end(const ft_block *b, int i) {
  return i + 1 < b->num_tensors ? b->tensors[i + 1].offset : b->num_elements;
}

/* Bytes of the first `count` elements of a tensor's room. */
static int64_t kept_bytes(const ft_shard *s, const ft_tensor *t, int64_t count) {
  if (t->storage != FT_CODE_NONE) return (int64_t)ft_code_bytes(t->storage, count);
  return count * (int64_t)s->element_bytes;
}

int64_t ft_shard_frozen_at(const ft_shard *s, const ft_block *b, int64_t flat) {
  int64_t bytes = 0;
  for (int i = 0; i < b->num_tensors && b->tensors[i].offset < flat; i++)
    bytes += kept_bytes(s, &b->tensors[i], FT_MIN(flat, room_end(b, i)) - b->tensors[i].offset);
  return bytes;
}

int64_t ft_shard_frozen_bytes(const ft_shard *s, const part *b) {
  if (s->options.stage < 3) return ft_shard_frozen_at(s, b->block, b->block->num_elements);
  int64_t bytes = 0;
  for (int64_t i = 0; i < b->num_owned; i++) {
    const ft_range *r = &b->owned[i];
    bytes += ft_shard_frozen_at(s, b->block, r->start + r->count) -
             ft_shard_frozen_at(s, b->block, r->start);
  }
  return bytes;
}

/* Where flat element `flat` of a frozen block, which this rank can see, is kept. */
static char *place_of(const ft_shard *s, const part *b, int64_t flat) {
  char *at = s->frozen + b->frozen_offset;
  int64_t of_element = ft_shard_frozen_at(s, b->block, flat);
  if (s->options.stage < 3) return at + of_element;
  for (int64_t i = 0; i < b->num_owned; i++) {
    const ft_range *r = &b->owned[i];
    int64_t begin = ft_shard_frozen_at(s, b->block, r->start);
    if (flat < r->start + r->count) {
      FT_ASSERT(flat >= r->start);
      return at + (of_element - begin);
    }
    at += ft_shard_frozen_at(s, b->block, r->start + r->count) - begin;
  }
  FT_ASSERT(false); /* not this rank's */
  return NULL;
}

/* ---------------------------------------------------------------- writing and reading */

/* To the compute type: what nobody trains to nearest, the rest as training does. */
static void round_kept(const ft_shard *s, int64_t block, int64_t start, int64_t count,
                       const float *in, void *out) {
  if (s->layout->blocks[block].trained)
    ft_shard_round_weights(&s->options, s->version, block, start, count, in, out);
  else
    ft_convert(s->options.compute, out, FT_F32, in, count);
}

/* Elements start … end-1 of a coded tensor; what lies behind its last one is not kept. */
static void write_codes(const ft_shard *s, const part *b, const ft_tensor *t, int64_t start,
                        int64_t end, const float *values) {
  int64_t stop = FT_MIN(end, t->offset + ft_tensor_elements(t));
  if (start >= stop) return;
  FT_ASSERT(start % FT_CODE_ELEMENTS == 0);
  FT_ASSERT(stop % FT_CODE_ELEMENTS == 0 || stop == t->offset + ft_tensor_elements(t));
  ft_code_write(t->storage, place_of(s, b, start), FT_F32, values, stop - start);
}

void ft_shard_frozen_write(ft_shard *s, int64_t block, int64_t start, int64_t count,
                           const float *values) {
  const part *b = &s->parts[block];
  for (int i = 0; i < b->block->num_tensors; i++) {
    const ft_tensor *t = &b->block->tensors[i];
    int64_t from = FT_MAX(start, t->offset), end = FT_MIN(start + count, room_end(b->block, i));
    if (from >= end) continue;
    if (t->storage != FT_CODE_NONE)
      write_codes(s, b, t, from, end, values + (from - start));
    else
      round_kept(s, block, from, end - from, values + (from - start), place_of(s, b, from));
  }
}

/* Elements start … end-1 of a coded tensor's room, zeros behind its last one. */
static void read_codes(const ft_shard *s, const part *b, const ft_tensor *t, int64_t start,
                       int64_t end, char *out) {
  int64_t stop = FT_MAX(FT_MIN(end, t->offset + ft_tensor_elements(t)), start);
  if (start < stop)
    ft_code_read(t->storage, s->options.compute, out, place_of(s, b, start), stop - start);
  memset(out + (size_t)(stop - start) * s->element_bytes, 0,
         (size_t)(end - stop) * s->element_bytes);
}

void ft_shard_frozen_read(const ft_shard *s, int64_t block, int64_t start, int64_t count,
                          void *out) {
  const part *b = &s->parts[block];
  for (int i = 0; i < b->block->num_tensors; i++) {
    const ft_tensor *t = &b->block->tensors[i];
    int64_t from = FT_MAX(start, t->offset), end = FT_MIN(start + count, room_end(b->block, i));
    if (from >= end) continue;
    char *to = (char *)out + (size_t)(from - start) * s->element_bytes;
    if (t->storage != FT_CODE_NONE)
      read_codes(s, b, t, from, end, to);
    else
      memcpy(to, place_of(s, b, from), (size_t)(end - from) * s->element_bytes);
  }
}
