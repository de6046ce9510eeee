/* Listing, pruning, partial reads, and damage: every changed byte is found and named, what is
 * missing or cut off is refused, a failed write leaves earlier checkpoints whole. Alone:
 * mpirun -np 2 build/tests/checkpoint/test_checkpoint */
#include "fixture.h"

static ft_comm *comm;
static char run_dir[64];

static bool speaker(void) {
  return ft_comm_rank(comm) == 0;
}

/* One directory for all ranks. */
static int make_run(void **state) {
  (void)state;
  strcpy(run_dir, "/tmp/ft-checkpoint-XXXXXX");
  if (speaker() && !mkdtemp(run_dir)) return -1;
  return ft_comm_broadcast(comm, 0, run_dir, sizeof run_dir) == FT_OK ? 0 : -1;
}

static int remove_run(void **state) {
  (void)state;
  if (ft_comm_barrier(comm) != FT_OK) return -1;
  return speaker() ? ft_remove_tree(run_dir) != FT_OK : 0;
}

static const char *in_step(int64_t step, const char *name) {
  static char paths[2][256];
  static int next;
  char *path = paths[next++ % 2], *dir;
  assert_ok(ft_checkpoint_path(run_dir, step, &dir));
  snprintf(path, sizeof paths[0], "%s/%s", dir, name);
  ft_free(dir);
  return path;
}

static const char *rank_file(int rank) {
  static char name[64];
  snprintf(name, sizeof name, "rank-%05d-of-%05d.h5", rank, ft_comm_size(comm));
  return name;
}

static void save_steps(const int64_t *steps, int num_steps) {
  ft_shard *shard = new_training_shard(comm, 3, 5000, 3);
  for (int i = 0; i < num_steps; i++) {
    fill_shard(shard, (uint64_t)steps[i]);
    assert_ok(save(comm, shard, run_dir, steps[i]));
  }
  ft_shard_free(shard);
}

static void assert_steps(const int64_t *wanted, int64_t num_wanted) {
  int64_t *steps, num;
  assert_ok(ft_comm_barrier(comm));
  assert_ok(ft_checkpoint_list(run_dir, &steps, &num));
  assert_int_equal(num, num_wanted);
  if (num > 0) assert_memory_equal(steps, wanted, (size_t)num * sizeof *steps);
  ft_free(steps);
  assert_ok(ft_comm_barrier(comm));
}

/* ---------------------------------------------------------------- listing and pruning */

static void checkpoints_are_listed_and_pruned(void **state) {
  (void)state;
  assert_steps(NULL, 0);
  save_steps((int64_t[]){3, 20, 100, 7}, 4);
  assert_steps((int64_t[]){3, 7, 20, 100}, 4);
  if (speaker()) {
    char *path;
    assert_ok(ft_make_dirs(in_step(5, ""))); /* interrupted before its manifest */
    assert_ok(ft_write_file(in_step(5, "rank-00000-of-00001.h5"), "x", 1));
    assert_ok(ft_make_dirs(in_step(200, ""))); /* may be in the making */
    assert_ok(ft_format(&path, "%s/checkpoints/step-7", run_dir));
    assert_ok(ft_make_dirs(path)); /* not a name of ours */
    ft_free(path);
  }
  assert_ok(ft_comm_barrier(comm));
  assert_ok(ft_checkpoint_prune(comm, run_dir, 2, 3));
  assert_steps((int64_t[]){3, 20, 100}, 3);
  assert_false(ft_path_exists(in_step(5, "")));
  assert_false(ft_path_exists(in_step(7, "")));
  assert_true(ft_path_exists(in_step(200, "")));
  assert_ok(ft_checkpoint_prune(comm, run_dir, 0, -1)); /* the newest always stays */
  assert_steps((int64_t[]){100}, 1);
  assert_ok(ft_checkpoint_prune(comm, run_dir, 5, 77));
  assert_steps((int64_t[]){100}, 1);
}

