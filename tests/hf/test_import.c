/* Proves that weights read by any number of ranks are the weights in the files, for every stage,
 * number format, file layout and kind of model, and that a directory that one rank cannot use fails
 * on all of them with the same words. Alone: mpirun -np 3 build/tests/hf/test_hf_import */
#include "hf_fixtures.h"
#include "ranks_test.h"

#include <math.h>

#include "ft/kernels.h"

static ft_comm *comm;
static const char *families; /* the folder of their configs */

/* The test's folder is rank 0's; all ranks use it. */
static int share_root(void **state) {
  int failed = ft_comm_rank(comm) == 0 ? make_root(state) : 0;
  return ft_comm_broadcast(comm, 0, root, sizeof root) == FT_OK ? failed : -1;
}

static int unshare_root(void **state) {
  if (ft_comm_barrier(comm) != FT_OK) return -1;
  return ft_comm_rank(comm) == 0 ? remove_root(state) : 0;
}

/* One of the tiny ones, or the wide one after them. */
static ft_hf_config config_of_tiny(int number) {
  ft_hf_config config;
  char name[64];
  snprintf(name, sizeof name, "config-%d.json", ft_comm_rank(comm));
  write_text(name, number < NUM_TINY ? tiny_configs[number] : wide_config);
  assert_ok(ft_hf_config_read_file(in_root(name), &config));
  return config;
}

/* Rank 0 writes a model directory; the others wait. */
static void write_shared(const ft_hf_config *config, const ft_hf_source *source, ft_dtype dtype,
                         int64_t max_shard_bytes) {
  if (ft_comm_rank(comm) == 0) {
    assert_ok(ft_remove_tree(in_root("model")));
    assert_ok(ft_hf_export(NULL, config, source, dtype, max_shard_bytes, in_root("model")));
  }
  assert_ok(ft_comm_barrier(comm));
}

static ft_shard *new_shard(const ft_arch *arch, int stage, bool training, ft_dtype compute,
                           int64_t piece_elements) {
  ft_shard *shard;
  const ft_shard_options options = {
      .stage = stage, .training = training, .compute = compute, .piece_elements = piece_elements};
  assert_ok(ft_shard_new(comm, layout_of(arch), &options, &shard));
  return shard;
}

/* Compares gathered weights with the source's, rounded as the file and the compute type do. */
static void check_block(ft_shard *shard, const ft_hf_source *source, int64_t number, ft_dtype dtype,
                        ft_dtype compute) {
  const ft_block *block = ft_shard_block(shard, number);
  size_t n = (size_t)block->num_elements;
  float *values = calloc(n, sizeof *values), *stored = calloc(n, sizeof *stored);
  void *expected = calloc(n, sizeof(float));
  const void *weights;
  assert_ok(source->read(source->arg, number, 0, block->num_elements, values));
  ft_convert(dtype, stored, FT_F32, values, block->num_elements);
  ft_convert(FT_F32, values, dtype, stored, block->num_elements);
  ft_convert(compute, expected, FT_F32, values, block->num_elements);
  assert_ok(acquire_one(shard, number, &weights));
  assert_memory_equal(weights, expected, n * ft_dtype_bytes(compute));
  ft_shard_release(shard, number);
  free(values);
  free(stored);
  free(expected);
}

/* A shard of stage mode / 2, trained if mode is odd. */
static void check_import(const ft_hf_config *config, const ft_hf_source *source, ft_dtype dtype,
                         int mode, ft_dtype compute) {
  ft_shard *shard =
      new_shard(&config->arch, mode / 2, mode & 1, compute, config->arch.vocab < 1000 ? 1000 : 0);
  assert_ok(ft_hf_import(in_root("model"), config, shard, comm));
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++)
    check_block(shard, source, b, dtype, compute);
  ft_shard_free(shard);
}

/* Every model with every number format; stages and compute types take turns. */
static void imported_weights_are_those_in_the_files(void **state) {
  (void)state;
  static const ft_dtype dtypes[] = {FT_F32, FT_BF16, FT_F16};
  int turn = 0;
  for (int c = 0; c <= NUM_TINY; c++) {
    ft_hf_config config = config_of_tiny(c);
    ft_hf_source source;
    assert_ok(ft_hf_random_source(&config, 5, &source));
    for (size_t d = 0; d < FT_ARRAY_SIZE(dtypes); d++, turn++) {
      write_shared(&config, &source, dtypes[d], d == 1 ? 6000 : 0);
      check_import(&config, &source, dtypes[d], turn % 8, turn % 5 ? FT_F32 : FT_BF16);
      check_import(&config, &source, dtypes[d], (turn + 3) % 8, turn % 2 ? FT_F32 : FT_BF16);
      assert_ok(ft_comm_barrier(comm)); /* before rank 0 writes the next */
    }
    ft_hf_random_source_free(&source);
    ft_hf_config_fini(&config);
  }
}

/* Fused and transposed tensors, and all others that families have. */
static void every_family_comes_back(void **state) {
  (void)state;
  char **names;
  int64_t count;
  int turn = 0;
  assert_ok(ft_list_dir(families, &names, &count));
  for (int64_t i = 0; i < count; i++) {
    ft_hf_config config;
    ft_hf_source source;
    char path[300];
    if (!strstr(names[i], ".json")) continue;
    snprintf(path, sizeof path, "%s/%s", families, names[i]);
    assert_ok(ft_hf_config_read_file(path, &config));
    assert_ok(ft_hf_random_source(&config, 5, &source));
    write_shared(&config, &source, turn % 2 ? FT_F32 : FT_BF16, turn % 3 ? 0 : 6000);
    check_import(&config, &source, turn % 2 ? FT_F32 : FT_BF16, turn % 8, FT_F32);
    assert_ok(ft_comm_barrier(comm));
    ft_hf_random_source_free(&source);
    ft_hf_config_fini(&config);
    turn++;
  }
  ft_free_names(names, count);
}

