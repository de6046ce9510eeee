/* Proves that tokenizers make of texts what Hugging Face's make of them: small tokenizers of every
 * kind (tokenizers/, made by tests/reference/make_tokenizer_fixtures.py), and the real ones of
 * FT_SHARED if it is there; and that long words, threads, streams and bad text are handled.
 * Run alone: meson test tokenizer */
#include "ft_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tiny_tokenizer.h"

static char *join(const char *dir, const char *name) {
  char *path;
  assert_ok(ft_path_join(dir, name, &path));
  return path;
}

static const char *fixtures(void) {
  const char *dir = getenv("FT_TOKENIZER_FIXTURES");
  return dir ? dir : "tests/tokenizer/tokenizers";
}

static ft_tokenizer *open_fixture(const char *name) {
  ft_tokenizer *t;
  char *dir = join(fixtures(), name);
  assert_ok(ft_tokenizer_open(dir, &t));
  ft_free(dir);
  return t;
}

/* ---------------------------------------------------------------- cases */

static void expect_ids(const char *name, const char *text, const char *what, const cJSON *expected,
                       const uint32_t *ids, int64_t count) {
  bool equal = cJSON_GetArraySize(expected) == count;
  int64_t i = 0;
  for (const cJSON *item = expected->child; item && equal; item = item->next, i++)
    equal = item->valuedouble == (double)ids[i];
  if (!equal) fail_msg("%s: \"%s\": other %s than expected", name, text, what);
}

/* The text of a string as ft_json_parse_data leaves it. Freed by the caller. */
static char *with_zeros(const char *string, size_t *bytes) {
  const size_t length = strlen(FT_JSON_ZERO);
  char *text = malloc(strlen(string) + 1), *to = text;
  for (; *string; string += strncmp(string, FT_JSON_ZERO, length) == 0 ? length : 1)
    *to++ = strncmp(string, FT_JSON_ZERO, length) == 0 ? '\0' : *string;
  *bytes = (size_t)(to - text);
  return text;
}

static void expect_encoding(const char *name, const ft_tokenizer *t, const cJSON *line,
                            const char *field, bool specials) {
  const char *text = ft_json_get(line, "text")->valuestring;
  const cJSON *expected = ft_json_get(line, field);
  ft_ids ids = {0};
  size_t bytes;
  char *read = with_zeros(text, &bytes);
  assert_ok(ft_tokenizer_encode(t, read, bytes, specials, 1, &ids));
  free(read);
  expect_ids(name, text, field, expected ? expected : ft_json_get(line, "ids"), ids.ids, ids.count);
  for (int64_t i = 0; i < ids.count; i++)
    assert_int_equal(ids.mask[i], 1);
  ft_ids_fini(&ids);
}

static void expect_processed(const char *name, const ft_tokenizer *t, const cJSON *line) {
  const char *text = ft_json_get(line, "text")->valuestring;
  const cJSON *expected = ft_json_get(line, "processed_ids");
  const uint32_t *before, *after;
  int64_t num_before, num_after;
  ft_ids ids = {0};
  ft_tokenizer_post_processor(t, &before, &num_before, &after, &num_after);
  assert_ok(ft_ids_append(&ids, before, num_before, 0));
  assert_ok(ft_tokenizer_encode(t, text, strlen(text), true, 0, &ids));
  assert_ok(ft_ids_append(&ids, after, num_after, 0));
  expect_ids(name, text, "processed_ids", expected ? expected : ft_json_get(line, "ids"), ids.ids,
             ids.count);
  ft_ids_fini(&ids);
}

