/* Proves that tokens which tokenizer.json lacks are read from the files beside it, with the ids
 * that transformers 5.24 gives them, and that files which disagree are refused. Run alone: meson
 * test more-tokens */
#include "ft_test.h"

#include <string.h>

#include "tiny_tokenizer.h"

/* "a" and "b" are 0 and 1, "<s>" is 2; further tokens begin at 3. */
static const char tokenizer_json[] = "{\"added_tokens\":[{\"id\":2,\"content\":\"<s>\",\"special\":"
                                     "true}],\"model\":{\"type\":\"BPE\","
                                     "\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}";

typedef struct directory {
  const char *config, *map, *added; /* NULL: no such file */
} directory;

static ft_err open_directory(const directory *d, ft_tokenizer **out) {
  char *folder = tiny_folder();
  tiny_write(folder, "tokenizer.json", tokenizer_json);
  if (d->config) tiny_write(folder, "tokenizer_config.json", d->config);
  if (d->map) tiny_write(folder, "special_tokens_map.json", d->map);
  if (d->added) tiny_write(folder, "added_tokens.json", d->added);
  ft_err err = ft_tokenizer_open(folder, out);
  tiny_remove(folder);
  return err;
}

static void tokens_beside_the_file_are_read(void **state) {
  (void)state;
  static const struct {
    directory directory;
    const char *content;
    int64_t id; /* -1: no token */
    bool special;
  } cases[] = {
      {{"{\"added_tokens_decoder\":{\"4\":{\"content\":\"<B>\"},\"3\":{\"content\":\"<A>\"}}}", 0,
        0},
       "<B>",
       4,
       false},
      {{"{\"added_tokens_decoder\":{\"2\":{\"content\":\"<s>\"},\"3\":{\"content\":\"<A>\"}}}", 0,
        0},
       "<A>",
       3,
       false},
      {{"{\"eos_token\":\"<e>\",\"image_token\":\"<i>\"}", 0, 0}, "<i>", 4, true},
      {{"{\"eos_token\":{\"content\":\"<e>\"},\"pad_token\":\"<p>\"}", 0, 0}, "<p>", -1, false},
      {{"{\"extra_special_tokens\":[\"<x>\",{\"content\":\"<y>\"}]}", 0, 0}, "<y>", 4, true},
      {{"{\"extra_special_tokens\":{\"image_token\":\"<x>\"}}", 0, 0}, "<x>", 3, true},
      {{"{\"additional_special_tokens\":[\"<x>\"]}", 0, 0}, "<x>", 3, true},
      {{"{\"model_specific_special_tokens\":{\"image_token\":\"<x>\"}}", 0, 0}, "<x>", 3, true},
      {{"{\"additional_special_tokens\":[\"<x>\"],\"extra_special_tokens\":[\"<y>\"]}", 0, 0},
       "<x>",
       -1,
       false},
      {{"{}", "{\"eos_token\":\"<e>\",\"additional_special_tokens\":[\"<x>\"]}", 0},
       "<x>",
       4,
       true},
      {{0, 0, "{\"<k>\":4,\"<j>\":3}"}, "<k>", 4, false},
      {{"{\"eos_token\":\"<k>\"}", 0, "{\"<k>\":3}"}, "<k>", 3, true},
      /* with added_tokens_decoder the older files do not count */
      {{"{\"added_tokens_decoder\":{}}", "{\"eos_token\":\"<e>\"}", "{\"<k>\":3}"},
       "<k>",
       -1,
       false},
      {{0, 0, 0}, "<k>", -1, false},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_tokenizer *t;
    assert_ok(open_directory(&cases[i].directory, &t));
    if (ft_tokenizer_id(t, cases[i].content) != cases[i].id)
      fail_msg("case %zu: %s is %lld", i, cases[i].content,
               (long long)ft_tokenizer_id(t, cases[i].content));
    assert_int_equal(ft_tokenizer_is_special(t, cases[i].id), cases[i].special);
    ft_tokenizer_close(t);
  }
}

