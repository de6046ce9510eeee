/* Messages of a record, in OpenAI's form and ShareGPT's. */
#include <math.h>
#include <string.h>

#include "record_internal.h"

/* ---------------------------------------------------------------- roles */

const char *ft_speaker_name(ft_speaker speaker) {
  static const char *const names[] = {[FT_SPEAKER_SYSTEM] = "system",
                                      [FT_SPEAKER_USER] = "user",
                                      [FT_SPEAKER_ASSISTANT] = "assistant",
                                      [FT_SPEAKER_TOOL] = "tool",
                                      [FT_SPEAKER_DEVELOPER] = "developer"};
  FT_ASSERT(speaker < FT_ARRAY_SIZE(names));
  return names[speaker];
}

static ft_err role_by_name(const char *name, ft_speaker *out) {
  static const struct {
    const char *name;
    ft_speaker role;
  } roles[] = {{"system", FT_SPEAKER_SYSTEM},      {"user", FT_SPEAKER_USER},
               {"human", FT_SPEAKER_USER},         {"assistant", FT_SPEAKER_ASSISTANT},
               {"gpt", FT_SPEAKER_ASSISTANT},      {"function_call", FT_SPEAKER_ASSISTANT},
               {"chatgpt", FT_SPEAKER_ASSISTANT},  {"bing", FT_SPEAKER_ASSISTANT},
               {"bard", FT_SPEAKER_ASSISTANT},     {"bot", FT_SPEAKER_ASSISTANT},
               {"model", FT_SPEAKER_ASSISTANT},    {"ai", FT_SPEAKER_ASSISTANT},
               {"tool", FT_SPEAKER_TOOL},          {"observation", FT_SPEAKER_TOOL},
               {"function", FT_SPEAKER_TOOL},      {"ipython", FT_SPEAKER_TOOL},
               {"developer", FT_SPEAKER_DEVELOPER}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(roles); i++)
    if (strcmp(name, roles[i].name) == 0) {
      *out = roles[i].role;
      return FT_OK;
    }
  return ft_fail(FT_ERR_DATA,
                 "role \"%.40s\" is unknown: system, user, assistant, tool or developer was "
                 "expected",
                 name);
}

ft_err ft_add_message(ft_record *r, ft_speaker role, const char *content) {
  ft_err err = ft_grow(FT_MEM_PREP, r->num_messages + 1, sizeof *r->messages, &r->capacity,
                       (void **)&r->messages);
  if (err != FT_OK) return err;
  ft_message *m = &r->messages[r->num_messages];
  *m = (ft_message){.role = role, .target = role == FT_SPEAKER_ASSISTANT};
  err = ft_strdup(content, &m->content);
  if (err == FT_OK) r->num_messages++;
  return err;
}

/* ---------------------------------------------------------------- content */

/* Texts of a list [{"type": "text", "text": …} …] joined without anything between them. */
static ft_err join_parts(const cJSON *parts, char **out) {
  static const ft_record_rules plain = {0};
  ft_err err = FT_OK;
  size_t bytes = 0, at = 0;
  void *joined = NULL;
  const cJSON *part;
  cJSON_ArrayForEach(part, parts) {
    const char *type, *text;
    FT_CHECK(cJSON_IsObject(part), FT_ERR_DATA,
             "a part of \"content\" is %s, {\"type\": \"text\", \"text\": …} was expected",
             ft_type_name(part));
    FT_TRY(ft_string_of(&plain, part, "type", &type));
    FT_CHECK(strcmp(type, "text") == 0, FT_ERR_DATA,
             "a part of \"content\" has type \"%.40s\": only \"text\" is supported", type);
    FT_TRY(ft_string_of(&plain, part, "text", &text));
    bytes += strlen(text);
  }
  FT_TRY(ft_alloc(FT_MEM_OTHER, bytes + 1, &joined));
  cJSON_ArrayForEach(part, parts) {
    const char *text = ft_json_get(part, "text")->valuestring;
    size_t length = strlen(text);
    memcpy((char *)joined + at, text, length);
    at += length;
  }
  *out = joined;
out:
  return err;
}

