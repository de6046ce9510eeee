/* Proves that records in the forms people have are read with their whole meaning: pairs, rated
 * answers, classes, switches of what is learnt, other names for members; and that what is not read
 * is refused by name, known to be harmless, or noted.
 * Run alone: meson test -C build record-forms */
#include "template_fixtures.h"

static ft_err read_record(const ft_record_rules *rules, const char *text, cJSON **json,
                          ft_record *record) {
  assert_ok(ft_json_parse_data(text, strlen(text), "test", json));
  return ft_record_read(rules, *json, record);
}

/* "kind value: role content target|…", the rejected conversation after " / ". */
static char *summary(const ft_record *r) {
  char *text = NULL, part[400];
  size_t used = 0;
  snprintf(part, sizeof part, "%s %d:", ft_tokens_kind_name(r->kind), (int)r->value);
  append(&text, &used, part, strlen(part));
  if (r->text) append(&text, &used, r->text, strlen(r->text));
  for (const ft_record *side = r; side; side = side->rejected) {
    if (side != r) append(&text, &used, " /", 2);
    for (int64_t i = 0; i < side->num_messages; i++) {
      const ft_message *m = &side->messages[i];
      snprintf(part, sizeof part, " %.1s=%s%s%s%s%s", ft_speaker_name(m->role), m->content,
               m->input ? "+" : "", m->input ? m->input : "", m->target ? "*" : "",
               m->tool_calls ? "!" : "");
      append(&text, &used, part, strlen(part));
      if (m->reasoning) append(&text, &used, m->reasoning, strlen(m->reasoning));
    }
  }
  return text;
}

static void check_record(const ft_record_rules *rules, const char *text, const char *expected) {
  cJSON *json;
  ft_record record;
  ft_err err = read_record(rules, text, &json, &record);
  if (err != FT_OK) fail_msg("%s: %s", text, ft_error_message());
  char *found = summary(&record);
  if (strcmp(found, expected) != 0) fail_msg("%s: \"%s\", not \"%s\"", text, found, expected);
  free(found);
  ft_record_fini(&record);
  cJSON_Delete(json);
}

static const ft_record_rules plain = {0};

static void pairs(void **state) {
  (void)state;
  static const char expected[] = "preference 0: u=q a=good* / u=q a=bad*";
  static const char *const same[] = {
      "{\"prompt\":\"q\",\"chosen\":\"good\",\"rejected\":\"bad\"}",
      "{\"prompt\":[{\"role\":\"user\",\"content\":\"q\"}],"
      "\"chosen\":[{\"role\":\"assistant\",\"content\":\"good\"}],"
      "\"rejected\":[{\"role\":\"assistant\",\"content\":\"bad\"}]}",
      "{\"chosen\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":"
      "\"good\"}],\"rejected\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
      "\"content\":\"bad\"}]}",
      "{\"prompt\":\"q\",\"chosen\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
      "\"content\":\"good\"}],\"rejected\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
      "\"assistant\",\"content\":\"bad\"}],\"score_chosen\":1.5}",
      "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"}],\"chosen\":{\"from\":\"gpt\","
      "\"value\":\"good\"},\"rejected\":{\"from\":\"gpt\",\"value\":\"bad\"}}",
      "{\"instruction\":\"q\",\"input\":\"\",\"chosen\":\"good\",\"rejected\":\"bad\"}",
      "{\"chosen\":\"\\n\\nHuman: q\\n\\nAssistant: good\",\"rejected\":\"\\n\\nHuman: "
      "q\\n\\nAssistant: bad\"}",
      "{\"prompt\":\"\\n\\nHuman: q\\n\\nAssistant:\",\"chosen\":\"good\",\"rejected\":\"bad\"}",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"chosen\":\"good\",\"rejected\":"
      "\"bad\"}"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(same); i++)
    check_record(&plain, same[i], expected);
  /* earlier answers are part of what is asked; a system message stands before */
  check_record(&plain,
               "{\"system\":\"s\",\"prompt\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
               "\"assistant\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"r\"}],"
               "\"chosen\":\"good\",\"rejected\":\"bad\"}",
               "preference 0: s=s u=q a=a u=r a=good* / s=s u=q a=a u=r a=bad*");
  check_record(&plain,
               "{\"instruction\":\"q\",\"input\":\"i\",\"chosen\":\"good\",\"rejected\":\"bad\"}",
               "preference 0: u=q+i a=good* / u=q+i a=bad*");
}

