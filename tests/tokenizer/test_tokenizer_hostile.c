/* Proves that a tokenizer.json that is wrong, hostile or of a kind that is not supported is refused
 * with a message that says so. Run alone: meson test tokenizer-hostile */
#include "ft_test.h"

#include <stdlib.h>
#include <string.h>

#include "ft/tokenizer.h"
#include "tiny_tokenizer.h"

static char *folder;

static int make_folder(void **state) {
  (void)state;
  folder = tiny_folder();
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  tiny_remove(folder);
  return 0;
}

static void expect_refused(const char *json, const char *part) {
  ft_tokenizer *t = NULL;
  tiny_write(folder, "tokenizer.json", json);
  ft_err err = ft_tokenizer_open(folder, &t);
  if (err != FT_ERR_DATA || !strstr(ft_error_message(), part))
    fail_msg("%s\nerror %d \"%s\", expected \"%s\"", json, (int)err, err ? ft_error_message() : "",
             part);
  assert_non_null(strstr(ft_error_message(), "tokenizer.json"));
  assert_null(t);
}

/* A whole file with a small model: "a", "b", "ab". */
#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}"
#define MODEL "\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\"]}"
#define WITH(member) "{" member "," MODEL "}"
#define WITH_MODEL(members) "{\"model\":{" members "}}"
#define TOKEN(id, content) "{\"id\":" id ",\"content\":\"" content "\",\"special\":true}"

typedef struct hostile {
  const char *json, *part;
} hostile;

static void expect_all_refused(const hostile *cases, size_t count) {
  for (size_t i = 0; i < count; i++)
    expect_refused(cases[i].json, cases[i].part);
}

static void the_small_model_is_fine(void **state) {
  (void)state;
  ft_tokenizer *t;
  tiny_write(folder, "tokenizer.json", WITH("\"added_tokens\":[" TOKEN("3", "<s>") "]"));
  assert_ok(ft_tokenizer_open(folder, &t));
  ft_ids ids = {0};
  static const uint32_t expected[] = {2, 0, 3, 1};
  assert_ok(ft_tokenizer_encode(t, "abax<s>b", 8, true, 0, &ids)); /* x is no token: left out */
  assert_int_equal(ids.count, 4);
  assert_memory_equal(ids.ids, expected, sizeof expected);
  ft_ids_fini(&ids);
  ft_tokenizer_close(t);
}

/* What has no token is left out, be it as long as it likes. */
static void long_words_without_a_token_are_left_out(void **state) {
  (void)state;
  enum { BYTES = 3000 };
  ft_tokenizer *t;
  ft_ids ids = {0};
  char text[BYTES];
  memset(text, 'x', sizeof text);
  tiny_write(folder, "tokenizer.json", "{" MODEL "}");
  assert_ok(ft_tokenizer_open(folder, &t));
  assert_ok(ft_tokenizer_encode(t, text, BYTES, false, 0, &ids));
  assert_int_equal(ids.count, 0);
  text[BYTES - 1] = 'a';
  assert_ok(ft_tokenizer_encode(t, text, BYTES, false, 0, &ids));
  assert_int_equal(ids.count, 1);
  assert_int_equal(ids.ids[0], 0);
  ft_ids_fini(&ids);
  ft_tokenizer_close(t);
}

