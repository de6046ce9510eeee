/* Proves that HDF5 files of tokens in the layouts people have give the shards that the same tokens
 * in JSON lines give, and that what is wrong with them is an error that names it.
 * Run alone: meson test -C build pretokenized */
#include <hdf5.h>

#include "prep_bench.h"

enum { ROWS = 40, WIDTH = 12, PAD = 7 };

/* Document d: ids, and what is learnt of it; at most WIDTH - 1 tokens. */
static int document(int d, int64_t *ids, int *learnt) {
  int count = 2 + d % (WIDTH - 3);
  for (int i = 0; i < count; i++) {
    ids[i] = 10 + (d * 13 + i * 5) % 200;
    learnt[i] = i > count / 2;
  }
  learnt[count - 1] = 1;
  return count;
}

static void write_json(workbench *b, const char *name, bool labels) {
  char *text = calloc(ROWS, 400);
  size_t used = 0;
  for (int d = 0; d < ROWS; d++) {
    int64_t ids[WIDTH];
    int learnt[WIDTH], count = document(d, ids, learnt);
    used += (size_t)sprintf(text + used, "{\"input_ids\":[");
    for (int i = 0; i < count; i++)
      used += (size_t)sprintf(text + used, i ? ",%d" : "%d", (int)ids[i]);
    used += (size_t)sprintf(text + used, labels ? "],\"labels\":[" : "]}\n");
    for (int i = 0; i < count && labels; i++)
      used += (size_t)sprintf(text + used, i ? ",%d" : "%d", learnt[i] ? (int)ids[i] : -100);
    if (labels) used += (size_t)sprintf(text + used, "]}\n");
  }
  add_lines(b, name, text);
  free(text);
}

/* A dataset, chunked and compressed, of the type on disk that is asked for. */
static void put(hid_t file, const char *name, int rank, const hsize_t *dims, hid_t type,
                const int64_t *values) {
  hsize_t chunk[2] = {7, rank == 2 ? dims[1] : 0};
  hid_t space = H5Screate_simple(rank, dims, NULL), how = H5Pcreate(H5P_DATASET_CREATE);
  if (dims[0] >= 7) {
    H5Pset_chunk(how, rank, chunk);
    H5Pset_shuffle(how);
    H5Pset_deflate(how, 4);
  }
  hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, how, H5P_DEFAULT);
  assert_true(H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  H5Dclose(set);
  H5Pclose(how);
  H5Sclose(space);
}

static hid_t make_file(workbench *b, const char *name) {
  char *path;
  assert_ok(ft_path_join(b->folder, name, &path));
  b->inputs[0] = path;
  b->options.num_inputs = 1;
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(file >= 0);
  return file;
}

/* How rows of two dimensions are filled up. */
typedef enum filling { BY_MASK, BY_PAD, BY_NEGATIVE, ON_THE_LEFT } filling;

static void write_rows(workbench *b, filling how, bool labels, hid_t type) {
  static int64_t ids[ROWS][WIDTH], attention[ROWS][WIDTH], targets[ROWS][WIDTH];
  const hsize_t dims[2] = {ROWS, WIDTH};
  for (int d = 0; d < ROWS; d++) {
    int64_t one[WIDTH];
    int learnt[WIDTH], count = document(d, one, learnt);
    int first = how == ON_THE_LEFT ? WIDTH - count : 0;
    for (int i = 0; i < WIDTH; i++) {
      bool inside = i >= first && i < first + count;
      ids[d][i] = inside ? one[i - first] : how == BY_NEGATIVE ? -1 : how == BY_MASK ? 55 : PAD;
      attention[d][i] = inside;
      targets[d][i] = inside && learnt[i - first] ? one[i - first] : -100;
    }
  }
  hid_t file = make_file(b, "rows.h5");
  put(file, "input_ids", 2, dims, type, ids[0]);
  if (how == BY_MASK) put(file, "attention_mask", 2, dims, H5T_STD_I8LE, attention[0]);
  if (labels) put(file, "labels", 2, dims, H5T_STD_I64BE, targets[0]);
  H5Fclose(file);
}