static void a_step_is_replaced(void **state) {
  (void)state;
  save_steps((int64_t[]){4}, 1);
  assert_ok(ft_comm_barrier(comm));
  if (speaker()) {
    assert_int_equal(unlink(in_step(4, "manifest.json")), 0);
    assert_ok(ft_write_file(in_step(4, "rank-00007-of-00009.h5"), "left over", 9));
  }
  assert_steps(NULL, 0);
  save_steps((int64_t[]){4}, 1);
  assert_steps((int64_t[]){4}, 1);
  assert_false(ft_path_exists(in_step(4, "rank-00007-of-00009.h5")));
}

static void the_writer_works_in_the_background(void **state) {
  (void)state;
  ft_shard *shard = new_training_shard(comm, 3, 0, 3);
  ft_checkpoint_writer *writer;
  fill_shard(shard, 9);
  ft_checkpoint_meta meta = meta_of(9, NULL);
  assert_ok(ft_checkpoint_begin(comm, shard, run_dir, &meta, &writer));
  while (!ft_checkpoint_written(writer))
    ft_sleep_s(0.001);
  assert_ok(ft_comm_barrier(comm));
  assert_true(ft_path_exists(in_step(9, rank_file(ft_comm_rank(comm)))));
  assert_false(ft_path_exists(in_step(9, "manifest.json")));
  assert_ok(ft_comm_barrier(comm));
  assert_ok(ft_checkpoint_finish(writer, NULL));
  assert_true(ft_path_exists(in_step(9, "manifest.json")));
  assert_ok(ft_checkpoint_finish(NULL, NULL));
  ft_shard_free(shard);
}

/* ---------------------------------------------------------------- reading */

static void any_part_can_be_read(void **state) {
  (void)state;
  save_steps((int64_t[]){1}, 1);
  ft_arch arch = small_arch(false);
  ft_checkpoint *c;
  assert_ok(ft_checkpoint_open(run_dir, 1, &c));
  for (int64_t b = 0; b < layout_of(&arch)->num_blocks; b++) {
    ft_block block = layout_of(&arch)->blocks[b];
    float *wanted = block_values(1, b, &block), *found = malloc((size_t)block.num_elements * 4);
    static const int64_t lengths[] = {1, 3, 255, 256, 4095, 4096, 4097, 8192, 10000};
    int64_t start = 0;
    for (size_t i = 0; start < block.num_elements; i++) {
      int64_t count = FT_MIN(lengths[i % 9], block.num_elements - start);
      assert_ok(ft_checkpoint_read(c, block.name, "master", start, count, 1, 4, found));
      assert_memory_equal(found, wanted + start, (size_t)count * 4);
      start += count;
    }
    assert_ok(ft_checkpoint_read(c, block.name, "master", 0, block.num_elements, 1, 4, found));
    assert_memory_equal(found, wanted, (size_t)block.num_elements * 4);
    uint8_t scale[6];
    assert_ok(ft_checkpoint_read(c, block.name, "v.scale", 512, 512, 256, 3, scale));
    for (int k = 0; k < 6; k++)
      assert_int_equal(scale[k], state_byte(1, 3, b, 2 + k / 3, (size_t)k % 3));
    free(wanted);
    free(found);
  }
  float one;
  assert_fails(ft_checkpoint_read(c, "layer.9", "m", 0, 1, 1, 2, &one), FT_ERR_DATA,
               "no block layer.9");
  assert_fails(ft_checkpoint_read(c, "layer.0", "w", 0, 1, 1, 2, &one), FT_ERR_DATA,
               "has no state w (it has: master m v v.scale)");
  assert_fails(ft_checkpoint_read(c, "layer.0", "m", 0, 1, 1, 4, &one), FT_ERR_DATA,
               "state m has 2 bytes for 1 elements, 4 bytes for 1");
  assert_fails(ft_checkpoint_read(c, "layer.0", "m", -1, 1, 1, 2, &one), FT_ERR_INTERNAL, "-1");
  assert_fails(ft_checkpoint_read(c, "layer.0", "m", 1, INT64_MAX, 1, 2, &one), FT_ERR_INTERNAL,
               "elements 1");
  assert_fails(ft_checkpoint_read(c, "layer.0", "v.scale", 1, 256, 256, 3, &one), FT_ERR_INTERNAL,
               "elements 1");
  ft_checkpoint_close(c);
}

