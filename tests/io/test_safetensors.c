/* safetensors: a table of broken files with the message each gets, sharded models, round trips.
 * Alone: build/tests/io/test_safetensors */
#include "io_test.h"

/* Writes u64 header length, header, `data_bytes` bytes counting up from 0. claimed -1: the truth.
 */
static void write_file(const char *name, int64_t claimed, const char *header, size_t data_bytes) {
  size_t length = strlen(header);
  uint64_t prefix = claimed == -1 ? length : (uint64_t)claimed;
  char *text = malloc(8 + length + data_bytes);
  memcpy(text, &prefix, 8);
  memcpy(text + 8, header, length);
  for (size_t i = 0; i < data_bytes; i++)
    text[8 + length + i] = (char)i;
  write_bytes(in_scratch(name), text, 8 + length + data_bytes);
  free(text);
}

#define T(name, dtype, shape, begin, end)                                                          \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end   \
  "]}"

static void broken_files_are_refused(void **state) {
  (void)state;
  static const struct {
    int64_t claimed;
    const char *header;
    size_t data_bytes;
    const char *message;
  } cases[] = {
      {100000001, "{}", 0, "claims 100000001 bytes, a safetensors header has at most 100000000"},
      {-2, "{}", 0, "header claims 18446744073709551614"},
      {1000, "{}", 0, "claims 1000 bytes, the file has 10: the file is cut off"},
      {0, "", 0, "is nothing but zeros"},
      {-1, " {}", 0, "does not begin with '{'"},
      {-1, "{\"a\":", 0, "header: line 1, column 6"},
      {-1, "{" T("a", "F32", "[1]", 0, 4) "," T("a", "F32", "[1]", 4, 8) "}", 8,
       "the key \"a\" appears twice"},
      {-1, "{\"a\":3}", 0, "the header's entry a is not an object"},
      {-1, "{\"__metadata__\":{\"a\":1}}", 0, "__metadata__ is not an object of strings"},
      {-1, "{\"__metadata__\":\"pt\"}", 0, "__metadata__ is not an object of strings"},
      {-1, "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a has no dtype"},
      {-1, "{" T("a", "Q4", "[1]", 0, 4) "}", 4, "tensor a has the dtype \"Q4\""},
      {-1, "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor a has no shape"},
      {-1, "{" T("a", "F32", "[-1]", 0, 4) "}", 4, "dimension 0 of tensor a"},
      {-1, "{" T("a", "F32", "[1,0.5]", 0, 4) "}", 4, "dimension 1 of tensor a"},
      {-1, "{" T("a", "F32", "[9007199254740993]", 0, 4) "}", 4, "dimension 0 of tensor a"},
      {-1, "{" T("a", "F32", "[4503599627370496,4503599627370496]", 0, 0) "}", 0,
       "shape of tensor a has more than 2^63"},
      {-1, "{" T("a", "F64", "[2147483648,4503599627370496,1]", 0, 0) "}", 0, "shape of tensor a"},
      {-1, "{" T("a", "F32", "[2147483648,1073741824,1]", 0, 0) "}", 0, "tensor a has 0 bytes"},
      {-1, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets of"},
      {-1, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "data_offsets"},
      {-1, "{" T("a", "F32", "[1]", 4, 0) "}", 4, "not two ascending offsets"},
      {-1, "{" T("a", "F32", "[1]", -4, 0) "}", 4, "not two ascending offsets"},
      {-1, "{" T("a", "F32", "[1]", 0, 8) "}", 8, "8 bytes by its data_offsets, and 1 elements"},
      {-1, "{" T("a", "F4", "[3]", 0, 1) "}", 1, "tensor a has 1 bytes"},
      {-1, "{" T("a", "F32", "[1]", 4, 8) "}", 8, "there is a hole before it"},
      {-1, "{" T("a", "F32", "[1]", 0, 4) "," T("b", "F32", "[1]", 0, 4) "}", 4,
       "there is an overlap before it"},
      {-1, "{" T("a", "F32", "[2]", 0, 8) "," T("b", "F32", "[1]", 4, 8) "}", 8, "an overlap"},
      {-1, "{" T("a", "F32", "[1]", 0, 4) "," T("b", "F32", "[1]", 8, 12) "}", 12, "a hole"},
      {-1, "{" T("a", "F32", "[1]", 0, 4) "}", 5, "too long"},
      {-1, "{" T("a", "F32", "[2]", 0, 8) "}", 7, "cut off"},
      {-1, "{" T("a", "F32", "[1]", 9007199254740000, 9007199254740004) "}", 4, "a hole"},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_safetensors *st = NULL;
    write_file("bad.safetensors", cases[i].claimed, cases[i].header, cases[i].data_bytes);
    assert_fails(ft_safetensors_open(in_scratch("bad.safetensors"), &st), FT_ERR_DATA,
                 cases[i].message);
    assert_non_null(strstr(ft_error_message(), "bad.safetensors: "));
    assert_null(st);
  }
  ft_safetensors *st;
  write_bytes(in_scratch("short"), "1234567", 7);
  assert_fails(ft_safetensors_open(in_scratch("short"), &st), FT_ERR_DATA,
               "is plain text; a safetensors file");
  assert_fails(ft_safetensors_open(in_scratch("none"), &st), FT_ERR_NOINPUT, "/none");
  assert_fails(ft_safetensors_open(scratch, &st), FT_ERR_NOINPUT, "has neither model.safetensors");
}

/* Unaligned, out of order, with padding, empty tensors, scalars and dtypes that cannot be read. */
static void odd_files_are_read(void **state) {
  (void)state;
  ft_safetensors *nothing;
  write_file("no tensors", -1, "{}", 0);
  assert_ok(ft_safetensors_open(in_scratch("no tensors"), &nothing));
  assert_int_equal(ft_safetensors_count(nothing), 0);
  ft_safetensors_close(nothing);
  write_file("null", -1, "{\"__metadata__\":null," T("a", "F32", "[1]", 0, 4) "}", 4);
  assert_ok(ft_safetensors_open(in_scratch("null"), &nothing));
  assert_int_equal(ft_safetensors_count(nothing), 1);
  ft_safetensors_close(nothing);
  write_file("a", -1,
             "{\"__metadata__\":{\"format\":\"pt\"}," T("z", "F32", "[1,2]", 1, 9) "," T(
                 "u", "U8", "[1]", 0, 1) "," T("none", "F32", "[0,7]", 9,
                                               9) "," T("scalar", "BF16", "[]", 9,
                                                        11) "," T("deep", "F16", "[1,1,1,1,1]", 11,
                                                                  13) "}   ",
             13);
  ft_safetensors *st;
  assert_ok(ft_safetensors_open(in_scratch("a"), &st));
  assert_int_equal(ft_safetensors_count(st), 5);
  assert_string_equal(ft_safetensors_at(st, 0)->name, "deep");
  assert_string_equal(ft_safetensors_at(st, 4)->name, "z");
  const ft_safetensor *z = ft_safetensors_find(st, "z");
  assert_true(z && z->supported && z->num_dims == 2 && z->dims[1] == 2 && z->elements == 2);
  float values[2], one;
  static const unsigned char expected[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  assert_ok(ft_safetensors_read(st, z, 0, 2, values));
  assert_memory_equal(values, expected, 8);
  assert_ok(ft_safetensors_read(st, z, 1, 1, &one));
  assert_memory_equal(&one, expected + 4, 4);
  assert_ok(ft_safetensors_read(st, z, 2, 0, &one));
  assert_fails(ft_safetensors_read(st, z, 1, 2, values), FT_ERR_INTERNAL, "elements 1");
  assert_fails(ft_safetensors_read(st, z, -1, 1, values), FT_ERR_INTERNAL, "elements -1");
  assert_fails(ft_safetensors_read(st, z, 0, INT64_MAX, values), FT_ERR_INTERNAL, "elements 0");
  const ft_safetensor *scalar = ft_safetensors_find(st, "scalar");
  assert_true(scalar && scalar->elements == 1 && scalar->dtype == FT_BF16);
  assert_int_equal(ft_safetensors_find(st, "none")->elements, 0);
  assert_fails(ft_safetensors_read(st, ft_safetensors_find(st, "u"), 0, 1, values), FT_ERR_DATA,
               "tensor u is U8");
  assert_fails(ft_safetensors_read(st, ft_safetensors_find(st, "deep"), 0, 1, values), FT_ERR_DATA,
               "with 5 dimensions");
  assert_null(ft_safetensors_find(st, "y"));
  assert_non_null(strstr(ft_safetensors_file(st, z), "/a"));
  ft_safetensors_close(st);
}

static void write_index(const char *map) {
  char text[500];
  snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":8},\"weight_map\":%s}", map);
  write_bytes(in_scratch("model.safetensors.index.json"), text, strlen(text));
}

static void indexes_are_followed(void **state) {
  (void)state;
  write_file("one", -1, "{" T("a", "F32", "[1]", 0, 4) "," T("x", "F32", "[1]", 4, 8) "}", 8);
  write_file("two", -1, "{" T("b", "F32", "[1]", 0, 4) "," T("a", "F32", "[1]", 4, 8) "}", 8);
  ft_safetensors *st;
  write_index("{\"a\":\"two\",\"b\":\"two\",\"x\":\"one\"}");
  assert_ok(ft_safetensors_open(scratch, &st));
  assert_int_equal(ft_safetensors_count(st), 3);
  assert_string_equal(ft_safetensors_remarks(st), "tensors lie in several files: a, read from two");
  assert_non_null(strstr(ft_safetensors_file(st, ft_safetensors_find(st, "a")), "/two"));
  assert_non_null(strstr(ft_safetensors_file(st, ft_safetensors_find(st, "x")), "/one"));
  ft_safetensors_close(st);
  write_index("{\"a\":\"one\"}");
  assert_ok(ft_safetensors_open(scratch, &st));
  assert_int_equal(ft_safetensors_count(st), 2); /* x is not named; transformers reads it, too */
  assert_string_equal(ft_safetensors_remarks(st), "");
  ft_safetensors_close(st);
  static const struct {
    const char *map, *message;
  } cases[] = {
      {"{\"a\":\"three\"}", "names the file three, which does not exist"},
      {"{\"a\":\"../one\"}", "weight_map of tensor a is \"../one\", the plain name"},
      {"{\"a\":\"/etc/passwd\"}", "the plain name"},
      {"{\"a\":\"..\"}", "the plain name"},
      {"{\"a\":\"\"}", "the plain name"},
      {"{\"a\":1}", "the plain name"},
      {"{}", "weight_map is empty"},
      {"[]", "has no object \"weight_map\""},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    write_index(cases[i].map);
    assert_fails(ft_safetensors_open(scratch, &st), FT_ERR_DATA, cases[i].message);
  }
  write_file("model.safetensors", -1, "{" T("only", "F32", "[1]", 0, 4) "}", 4);
  assert_ok(ft_safetensors_open(scratch, &st)); /* comes before the index */
  assert_string_equal(ft_safetensors_at(st, 0)->name, "only");
  assert_non_null(strstr(ft_safetensors_remarks(st), "remove the one that is out of date"));
  ft_safetensors_close(st);
  write_index("{\"only\":\"model.safetensors\"}");
  assert_ok(ft_safetensors_open(scratch, &st));
  assert_string_equal(ft_safetensors_remarks(st), "");
  ft_safetensors_close(st);
  assert_ok(ft_remove_tree(in_scratch("model.safetensors")));
}

/* transformers loads these models: what the files hold is what counts. */
static void an_index_that_differs_from_its_files_is_remarked(void **state) {
  (void)state;
  write_file("one", -1, "{" T("a", "F32", "[1]", 0, 4) "," T("x", "F32", "[1]", 4, 8) "}", 8);
  write_file("two", -1, "{" T("b", "F32", "[1]", 0, 4) "," T("a", "F32", "[1]", 4, 8) "}", 8);
  static const struct {
    const char *map, *remarks;
    int count;
  } cases[] = {
      {"{\"a\":\"one\",\"c\":\"one\"}", "the index names tensors that no file has: c", 2},
      {"{\"a\":\"one\",\"c1\":\"one\",\"c2\":\"one\",\"c3\":\"one\",\"c4\":\"one\"}",
       "the index names tensors that no file has: c1, c2, c3 and 1 more", 2},
      {"{\"a\":\"one\",\"b\":\"one\",\"x\":\"two\"}",
       "tensors lie in other files than the index says: b in two instead of one, x in one "
       "instead of two; tensors lie in several files: a, read from one",
       3},
      {"{\"b\":\"two\",\"x\":\"one\"}", "tensors lie in several files: a, read from two", 3},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_safetensors *st;
    write_index(cases[i].map);
    assert_ok(ft_safetensors_open(scratch, &st));
    assert_string_equal(ft_safetensors_remarks(st), cases[i].remarks);
    assert_int_equal(ft_safetensors_count(st), cases[i].count);
    ft_safetensors_close(st);
  }
}

static void files_round_trip(void **state) {
  (void)state;
  ft_safetensor tensors[] = {
      {.name = "b.weight", .dtype = FT_F32, .num_dims = 2, .dims = {3, 5}},
      {.name = "a", .dtype = FT_BF16, .num_dims = 1, .dims = {17}},
      {.name = "s", .dtype = FT_F16, .num_dims = 0},
      {.name = "e", .dtype = FT_F32, .num_dims = 1, .dims = {0}},
  };
  enum { BYTES = 60 + 34 + 2 };
  char data[BYTES], back[BYTES];
  for (int i = 0; i < BYTES; i++)
    data[i] = (char)(3 * i);
  ft_safetensors_writer *w;
  assert_ok(ft_safetensors_writer_new(in_scratch("f"), tensors, 4, &w));
  for (int i = 0; i < BYTES; i += 7)
    assert_ok(ft_safetensors_write(w, data + i, (size_t)FT_MIN(7, BYTES - i)));
  assert_false(ft_path_exists(in_scratch("f")));
  assert_ok(ft_safetensors_writer_close(w, true));
  ft_safetensors *st;
  assert_ok(ft_safetensors_open(in_scratch("f"), &st));
  const ft_safetensor *b = ft_safetensors_find(st, "b.weight"), *s = ft_safetensors_find(st, "s");
  assert_int_equal(b->begin % 8, 0);
  assert_int_equal(s->begin, b->begin + 94);
  assert_ok(ft_safetensors_read(st, b, 0, 15, back));
  assert_ok(ft_safetensors_read(st, ft_safetensors_find(st, "a"), 0, 17, back + 60));
  assert_ok(ft_safetensors_read(st, s, 0, 1, back + 94));
  assert_memory_equal(data, back, BYTES);
  ft_safetensors_close(st);
}

static void unfinished_files_do_not_appear(void **state) {
  (void)state;
  ft_safetensor tensor = {.name = "a", .dtype = FT_F32, .num_dims = 1, .dims = {2}};
  float values[3] = {1, 2, 3};
  ft_safetensors_writer *w;
  assert_ok(ft_safetensors_writer_new(in_scratch("f"), &tensor, 1, &w));
  assert_ok(ft_safetensors_write(w, values, 4));
  assert_fails(ft_safetensors_writer_close(w, true), FT_ERR_INTERNAL, "bytes were written");
  assert_ok(ft_safetensors_writer_new(in_scratch("f"), &tensor, 1, &w));
  assert_fails(ft_safetensors_write(w, values, 12), FT_ERR_INTERNAL, "more bytes");
  assert_fails(ft_safetensors_writer_close(w, true), FT_ERR_INTERNAL, "earlier write failed");
  assert_ok(ft_safetensors_writer_new(in_scratch("f"), &tensor, 1, &w));
  assert_ok(ft_safetensors_write(w, values, 8));
  assert_ok(ft_safetensors_writer_close(w, false));
  assert_false(ft_path_exists(in_scratch("f")) || ft_path_exists(in_scratch("f.tmp")));
  assert_fails(ft_safetensors_writer_new(in_scratch("no/f"), &tensor, 1, &w), FT_ERR_CREATE,
               "no/f");
}

/* 50,000 tensors, as a mixture of experts has: found by search, not by walking. */
static void many_tensors_take_no_quadratic_time(void **state) {
  (void)state;
  enum { COUNT = 50000 };
  ft_safetensor *tensors = calloc(COUNT, sizeof *tensors);
  for (int i = 0; i < COUNT; i++) {
    tensors[i] = (ft_safetensor){.name = malloc(16), .dtype = FT_BF16, .num_dims = 1, .dims = {1}};
    sprintf(tensors[i].name, "t%d", i);
  }
  double start = ft_now_s();
  ft_safetensors_writer *w;
  assert_ok(ft_safetensors_writer_new(in_scratch("f"), tensors, COUNT, &w));
  uint16_t *data = malloc(COUNT * 2), value;
  for (int i = 0; i < COUNT; i++)
    data[i] = (uint16_t)i;
  assert_ok(ft_safetensors_write(w, data, COUNT * 2));
  assert_ok(ft_safetensors_writer_close(w, true));
  ft_safetensors *st;
  assert_ok(ft_safetensors_open(in_scratch("f"), &st));
  for (int i = 0; i < COUNT; i++)
    assert_non_null(ft_safetensors_find(st, tensors[i].name));
  assert_ok(ft_safetensors_read(st, ft_safetensors_find(st, "t49999"), 0, 1, &value));
  assert_int_equal(value, 49999);
  assert_true(ft_now_s() - start < 10);
  ft_safetensors_close(st);
  for (int i = 0; i < COUNT; i++)
    free(tensors[i].name);
  free(tensors);
  free(data);
}

/* ---------------------------------------------------------------- checksums */

/* Opens a file and reads each tensor from element `from` on, as a rank does, or verifies it. */
static ft_err read_file(const char *path, int64_t from, bool verify) {
  static char data[4 << 20];
  ft_safetensors *st;
  bool found;
  ft_err err = ft_safetensors_open(path, &st);
  if (err != FT_OK) return err;
  for (int64_t i = 0; err == FT_OK && !verify && i < ft_safetensors_count(st); i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    err = ft_safetensors_read(st, t, from, t->elements - from, data);
  }
  if (verify) {
    err = ft_safetensors_verify(st, 0, &found);
    assert_true(found);
  }
  ft_safetensors_close(st);
  return err;
}

static void write_tensors(const char *path, int64_t elements) {
  ft_safetensor tensors[] = {
      {.name = "a", .dtype = FT_F32, .num_dims = 1, .dims = {elements}},
      {.name = "b\"\\", .dtype = FT_BF16, .num_dims = 2, .dims = {2, elements}}};
  ft_safetensors_writer *w;
  assert_ok(ft_safetensors_writer_new(path, tensors, 2, &w));
  for (int64_t i = 0; i < 2 * elements; i++) {
    uint32_t value = (uint32_t)i * 2654435761u;
    assert_ok(ft_safetensors_write(w, &value, 4));
  }
  assert_ok(ft_safetensors_writer_close(w, true));
}

/* Every single bit of a small file. */
static void every_flipped_bit_is_found(void **state) {
  (void)state;
  const char *path = in_scratch("bits.safetensors");
  write_tensors(path, 8);
  assert_ok(read_file(path, 0, true));
  for (int64_t at = 0; at < file_size(path); at++)
    for (int bit = 0; bit < 8; bit++) {
      flip_bit(path, at, bit);
      assert_fails(read_file(path, 0, true), FT_ERR_DATA, "bits.safetensors: ");
      flip_bit(path, at, bit);
    }
  assert_ok(read_file(path, 0, true));
}

/* Chunks that are read whole are compared; a part of one is not, so that no byte is read twice. */
static void whole_chunks_are_verified(void **state) {
  (void)state;
  const char *path = in_scratch("large.safetensors");
  const int64_t elements = 200000; /* two tensors of 800,000 bytes, chunks of 65,536 */
  write_tensors(path, elements);
  int64_t buffer = file_size(path) - 8 * elements;
  static const int64_t starts[] = {0, 1, 16383, 16384, 16385, 199999};
  for (size_t i = 0; i < FT_ARRAY_SIZE(starts); i++)
    assert_ok(read_file(path, starts[i], false));
  assert_ok(read_file(path, 0, true));
  flip_bit(path, buffer + 10, 3);
  assert_fails(read_file(path, 0, true), FT_ERR_DATA, "the checksum of bytes ");
  assert_fails(read_file(path, 0, false), FT_ERR_DATA, "does not fit");
  assert_ok(read_file(path, 1, false)); /* a part of the first chunk */
  flip_bit(path, buffer + 10, 3);
  flip_bit(path, buffer + 8 * elements - 1, 0);
  assert_fails(read_file(path, 0, false), FT_ERR_DATA, "large.safetensors: ");
  assert_fails(read_file(path, 0, true), FT_ERR_DATA, "large.safetensors: ");
}

/* Adds up what parts of `units` units give, read from the last to the first. */
static uint64_t sum_of_parts(ft_safetensors *st, const ft_safetensor *t, int64_t units) {
  static char data[1 << 20];
  int64_t part = units * FT_SAFETENSORS_UNIT;
  uint64_t sum = 0;
  for (int64_t start = (t->elements / part) * part; start >= 0; start -= part) {
    int64_t count = FT_MIN(part, t->elements - start);
    assert_ok(ft_safetensors_read(st, t, start, count, data));
    sum += ft_safetensors_part_sum(t, start, count, data);
  }
  return sum;
}

/* However a tensor is cut into parts; for tensors of every length that is special. */
static void sums_of_parts_are_those_of_tensors(void **state) {
  (void)state;
  static const int64_t lengths[] = {0, 1, 255, 256, 257, 0, 512, 70000, 0};
  enum { COUNT = FT_ARRAY_SIZE(lengths) };
  ft_safetensor tensors[COUNT];
  char names[COUNT][8];
  const char *path = in_scratch("sums.safetensors");
  ft_safetensors_writer *w;
  ft_safetensors *st;
  for (int i = 0; i < COUNT; i++) {
    snprintf(names[i], sizeof names[i], "t%d", COUNT - i);
    tensors[i] = (ft_safetensor){
        .name = names[i], .dtype = (ft_dtype)(i % 3), .num_dims = 1, .dims = {lengths[i]}};
  }
  assert_ok(ft_safetensors_writer_new(path, tensors, COUNT, &w));
  for (int i = 0; i < COUNT; i++)
    for (int64_t k = 0; k < lengths[i] * (int64_t)ft_dtype_bytes(tensors[i].dtype); k++)
      assert_ok(ft_safetensors_write(w, &(char){(char)(k * 7 + i)}, 1));
  assert_ok(ft_safetensors_writer_close(w, true));
  assert_ok(ft_safetensors_open(path, &st));
  for (int64_t i = 0; i < COUNT; i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    assert_true(t->has_sum);
    for (int64_t units = 1; units < 300; units = 3 * units + 1)
      assert_true(sum_of_parts(st, t, units) == t->sum);
    if (t->elements == 0) continue;
    flip_bit(path, t->begin + (t->elements - 1) / 2, 5);
    assert_true(sum_of_parts(st, t, 1) != t->sum);
    flip_bit(path, t->begin + (t->elements - 1) / 2, 5);
  }
  ft_safetensors_close(st);
}

int main(void) {
  const struct CMUnitTest tests[] = {TEST(every_flipped_bit_is_found),
                                     TEST(whole_chunks_are_verified),
                                     TEST(sums_of_parts_are_those_of_tensors),
                                     TEST(broken_files_are_refused),
                                     TEST(odd_files_are_read),
                                     TEST(indexes_are_followed),
                                     TEST(an_index_that_differs_from_its_files_is_remarked),
                                     TEST(files_round_trip),
                                     TEST(unfinished_files_do_not_appear),
                                     TEST(many_tensors_take_no_quadratic_time)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