typedef enum ending { WITH_END, WITHOUT_END, LENGTHS } ending;

static void write_pieces(workbench *b, ending how, const char *group) {
  static int64_t ids[ROWS * WIDTH], mask[ROWS * WIDTH], offsets[ROWS + 1], lengths[ROWS];
  hsize_t used = 0;
  for (int d = 0; d < ROWS; d++) {
    int64_t one[WIDTH];
    int learnt[WIDTH], count = document(d, one, learnt);
    offsets[d] = (int64_t)used;
    lengths[d] = count;
    for (int i = 0; i < count; i++, used++) {
      ids[used] = one[i];
      mask[used] = learnt[i];
    }
  }
  offsets[ROWS] = (int64_t)used;
  const hsize_t all[] = {used}, rows[] = {ROWS}, ends[] = {ROWS + 1};
  hid_t file = make_file(b, "pieces.h5"), where = file;
  if (group) where = H5Gcreate2(file, group, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  put(where, "tokens", 1, all, H5T_STD_U16LE, ids);
  put(where, "loss_mask", 1, all, H5T_STD_U8LE, mask);
  if (how == LENGTHS)
    put(where, "lengths", 1, rows, H5T_STD_I32LE, lengths);
  else
    put(where, "offsets", 1, how == WITH_END ? ends : rows, H5T_STD_U64LE, offsets);
  if (group) H5Gclose(where);
  H5Fclose(file);
}

/* A hash of the shards alone: reports name the files. */
static uint64_t hash_shards(const workbench *b) {
  uint64_t hash = 1;
  static const char *const sets[] = {"train", "validation"};
  for (int i = 0; i < 2; i++) {
    char *path;
    assert_ok(ft_path_join(b->out, sets[i], &path));
    hash = hash_tree(path, hash);
    ft_free(path);
  }
  return hash;
}

static workbench *open_tokens(void) {
  workbench *b = open_bench();
  b->options.validation = 0.3;
  b->options.pad = PAD;
  return b;
}

static void drop_input(workbench *b) {
  ft_free((void *)(uintptr_t)b->inputs[0]);
  b->options.num_inputs = 0;
}

static void layouts(void **state) {
  (void)state;
  workbench *b = open_tokens();
  write_json(b, "a.jsonl", true);
  assert_ok(run_alone(b));
  assert_int_equal(b->report.lines, ROWS);
  assert_true(b->report.documents[FT_SPLIT_VALIDATION] > 0);
  uint64_t expected = hash_shards(b);
  for (filling how = BY_MASK; how <= ON_THE_LEFT; how++) {
    drop_input(b);
    write_rows(b, how, true, how == BY_PAD ? H5T_STD_I16BE : H5T_STD_I64LE);
    assert_ok(run_ranks(b, 2));
    assert_int_equal(hash_shards(b), expected);
  }
  for (ending how = WITH_END; how <= LENGTHS; how++) {
    drop_input(b);
    write_pieces(b, how, how == WITHOUT_END ? "train" : NULL);
    assert_ok(run_alone(b));
    assert_int_equal(hash_shards(b), expected);
  }
  drop_input(b);
  write_json(b, "b.jsonl", false); /* without labels: texts */
  assert_ok(run_alone(b));
  expected = hash_shards(b);
  drop_input(b);
  write_rows(b, BY_MASK, false, H5T_STD_U32LE);
  assert_ok(run_alone(b));
  assert_int_equal(hash_shards(b), expected);
  close_bench(b);
}

static void refusals(void **state) {
  (void)state;
  workbench *b = open_tokens();
  b->options.validation = 0;
  const hsize_t two[] = {2, 3}, one[] = {3}, other[] = {2, 2};
  static const int64_t ids[] = {10, 11, 12, 13, 14, 15}, shifted[] = {11, 12, -100, 14, 15, -100};
  static const int64_t offsets[] = {0, 5, 6}, large[] = {10, 11, 400, 10, 11, 12};
  struct {
    const char *set;
    int rank;
    const hsize_t *dims;
    const int64_t *values;
    const char *words;
  } cases[] = {{"labels", 2, two, shifted, "labels that repeat the ids"},
               {"labels", 2, other, ids, "not of the same shape"},
               {NULL, 0, NULL, NULL, "none of the datasets"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    hid_t file = make_file(b, "bad.h5");
    put(file, cases[i].set ? "input_ids" : "things", 2, two, H5T_STD_I64LE, ids);
    if (cases[i].set)
      put(file, cases[i].set, cases[i].rank, cases[i].dims, H5T_STD_I64LE, cases[i].values);
    H5Fclose(file);
    assert_fails(run_alone(b), FT_ERR_DATA, cases[i].words);
    assert_non_null(strstr(ft_error_message(), "bad.h5"));
    drop_input(b);
  }
  hid_t file = make_file(b, "bad.h5");
  put(file, "tokens", 1, one, H5T_STD_I64LE, ids);
  put(file, "offsets", 1, one, H5T_STD_I64LE, offsets);
  H5Fclose(file);
  assert_fails(run_alone(b), FT_ERR_DATA, "begins at 5, 0 to 3 was expected");
  drop_input(b);
  file = make_file(b, "bad.h5");
  put(file, "input_ids", 2, two, H5T_STD_I64LE, large);
  H5Fclose(file);
  assert_fails(run_alone(b), FT_ERR_DATA, "1 of 2 lines");
  b->options.skip_bad_lines = true;
  assert_ok(run_alone(b));
  assert_int_equal(b->report.bad_lines, 1);
  drop_input(b);
  file = make_file(b, "cut.h5"); /* a file that ends early */
  put(file, "input_ids", 2, two, H5T_STD_I64LE, ids);
  H5Fclose(file);
  char *data;
  size_t bytes;
  assert_ok(ft_read_file(b->inputs[0], 1 << 20, &data, &bytes));
  assert_ok(ft_write_file(b->inputs[0], data, bytes / 2));
  ft_free(data);
  assert_fails(run_alone(b), FT_ERR_DATA, "HDF5 cannot read");
  close_bench(b);
}

static size_t pass_on(unsigned flags, size_t num, const unsigned values[], size_t bytes,
                      size_t *capacity, void **data) {
  (void)flags, (void)num, (void)values, (void)capacity, (void)data;
  return bytes;
}

/* A filter that is there when the file is written, as a plugin is, and not when it is read. */
static void filters_of_others(void **state) {
  (void)state;
  static const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 300, 1, 1, "squeeze", NULL, NULL, pass_on};
  static const int64_t ids[] = {10, 11, 12, 13, 14, 15};
  const hsize_t dims[] = {2, 3};
  workbench *b = open_tokens();
  assert_true(H5Zregister(&filter) >= 0);
  hid_t file = make_file(b, "squeezed.h5"), how = H5Pcreate(H5P_DATASET_CREATE);
  hid_t space = H5Screate_simple(2, dims, NULL);
  H5Pset_chunk(how, 2, dims);
  H5Pset_filter(how, 300, 0, 0, NULL);
  hid_t set = H5Dcreate2(file, "input_ids", H5T_STD_I32LE, space, H5P_DEFAULT, how, H5P_DEFAULT);
  assert_true(H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, ids) >= 0);
  H5Dclose(set);
  H5Sclose(space);
  H5Pclose(how);
  H5Fclose(file);
  H5Zunregister(300);
  assert_fails(run_alone(b), FT_ERR_DATA, "\"input_ids\" is packed with the filter 300 (squeeze)");
  drop_input(b);
  close_bench(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(layouts), cmocka_unit_test(refusals),
                                     cmocka_unit_test(filters_of_others)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