static void models_are_checked(void **state) {
  (void)state;
  static const hostile cases[] = {
      {"", "is empty; a JSON object was expected"},
      {"{", "line 1"},
      {"[]", "\"model\" is nothing, expected an object"},
      {"{}", "\"model\" is nothing"},
      {"{\"model\":7}", "\"model\" is a number"},
      {"{\"version\":\"2.0\"," MODEL "}", "\"version\" is \"2.0\""},
      {WITH_MODEL("\"type\":\"Unigram\",\"vocab\":[]"), "of type Unigram; supported are BPE"},
      {WITH_MODEL("\"type\":\"WordPiece\",\"vocab\":{}"), "\"unk_token\" is nothing"},
      {WITH_MODEL("\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{}"),
       "\"continuing_subword_prefix\" is nothing"},
      {WITH_MODEL("\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{},"
                  "\"continuing_subword_prefix\":\"##\""),
       "\"max_input_chars_per_word\" is nothing"},
      {WITH_MODEL("\"type\":\"WordLevel\",\"vocab\":{}"), "of type WordLevel; supported are BPE"},
      {WITH_MODEL("\"vocab\":{}"), "of type none"},
      {WITH_MODEL("\"type\":3"), "\"type\" is a number"},
      {WITH_MODEL("\"type\":\"BPE\",\"merges\":[]"), "\"vocab\" is nothing"},
      {WITH_MODEL("\"type\":\"BPE\",\"vocab\":[],\"merges\":[]"), "\"vocab\" is an array"},
      {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{},\"merges\":[]"), "\"vocab\" is empty"},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB), "\"merges\" is nothing"},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":{}"), "\"merges\" is an object"},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[]"), "merges were lost"},
      {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"},\"merges\":[]"), "the id of \"a\""},
      {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]"), "the id of \"a\""},
      {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":0.5},\"merges\":[]"), "the id of \"a\""},
      {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1e300},\"merges\":[]"), "the id of \"a\""},
      {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":4294967296},\"merges\":[]"),
       "the id of \"a\""},
      {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":2000000000},\"merges\":[]"),
       "the id of \"a\""},
      {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]"),
       "\"a\" and \"b\" have the same id 1"},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a\"]"), "is not \"LEFT RIGHT\""},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b c\"]"), "is not \"LEFT RIGHT\""},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[7]"), "number 0 is not"},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[[\"a\"]]"), "not a pair"},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[[\"a\",1]]"), "not a pair"},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[[]]"), "not a pair"},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\",\"a c\"]"), "number 1 has \"c\""},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[\"c b\"]"), "number 0 has \"c\""},
      {WITH_MODEL("\"type\":\"BPE\"," VOCAB ",\"merges\":[\"b a\"]"), "number 0 has \"ba\""},
      {WITH_MODEL("\"type\":\"BPE\",\"dropout\":0.1," VOCAB ",\"merges\":[\"a b\"]"), "dropout"},
      {WITH_MODEL("\"type\":\"BPE\",\"dropout\":\"x\"," VOCAB ",\"merges\":[\"a b\"]"), "dropout"},
      {WITH_MODEL("\"type\":\"BPE\",\"fuse_unk\":1," VOCAB ",\"merges\":[\"a b\"]"), "fuse_unk"},
      {WITH_MODEL("\"type\":\"BPE\",\"unk_token\":1," VOCAB ",\"merges\":[\"a b\"]"), "unk_token"},
      {WITH_MODEL("\"type\":\"BPE\",\"continuing_subword_prefix\":\"####\"," VOCAB
                  ",\"merges\":[\"a b\"]"),
       "number 0 has \"b\""},
  };
  expect_all_refused(cases, FT_ARRAY_SIZE(cases));
}

static void added_tokens_are_checked(void **state) {
  (void)state;
  static const hostile cases[] = {
      {WITH("\"added_tokens\":{}"), "\"added_tokens\" is an object"},
      {WITH("\"added_tokens\":[3]"), "\"content\" is nothing"},
      {WITH("\"added_tokens\":[{\"id\":3}]"), "\"content\" is nothing"},
      {WITH("\"added_tokens\":[{\"content\":\"x\"}]"), "\"id\" is nothing"},
      {WITH("\"added_tokens\":[{\"id\":\"3\",\"content\":\"x\"}]"), "\"id\" is a string"},
      {WITH("\"added_tokens\":[{\"id\":3,\"content\":7}]"), "\"content\" is a number"},
      {WITH("\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"lstrip\":\"no\"}]"), "\"lstrip\""},
      {WITH("\"added_tokens\":[" TOKEN("-1", "x") "]"), "expected a whole number"},
      {WITH("\"added_tokens\":[" TOKEN("99999999999", "x") "]"), "expected a whole number"},
      {WITH("\"added_tokens\":[" TOKEN("1", "x") "]"), "has id 1, but the next free id is 3"},
      {WITH("\"added_tokens\":[" TOKEN("9", "x") "]"), "has id 9, but the next free id is 3"},
      {WITH("\"added_tokens\":[" TOKEN("3", "a") "]"), "has id 3, but \"vocab\" gives it 0"},
      {WITH("\"added_tokens\":[" TOKEN("3", "x") "," TOKEN("3", "y") "]"), "\"y\" has id 3"},
      {WITH("\"added_tokens\":[" TOKEN("3", "x") "," TOKEN("3", "x") "]"), "appears twice"},
      {"{\"added_tokens\":[" TOKEN("1", "x") "],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},"
                                             "\"merges\":[]}}",
       "id 1 of \"x\" is taken by \"a\""},
      {WITH("\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},"
            "\"added_tokens\":[{\"id\":3,\"content\":\"  \"}]"),
       "nothing is left of"},
      {WITH("\"normalizer\":{\"type\":\"Lowercase\"},\"added_tokens\":["
            "{\"id\":3,\"content\":\"XY\"},{\"id\":4,\"content\":\"xy\"}]"),
       "the same to search for"},
  };
  expect_all_refused(cases, FT_ARRAY_SIZE(cases));
}

