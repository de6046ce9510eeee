/* Training records: which form a JSON object has, and what it says. Every form but a text becomes a
 * list of messages. What would change the meaning if it were left out (tools, images, preferences)
 * is refused by name. */
#include <string.h>

#include "record.h"

/* ---------------------------------------------------------------- parts */

static bool is_absent(const cJSON *item) {
  return !item || cJSON_IsNull(item);
}

static bool is_empty(const cJSON *item) {
  return is_absent(item) || cJSON_IsFalse(item) ||
         (cJSON_IsString(item) && item->valuestring[0] == 0) ||
         ((cJSON_IsArray(item) || cJSON_IsObject(item)) && !item->child);
}

static const char *type_name(const cJSON *item) {
  return !item                  ? "missing"
         : cJSON_IsNull(item)   ? "null"
         : cJSON_IsString(item) ? "a string"
         : cJSON_IsNumber(item) ? "a number"
         : cJSON_IsBool(item)   ? "a boolean"
         : cJSON_IsArray(item)  ? "a list"
                                : "an object";
}

/* The member's string, which must be there. Borrowed. */
static ft_err string_of(const cJSON *object, const char *name, const char **out) {
  const cJSON *item = ft_json_get(object, name);
  *out = NULL;
  if (!cJSON_IsString(item))
    return ft_fail(FT_ERR_DATA, "\"%s\" is %s, a string was expected", name, type_name(item));
  *out = item->valuestring;
  return FT_OK;
}

/* As string_of; NULL if absent. */
static ft_err optional_string(const cJSON *object, const char *name, const char **out) {
  *out = NULL;
  return is_absent(ft_json_get(object, name)) ? FT_OK : string_of(object, name, out);
}

/* Appends a message, whose content is copied. */
static ft_err add(ft_record *r, ft_speaker role, const char *content) {
  if (r->num_messages == r->capacity) {
    int64_t capacity = FT_MAX(8, 2 * r->capacity);
    void *p = r->messages;
    ft_err err = ft_realloc(FT_MEM_PREP, (size_t)capacity * sizeof(ft_message), &p);
    if (err != FT_OK) return err;
    r->messages = p;
    r->capacity = capacity;
  }
  ft_message *m = &r->messages[r->num_messages];
  *m = (ft_message){.role = role, .target = role == FT_SPEAKER_ASSISTANT};
  ft_err err = ft_strdup(content, &m->content);
  if (err == FT_OK) r->num_messages++;
  return err;
}

/* ---------------------------------------------------------------- messages */

