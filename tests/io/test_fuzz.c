/* Damaged and hostile files: seeded mutations of good ones (bytes, bits, 64-bit numbers, cuts).
 * Every reader must end soon with success or FT_ERR_DATA; with sanitizers it also shows what it
 * touches. Alone and longer: build/tests/io/test_fuzz MUTATIONS SEED */
#include <hdf5.h>

#include "io_test.h"

static int64_t num_mutations = 1000;
static uint64_t seed = 1;

static uint64_t random_number(void) {
  static uint64_t index;
  return ft_random_u64(seed, FT_RANDOM_BENCH, 0, index++);
}

/* A number that tempts: small, huge, near the file's size, a power of two. */
static uint64_t bad_number(size_t bytes) {
  switch (random_number() % 4) {
  case 0:
    return UINT64_MAX - random_number() % 16;
  case 1:
    return random_number() % (2 * bytes);
  case 2:
    return (uint64_t)1 << (random_number() % 64);
  default:
    return random_number();
  }
}

/* Changes a copy of the file in up to four places, and writes it. Metadata lie at the start of all
 * formats here, so most changes do too. */
static void mutate(const char *path, const char *data, size_t bytes) {
  char *copy = malloc(bytes);
  memcpy(copy, data, bytes);
  size_t length = bytes, range = random_number() % 4 ? FT_MIN(bytes, 6144) : bytes;
  for (uint64_t k = random_number() % 4 + 1; k > 0; k--) {
    size_t at = random_number() % range;
    uint64_t number = bad_number(bytes);
    switch (random_number() % 5) {
    case 0:
      copy[at] = (char)random_number();
      break;
    case 1:
      copy[at] = (char)(copy[at] ^ (1 << (random_number() % 8)));
      break;
    case 2:
      memcpy(copy + at, &number, FT_MIN(8, bytes - at));
      break;
    case 3:
      memcpy(copy + at, copy + random_number() % bytes, 1);
      break;
    default:
      if (random_number() % 16 == 0) length = at;
    }
  }
  unlink(path); /* truncating it instead would make some filesystems wait for the disk */
  write_bytes(path, copy, length);
  free(copy);
}

/* ---------------------------------------------------------------- readers */

static ft_err read_tokens(const char *path) {
  ft_err err = FT_OK;
  ft_tokens_file *f;
  int64_t *offsets = NULL;
  uint32_t tokens[8];
  uint8_t mask[8];
  FT_TRY(ft_tokens_open(path, &f));
  err = ft_tokens_offsets(f, &offsets);
  if (err == FT_OK) err = ft_tokens_read(f, 0, FT_MIN(8, f->num_tokens), tokens, mask);
  ft_free(offsets);
  ft_tokens_close(f);
out:
  return err;
}

static ft_err read_slices(const char *path) {
  ft_slice_dataset *list;
  int64_t count;
  uint64_t hash;
  ft_err err = ft_slices_open(path, &list, &count);
  if (err != FT_OK) return err;
  err = ft_slices_metadata_hash(path, list, count, &hash);
  ft_slices_free(list, count);
  return err;
}

static ft_err read_tensors(const char *path) {
  ft_safetensors *st;
  ft_err err = ft_safetensors_open(path, &st);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < ft_safetensors_count(st) && err == FT_OK; i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    float last;
    if (t->elements > 0) err = ft_safetensors_read(st, t, t->elements - 1, 1, &last);
  }
  ft_safetensors_close(st);
  return err;
}

/* What is read is printed and read again as the same. */
static ft_err read_json(const char *path) {
  cJSON *json, *again;
  char *text;
  ft_err err = ft_json_read(path, &json);
  if (err != FT_OK) return err;
  assert_ok(ft_json_print(json, true, &text));
  assert_ok(ft_json_parse(text, strlen(text), "printed", &again));
  assert_true(cJSON_Compare(json, again, true));
  ft_free(text);
  cJSON_Delete(json);
  cJSON_Delete(again);
  return FT_OK;
}

static void check_reader(const char *good, ft_err (*read)(const char *)) {
  char *data, copy[300];
  size_t bytes;
  int64_t num_refused = 0;
  snprintf(copy, sizeof copy, "%s", in_scratch("mutation"));
  assert_ok(ft_read_file(good, SIZE_MAX, &data, &bytes));
  assert_ok(read(good));
  for (int64_t i = 0; i < num_mutations; i++) {
    mutate(copy, data, bytes);
    double start = ft_now_s();
    ft_err err = read(copy);
    if (err != FT_OK && err != FT_ERR_DATA)
      fail_msg("mutation %lld: error %d: %s", (long long)i, (int)err, ft_error_message());
    num_refused += err != FT_OK;
    assert_true(ft_now_s() - start < 10);
  }
  assert_true(num_refused > 0);
  ft_free(data);
}

