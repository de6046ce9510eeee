/* Proves: weights gathered are the weights set, for every stage, type and number of ranks; owned
 * gradient sums, the norm and the checksum have the bits of the serial computation, so do not
 * depend on the number of ranks. Alone: mpirun -np 3 build/tests/shard/test_shard
 * (FT_FAKE_NODE_SIZE=2 makes nodes of two ranks). */
#include <math.h>
#include <unistd.h>

#include "fixture.h"
#include "ranks_test.h"

static ft_comm *comm;

static const int64_t piece_lengths[] = {300, 5000, 20000, 0};
static const ft_dtype types[] = {FT_BF16, FT_F32};

/* Ranks come late by turns. */
static void be_late(int64_t turn) {
  if (turn % 7 == ft_comm_rank(comm) % 7) usleep(300);
}

static ft_shard *new_shard(const ft_arch *arch, int stage, bool training, ft_dtype compute,
                           int64_t piece) {
  ft_shard *shard;
  const ft_shard_options options = {
      .stage = stage, .training = training, .compute = compute, .piece_elements = piece};
  assert_ok(ft_shard_new(comm, layout_of(arch), &options, &shard));
  return shard;
}

/* ---------------------------------------------------------------- weights */

static void check_acquired(const ft_shard *shard, int64_t number, uint64_t what, ft_dtype compute,
                           const void *weights) {
  const ft_block *block = ft_shard_block(shard, number);
  float *values = block_values(what, number, block);
  void *expected = rounded(compute, values, block->num_elements);
  assert_memory_equal(weights, expected, (size_t)block->num_elements * ft_dtype_bytes(compute));
  free(expected);
  free(values);
}

/* The block that comes next in a pass, or by a pass of its own. */
static ft_err acquire(ft_shard *shard, int64_t block, bool in_pass, const void **weights) {
  return in_pass ? ft_shard_acquire(shard, block, weights) : acquire_one(shard, block, weights);
}

/* Acquires the blocks as a forward and backward pass does; with a tied head the embedding is held
 * beside it. */
static void walk(ft_shard *shard, bool tied, uint64_t what, ft_dtype compute, bool prefetch) {
  int64_t last = ft_shard_num_blocks(shard) - 1, order[32], num = 0;
  const void *w, *embedding;
  for (int64_t b = 0; b <= last; b++)
    order[num++] = b;
  if (tied) order[num++] = 0;
  for (int64_t b = last - 1; b >= 1; b--)
    order[num++] = b;
  if (prefetch) ft_shard_begin_pass(shard, order, num);
  for (int64_t b = 0; b <= last; b++) {
    be_late(b);
    assert_ok(acquire(shard, b, prefetch, &w));
    if (b == last && tied) {
      assert_ok(acquire(shard, 0, prefetch, &embedding));
      check_acquired(shard, 0, what, compute, embedding);
    }
    check_acquired(shard, b, what, compute, w);
    be_late(b + 3);
    ft_shard_release(shard, b);
    if (b == last && tied) ft_shard_release(shard, 0);
  }
  for (int64_t b = last - 1; b >= 1; b--) {
    assert_ok(acquire(shard, b, prefetch, &w));
    be_late(b);
    check_acquired(shard, b, what, compute, w);
    ft_shard_release(shard, b);
  }
}

static void check_weights(int stage, bool training, bool tied, ft_dtype compute, int64_t piece) {
  ft_arch arch = small_arch(tied);
  ft_shard *shard = new_shard(&arch, stage, training, compute, piece);
  for (uint64_t what = 1; what <= 3; what++) {
    if (!training) assert_ok(ft_comm_barrier(comm)); /* they are set where others may still read */
    set_all_weights(shard, what);
    assert_ok(ft_shard_weights_changed(shard));
    walk(shard, tied, what, compute, true);
    walk(shard, tied, what, compute, what % 2);
  }
  ft_shard_free(shard);
}

static void gathered_weights_are_those_set(void **state) {
  (void)state;
  int turn = 0;
  for (int stage = 0; stage <= 3; stage++)
    for (int training = 0; training < 2; training++)
      for (size_t p = 0; p < FT_ARRAY_SIZE(piece_lengths); p++, turn++)
        check_weights(stage, training, turn % 3 == 0, types[(turn + training) % 2],
                      piece_lengths[p]);
}