static void expect_decoding(const char *name, const ft_tokenizer *t, const cJSON *line,
                            bool skip_special) {
  const cJSON *expected = ft_json_get(line, "decoded");
  if (!expected) expected = ft_json_get(line, "text");
  if (skip_special && ft_json_get(line, "decoded_plain"))
    expected = ft_json_get(line, "decoded_plain");
  const cJSON *list = ft_json_get(line, "ids");
  int64_t count = 0;
  uint32_t *ids = malloc((size_t)cJSON_GetArraySize(list) * sizeof *ids + 1);
  for (const cJSON *item = list->child; item; item = item->next)
    ids[count++] = (uint32_t)item->valuedouble;
  char *text;
  size_t bytes;
  assert_ok(ft_tokenizer_decode(t, ids, count, skip_special, &text, &bytes));
  if (strcmp(text, expected->valuestring) != 0 || bytes != strlen(text))
    fail_msg("%s: decoded to \"%s\", expected \"%s\"", name, text, expected->valuestring);
  ft_free(text);
  free(ids);
}

/* Calls check for each line of a JSONL file; returns their number. */
static int64_t for_each_line(const char *path, const char *name, const ft_tokenizer *t,
                             void (*check)(const char *name, const ft_tokenizer *t,
                                           const cJSON *line)) {
  char *text;
  size_t bytes;
  int64_t count = 0;
  assert_ok(ft_read_file(path, SIZE_MAX, &text, &bytes));
  for (const char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1, count++) {
    cJSON *line;
    assert_ok(ft_json_parse_data(at, (size_t)(end - at), path, &line));
    check(name, t, line);
    cJSON_Delete(line);
  }
  ft_free(text);
  return count;
}

static void check_all(const char *name, const ft_tokenizer *t, const cJSON *line) {
  expect_encoding(name, t, line, "ids", true);
  expect_encoding(name, t, line, "plain_ids", false);
  expect_processed(name, t, line);
  expect_decoding(name, t, line, false);
  expect_decoding(name, t, line, true);
}

static void check_decoding(const char *name, const ft_tokenizer *t, const cJSON *line) {
  expect_decoding(name, t, line, false);
  expect_decoding(name, t, line, true);
}

static void check_ids(const char *name, const ft_tokenizer *t, const cJSON *line) {
  expect_encoding(name, t, line, "ids", true);
}

static void small_tokenizers_agree_with_the_reference(void **state) {
  (void)state;
  char **names;
  int64_t num_names;
  assert_ok(ft_list_dir(fixtures(), &names, &num_names));
  assert_true(num_names >= 20);
  for (int64_t i = 0; i < num_names; i++) {
    char *dir = join(fixtures(), names[i]), *path = join(dir, "cases.jsonl");
    char *decodings = join(dir, "decodings.jsonl");
    ft_tokenizer *t = open_fixture(names[i]);
    assert_true(for_each_line(path, names[i], t, check_all) > 30);
    assert_true(for_each_line(decodings, names[i], t, check_decoding) > 5);
    ft_tokenizer_close(t);
    ft_free(decodings);
    ft_free(path);
    ft_free(dir);
  }
  ft_free_names(names, num_names);
}

static void real_tokenizers_agree_with_the_reference(void **state) {
  (void)state;
  static const char *const names[] = {"llama2", "llama3", "qwen3"};
  const char *shared = getenv("FT_SHARED");
  if (!shared || !ft_path_is_dir(shared)) {
    print_message("skipped: FT_SHARED does not name a folder of reference files\n");
    skip();
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    char *tokenizers = join(shared, "tokenizers"), *dir = join(tokenizers, names[i]);
    char *path = join(dir, "expected.jsonl");
    ft_tokenizer *t;
    assert_ok(ft_tokenizer_open(dir, &t));
    assert_true(for_each_line(path, names[i], t, check_ids) > 100);
    ft_tokenizer_close(t);
    ft_free(path);
    ft_free(dir);
    ft_free(tokenizers);
  }
}

/* ---------------------------------------------------------------- tokens */