/* ---------------------------------------------------------------- good files */

static void token_shards(void **state) {
  (void)state;
  ft_tokens_writer *w;
  assert_ok(ft_tokens_writer_new(in_scratch("a.h5"), FT_TOKENS_SFT, 1000, "", &w));
  for (int i = 0; i < 20; i++)
    assert_ok(ft_tokens_write(w, (uint32_t[]){7, 8, 9}, (uint8_t[]){0, 1, 1}, 3));
  assert_ok(ft_tokens_writer_close(w, true));
  check_reader(in_scratch("a.h5"), read_tokens);
}

static void put_text(hid_t file, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, H5T_VARIABLE);
  hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Awrite(attribute, type, &text) >= 0);
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

static void put_values(hid_t file, const char *name, hid_t type, const void *values,
                       hsize_t count) {
  hid_t space = H5Screate_simple(1, &count, NULL);
  hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  H5Dclose(set);
  H5Sclose(space);
}

/* By HDF5's library, in its older structures, which carry no checksums: mutations get deeper. */
static void older_token_shards(void **state) {
  (void)state;
  uint32_t numbers[2] = {1, 1000}, zeros[50] = {0};
  hid_t file = H5Fcreate(in_scratch("old.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  put_text(file, "format", "ftrun-tokens");
  put_text(file, "kind", "text");
  for (int i = 0; i < 2; i++) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file, i ? "vocab_size" : "version", H5T_STD_U32LE, space,
                                 H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, H5T_STD_U32LE, &numbers[i]) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
  }
  put_values(file, "tokens", H5T_STD_U32LE, zeros, 50);
  put_values(file, "loss_mask", H5T_STD_U8LE, zeros, 50);
  put_values(file, "offsets", H5T_STD_U64LE, (uint64_t[]){0, 50}, 2);
  H5Fclose(file);
  check_reader(in_scratch("old.h5"), read_tokens);
}

static void slice_files(void **state) {
  (void)state;
  static const char *const names[] = {"/a/m", "/a/v", "/b/m", "/b/v"};
  static float values[300];
  int64_t starts[2] = {0, 500}, counts[2] = {200, 100};
  ft_slice_dataset datasets[4];
  for (int i = 0; i < 4; i++)
    datasets[i] = (ft_slice_dataset){.name = (char *)(uintptr_t)names[i],
                                     .data = values,
                                     .bytes = sizeof values,
                                     .element_bytes = 4,
                                     .group_elements = 1,
                                     .chunk_elements = 64,
                                     .starts = starts,
                                     .counts = counts,
                                     .num_ranges = 2};
  ft_slice_file file;
  assert_ok(ft_slices_write(in_scratch("s.h5"), datasets, 4, &file));
  check_reader(in_scratch("s.h5"), read_slices);
}

static void safetensors_files(void **state) {
  (void)state;
  ft_safetensor tensors[] = {
      {.name = "model.embed_tokens.weight", .dtype = FT_BF16, .num_dims = 2, .dims = {7, 5}},
      {.name = "model.norm.weight", .dtype = FT_F32, .num_dims = 1, .dims = {5}},
      {.name = "lm_head.weight", .dtype = FT_F16, .num_dims = 2, .dims = {7, 5}}};
  char zeros[160] = {0};
  ft_safetensors_writer *w;
  assert_ok(ft_safetensors_writer_new(in_scratch("m"), tensors, 3, &w));
  assert_ok(ft_safetensors_write(w, zeros, 160));
  assert_ok(ft_safetensors_writer_close(w, true));
  check_reader(in_scratch("m"), read_tensors);
}

static void json_files(void **state) {
  (void)state;
  const char *text = "{\"a\": [1, -2.5e-3, true, null, {\"b\": \"\\u00e4\\ud83d\\ude00 ä\"}], "
                     "\"c\": {\"d\": 0.1, \"e\": [[], {}]}, \"f\": 12345678901234567890}\n";
  write_bytes(in_scratch("j.json"), text, strlen(text));
  check_reader(in_scratch("j.json"), read_json);
}

int main(int argc, char **argv) {
  if (argc > 1) num_mutations = atoll(argv[1]);
  if (argc > 2) seed = (uint64_t)atoll(argv[2]);
  const struct CMUnitTest tests[] = {TEST(token_shards), TEST(older_token_shards),
                                     TEST(slice_files), TEST(safetensors_files), TEST(json_files)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
