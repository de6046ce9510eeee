/* Training records: which form a JSON object has, and what it says. Every form but a text becomes a
 * list of messages. What would change the meaning if it were left out is refused by name
 * (record_members.c). */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "record_internal.h"
#include "template.h"

/* ---------------------------------------------------------------- members */

const cJSON *ft_member(const ft_record_rules *rules, const cJSON *object, const char *name) {
  for (int64_t i = 0; i < rules->num_fields; i++)
    if (strcmp(rules->fields[i].name, name) == 0)
      return ft_json_get(object, rules->fields[i].file_name);
  return ft_json_get(object, name);
}

bool ft_is_absent(const cJSON *item) {
  return !item || cJSON_IsNull(item);
}

bool ft_is_empty(const cJSON *item) {
  static const char *const nothing[] = {"", "[]", "{}", "null", "None"};
  if (ft_is_absent(item) || cJSON_IsFalse(item)) return true;
  if (cJSON_IsArray(item) || cJSON_IsObject(item)) return !item->child;
  for (size_t i = 0; cJSON_IsString(item) && i < FT_ARRAY_SIZE(nothing); i++)
    if (strcmp(item->valuestring, nothing[i]) == 0) return true;
  return false;
}

const char *ft_type_name(const cJSON *item) {
  return !item                  ? "missing"
         : cJSON_IsNull(item)   ? "null"
         : cJSON_IsString(item) ? "a string"
         : cJSON_IsNumber(item) ? "a number"
         : cJSON_IsBool(item)   ? "a boolean"
         : cJSON_IsArray(item)  ? "a list"
                                : "an object";
}

ft_err ft_string_of(const ft_record_rules *rules, const cJSON *object, const char *name,
                    const char **out) {
  const cJSON *item = ft_member(rules, object, name);
  *out = NULL;
  if (!cJSON_IsString(item))
    return ft_fail(FT_ERR_DATA, "\"%s\" is %s, a string was expected", name, ft_type_name(item));
  *out = item->valuestring;
  return FT_OK;
}

ft_err ft_optional_string(const ft_record_rules *rules, const cJSON *object, const char *name,
                          const char **out) {
  *out = NULL;
  return ft_is_absent(ft_member(rules, object, name)) ? FT_OK
                                                      : ft_string_of(rules, object, name, out);
}

ft_err ft_record_own(ft_record *r, const char *text, const char *name, const cJSON **out) {
  ft_err err = FT_OK;
  cJSON *json = NULL;
  err = ft_json_parse_data(text, strlen(text), "its JSON", &json);
  if (err == FT_ERR_DATA) err = ft_fail_prefix(err, "\"%s\"", name);
  if (err != FT_OK) return err;
  if (!r->owned) r->owned = cJSON_CreateArray();
  if (!r->owned || !cJSON_AddItemToArray(r->owned, json)) {
    cJSON_Delete(json);
    return ft_fail(FT_ERR_MEMORY, "no memory for a record");
  }
  *out = json;
  return FT_OK;
}

/* ---------------------------------------------------------------- forms */

static ft_err read_text(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
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
  FT_TRY(ft_optional_string(rules, json, "system", &system));
  FT_TRY(ft_add_system(r, system));
  FT_TRY(ft_read_messages(rules, ft_member(rules, json, name), name, sharegpt, r));
  FT_TRY(ft_check_system(r, system && system[0]));
out:
  return err;
}

static ft_err read_openai(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  return read_chat(rules, json, "messages", false, r);
}

