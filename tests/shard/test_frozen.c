/* Proves how frozen weights are kept: in codes, what is lent is the plain reference's encoding and
 * decoding of each matrix, and norms and biases keep the compute type, for every stage, type,
 * number of ranks and way of setting them; the checksum is the same everywhere; and bytes are what
 * docs/memory.md promises. Alone: mpirun -np 3 build/tests/shard/test_frozen (FT_FAKE_NODE_SIZE=2
 * makes nodes of two ranks). */
#include <unistd.h>

#include "fixture.h"
#include "ft/kernels_ref.h"
#include "ranks_test.h"

static ft_comm *comm;

/* All but the second layer, and of the third its norms only. */
static bool is_frozen(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg;
  (void)place;
  return layer != 1 && (layer != 2 || !ft_role_is_norm_weight(role));
}

static ft_layout *new_layout(bool tied, ft_code storage) {
  ft_layout *layout;
  ft_arch arch = small_arch(tied);
  const ft_choice choice = {.frozen = is_frozen};
  assert_ok(ft_layout_new(&arch, NULL, &choice, &layout));
  assert_ok(ft_layout_set_storage(layout, storage));
  return layout;
}

/* Sets what is kept of a tensor in steps of whole packets, the last ending with the tensor. */
static void set_tensor(ft_shard *shard, int64_t block, const ft_tensor *t, const ft_range *r,
                       const float *values) {
  int64_t end = FT_MIN(r->start + r->count, t->offset + ft_tensor_elements(t));
  for (int64_t at = FT_MAX(r->start, t->offset), count; at < end; at += count) {
    count = FT_MIN(end - at, 27 * FT_CODE_ELEMENTS);
    ft_shard_set_weights(shard, block, at, count, values + at);
  }
}

static void set_all(ft_shard *shard, uint64_t what) {
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    const ft_block *block = ft_shard_block(shard, b);
    float *values = block_values(what, b, block);
    int64_t num;
    const ft_range *r = ft_shard_kept_ranges(shard, b, &num);
    for (int64_t i = 0; i < num; i++)
      for (int t = 0; t < block->num_tensors; t++)
        set_tensor(shard, b, &block->tensors[t], &r[i], values);
    free(values);
  }
  assert_ok(ft_shard_weights_changed(shard));
}

/* A block as it must be lent: what frozen matrices have become by the plain reference. */
static void *expected_weights(const ft_block *block, int64_t number, uint64_t what, ft_dtype type) {
  float *values = block_values(what, number, block);
  for (int i = 0; i < block->num_tensors; i++) {
    const ft_tensor *t = &block->tensors[i];
    if (t->storage == FT_CODE_NONE) continue;
    int64_t count = ft_tensor_elements(t);
    void *codes = malloc(ft_code_bytes(t->storage, count));
    assert_non_null(codes);
    ft_ref_code_write(t->storage, codes, FT_F32, values + t->offset, count);
    ft_ref_code_read(t->storage, FT_F32, values + t->offset, codes, count);
    free(codes);
  }
  void *out = rounded(type, values, block->num_elements);
  free(values);
  return out;
}

static void check_lent(ft_shard *shard, int64_t number, uint64_t what, ft_dtype type) {
  const void *w;
  const ft_block *block = ft_shard_block(shard, number);
  void *expected = expected_weights(block, number, what, type);
  if (number % 7 == ft_comm_rank(comm) % 7) usleep(300); /* ranks come late by turns */
  assert_ok(ft_shard_acquire(shard, number, &w));
  assert_memory_equal(w, expected, (size_t)block->num_elements * ft_dtype_bytes(type));
  free(expected);
}

/* Units forward and backward, each block of a unit held with the other. */
static void walk(ft_shard *shard, uint64_t what, ft_dtype type) {
  const ft_layout *l = ft_shard_layout(shard);
  int64_t order[32], num = 0;
  for (int64_t i = 0; i < 2 * l->arch.layers; i++) {
    const ft_unit *u = &l->layers[i < l->arch.layers ? i : 2 * l->arch.layers - 1 - i];
    for (int k = 0; k < u->num_blocks; k++)
      order[num++] = u->blocks[k];
  }
  ft_shard_begin_pass(shard, order, num);
  for (int64_t i = 0; i < num; i++) {
    check_lent(shard, order[i], what, type);
    bool more =
        i + 1 < num &&
        ft_shard_block(shard, order[i + 1])->layer == ft_shard_block(shard, order[i])->layer &&
        order[i + 1] > order[i];
    if (more) check_lent(shard, order[++i], what, type);
    ft_shard_release(shard, order[i]);
    if (more) ft_shard_release(shard, order[i - 1]);
  }
}

