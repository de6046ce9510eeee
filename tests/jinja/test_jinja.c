/* Proves that templates render as Jinja renders them (the expected texts in cases/ were made by
 * Jinja 3.1.6 in the sandbox of transformers 5.24 with the date 26 July 2024), that what is wrong
 * or not supported is refused, that every byte knows where it came from, and that no template runs
 * for ever. Run alone: meson test -C build jinja */
#include <stdlib.h>
#include <string.h>

#include "ft/jinja.h"
#include "ft_test.h"

enum { MAX_INPUTS = 32, MAX_LINE = 8192 };

static const struct tm date = {
    .tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_wday = 5, .tm_yday = 207};

static cJSON *read_json(const char *text) {
  cJSON *json;
  assert_ok(ft_json_parse_data(text, strlen(text), "test", &json));
  return json;
}

/* Renders source with an object's members as inputs. */
static ft_err render(const char *source, const cJSON *inputs, int64_t num_turns,
                     ft_jinja_text *out) {
  ft_jinja_input list[MAX_INPUTS];
  ft_jinja *t;
  int64_t count = 0;
  for (const cJSON *item = inputs->child; item && count < MAX_INPUTS; item = item->next)
    list[count++] = (ft_jinja_input){.name = item->string, .value = item};
  ft_err err = ft_jinja_parse(source, strlen(source), "template", &t);
  if (err != FT_OK) return err;
  ft_jinja_options options = {.inputs = list,
                              .num_inputs = count,
                              .turns = "messages",
                              .num_turns = num_turns,
                              .date = date};
  err = ft_jinja_render(t, &options, out);
  ft_jinja_free(t);
  return err;
}

static FILE *open_cases(const char *name) {
  char path[4096];
  const char *dir = getenv("FT_JINJA_CASES");
  if (!dir) skip();
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "r");
  if (!f) fail_msg("%s cannot be opened", path);
  return f;
}

static cJSON *read_inputs(void) {
  static char text[MAX_LINE];
  FILE *f = open_cases("inputs.json");
  text[fread(text, 1, sizeof text - 1, f)] = 0;
  fclose(f);
  return read_json(text);
}

/* One line of a file: a template, and its text unless it is to be refused. */
static void check_case(const char *line, const cJSON *inputs) {
  ft_jinja_text text = {0};
  cJSON *json = read_json(line);
  const char *source = ft_json_get(json, "template")->valuestring;
  const cJSON *expected = ft_json_get(json, "text");
  ft_err err = render(source, inputs, -1, &text);
  if (!expected) {
    if (err != FT_ERR_DATA) fail_msg("%s: error %d, was to be refused", source, (int)err);
    if (!strstr(ft_error_message(), "template: line "))
      fail_msg("%s: \"%s\" has no line", source, ft_error_message());
  } else {
    if (err != FT_OK) fail_msg("%s: %s", source, ft_error_message());
    size_t bytes = strlen(expected->valuestring);
    if (text.bytes != bytes || memcmp(text.text, expected->valuestring, bytes) != 0)
      fail_msg("%s: found \"%.*s\", expected \"%s\"", source, (int)text.bytes, text.text,
               expected->valuestring);
  }
  ft_jinja_text_fini(&text);
  cJSON_Delete(json);
}

static void cases(void **state) {
  const char *name = *state;
  static char line[MAX_LINE];
  cJSON *inputs = read_inputs();
  FILE *f = open_cases(name);
  int count = 0;
  while (fgets(line, sizeof line, f)) {
    check_case(line, inputs);
    count++;
  }
  assert_true(count > 10);
  fclose(f);
  cJSON_Delete(inputs);
}