static ft_err read_sharegpt(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
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

static ft_err read_alpaca(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  const char *system, *instruction, *input, *output;
  FT_TRY(ft_optional_string(rules, json, "system", &system));
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
static ft_err read_completion(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  const char *system, *prompt, *completion;
  const cJSON *lists[] = {ft_member(rules, json, "prompt"), ft_member(rules, json, "completion")};
  FT_TRY(ft_optional_string(rules, json, "system", &system));
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
static ft_err read_rating(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
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

static ft_err read_classes(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = read_text(rules, json, r);
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

/* ---------------------------------------------------------------- which form */

typedef struct form {
  const char *name;
  const char *keys[2]; /* all of them make the form */
  ft_err (*read)(const ft_record_rules *rules, const cJSON *json, ft_record *r);
  bool chat;               /* may be rated, and have tools */
  const char *members[14]; /* that it reads; NULL ends them */
} form;

#define CHAT                                                                                       \
  "system", "tools", "documents", "chat_template_kwargs", "add_generation_prompt", "label",        \
      "kto_tag"

static const form forms[FT_NUM_FORMS] = {
    [FT_FORM_TEXT] = {"text", {"text"}, read_text, false, {"text"}},
    [FT_FORM_CLASSES] = {"classes", {"text", "label"}, read_classes, false, {"text", "label"}},
    [FT_FORM_MESSAGES] = {"messages", {"messages"}, read_openai, true, {"messages", CHAT}},
    [FT_FORM_CONVERSATIONS] =
        {"conversations", {"conversations"}, read_sharegpt, true, {"conversations", CHAT}},
    [FT_FORM_ALPACA] = {"alpaca",
                        {"instruction", "output"},
                        read_alpaca,
                        true,
                        {"instruction", "input", "output", "history", CHAT}},
    [FT_FORM_COMPLETION] = {"prompt/completion",
                            {"prompt", "completion"},
                            read_completion,
                            true,
                            {"prompt", "completion", CHAT}},
    [FT_FORM_PREFERENCE] = {"preference",
                            {"chosen", "rejected"},
                            ft_read_preference,
                            true,
                            {"chosen", "rejected", "prompt", "question", "instruction", "input",
                             "system", "conversations", "messages", "tools", "documents",
                             "chat_template_kwargs"}},
    [FT_FORM_TOKENS] = {"tokens",
                        {"input_ids"},
                        ft_read_tokens,
                        false,
                        {"input_ids", "attention_mask", "labels", "loss_mask"}}};

const char *ft_form_name(ft_form f) {
  FT_ASSERT(f < FT_NUM_FORMS);
  return f == FT_FORM_AUTO ? "auto" : forms[f].name;
}

ft_err ft_form_by_name(const char *name, ft_form *out) {
  for (int i = 0; i < FT_NUM_FORMS; i++)
    if (strcmp(name, ft_form_name((ft_form)i)) == 0) {
      *out = (ft_form)i;
      return FT_OK;
    }
  return ft_fail(FT_ERR_USAGE,
                 "form \"%.40s\" is unknown: auto, text, classes, messages, conversations, alpaca, "
                 "prompt/completion, preference or tokens was expected",
                 name);
}

static bool has_form(const ft_record_rules *rules, const cJSON *json, const form *f) {
  for (size_t k = 0; k < FT_ARRAY_SIZE(f->keys); k++)
    if (f->keys[k] && ft_is_absent(ft_member(rules, json, f->keys[k]))) return false;
  return true;
}

/* Halves of a form, and what belongs to none. */
static ft_err no_form(const ft_record_rules *rules, const cJSON *json) {
  static const char *const halves[][2] = {{"instruction", "output"},
                                          {"prompt", "completion"},
                                          {"chosen", "rejected"},
                                          {"rejected", "chosen"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(halves); i++)
    if (ft_member(rules, json, halves[i][0]))
      return ft_fail(FT_ERR_DATA, "has \"%s\" but no \"%s\"", halves[i][0], halves[i][1]);
  return ft_fail(
      FT_ERR_DATA,
      "is of no known form: {text}, {messages}, {conversations}, {instruction, output}, "
      "{prompt, completion} or {prompt, chosen, rejected} was expected (--field NAME=OURS "
      "gives them other names)%s%.40s%s",
      json->child ? ", its first member is \"" : "", json->child ? json->child->string : "",
      json->child ? "\"" : "");
}

/* Whether a text repeats what a part of another form says: a string, or every message of a list
 * (templates may remove white space around a message). */
static bool repeats(const char *text, const cJSON *part) {
  const cJSON *message;
  if (cJSON_IsString(part)) return strstr(text, part->valuestring);
  if (!cJSON_IsArray(part) || !part->child) return false;
  cJSON_ArrayForEach(message, part) {
    const cJSON *content = ft_json_get(message, "content");
    if (!cJSON_IsString(content)) return false;
    const char *words = content->valuestring;
    size_t begin = ft_space_before(words, strlen(words)), bytes = strlen(words) - begin;
    bytes -= ft_space_after(words + begin, bytes);
    if (bytes > 0 && !memmem(text, strlen(text), words + begin, bytes)) return false;
  }
  return true;
}

/* A text beside an instruction or messages is no second form if it is empty, or only says the same
 * again. */
static bool is_rendering(const ft_record_rules *rules, const cJSON *json, const form *other) {
  const char *text = ft_member(rules, json, "text")->valuestring;
  if (ft_is_empty(ft_member(rules, json, "text"))) return true;
  for (int k = 0; k < 2; k++) {
    const cJSON *part = other->keys[k] ? ft_member(rules, json, other->keys[k]) : NULL;
    if (part && (!text || !repeats(text, part))) return false;
  }
  return true;
}

/* The first two forms in the order of the table that the record has. A preference may have a prompt
 * in any form of a chat. */
static ft_err find_form(const ft_record_rules *rules, const cJSON *json, ft_form *out) {
  ft_form found = FT_FORM_AUTO;
  if (has_form(rules, json, &forms[FT_FORM_PREFERENCE])) {
    *out = FT_FORM_PREFERENCE;
    return FT_OK;
  }
  for (int i = FT_FORM_MESSAGES; i < FT_FORM_PREFERENCE; i++) {
    if (!has_form(rules, json, &forms[i])) continue;
    if (found)
      return ft_fail(FT_ERR_DATA, "has two forms at once, %s and %s: --form says which",
                     forms[found].name, forms[i].name);
    found = (ft_form)i;
  }
  bool has_text = has_form(rules, json, &forms[FT_FORM_TEXT]);
  if (found && has_text && !is_rendering(rules, json, &forms[found]))
    return ft_fail(FT_ERR_DATA, "has two forms at once, text and %s: --form says which",
                   forms[found].name);
  if (!found && has_text)
    found = has_form(rules, json, &forms[FT_FORM_CLASSES]) ? FT_FORM_CLASSES : FT_FORM_TEXT;
  if (!found && has_form(rules, json, &forms[FT_FORM_TOKENS])) found = FT_FORM_TOKENS;
  *out = found;
  return found ? FT_OK : no_form(rules, json);
}

/* A form that was asked for, whatever else the record has. */
static ft_err fixed_form(const ft_record_rules *rules, const cJSON *json, ft_form *out) {
  const form *f = &forms[rules->form];
  *out = rules->form;
  for (size_t k = 0; k < FT_ARRAY_SIZE(f->keys); k++)
    if (f->keys[k] && ft_is_absent(ft_member(rules, json, f->keys[k])))
      return ft_fail(FT_ERR_DATA, "has no \"%s\", which the form %s needs", f->keys[k], f->name);
  return FT_OK;
}

/* ---------------------------------------------------------------- what belongs to a chat */

/* A list or object that may also stand as JSON in a string. NULL if it says nothing. */
static ft_err structure_of(const ft_record_rules *rules, const cJSON *json, const char *name,
                           bool is_list, ft_record *r, const cJSON **out) {
  const cJSON *item = ft_member(rules, json, name);
  *out = NULL;
  if (ft_is_empty(item)) return FT_OK;
  if (cJSON_IsString(item)) {
    ft_err err = ft_record_own(r, item->valuestring, name, &item);
    if (err != FT_OK) return err;
  }
  if (is_list ? !cJSON_IsArray(item) : !cJSON_IsObject(item))
    return ft_fail(FT_ERR_DATA, "\"%s\" is %s, %s was expected", name, ft_type_name(item),
                   is_list ? "a list" : "an object");
  *out = item;
  return FT_OK;
}

static ft_err read_chat_members(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  FT_TRY(structure_of(rules, json, "tools", true, r, &r->tools));
  FT_TRY(structure_of(rules, json, "documents", true, r, &r->documents));
  FT_TRY(structure_of(rules, json, "chat_template_kwargs", false, r, &r->template_kwargs));
  const cJSON *open = ft_member(rules, json, "add_generation_prompt");
  FT_CHECK(ft_is_absent(open) || cJSON_IsBool(open), FT_ERR_DATA,
           "\"add_generation_prompt\" is %s, true or false was expected", ft_type_name(open));
  r->open = cJSON_IsTrue(open);
  if (r->form != FT_FORM_PREFERENCE) FT_TRY(read_rating(rules, json, r));
  if (r->rejected) {
    r->rejected->form = r->form;
    r->rejected->open = r->open;
    r->rejected->tools = r->tools;
    r->rejected->documents = r->documents;
    r->rejected->template_kwargs = r->template_kwargs;
  }
out:
  return err;
}

ft_err ft_record_read(const ft_record_rules *rules, const cJSON *json, ft_record *out) {
  ft_err err = FT_OK;
  *out = (ft_record){.kind = FT_TOKENS_SFT};
  FT_CHECK(cJSON_IsObject(json), FT_ERR_DATA, "is %s, one object a line was expected",
           ft_type_name(json));
  FT_TRY(rules->form ? fixed_form(rules, json, &out->form) : find_form(rules, json, &out->form));
  const form *f = &forms[out->form];
  /* a text that only repeats what another form says is read with it */
  const char *members[FT_ARRAY_SIZE(f->members) + 2] = {NULL};
  memcpy(members, f->members, sizeof f->members);
  size_t count = 0;
  while (members[count])
    count++;
  if (f->chat) members[count] = "text";
  FT_TRY(ft_check_members(rules, json, FT_SCOPE_RECORD, members, &out->unread));
  FT_TRY(f->read(rules, json, out));
  if (f->chat) FT_TRY(read_chat_members(rules, json, out));
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
  ft_ids_fini(&record->ids);
  if (record->rejected) ft_record_fini(record->rejected);
  ft_free(record->rejected);
  cJSON_Delete(record->owned);
  *record = (ft_record){0};
}