/* A block that is still held in a slot is lent again, where all ranks can know it. */
static void turn_from_forward_to_backward_reuses(void **state) {
  (void)state;
  ft_arch arch = small_arch(false);
  ft_shard *shard = new_shard(&arch, 3, true, FT_BF16, 5000);
  set_all_weights(shard, 1);
  assert_ok(ft_shard_weights_changed(shard));
  const void *layer, *head, *again;
  int64_t last = arch.layers + 1;
  const int64_t order[] = {last - 1, last, last - 1, last - 2};
  ft_shard_begin_pass(shard, order, 4);
  assert_ok(ft_shard_acquire(shard, last - 1, &layer));
  ft_shard_release(shard, last - 1);
  assert_ok(ft_shard_acquire(shard, last, &head));
  ft_shard_release(shard, last);
  /* Masters change behind its back: a gather would show it. */
  memset(ft_shard_master(shard, last - 1), 0,
         (size_t)ft_shard_kept(shard, last - 1) * sizeof(float));
  assert_ok(ft_shard_acquire(shard, last - 1, &again));
  assert_ptr_equal(layer, again);
  check_acquired(shard, last - 1, 1, FT_BF16, again);
  ft_shard_release(shard, last - 1);
  /* A prefetch that nobody takes is harmless. */
  assert_ok(ft_shard_weights_changed(shard));
  ft_shard_free(shard);
}

/* ---------------------------------------------------------------- gradients */

enum { NUM_MICRO_BATCHES = 7 };

static void check_sums(ft_shard *shard, int stage, int64_t first, int64_t num, ft_dtype compute) {
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    const ft_block *block = ft_shard_block(shard, b);
    float *expected = expected_gradient(b, block, first, num, compute);
    int64_t ranges;
    const ft_range *r =
        stage == 0 ? ft_shard_kept_ranges(shard, b, &ranges) : ft_shard_ranges(shard, b, &ranges);
    const float *sums = ft_shard_gradient(shard, b);
    for (int64_t i = 0; i < ranges; i++)
      assert_memory_equal(sums + r[i].local, expected + r[i].start,
                          (size_t)r[i].count * sizeof(float));
    free(expected);
  }
}

/* The norm as one process computes it: chunk by chunk, from pieces that do not know about ranks. */
static double expected_norm(ft_shard *shard, int64_t piece, int64_t first, int64_t num,
                            ft_dtype compute) {
  double total = 0;
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    const ft_block *block = ft_shard_block(shard, b);
    float *expected = expected_gradient(b, block, first, num, compute);
    ft_range *pieces = calloc((size_t)ft_partition_num_pieces(block, piece), sizeof *pieces);
    int64_t num_pieces = ft_partition(block, piece, 0, 1, pieces);
    for (int64_t i = 0; i < num_pieces; i++)
      for (int64_t at = 0; at < pieces[i].count; at += FT_CHUNK)
        total += ft_sum_of_squares(expected + pieces[i].start + at,
                                   FT_MIN(FT_CHUNK, pieces[i].count - at));
    free(pieces);
    free(expected);
  }
  return sqrt(total);
}

static void check_tensor_norms(ft_shard *shard, double norm) {
  double total = 0;
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    double squares[FT_MAX_BLOCK_TENSORS];
    assert_ok(ft_shard_tensor_gradient_norms(shard, b, squares));
    for (int i = 0; i < ft_shard_block(shard, b)->num_tensors; i++) {
      assert_true(squares[i] > 0);
      total += squares[i];
    }
  }
  assert_true(fabs(sqrt(total) - norm) <= 1e-9 * norm);
}

static int64_t piece_or_default(int64_t piece, ft_dtype compute) {
  return piece ? piece : ((int64_t)128 << 20) / (int64_t)ft_dtype_bytes(compute);
}

static void check_gradients(int stage, bool tied, ft_dtype compute, int64_t piece) {
  ft_arch arch = small_arch(tied);
  ft_shard *shard = new_shard(&arch, stage, true, compute, piece);
  /* Steps of different sizes: with and without idle ranks, and one without any micro-batch. */
  static const int64_t steps[] = {NUM_MICRO_BATCHES, 1, 3, 0};
  for (size_t i = 0; i < FT_ARRAY_SIZE(steps); i++) {
    int64_t first = (int64_t)i * 100 + 1;
    double norm;
    ft_shard_begin_step(shard, steps[i]);
    be_late((int64_t)i);
    reduce_all(shard, comm, first, steps[i], compute);
    check_sums(shard, stage, first, steps[i], compute);
    assert_ok(ft_shard_gradient_norm(shard, &norm));
    double expected =
        expected_norm(shard, piece_or_default(piece, compute), first, steps[i], compute);
    assert_memory_equal(&norm, &expected, sizeof norm);
    if (steps[i]) check_tensor_norms(shard, norm);
  }
  ft_shard_free(shard);
}