/* They are found in text, and count for what the tokenizer is. */
static void text_becomes_such_tokens(void **state) {
  (void)state;
  static const directory with = {
      "{\"added_tokens_decoder\":{\"3\":{\"content\":\"<A>\",\"lstrip\":true}}}", 0, 0};
  static const directory without = {0};
  static const uint32_t expected[] = {0, 3, 1};
  ft_tokenizer *t, *other;
  ft_ids ids = {0};
  assert_ok(open_directory(&with, &t));
  assert_ok(open_directory(&without, &other));
  assert_ok(ft_tokenizer_encode(t, "a  <A>b", 7, true, 0, &ids));
  assert_int_equal(ids.count, FT_ARRAY_SIZE(expected));
  assert_memory_equal(ids.ids, expected, sizeof expected);
  assert_int_equal(ft_tokenizer_vocab_size(t), 4);
  assert_string_not_equal(ft_tokenizer_sha256(t), ft_tokenizer_sha256(other));
  ft_ids_fini(&ids);
  ft_tokenizer_close(t);
  ft_tokenizer_close(other);
}

/* A token of tokenizer.json is found as the file that states its id says. */
static void properties_of_the_other_file_count(void **state) {
  (void)state;
  static const directory same = {"{\"added_tokens_decoder\":{\"2\":{\"content\":\"<s>\","
                                 "\"normalized\":false,\"special\":true}}}",
                                 0, 0};
  static const directory strips = {"{\"added_tokens_decoder\":{\"2\":{\"content\":\"<s>\","
                                   "\"normalized\":false,\"special\":true,\"lstrip\":true}}}",
                                   0, 0};
  static const directory none = {0};
  static const uint32_t expected[] = {0, 2, 1};
  ft_tokenizer *t, *unchanged, *plain;
  ft_ids ids = {0};
  assert_ok(open_directory(&strips, &t));
  assert_ok(open_directory(&same, &unchanged));
  assert_ok(open_directory(&none, &plain));
  assert_ok(ft_tokenizer_encode(t, "a  <s>b", 7, true, 0, &ids));
  assert_int_equal(ids.count, FT_ARRAY_SIZE(expected));
  assert_memory_equal(ids.ids, expected, sizeof expected);
  assert_string_equal(ft_tokenizer_sha256(unchanged), ft_tokenizer_sha256(plain));
  assert_string_not_equal(ft_tokenizer_sha256(t), ft_tokenizer_sha256(plain));
  ft_ids_fini(&ids);
  ft_tokenizer_close(t);
  ft_tokenizer_close(unchanged);
  ft_tokenizer_close(plain);
}

static void files_that_disagree_are_refused(void **state) {
  (void)state;
  static const struct {
    directory directory;
    const char *message;
  } cases[] = {
      {{"{\"added_tokens_decoder\":{\"7\":{\"content\":\"<A>\"}}}", 0, 0},
       "\"<A>\" has id 7, but the next free id is 3"},
      {{"{\"added_tokens_decoder\":{\"3\":{\"content\":\"a\"}}}", 0, 0},
       "\"a\" has id 3, but \"vocab\" gives it 0"},
      {{0, 0, "{\"<k>\":9}"}, "\"<k>\" has id 9"},
      {{0, 0, "{\"<k>\":\"3\"}"}, "the id of \"<k>\" is no number"},
      {{"{\"split_special_tokens\":true}", 0, 0}, "split_special_tokens true is not supported"},
      {{"{\"added_tokens_decoder\":{\"x\":{\"content\":\"<A>\"}}}", 0, 0}, "\"x\" is not an id"},
      {{"{\"added_tokens_decoder\":{\"3\":\"<A>\"}}", 0, 0}, "\"3\" is not an id with"},
      {{"[]", 0, 0}, "a JSON object was expected"},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_tokenizer *t;
    assert_fails(open_directory(&cases[i].directory, &t), FT_ERR_DATA, cases[i].message);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(tokens_beside_the_file_are_read),
                                     cmocka_unit_test(text_becomes_such_tokens),
                                     cmocka_unit_test(properties_of_the_other_file_count),
                                     cmocka_unit_test(files_that_disagree_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
