/* Slice files: what is written is read by this reader and by HDF5's library; hashes are those of
 * the contract; damage to any byte of the metadata is noticed. Alone: build/tests/io/test_slices */
#include <fcntl.h>
#include <hdf5.h>

#include "io_test.h"

enum { CHUNK = 4096, ELEMENTS = 3 * CHUNK + 256 };

/* Three datasets: f32 with its ranges apart in memory, u16 end to end, and scales of 256 elements.
 */
typedef struct sample {
  float master[2 * ELEMENTS];
  uint16_t m[ELEMENTS];
  float scales[ELEMENTS / 256];
  uint8_t odd[3 * 256];
  int64_t starts[2], counts[2], locals[2], start, count, short_count;
  ft_slice_dataset datasets[4];
} sample;

static void fill(sample *s) {
  for (int i = 0; i < 2 * ELEMENTS; i++)
    s->master[i] = (float)i;
  for (int i = 0; i < ELEMENTS; i++)
    s->m[i] = (uint16_t)(i * 3);
  for (int i = 0; i < ELEMENTS / 256; i++)
    s->scales[i] = (float)i / 7;
  for (size_t i = 0; i < sizeof s->odd; i++)
    s->odd[i] = (uint8_t)i;
  memcpy(s->starts, (int64_t[]){512, 1000000}, sizeof s->starts);
  memcpy(s->counts, (int64_t[]){CHUNK + 1, 2 * CHUNK}, sizeof s->counts);
  memcpy(s->locals, (int64_t[]){ELEMENTS, 5}, sizeof s->locals);
  s->count = ELEMENTS;
  s->short_count = 256;
  ft_slice_dataset base = {.chunk_elements = CHUNK, .num_ranges = 1, .starts = &s->start};
  for (int i = 0; i < 4; i++)
    s->datasets[i] = base;
  ft_slice_dataset *d = s->datasets;
  d[0].name = "/layer.0/master", d[0].data = s->master, d[0].bytes = (3 * CHUNK + 1) * 4;
  d[0].starts = s->starts, d[0].counts = s->counts, d[0].locals = s->locals, d[0].num_ranges = 2;
  d[0].element_bytes = 4, d[0].group_elements = 1;
  d[1].name = "/layer.0/m", d[1].data = s->m, d[1].bytes = sizeof s->m, d[1].counts = &s->count;
  d[1].element_bytes = 2, d[1].group_elements = 1;
  d[2].name = "/head/m.scale", d[2].data = s->scales, d[2].bytes = sizeof s->scales;
  d[2].counts = &s->count, d[2].element_bytes = 4, d[2].group_elements = 256;
  d[3].name = "/head/odd", d[3].data = s->odd, d[3].bytes = sizeof s->odd;
  d[3].counts = &s->short_count, d[3].element_bytes = 3, d[3].group_elements = 1;
}

static const ft_slice_dataset *find(const ft_slice_dataset *list, int64_t count, const char *name) {
  for (int64_t i = 0; i < count; i++)
    if (strcmp(list[i].name, name) == 0) return &list[i];
  fail_msg("no dataset %s", name);
  return NULL;
}

static void files_round_trip(void **state) {
  (void)state;
  sample *s = calloc(1, sizeof *s);
  ft_slice_file file;
  ft_slice_dataset *list;
  int64_t count;
  fill(s);
  assert_ok(ft_slices_write(in_scratch("a.h5"), s->datasets, 4, &file));
  assert_int_equal(file.bytes, file_size(in_scratch("a.h5")));
  assert_ok(ft_slices_open(in_scratch("a.h5"), &list, &count));
  assert_int_equal(count, 4);
  uint64_t hash;
  assert_ok(ft_slices_metadata_hash(in_scratch("a.h5"), list, count, &hash));
  assert_int_equal(hash, file.metadata_hash);
  for (int i = 0; i < 4; i++) {
    const ft_slice_dataset *want = &s->datasets[i], *d = find(list, count, want->name);
    assert_int_equal(d->bytes, want->bytes);
    assert_int_equal(d->element_bytes, want->element_bytes);
    assert_int_equal(d->group_elements, want->group_elements);
    assert_int_equal(d->chunk_elements, CHUNK);
    assert_int_equal(d->num_ranges, want->num_ranges);
    assert_memory_equal(d->starts, want->starts, (size_t)d->num_ranges * 8);
    assert_memory_equal(d->counts, want->counts, (size_t)d->num_ranges * 8);
    assert_int_equal(d->num_hashes, want->num_hashes);
    assert_int_equal(d->checksum, want->checksum);
    assert_int_equal(d->file_offset, want->file_offset);
    assert_int_equal(d->hashes_offset, want->hashes_offset);
  }
  ft_slices_free(list, count);
  free(s);
}