static void steps_are_checked(void **state) {
  (void)state;
  static const hostile cases[] = {
      {WITH("\"normalizer\":[]"), "\"normalizer\" is an array"},
      {WITH("\"normalizer\":{}"), "\"type\" is nothing"},
      {WITH("\"normalizer\":{\"type\":\"Precompiled\"}"),
       "Precompiled is not supported; supported"},
      {WITH("\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Nmt\"}]}"), "Nmt"},
      {WITH("\"normalizer\":{\"type\":\"Sequence\"}"), "\"normalizers\" is nothing"},
      {WITH("\"normalizer\":{\"type\":\"Prepend\"}"), "\"prepend\" is nothing"},
      {WITH("\"normalizer\":{\"type\":\"Replace\",\"content\":\"\"}"), "\"pattern\" is nothing"},
      {WITH("\"normalizer\":{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{\"String\":\"\"}}"),
       "empty \"pattern\""},
      {WITH("\"normalizer\":{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{}}"), "neither"},
      {WITH("\"normalizer\":{\"type\":\"Strip\"}"), "\"strip_left\" is nothing"},
      {WITH("\"pre_tokenizer\":3"), "\"pre_tokenizer\" is a number"},
      {WITH("\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}"), "UnicodeScripts is not supported"},
      {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"x\"},"
            "\"behavior\":\"Burned\",\"invert\":false}"),
       "\"behavior\" is \"Burned\""},
      {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"x\"},"
            "\"behavior\":\"Removed\"}"),
       "\"invert\" is nothing"},
      {WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"), "one character"},
      {WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\"}"), "one character"},
      {WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\","
            "\"prepend_scheme\":\"last\"}"),
       "\"prepend_scheme\" is \"last\""},
      {WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\","
            "\"add_prefix_space\":false,\"prepend_scheme\":\"first\"}"),
       "\"add_prefix_space\" is false, but"},
      {WITH("\"decoder\":{\"type\":\"WordPiece\"}"), "\"prefix\" is nothing"},
      {WITH("\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\"}"), "\"cleanup\" is nothing"},
      {WITH("\"normalizer\":{\"type\":\"BertNormalizer\"}"), "\"clean_text\" is nothing"},
      {WITH("\"pre_tokenizer\":{\"type\":\"Punctuation\",\"behavior\":\"isolated\"}"),
       "\"behavior\" is \"isolated\""},
      {WITH("\"decoder\":{\"type\":\"CTC\"}"), "CTC is not supported"},
      {WITH("\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}"), "start"},
      {WITH("\"decoder\":{\"type\":\"Strip\",\"content\":\"\",\"start\":1,\"stop\":0}"),
       "one char"},
      {WITH("\"decoder\":{\"type\":\"Sequence\",\"decoders\":7}"), "\"decoders\" is a number"},
      {WITH("\"decoder\":{\"type\":\"BPEDecoder\",\"suffix\":\"\"}"), "\"suffix\" is empty"},
  };
  expect_all_refused(cases, FT_ARRAY_SIZE(cases));
}