/* Adds a message with this content: a string, a list of texts, or none beside tool calls. */
static ft_err add_content(const ft_record_rules *rules, const cJSON *json, const char *key,
                          ft_speaker role, bool may_lack, ft_record *r) {
  ft_err err = FT_OK;
  char *joined = NULL;
  const char *text = "";
  const cJSON *content = ft_member(rules, json, key);
  if (cJSON_IsArray(content)) {
    FT_TRY(join_parts(content, &joined));
    text = joined;
  } else if (!may_lack || !ft_is_absent(content)) {
    FT_TRY(ft_string_of(rules, json, key, &text));
  }
  FT_TRY(ft_add_message(r, role, text));
out:
  ft_free(joined);
  return err;
}

/* ---------------------------------------------------------------- what is learnt */

/* Switches in use elsewhere: those that say that a message is learnt, and those that say it is not.
 */
#define ON_SWITCHES                                                                                \
  "weight", "loss", "train", "training", "trainable", "train_on", "learn", "loss_weight",          \
      "is_target", "loss_mask", "train_on_turn", "trained", "training_weight", "loss_fn_weight",   \
      "compute_loss", "do_train", "learnable", "supervised"
#define OFF_SWITCHES "masked", "mask", "ignore", "no_train", "skip_loss", "no_loss", "is_masked"

/* Obeys the message's switch. Two that contradict each other are refused. */
static ft_err read_switches(const cJSON *json, ft_message *m) {
  static const char *const names[] = {ON_SWITCHES, OFF_SWITCHES};
  static const char *const on[] = {ON_SWITCHES};
  const char *first = NULL;
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    const cJSON *item = ft_json_get(json, names[i]);
    if (ft_is_absent(item)) continue;
    double value = cJSON_IsBool(item) ? cJSON_IsTrue(item) : item->valuedouble;
    if (!(cJSON_IsBool(item) || cJSON_IsNumber(item)) || (value != 0 && value != 1))
      return ft_fail(FT_ERR_DATA,
                     "\"%s\" is neither true nor false, 1 nor 0 (whether it is learnt)", names[i]);
    bool target = (value != 0) == (i < FT_ARRAY_SIZE(on));
    if (first && target != m->target && m->role == FT_SPEAKER_ASSISTANT)
      return ft_fail(FT_ERR_DATA, "\"%s\" and \"%s\" contradict each other", first, names[i]);
    first = names[i];
    m->marked = true;
    m->target = target && m->role == FT_SPEAKER_ASSISTANT;
  }
  return FT_OK;
}

/* The same thought under several names is one thought. */
static ft_err read_reasoning(const cJSON *json, ft_message *m) {
  static const ft_record_rules plain = {0};
  static const char *const names[] = {"reasoning_content", "reasoning", "thinking", "thought"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    const char *text;
    ft_err err = ft_optional_string(&plain, json, names[i], &text);
    if (err != FT_OK) return err;
    if (!text || !text[0]) continue;
    if (m->reasoning && strcmp(m->reasoning, text) != 0)
      return ft_fail(FT_ERR_DATA, "\"%s\" says something else than another name for the reasoning",
                     names[i]);
    m->reasoning = text;
  }
  return FT_OK;
}

/* ShareGPT's {"from": "function_call", "value": "{…}"}: one call, or a list of them. */
static ft_err read_function_call(ft_record *r, ft_message *m) {
  ft_err err = FT_OK;
  const cJSON *call;
  FT_TRY(ft_record_own(r, m->content, "value", &call));
  cJSON *list = cJSON_CreateArray();
  FT_CHECK(list && cJSON_AddItemToArray(r->owned, list), FT_ERR_MEMORY, "no memory for a call");
  const cJSON *one = cJSON_IsArray(call) ? call->child : call;
  for (; one; one = cJSON_IsArray(call) ? one->next : NULL) {
    cJSON *wrapped = cJSON_CreateObject();
    FT_CHECK(wrapped && cJSON_AddItemToArray(list, wrapped), FT_ERR_MEMORY, "no memory for a call");
    cJSON_AddStringToObject(wrapped, "type", "function");
    cJSON_AddItemToObject(wrapped, "function", cJSON_Duplicate(one, true));
  }
  m->tool_calls = list;
  m->content[0] = 0;
out:
  return err;
}

