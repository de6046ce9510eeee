/* Token shards: files by h5py, round trips, and a table of broken files with the message each gets.
 * Alone: build/tests/io/test_tokens (FT_SHARED=directory with golden/ and models/ for the first) */
#include <fcntl.h>

#include "hdf5_test.h"

/* ---------------------------------------------------------------- shards made by h5py */

static void check_golden(const char *path) {
  ft_tokens_file *f;
  int64_t *offsets;
  assert_ok(ft_tokens_open(path, &f));
  assert_ok(ft_tokens_offsets(f, &offsets));
  uint32_t *tokens = malloc((size_t)f->num_tokens * 4), *want_tokens;
  uint8_t *mask = malloc((size_t)f->num_tokens), *want_mask;
  assert_ok(ft_tokens_read(f, 0, f->num_tokens, tokens, mask));
  want_tokens = read_by_hdf5(path, "tokens", H5T_NATIVE_UINT32);
  want_mask = read_by_hdf5(path, "loss_mask", H5T_NATIVE_UINT8);
  int64_t *want_offsets = read_by_hdf5(path, "offsets", H5T_NATIVE_INT64);
  assert_true(f->num_documents > 0 && f->num_tokens > 0);
  assert_memory_equal(tokens, want_tokens, (size_t)f->num_tokens * 4);
  assert_memory_equal(mask, want_mask, (size_t)f->num_tokens);
  assert_memory_equal(offsets, want_offsets, (size_t)(f->num_documents + 1) * 8);
  assert_int_equal(strlen(f->tokenizer_sha256), 64);
  free(tokens);
  free(mask);
  free(want_tokens);
  free(want_mask);
  free(want_offsets);
  ft_free(offsets);
  ft_tokens_close(f);
}

static void shards_by_h5py_are_read(void **state) {
  (void)state;
  static const char *const names[] = {
      "golden/llama-gqa/train.h5",   "golden/llama-gqa/val.h5",   "golden/llama3-rope/train.h5",
      "golden/mistral-swa/train.h5", "golden/qwen2-bias/val.h5",  "golden/qwen3-norm/train.h5",
      "models/reference/text.h5",    "models/reference/train.h5", "models/reference/val.h5"};
  const char *shared = getenv("FT_SHARED");
  if (!shared || !ft_path_is_dir(shared)) {
    print_message("no directory FT_SHARED with golden shards\n");
    skip();
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    char *path;
    assert_ok(ft_path_join(shared, names[i], &path));
    check_golden(path);
    ft_free(path);
  }
}

/* ---------------------------------------------------------------- round trips */

enum { DOCUMENTS = 5 };
static const int64_t lengths[DOCUMENTS] = {3, 1, 0, 65, 400000}; /* longer than a buffer */

static void write_shard(const char *path) {
  char sha[65];
  ft_tokens_writer *w;
  ft_sha256_hex("", 0, sha);
  assert_ok(ft_tokens_writer_new(path, FT_TOKENS_SFT, 1000, sha, &w));
  uint32_t *tokens = malloc(400000 * 4), next = 0;
  uint8_t *mask = malloc(400000);
  for (int d = 0; d < DOCUMENTS; d++) {
    for (int64_t i = 0; i < lengths[d]; i++, next++) {
      tokens[i] = next % 1000;
      mask[i] = next % 3 == 1;
    }
    assert_ok(ft_tokens_write(w, tokens, mask, lengths[d]));
  }
  free(tokens);
  free(mask);
  assert_false(ft_path_exists(path));
  assert_ok(ft_tokens_writer_close(w, true));
}