#define TEMPLATE(single)                                                                           \
  WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" single                   \
       "],\"special_tokens\":{\"a\":{\"ids\":[0]},\"big\":{\"ids\":[3]},\"none\":{}}}")
#define SPECIAL(name) "{\"SpecialToken\":{\"id\":\"" name "\",\"type_id\":0}}"
#define TEXT_A "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"

static void post_processors_are_checked(void **state) {
  (void)state;
  static const hostile cases[] = {
      {WITH("\"post_processor\":{\"type\":\"Magic\"}"), "Magic is not supported"},
      {TEMPLATE(""), "exactly once"},
      {TEMPLATE(SPECIAL("a")), "exactly once"},
      {TEMPLATE(TEXT_A "," TEXT_A), "exactly once"},
      {TEMPLATE("{\"Sequence\":{\"id\":\"B\"}}"), "exactly once"},
      {TEMPLATE("{}"), "neither a SpecialToken nor a Sequence"},
      {TEMPLATE(SPECIAL("what") "," TEXT_A), "lacks \"what\""},
      {TEMPLATE(SPECIAL("big") "," TEXT_A), "not in the vocabulary of 3"},
      {TEMPLATE(SPECIAL("none") "," TEXT_A), "\"ids\" is nothing"},
      {WITH("\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"b\"]}"),
       "\"sep\" is not"},
      {WITH("\"post_processor\":{\"type\":\"Sequence\",\"processors\":["
            "{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"b\",1]},"
            "{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"b\",1]}]}"),
       "more than one step"},
  };
  expect_all_refused(cases, FT_ARRAY_SIZE(cases));
}

static void regular_expressions_are_checked(void **state) {
  (void)state;
  static const hostile cases[] = {
      {"(", "without its )"},
      {")", "without its ("},
      {"[a", "without its ]"},
      {"[", "without its ]"},
      {"[[[", "without its ]"},
      {"[z-a]", "ends before it begins"},
      {"[]", "without its ]"},
      {"*a", "nothing to repeat"},
      {"a|+", "nothing to repeat"},
      {"(?=a)*", "nothing to repeat"},
      {"a{2}?", "{n}? is not supported"},
      {"a{99999}", "regular expression"},
      {"a{99999999999999999999999999999999999999}", "too large"},
      {"\\\\p{Sorcery}", "\\p{Sorcery} is not supported"},
      {"\\\\pL", "\\p without {NAME}"},
      {"(a)\\\\1", "back-references"},
      {"\\\\k<a>", "not supported"},
      {"\\\\x{110000}", "no Unicode character"},
      {"\\\\ud800", "no Unicode character"},
      {"\\\\x{zz}", "not complete"},
      {"(?~a)", "this kind of group"},
      {"a(?i)b", "at its start"},
      {"(?i)\xC3\xA9", "several forms"},
      {"(?i)ss", "several forms"},
      {"(?<=a+)b", "regular expression"},
      {"[\\\\p{L}-z]", "begins with a class"},
      {"[[:magic:]]", "POSIX"},
      {"\\\\", "backslash at the end"},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    char *json;
    assert_ok(ft_format(&json,
                        WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},"
                             "\"behavior\":\"Isolated\",\"invert\":false}"),
                        cases[i].json));
    expect_refused(json, cases[i].part);
    ft_free(json);
  }
}

/* DEPTH times `open`, then `inside`, then as many times `close`. */
static char *nested(const char *before, const char *open, const char *inside, const char *close,
                    const char *after, int64_t depth) {
  size_t each = strlen(open) + strlen(close);
  char *text = malloc(strlen(before) + strlen(inside) + strlen(after) + (size_t)depth * each + 1);
  char *at = stpcpy(text, before);
  for (int64_t i = 0; i < depth; i++)
    at = stpcpy(at, open);
  at = stpcpy(at, inside);
  for (int64_t i = 0; i < depth; i++)
    at = stpcpy(at, close);
  stpcpy(at, after);
  return text;
}

