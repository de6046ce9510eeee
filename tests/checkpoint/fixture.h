/* A training shard whose states are pure functions of (state, block, element), whatever its layout.
 */
#ifndef FT_CHECKPOINT_FIXTURE_H
#define FT_CHECKPOINT_FIXTURE_H

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shard/fixture.h"
#include "ft/checkpoint.h"

/* Beside the master weights: two bytes an element, four, and scales of 256 elements. */
static const ft_state_info extra_states[] = {
    {.name = "m", .group_elements = 1, .group_bytes = 2},
    {.name = "v", .group_elements = 1, .group_bytes = 4},
    {.name = "v.scale", .group_elements = 256, .group_bytes = 3}};

static inline ft_shard *new_training_shard(ft_comm *comm, int stage, int64_t piece,
                                           int num_states) {
  ft_arch arch = small_arch(false);
  ft_shard *shard;
  const ft_shard_options options = {
      .stage = stage, .training = true, .compute = FT_BF16, .piece_elements = piece};
  assert_ok(ft_shard_new(comm, layout_of(&arch), &options, &shard));
  for (int s = 0; s < num_states; s++) {
    int index;
    assert_ok(ft_shard_add_state(shard, &extra_states[s], &index));
    assert_int_equal(index, s + 1);
  }
  return shard;
}

/* Byte `i` of entry number `entry` of a block's state. */
static inline uint8_t state_byte(uint64_t what, int state, int64_t block, int64_t entry, size_t i) {
  uint64_t z = what + 31u * (uint64_t)state + 1009u * (uint64_t)block + 7919u * (uint64_t)entry;
  return (uint8_t)((z * 0x9e3779b97f4a7c15u) >> (8 * (i % 7)));
}

/* Sets (or, with `check`, compares) all kept entries of the states after the master. */
static inline void visit_states(ft_shard *shard, uint64_t what, bool check) {
  for (int s = 1; s < ft_shard_num_states(shard); s++) {
    const ft_state_info *info = ft_shard_state_info(shard, s);
    for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
      uint8_t *data = ft_shard_state(shard, s, b);
      int64_t num;
      const ft_range *r = ft_shard_kept_ranges(shard, b, &num);
      for (int64_t i = 0; i < num; i++)
        for (int64_t e = 0; e < r[i].count / info->group_elements; e++)
          for (size_t k = 0; k < info->group_bytes; k++) {
            uint8_t *byte =
                data + (size_t)(r[i].local / info->group_elements + e) * info->group_bytes + k;
            uint8_t wanted = state_byte(what, s, b, r[i].start / info->group_elements + e, k);
            if (!check)
              *byte = wanted;
            else if (*byte != wanted)
              fail_msg("state %s block %lld entry %lld differs", info->name, (long long)b,
                       (long long)e);
          }
    }
  }
}

static inline void fill_shard(ft_shard *shard, uint64_t what) {
  set_all_weights(shard, what);
  assert_ok(ft_shard_weights_changed(shard));
  visit_states(shard, what, false);
}

static inline ft_checkpoint_meta meta_of(int64_t step, cJSON *config) {
  return (ft_checkpoint_meta){.step = step, .tokens = 1000 * step, .config = config};
}

/* Saves what the shard has as checkpoint number `step`. */
static inline ft_err save(ft_comm *comm, ft_shard *shard, const char *run_dir, int64_t step) {
  ft_checkpoint_writer *writer = NULL;
  cJSON *config = cJSON_CreateObject();
  cJSON_AddNumberToObject(config, "lr", 0.1 + 0.2);
  ft_checkpoint_meta meta = meta_of(step, config);
  meta.extra = cJSON_CreateString("extra");
  ft_err err = ft_checkpoint_begin(comm, shard, run_dir, &meta, &writer);
  cJSON_Delete(config);
  cJSON_Delete(meta.extra);
  return err == FT_OK ? ft_checkpoint_finish(writer, NULL) : err;
}

#endif
