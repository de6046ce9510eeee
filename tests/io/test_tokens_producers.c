/* Token shards of other producers, by HDF5's own library: those that a writer still has open, or
 * left open when it died, those with more attributes or links than fit an object's header, and
 * those that shrink or change while they are used. Run alone: meson test io-tokens_producers */
#include "io_test.h"

#include <hdf5.h>
#include <string.h>
#include <unistd.h>

#include "ft/io.h"

static void put_text(hid_t file, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, strlen(text) + 1);
  hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Awrite(attribute, type, text) >= 0);
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

static void put_number(hid_t file, const char *name, uint32_t value) {
  hid_t space = H5Screate(H5S_SCALAR);
  hid_t attribute = H5Acreate2(file, name, H5T_STD_U32LE, space, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Awrite(attribute, H5T_NATIVE_UINT32, &value) >= 0);
  H5Aclose(attribute);
  H5Sclose(space);
}

static void put_set(hid_t file, const char *name, hid_t type, hid_t memory, hsize_t count,
                    const void *data) {
  hid_t space = H5Screate_simple(1, &count, NULL);
  hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
  H5Dclose(set);
  H5Sclose(space);
}

/* A shard of two documents, still open, in a format from `low` on. */
static hid_t begin(const char *path, H5F_libver_t low) {
  static const uint32_t tokens[4] = {1, 2, 3, 4};
  static const uint8_t mask[4] = {0, 1, 0, 1};
  static const uint64_t offsets[3] = {0, 2, 4};
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, low, H5F_LIBVER_LATEST);
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
  assert_true(file >= 0);
  H5Pclose(access);
  put_text(file, "format", "ftrun-tokens");
  put_number(file, "version", 1);
  put_text(file, "kind", "text");
  put_number(file, "vocab_size", 100);
  put_text(file, "tokenizer_sha256", "");
  put_set(file, "tokens", H5T_STD_U32LE, H5T_NATIVE_UINT32, 4, tokens);
  put_set(file, "loss_mask", H5T_STD_U8LE, H5T_NATIVE_UINT8, 4, mask);
  put_set(file, "offsets", H5T_STD_U64LE, H5T_NATIVE_UINT64, 3, offsets);
  return file;
}

static void put_many_attributes(hid_t file) {
  char name[16];
  for (int i = 0; i < 5; i++) { /* beside the five of a shard */
    snprintf(name, sizeof name, "note%d", i);
    put_number(file, name, (uint32_t)i);
  }
}

static void put_many_links(hid_t file) {
  static const uint32_t one = 1;
  char name[16];
  for (int i = 0; i < 7; i++) {
    snprintf(name, sizeof name, "more%d", i);
    put_set(file, name, H5T_STD_U32LE, H5T_NATIVE_UINT32, 1, &one);
  }
}

static ft_err open_and_close(const char *path) {
  ft_tokens_file *f;
  ft_err err = ft_tokens_open(path, &f);
  if (err == FT_OK) ft_tokens_close(f);
  return err;
}

static void what_a_writer_has_is_refused(void **state) {
  (void)state;
  hid_t file = begin(in_scratch("open.h5"), H5F_LIBVER_LATEST);
  H5Fflush(file, H5F_SCOPE_GLOBAL);
  assert_ok(
      ft_copy_file(in_scratch("open.h5"), in_scratch("left.h5"))); /* what a killed one leaves */
  assert_fails(open_and_close(in_scratch("open.h5")), FT_ERR_DATA, "(consistency flag 1)");
  assert_fails(open_and_close(in_scratch("left.h5")), FT_ERR_DATA,
               "a writer has this HDF5 file open");
  if (H5Fstart_swmr_write(file) >= 0) {
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    assert_fails(open_and_close(in_scratch("open.h5")), FT_ERR_DATA, "(consistency flag 5)");
  }
  H5Fclose(file);
  assert_ok(open_and_close(in_scratch("open.h5")));
}

static void heaps_are_refused_by_name(void **state) {
  (void)state;
  static const H5F_libver_t formats[] = {H5F_LIBVER_V18, H5F_LIBVER_LATEST};
  for (size_t i = 0; i < FT_ARRAY_SIZE(formats); i++) {
    hid_t file = begin(in_scratch("attributes.h5"), formats[i]);
    put_many_attributes(file);
    H5Fclose(file);
    assert_fails(open_and_close(in_scratch("attributes.h5")), FT_ERR_DATA,
                 "more than eight attributes of a group");
    file = begin(in_scratch("links.h5"), formats[i]);
    put_many_links(file);
    H5Fclose(file);
    assert_fails(open_and_close(in_scratch("links.h5")), FT_ERR_DATA,
                 "more than eight links of a group");
  }
  hid_t file = begin(in_scratch("many.h5"), H5F_LIBVER_EARLIEST); /* which has no heaps */
  put_many_attributes(file);
  put_many_links(file);
  H5Fclose(file);
  assert_ok(open_and_close(in_scratch("many.h5")));
}

static void what_changes_under_a_run_is_named(void **state) {
  (void)state;
  uint32_t tokens[4];
  uint8_t mask[4];
  ft_tokens_file *f;
  H5Fclose(begin(in_scratch("shard.h5"), H5F_LIBVER_EARLIEST));
  assert_ok(ft_tokens_open(in_scratch("shard.h5"), &f));
  assert_ok(ft_tokens_read(f, 0, 4, tokens, mask));
  FILE *change = fopen(in_scratch("shard.h5"), "r+b");
  assert_non_null(change);
  assert_int_equal(fseek(change, (long)f->tokens_at, SEEK_SET), 0);
  assert_int_equal(fputc(7, change), 7);
  assert_int_equal(fclose(change), 0);
  assert_fails(ft_tokens_read(f, 0, 4, tokens, mask), FT_ERR_DATA,
               "shard.h5: was changed while it is used");
  assert_int_equal(truncate(in_scratch("shard.h5"), 0), 0); /* as a writer begins again */
  assert_fails(ft_tokens_read(f, 0, 4, tokens, mask), FT_ERR_DATA,
               "shard.h5: has become shorter while it is used (0 bytes");
  ft_tokens_close(f);
}

int main(void) {
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  const struct CMUnitTest tests[] = {
      TEST(what_a_writer_has_is_refused),
      TEST(heaps_are_refused_by_name),
      TEST(what_changes_under_a_run_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