/* Texts of a list [{"type": "text", "text": …} …] joined without anything between them. */
static ft_err join_parts(const cJSON *parts, char **out) {
  ft_err err = FT_OK;
  size_t bytes = 0, at = 0;
  void *joined = NULL;
  const cJSON *part;
  cJSON_ArrayForEach(part, parts) {
    const char *type, *text;
    FT_CHECK(cJSON_IsObject(part), FT_ERR_DATA,
             "a part of \"content\" is %s, {\"type\": "
             "\"text\", \"text\": …} was expected",
             type_name(part));
    FT_TRY(string_of(part, "type", &type));
    FT_CHECK(strcmp(type, "text") == 0, FT_ERR_DATA,
             "a part of \"content\" has type \"%.40s\": only \"text\" is supported", type);
    FT_TRY(string_of(part, "text", &text));
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

static ft_err role_by_name(const char *name, ft_speaker *out) {
  static const struct {
    const char *name;
    ft_speaker role;
  } roles[] = {{"system", FT_SPEAKER_SYSTEM},
               {"user", FT_SPEAKER_USER},
               {"human", FT_SPEAKER_USER},
               {"assistant", FT_SPEAKER_ASSISTANT},
               {"gpt", FT_SPEAKER_ASSISTANT}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(roles); i++)
    if (strcmp(name, roles[i].name) == 0) {
      *out = roles[i].role;
      return FT_OK;
    }
  if (strncmp(name, "tool", 4) == 0 || strncmp(name, "function", 8) == 0 ||
      strcmp(name, "observation") == 0)
    return ft_fail(FT_ERR_DATA, "role \"%.40s\": tool use is not supported", name);
  return ft_fail(FT_ERR_DATA, "role \"%.40s\" is unknown: system, user or assistant was expected",
                 name);
}

/* Members of a message or record whose loss would change what it says. */
static ft_err refuse_tools(const cJSON *object) {
  static const char *const names[] = {"tool_calls", "function_call", "tools", "functions"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++)
    if (!is_empty(ft_json_get(object, names[i])))
      return ft_fail(FT_ERR_DATA, "\"%s\": tool use is not supported", names[i]);
  return FT_OK;
}

/* {role, content}, or {from, value} with the names given. "weight": 0 keeps an assistant's message
 * from being trained on, as in other trainers' data. */
static ft_err read_message(const cJSON *json, const char *role_key, const char *content_key,
                           ft_record *r) {
  ft_err err = FT_OK;
  const char *name;
  char *joined = NULL;
  ft_speaker role = FT_SPEAKER_USER;
  FT_CHECK(cJSON_IsObject(json), FT_ERR_DATA,
           "is %s, an object with \"%s\" and \"%s\" was expected", type_name(json), role_key,
           content_key);
  FT_TRY(string_of(json, role_key, &name));
  FT_TRY(role_by_name(name, &role));
  FT_TRY(refuse_tools(json));
  const cJSON *content = ft_json_get(json, content_key);
  const char *text;
  if (cJSON_IsArray(content)) {
    FT_TRY(join_parts(content, &joined));
    text = joined;
  } else {
    FT_TRY(string_of(json, content_key, &text));
  }
  FT_TRY(add(r, role, text));
  const cJSON *weight = ft_json_get(json, "weight");
  if (!is_absent(weight)) {
    int64_t value;
    FT_CHECK(ft_json_i64(weight, &value) && (value == 0 || value == 1), FT_ERR_DATA,
             "\"weight\" must be 0 (not trained on) or 1");
    if (value == 0) r->messages[r->num_messages - 1].target = false;
  }
out:
  ft_free(joined);
  return err;
}

static ft_err read_messages(const cJSON *list, const char *list_name, const char *role_key,
                            const char *content_key, ft_record *r) {
  if (!cJSON_IsArray(list))
    return ft_fail(FT_ERR_DATA, "\"%s\" is %s, a list was expected", list_name, type_name(list));
  if (!list->child) return ft_fail(FT_ERR_DATA, "\"%s\" is empty", list_name);
  int64_t i = 0;
  const cJSON *json;
  cJSON_ArrayForEach(json, list) {
    ft_err err = read_message(json, role_key, content_key, r);
    if (err == FT_ERR_DATA)
      return ft_fail_prefix(err, "\"%s\": message %lld", list_name, (long long)i + 1);
    if (err != FT_OK) return err;
    i++;
  }
  return FT_OK;
}

/* ---------------------------------------------------------------- forms */

static ft_err read_text(const cJSON *json, ft_record *r) {
  const char *text;
  ft_err err = string_of(json, "text", &text);
  if (err != FT_OK) return err;
  if (text[0] == 0) return ft_fail(FT_ERR_DATA, "\"text\" is empty");
  return ft_strdup(text, &r->text);
}

static ft_err read_openai(const cJSON *json, ft_record *r) {
  return read_messages(ft_json_get(json, "messages"), "messages", "role", "content", r);
}

static ft_err read_sharegpt(const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  const char *system;
  FT_TRY(optional_string(json, "system", &system));
  if (system && system[0]) FT_TRY(add(r, FT_SPEAKER_SYSTEM, system));
  FT_TRY(read_messages(ft_json_get(json, "conversations"), "conversations", "from", "value", r));
  FT_CHECK(!(system && system[0]) || r->messages[1].role != FT_SPEAKER_SYSTEM, FT_ERR_DATA,
           "there is a \"system\" beside \"conversations\" that begin with a system message");
out:
  return err;
}

static ft_err read_history(const cJSON *history, ft_record *r) {
  if (is_absent(history)) return FT_OK;
  if (!cJSON_IsArray(history))
    return ft_fail(FT_ERR_DATA, "\"history\" is %s, a list of [question, answer] was expected",
                   type_name(history));
  const cJSON *pair;
  cJSON_ArrayForEach(pair, history) {
    const cJSON *question = cJSON_IsArray(pair) ? pair->child : NULL;
    const cJSON *answer = question ? question->next : NULL;
    if (!cJSON_IsString(question) || !cJSON_IsString(answer) || answer->next)
      return ft_fail(FT_ERR_DATA, "a member of \"history\" is not [question, answer]");
    ft_err err = add(r, FT_SPEAKER_USER, question->valuestring);
    if (err == FT_OK) err = add(r, FT_SPEAKER_ASSISTANT, answer->valuestring);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

static ft_err read_alpaca(const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  const char *system, *instruction, *input, *output;
  FT_TRY(optional_string(json, "system", &system));
  FT_TRY(string_of(json, "instruction", &instruction));
  FT_TRY(optional_string(json, "input", &input));
  FT_TRY(string_of(json, "output", &output));
  if (system && system[0]) FT_TRY(add(r, FT_SPEAKER_SYSTEM, system));
  FT_TRY(read_history(ft_json_get(json, "history"), r));
  FT_TRY(add(r, FT_SPEAKER_USER, instruction));
  if (input && input[0]) FT_TRY(ft_strdup(input, &r->messages[r->num_messages - 1].input));
  FT_TRY(add(r, FT_SPEAKER_ASSISTANT, output));
out:
  return err;
}

/* Both strings, or both lists of messages, of which only the completion's are trained on. */
static ft_err read_completion(const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  const cJSON *lists[] = {ft_json_get(json, "prompt"), ft_json_get(json, "completion")};
  if (cJSON_IsArray(lists[0]) && cJSON_IsArray(lists[1])) {
    FT_TRY(read_messages(lists[0], "prompt", "role", "content", r));
    for (int64_t i = 0; i < r->num_messages; i++)
      r->messages[i].target = false;
    FT_TRY(read_messages(lists[1], "completion", "role", "content", r));
  } else {
    const char *prompt, *completion;
    FT_TRY(string_of(json, "prompt", &prompt));
    FT_TRY(string_of(json, "completion", &completion));
    FT_TRY(add(r, FT_SPEAKER_USER, prompt));
    FT_TRY(add(r, FT_SPEAKER_ASSISTANT, completion));
    r->is_continuation = true;
  }
out:
  return err;
}

typedef struct form {
  const char *name;
  const char *keys[2]; /* all of them make the form */
  ft_err (*read)(const cJSON *json, ft_record *r);
} form;

static const form forms[] = {{"text", {"text", NULL}, read_text},
                             {"messages", {"messages", NULL}, read_openai},
                             {"conversations", {"conversations", NULL}, read_sharegpt},
                             {"alpaca", {"instruction", "output"}, read_alpaca},
                             {"prompt/completion", {"prompt", "completion"}, read_completion}};

/* Keys of records that are for another purpose, or halves of a form. */
static ft_err no_form(const cJSON *json) {
  if (ft_json_get(json, "chosen") || ft_json_get(json, "rejected"))
    return ft_fail(FT_ERR_DATA, "is a preference record (\"chosen\", \"rejected\"), which is not "
                                "supported");
  if (ft_json_get(json, "instruction"))
    return ft_fail(FT_ERR_DATA, "has \"instruction\" but no \"output\"");
  if (ft_json_get(json, "prompt"))
    return ft_fail(FT_ERR_DATA, "has \"prompt\" but no \"completion\"");
  return ft_fail(FT_ERR_DATA,
                 "is of no known form: {text}, {messages}, {conversations}, {instruction, output} "
                 "or {prompt, completion} was expected%s%.40s%s",
                 json->child ? ", its first member is \"" : "",
                 json->child ? json->child->string : "", json->child ? "\"" : "");
}

static ft_err find_form(const cJSON *json, const form **out) {
  *out = NULL;
  for (size_t i = 0; i < FT_ARRAY_SIZE(forms); i++) {
    bool has = true;
    for (size_t k = 0; k < FT_ARRAY_SIZE(forms[i].keys); k++)
      has = has && (!forms[i].keys[k] || !is_absent(ft_json_get(json, forms[i].keys[k])));
    if (!has) continue;
    if (*out)
      return ft_fail(FT_ERR_DATA, "has two forms at once, %s and %s", (*out)->name, forms[i].name);
    *out = &forms[i];
  }
  return *out ? FT_OK : no_form(json);
}

ft_err ft_record_read(const cJSON *json, ft_record *out) {
  ft_err err = FT_OK;
  const form *f;
  *out = (ft_record){0};
  FT_CHECK(cJSON_IsObject(json), FT_ERR_DATA, "is %s, one object a line was expected",
           type_name(json));
  FT_TRY(find_form(json, &f));
  FT_TRY(refuse_tools(json));
  FT_TRY(f->read(json, out));
out:
  if (err != FT_OK) ft_record_fini(out);
  return err;
}

void ft_record_fini(ft_record *record) {
  for (int64_t i = 0; i < record->num_messages; i++) {
    ft_free(record->messages[i].content);
    ft_free(record->messages[i].input);
  }
  ft_free(record->messages);
  ft_free(record->text);
  *record = (ft_record){0};
}

uint64_t ft_record_hash(const ft_record *record) {
  if (record->text) return ft_hash64(record->text, strlen(record->text), 0);
  /* a chain over (role, content): each hash seeds the next, so borders count */
  uint64_t h = 1;
  for (int64_t i = 0; i < record->num_messages; i++) {
    const ft_message *m = &record->messages[i];
    h = ft_hash64(m->content, strlen(m->content), h * 4 + (uint64_t)m->role);
    if (m->input) h = ft_hash64(m->input, strlen(m->input), h * 4 + 3);
  }
  return h;
}
