/* Proves that shards of every kind, and what their documents were made with, come back as they were
 * written, read by ftrun and by HDF5's library, and that incomplete ones never appear.
 * Alone: build/tests/io/test_tokens_kinds */
#include "hdf5_test.h"

static const uint32_t ids[] = {5, 6, 7, 8, 9, 10};
static const uint8_t ones[] = {0, 1, 1, 1, 1, 1};

static void values_round_trip(void **state) {
  (void)state;
  static const struct {
    ft_tokens_kind kind;
    const char *name;
    int32_t values[3];
  } cases[] = {{FT_TOKENS_UNPAIRED, "label", {1, 0, 1}},
               {FT_TOKENS_CLASSES, "classes", {0, 70000, 3}}};
  for (size_t c = 0; c < FT_ARRAY_SIZE(cases); c++) {
    const char *path = in_scratch("v.h5");
    ft_tokens_writer *w;
    ft_tokens_file *f;
    int32_t values[3];
    assert_ok(ft_tokens_writer_new(path, cases[c].kind, 100, "", &w));
    for (int d = 0; d < 3; d++)
      assert_ok(ft_tokens_write_value(w, ids, ones, 2 + d, cases[c].values[d]));
    assert_ok(ft_tokens_writer_close(w, true));
    assert_ok(ft_tokens_open(path, &f));
    assert_int_equal(f->kind, cases[c].kind);
    assert_ok(ft_tokens_values(f, 0, 3, values));
    assert_memory_equal(values, cases[c].values, sizeof values);
    assert_ok(ft_tokens_values(f, 2, 1, values));
    assert_int_equal(values[0], cases[c].values[2]);
    ft_tokens_close(f);
    int32_t *by_hdf5 = read_by_hdf5(path, cases[c].name, H5T_NATIVE_INT32);
    assert_memory_equal(by_hdf5, cases[c].values, sizeof values);
    free(by_hdf5);
  }
}

static void labels_round_trip(void **state) {
  (void)state;
  static const int32_t labels[] = {FT_TOKENS_NO_LABEL, 6, FT_TOKENS_NO_LABEL, 99};
  static const uint8_t mask_wanted[] = {0, 1, 0, 1};
  ft_tokens_writer *w;
  ft_tokens_file *f;
  int32_t read[4];
  uint8_t mask[4];
  assert_ok(ft_tokens_writer_new(in_scratch("m.h5"), FT_TOKENS_MASKED, 100, "", &w));
  assert_ok(ft_tokens_write_labels(w, ids, labels, 4));
  assert_ok(ft_tokens_writer_close(w, true));
  assert_ok(ft_tokens_open(in_scratch("m.h5"), &f));
  assert_true(f->has_labels);
  assert_ok(ft_tokens_labels(f, 0, 4, read));
  assert_memory_equal(read, labels, sizeof read);
  assert_ok(ft_tokens_read(f, 0, 4, NULL, mask));
  assert_memory_equal(mask, mask_wanted, 4);
  ft_tokens_close(f);
  /* without: they are drawn while training */
  assert_ok(ft_tokens_writer_new(in_scratch("d.h5"), FT_TOKENS_MASKED, 100, "", &w));
  assert_ok(ft_tokens_write(w, ids, ones, 4));
  assert_ok(ft_tokens_writer_close(w, true));
  assert_ok(ft_tokens_open(in_scratch("d.h5"), &f));
  assert_false(f->has_labels);
  ft_tokens_close(f);
}