#define CALL                                                                                       \
  "{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"function_call\",\"value\":\"{\\\"name\\\":"    \
  "\\\"f\\\"}\"},"                                                                                 \
  "{\"from\":\"observation\",\"value\":\"o\"},"

/* A system message, a switch and a speaker have many names. */
static void other_names_in_use(void **state) {
  (void)state;
  static const char *const systems[] = {"system", "system_prompt", "system_message"};
  static const char *const off[] = {"loss_mask\":0",   "train_on_turn\":false",
                                    "trained\":false", "loss_fn_weight\":0",
                                    "no_loss\":true",  "is_masked\":1"};
  static const char *const roles[] = {"gpt", "chatgpt", "bing", "bard", "bot", "model", "ai"};
  char text[300];
  for (size_t i = 0; i < FT_ARRAY_SIZE(systems); i++) {
    snprintf(text, sizeof text, "{\"%s\":\"s\",\"instruction\":\"q\",\"output\":\"a\"}",
             systems[i]);
    check_record(&plain, text, "sft 0: s=s u=q a=a*");
    snprintf(text, sizeof text,
             "{\"%s\":\"s\",\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}", systems[i]);
    check_record(&plain, text, "preference 0: s=s u=q a=a* / s=s u=q a=b*");
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(off); i++) {
    snprintf(
        text, sizeof text,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":"
        "\"a\",\"%s},{\"role\":\"assistant\",\"content\":\"b\"}]}",
        off[i]);
    check_record(&plain, text, "sft 0: u=q a=a a=b*");
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(roles); i++) {
    snprintf(text, sizeof text,
             "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"%s\",\"value\":"
             "\"a\"}]}",
             roles[i]);
    check_record(&plain, text, "sft 0: u=q a=a*");
  }
}

/* What both sides begin with is the prompt, whatever it is made of. */
static void implicit_prompts(void **state) {
  (void)state;
  check_record(&plain,
               "{\"chosen\":\"what is up? the sky is blue\",\"rejected\":\"what is up? the sky is "
               "black\"}",
               "preference 0: u=what is up? the sky is a= blue* / u=what is up? the sky is a= "
               "black*");
  check_record(
      &plain,
      "{\"system\":\"s\",\"chosen\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
      "\"assistant\",\"content\":\"a\"}],\"rejected\":[{\"role\":\"user\",\"content\":\"q\"},"
      "{\"role\":\"assistant\",\"content\":\"b\"}]}",
      "preference 0: s=s u=q a=a* / s=s u=q a=b*");
  check_record(&plain,
               "{\"chosen\":[" CALL "{\"from\":\"gpt\",\"value\":\"a\"}],\"rejected\":[" CALL
               "{\"from\":\"gpt\",\"value\":\"b\"}]}",
               "preference 0: u=q a=! t=o a=a* / u=q a=! t=o a=b*");
  /* an answer of several messages; one that is the beginning of the other */
  check_record(
      &plain,
      "{\"chosen\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":"
      "\"a\"},{\"role\":\"user\",\"content\":\"r\"},{\"role\":\"assistant\",\"content\":\"b\"}],"
      "\"rejected\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":"
      "\"a\"}]}",
      "preference 0: u=q a=a* u=r a=b* / u=q a=a*");
  check_record(&plain, "{\"system\":\"s\",\"question\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}",
               "preference 0: s=s u=q a=a* / s=s u=q a=b*");
}

static void rated(void **state) {
  (void)state;
  check_record(&plain, "{\"prompt\":\"q\",\"completion\":\"a\",\"label\":false}",
               "unpaired 0: u=q a=a*");
  check_record(&plain, "{\"instruction\":\"q\",\"output\":\"a\",\"kto_tag\":true}",
               "unpaired 1: u=q a=a*");
  check_record(&plain,
               "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
               "\"content\":\"a\"},{\"role\":\"user\",\"content\":\"r\"},{\"role\":\"assistant\","
               "\"content\":\"b\"}],\"label\":1}",
               "unpaired 1: u=q a=a u=r a=b*");
}