/* What raise_exception says comes through, and errors name line and reason. */
static void messages_of_errors(void **state) {
  (void)state;
  static const char *const expected[][2] = {
      {"a\n{{ raise_exception('Roles must alternate!') }}", "line 2: the template refuses this: "
                                                            "Roles must alternate!"},
      {"\n\n{{ x.y }}", "line 3: \"y\" is asked of it: x is undefined"},
      {"{{ 'a'|urlize }}", "the filter \"urlize\" is not supported"},
      {"{{ 'a'|foo }}", "the filter \"foo\" does not exist"},
      {"{% include 'a' %}", "the statement \"include\" is not supported"},
      {"{% foo %}", "unknown statement \"foo\""},
      {"{% for a in [1] %}", "has no {% endfor %}"},
      {"{{ [].append(1) }}", "unsafe"},
      {"{{ 'a'.encode() }}", "\"encode\" of a string is not supported"},
      {"{{ 99999999999999999999 }}", "64 bits"},
      {"{{ 9223372036854775807 + 1 }}", "64 bits"}};
  cJSON *inputs = read_json("{}");
  ft_jinja_text text = {0};
  for (size_t i = 0; i < FT_ARRAY_SIZE(expected); i++)
    assert_fails(render(expected[i][0], inputs, -1, &text), FT_ERR_DATA, expected[i][1]);
  ft_jinja_text_fini(&text);
  cJSON_Delete(inputs);
}

/* Time, memory and depth are bounded, whatever a template does. */
static void bounds(void **state) {
  (void)state;
  static const char *const hostile[] = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
      "{% set ns = namespace(x='abcdefgh') %}"
      "{% for a in range(99999) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}"
      "{% for a in range(99999) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
      "{{ 'a' * 999999999999 }}",
      "{{ 'a'.center(999999999) }}",
      "{{ 2 ** 9999 }}",
      "{{ '%999999d' % 1 }}"};
  cJSON *inputs = read_json("{}");
  ft_jinja_text text = {0};
  for (size_t i = 0; i < FT_ARRAY_SIZE(hostile); i++)
    assert_fails(render(hostile[i], inputs, -1, &text), FT_ERR_DATA, "");
  ft_jinja_text_fini(&text);
  cJSON_Delete(inputs);
}

/* ---------------------------------------------------------------- where text comes from */

static const char chat[] =
    "{\"bos\":\"<s>\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi you\"},"
    "{\"role\":\"assistant\",\"content\":\"ok\",\"tool_calls\":[{\"name\":\"f\"}]}]}";

/* "text" of each span as "|text:variable.index.member@turn", "*" for generated text. */
static void describe(const ft_jinja_text *text, char *out, size_t room) {
  size_t begin = 0, used = 0;
  out[0] = 0;
  for (int64_t i = 0; i < text->num_spans; i++) {
    const ft_jinja_span *span = &text->spans[i];
    char from[64] = "-";
    if (span->origin >= 0) {
      const ft_jinja_origin *o = &text->origins[span->origin];
      snprintf(from, sizeof from, "%s.%lld.%s", o->variable, (long long)o->index,
               o->member ? o->member : "");
    }
    used += (size_t)snprintf(out + used, room - used, "|%.*s:%s@%d%s", (int)(span->end - begin),
                             text->text + begin, from, span->turn, span->generation ? "*" : "");
    begin = span->end;
  }
  assert_int_equal(begin, text->bytes);
}