static void another_model_or_optimizer_is_refused(void **state) {
  (void)state;
  save_steps((int64_t[]){1}, 1);
  ft_arch arch = small_arch(false);
  ft_checkpoint *c;
  ft_shard *shard;
  const ft_shard_options options = {.stage = 3, .training = true, .compute = FT_F32};
  assert_ok(ft_checkpoint_open(run_dir, 1, &c));
  arch.ffn = 200;
  assert_ok(ft_shard_new(comm, layout_of(&arch), &options, &shard));
  assert_fails(ft_checkpoint_restore(comm, c, shard, false), FT_ERR_DATA, "has block layer.0 of");
  ft_shard_free(shard);
  arch = small_arch(false);
  arch.layers = 3;
  assert_ok(ft_shard_new(comm, layout_of(&arch), &options, &shard));
  assert_fails(ft_checkpoint_restore(comm, c, shard, false), FT_ERR_DATA, "has 6 blocks");
  ft_shard_free(shard);
  shard = new_training_shard(comm, 3, 0, 2);
  assert_fails(ft_checkpoint_restore(comm, c, shard, true), FT_ERR_DATA,
               "has a state v.scale, which this run does not");
  assert_ok(ft_checkpoint_restore(comm, c, shard, false));
  ft_shard_free(shard);
  ft_checkpoint_close(c);
}

/* ---------------------------------------------------------------- damage */

static int64_t size_of(const char *path) {
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return info.st_size;
}

static void every_changed_byte_is_found(void **state) {
  (void)state;
  save_steps((int64_t[]){1}, 1);
  assert_ok(ft_comm_barrier(comm));
  for (int rank = 0; speaker() && rank < ft_comm_size(comm); rank++) {
    const char *name = rank_file(rank), *path = in_step(1, name);
    int64_t bytes = size_of(path);
    for (int64_t i = 0, at = 0; at < bytes; i++, at += i < 200 ? 13 : bytes / 150 + i % 7) {
      ft_checkpoint *c;
      flip_bit(path, at, (int)(i % 8));
      assert_ok(ft_checkpoint_open(run_dir, 1, &c));
      assert_fails(ft_checkpoint_verify(c), FT_ERR_DATA, name);
      flip_bit(path, at, (int)(i % 8));
      if (i % 50 == 0) assert_ok(ft_checkpoint_verify(c));
      ft_checkpoint_close(c);
    }
  }
  const char *manifest = in_step(1, "manifest.json");
  for (int64_t at = 0; speaker() && at < size_of(manifest); at++) {
    ft_checkpoint *c;
    flip_bit(manifest, at, (int)(at % 8));
    assert_fails(ft_checkpoint_open(run_dir, 1, &c), FT_ERR_DATA, "manifest.json: ");
    flip_bit(manifest, at, (int)(at % 8));
  }
}

/* The first and the last byte of a state of a rank's part of a block: named to the element, on all
 * ranks, when restored. */
