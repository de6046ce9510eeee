/* Proves that the documents of a pair stay side by side in every order of rows and every packing,
 * that a batch says of each what it is, and that mismatched documents are those of the global
 * batch's order, however it is dealt to micro-batches. Run alone: meson test data-answers */
#include "data_fixtures.h"

enum { DOCUMENTS = 60 };

/* Document d: its prompt has 2 + d / 2 % 3 tokens (both of a pair the same number), its answer
 * 1 + d % 5. Token i is d * STRIDE + i. */
static int prompt_of(int d) {
  return 2 + d / 2 % 3;
}
static int length_of(int d) {
  return prompt_of(d) + 1 + d % 5;
}

static void write_answers(const char *name, ft_tokens_kind kind, int without_answer) {
  ft_tokens_writer *w;
  uint32_t tokens[STRIDE];
  uint8_t mask[STRIDE];
  assert_ok(ft_tokens_writer_new(in_root(name), kind, VOCAB, "", &w));
  for (int d = 0; d < DOCUMENTS; d++) {
    for (int i = 0; i < length_of(d); i++) {
      tokens[i] = (uint32_t)(d * STRIDE + i);
      mask[i] = i >= prompt_of(d) && d != without_answer;
    }
    if (kind == FT_TOKENS_UNPAIRED)
      assert_ok(ft_tokens_write_value(w, tokens, mask, length_of(d), d % 3 == 0));
    else
      assert_ok(ft_tokens_write(w, tokens, mask, length_of(d)));
  }
  assert_ok(ft_tokens_writer_close(w, true));
}

static ft_data_options answer_options(const ft_data_source *source, ft_data_target target) {
  ft_data_options options = options_of(source, 1);
  options.target = target;
  return options;
}

static void check_answer_targets(const ft_batch *b, int64_t d, int document, bool in_prompt) {
  int64_t at = b->offsets[d], length = b->offsets[d + 1] - at;
  assert_int_equal(length, length_of(document));
  assert_int_equal(b->documents[d].prompt_length, prompt_of(document));
  for (int64_t i = 0; i < length; i++) {
    bool is_target = i + 1 < length && (in_prompt || i + 1 >= prompt_of(document));
    assert_int_equal(b->targets[at + i], is_target ? document * STRIDE + (int)i + 1 : -1);
    assert_int_equal(b->of_answer[at + i], i + 1 < length && i + 1 >= prompt_of(document));
  }
}

/* One epoch: every pair once and whole. */
static void check_pairs(ft_data *data, bool in_prompt) {
  bool seen[DOCUMENTS] = {false};
  ft_data_counts counts, sum = {0};
  ft_batch b = {0};
  assert_ok(ft_data_rows(data, 0, ft_data_num_rows(data), &b));
  assert_ok(ft_data_count(data, 0, ft_data_num_rows(data), &counts));
  assert_int_equal(b.num_documents, DOCUMENTS);
  assert_int_equal(b.num_items, DOCUMENTS / 2);
  for (int64_t d = 0; d < b.num_documents; d++) {
    int document = (int)document_of(&b, d);
    assert_int_equal(document % 2, d % 2);
    assert_false(seen[document]);
    seen[document] = true;
    if (d % 2) assert_int_equal(document, document_of(&b, d - 1) + 1);
    assert_int_equal(b.documents[d].part, d % 2 ? FT_PART_REJECTED : FT_PART_CHOSEN);
    assert_int_equal(b.documents[d].item, d / 2);
    check_answer_targets(&b, d, document, in_prompt && d % 2 == 0);
    sum.chosen_answers += d % 2 ? 0 : length_of(document) - prompt_of(document);
    sum.chosen_tokens += d % 2 ? 0 : length_of(document) - 1;
  }
  assert_int_equal(counts.targets, b.num_targets);
  assert_int_equal(counts.items, b.num_items);
  assert_int_equal(counts.chosen_answers, sum.chosen_answers);
  assert_int_equal(counts.chosen_tokens, sum.chosen_tokens);
  assert_int_equal(targets_of(data, 0, ft_data_num_rows(data)), b.num_targets);
  ft_batch_fini(&b);
}