/* ---------------------------------------------------------------- messages */

ft_err ft_read_message(const ft_record_rules *rules, const cJSON *json, bool sharegpt,
                       ft_record *r) {
  static const char *const read[] = {
      "role",     "content", "from", "value",        "tool_calls", "reasoning_content", "reasoning",
      "thinking", "thought", "name", "tool_call_id", ON_SWITCHES,  OFF_SWITCHES,        NULL};
  const char *role_key = sharegpt ? "from" : "role", *content_key = sharegpt ? "value" : "content";
  ft_err err = FT_OK;
  const char *name;
  ft_speaker role = FT_SPEAKER_USER;
  FT_CHECK(cJSON_IsObject(json), FT_ERR_DATA,
           "is %s, an object with \"%s\" and \"%s\" was expected", ft_type_name(json), role_key,
           content_key);
  FT_TRY(ft_string_of(rules, json, role_key, &name));
  FT_TRY(role_by_name(name, &role));
  FT_TRY(ft_check_members(rules, json, FT_SCOPE_MESSAGE, read, &r->unread));
  const cJSON *calls = ft_json_get(json, "tool_calls");
  bool has_calls = !ft_is_empty(calls);
  FT_CHECK(!has_calls || (cJSON_IsArray(calls) && role == FT_SPEAKER_ASSISTANT), FT_ERR_DATA,
           "\"tool_calls\" is %s of the %s, a list of the assistant was expected",
           ft_type_name(calls), name);
  FT_TRY(add_content(rules, json, content_key, role, has_calls, r));
  ft_message *m = &r->messages[r->num_messages - 1];
  if (has_calls) m->tool_calls = calls;
  if (!sharegpt && rules->num_fields == 0) m->json = json;
  FT_TRY(ft_optional_string(rules, json, "name", &m->name));
  FT_TRY(ft_optional_string(rules, json, "tool_call_id", &m->call_id));
  FT_TRY(read_reasoning(json, m));
  FT_TRY(read_switches(json, m));
  if (strcmp(name, "function_call") == 0) FT_TRY(read_function_call(r, m));
out:
  return err;
}

ft_err ft_read_messages(const ft_record_rules *rules, const cJSON *list, const char *list_name,
                        bool sharegpt, ft_record *r) {
  if (!cJSON_IsArray(list))
    return ft_fail(FT_ERR_DATA, "\"%s\" is %s, a list was expected", list_name, ft_type_name(list));
  if (!list->child) return ft_fail(FT_ERR_DATA, "\"%s\" is empty", list_name);
  int64_t i = 0;
  const cJSON *json;
  cJSON_ArrayForEach(json, list) {
    ft_err err = ft_read_message(rules, json, sharegpt, r);
    if (err == FT_ERR_DATA)
      return ft_fail_prefix(err, "\"%s\": message %lld", list_name, (long long)i + 1);
    if (err != FT_OK) return err;
    i++;
  }
  return FT_OK;
}

ft_err ft_add_system(ft_record *r, const char *system) {
  return system && system[0] ? ft_add_message(r, FT_SPEAKER_SYSTEM, system) : FT_OK;
}

ft_err ft_check_system(const ft_record *r, bool added) {
  if (added && r->num_messages > 1 && r->messages[1].role == FT_SPEAKER_SYSTEM)
    return ft_fail(FT_ERR_DATA, "there is a \"system\" beside messages that begin with a system "
                                "message");
  return FT_OK;
}
