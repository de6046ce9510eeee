/* Training records: which form a JSON object has, and what it says. Every form but a text becomes a
 * list of messages. What would change the meaning if it were left out is refused by name
 * (record_members.c). */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "record_internal.h"
#include "space.h"

/* ---------------------------------------------------------------- which form */

typedef struct form {
  const char *name;
  const char *keys[2]; /* all of them make the form */
  ft_err (*read)(const ft_record_rules *rules, const cJSON *json, ft_record *r);
  bool chat;               /* may be rated, and have tools */
  const char *members[16]; /* that it reads; NULL ends them */
} form;

#define CHAT                                                                                       \
  FT_SYSTEM_NAMES, "tools", "documents", "chat_template_kwargs", "add_generation_prompt", "label", \
      "kto_tag"

static const form forms[FT_NUM_FORMS] = {
    [FT_FORM_TEXT] = {"text", {"text"}, ft_read_text, false, {"text"}},
    [FT_FORM_CLASSES] = {"classes", {"text", "label"}, ft_read_classes, false, {"text", "label"}},
    [FT_FORM_MESSAGES] = {"messages", {"messages"}, ft_read_openai, true, {"messages", CHAT}},
    [FT_FORM_CONVERSATIONS] =
        {"conversations", {"conversations"}, ft_read_sharegpt, true, {"conversations", CHAT}},
    [FT_FORM_ALPACA] = {"alpaca",
                        {"instruction", "output"},
                        ft_read_alpaca,
                        true,
                        {"instruction", "input", "output", "history", CHAT}},
    [FT_FORM_COMPLETION] = {"prompt/completion",
                            {"prompt", "completion"},
                            ft_read_completion,
                            true,
                            {"prompt", "completion", CHAT}},
    [FT_FORM_PREFERENCE] = {"preference",
                            {"chosen", "rejected"},
                            ft_read_preference,
                            true,
                            {"chosen", "rejected", "prompt", "question", "instruction", "input",
                             FT_SYSTEM_NAMES, "conversations", "messages", "tools", "documents",
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
      return ft_fail(FT_ERR_DATA,
                     "has \"%s\" but no \"%s\" (--field %s=NAME says what it is called here)",
                     halves[i][0], halves[i][1], halves[i][1]);
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
    size_t bytes;
    const char *words = ft_trimmed(content->valuestring, &bytes);
    if (bytes > 0 && !memmem(text, strlen(text), words, bytes)) return false;
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
  if (r->form != FT_FORM_PREFERENCE) FT_TRY(ft_read_rating(rules, json, r));
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