static void damage_is_named_on_all_ranks(void **state) {
  (void)state;
  save_steps((int64_t[]){1}, 1);
  int last = ft_comm_size(comm) - 1;
  const char *path = in_step(1, rank_file(last));
  ft_checkpoint *c;
  ft_slice_dataset *list;
  int64_t count;
  assert_ok(ft_slices_open(path, &list, &count));
  for (int64_t i = 0; i < count; i++) {
    if (strcmp(list[i].name, "/layer.2/m") != 0) continue;
    if (speaker()) flip_bit(path, list[i].file_offset + (int64_t)list[i].bytes - 1, 3);
  }
  ft_slices_free(list, count);
  ft_shard *shard = new_training_shard(comm, 3, 20000, 3);
  assert_ok(ft_comm_barrier(comm));
  assert_ok(ft_checkpoint_open(run_dir, 1, &c));
  assert_fails(ft_checkpoint_restore(comm, c, shard, true), FT_ERR_DATA, rank_file(last));
  assert_non_null(strstr(ft_error_message(), "dataset /layer.2/m: the checksum of elements "));
  ft_checkpoint_close(c);
  ft_shard_free(shard);
}

static void missing_and_cut_files_are_refused(void **state) {
  (void)state;
  ft_checkpoint *c;
  save_steps((int64_t[]){1}, 1);
  assert_fails(ft_checkpoint_open(run_dir, 2, &c), FT_ERR_NOINPUT, "no such checkpoint");
  assert_ok(ft_comm_barrier(comm));
  if (!speaker()) return;
  int last = ft_comm_size(comm) - 1;
  const char *path = in_step(1, rank_file(last)), *moved = in_step(1, "moved");
  int64_t bytes = size_of(path);
  assert_int_equal(rename(path, moved), 0);
  assert_fails(ft_checkpoint_open(run_dir, 1, &c), FT_ERR_DATA, "is missing from the checkpoint");
  assert_non_null(strstr(ft_error_message(), rank_file(last)));
  assert_int_equal(rename(moved, path), 0);
  assert_int_equal(rename(path, moved), 0); /* a link leads elsewhere, even if it does not now */
  assert_int_equal(symlink(moved, path), 0);
  assert_fails(ft_checkpoint_open(run_dir, 1, &c), FT_ERR_DATA, "is a link");
  assert_int_equal(rename(moved, path), 0);
  assert_int_equal(truncate(path, bytes - 1), 0);
  assert_fails(ft_checkpoint_open(run_dir, 1, &c), FT_ERR_DATA, "the file is cut off");
  assert_non_null(strstr(ft_error_message(), rank_file(last)));
  assert_int_equal(truncate(path, bytes + 1), 0);
  assert_fails(ft_checkpoint_open(run_dir, 1, &c), FT_ERR_DATA, "the file is damaged");
  assert_int_equal(truncate(path, bytes), 0);
  const char *manifest = in_step(1, "manifest.json");
  bytes = size_of(manifest);
  for (int64_t cut = 0; cut < bytes; cut += 1 + cut / 8) {
    char *text;
    size_t length;
    assert_ok(ft_read_file(manifest, SIZE_MAX, &text, &length));
    assert_int_equal(truncate(manifest, cut), 0);
    assert_fails(ft_checkpoint_open(run_dir, 1, &c), FT_ERR_DATA, "manifest.json: ");
    assert_ok(ft_write_file(manifest, text, length));
    ft_free(text);
  }
  assert_int_equal(unlink(manifest), 0);
  assert_fails(ft_checkpoint_open(run_dir, 1, &c), FT_ERR_NOINPUT, "was never finished");
}

/* A manifest with a right checksum and wrong contents, as a fuzzer or an enemy writes it. */
static void write_manifest(const char *text) {
  char tail[64];
  FILE *f = fopen(in_step(1, "manifest.json"), "wb");
  assert_non_null(f);
  fputs(text, f);
  snprintf(tail, sizeof tail, ",\n\"xxh3\": \"%016llx\"}\n",
           (unsigned long long)ft_hash64(text, strlen(text), 0));
  fputs(tail, f);
  fclose(f);
}

#define HEAD                                                                                       \
  "{\"format\":\"ftrun-checkpoint\",\"version\":1,\"step\":1,\"tokens\":2,\"world_size\":1,"       \
  "\"chunk_elements\":4096,\"states\":["
