/* The forms of a record that become a text or a chat, and what rates or classifies them. */
#include <string.h>

#include "record_internal.h"

/* ---------------------------------------------------------------- texts and chats */

ft_err ft_read_text(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  const char *text;
  ft_err err = ft_string_of(rules, json, "text", &text);
  if (err != FT_OK) return err;
  if (text[0] == 0) return ft_fail(FT_ERR_DATA, "\"text\" is empty");
  r->kind = FT_TOKENS_TEXT;
  return ft_strdup(text, &r->text);
}

/* Messages, and a system message that may stand beside them. */
static ft_err read_chat(const ft_record_rules *rules, const cJSON *json, const char *name,
                        bool sharegpt, ft_record *r) {
  ft_err err = FT_OK;
  const char *system;
  FT_TRY(ft_system_of(rules, json, &system));
  FT_TRY(ft_add_system(r, system));
  FT_TRY(ft_read_messages(rules, ft_member(rules, json, name), name, sharegpt, r));
  FT_TRY(ft_check_system(r, system && system[0]));
out:
  return err;
}

ft_err ft_read_openai(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  return read_chat(rules, json, "messages", false, r);
}

ft_err ft_read_sharegpt(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  /* some files have OpenAI's names inside */
  const cJSON *list = ft_member(rules, json, "conversations");
  bool openai = cJSON_IsArray(list) && list->child && ft_json_get(list->child, "role") &&
                !ft_json_get(list->child, "from");
  return read_chat(rules, json, "conversations", !openai, r);
}

static ft_err read_history(const cJSON *history, ft_record *r) {
  if (ft_is_empty(history)) return FT_OK;
  if (!cJSON_IsArray(history))
    return ft_fail(FT_ERR_DATA, "\"history\" is %s, a list of [question, answer] was expected",
                   ft_type_name(history));
  const cJSON *pair;
  cJSON_ArrayForEach(pair, history) {
    const cJSON *question = cJSON_IsArray(pair) ? pair->child : NULL;
    const cJSON *answer = question ? question->next : NULL;
    if (!cJSON_IsString(question) || !cJSON_IsString(answer) || answer->next)
      return ft_fail(FT_ERR_DATA, "a member of \"history\" is not [question, answer]");
    ft_err err = ft_add_message(r, FT_SPEAKER_USER, question->valuestring);
    if (err == FT_OK) err = ft_add_message(r, FT_SPEAKER_ASSISTANT, answer->valuestring);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

ft_err ft_read_alpaca(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  const char *system, *instruction, *input, *output;
  FT_TRY(ft_system_of(rules, json, &system));
  FT_TRY(ft_string_of(rules, json, "instruction", &instruction));
  FT_TRY(ft_optional_string(rules, json, "input", &input));
  FT_TRY(ft_string_of(rules, json, "output", &output));
  FT_TRY(ft_add_system(r, system));
  FT_TRY(read_history(ft_member(rules, json, "history"), r));
  FT_TRY(ft_add_message(r, FT_SPEAKER_USER, instruction));
  if (input && input[0]) FT_TRY(ft_strdup(input, &r->messages[r->num_messages - 1].input));
  FT_TRY(ft_add_message(r, FT_SPEAKER_ASSISTANT, output));
out:
  return err;
}

/* Both strings, or both lists of messages, of which only the completion's are trained on. */
ft_err ft_read_completion(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  const char *system, *prompt, *completion;
  const cJSON *lists[] = {ft_member(rules, json, "prompt"), ft_member(rules, json, "completion")};
  FT_TRY(ft_system_of(rules, json, &system));
  FT_TRY(ft_add_system(r, system));
  if (cJSON_IsArray(lists[0]) && cJSON_IsArray(lists[1])) {
    FT_TRY(ft_read_messages(rules, lists[0], "prompt", false, r));
    for (int64_t i = 0; i < r->num_messages; i++)
      r->messages[i].target = false;
    FT_TRY(ft_read_messages(rules, lists[1], "completion", false, r));
  } else {
    FT_TRY(ft_string_of(rules, json, "prompt", &prompt));
    FT_TRY(ft_string_of(rules, json, "completion", &completion));
    FT_TRY(ft_add_message(r, FT_SPEAKER_USER, prompt));
    FT_TRY(ft_add_message(r, FT_SPEAKER_ASSISTANT, completion));
    r->is_continuation = true;
  }
  FT_TRY(ft_check_system(r, system && system[0]));
out:
  return err;
}

/* ---------------------------------------------------------------- answers with a label */

static const char *label_name(const ft_record_rules *rules, const cJSON *json) {
  return !ft_is_absent(ft_member(rules, json, "label"))     ? "label"
         : !ft_is_absent(ft_member(rules, json, "kto_tag")) ? "kto_tag"
                                                            : NULL;
}

/* A conversation that people liked (true) or not. */
ft_err ft_read_rating(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  const char *name = label_name(rules, json);
  int64_t value = 0;
  if (!name) goto out;
  const cJSON *label = ft_member(rules, json, name);
  bool number = ft_json_i64(label, &value) && (value == 0 || value == 1);
  FT_CHECK(cJSON_IsBool(label) || number, FT_ERR_DATA,
           "\"%s\" is %s: true or false was expected, whether the answer is a good one", name,
           cJSON_IsNumber(label) ? "another number than 0 and 1" : ft_type_name(label));
  FT_CHECK(r->num_messages > 0 && r->messages[r->num_messages - 1].role == FT_SPEAKER_ASSISTANT,
           FT_ERR_DATA, "\"%s\": the last message is not the assistant's", name);
  r->kind = FT_TOKENS_UNPAIRED;
  r->value = number ? (int32_t)value : cJSON_IsTrue(label);
  for (int64_t i = 0; i + 1 < r->num_messages; i++) /* the last answer was rated */
    r->messages[i].target = false;
out:
  return err;
}

static ft_err class_by_name(const ft_record_rules *rules, const char *name, int32_t *out) {
  for (int64_t i = 0; i < rules->num_classes; i++)
    if (strcmp(rules->classes[i], name) == 0) {
      *out = (int32_t)i;
      return FT_OK;
    }
  return ft_fail(FT_ERR_DATA, "\"label\" is \"%.40s\"%s", name,
                 rules->num_classes > 0 ? ", which is none of the classes of config.json"
                                        : ": a number was expected, or classes named by label2id "
                                          "in config.json");
}

ft_err ft_read_classes(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = ft_read_text(rules, json, r);
  if (err != FT_OK) return err;
  const cJSON *label = ft_member(rules, json, "label");
  int64_t value = cJSON_IsTrue(label);
  r->kind = FT_TOKENS_CLASSES;
  if (cJSON_IsString(label)) return class_by_name(rules, label->valuestring, &r->value);
  if (!cJSON_IsBool(label) && (!ft_json_i64(label, &value) || value < 0 || value > INT32_MAX))
    return ft_fail(FT_ERR_DATA, "\"label\" is %s, a class (a number from 0) was expected",
                   cJSON_IsNumber(label) ? "no whole number from 0" : ft_type_name(label));
  r->value = (int32_t)value;
  return FT_OK;
}
