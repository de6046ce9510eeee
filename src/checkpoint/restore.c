/* Filling a shard from a checkpoint, whatever the layout of either. */
#include <string.h>

#include "internal.h"

enum { FROZEN_ELEMENTS = 1 << 20 };

/* Numbers are not converted from one form to another: a run would go on from other weights than it
 * had. */
static ft_err check_master(const ft_checkpoint *c, const ft_shard *shard) {
  ft_err err = FT_OK;
  ft_master saved, mine = ft_shard_options_of(shard)->master;
  FT_TRY(ft_checkpoint_master(c, &saved));
  FT_CHECK(saved == mine, FT_ERR_DATA,
           "%s: keeps master weights as %s, this run as %s (optimizer.master): go on as it was, or "
           "export it and begin a new run from there",
           c->dir, ft_master_name(saved), ft_master_name(mine));
out:
  return err;
}

/* A checkpoint holds the blocks that are trained, in their order. */
static ft_err check_blocks(const ft_checkpoint *c, const ft_layout *layout) {
  ft_err err = FT_OK;
  int64_t saved = 0, trained = 0;
  for (int64_t b = 0; b < layout->num_blocks; b++)
    trained += layout->blocks[b].trained;
  FT_CHECK(c->num_blocks == trained, FT_ERR_DATA, "%s: has %lld blocks, the model has %lld", c->dir,
           (long long)c->num_blocks, (long long)trained);
  for (int64_t b = 0; b < layout->num_blocks; b++) {
    const ft_block *block = &layout->blocks[b];
    if (!block->trained) continue;
    FT_CHECK(strcmp(c->blocks[saved].name, block->name) == 0 &&
                 c->blocks[saved].elements == block->num_elements,
             FT_ERR_DATA, "%s: has block %s of %lld elements, the model %s of %lld", c->dir,
             c->blocks[saved].name, (long long)c->blocks[saved].elements, block->name,
             (long long)block->num_elements);
    saved++;
  }
out:
  return err;
}

/* The model and the states must be those that were saved: nothing is left out silently. */
ft_err ft_checkpoint_fits(const ft_checkpoint *c, const ft_shard *shard, bool states_too) {
  ft_err err = FT_OK;
  FT_TRY(check_blocks(c, ft_shard_layout(shard)));
  if (ft_shard_num_states(shard) > 0) FT_TRY(check_master(c, shard));
  for (int s = 0; states_too && s < c->num_states; s++) {
    const saved_state *saved = &c->states[s];
    const ft_state_info *mine = NULL;
    for (int i = 0; i < ft_shard_num_states(shard); i++)
      if (strcmp(ft_shard_state_info(shard, i)->name, saved->name) == 0)
        mine = ft_shard_state_info(shard, i);
    FT_CHECK(mine, FT_ERR_DATA,
             "%s: has a state %s, which this run does not: its optimizer, or optimizer.state, is "
             "another one",
             c->dir, saved->name);
    FT_CHECK(mine->group_bytes == saved->group_bytes &&
                 mine->group_elements == saved->group_elements,
             FT_ERR_DATA,
             "%s: its state %s has %zu bytes for %lld elements, this run's has %zu for %lld: "
             "optimizer.state is another one",
             c->dir, saved->name, saved->group_bytes, (long long)saved->group_elements,
             mine->group_bytes, (long long)mine->group_elements);
  }
out:
  return err;
}

/* What this rank owns of one state of a block, straight to where it is kept. */
static ft_err restore_state(ft_checkpoint *c, ft_shard *shard, int index, int64_t block) {
  ft_err err = FT_OK;
  const ft_state_info *info = ft_shard_state_info(shard, index);
  char *state = ft_shard_state(shard, index, block);
  int64_t num;
  const ft_range *ranges = ft_shard_ranges(shard, block, &num);
  for (int64_t i = 0; i < num; i++) {
    FT_TRY(ft_shard_check(shard)); /* reading takes long */
    char *to = state + (size_t)(ranges[i].local / info->group_elements) * info->group_bytes;
    FT_TRY(ft_checkpoint_read(c, ft_shard_block(shard, block)->name, info->name, ranges[i].start,
                              ranges[i].count, info->group_elements, info->group_bytes, to));
  }
out:
  return err;
}

/* Frozen weights are kept in the compute type: they are set from the master weights, or from what
 * stands for them, in pieces. */
static ft_err restore_frozen(ft_checkpoint *c, ft_shard *shard, int64_t block, const char *state,
                             float *buffer) {
  ft_err err = FT_OK;
  const char *name = ft_shard_block(shard, block)->name;
  int64_t num;
  const ft_range *ranges = ft_shard_ranges(shard, block, &num);
  for (int64_t i = 0; i < num; i++)
    for (int64_t at = 0; at < ranges[i].count; at += FROZEN_ELEMENTS) {
      FT_TRY(ft_shard_check(shard));
      int64_t start = ranges[i].start + at;
      int64_t count = FT_MIN(FROZEN_ELEMENTS, ranges[i].count - at);
      FT_TRY(ft_checkpoint_read_weights(c, name, state, start, count, buffer));
      ft_shard_set_weights(shard, block, start, count, buffer);
    }
out:
  return err;
}

static ft_err restore(ft_checkpoint *c, ft_shard *shard, bool states_too, const char *weights) {
  ft_err err = FT_OK;
  void *buffer = NULL;
  bool training = ft_shard_num_states(shard) > 0;
  if (!training) FT_TRY(ft_alloc(FT_MEM_IO, FROZEN_ELEMENTS * sizeof(float), &buffer));
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    if (!ft_shard_block(shard, b)->trained) continue;
    if (!training) FT_TRY(restore_frozen(c, shard, b, weights, buffer));
    int num_masters = 1 + (int)ft_master_low_bytes(ft_shard_options_of(shard)->master);
    int num_states = states_too ? ft_shard_num_states(shard) : training ? num_masters : 0;
    for (int s = 0; s < num_states; s++)
      FT_TRY(restore_state(c, shard, s, b));
  }
out:
  ft_free(buffer);
  return err;
}

static ft_err restore_together(ft_comm *comm, ft_checkpoint *checkpoint, ft_shard *shard,
                               bool states_too, const char *weights) {
  ft_err err = FT_OK;
  FT_TRY(ft_comm_agree(comm, ft_checkpoint_fits(checkpoint, shard, states_too)));
  ft_shard_set_version(shard, ft_checkpoint_meta_of(checkpoint)->updates);
  FT_TRY(ft_comm_agree(comm, restore(checkpoint, shard, states_too, weights)));
  FT_TRY(ft_shard_spread(shard));
  FT_TRY(ft_shard_weights_changed(shard));
out:
  return err;
}

ft_err ft_checkpoint_restore(ft_comm *comm, ft_checkpoint *checkpoint, ft_shard *shard,
                             bool states_too) {
  return restore_together(comm, checkpoint, shard, states_too, NULL);
}

ft_err ft_checkpoint_restore_weights(ft_comm *comm, ft_checkpoint *checkpoint, ft_shard *shard,
                                     const char *state) {
  FT_ASSERT(ft_shard_num_states(shard) == 0);
  return restore_together(comm, checkpoint, shard, false, state);
}