#define STATE "{\"name\":\"master\",\"entry_elements\":1,\"entry_bytes\":4}"
#define BLOCKS "],\"blocks\":[{\"name\":\"a\",\"elements\":8},{\"name\":\"b\",\"elements\":4}],"
#define FILES(slices)                                                                              \
  "\"files\":[{\"name\":\"rank-00000-of-00001.h5\",\"bytes\":100,\"metadata_xxh3\":"               \
  "\"0123456789abcdef\",\"slices\":"                                                               \
  "[" slices "]}]"
#define HASH "0123456789abcdef"
#define GOOD_A "\"a 0+8 0/32/" HASH "\""
#define GOOD_B "\"b 0+4 40/56/" HASH "\""

static void hostile_manifests_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"", "is cut off"},
      {"[1", "manifest.json: line"},
      {"{\"a\":1", "is not the manifest"},
      {"{\"format\":\"ftrun-checkpoint\",\"version\":2", "has version 2"},
      {"{\"format\":\"ftrun-checkpoint\",\"version\":1", "lacks step"},
      {HEAD BLOCKS FILES(GOOD_A "," GOOD_B), "no list of states"},
      {HEAD "{\"name\":\"m\",\"entry_elements\":3,\"entry_bytes\":4}" BLOCKS FILES(""),
       "entries are impossible"},
      {HEAD "{\"name\":\"m\",\"entry_elements\":1,\"entry_bytes\":0}" BLOCKS FILES(""),
       "entries are impossible"},
      {HEAD STATE "],\"blocks\":[{\"name\":\"a\"}]," FILES(""), "a block without"},
      {HEAD STATE "],\"blocks\":3," FILES(""), "no list of blocks"},
      {HEAD STATE BLOCKS "\"files\":[]", "one file for each rank"},
      {HEAD STATE BLOCKS "\"files\":[{\"name\":\"../r\",\"bytes\":1,\"metadata_xxh3\":\"" HASH
                         "\",\"slices\":[]}]",
       "names file 0 \"../r\", \"rank-00000-of-00001.h5\" was expected"},
      {HEAD STATE BLOCKS "\"files\":[{\"name\":\"rank-00000-of-00001.h5\",\"bytes\":-1}]",
       "an entry of its files"},
      {HEAD STATE BLOCKS FILES(GOOD_A), "element 0 of block b exactly once"},
      {HEAD STATE BLOCKS FILES(GOOD_B "," GOOD_A), "not in order"},
      {HEAD STATE BLOCKS FILES(GOOD_A "," GOOD_A), "not in order"},
      {HEAD STATE BLOCKS FILES("\"c 0+8 0/32/" HASH "\""), "not in its list"},
      {HEAD STATE BLOCKS FILES("\"a 0+7 0/32/" HASH "\"," GOOD_B), "element 7 of block a"},
      {HEAD STATE BLOCKS FILES("\"a 0+4,5+3 0/32/" HASH "\"," GOOD_B), "element 4 of block a"},
      {HEAD STATE BLOCKS FILES("\"a 0+4,3+4 0/32/" HASH "\"," GOOD_B), "element 4 of block a"},
      {HEAD STATE BLOCKS FILES("\"a 0+8,0+8 0/32/" HASH "\"," GOOD_B), "ranges that overlap"},
      {HEAD STATE BLOCKS FILES("\"a 0+9 0/32/" HASH "\"," GOOD_B), "a range that is impossible"},
      {HEAD STATE BLOCKS FILES("\"a 9+1 0/32/" HASH "\"," GOOD_B), "a range that is impossible"},
      {HEAD STATE BLOCKS FILES("\"a 0+0 0/32/" HASH "\"," GOOD_B), "a range that is impossible"},
      {HEAD STATE BLOCKS FILES("\"a 0-8 0/32/" HASH "\"," GOOD_B), "a range that is impossible"},
      {HEAD STATE BLOCKS FILES("\"a 0+8\"," GOOD_B), "does not lie inside"},
      {HEAD STATE BLOCKS FILES("\"a 0+8 70/32/" HASH "\"," GOOD_B), "does not lie inside"},
      {HEAD STATE BLOCKS FILES("\"a 0+8 0/93/" HASH "\"," GOOD_B), "does not lie inside"},
      {HEAD STATE BLOCKS FILES("\"a 0+8 0/32/0123\"," GOOD_B), "does not lie inside"},
      {HEAD STATE BLOCKS FILES("\"a 0+8 0/32/" HASH " 0/32/" HASH "\"," GOOD_B), "more slices"},
      {HEAD STATE BLOCKS FILES(GOOD_A "," GOOD_B),
       "rank-00000-of-00001.h5: is missing from the checkpoint"},
  };
  if (!speaker()) return;
  assert_ok(ft_make_dirs(in_step(1, "")));
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_checkpoint *c = NULL;
    write_manifest(cases[i].text);
    assert_fails(ft_checkpoint_open(run_dir, 1, &c), FT_ERR_DATA, cases[i].message);
    assert_null(c);
  }
}