static void shards_round_trip(void **state) {
  (void)state;
  write_shard(in_scratch("a.h5"));
  char **names;
  int64_t count, *offsets;
  assert_ok(ft_list_dir(scratch, &names, &count));
  assert_int_equal(count, 1); /* nothing else is left */
  ft_free_names(names, count);
  check_golden(in_scratch("a.h5")); /* HDF5's library reads the same */
  check_attribute(in_scratch("a.h5"), "format", "ftrun-tokens");
  check_attribute(in_scratch("a.h5"), "kind", "sft");
  ft_tokens_file *f;
  assert_ok(ft_tokens_open(in_scratch("a.h5"), &f));
  assert_int_equal(f->num_tokens, 400069);
  assert_int_equal(f->num_documents, DOCUMENTS);
  assert_int_equal(f->kind, FT_TOKENS_SFT);
  assert_int_equal(f->vocab_size, 1000);
  assert_int_equal(strncmp(f->tokenizer_sha256, "e3b0c442", 8), 0);
  assert_ok(ft_tokens_offsets(f, &offsets));
  for (int d = 0; d < DOCUMENTS; d++)
    assert_int_equal(offsets[d + 1] - offsets[d], lengths[d]);
  ft_free(offsets);
  uint32_t tokens[70];
  uint8_t mask[70];
  for (int64_t start = 0; start < f->num_tokens; start += 99991) {
    int64_t n = FT_MIN(70, f->num_tokens - start);
    assert_ok(ft_tokens_read(f, start, n, tokens, mask));
    for (int64_t i = 0; i < n; i++) {
      assert_int_equal(tokens[i], (start + i) % 1000);
      assert_int_equal(mask[i], (start + i) % 3 == 1);
    }
  }
  assert_ok(ft_tokens_read(f, f->num_tokens, 0, tokens, mask));
  assert_ok(ft_tokens_read(f, 1, 1, NULL, mask));
  assert_fails(ft_tokens_read(f, f->num_tokens, 1, tokens, mask), FT_ERR_INTERNAL, "of 400069");
  assert_fails(ft_tokens_read(f, -1, 1, tokens, mask), FT_ERR_INTERNAL, "tokens -1");
  assert_fails(ft_tokens_read(f, 1, INT64_MAX, tokens, mask), FT_ERR_INTERNAL, "tokens 1");
  ft_tokens_close(f);
}

static void empty_and_aborted_shards(void **state) {
  (void)state;
  ft_tokens_writer *w;
  ft_tokens_file *f;
  int64_t *offsets;
  assert_ok(ft_tokens_writer_new(in_scratch("e.h5"), FT_TOKENS_TEXT, 10, "", &w));
  assert_ok(ft_tokens_writer_close(w, true));
  assert_ok(ft_tokens_open(in_scratch("e.h5"), &f));
  assert_int_equal(f->num_tokens + f->num_documents, 0);
  assert_string_equal(f->tokenizer_sha256, "");
  check_attribute(in_scratch("e.h5"), "tokenizer_sha256", "");
  assert_ok(ft_tokens_offsets(f, &offsets));
  ft_free(offsets);
  assert_ok(ft_tokens_read(f, 0, 0, NULL, NULL));
  ft_tokens_close(f);
  assert_ok(ft_remove_tree(in_scratch("e.h5")));

  assert_ok(ft_tokens_writer_new(in_scratch("f.h5"), FT_TOKENS_TEXT, 10, "", &w));
  assert_ok(ft_tokens_write(w, (uint32_t[]){1, 2}, (uint8_t[]){0, 1}, 2));
  assert_ok(ft_tokens_writer_close(w, false));
  assert_ok(ft_tokens_writer_new(in_scratch("f.h5"), FT_TOKENS_TEXT, 10, "", &w));
  assert_fails(ft_tokens_write(w, (uint32_t[]){1, 10}, (uint8_t[]){0, 1}, 2), FT_ERR_DATA,
               "token 1 of a document has id 10");
  assert_fails(ft_tokens_writer_close(w, true), FT_ERR_DATA, "an earlier write failed");
  assert_fails(ft_tokens_writer_new(in_scratch("no/f"), FT_TOKENS_TEXT, 1, "", &w), FT_ERR_CREATE,
               "no/f");
  assert_fails(ft_tokens_writer_new(in_scratch("f"), FT_TOKENS_TEXT, 1, "xyz", &w), FT_ERR_INTERNAL,
               "xyz");
  char **names;
  int64_t count;
  assert_ok(ft_list_dir(scratch, &names, &count));
  assert_int_equal(count, 0);
  ft_free_names(names, count);
}

/* ---------------------------------------------------------------- broken shards */