static void sums_are_in_order_of_micro_batch(void **state) {
  (void)state;
  int turn = 0;
  for (int stage = 0; stage <= 3; stage++)
    for (size_t p = 0; p < FT_ARRAY_SIZE(piece_lengths); p++, turn++)
      check_gradients(stage, turn % 3 == 0, types[(turn + stage) % 2], piece_lengths[p]);
}

/* An element that is not finite anywhere makes the norm so. */
static void norm_of_infinity_is_not_finite(void **state) {
  (void)state;
  ft_arch arch = small_arch(true);
  ft_shard *shard = new_shard(&arch, 3, true, FT_BF16, 5000);
  double norm;
  ft_shard_begin_step(shard, 1);
  ft_shard_round(shard, 1);
  for (int64_t b = ft_shard_num_blocks(shard) - 1; b >= 0; b--) {
    const ft_block *block = ft_shard_block(shard, b);
    float *values = block_values(1, b, block);
    if (b == 2) values[block->num_elements / 2] = INFINITY;
    contribute_values(shard, b, ft_comm_rank(comm) == 0 ? values : NULL, FT_BF16);
    free(values);
  }
  assert_ok(ft_shard_reduce_finish(shard));
  assert_ok(ft_shard_gradient_norm(shard, &norm));
  assert_false(isfinite(norm));
  ft_shard_free(shard);
}

/* Gradients and prefetches interleaved as in a real pass, several rounds without waiting. */
static void gathers_and_reductions_interleave(void **state) {
  (void)state;
  ft_arch arch = small_arch(false);
  ft_shard *shard = new_shard(&arch, 3, true, FT_BF16, 5000);
  int size = ft_comm_size(comm), rank = ft_comm_rank(comm);
  int64_t last = arch.layers + 1, order[32];
  for (int64_t i = 0; i <= last + 1; i++) /* the next round begins where this one ends */
    order[i] = (2 * last + 1 - i) % (last + 1);
  set_all_weights(shard, 9);
  assert_ok(ft_shard_weights_changed(shard));
  ft_shard_begin_step(shard, NUM_MICRO_BATCHES);
  for (int64_t done = 0; done < NUM_MICRO_BATCHES; done += size) {
    int contributors = (int)FT_MIN(NUM_MICRO_BATCHES - done, (int64_t)size);
    ft_shard_round(shard, contributors);
    ft_shard_begin_pass(shard, order, last + 2);
    for (int64_t b = last; b >= 0; b--) {
      const void *w;
      assert_ok(ft_shard_acquire(shard, b, &w));
      check_acquired(shard, b, 9, FT_BF16, w);
      be_late(b + done);
      contribute(shard, b, rank < contributors ? 1 + done + rank : -1, FT_BF16);
      ft_shard_release(shard, b);
    }
  }
  assert_ok(ft_shard_reduce_finish(shard));
  check_sums(shard, 3, 1, NUM_MICRO_BATCHES, FT_BF16);
  ft_shard_free(shard);
}

/* ---------------------------------------------------------------- checksum, states, refusals */

/* The checksum as one process computes it. */
static uint64_t expected_checksum(ft_shard *shard, int64_t piece, uint64_t what, bool training,
                                  ft_dtype compute) {
  uint64_t sum = 0;
  ft_dtype type = training ? FT_F32 : compute;
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    const ft_block *block = ft_shard_block(shard, b);
    float *values = block_values(what, b, block);
    char *bytes = rounded(type, values, block->num_elements);
    ft_range *pieces = calloc((size_t)ft_partition_num_pieces(block, piece), sizeof *pieces);
    int64_t num = ft_partition(block, piece, 0, 1, pieces);
    for (int64_t i = 0; i < num; i++)
      for (int64_t at = 0; at < pieces[i].count; at += FT_CHUNK) {
        int64_t count = FT_MIN(FT_CHUNK, pieces[i].count - at), start = pieces[i].start + at;
        sum +=
            ft_hash64(bytes + (size_t)start * ft_dtype_bytes(type),
                      (size_t)count * ft_dtype_bytes(type), ((uint64_t)b << 44) + (uint64_t)start);
      }
    free(pieces);
    free(bytes);
    free(values);
  }
  return sum;
}

