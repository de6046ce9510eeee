/* JSON: strictness, places of mistakes, exact numbers. Alone: build/tests/io/test_json */
#include <float.h>
#include <math.h>

#include "io_test.h"

static ft_err parse(const char *text, cJSON **out) {
  return ft_json_parse(text, strlen(text), "t.json", out);
}

static void mistakes_are_placed(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"", "line 1, column 1: the text ends where a value was expected"},
      {"{\"a\": 1,\n \"b\": }", "line 2, column 7: found '}' where a value"},
      {"{\"ä\": x}", "line 1, column 7: found 'x'"}, /* columns are characters */
      {"[1, 2", "column 6: the text ends where ',' or ']'"},
      {"[1 2]", "column 4: found '2' where ',' or ']'"},
      {"[1,]", "column 4: found ']' where a value"},
      {"{\"a\" 1}", "column 6: found '1' where ':'"},
      {"{a: 1}", "column 2: found 'a' where a key in double quotes"},
      {"{\"a\": 1,}", "column 9: found '}' where a key"},
      {"1 x", "column 3: found 'x' where the end of the text"},
      {"nul", "column 1: found 'n' where a value"},
      {"NaN", "column 1: found 'N' where a value"},
      {"[Infinity]", "column 2: found 'I'"},
      {"01", "column 1: this is not a number"},
      {"[-]", "column 2: this is not a number"},
      {"[1.]", "column 2: this is not a number"},
      {"[.5]", "column 2: found '.'"},
      {"[1e]", "column 2: this is not a number"},
      {"[1e999]", "column 2: a number too large"},
      {"\"abc", "column 1: a string that is not closed"},
      {"\"abc\\\"", "column 1: a string that is not closed"},
      {"\"a\\", "column 3: an escape"},
      {"\"a\tb\"", "column 3: a control character"},
      {"\"\\x\"", "column 2: an escape that JSON does not know"},
      {"\"\\u12g4\"", "column 2: \\u needs four"},
      {"\"\\u12", "column 2: \\u needs four"},
      {"\"\\u0000\"", "column 2: \\u0000"},
      {"\"\\ud800\"", "column 2: the first half of a surrogate"},
      {"\"\\ud800\\u0041\"", "column 2: the first half of a surrogate"},
      {"\"\\udc00\"", "column 2: the second half of a surrogate"},
      {"\"\xff\"", "column 2: invalid UTF-8"},
      {"\"\xc0\x80\"", "column 2: invalid UTF-8"},         /* overlong */
      {"\"\xe0\x9f\xbf\"", "column 2: invalid UTF-8"},     /* overlong */
      {"\"\xed\xa0\x80\"", "column 2: invalid UTF-8"},     /* surrogate */
      {"\"\xf4\x90\x80\x80\"", "column 2: invalid UTF-8"}, /* beyond U+10FFFF */
      {"\"\xe2\x82", "column 2: invalid UTF-8"},
      {"{\"a\": 1, \"b\": {\"a\": 2}, \"a\": 3}", "column 25: the key \"a\" appears twice"},
      {"{\"a\": 1, \"\\u0061\": 3}", "column 10: the key \"a\" appears twice"},
      {"/* c */ 1", "column 1: found '/'"},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    cJSON *json = NULL;
    assert_fails(parse(cases[i].text, &json), FT_ERR_DATA, cases[i].message);
    assert_non_null(strstr(ft_error_message(), "t.json: line"));
    assert_null(json);
  }
}

static void zeros_in_text_are_refused(void **state) {
  (void)state;
  cJSON *json;
  assert_fails(ft_json_parse("1\0", 2, "t", &json), FT_ERR_DATA, "column 2: found byte 0x00");
  assert_fails(ft_json_parse("\"\0\"", 3, "t", &json), FT_ERR_DATA, "a control character");
  /* where people's texts are read, the escape is kept in a form that nothing else has */
  assert_fails(ft_json_parse("\"\\u0000\"", 8, "t", &json), FT_ERR_DATA, "\\u0000");
  assert_fails(ft_json_parse_data("\"\0\"", 3, "t", &json), FT_ERR_DATA, "a control character");
  assert_fails(ft_json_parse_data("\"\xC0\x80\"", 4, "t", &json), FT_ERR_DATA, "invalid UTF-8");
  assert_ok(ft_json_parse_data("\"a\\u0000b\"", 10, "t", &json));
  assert_string_equal(json->valuestring, "a" FT_JSON_ZERO "b");
  cJSON_Delete(json);
}

static void nesting_is_limited(void **state) {
  (void)state;
  char text[600];
  cJSON *json;
  memset(text, '[', 300);
  memset(text + 300, ']', 300);
  assert_fails(ft_json_parse(text, 600, "t", &json), FT_ERR_DATA, "column 257: more than 256");
  assert_ok(ft_json_parse(text + 44, 512, "t", &json));
  cJSON_Delete(json);
}