/* What is written into a shard; a zero field means the right thing. */
typedef struct recipe {
  const char *format, *kind, *sha, *message;
  bool no_vocab, text_version, wide_tokens, wrong_mask, chunked, compact, unwritten, link, group;
  bool two_dims;
  int64_t version, num_mask;
  uint64_t offsets[3];
} recipe;

static void put_text(hid_t file, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, strlen(text) + 1);
  hid_t a = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(a, type, text);
  H5Aclose(a);
  H5Sclose(space);
  H5Tclose(type);
}

static void put_number(hid_t file, const char *name, int64_t value) {
  hid_t space = H5Screate(H5S_SCALAR);
  hid_t a = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(a, H5T_NATIVE_INT64, &value);
  H5Aclose(a);
  H5Sclose(space);
}

static void put_data(hid_t file, const char *name, hid_t type, hid_t memory, hid_t properties,
                     hsize_t count, bool two_dims, const void *data) {
  hsize_t dims[2] = {count, 1};
  hid_t space = H5Screate_simple(two_dims ? 2 : 1, dims, NULL);
  hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  assert_true(set >= 0);
  if (data) H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
  H5Dclose(set);
  H5Sclose(space);
}

static void cook(const char *path, const recipe *r) {
  static const uint32_t tokens[4] = {1, 2, 3, 4};
  static const uint8_t mask[4] = {0, 1, 0, 1};
  static const uint64_t good[3] = {0, 2, 4};
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
  if (r->chunked) H5Pset_chunk(layout, 1, (hsize_t[]){2});
  if (r->compact) H5Pset_layout(layout, H5D_COMPACT);
  put_text(file, "format", r->format ? r->format : "ftrun-tokens");
  if (r->text_version)
    put_text(file, "version", "1");
  else
    put_number(file, "version", r->version ? r->version : 1);
  put_text(file, "kind", r->kind ? r->kind : "text");
  if (!r->no_vocab) put_number(file, "vocab_size", 100);
  put_text(file, "tokenizer_sha256", r->sha ? r->sha : "");
  if (r->link) {
    H5Lcreate_external("other.h5", "/tokens", file, "tokens", H5P_DEFAULT, H5P_DEFAULT);
  } else if (r->group) {
    H5Gclose(H5Gcreate2(file, "tokens", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  } else {
    put_data(file, "tokens", r->wide_tokens ? H5T_STD_U64LE : H5T_STD_U32LE, H5T_NATIVE_UINT32,
             layout, 4, r->two_dims, r->unwritten ? NULL : tokens);
  }
  put_data(file, "loss_mask", r->wrong_mask ? H5T_STD_I8LE : H5T_STD_U8LE, H5T_NATIVE_UINT8,
           H5P_DEFAULT, r->num_mask ? (hsize_t)r->num_mask : 4, false,
           r->num_mask > 4 ? NULL : mask);
  put_data(file, "offsets", H5T_STD_U64LE, H5T_NATIVE_UINT64, H5P_DEFAULT, 3, false,
           r->offsets[2] ? r->offsets : good);
  H5Pclose(layout);
  H5Fclose(file);
}

static void broken_shards_are_refused(void **state) {
  (void)state;
  static const recipe cases[] = {
      {.format = "other", .message = "its format is \"other\", \"ftrun-tokens\" was expected"},
      {.version = 2, .message = "has version 2 of the format"},
      {.version = -1, .message = "attribute \"version\" is out of range"},
      {.text_version = true, .message = "\"version\" is not one little-endian integer"},
      {.kind = "poem", .message = "its kind is \"poem\""},
      {.kind = "a kind whose name is much longer than any kind could be",
       .message = "longer than the 31 bytes"},
      {.sha = "1234", .message = "tokenizer_sha256 is \"1234\""},
      {.no_vocab = true, .message = "has no attribute \"vocab_size\""},
      {.wide_tokens = true, .message = "dataset \"tokens\" holds u64, u32 was expected"},
      {.wrong_mask = true, .message = "\"loss_mask\" does not hold unsigned little-endian"},
      {.chunked = true, .message = "dataset \"tokens\" is not contiguous"},
      {.compact = true, .message = "dataset \"tokens\" is not contiguous"},
      {.unwritten = true, .message = "\"tokens\" does not lie inside the file's"},
      {.link = true, .message = "\"tokens\" is a link to somewhere else"},
      {.group = true, .message = "\"tokens\" is not a dataset"},
      {.two_dims = true, .message = "\"tokens\" does not have one dimension"},
      {.num_mask = 3, .message = "loss_mask has 3 elements and tokens 4"},
      {.num_mask = 5, .message = "\"loss_mask\" does not lie inside"},
  };
  ft_tokens_file *f = NULL;
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    cook(in_scratch("bad.h5"), &cases[i]);
    assert_fails(ft_tokens_open(in_scratch("bad.h5"), &f), FT_ERR_DATA, cases[i].message);
    assert_non_null(strstr(ft_error_message(), "bad.h5: "));
    assert_null(f);
  }
  cook(in_scratch("good.h5"), &(recipe){0});
  assert_ok(ft_tokens_open(in_scratch("good.h5"), &f));
  ft_tokens_close(f);
  assert_fails(ft_tokens_open(in_scratch("none.h5"), &f), FT_ERR_NOINPUT, "none.h5");
  assert_fails(ft_tokens_open(scratch, &f), FT_ERR_DATA, "is a directory");
  write_bytes(in_scratch("text"), "not HDF5", 8);
  assert_fails(ft_tokens_open(in_scratch("text"), &f), FT_ERR_DATA, "is plain text; a token shard");
  write_bytes(in_scratch("text"), "", 0);
  assert_fails(ft_tokens_open(in_scratch("text"), &f), FT_ERR_DATA, "is empty; a token shard");
  write_bytes(in_scratch("begun"), "\x89HDF\r\n\x1a\n", 8);
  assert_fails(ft_tokens_open(in_scratch("begun"), &f), FT_ERR_DATA,
               "damaged or unsupported HDF5 file: too short");
}

static void broken_offsets_are_refused(void **state) {
  (void)state;
  static const recipe cases[] = {
      {.offsets = {1, 2, 4}, .message = "offsets begin at 1, 0 was expected"},
      {.offsets = {0, 3, 2}, .message = "offset 2 is 2, 3 to 4 was expected"},
      {.offsets = {0, 5, 4}, .message = "offset 1 is 5, 0 to 4"},
      {.offsets = {0, 2, 3}, .message = "the last offset is 3, and there are 4 tokens"},
      {.offsets = {0, 2, UINT64_MAX}, .message = "offset 2 is 18446744073709551615"},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_tokens_file *f;
    int64_t *offsets;
    cook(in_scratch("bad.h5"), &cases[i]);
    assert_ok(ft_tokens_open(in_scratch("bad.h5"), &f));
    assert_fails(ft_tokens_offsets(f, &offsets), FT_ERR_DATA, cases[i].message);
    assert_null(offsets);
    ft_tokens_close(f);
  }
}

/* Ids and masks are checked as they are read; a file cut off after it was made is noticed. */
static void broken_contents_are_refused(void **state) {
  (void)state;
  ft_tokens_file *f;
  uint32_t tokens[4];
  uint8_t mask[4];
  cook(in_scratch("bad.h5"), &(recipe){0});
  assert_ok(ft_tokens_open(in_scratch("bad.h5"), &f));
  int64_t tokens_at = f->tokens_at, mask_at = f->mask_at;
  ft_tokens_close(f);
  FILE *file = fopen(in_scratch("bad.h5"), "r+b");
  fseek(file, tokens_at + 8, SEEK_SET);
  fwrite((uint32_t[]){100}, 4, 1, file);
  fclose(file);
  assert_ok(ft_tokens_open(in_scratch("bad.h5"), &f));
  assert_fails(ft_tokens_read(f, 1, 3, tokens, mask), FT_ERR_DATA,
               "token 2 has id 100, and the vocabulary has 100");
  assert_ok(ft_tokens_read(f, 0, 2, tokens, mask));
  ft_tokens_close(f);
  file = fopen(in_scratch("bad.h5"), "r+b");
  fseek(file, mask_at + 1, SEEK_SET);
  fputc(2, file);
  fclose(file);
  assert_ok(ft_tokens_open(in_scratch("bad.h5"), &f));
  assert_fails(ft_tokens_read(f, 0, 2, tokens, mask), FT_ERR_DATA, "loss_mask of token 1 is 2");
  ft_tokens_close(f);
  write_shard(in_scratch("cut.h5"));
  assert_int_equal(truncate(in_scratch("cut.h5"), file_size(in_scratch("cut.h5")) - 8), 0);
  assert_fails(ft_tokens_open(in_scratch("cut.h5"), &f), FT_ERR_DATA,
               "by its own account 2011432: the file is cut off");
}

/* Returns the byte as it was. */
static uint8_t flip(int fd, int64_t at, int bit) {
  uint8_t byte, other;
  assert_int_equal(pread(fd, &byte, 1, at), 1);
  other = (uint8_t)(byte ^ (1 << bit));
  assert_int_equal(pwrite(fd, &other, 1, at), 1);
  return byte;
}

/* What a run does with a shard. */
static ft_err read_shard(const char *path, bool verify) {
  ft_err err = FT_OK;
  ft_tokens_file *f;
  uint32_t tokens[3];
  uint8_t mask[3];
  int64_t *offsets = NULL;
  bool found = true;
  FT_TRY(ft_tokens_open(path, &f));
  err = ft_tokens_offsets(f, &offsets);
  for (int64_t d = 0; err == FT_OK && d < f->num_documents; d++)
    err = ft_tokens_read(f, offsets[d], offsets[d + 1] - offsets[d], tokens, mask);
  if (err == FT_OK && verify) err = ft_tokens_verify(f, &found);
  assert_true(found);
  ft_free(offsets);
  ft_tokens_close(f);
out:
  return err;
}

/* Every single bit (of bytes that are zero, which most are, one): verifying finds it, and where it
 * changes what is read, reading does. */
static void every_flipped_bit_is_found(void **state) {
  (void)state;
  ft_tokens_writer *w;
  ft_tokens_file *f;
  const char *path = in_scratch("bits.h5");
  assert_ok(ft_tokens_writer_new(path, FT_TOKENS_SFT, 1000, "", &w));
  for (int i = 0; i < 4; i++)
    assert_ok(ft_tokens_write(w, (uint32_t[]){7, 8, 9}, (uint8_t[]){0, 1, 1}, 3));
  assert_ok(ft_tokens_writer_close(w, true));
  assert_ok(ft_tokens_open(path, &f));
  const int64_t parts[3][2] = {{f->tokens_at, 4 * 12}, {f->mask_at, 12}, {f->offsets_at, 8 * 5}};
  ft_tokens_close(f);
  assert_ok(read_shard(path, true));
  int fd = open(path, O_RDWR);
  assert_true(fd >= 0);
  for (int64_t at = 0; at < file_size(path); at++)
    for (int bit = 0; bit < 8; bit++) {
      bool is_data = false;
      for (int i = 0; i < 3; i++)
        is_data = is_data || (at >= parts[i][0] && at < parts[i][0] + parts[i][1]);
      uint8_t was = flip(fd, at, bit);
      assert_fails(read_shard(path, !is_data), FT_ERR_DATA, "bits.h5: ");
      flip(fd, at, bit);
      if (was == 0 && !is_data) break;
    }
  close(fd);
  assert_ok(read_shard(path, true));
}

/* Names longer than any that is used are not kept, however many links share one. */
static void long_names_are_refused(void **state) {
  (void)state;
  char name[1100];
  ft_tokens_file *f;
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = 0;
  cook(in_scratch("long.h5"), &(recipe){0});
  hid_t file = H5Fopen(in_scratch("long.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
  H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Fclose(file);
  assert_fails(ft_tokens_open(in_scratch("long.h5"), &f), FT_ERR_DATA,
               "a name of more than 1024 bytes");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(every_flipped_bit_is_found), TEST(long_names_are_refused),
      TEST(shards_by_h5py_are_read),    TEST(shards_round_trip),
      TEST(empty_and_aborted_shards),   TEST(broken_shards_are_refused),
      TEST(broken_offsets_are_refused), TEST(broken_contents_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
