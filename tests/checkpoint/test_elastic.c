/* Saved on N ranks, restored on M. elastic.sh runs `save DIR` on 1 … 4 ranks, then `restore DIR` on
 * 1 … 4 ranks: each restores what all have saved, into every stage and other piece lengths, and
 * compares weights and states element by element. */
#include "fixture.h"

static ft_comm *comm;
static const char *dir;

static const struct {
  int stage;
  int64_t piece;
} saved[] = {{3, 300}, {3, 5000}, {2, 20000}, {0, 5000}, {3, 0}};
enum { NUM_STATES = 3 };

static void run_dir_of(int ranks, char out[300]) {
  snprintf(out, 300, "%s/from-%d", dir, ranks);
}

static void save_all(void **state) {
  (void)state;
  char run_dir[300];
  run_dir_of(ft_comm_size(comm), run_dir);
  for (size_t i = 0; i < FT_ARRAY_SIZE(saved); i++) {
    ft_shard *shard = new_training_shard(comm, saved[i].stage, saved[i].piece, NUM_STATES);
    fill_shard(shard, i + 1);
    assert_ok(save(comm, shard, run_dir, (int64_t)i));
    ft_shard_free(shard);
  }
}

/* Shards of all stages, restored into again and again; the last two without training. */
enum { NUM_TRAINING = 5, NUM_SHARDS = 7 };
static ft_shard *shards[NUM_SHARDS];

static void make_shards(void) {
  static const int64_t pieces[NUM_SHARDS] = {777, 5000, 20000, 300, 0, 5000, 0};
  ft_arch arch = small_arch(false);
  for (int i = 0; i < NUM_TRAINING; i++)
    shards[i] = new_training_shard(comm, i % 4, pieces[i], NUM_STATES);
  for (int i = NUM_TRAINING; i < NUM_SHARDS; i++) {
    const ft_shard_options options = {.stage = i == NUM_TRAINING ? 3 : 2,
                                      .compute = i == NUM_TRAINING ? FT_BF16 : FT_F32,
                                      .piece_elements = pieces[i]};
    assert_ok(ft_shard_new(comm, layout_of(&arch), &options, &shards[i]));
  }
}

/* The master weights kept, element by element, zeros between tensors too. */
static void check_masters(ft_shard *shard, uint64_t what) {
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    float *wanted = block_values(what, b, ft_shard_block(shard, b));
    int64_t num;
    const ft_range *r = ft_shard_kept_ranges(shard, b, &num);
    for (int64_t i = 0; i < num; i++)
      assert_memory_equal(ft_shard_master(shard, b) + r[i].local, wanted + r[i].start,
                          (size_t)r[i].count * sizeof(float));
    free(wanted);
  }
}

static void check_gathered(ft_shard *shard, uint64_t what, ft_dtype compute) {
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    const ft_block *block = ft_shard_block(shard, b);
    const void *weights;
    float *values = block_values(what, b, block);
    void *wanted = rounded(compute, values, block->num_elements);
    assert_ok(acquire_one(shard, b, &weights));
    assert_memory_equal(weights, wanted, (size_t)block->num_elements * ft_dtype_bytes(compute));
    ft_shard_release(shard, b);
    free(values);
    free(wanted);
  }
}

static void check_checkpoint(ft_checkpoint *checkpoint, uint64_t what, int turn) {
  ft_shard *shard = shards[turn % NUM_TRAINING];
  assert_ok(ft_checkpoint_restore(comm, checkpoint, shard, true));
  check_masters(shard, what);
  visit_states(shard, what, true);
  check_gathered(shard, what, FT_BF16);
  int frozen = NUM_TRAINING + turn % 2;
  assert_ok(ft_comm_barrier(comm)); /* its weights may still be read */
  assert_ok(ft_checkpoint_restore(comm, checkpoint, shards[frozen], false));
  check_gathered(shards[frozen], what, frozen == NUM_TRAINING ? FT_BF16 : FT_F32);
}

static void check_meta(const ft_checkpoint *checkpoint, int ranks, int64_t step) {
  const ft_checkpoint_meta *meta = ft_checkpoint_meta_of(checkpoint);
  assert_int_equal(ft_checkpoint_world_size(checkpoint), ranks);
  assert_int_equal(meta->step, step);
  assert_int_equal(meta->tokens, 1000 * step);
  assert_true(ft_json_get(meta->config, "lr")->valuedouble == 0.1 + 0.2);
  assert_string_equal(cJSON_GetStringValue(meta->extra), "extra");
}

/* Each of the first four training shards is used for each number of ranks that saved. */
static void restore_all(void **state) {
  (void)state;
  char run_dir[300];
  int turn = 0;
  make_shards();
  for (int ranks = 1; ranks <= 4; ranks++, turn++) {
    int64_t *steps, num_steps;
    run_dir_of(ranks, run_dir);
    assert_ok(ft_checkpoint_list(run_dir, &steps, &num_steps));
    assert_int_equal(num_steps, FT_ARRAY_SIZE(saved));
    for (int64_t i = 0; i < num_steps; i++, turn++) {
      ft_checkpoint *checkpoint;
      assert_int_equal(steps[i], i);
      assert_ok(ft_checkpoint_open(run_dir, i, &checkpoint));
      check_meta(checkpoint, ranks, i);
      check_checkpoint(checkpoint, (uint64_t)i + 1, turn);
      if (ft_comm_rank(comm) == 0) assert_ok(ft_checkpoint_verify(checkpoint));
      ft_checkpoint_close(checkpoint);
    }
    ft_free(steps);
  }
  for (int i = 0; i < NUM_SHARDS; i++)
    ft_shard_free(shards[i]);
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  const struct CMUnitTest save_tests[] = {cmocka_unit_test(save_all)};
  const struct CMUnitTest restore_tests[] = {cmocka_unit_test(restore_all)};
  dir = argv[2];
  assert_ok(ft_comm_new(&comm));
  ft_comm_setup_threads(comm);
  assert_ok(ft_kernels_init());
  int failed = strcmp(argv[1], "save") == 0 ? cmocka_run_group_tests(save_tests, NULL, NULL)
                                            : cmocka_run_group_tests(restore_tests, NULL, NULL);
  if (failed) ft_comm_abort(comm, FT_ERR_INTERNAL, "test_elastic");
  ft_kernels_fini();
  ft_io_stop();
  ft_comm_free(comm);
  return failed;
}