/* The one damaged value lies in one rank's slice; all ranks name it. */
static void damaged_weights_are_named_everywhere(void **state) {
  (void)state;
  ft_hf_config config = config_of_tiny(0);
  ft_hf_source source;
  assert_ok(ft_hf_random_source(&config, 5, &source));
  write_shared(&config, &source, FT_F32, 0);
  if (ft_comm_rank(comm) == 0) {
    ft_safetensors *st;
    assert_ok(ft_safetensors_open(in_root("model"), &st));
    int64_t at = ft_safetensors_find(st, "model.layers.1.mlp.down_proj.weight")->begin + 4 * 700;
    ft_safetensors_close(st);
    FILE *f = fopen(in_root("model/model.safetensors"), "r+b");
    const float bad = NAN;
    assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
    assert_int_equal(fwrite(&bad, sizeof bad, 1, f), 1);
    assert_int_equal(fclose(f), 0);
  }
  assert_ok(ft_comm_barrier(comm));
  ft_shard *shard = new_shard(&config.arch, 3, true, FT_F32, 1000);
  assert_fails(ft_hf_import(in_root("model"), &config, shard, comm), FT_ERR_DATA,
               "element 700 of model.layers.1.mlp.down_proj.weight is");
  ft_shard_free(shard);
  ft_hf_random_source_free(&source);
  ft_hf_config_fini(&config);
}

/* Flips a bit of a file of the model, at rank 0; the others wait. */
static void flip(const char *name, int64_t at, int bit) {
  if (ft_comm_rank(comm) == 0) flip_bit(in_root(name), at, bit);
  assert_ok(ft_comm_barrier(comm));
}

/* With one bit of a tensor's element flipped, which leaves it a number, all ranks name the tensor.
 */
static void check_flip(ft_shard *shard, const ft_hf_config *config, const char *file,
                       const ft_safetensor *t, int64_t element, int bit) {
  int64_t at = t->begin + element * (int64_t)ft_dtype_bytes(t->dtype);
  char message[128];
  snprintf(message, sizeof message, "the checksum of tensor %s (bytes %lld to", t->name,
           (long long)t->begin);
  flip(file, at, bit);
  assert_fails(ft_hf_import(in_root("model"), config, shard, comm), FT_ERR_DATA, message);
  flip(file, at, bit);
}

/* Every tensor's first and last element, one after the other. */
static void check_all_flips(ft_hf_config config) {
  ft_hf_source source;
  ft_safetensors *st;
  assert_ok(ft_hf_random_source(&config, 5, &source));
  for (int stage = 0; stage <= 3; stage += 3) {
    write_shared(&config, &source, stage ? FT_BF16 : FT_F32, 0);
    ft_shard *shard = new_shard(&config.arch, stage, true, FT_F32, 1000);
    assert_ok(ft_safetensors_open(in_root("model"), &st));
    for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
      const ft_safetensor *t = ft_safetensors_at(st, i);
      check_flip(shard, &config, "model/model.safetensors", t, 0, 0);
      check_flip(shard, &config, "model/model.safetensors", t, t->elements - 1, (int)(i % 7));
    }
    ft_safetensors_close(st);
    assert_ok(ft_hf_import(in_root("model"), &config, shard, comm));
    ft_shard_free(shard);
    assert_ok(ft_comm_barrier(comm));
  }
  ft_hf_random_source_free(&source);
  ft_hf_config_fini(&config);
}

/* A model smaller than a chunk of its file: every chunk is shared by ranks, and by tensors. */
static void a_flipped_bit_is_named_everywhere(void **state) {
  (void)state;
  check_all_flips(config_of_tiny(0));
}

/* Ranks' parts of a transposed tensor meet anywhere. */
static void a_flipped_bit_of_a_transposed_tensor_is_named(void **state) {
  (void)state;
  ft_hf_config config;
  char path[300];
  snprintf(path, sizeof path, "%s/gpt2.json", families);
  assert_ok(ft_hf_config_read_file(path, &config));
  check_all_flips(config);
}

static void another_model_is_refused_everywhere(void **state) {
  (void)state;
  ft_hf_config config = config_of_tiny(0), other = config_of_tiny(1);
  ft_hf_source source;
  assert_ok(ft_hf_random_source(&config, 5, &source));
  write_shared(&config, &source, FT_BF16, 0);
  ft_shard *shard = new_shard(&other.arch, 3, true, FT_F32, 1000);
  assert_fails(ft_hf_import(in_root("model"), &other, shard, comm), FT_ERR_DATA,
               "model.embed_tokens.weight has shape [67, 24]; expected [65, 16]");
  assert_fails(ft_hf_import(in_root("nothing"), &other, shard, comm), FT_ERR_NOINPUT, "nothing");
  ft_shard_free(shard);
  ft_hf_random_source_free(&source);
  ft_hf_config_fini(&config);
  ft_hf_config_fini(&other);
}

int main(int argc, char **argv) {
  families = argc > 1 ? argv[1] : "tests/hf/families";
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(imported_weights_are_those_in_the_files),
      cmocka_unit_test(every_family_comes_back),
      cmocka_unit_test(damaged_weights_are_named_everywhere),
      cmocka_unit_test(a_flipped_bit_is_named_everywhere),
      cmocka_unit_test(a_flipped_bit_of_a_transposed_tensor_is_named),
      cmocka_unit_test(another_model_is_refused_everywhere),
  };
  return run_on_ranks(&comm, tests, FT_ARRAY_SIZE(tests), share_root, unshare_root);
}