static void classes(void **state) {
  (void)state;
  static const char *const names[] = {"no", "yes"};
  ft_record_rules named = {.classes = names, .num_classes = 2};
  ft_record_rules as_text = {.form = FT_FORM_TEXT};
  check_record(&plain, "{\"text\":\"t\",\"label\":7}", "classes 7:t");
  check_record(&plain, "{\"text\":\"t\",\"label\":true}", "classes 1:t");
  check_record(&named, "{\"text\":\"t\",\"label\":\"yes\"}", "classes 1:t");
  check_record(&plain, "{\"text\":\"t\",\"label\":null}", "text 0:t");
  cJSON *json;
  ft_record record;
  assert_fails(read_record(&as_text, "{\"text\":\"t\",\"label\":7}", &json, &record), FT_ERR_DATA,
               "\"label\": this form takes no label");
  cJSON_Delete(json);
}

/* Whether a message is learnt, under every name in use. */
static void switches(void **state) {
  (void)state;
  static const char *const off[] = {"\"loss\":false",     "\"train\":false", "\"weight\":0",
                                    "\"training\":false", "\"masked\":true", "\"mask\":1",
                                    "\"trainable\":0.0",  "\"learn\":false", "\"ignore\":true"};
  static const char *const on[] = {"\"loss\":true", "\"train\":1", "\"weight\":1.0",
                                   "\"masked\":false", "\"loss\":null"};
  char text[300];
  static const char format[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
                               "\"assistant\",\"content\":\"a\",%s}]}";
  for (size_t i = 0; i < FT_ARRAY_SIZE(off); i++) {
    snprintf(text, sizeof text, format, off[i]);
    check_record(&plain, text, "sft 0: u=q a=a");
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(on); i++) {
    snprintf(text, sizeof text, format, on[i]);
    check_record(&plain, text, "sft 0: u=q a=a*");
  }
}

static void meaning_is_kept(void **state) {
  (void)state;
  check_record(&plain,
               "{\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
               "\"assistant\",\"content\":\"a\",\"thinking\":\"(t)\"}]}",
               "sft 0: s=s u=q a=a*(t)");
  check_record(&plain,
               "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
               "\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]},{\"role\":"
               "\"tool\",\"content\":\"4\"}],\"tools\":\"[{\\\"name\\\":\\\"f\\\"}]\"}",
               "sft 0: u=q a=*! t=4");
  check_record(
      &plain,
      "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"function_call\","
      "\"value\":\"{\\\"name\\\":\\\"f\\\",\\\"arguments\\\":{}}\"},{\"from\":"
      "\"observation\",\"value\":\"4\"}]}",
      "sft 0: u=q a=*! t=4");
  check_record(&plain,
               "{\"conversations\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
               "\"content\":\"a\"}]}",
               "sft 0: u=q a=a*");
  /* sound records that look odd */
  check_record(&plain, "{\"prompt\":\"q\",\"completion\":\"a\",\"tools\":\"[]\"}",
               "sft 0: u=q a=a*");
  check_record(&plain, "{\"prompt\":\"q\",\"completion\":\"a\",\"tools\":\"null\"}",
               "sft 0: u=q a=a*");
  check_record(&plain, "{\"instruction\":\"q\",\"output\":\"a\",\"text\":\"\"}", "sft 0: u=q a=a*");
  check_record(&plain, "{\"instruction\":\"q\",\"output\":\"a\",\"text\":\"### q\\n### a\"}",
               "sft 0: u=q a=a*");
  check_record(&plain, "{\"text\":\"t\",\"score\":NaN,\"more\":[-Infinity]}", "text 0:t");
}

/* Refused by name. */
static void lost_meaning(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"{\"prompt\":\"q\",\"completion\":\"a\",\"images\":[\"cat.png\"]}", "\"images\""},
      {"{\"prompt\":\"q\",\"completion\":\"a\",\"available_tools\":[{}]}", "\"available_tools\""},
      {"{\"prompt\":\"q\",\"completion\":\"a\",\"label\":0.5}", "\"label\" is another number"},
      {"{\"prompt\":\"q\",\"completions\":[\"a\"],\"labels\":[true]}", "no \"completion\""},
      {"{\"prompt\":\"q\",\"completion\":\"a\",\"weight\":2}", "\"weight\": records have no"},
      {"{\"prompt\":\"q\",\"completion\":\"a\",\"tools\":\"[\"}", "\"tools\": its JSON"},
      {"{\"messages\":[{\"role\":\"user\",\"content\":\"q\",\"image\":\"x\"}]}",
       "message 1: \"image\""},
      {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"q\",\"loss\":0.5}]}", "\"loss\""},
      {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"q\",\"use_for_training\":false}]}",
       "\"use_for_training\" sounds as if"},
      {"{\"system\":\"a\",\"system_prompt\":\"b\",\"instruction\":\"q\",\"output\":\"a\"}",
       "\"system_prompt\" says something else than \"system\""},
      {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"q\",\"loss\":true,\"mask\":true}]}",
       "contradict"},
      {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"q\",\"thinking\":\"a\",\"reasoning\":"
       "\"b\"}]}",
       "\"thinking\" says something else"},
      {"{\"system\":\"a\",\"messages\":[{\"role\":\"system\",\"content\":\"b\"}]}",
       "beside messages that begin with a system message"},
      {"{\"instruction\":\"q\",\"output\":\"a\",\"text\":\"another\"}", "--form says which"},
      {"{\"query\":\"q\",\"chosen\":\"the sky is blue\",\"rejected\":\"the sky is black\"}",
       "--field prompt=query"},
      {"{\"chosen\":\"yes\",\"rejected\":\"no\"}", "share no beginning"},
      {"{\"system\":\"t\",\"chosen\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
       "\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}],\"rejected\":[{\"role\":"
       "\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
       "\"assistant\","
       "\"content\":\"b\"}]}",
       "beside messages that begin with a system message"},
      {"{\"text\":\"t\",\"label\":\"yes\"}", "label2id"},
      {"{\"text\":\"t\",\"label\":-1}", "a class (a number from 0)"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    cJSON *json;
    ft_record record;
    ft_err err = read_record(&plain, cases[i][0], &json, &record);
    if (err != FT_ERR_DATA || !strstr(ft_error_message(), cases[i][1]))
      fail_msg("%s: \"%s\" lacks \"%s\"", cases[i][0], ft_error_message(), cases[i][1]);
    cJSON_Delete(json);
  }
}