static void checksum_does_not_depend_on_layout(void **state) {
  (void)state;
  for (int stage = 0; stage <= 3; stage++)
    for (int training = 0; training < 2; training++) {
      ft_arch arch = small_arch(false);
      ft_shard *shard = new_shard(&arch, stage, training, FT_BF16, 5000);
      uint64_t sum, other;
      set_all_weights(shard, 5);
      assert_ok(ft_shard_checksum(shard, &sum));
      assert_true(sum == expected_checksum(shard, 5000, 5, training, FT_BF16));
      assert_ok(ft_comm_barrier(comm));
      set_all_weights(shard, 6);
      assert_ok(ft_shard_checksum(shard, &other));
      assert_true(sum != other);
      ft_shard_free(shard);
    }
}

static void states_cover_what_is_kept(void **state) {
  (void)state;
  ft_arch arch = small_arch(true);
  ft_shard *shard = new_shard(&arch, 2, true, FT_F32, 5000);
  static const ft_state_info scales = {.name = "scale", .group_elements = 256, .group_bytes = 2};
  int index;
  assert_int_equal(ft_shard_num_states(shard), 1);
  assert_string_equal(ft_shard_state_info(shard, 0)->name, "master");
  assert_ok(ft_shard_add_state(shard, &scales, &index));
  assert_int_equal(index, 1);
  assert_int_equal(ft_shard_num_states(shard), 2);
  uint16_t *first = ft_shard_state(shard, index, 0);
  int64_t entries = 0;
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    int64_t num, kept = 0;
    assert_ptr_equal(ft_shard_state(shard, index, b), first + entries);
    assert_ptr_equal(ft_shard_state(shard, 0, b), ft_shard_master(shard, b));
    const ft_range *r = ft_shard_kept_ranges(shard, b, &num);
    for (int64_t i = 0; i < num; i++)
      kept += r[i].count;
    assert_int_equal(kept, ft_shard_kept(shard, b));
    for (int64_t i = 0; i < kept / 256; i++)
      assert_int_equal(first[entries++], 0);
  }
  ft_shard_free(shard);
}

static void memory_goes_back(void **state) {
  (void)state;
  ft_arch arch = small_arch(true);
  size_t before = ft_mem_total().current_bytes;
  for (int stage = 0; stage <= 3; stage++)
    ft_shard_free(new_shard(&arch, stage, stage % 2, FT_BF16, 5000));
  assert_int_equal(ft_mem_total().current_bytes, before);
  ft_shard_free(NULL);
}

static void impossible_options_are_refused(void **state) {
  (void)state;
  ft_arch arch = small_arch(true);
  ft_shard *shard;
  ft_shard_options options = {.stage = 4, .training = true, .compute = FT_BF16};
  assert_fails(ft_shard_new(comm, layout_of(&arch), &options, &shard), FT_ERR_CONFIG, "stage is 4");
  assert_null(shard);
  options.stage = 3;
  options.compute = FT_F16;
  assert_fails(ft_shard_new(comm, layout_of(&arch), &options, &shard), FT_ERR_CONFIG, "F16");
  options.compute = FT_F32;
  options.piece_elements = -1;
  assert_fails(ft_shard_new(comm, layout_of(&arch), &options, &shard), FT_ERR_CONFIG, "piece");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gathered_weights_are_those_set),
      cmocka_unit_test(turn_from_forward_to_backward_reuses),
      cmocka_unit_test(sums_are_in_order_of_micro_batch),
      cmocka_unit_test(norm_of_infinity_is_not_finite),
      cmocka_unit_test(gathers_and_reductions_interleave),
      cmocka_unit_test(checksum_does_not_depend_on_layout),
      cmocka_unit_test(states_cover_what_is_kept),
      cmocka_unit_test(memory_goes_back),
      cmocka_unit_test(impossible_options_are_refused),
  };
  return run_on_ranks(&comm, tests, FT_ARRAY_SIZE(tests), NULL, NULL);
}
