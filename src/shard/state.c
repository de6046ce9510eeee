/* What a rank has of a block: its ranges, its registered states, its weights as they are set. */
#include "internal.h"

#include <string.h>

static part *part_of(const ft_shard *s, int64_t block) {
  FT_ASSERT(block >= 0 && block < s->num_blocks);
  return &s->parts[block];
}

ft_comm *ft_shard_comm(const ft_shard *s) {
  return s->comm;
}

/* ---------------------------------------------------------------- ranges */

const ft_layout *ft_shard_layout(const ft_shard *s) {
  return s->layout;
}

bool ft_shard_is_trained(const ft_shard *s, int64_t block) {
  return part_of(s, block)->trained;
}

int64_t ft_shard_num_blocks(const ft_shard *s) {
  return s->num_blocks;
}

const ft_block *ft_shard_block(const ft_shard *s, int64_t block) {
  return part_of(s, block)->block;
}

const ft_range *ft_shard_ranges(const ft_shard *s, int64_t block, int64_t *num) {
  const part *b = part_of(s, block);
  *num = b->num_owned;
  return b->owned;
}

int64_t ft_shard_kept(const ft_shard *s, int64_t block) {
  return part_of(s, block)->kept;
}

const ft_range *ft_shard_kept_ranges(const ft_shard *s, int64_t block, int64_t *num) {
  const part *b = part_of(s, block);
  *num = b->num_kept_ranges;
  return b->kept_ranges;
}

/* ---------------------------------------------------------------- states */

ft_err ft_shard_new_state(ft_shard *s, ft_owner owner, const ft_state_info *info) {
  FT_ASSERT(s->num_states < MAX_STATES);
  FT_ASSERT(info->group_elements > 0 && FT_TENSOR_ALIGN % info->group_elements == 0);
  void *data;
  ft_err err = ft_alloc(owner, ft_shard_state_bytes(s, info), &data);
  if (err == FT_OK) s->states[s->num_states++] = (state){.info = *info, .data = data};
  return err;
}

ft_err ft_shard_add_state(ft_shard *s, const ft_state_info *info, int *index) {
  FT_ASSERT(s->options.training);
  *index = s->num_states;
  ft_err err = ft_comm_agree(s->comm, ft_shard_new_state(s, FT_MEM_STATE, info));
  if (err != FT_OK && s->num_states > *index) ft_free(s->states[--s->num_states].data);
  return err;
}

int ft_shard_num_states(const ft_shard *s) {
  return s->num_states;
}

const ft_state_info *ft_shard_state_info(const ft_shard *s, int index) {
  FT_ASSERT(index >= 0 && index < s->num_states);
  return &s->states[index].info;
}

void *ft_shard_state(ft_shard *s, int index, int64_t block) {
  FT_ASSERT(index >= 0 && index < s->num_states && part_of(s, block)->trained);
  const state *a = &s->states[index];
  int64_t entry = part_of(s, block)->kept_offset / a->info.group_elements;
  return a->data + (size_t)entry * a->info.group_bytes;
}

void ft_shard_master_arrays(ft_shard *s, int64_t block, void **w, uint8_t **low) {
  char *at;
  FT_ASSERT(part_of(s, block)->trained);
  master_at(s, part_of(s, block), 0, &at, low);
  *w = at;
}

float *ft_shard_master(ft_shard *s, int64_t block) {
  if (!part_of(s, block)->trained) return NULL;
  FT_ASSERT(s->options.master == FT_MASTER_F32);
  return ft_shard_state(s, 0, block);
}

const void *ft_shard_gradient_array(const ft_shard *s, int64_t block) {
  FT_ASSERT(part_of(s, block)->trained);
  return s->gradient + (size_t)part_of(s, block)->kept_offset * gradient_bytes(s);
}

float *ft_shard_gradient(ft_shard *s, int64_t block) {
  FT_ASSERT(s->options.gradient == FT_F32);
  return (float *)(uintptr_t)ft_shard_gradient_array(s, block);
}

const ft_shard_options *ft_shard_options_of(const ft_shard *s) {
  return &s->options;
}

/* ---------------------------------------------------------------- setting weights */

void ft_shard_set_weights(ft_shard *s, int64_t block, int64_t start, int64_t count,
                          const float *values) {
  const part *b = part_of(s, block);
  const ft_range *r = b->kept_ranges, *end = r + b->num_kept_ranges;
  while (r < end && start >= r->start + r->count)
    r++;
  if (count == 0) return;
  FT_ASSERT(r < end && start >= r->start && start + count <= r->start + r->count);
  int64_t local = r->local + (start - r->start);
  char *w;
  uint8_t *low;
  if (b->trained) {
    master_at(s, b, local, &w, &low);
    ft_master_write(s->options.master, values, count, w, low);
  } else {
    ft_shard_frozen_write(s, block, start, count, values);
  }
}