/* What is missing or impossible never becomes a shard. */
static void incomplete_kinds(void **state) {
  (void)state;
  static const int32_t labels[] = {1, 100};
  ft_tokens_writer *w;
  assert_ok(ft_tokens_writer_new(in_scratch("p.h5"), FT_TOKENS_PREFERENCE, 100, "", &w));
  assert_ok(ft_tokens_write(w, ids, ones, 2));
  assert_fails(ft_tokens_writer_close(w, true), FT_ERR_DATA, "pairs of them were expected");
  assert_ok(ft_tokens_writer_new(in_scratch("p.h5"), FT_TOKENS_CLASSES, 100, "", &w));
  assert_ok(ft_tokens_write(w, ids, ones, 2));
  assert_fails(ft_tokens_writer_close(w, true), FT_ERR_DATA, "its classes");
  assert_ok(ft_tokens_writer_new(in_scratch("p.h5"), FT_TOKENS_MASKED, 100, "", &w));
  assert_fails(ft_tokens_write_labels(w, ids, labels, 2), FT_ERR_DATA,
               "token 1 of a document is 100");
  assert_int_not_equal(ft_tokens_writer_close(w, true), FT_OK);
  assert_ok(ft_tokens_writer_new(in_scratch("p.h5"), FT_TOKENS_UNPAIRED, 100, "", &w));
  assert_fails(ft_tokens_write_value(w, ids, ones, 2, 2), FT_ERR_DATA, "label 2");
  assert_int_not_equal(ft_tokens_writer_close(w, true), FT_OK);
  assert_ok(ft_tokens_writer_new(in_scratch("p.h5"), FT_TOKENS_SFT, 100, "", &w));
  assert_fails(ft_tokens_write_value(w, ids, ones, 2, 1), FT_ERR_INTERNAL, "have no values");
  (void)ft_tokens_writer_close(w, false);
  assert_false(ft_path_exists(in_scratch("p.h5")));
}

/* What documents were made with is kept, also a long system message, and HDF5 reads all of it. */
static void preparation_round_trip(void **state) {
  (void)state;
  char *system = malloc(FT_TOKENS_MAX_SYSTEM + 2);
  memset(system, 's', FT_TOKENS_MAX_SYSTEM + 1);
  system[FT_TOKENS_MAX_SYSTEM + 1] = 0;
  ft_tokens_preparation p = {.template_name = "model", .end_of_turn = {7, 9}, .num_end_of_turn = 2};
  p.system = system;
  ft_sha256_hex("x", 1, p.template_sha256);
  snprintf(p.template_date, sizeof p.template_date, "2026-01-31T12:00:00");
  ft_tokens_writer *w;
  ft_tokens_file *f, *g;
  const char *what;
  assert_ok(ft_tokens_writer_new(in_scratch("a.h5"), FT_TOKENS_SFT, 100, "", &w));
  assert_fails(ft_tokens_writer_prepared(w, &p), FT_ERR_DATA, "the system message has 32769 bytes");
  system[FT_TOKENS_MAX_SYSTEM] = 0;
  assert_ok(ft_tokens_writer_prepared(w, &p));
  assert_ok(ft_tokens_write(w, ids, ones, 3));
  assert_ok(ft_tokens_writer_close(w, true));
  assert_ok(ft_tokens_open(in_scratch("a.h5"), &f));
  assert_string_equal(f->preparation.template_name, "model");
  assert_string_equal(f->preparation.template_sha256, p.template_sha256);
  assert_string_equal(f->preparation.template_date, p.template_date);
  assert_string_equal(f->preparation.system, system);
  assert_int_equal(f->preparation.num_end_of_turn, 2);
  assert_int_equal(f->preparation.end_of_turn[1], 9);
  check_attribute(in_scratch("a.h5"), "system", system);
  check_attribute(in_scratch("a.h5"), "template", "model");
  /* another template or system message is not mixed with it; what is unknown may be */
  p.system = NULL;
  assert_ok(ft_tokens_writer_new(in_scratch("b.h5"), FT_TOKENS_SFT, 100, "", &w));
  assert_ok(ft_tokens_writer_prepared(w, &p));
  assert_ok(ft_tokens_writer_close(w, true));
  assert_ok(ft_tokens_open(in_scratch("b.h5"), &g));
  assert_false(ft_tokens_same_preparation(&f->preparation, &g->preparation, &what));
  assert_string_equal(what, "system message");
  assert_true(ft_tokens_same_preparation(&f->preparation, &(ft_tokens_preparation){0}, &what));
  strcpy(g->preparation.template_name, "chatml");
  assert_false(ft_tokens_same_preparation(&f->preparation, &g->preparation, &what));
  assert_string_equal(what, "template");
  /* and what a shard is known by follows both */
  uint64_t one, other;
  assert_ok(ft_tokens_identity(f, &one));
  assert_ok(ft_tokens_identity(g, &other));
  assert_true(one != other);
  ft_tokens_close(f);
  ft_tokens_close(g);
  free(system);
}

int main(void) {
  const struct CMUnitTest tests[] = {TEST(values_round_trip), TEST(labels_round_trip),
                                     TEST(incomplete_kinds), TEST(preparation_round_trip)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