static void deep_nesting_is_refused(void **state) {
  (void)state;
  enum { DEPTH = 100000 };
  static const char *const regex =
      "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"";
  char *before, *cases[4];
  assert_ok(ft_format(&before, "{" MODEL ",%s", regex));
  const char *after = "\"},\"behavior\":\"Isolated\",\"invert\":false}}";
  cases[0] = nested("{" MODEL ",\"normalizer\":", "{\"type\":\"Sequence\",\"normalizers\":[",
                    "{\"type\":\"NFC\"}", "]}", "}", DEPTH);
  cases[1] = nested(before, "(", "a", ")", after, DEPTH);
  cases[2] = nested(before, "[", "a", "]", after, DEPTH);
  cases[3] = nested("", "[", "", "]", "", DEPTH);
  expect_refused(cases[0], "nesting");
  expect_refused(cases[1], "nested too deeply");
  expect_refused(cases[2], "nested too deeply");
  expect_refused(cases[3], "nesting");
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++)
    free(cases[i]);
  ft_free(before);
}

/* Cutting a good file anywhere, or changing any of its bytes, never crashes. */
static void damaged_files_do_no_harm(void **state) {
  (void)state;
  const char *dir = getenv("FT_TOKENIZER_FIXTURES");
  char *path, *text;
  size_t bytes;
  assert_ok(
      ft_format(&path, "%s/added-llama/tokenizer.json", dir ? dir : "tests/tokenizer/tokenizers"));
  assert_ok(ft_read_file(path, 1 << 20, &text, &bytes));
  for (uint64_t i = 0; i < 300; i++) {
    size_t at = (size_t)(ft_random_u64(1, FT_RANDOM_BENCH, 0, i) % bytes);
    char kept = text[at];
    text[at] = "\"{}[],:0-e\\"[ft_random_u64(2, FT_RANDOM_BENCH, 0, i) % 11];
    if (i % 3 == 0) text[at] = 0;
    tiny_write(folder, "tokenizer.json", text);
    ft_tokenizer *t;
    if (ft_tokenizer_open(folder, &t) == FT_OK) {
      ft_ids ids = {0};
      if (ft_tokenizer_encode(t, "the <s> aaab  é\n", 17, true, 0, &ids) == FT_OK)
        ft_ids_fini(&ids);
      ft_tokenizer_close(t);
    }
    text[at] = kept;
  }
  ft_free(text);
  ft_free(path);
}

static void a_missing_file_is_named(void **state) {
  (void)state;
  ft_tokenizer *t;
  char *path;
  assert_ok(ft_path_join(folder, "absent", &path));
  assert_fails(ft_tokenizer_open(path, &t), FT_ERR_NOINPUT, "absent: no such file or directory");
  ft_free(path);
}

/* An unknown character needs a token that is there. */
static void a_missing_unknown_token_is_named(void **state) {
  (void)state;
  ft_tokenizer *t;
  ft_ids ids = {0};
  tiny_write(folder, "tokenizer.json",
             WITH_MODEL("\"type\":\"BPE\",\"unk_token\":\"<unk>\"," VOCAB ",\"merges\":[\"a b\"]"));
  assert_ok(ft_tokenizer_open(folder, &t));
  assert_ok(ft_tokenizer_encode(t, "ab", 2, true, 0, &ids));
  assert_fails(ft_tokenizer_encode(t, "abx", 3, true, 0, &ids), FT_ERR_DATA, "\"<unk>\" is not in");
  assert_int_equal(ids.count, 1);
  ft_ids_fini(&ids);
  ft_tokenizer_close(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_small_model_is_fine),
      cmocka_unit_test(long_words_without_a_token_are_left_out),
      cmocka_unit_test(models_are_checked),
      cmocka_unit_test(added_tokens_are_checked),
      cmocka_unit_test(steps_are_checked),
      cmocka_unit_test(post_processors_are_checked),
      cmocka_unit_test(regular_expressions_are_checked),
      cmocka_unit_test(deep_nesting_is_refused),
      cmocka_unit_test(damaged_files_do_no_harm),
      cmocka_unit_test(a_missing_file_is_named),
      cmocka_unit_test(a_missing_unknown_token_is_named),
  };
  return cmocka_run_group_tests_name("tokenizer-hostile", tests, make_folder, remove_folder);
}
