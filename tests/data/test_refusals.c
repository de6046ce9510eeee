/* Proves what data refuses: sources without rows, shards of other models, damaged shards, options
 * that make no sense. Run alone: meson test data-refusals */
#include "data_fixtures.h"

/* A folder with one shard that nothing is wrong with. */
static int make_root_and_shard(void **state) {
  if (make_root(state) != 0) return -1;
  write_many("many.h5", 0, 9, 20);
  write_many("more.h5", 9, 9, 20);
  return 0;
}

/* ---------------------------------------------------------------- sources */

static void sources_without_rows_are_refused(void **state) {
  (void)state;
  const int empty[] = {0, 0};
  write_shard("empty.h5", FT_TOKENS_TEXT, 0, empty, 0);
  write_shard("hollow.h5", FT_TOKENS_TEXT, 0, empty, 2);
  assert_ok(ft_make_dirs(in_root("bare")));
  const struct {
    const char *path, *part;
    ft_err code;
  } cases[] = {{"empty.h5", "empty.h5 holds no tokens", FT_ERR_DATA},
               {"hollow.h5", "hollow.h5 holds no tokens", FT_ERR_DATA},
               {"bare", "without token shards", FT_ERR_DATA},
               {"absent.h5", "absent.h5", FT_ERR_NOINPUT}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_data_source sources[] = {{in_root("many.h5"), 1}, {in_root(cases[i].path), 1}};
    ft_data_options options = options_of(sources, 2);
    ft_data *data;
    assert_fails(ft_data_open(&options, &data), cases[i].code, cases[i].part);
  }
}

static void a_long_sft_document_is_refused(void **state) {
  (void)state;
  const int lengths[] = {3, 33, 32, 40};
  write_shard("long.h5", FT_TOKENS_SFT, 0, lengths, 4);
  ft_data_source source = {in_root("long.h5"), 1};
  ft_data_options options = options_of(&source, 1);
  ft_data *data;
  assert_fails(ft_data_open(&options, &data), FT_ERR_DATA, "long.h5: document 1 has 33 tokens");
  assert_non_null(strstr(ft_error_message(), "2 such documents, the longest 40"));
  assert_null(data);
  options.seq_len = 40;
  assert_ok(ft_data_open(&options, &data));
  ft_data_close(data);
}

static void impossible_weights_are_refused(void **state) {
  (void)state;
  const double bad[] = {0, -1, NAN, INFINITY};
  for (size_t i = 0; i < FT_ARRAY_SIZE(bad); i++) {
    ft_data_source sources[] = {{in_root("many.h5"), 1}, {in_root("more.h5"), bad[i]}};
    ft_data_options options = options_of(sources, 2);
    ft_data *data;
    assert_fails(ft_data_open(&options, &data), FT_ERR_CONFIG, "more.h5 has weight");
  }
  ft_data_source sources[] = {{in_root("many.h5"), 1e308}, {in_root("many.h5"), 1e-308}};
  ft_data_options options = options_of(sources, 2);
  ft_data *data;
  assert_ok(ft_data_open(&options, &data));
  ft_data_close(data);
}

/* ---------------------------------------------------------------- what does not fit the model */

static void write_marked(const char *name, ft_tokens_kind kind, uint32_t vocab, const char *sha) {
  ft_tokens_writer *w;
  const uint32_t tokens[] = {1, 2, 3};
  const uint8_t mask[] = {0, 1, 1};
  assert_ok(ft_tokens_writer_new(in_root(name), kind, vocab, sha, &w));
  assert_ok(ft_tokens_write(w, tokens, mask, 3));
  if (kind == FT_TOKENS_PREFERENCE) assert_ok(ft_tokens_write(w, tokens, mask, 3));
  assert_ok(ft_tokens_writer_close(w, true));
}

static const char sha_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char sha_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void shards_of_other_models_are_refused(void **state) {
  (void)state;
  write_marked("vocab.h5", FT_TOKENS_SFT, 101, "");
  write_marked("sha.h5", FT_TOKENS_SFT, 100, sha_a);
  write_marked("preference.h5", FT_TOKENS_PREFERENCE, 100, "");
  const struct {
    const char *path, *part;
  } cases[] = {{"vocab.h5", "101 tokens, the model the-model only 100"},
               {"sha.h5", "the-model/tokenizer.json"},
               {"preference.h5", "preference"}};
  ft_data_source all[3];
  ft_data *data;
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    all[i] = (ft_data_source){in_root(cases[i].path), 1};
    ft_data_options options = options_of(&all[i], 1);
    options.model_vocab = 100;
    options.tokenizer_sha256 = sha_b;
    assert_fails(ft_data_open(&options, &data), FT_ERR_DATA, cases[i].part);
    assert_non_null(strstr(ft_error_message(), cases[i].path));
  }
  ft_data_options options = options_of(all, 3);
  options.model_vocab = 100;
  options.tokenizer_sha256 = sha_b;
  assert_fails(ft_data_open(&options, &data), FT_ERR_DATA, "3 mistakes");
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++)
    assert_non_null(strstr(ft_error_message(), cases[i].path));
  options = options_of(&all[1], 1); /* the tokenizer it was made with; or one that is unknown */
  options.tokenizer_sha256 = sha_a;
  assert_ok(ft_data_open(&options, &data));
  ft_data_close(data);
  options.tokenizer_sha256 = "";
  assert_ok(ft_data_open(&options, &data));
  ft_data_close(data);
}