static void pairs_are_never_split(void **state) {
  (void)state;
  write_answers("pairs", FT_TOKENS_PREFERENCE, -1);
  const ft_data_source source = {in_root("pairs"), 1};
  for (int i = 0; i < 16; i++) {
    ft_data_options options = answer_options(&source, FT_TARGET_PAIR);
    options.packing = i & 1;
    options.shuffle = i & 2;
    options.best_fit = i & 4;
    options.prompt_targets = i & 8;
    ft_data *data;
    assert_ok(ft_data_open(&options, &data));
    if (options.packing)
      assert_in_range(ft_data_num_rows(data), DOCUMENTS * 7 / 64, DOCUMENTS / 4);
    else
      assert_int_equal(ft_data_num_rows(data), DOCUMENTS / 2);
    assert_in_range(ft_data_max_tokens(data, 1), 2, 2 * options.seq_len);
    check_pairs(data, options.prompt_targets);
    ft_data_close(data);
  }
}

/* Document `d` of b is the prompt of `prompt` with the answer of `answer`, cut at seq_len. */
static void check_mismatched(const ft_batch *b, int64_t d, int prompt, int answer, int seq_len) {
  int64_t at = b->offsets[d], length = b->offsets[d + 1] - at;
  int whole = prompt_of(prompt) + length_of(answer) - prompt_of(answer);
  assert_int_equal(length, FT_MIN(whole, seq_len));
  assert_int_equal(b->documents[d].part, FT_PART_MISMATCHED);
  assert_int_equal(b->documents[d].prompt_length, prompt_of(prompt));
  for (int i = 0; i < length; i++) {
    int in_answer = i - prompt_of(prompt);
    int want =
        in_answer < 0 ? prompt * STRIDE + i : answer * STRIDE + prompt_of(answer) + in_answer;
    assert_int_equal(b->tokens[at + i], want);
    assert_int_equal(b->positions[at + i], i);
    bool is_target = i + 1 < length && in_answer + 1 >= 0;
    assert_int_equal(b->targets[at + i], is_target ? (int)b->tokens[at + i + 1] : -1);
  }
}

/* Rows 7 … 30, in micro-batches of so many rows. */
static void check_global_batch(ft_data *data, int64_t micro_rows, int seq_len) {
  enum { FIRST = 7, ROWS = 24 };
  ft_batch all = {0}, b = {0};
  ft_data_counts counts;
  assert_ok(ft_data_rows(data, FIRST, ROWS, &all));
  int64_t before = all.num_documents - 1;
  for (int64_t row = FIRST, at = 0; row < FIRST + ROWS; row += micro_rows, at += b.num_items) {
    assert_ok(ft_data_rows(data, row, micro_rows, &b));
    int64_t own = b.num_documents, targets = b.num_targets, tokens = b.num_tokens;
    assert_ok(ft_data_count(data, row, micro_rows, &counts));
    assert_int_equal(counts.items, own);
    assert_int_equal(counts.targets, targets);
    assert_ok(ft_data_add_mismatched(data, row, micro_rows, FIRST, ROWS, &b));
    assert_int_equal(b.num_items, own);
    assert_int_equal(b.num_documents, 2 * own);
    assert_in_range(tokens, 1, ft_data_max_tokens(data, micro_rows));
    assert_in_range(b.num_tokens - tokens, 1, ft_data_max_tokens(data, micro_rows));
    for (int64_t d = 0; d < own; d++) {
      int document = (int)document_of(&b, d);
      assert_int_equal(document, document_of(&all, at + d));
      assert_int_equal(b.documents[d].hash, all.documents[at + d].hash);
      assert_int_equal(b.documents[d].part, document % 3 ? FT_PART_UNDESIRABLE : FT_PART_DESIRABLE);
      assert_int_equal(b.documents[own + d].item, d);
      check_mismatched(&b, own + d, document, (int)document_of(&all, before), seq_len);
      before = at + d;
    }
  }
  ft_batch_fini(&all);
  ft_batch_fini(&b);
}