static uint64_t check_form(const ft_layout *layout, int stage, bool training, ft_dtype compute,
                           int64_t piece) {
  ft_shard *shard;
  uint64_t sum;
  const ft_shard_options options = {
      .stage = stage, .training = training, .compute = compute, .piece_elements = piece};
  assert_ok(ft_shard_new(comm, layout, &options, &shard));
  /* a training reads what is frozen once */
  for (uint64_t what = training ? 2 : 1; what <= 2; what++) {
    assert_ok(ft_comm_barrier(comm)); /* they are set where others may still read */
    set_all(shard, what);
    walk(shard, what, compute);
  }
  assert_ok(ft_shard_weights_changed(shard)); /* as after an update */
  walk(shard, 2, compute);
  assert_ok(ft_shard_checksum(shard, &sum));
  ft_shard_free(shard);
  return sum;
}

static void codes_are_the_references(void **state) {
  (void)state;
  static const int64_t pieces[] = {0, 5000, 300, 20000};
  for (int code = FT_CODE_NONE; code < FT_CODE_NUM; code++)
    for (int compute = 0; compute < 2; compute++) {
      ft_layout *layout = new_layout(compute, (ft_code)code);
      uint64_t sums[2] = {0, 0};
      for (int stage = 0; stage <= 3; stage++)
        for (int training = 0; training < 2; training++) {
          uint64_t sum = check_form(layout, stage, training, compute ? FT_BF16 : FT_F32,
                                    pieces[code + compute]);
          assert_true(stage == 0 || sum == sums[training]);
          sums[training] = sum;
        }
      ft_layout_free(layout);
    }
}

/* Bytes of all frozen weights: what makes the logits has a byte an element even where others have
 * half of one. */
static int64_t promised_bytes(const ft_layout *l, ft_code storage) {
  int64_t bytes = 0;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; !l->blocks[b].trained && i < l->blocks[b].num_tensors; i++) {
      const ft_tensor *t = &l->blocks[b].tensors[i];
      int64_t count = ft_round_up(ft_tensor_elements(t), FT_TENSOR_ALIGN);
      bool byte = storage == FT_CODE_INT8 || t->role == FT_ROLE_HEAD;
      bytes +=
          storage == FT_CODE_NONE || t->num_dims < 2 ? 2 * count : count / 64 * (byte ? 68 : 36);
    }
  return bytes;
}

static void bytes_are_as_promised(void **state) {
  (void)state;
  for (int code = FT_CODE_NONE; code < FT_CODE_NUM; code++)
    for (int stage = 0; stage <= 3; stage++) {
      ft_layout *layout = new_layout(false, (ft_code)code);
      ft_shard *shard;
      const ft_shard_options options = {.stage = stage, .training = true, .compute = FT_BF16};
      assert_ok(ft_shard_new(comm, layout, &options, &shard));
      int64_t found = ft_mem_of(FT_MEM_FROZEN).current_bytes;
      assert_ok(ft_comm_sum_i64(comm, &found, 1));
      int64_t copies = stage == 3 ? 1 : ft_comm_num_nodes(comm);
      int64_t expected = copies * promised_bytes(layout, (ft_code)code);
      int64_t padding = 64 * layout->num_blocks * (stage == 3 ? ft_comm_size(comm) : copies);
      assert_in_range(found, expected, expected + padding);
      ft_shard_free(shard);
      ft_layout_free(layout);
    }
}

static void nothing_frozen_is_refused(void **state) {
  (void)state;
  ft_arch arch = small_arch(false);
  ft_layout *layout;
  assert_ok(ft_layout_new(&arch, NULL, NULL, &layout));
  assert_ok(ft_layout_set_storage(layout, FT_CODE_NONE));
  assert_fails(ft_layout_set_storage(layout, FT_CODE_NF4), FT_ERR_CONFIG,
               "model.storage is \"nf4\", but every weight is trained");
  ft_layout_free(layout);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(codes_are_the_references),
                                     cmocka_unit_test(bytes_are_as_promised),
                                     cmocka_unit_test(nothing_frozen_is_refused)};
  return run_on_ranks(&comm, tests, FT_ARRAY_SIZE(tests), NULL, NULL);
}