static void provenance(void **state) {
  (void)state;
  static const char *const expected[][2] = {
      {"a{{ bos }}", "|a:-@-1|<s>:bos.-1.@-1"},
      {"{% for m in messages %}[{{ m.content }}]{% endfor %}",
       "|[:-@0|Hi you:messages.0.content@0|]:-@0|[:-@1|ok:messages.1.content@1|]:-@1"},
      /* through methods, filters, slices, sums, macros and blocks */
      {"{{ messages[0].content.upper()[1:4] + 'x' }}", "|I Y:messages.0.content@-1|x:-@-1"},
      {"{{ messages[0].content|replace('you', 'me')|trim }}", "|Hi :messages.0.content@-1|me:-@-1"},
      {"{% macro m(x) %}<{{ x }}>{% endmacro %}{% set y %}{{ m(messages[1].role) }}{% endset %}"
       "{{ y }}",
       "|<:-@-1|assistant:messages.1.role@-1|>:-@-1"},
      {"{{ messages[1].tool_calls|tojson }}",
       "|[{\":-@-1|name:messages.1.tool_calls@-1|\": \":-@-1|f:messages.1.tool_calls@-1|\"}]:-@-1"},
      {"{{ messages[0].content.split()|join('+') }}",
       "|Hi:messages.0.content@-1|+:-@-1|you:messages.0.content@-1"},
      /* a message that a loop picks by its number */
      {"{% for i in range(2) %}{% set m = messages[i] %}{{ i }}{% endfor %}.",
       "|0:-@0|1:-@1|.:-@-1"},
      {"{% for m in messages[1:] %}{% for c in m.content %}{{ c }}{% endfor %}{% endfor %}",
       "|ok:messages.1.content@1"},
      {"{% generation %}a{{ messages[1].content }}{% endgeneration %}b",
       "|a:-@-1*|ok:messages.1.content@-1*|b:-@-1"},
      {"{% set x %}{% generation %}a{% endgeneration %}b{% endset %}{{ x }}", "|a:-@-1*|b:-@-1"}};
  cJSON *inputs = read_json(chat);
  ft_jinja_text text = {0};
  char found[1000];
  for (size_t i = 0; i < FT_ARRAY_SIZE(expected); i++) {
    assert_ok(render(expected[i][0], inputs, -1, &text));
    describe(&text, found, sizeof found);
    assert_string_equal(found, expected[i][1]);
  }
  ft_jinja_text_fini(&text);
  cJSON_Delete(inputs);
}

/* A template may be shown the first turns only. */
static void shown_turns(void **state) {
  (void)state;
  cJSON *inputs = read_json(chat);
  ft_jinja_text text = {0};
  assert_ok(render("{{ messages|length }}", inputs, 1, &text));
  assert_int_equal(text.bytes, 1);
  assert_memory_equal(text.text, "1", 1);
  ft_jinja_text_fini(&text);
  cJSON_Delete(inputs);
}

/* U+0000 in an input is one character, and comes out as a zero. */
static void zeros(void **state) {
  (void)state;
  cJSON *inputs = read_json("{\"s\":\"a\\u0000b\"}");
  ft_jinja_text text = {0};
  assert_ok(render("{{ s }}{{ s|length }}{{ s|tojson }}", inputs, -1, &text));
  assert_int_equal(text.bytes, 14);
  assert_memory_equal(text.text, "a\0b3\"a\\u0000b\"", 14);
  ft_jinja_text_fini(&text);
  cJSON_Delete(inputs);
}

static void asked(void **state) {
  (void)state;
  static const char source[] = "{% generation %}{{ tools|tojson }}<|end|>{{ '<x>' }}"
                               "{% endgeneration %}";
  ft_jinja *t;
  assert_ok(ft_jinja_parse(source, strlen(source), "template", &t));
  assert_true(ft_jinja_has_generation(t));
  assert_true(ft_jinja_uses(t, "tools"));
  assert_false(ft_jinja_uses(t, "tool"));
  ft_jinja_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(cases, "space.jsonl"),
                                     cmocka_unit_test_prestate(cases, "statements.jsonl"),
                                     cmocka_unit_test_prestate(cases, "expressions.jsonl"),
                                     cmocka_unit_test_prestate(cases, "strings.jsonl"),
                                     cmocka_unit_test_prestate(cases, "lists.jsonl"),
                                     cmocka_unit_test_prestate(cases, "refused.jsonl"),
                                     cmocka_unit_test(messages_of_errors),
                                     cmocka_unit_test(bounds),
                                     cmocka_unit_test(provenance),
                                     cmocka_unit_test(shown_turns),
                                     cmocka_unit_test(zeros),
                                     cmocka_unit_test(asked)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