static void write_prepared(const char *name, const char *template, char *system) {
  ft_tokens_writer *w;
  const uint32_t tokens[] = {1, 2, 3};
  const uint8_t mask[] = {0, 1, 1};
  ft_tokens_preparation p = {.system = system, .end_of_turn = {2}, .num_end_of_turn = 1};
  snprintf(p.template_name, sizeof p.template_name, "%s", template);
  assert_ok(ft_tokens_writer_new(in_root(name), FT_TOKENS_SFT, 100, "", &w));
  assert_ok(ft_tokens_writer_prepared(w, &p));
  assert_ok(ft_tokens_write(w, tokens, mask, 3));
  assert_ok(ft_tokens_writer_close(w, true));
}

/* One model learns one template; what is unknown, and another system message, pass. */
static void templates_are_not_mixed(void **state) {
  (void)state;
  write_prepared("chatml.h5", "chatml", NULL);
  write_prepared("kind.h5", "chatml", "Be kind.");
  write_prepared("llama2.h5", "llama2", NULL);
  write_marked("unknown.h5", FT_TOKENS_TEXT, 100, "");
  ft_data_source sources[] = {{in_root("unknown.h5"), 1},
                              {in_root("chatml.h5"), 1},
                              {in_root("kind.h5"), 1},
                              {in_root("llama2.h5"), 1}};
  ft_data *data;
  ft_data_options options = options_of(sources, 4);
  assert_fails(ft_data_open(&options, &data), FT_ERR_DATA,
               "llama2.h5 was prepared with the template llama2");
  assert_non_null(strstr(ft_error_message(), "chatml.h5 with chatml"));
  options = options_of(sources, 3);
  assert_ok(ft_data_open(&options, &data));
  assert_string_equal(ft_data_preparation(data)->template_name, "chatml");
  assert_int_equal(ft_data_preparation(data)->end_of_turn[0], 2);
  uint64_t first, second, again;
  assert_ok(ft_data_identity(data, 0, &first));
  assert_ok(ft_data_identity(data, 1, &second));
  assert_true(first != second);
  ft_data_close(data);
  options = options_of(sources, 2);
  assert_ok(ft_data_open(&options, &data));
  assert_ok(ft_data_identity(data, 1, &again));
  assert_true(again == second);
  ft_data_close(data);
  options = options_of(sources, 1);
  assert_ok(ft_data_open(&options, &data));
  assert_null(ft_data_preparation(data));
  ft_data_close(data);
}

/* Writes over bytes of a shard, as a broken disk or a broken tool would. */
static void damage(const char *name, bool mask, int64_t at, uint8_t value) {
  ft_tokens_file *file;
  assert_ok(ft_tokens_open(in_root(name), &file));
  int64_t offset = mask ? file->mask_at + at : file->tokens_at + 4 * at + 3;
  ft_tokens_close(file);
  FILE *f = fopen(in_root(name), "r+b");
  assert_non_null(f);
  assert_int_equal(fseek(f, (long)offset, SEEK_SET), 0);
  assert_int_equal(fputc(value, f), value);
  assert_int_equal(fclose(f), 0);
}

static void damaged_tokens_and_masks_are_refused(void **state) {
  (void)state;
  write_marked("ids.h5", FT_TOKENS_SFT, 100, "");
  write_marked("masks.h5", FT_TOKENS_SFT, 100, "");
  damage("ids.h5", false, 1, 0x7f);
  damage("masks.h5", true, 2, 2);
  const char *names[] = {"ids.h5", "masks.h5"};
  for (int i = 0; i < 2; i++) {
    ft_data_source source = {in_root(names[i]), 1};
    ft_data_options options = options_of(&source, 1);
    ft_data *data;
    ft_batch batch = {0};
    ft_data_counts count;
    assert_ok(ft_data_open(&options, &data));
    assert_fails(ft_data_rows(data, 0, 1, &batch), FT_ERR_DATA, names[i]);
    if (i == 1) assert_fails(ft_data_count(data, 0, 1, &count), FT_ERR_DATA, names[i]);
    ft_batch_fini(&batch);
    ft_data_close(data);
  }
}

static void impossible_options_are_refused(void **state) {
  (void)state;
  ft_data_source source = {in_root("many.h5"), 1};
  ft_data *data;
  ft_data_options options = options_of(&source, 0);
  assert_fails(ft_data_open(&options, &data), FT_ERR_CONFIG, "no data sources");
  const int64_t lengths[] = {0, -5, (int64_t)INT32_MAX + 1};
  for (size_t i = 0; i < FT_ARRAY_SIZE(lengths); i++) {
    options = options_of(&source, 1);
    options.seq_len = lengths[i];
    assert_fails(ft_data_open(&options, &data), FT_ERR_CONFIG, "seq_len");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_long_sft_document_is_refused),
      cmocka_unit_test(impossible_weights_are_refused),
      cmocka_unit_test(sources_without_rows_are_refused),
      cmocka_unit_test(shards_of_other_models_are_refused),
      cmocka_unit_test(templates_are_not_mixed),
      cmocka_unit_test(damaged_tokens_and_masks_are_refused),
      cmocka_unit_test(impossible_options_are_refused),
  };
  return cmocka_run_group_tests(tests, make_root_and_shard, remove_root);
}