static void tokens_are_found_by_content_and_id(void **state) {
  (void)state;
  ft_tokenizer *t = open_fixture("added-bytes");
  int64_t special = ft_tokenizer_id(t, "<sp>"), plain = ft_tokenizer_id(t, "<lw>");
  assert_true(special > 0 && plain > 0);
  assert_string_equal(ft_tokenizer_token(t, special), "<sp>");
  assert_true(ft_tokenizer_is_special(t, special));
  assert_false(ft_tokenizer_is_special(t, plain));
  assert_int_equal(ft_tokenizer_id(t, "no such token"), -1);
  assert_null(ft_tokenizer_token(t, -1));
  assert_null(ft_tokenizer_token(t, ft_tokenizer_vocab_size(t)));
  assert_false(ft_tokenizer_is_special(t, INT64_MAX));
  assert_non_null(ft_tokenizer_token(t, ft_tokenizer_vocab_size(t) - 1));
  assert_int_equal(strlen(ft_tokenizer_sha256(t)), 64);
  ft_tokenizer_close(t);
  ft_tokenizer_close(NULL);
}

/* Where special tokens are text, a word that is written like one must not become it, although the
 * model would look whole words up. */
static void text_forges_no_special_token(void **state) {
  (void)state;
  static const char json[] =
      "{\"added_tokens\":[{\"id\":3,\"content\":\"ab\",\"special\":true}],\"model\":{\"type\":"
      "\"BPE\","
      "\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":1,\"bb\":2,\"ab\":3},\"merges\":[\"b b\"]}}";
  static const uint32_t expected[] = {0, 1, 3, 2};
  char *folder = tiny_folder();
  ft_tokenizer *t;
  ft_ids ids = {0};
  tiny_write(folder, "tokenizer.json", json);
  assert_ok(ft_tokenizer_open(folder, &t));
  assert_ok(ft_tokenizer_encode(t, "ab", 2, false, 0, &ids));
  assert_ok(ft_tokenizer_encode(t, "ab", 2, true, 0, &ids));
  assert_ok(ft_tokenizer_encode(t, "bb", 2, false, 0, &ids));
  assert_int_equal(ids.count, FT_ARRAY_SIZE(expected));
  assert_memory_equal(ids.ids, expected, sizeof expected);
  ft_ids_fini(&ids);
  ft_tokenizer_close(t);
  tiny_remove(folder);
}

/* The pieces of a stream, one behind the other, are the decoded text. */
static void pieces_add_up_to_the_text(void **state) {
  (void)state;
  static const char *const names[] = {"llama2", "gemma", "gpt2", "metaspace-first", "added-llama"};
  static const char text[] = "the time that they  said é, 你好 <s>and\n it was";
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    ft_tokenizer *t = open_fixture(names[i]);
    ft_ids ids = {0};
    assert_ok(ft_tokenizer_encode(t, text, strlen(text), true, 0, &ids));
    char stream[512], *decoded;
    size_t length = 0, bytes;
    for (int64_t k = 0; k < ids.count; k++)
      length += ft_tokenizer_piece(t, ids.ids[k], k == 0, stream + length, sizeof stream - length);
    assert_ok(ft_tokenizer_decode(t, ids.ids, ids.count, false, &decoded, &bytes));
    assert_int_equal(length, bytes);
    assert_memory_equal(stream, decoded, bytes);
    ft_free(decoded);
    ft_ids_fini(&ids);
    assert_int_equal(ft_tokenizer_piece(t, UINT32_MAX, true, stream, sizeof stream), 0);
    assert_int_equal(ft_tokenizer_piece(t, 5, true, stream, 0), 0);
    ft_tokenizer_close(t);
  }
}

/* ---------------------------------------------------------------- text */

