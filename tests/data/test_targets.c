/* Proves what is to be predicted of shards of kinds masked and classes: labels as they stand, masks
 * that are drawn (how many, what becomes of them, the same again, others in another epoch), classes
 * of whole documents; and what is refused. Run alone: meson test data-targets */
#include "data_fixtures.h"

enum { MASK_TOKEN = 3, DOCUMENTS = 400, LENGTH = 30 };

/* Document d has tokens 100 + i; of each only tokens 1 … may be masked. */
static void write_masked(const char *name, bool with_labels, int64_t mask_token) {
  ft_tokens_writer *w;
  uint32_t tokens[LENGTH];
  uint8_t mask[LENGTH];
  int32_t labels[LENGTH];
  ft_tokens_preparation p = {.mask_token = mask_token};
  assert_ok(ft_tokens_writer_new(in_root(name), FT_TOKENS_MASKED, 200, "", &w));
  assert_ok(ft_tokens_writer_prepared(w, &p));
  for (int i = 0; i < LENGTH; i++) {
    tokens[i] = (uint32_t)(100 + i);
    mask[i] = i > 0;
    labels[i] = i % 7 == 2 ? 150 + i : FT_TOKENS_NO_LABEL;
  }
  for (int d = 0; d < DOCUMENTS; d++)
    if (with_labels)
      assert_ok(ft_tokens_write_labels(w, tokens, labels, LENGTH));
    else
      assert_ok(ft_tokens_write(w, tokens, mask, LENGTH));
  assert_ok(ft_tokens_writer_close(w, true));
}

static void write_classes(const char *name, int32_t largest) {
  ft_tokens_writer *w;
  static const uint32_t tokens[4] = {1, 2, 3, 4};
  static const uint8_t mask[4] = {0};
  assert_ok(ft_tokens_writer_new(in_root(name), FT_TOKENS_CLASSES, 200, "", &w));
  for (int d = 0; d < 12; d++)
    assert_ok(ft_tokens_write_value(w, tokens, mask, 1 + d % 4, d == 11 ? largest : d % 3));
  assert_ok(ft_tokens_writer_close(w, true));
}

static ft_data *open_target(const char *name, ft_data_target target, bool packing) {
  ft_data *data;
  const ft_data_source source = {.path = in_root(name), .weight = 1};
  ft_data_options options = options_of(&source, 1);
  options.target = target;
  options.num_classes = 3;
  options.packing = packing;
  options.model_vocab = 200;
  assert_ok(ft_data_open(&options, &data));
  return data;
}

static void labels_are_taken_as_they_stand(void **state) {
  (void)state;
  write_masked("given", true, 0);
  ft_data *data = open_target("given", FT_TARGET_MASKED, false);
  ft_batch b = {0};
  int64_t targets;
  assert_ok(ft_data_rows(data, 3, 2, &b));
  for (int64_t i = 0; i < b.num_tokens; i++) {
    int64_t at = i % LENGTH;
    assert_int_equal(b.tokens[i], 100 + at);
    assert_int_equal(b.targets[i], at % 7 == 2 ? 150 + at : -1);
    assert_int_equal(b.positions[i], at);
  }
  assert_int_equal(b.num_targets, 2 * 4);
  targets = targets_of(data, 3, 2);
  assert_int_equal(targets, b.num_targets);
  assert_int_equal(targets_of(data, 0, ft_data_num_rows(data)), DOCUMENTS * 4);
  ft_batch_fini(&b);
  ft_data_close(data);
}

/* Counts of a whole epoch. */
typedef struct tally {
  int64_t targets, masked, kept, other;
  uint64_t hash;
} tally;

static tally count_epoch(ft_data *data, int64_t epoch) {
  tally t = {0};
  ft_batch b = {0};
  int64_t counted;
  assert_ok(ft_data_rows(data, epoch * DOCUMENTS, DOCUMENTS, &b));
  counted = targets_of(data, epoch * DOCUMENTS, DOCUMENTS);
  assert_int_equal(counted, b.num_targets);
  for (int64_t i = 0; i < b.num_tokens; i++) {
    int64_t at = i % LENGTH;
    if (b.targets[i] < 0) assert_int_equal(b.tokens[i], 100 + at);
    if (b.targets[i] < 0) continue;
    assert_int_equal(b.targets[i], 100 + at);
    assert_true(at > 0);
    t.targets++;
    t.masked += b.tokens[i] == MASK_TOKEN;
    t.kept += b.tokens[i] == 100 + (uint32_t)at;
  }
  t.other = t.targets - t.masked - t.kept;
  t.hash = ft_hash64(b.tokens, (size_t)b.num_tokens * sizeof *b.tokens, 0);
  ft_batch_fini(&b);
  return t;
}

static void masks_are_drawn_anew_in_each_epoch(void **state) {
  (void)state;
  write_masked("drawn", false, MASK_TOKEN);
  ft_data *data = open_target("drawn", FT_TARGET_MASKED, false);
  tally first = count_epoch(data, 0), again = count_epoch(data, 0), second = count_epoch(data, 1);
  int64_t candidates = DOCUMENTS * (LENGTH - 1);
  assert_true(first.hash == again.hash && first.hash != second.hash);
  assert_true(fabs((double)first.targets / (double)candidates - 0.15) < 0.015);
  assert_true(fabs((double)first.masked / (double)first.targets - 0.8) < 0.04);
  assert_true(fabs((double)first.other / (double)first.targets - 0.1) < 0.03);
  assert_int_equal(targets_of(data, 0, ft_data_num_rows(data)), first.targets);
  ft_data_close(data);
}

static void documents_have_their_classes(void **state) {
  (void)state;
  write_classes("classes", 2);
  ft_data *data = open_target("classes", FT_TARGET_CLASS, true);
  ft_batch b = {0};
  assert_ok(ft_data_rows(data, 0, 1, &b));
  assert_int_equal(b.num_targets, b.num_documents);
  assert_true(b.num_documents > 4);
  for (int64_t d = 0; d < b.num_documents; d++) {
    assert_int_equal(b.classes[d], d % 3);
    assert_int_equal(b.offsets[d + 1] - b.offsets[d], 1 + d % 4);
  }
  ft_batch_fini(&b);
  ft_data_close(data);
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  ft_data *data;
  write_masked("unknown", false, 0);
  write_classes("beyond", 3);
  const struct {
    const char *name;
    ft_data_target target;
    const char *part;
  } cases[] = {{"unknown", FT_TARGET_MASKED, "mask_token"},
               {"unknown", FT_TARGET_NEXT, "objective.name tokens takes kinds text and sft"},
               {"beyond", FT_TARGET_CLASS, "document 11 has class 3"},
               {"beyond", FT_TARGET_MASKED, "takes kinds masked"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    const ft_data_source source = {.path = in_root(cases[i].name), .weight = 1};
    ft_data_options options = options_of(&source, 1);
    options.target = cases[i].target;
    options.num_classes = 3;
    assert_fails(ft_data_open(&options, &data), FT_ERR_DATA, cases[i].part);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(labels_are_taken_as_they_stand),
      cmocka_unit_test(masks_are_drawn_anew_in_each_epoch),
      cmocka_unit_test(documents_have_their_classes),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