static void values_are_read(void **state) {
  (void)state;
  cJSON *json;
  assert_ok(
      parse("\xEF\xBB\xBF {\"a\": [1, -2.5e3, true, false, null], "
            "\"s\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20ac\\ud83d\\ude00ä€😀\", \"A\": {}}\r\n",
            &json));
  const cJSON *a = ft_json_get(json, "a");
  assert_int_equal(cJSON_GetArraySize(a), 5);
  assert_true(cJSON_GetArrayItem(a, 1)->valuedouble == -2500);
  assert_true(cJSON_IsTrue(cJSON_GetArrayItem(a, 2)) && cJSON_IsFalse(cJSON_GetArrayItem(a, 3)));
  assert_true(cJSON_IsNull(cJSON_GetArrayItem(a, 4)));
  assert_string_equal(ft_json_get(json, "s")->valuestring, "\"\\/\b\f\n\r\tä€😀ä€😀");
  assert_true(cJSON_IsObject(ft_json_get(json, "A")));
  assert_null(ft_json_get(json, "S"));
  assert_null(ft_json_get(a, "a"));
  cJSON_Delete(json);
}

static void integers_are_exact(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool is_integer;
    int64_t value;
  } cases[] = {{"0", true, 0},
               {"-7", true, -7},
               {"1e3", true, 1000},
               {"9007199254740991", true, 9007199254740991},
               {"9007199254740992", false, 0},
               {"9007199254740993", false, 0},
               {"-9007199254740993", false, 0},
               {"0.5", false, 0},
               {"\"1\"", false, 0},
               {"1e300", false, 0}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    cJSON *json;
    int64_t value = 0;
    assert_ok(parse(cases[i].text, &json));
    assert_int_equal(ft_json_i64(json, &value), cases[i].is_integer);
    assert_int_equal(value, cases[i].value);
    cJSON_Delete(json);
  }
  assert_false(ft_json_i64(NULL, &(int64_t){0}));
}

static void doubles_keep_their_bits(void **state) {
  (void)state;
  static const double cases[] = {
      0.1 + 0.2,     1.0 / 3, 1e-5, 5e-324, DBL_MAX, -0.0,  0x1.5555555555p3,
      123456789.125, 1e22,    1e-7, 4.0,    0.1,     2e-45, 9007199254740993.0,
      -1.5};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    cJSON *number = cJSON_CreateNumber(cases[i]), *back;
    char *text;
    assert_ok(ft_json_print(number, false, &text));
    assert_ok(parse(text, &back));
    assert_memory_equal(&back->valuedouble, &cases[i], sizeof(double));
    cJSON_Delete(number);
    cJSON_Delete(back);
    ft_free(text);
  }
  cJSON *nan = cJSON_CreateNumber((double)NAN);
  char *text;
  assert_ok(ft_json_print(nan, false, &text));
  assert_string_equal(text, "null");
  cJSON_Delete(nan);
  ft_free(text);
}

/* What a config.json holds is written as it was, with one value changed. */
static void files_keep_their_numbers(void **state) {
  (void)state;
  const char *text = "{\n  \"eps\": 1e-05,\n  \"theta\": 10000.0,\n  \"n\": 7,\n  \"long\": "
                     "0.10000000000000000000000000000000000000000000000000000000000000001,\n"
                     "  \"empty\": {},\n  \"list\": [\n    1,\n    \"ä\\n\\u0001\"\n  ],\n"
                     "  \"none\": []\n}\n";
  cJSON *json;
  char *read;
  size_t bytes;
  assert_ok(parse(text, &json));
  assert_ok(ft_json_write(in_scratch("a.json"), json));
  assert_ok(ft_read_file(in_scratch("a.json"), SIZE_MAX, &read, &bytes));
  assert_string_equal(read, text);
  ft_free(read);
  cJSON_SetNumberValue(ft_json_get(json, "theta"), 5e5);
  assert_ok(ft_json_write(in_scratch("a.json"), json));
  cJSON_Delete(json);
  assert_ok(ft_json_read(in_scratch("a.json"), &json));
  assert_true(ft_json_get(json, "theta")->valuedouble == 5e5);
  cJSON_Delete(json);
  assert_fails(ft_json_read(in_scratch("b.json"), &json), FT_ERR_NOINPUT, "b.json");
}

static void many_keys_take_no_quadratic_time(void **state) {
  (void)state;
  enum { KEYS = 300000 };
  char *text = malloc(KEYS * 24);
  size_t used = 1;
  text[0] = '{';
  for (int i = 0; i < KEYS; i++)
    used += (size_t)sprintf(text + used, "%s\"k%d\":%d", i ? "," : "", i, i);
  text[used++] = '}';
  cJSON *json;
  double start = ft_now_s();
  assert_ok(ft_json_parse(text, used, "t", &json));
  assert_true(ft_now_s() - start < 5);
  assert_int_equal(cJSON_GetArraySize(json), KEYS);
  cJSON_Delete(json);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(mistakes_are_placed),      TEST(zeros_in_text_are_refused),
      TEST(nesting_is_limited),       TEST(values_are_read),
      TEST(integers_are_exact),       TEST(doubles_keep_their_bits),
      TEST(files_keep_their_numbers), TEST(many_keys_take_no_quadratic_time)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