/* What the layouts of ours cannot say is refused by them, not dropped. */
static void layouts_refuse(void **state) {
  (void)state;
  model m = open_model(&(tiny_spec){.specials = chatml_tokens}, FT_TEMPLATE_AUTO, NULL);
  refused(&m, "{\"prompt\":\"q\",\"completion\":\"a\",\"chat_template_kwargs\":{\"a\":1}}",
          "\"chat_template_kwargs\" is not supported by the layout chatml");
  refused(&m, "{\"prompt\":\"q\",\"completion\":\"a\",\"documents\":[1]}", "\"documents\"");
  refused(&m,
          "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"b\"}]}",
          "message 1: \"reasoning_content\"");
  close_model(&m);
}

static void unread_members(void **state) {
  (void)state;
  cJSON *json;
  ft_record record;
  assert_ok(read_record(&plain,
                        "{\"id\":1,\"colour\":\"red\",\"none\":null,\"messages\":[{\"role\":"
                        "\"user\",\"content\":\"q\",\"mood\":\"x\"},{\"role\":\"assistant\","
                        "\"content\":\"a\",\"mood\":\"y\"}]}",
                        &json, &record));
  assert_string_equal(record.unread.names, "colour");
  assert_string_equal(record.unread.names + 7, "messages: mood");
  assert_int_equal(record.unread.used, 7 + 15);
  ft_record_fini(&record);
  cJSON_Delete(json);
}