static void invalid_utf8_is_refused_where_it_is(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *message;
  } cases[] = {{"ab\xFFz", "byte 2 (0xFF)"},
               {"\xC3", "byte 0 (0xC3)"},
               {"12345678\x80", "byte 8 (0x80)"},
               {"a\xED\xA0\x80", "byte 1 (0xED)"},
               {"\xC0\x80", "byte 0"},
               {"\xE0\x80\x80", "byte 0"},
               {"\xF4\x90\x80\x80", "byte 0"},
               {"\xF0\x9F\x98", "byte 0"}};
  ft_tokenizer *t = open_fixture("llama2");
  ft_ids ids = {0};
  uint32_t one = 1;
  assert_ok(ft_ids_append(&ids, &one, 1, 0));
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    assert_fails(ft_tokenizer_encode(t, cases[i].text, strlen(cases[i].text), true, 0, &ids),
                 FT_ERR_DATA, cases[i].message);
    assert_int_equal(ids.count, 1); /* nothing was added */
  }
  ft_ids_fini(&ids);
  ft_tokenizer_close(t);
}

static void zeros_are_characters(void **state) {
  (void)state;
  ft_tokenizer *t = open_fixture("gpt2");
  ft_ids ids = {0};
  char *text;
  size_t bytes;
  assert_ok(ft_tokenizer_encode(t, " a\0b\0", 5, true, 0, &ids));
  assert_ok(ft_tokenizer_decode(t, ids.ids, ids.count, false, &text, &bytes));
  assert_int_equal(bytes, 5);
  assert_memory_equal(text, " a\0b\0", 5);
  ft_free(text);
  ft_ids_fini(&ids);
  ft_tokenizer_close(t);
}

/* A word of a megabyte takes about as long as a megabyte of words. */
static void long_words_do_not_hang(void **state) {
  (void)state;
  enum { BYTES = 1 << 20 };
  static const char *const names[] = {"gpt2", "llama2", "llama3", "nfkd", "metaspace-whole"};
  static const char *const units[] = {"the", " ", "\n", " x", "\xCC\x81\xCC\xA3", "\xE2\x96\x81"};
  char *text = malloc(BYTES + 8);
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    ft_tokenizer *t = open_fixture(names[i]);
    for (size_t k = 0; k < FT_ARRAY_SIZE(units); k++) {
      size_t length = 0;
      for (; length < BYTES; length += strlen(units[k]))
        memcpy(text + length, units[k], strlen(units[k]));
      ft_ids ids = {0};
      double start = ft_now_s();
      assert_ok(ft_tokenizer_encode(t, text, length, true, 0, &ids));
      assert_true(ft_now_s() - start < 30);
      ft_ids_fini(&ids);
    }
    ft_tokenizer_close(t);
  }
  free(text);
}

/* ---------------------------------------------------------------- threads */

enum { NUM_THREADS = 4, ROUNDS = 20 };

typedef struct worker {
  const ft_tokenizer *t;
  const char *text;
  const ft_ids *expected;
  bool equal;
} worker;

static void *work(void *arg) {
  worker *w = arg;
  w->equal = true;
  for (int i = 0; i < ROUNDS; i++) {
    ft_ids ids = {0};
    ft_err err = ft_tokenizer_encode(w->t, w->text, strlen(w->text), true, 0, &ids);
    size_t bytes = (size_t)w->expected->count * sizeof *ids.ids;
    w->equal = w->equal && err == FT_OK && ids.count == w->expected->count &&
               memcmp(ids.ids, w->expected->ids, bytes) == 0;
    ft_ids_fini(&ids);
  }
  return NULL;
}

static void many_threads_use_one_tokenizer(void **state) {
  (void)state;
  ft_tokenizer *t = open_fixture("added-bytes");
  ft_ids expected = {0};
  char *path = join(fixtures(), "added-bytes/cases.jsonl"), *text;
  size_t bytes;
  assert_ok(ft_read_file(path, 1 << 20, &text, &bytes));
  assert_ok(ft_tokenizer_encode(t, text, bytes, true, 0, &expected));
  pthread_t threads[NUM_THREADS];
  worker workers[NUM_THREADS];
  for (int i = 0; i < NUM_THREADS; i++) {
    workers[i] = (worker){.t = t, .text = text, .expected = &expected};
    assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < NUM_THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_true(workers[i].equal);
  }
  ft_ids_fini(&expected);
  ft_free(text);
  ft_free(path);
  ft_tokenizer_close(t);
}