/* The bytes and hashes of "/layer.0/master", by HDF5's library. */
static void the_library_reads_them(void **state) {
  (void)state;
  sample *s = calloc(1, sizeof *s);
  ft_slice_file written;
  float data[3 * CHUNK + 1];
  uint64_t hashes[4], checksum;
  fill(s);
  assert_ok(ft_slices_write(in_scratch("a.h5"), s->datasets, 4, &written));
  hid_t file = H5Fopen(in_scratch("a.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
  hid_t set = H5Dopen2(file, "/layer.0/master", H5P_DEFAULT);
  assert_true(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
  assert_memory_equal(data, s->master + ELEMENTS, (CHUNK + 1) * 4);
  assert_memory_equal(data + CHUNK + 1, s->master + 5, 2 * CHUNK * 4);
  hid_t attribute = H5Aopen(set, "xxh3", H5P_DEFAULT);
  assert_true(H5Aread(attribute, H5T_NATIVE_UINT64, &checksum) >= 0);
  H5Aclose(attribute);
  H5Dclose(set);
  set = H5Dopen2(file, "/layer.0/master.xxh3", H5P_DEFAULT);
  assert_true(H5Dread(set, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, hashes) >= 0);
  assert_int_equal(hashes[0], ft_hash64(data, CHUNK * 4, 0));
  assert_int_equal(hashes[1], ft_hash64(data + CHUNK, 4, 0));
  assert_int_equal(hashes[2], ft_hash64(data + CHUNK + 1, CHUNK * 4, 0));
  assert_int_equal(hashes[3], ft_hash64(data + 2 * CHUNK + 1, CHUNK * 4, 0));
  assert_int_equal(checksum, ft_hash64(hashes, sizeof hashes, 0));
  H5Dclose(set);
  H5Fclose(file);
  free(s);
}

/* Each byte outside the data, changed, changes the metadata hash; opening never succeeds with
 * another table and never crashes. */
static void damaged_metadata_are_noticed(void **state) {
  (void)state;
  sample *s = calloc(1, sizeof *s);
  ft_slice_file file;
  char *bytes;
  size_t size;
  int64_t refused = 0, changed = 0;
  fill(s);
  assert_ok(ft_slices_write(in_scratch("a.h5"), s->datasets, 4, &file));
  assert_ok(ft_read_file(in_scratch("a.h5"), SIZE_MAX, &bytes, &size));
  int fd = open(in_scratch("a.h5"), O_RDWR);
  for (size_t at = 0; at < size; at++) {
    bool is_data = false;
    for (int i = 0; i < 4; i++) {
      const ft_slice_dataset *d = &s->datasets[i];
      size_t data = (size_t)d->file_offset, hashes = (size_t)d->hashes_offset;
      is_data = is_data || (at >= data && at < data + d->bytes) ||
                (at >= hashes && at < hashes + 8 * (size_t)d->num_hashes);
    }
    if (is_data) continue;
    char flipped = (char)(bytes[at] ^ (1 << (at % 8)));
    assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
    uint64_t hash;
    assert_ok(ft_slices_metadata_hash(in_scratch("a.h5"), s->datasets, 4, &hash));
    assert_int_not_equal(hash, file.metadata_hash);
    ft_slice_dataset *list;
    int64_t count;
    ft_err err = ft_slices_open(in_scratch("a.h5"), &list, &count);
    refused += err != FT_OK;
    changed++;
    if (err == FT_OK) ft_slices_free(list, count);
    assert_int_equal(pwrite(fd, &bytes[at], 1, (off_t)at), 1);
  }
  close(fd);
  ft_free(bytes);
  free(s);
  assert_true(changed > 1000 && refused > changed / 4);
}

static void bad_files_are_refused(void **state) {
  (void)state;
  sample *s = calloc(1, sizeof *s);
  ft_slice_file file;
  ft_slice_dataset *list;
  int64_t count;
  fill(s);
  assert_ok(ft_slices_write(in_scratch("a.h5"), s->datasets, 4, &file));
  assert_int_equal(truncate(in_scratch("a.h5"), file.bytes - 1), 0);
  assert_fails(ft_slices_open(in_scratch("a.h5"), &list, &count), FT_ERR_DATA, "cut off");
  assert_fails(ft_slices_open(in_scratch("b.h5"), &list, &count), FT_ERR_NOINPUT, "b.h5");
  ft_tokens_writer *w;
  assert_ok(ft_tokens_writer_new(in_scratch("t.h5"), FT_TOKENS_TEXT, 10, "", &w));
  assert_ok(ft_tokens_writer_close(w, true));
  assert_fails(ft_slices_open(in_scratch("t.h5"), &list, &count), FT_ERR_DATA,
               "its format is \"ftrun-tokens\"");
  s->datasets[1].bytes--;
  assert_fails(ft_slices_write(in_scratch("c.h5"), s->datasets, 4, &file), FT_ERR_INTERNAL,
               "/layer.0/m: ");
  fill(s);
  assert_fails(ft_slices_write(in_scratch("no/c.h5"), s->datasets, 4, &file), FT_ERR_CREATE,
               "no/c");
  free(s);
  assert_false(ft_path_exists(in_scratch("c.h5")) || ft_path_exists(in_scratch("c.h5.tmp")));
}

/* As many blocks as a large model has: all links stay where the reader finds them. */
static void many_datasets(void **state) {
  (void)state;
  enum { BLOCKS = 200, STATES = 12 };
  static float value[2] = {1, 2};
  static const int64_t start = 0, length = 2;
  ft_slice_dataset *datasets = calloc(BLOCKS * STATES, sizeof *datasets), *list;
  for (int i = 0; i < BLOCKS * STATES; i++) {
    datasets[i] = (ft_slice_dataset){.data = value,
                                     .bytes = 8,
                                     .element_bytes = 4,
                                     .group_elements = 1,
                                     .chunk_elements = CHUNK,
                                     .starts = &start,
                                     .counts = &length,
                                     .num_ranges = 1};
    datasets[i].name = malloc(40);
    sprintf(datasets[i].name, "/layer.%d/state%d", i / STATES, i % STATES);
  }
  ft_slice_file file;
  int64_t count;
  assert_ok(ft_slices_write(in_scratch("a.h5"), datasets, BLOCKS * STATES, &file));
  assert_ok(ft_slices_open(in_scratch("a.h5"), &list, &count));
  assert_int_equal(count, BLOCKS * STATES);
  ft_slices_free(list, count);
  assert_ok(ft_slices_write(in_scratch("b.h5"), NULL, 0, &file));
  assert_ok(ft_slices_open(in_scratch("b.h5"), &list, &count));
  assert_int_equal(count, 0);
  ft_slices_free(list, count);
  for (int i = 0; i < BLOCKS * STATES; i++)
    free(datasets[i].name);
  free(datasets);
}

int main(void) {
  const struct CMUnitTest tests[] = {TEST(files_round_trip), TEST(the_library_reads_them),
                                     TEST(damaged_metadata_are_noticed),
                                     TEST(bad_files_are_refused), TEST(many_datasets)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
