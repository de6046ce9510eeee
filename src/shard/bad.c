/* Numbers that are not finite, found where they come from. */
#include "internal.h"

#include <math.h>

/* The first of `count` numbers that is not finite; -1: none. */
static int64_t first_bad(ft_dtype type, const void *values, int64_t count) {
  const uint16_t *half = values;
  const float *single = values;
  for (int64_t i = 0; i < count; i++) {
    bool bad = type == FT_BF16 ? (half[i] & 0x7f80) == 0x7f80 : !isfinite(single[i]);
    if (bad) return i;
  }
  return -1;
}

static double value_of(ft_dtype type, const void *values, int64_t index) {
  return type == FT_BF16 ? (double)ft_f32_from_bf16(((const uint16_t *)values)[index])
                         : (double)((const float *)values)[index];
}

void ft_shard_look_for_bad(ft_shard *s, ft_bad_number *record) {
  s->bad = record;
  if (record) *record = (ft_bad_number){.found = false};
}

void ft_shard_look_at_output(ft_shard *s, int64_t block, ft_dtype type, const void *values,
                             int64_t count) {
  if (!s->bad || s->bad->found) return;
  int64_t i = first_bad(type, values, count);
  if (i >= 0)
    *s->bad = (ft_bad_number){.found = true,
                              .block = block,
                              .tensor = -1,
                              .element = i,
                              .value = value_of(type, values, i)};
}

static int tensor_at(const ft_block *block, int64_t element) {
  int tensor = 0;
  while (tensor + 1 < block->num_tensors && block->tensors[tensor + 1].offset <= element)
    tensor++;
  return tensor;
}

/* A test aid: the first number of a contribution is none. */
static void spoil(ft_shard *s, const reduction *r) {
  if (s->options.compute == FT_BF16)
    *(uint16_t *)(void *)r->data = 0x7fc0;
  else
    *(float *)(void *)r->data = NAN;
}

void ft_shard_look_at_piece(ft_shard *s, const reduction *r) {
  const part *b = &s->parts[r->block];
  const ft_range *p = &b->pieces[r->piece];
  if (ft_fault("contribution").nan) spoil(s, r);
  if (!s->bad || s->bad->found) return;
  int64_t i = first_bad(s->options.compute, r->data, p->count);
  if (i < 0) return;
  *s->bad = (ft_bad_number){.found = true,
                            .block = r->block,
                            .tensor = tensor_at(b->block, p->start + i),
                            .element = p->start + i,
                            .value = value_of(s->options.compute, r->data, i)};
}
