/* Proves that master weights in fewer bytes go through a checkpoint: saved and restored in each
 * form, in another stage and with other pieces, bit by bit; read as numbers; restored into frozen
 * weights; and that another form is refused, naming both. Alone: mpirun -np 2
 * build/tests/checkpoint/test_forms */
#include "fixture.h"

static ft_comm *comm;
static char run_dir[64];

static ft_shard *new_shard(ft_master master, int stage, int64_t piece, bool training) {
  ft_arch arch = small_arch(false);
  ft_shard *shard;
  const ft_shard_options options = {.stage = stage,
                                    .training = training,
                                    .stochastic_rounding = true,
                                    .seed = 3,
                                    .compute = FT_BF16,
                                    .master = master,
                                    .piece_elements = piece};
  assert_ok(ft_shard_new(comm, layout_of(&arch), &options, &shard));
  return shard;
}

/* The values that the form keeps of the fixture's weights. */
static float *kept_values(ft_master kind, int64_t number, const ft_block *block) {
  float *values = block_values(7, number, block);
  uint16_t *w = malloc((size_t)block->num_elements * sizeof(float));
  uint8_t *low = malloc((size_t)block->num_elements);
  ft_master_write(kind, values, block->num_elements, w, low);
  ft_master_read(kind, w, low, block->num_elements, values);
  free(w);
  free(low);
  return values;
}

static void check_weights(ft_shard *shard, ft_master kind) {
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    const ft_block *block = ft_shard_block(shard, b);
    float *values = kept_values(kind, b, block);
    uint16_t *wanted = malloc((size_t)block->num_elements * sizeof *wanted);
    const void *found;
    ft_shard_round_weights(ft_shard_options_of(shard), 0, b, 0, block->num_elements, values,
                           wanted);
    assert_ok(acquire_one(shard, b, &found));
    assert_memory_equal(found, wanted, (size_t)block->num_elements * sizeof *wanted);
    ft_shard_release(shard, b);
    free(values);
    free(wanted);
  }
}

static void check_numbers(ft_checkpoint *checkpoint, ft_master kind) {
  ft_arch arch = small_arch(false);
  for (int64_t b = 0; b < layout_of(&arch)->num_blocks; b++) {
    ft_block block = layout_of(&arch)->blocks[b];
    float *values = kept_values(kind, b, &block);
    int64_t start = block.num_elements / 3, count = block.num_elements / 2;
    float *found = malloc((size_t)count * sizeof *found);
    assert_ok(ft_checkpoint_read_weights(checkpoint, block.name, NULL, start, count, found));
    assert_memory_equal(found, values + start, (size_t)count * sizeof *found);
    free(found);
    free(values);
  }
}

static void check_other_forms(ft_checkpoint *checkpoint, ft_master kind) {
  for (int other = 0; other < FT_MASTER_NUM; other++) {
    if (other == (int)kind) continue;
    ft_shard *shard = new_shard((ft_master)other, 3, 5000, true);
    char words[100];
    snprintf(words, sizeof words, "keeps master weights as %s, this run as %s",
             ft_master_name(kind), ft_master_name((ft_master)other));
    assert_fails(ft_checkpoint_restore(comm, checkpoint, shard, true), FT_ERR_DATA, words);
    assert_fails(ft_checkpoint_restore(comm, checkpoint, shard, false), FT_ERR_DATA, words);
    ft_shard_free(shard);
  }
}

static void every_form_comes_back(void **state) {
  (void)state;
  for (int kind = 0; kind < FT_MASTER_NUM; kind++) {
    ft_checkpoint *checkpoint;
    ft_shard *shard = new_shard((ft_master)kind, 3, 5000, true);
    set_all_weights(shard, 7);
    assert_ok(ft_shard_weights_changed(shard));
    assert_ok(save(comm, shard, run_dir, kind));
    ft_shard_free(shard);
    assert_ok(ft_checkpoint_open(run_dir, kind, &checkpoint));
    for (int stage = 0; stage <= 3; stage++) {
      shard = new_shard((ft_master)kind, stage, 700, true);
      assert_ok(ft_checkpoint_restore(comm, checkpoint, shard, stage % 2));
      check_weights(shard, (ft_master)kind);
      ft_shard_free(shard);
    }
    shard = new_shard(FT_MASTER_F32, 3, 20000, false);
    assert_ok(ft_checkpoint_restore(comm, checkpoint, shard, false));
    check_weights(shard, (ft_master)kind);
    ft_shard_free(shard);
    check_numbers(checkpoint, (ft_master)kind);
    check_other_forms(checkpoint, (ft_master)kind);
    ft_checkpoint_close(checkpoint);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_form_comes_back)};
  setenv("CMOCKA_TEST_ABORT", "1", 1); /* a rank that fails must not leave the others waiting */
  assert_ok(ft_comm_new(&comm));
  ft_comm_setup_threads(comm);
  assert_ok(ft_kernels_init());
  strcpy(run_dir, "/tmp/ft-forms-XXXXXX");
  bool speaker = ft_comm_rank(comm) == 0;
  if (speaker) assert_non_null(mkdtemp(run_dir));
  assert_ok(ft_comm_broadcast(comm, 0, run_dir, sizeof run_dir));
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  assert_ok(ft_comm_barrier(comm));
  if (speaker) assert_ok(ft_remove_tree(run_dir));
  ft_kernels_fini();
  ft_io_stop();
  ft_comm_free(comm);
  return failed;
}