/* A file's own names, and a form that is asked for. */
static void names_and_forms(void **state) {
  (void)state;
  static const ft_field fields[] = {
      {"messages", "dialog"}, {"role", "speaker"}, {"content", "utterance"}};
  ft_record_rules mapped = {.fields = fields, .num_fields = 3};
  check_record(&mapped,
               "{\"dialog\":[{\"speaker\":\"user\",\"utterance\":\"q\"},{\"speaker\":\"assistant\","
               "\"utterance\":\"a\"}]}",
               "sft 0: u=q a=a*");
  ft_record_rules fixed = {.form = FT_FORM_ALPACA};
  check_record(&fixed, "{\"instruction\":\"q\",\"output\":\"a\",\"text\":\"another\"}",
               "sft 0: u=q a=a*");
  cJSON *json;
  ft_record record;
  assert_fails(read_record(&fixed, "{\"text\":\"a\"}", &json, &record), FT_ERR_DATA,
               "has no \"instruction\", which the form alpaca needs");
  cJSON_Delete(json);
  ft_form form;
  for (int i = 0; i < FT_NUM_FORMS; i++) {
    assert_ok(ft_form_by_name(ft_form_name((ft_form)i), &form));
    assert_int_equal(form, i);
  }
  assert_fails(ft_form_by_name("sharegpt4", &form), FT_ERR_USAGE, "conversations");
}

/* ---------------------------------------------------------------- spelled-out tokens */

static const char *const own_tokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<SQL>",
                                         NULL};

static ft_spelled spelled_in(const model *m, const char *text) {
  static const ft_record_rules rules = {0};
  cJSON *json;
  ft_document document = {0};
  assert_ok(ft_json_parse(text, strlen(text), "test", &json));
  assert_ok(ft_render_record(m->t, &m->options, &rules, json, &document));
  ft_spelled spelled = document.spelled;
  ft_document_fini(&document);
  cJSON_Delete(json);
  return spelled;
}

/* Control tokens in texts stay letters and are counted, or are taken as such; the user's own are
 * themselves wherever they stand. */
static void spelled_tokens(void **state) {
  (void)state;
  model m = open_model(&(tiny_spec){.specials = own_tokens}, FT_TEMPLATE_AUTO, "");
  m.options.eos = -1;
  static const char text[] = "{\"text\":\"a<SQL>b<|im_end|><|im_end|>\"}";
  static const char chat[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"<|im_start|>\"},"
                             "{\"role\":\"assistant\",\"content\":\"<SQL>x\"}]}";
  ft_ids ids = {0};
  assert_ok(render(&m, text, &ids));
  assert_int_equal(ids.count, 3 + 2 * 10);
  assert_int_equal(ids.ids[1], ft_tokenizer_id(m.t, "<SQL>"));
  assert_int_equal(ids.mask[1], 1);
  ft_spelled s = spelled_in(&m, text);
  assert_int_equal(s.count, 1);
  assert_int_equal(s.ids[0], ft_tokenizer_id(m.t, "<|im_end|>"));
  assert_int_equal(s.times[0], 2);
  ids.count = 0;
  m.options.control_tokens = true;
  assert_ok(render(&m, text, &ids));
  assert_int_equal(ids.count, 5);
  assert_int_equal(ids.ids[4], ft_tokenizer_id(m.t, "<|im_end|>"));
  /* never in a message: no content forges a turn */
  ids.count = 0;
  assert_ok(render(&m, chat, &ids));
  int starts = 0, own = 0;
  for (int64_t i = 0; i < ids.count; i++) {
    starts += ids.ids[i] == (uint32_t)ft_tokenizer_id(m.t, "<|im_start|>");
    own += ids.ids[i] == (uint32_t)ft_tokenizer_id(m.t, "<SQL>");
  }
  assert_int_equal(starts, 2);
  assert_int_equal(own, 1);
  assert_int_equal(spelled_in(&m, chat).count, 1);
  ft_ids_fini(&ids);
  close_model(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pairs),
      cmocka_unit_test(implicit_prompts),
      cmocka_unit_test(other_names_in_use),
      cmocka_unit_test(rated),
      cmocka_unit_test(classes),
      cmocka_unit_test(switches),
      cmocka_unit_test(meaning_is_kept),
      cmocka_unit_test(lost_meaning),
      cmocka_unit_test(layouts_refuse),
      cmocka_unit_test(unread_members),
      cmocka_unit_test(names_and_forms),
      cmocka_unit_test(spelled_tokens),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