static void mismatched_documents_are_of_the_global_batch(void **state) {
  (void)state;
  write_answers("rated", FT_TOKENS_UNPAIRED, -1);
  const ft_data_source source = {in_root("rated"), 1};
  for (int i = 0; i < 8; i++) {
    ft_data_options options = answer_options(&source, FT_TARGET_RATED);
    options.packing = i & 1;
    options.shuffle = i & 2;
    options.best_fit = i & 4;
    options.seq_len = i & 4 ? 9 : 10; /* the longest has 9 */
    ft_data *data;
    assert_ok(ft_data_open(&options, &data));
    for (int64_t rows = 1; rows <= 24; rows *= 2 + (rows == 2 || rows == 12))
      if (24 % rows == 0) check_global_batch(data, rows, (int)options.seq_len);
    ft_data_close(data);
  }
}

static void a_document_has_one_hash(void **state) {
  (void)state;
  ft_tokens_writer *w;
  static const uint32_t tokens[4] = {1, 2, 3, 4};
  static const uint8_t masks[3][4] = {{0, 0, 1, 1}, {0, 1, 1, 1}, {0, 0, 1, 1}};
  assert_ok(ft_tokens_writer_new(in_root("same"), FT_TOKENS_UNPAIRED, VOCAB, "", &w));
  for (int d = 0; d < 3; d++)
    assert_ok(ft_tokens_write_value(w, tokens, masks[d], 4, d == 0));
  assert_ok(ft_tokens_writer_close(w, true));
  const ft_data_source source = {in_root("same"), 1};
  ft_data_options options = answer_options(&source, FT_TARGET_RATED);
  ft_data *data;
  ft_batch b = {0};
  assert_ok(ft_data_open(&options, &data));
  assert_ok(ft_data_rows(data, 0, 3, &b));
  assert_int_equal(b.documents[0].hash, b.documents[2].hash);
  assert_int_not_equal(b.documents[0].hash, b.documents[1].hash);
  ft_batch_fini(&b);
  ft_data_close(data);
}

static void what_is_no_answer_is_refused(void **state) {
  (void)state;
  ft_data *data;
  write_answers("mute", FT_TOKENS_PREFERENCE, 5);
  write_answers("labelled", FT_TOKENS_UNPAIRED, -1);
  const int some_empty[] = {3, 0, 4, 5};
  write_shard("hollow", FT_TOKENS_PREFERENCE, 0, some_empty, 4);
  const struct {
    const char *name;
    ft_data_target target;
    const char *part;
  } cases[] = {{"mute", FT_TARGET_NEXT, "objective.name dpo, simpo, cpo, orpo and reward learns"},
               {"mute", FT_TARGET_RATED, "objective.name kto takes kinds unpaired"},
               {"labelled", FT_TARGET_PAIR, "reward takes kinds preference"},
               {"labelled", FT_TARGET_NEXT, "which objective.name kto learns from"},
               {"hollow", FT_TARGET_PAIR, "1 of its 4 documents of kind preference are empty"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    const ft_data_source source = {in_root(cases[i].name), 1};
    ft_data_options options = answer_options(&source, cases[i].target);
    assert_fails(ft_data_open(&options, &data), FT_ERR_DATA, cases[i].part);
  }
  const ft_data_source source = {in_root("mute"), 1};
  ft_data_options options = answer_options(&source, FT_TARGET_PAIR);
  ft_data_counts counts;
  ft_batch b = {0};
  assert_ok(ft_data_open(&options, &data));
  assert_ok(ft_data_count(data, 0, 2, &counts));
  assert_fails(ft_data_count(data, 2, 1, &counts), FT_ERR_DATA, "document 5 has no answer");
  assert_fails(ft_data_rows(data, 2, 1, &b), FT_ERR_DATA, "document 5 has no answer");
  ft_batch_fini(&b);
  ft_data_close(data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pairs_are_never_split),
      cmocka_unit_test(mismatched_documents_are_of_the_global_batch),
      cmocka_unit_test(a_document_has_one_hash),
      cmocka_unit_test(what_is_no_answer_is_refused),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