/* Files that cannot grow stand for a full disk, on one rank only. */
static void a_failed_write_leaves_earlier_checkpoints(void **state) {
  (void)state;
  struct rlimit old, small = {.rlim_cur = 40000};
  save_steps((int64_t[]){1}, 1);
  ft_shard *shard = new_training_shard(comm, 3, 5000, 3);
  fill_shard(shard, 2);
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &old);
  small.rlim_max = old.rlim_max;
  bool fails = ft_comm_rank(comm) == ft_comm_size(comm) - 1;
  if (fails) setrlimit(RLIMIT_FSIZE, &small);
  ft_err err = save(comm, shard, run_dir, 2);
  if (fails) setrlimit(RLIMIT_FSIZE, &old);
  assert_fails(err, FT_ERR_IO, "File too large");
  assert_non_null(strstr(ft_error_message(), rank_file(ft_comm_size(comm) - 1)));
  assert_steps((int64_t[]){1}, 1);
  assert_false(ft_path_exists(in_step(2, "")));
  ft_checkpoint *c;
  assert_ok(ft_checkpoint_open(run_dir, 1, &c));
  assert_ok(ft_checkpoint_verify(c));
  ft_checkpoint_close(c);
  assert_ok(save(comm, shard, run_dir, 2)); /* with room again */
  assert_steps((int64_t[]){1, 2}, 2);
  ft_shard_free(shard);
}

/* Where no directory can be made, all ranks hear why. */
static void an_impossible_directory_is_refused(void **state) {
  (void)state;
  ft_shard *shard = new_training_shard(comm, 3, 5000, 0);
  assert_fails(save(comm, shard, "/dev/null/run", 1), FT_ERR_CREATE,
               "/dev/null: cannot make the directory: Not a directory");
  ft_shard_free(shard);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_run, remove_run)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(checkpoints_are_listed_and_pruned),     TEST(a_step_is_replaced),
      TEST(the_writer_works_in_the_background),    TEST(any_part_can_be_read),
      TEST(another_model_or_optimizer_is_refused), TEST(every_changed_byte_is_found),
      TEST(damage_is_named_on_all_ranks),          TEST(missing_and_cut_files_are_refused),
      TEST(hostile_manifests_are_refused),         TEST(a_failed_write_leaves_earlier_checkpoints),
      TEST(an_impossible_directory_is_refused)};
  assert_ok(ft_comm_new(&comm));
  ft_comm_setup_threads(comm);
  assert_ok(ft_kernels_init());
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  if (failed) ft_comm_abort(comm, FT_ERR_INTERNAL, "test_checkpoint");
  ft_kernels_fini();
  ft_io_stop();
  ft_comm_free(comm);
  return failed;
}
