/* Proves that records in every form are read as the same content, that their hash sees the content
 * and nothing else, and that what cannot be read is refused with its reason. Run alone:
 * meson test -C build record */
#include "template_fixtures.h"

/* The hash that splits sees content, roles and borders, and nothing else. */
static void content_hash(void **state) {
  (void)state;
  static const struct {
    const char *record;
    int group; /* equal hashes within, different ones between */
  } cases[] = {{"{\"prompt\":\"a\",\"completion\":\"b\"}", 0},
               {"{\"output\":\"b\",\"id\":7,\"instruction\":\"a\",\"input\":\"\"}", 0},
               {"{\"conversations\":[{\"from\":\"human\",\"value\":\"\\u0061\"},{\"value\":\"b\","
                "\"from\":\"gpt\"}]}",
                0},
               {"{\"prompt\":\"b\",\"completion\":\"a\"}", 1},
               {"{\"prompt\":\"ab\",\"completion\":\"\"}", 2},
               {"{\"prompt\":\"\",\"completion\":\"ab\"}", 3},
               {"{\"text\":\"ab\"}", 4},
               {"{\"conversations\":[{\"from\":\"system\",\"value\":\"a\"},{\"value\":\"b\","
                "\"from\":\"gpt\"}]}",
                5},
               {"{\"instruction\":\"\",\"input\":\"a\",\"output\":\"b\"}", 6},
               {"{\"text\":\"ab\",\"source\":\"x\"}", 4}};
  uint64_t hashes[FT_ARRAY_SIZE(cases)];
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    cJSON *json;
    ft_record record;
    assert_ok(ft_json_parse(cases[i].record, strlen(cases[i].record), "test", &json));
    assert_ok(ft_record_read(json, &record));
    hashes[i] = ft_record_hash(&record);
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
      {"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}", "preference"},
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
      {"{\"conversations\":[{\"from\":\"function_call\",\"value\":\"\"}]}", "tool use"},
      {"{\"conversations\":[{\"from\":\"system\",\"value\":\"a\"}],\"system\":\"b\"}",
       "begin with a system message"}};
  model m = open_model(&(tiny_spec){.specials = chatml_tokens}, FT_TEMPLATE_AUTO, NULL);
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++)
    refused(&m, cases[i][0], cases[i][1]);
  close_model(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(content_hash),
      cmocka_unit_test(bad_records),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
