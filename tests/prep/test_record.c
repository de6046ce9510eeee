/* Proves that records in every form are read as the same content, that their hash sees the content
 * and nothing else, and that what cannot be read is refused with its reason. Run alone:
 * meson test -C build record */
#include "template_fixtures.h"

static const ft_record_rules rules = {0};

/* What splits sees the words of what was asked, and nothing else: no form, answer, system message,
 * punctuation, case or white space. */
static void prompt_hash(void **state) {
  (void)state;
  static const struct {
    const char *record;
    int group; /* equal hashes within, different ones between */
  } cases[] = {{"{\"prompt\":\"Add 1 to 2.\",\"completion\":\"3\"}", 0},
               {"{\"prompt\":\" add  1\\nTO 2\",\"completion\":\"no idea\"}", 0},
               {"{\"output\":\"3\",\"id\":7,\"instruction\":\"Add 1\",\"input\":\"to 2\"}", 0},
               {"{\"conversations\":[{\"from\":\"system\",\"value\":\"x\"},{\"from\":\"human\","
                "\"value\":\"Add 1 to "
                "2\"},{\"value\":\"b\",\"from\":\"gpt\"}]}",
                0},
               {"{\"prompt\":\"Add 1 to 2\",\"chosen\":\"3\",\"rejected\":\"4\"}", 0},
               {"{\"prompt\":\"Add 1 to 3\",\"completion\":\"3\"}", 1},
               {"{\"prompt\":\"Add 1+2\",\"completion\":\"3\"}", 2},
               {"{\"prompt\":\"Add 1*2\",\"completion\":\"3\"}", 3},
               {"{\"text\":\"\\u00c4pfel und \\u5b57!\"}", 4},
               {"{\"text\":\"\\u00e4PFEL, und\\u5b57\"}", 4},
               {"{\"text\":\"...\"}", 5},
               {"{\"text\":\"..\"}", 6},
               {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"hello\"}]}", 7}};
  uint64_t hashes[FT_ARRAY_SIZE(cases)];
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    cJSON *json;
    ft_record record;
    ft_words words = {0};
    assert_ok(ft_json_parse(cases[i].record, strlen(cases[i].record), "test", &json));
    assert_ok(ft_record_read(&rules, json, &record));
    assert_ok(ft_record_prompt_hash(&record, &words, &hashes[i]));
    ft_words_fini(&words);
    ft_record_fini(&record);
    cJSON_Delete(json);
    for (size_t k = 0; k < i; k++)
      if ((hashes[i] == hashes[k]) != (cases[i].group == cases[k].group))
        fail_msg("%s and %s", cases[i].record, cases[k].record);
  }
}

static void bad_records(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"[]", "is a list"},
      {"\"text\"", "is a string"},
      {"{}", "no known form"},
      {"{\"foo\":1}", "\"foo\""},
      {"{\"text\":\"\"}", "empty"},
      {"{\"text\":3}", "\"text\" is a number"},
      {"{\"text\":\"a\",\"messages\":[]}", "two forms at once, text and messages"},
      {"{\"instruction\":\"a\"}", "no \"output\""},
      {"{\"instruction\":\"a\",\"output\":null}", "no \"output\""},
      {"{\"instruction\":1,\"output\":\"b\"}", "\"instruction\" is a number"},
      {"{\"instruction\":\"a\",\"output\":\"b\",\"history\":[[\"q\"]]}", "[question, answer]"},
      {"{\"prompt\":\"a\"}", "no \"completion\""},
      {"{\"prompt\":\"a\",\"completion\":[]}", "\"completion\" is a list"},
      {"{\"prompt\":\"a\",\"chosen\":\"b\"}", "has \"prompt\" but no \"completion\""},
      {"{\"chosen\":\"b\",\"rejected\":\"c\"}", "no \"prompt\""},
      {"{\"messages\":{}}", "a list was expected"},
      {"{\"messages\":[]}", "\"messages\" is empty"},
      {"{\"messages\":[1]}", "message 1: is a number"},
      {"{\"messages\":[{\"content\":\"a\"}]}", "\"role\" is missing"},
      {"{\"messages\":[{\"role\":\"user\"}]}", "\"content\" is missing"},
      {"{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "\"content\" is null"},
      {"{\"messages\":[{\"role\":\"User\",\"content\":\"a\"}]}", "role \"User\" is unknown"},
      {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"tool\",\"content\":\"b\"}]"
       "}",
       "message 2: role \"tool\": tool use is not supported"},
      {"{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]}]}",
       "\"tool_calls\": tool use is not supported"},
      {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[{}]}", "\"tools\""},
      {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
       "type \"image_url\""},
      {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"weight\":0.5}]}", "\"weight\""},
      {"{\"conversations\":[{\"from\":\"function_call\",\"value\":\"\"}]}", "\"value\": its JSON"},
      {"{\"conversations\":[{\"from\":\"system\",\"value\":\"a\"}],\"system\":\"b\"}",
       "begin with a system message"}};
  model m = open_model(&(tiny_spec){.specials = chatml_tokens}, FT_TEMPLATE_AUTO, NULL);
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++)
    refused(&m, cases[i][0], cases[i][1]);
  close_model(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(prompt_hash),
      cmocka_unit_test(bad_records),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