/* ---------------------------------------------------------------- the tokenizer of bytes */

static void expect_bytes_tokenizer(const char *folder, int64_t vocab_size) {
  ft_tokenizer *t;
  assert_ok(ft_tokenizer_write_bytes(folder, vocab_size));
  assert_ok(ft_tokenizer_open(folder, &t));
  assert_int_equal(ft_tokenizer_vocab_size(t), vocab_size);
  assert_int_equal(ft_tokenizer_id(t, "<|bos|>"), 256);
  assert_int_equal(ft_tokenizer_id(t, "<|eos|>"), 257);
  assert_int_equal(ft_tokenizer_id(t, "<|pad|>"), 258);
  assert_int_equal(ft_tokenizer_id(t, "<|im_start|>"), 259);
  assert_int_equal(ft_tokenizer_id(t, "<|im_end|>"), 260);
  for (int64_t id = 256; id < vocab_size; id++)
    assert_true(ft_tokenizer_is_special(t, id));
  const uint32_t *before, *after;
  int64_t num_before, num_after;
  ft_tokenizer_post_processor(t, &before, &num_before, &after, &num_after);
  assert_int_equal(num_before, 1);
  assert_int_equal(before[0], 256);
  assert_int_equal(num_after, 0);
  static const char text[] = "Hi\n\x01\xC2\xA0<|im_end|>é";
  static const uint32_t expected[] = {'H', 'i', '\n', 1, 0xC2, 0xA0, 260, 0xC3, 0xA9};
  ft_ids ids = {0};
  assert_ok(ft_tokenizer_encode(t, text, strlen(text), true, 0, &ids));
  assert_int_equal(ids.count, FT_ARRAY_SIZE(expected));
  assert_memory_equal(ids.ids, expected, sizeof expected);
  char *decoded;
  size_t bytes;
  assert_ok(ft_tokenizer_decode(t, ids.ids, ids.count, false, &decoded, &bytes));
  assert_string_equal(decoded, text);
  ft_free(decoded);
  ids.count = 0;
  assert_ok(ft_tokenizer_encode(t, text, strlen(text), false, 0, &ids));
  assert_int_equal(ids.count, strlen(text)); /* the turn's end is ordinary text */
  ft_ids_fini(&ids);
  ft_tokenizer_close(t);
}

static void a_tokenizer_of_bytes_is_written(void **state) {
  (void)state;
  char *folder = tiny_folder();
  expect_bytes_tokenizer(folder, 261);
  expect_bytes_tokenizer(folder, 320);
  assert_fails(ft_tokenizer_write_bytes(folder, 260), FT_ERR_DATA, "vocabulary of 260");
  assert_fails(ft_tokenizer_write_bytes(folder, -1), FT_ERR_DATA, "vocabulary of -1");
  char *path = join(folder, "tokenizer_config.json");
  cJSON *config;
  assert_ok(ft_json_read(path, &config));
  assert_string_equal(ft_json_get(config, "eos_token")->valuestring, "<|im_end|>");
  assert_non_null(
      strstr(ft_json_get(config, "chat_template")->valuestring, "<|im_start|>assistant"));
  cJSON_Delete(config);
  ft_free(path);
  tiny_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_tokenizers_agree_with_the_reference),
      cmocka_unit_test(real_tokenizers_agree_with_the_reference),
      cmocka_unit_test(tokens_are_found_by_content_and_id),
      cmocka_unit_test(text_forges_no_special_token),
      cmocka_unit_test(pieces_add_up_to_the_text),
      cmocka_unit_test(invalid_utf8_is_refused_where_it_is),
      cmocka_unit_test(zeros_are_characters),
      cmocka_unit_test(long_words_do_not_hang),
      cmocka_unit_test(many_threads_use_one_tokenizer),
      cmocka_unit_test(a_tokenizer_of_bytes_is_written),
  };
  return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
