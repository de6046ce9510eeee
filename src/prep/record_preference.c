/* Preference records: a prompt with a chosen and a rejected answer, in the forms that people have.
 * Both become whole conversations; what both begin with is not learnt. */
#include <string.h>

#include "record_internal.h"

/* A conversation as messages without a record's other members. Messages are copied. */
static ft_err copy_messages(const ft_record *from, ft_record *to) {
  for (int64_t i = 0; i < from->num_messages; i++) {
    const ft_message *m = &from->messages[i];
    ft_err err = ft_add_message(to, m->role, m->content);
    if (err != FT_OK) return err;
    ft_message *copy = &to->messages[to->num_messages - 1];
    char *content = copy->content;
    *copy = *m;
    copy->content = content;
    copy->input = NULL;
    if (m->input && (err = ft_strdup(m->input, &copy->input)) != FT_OK) return err;
  }
  return FT_OK;
}

/* The anthropic form: "\n\nHuman: …\n\nAssistant: …" in one string. */
static ft_err read_turns(const char *text, ft_record *r) {
  static const char human[] = "\n\nHuman:", assistant[] = "\n\nAssistant:";
  ft_err err = FT_OK;
  char *copy = NULL;
  FT_TRY(ft_strdup(text, &copy));
  for (char *at = copy; *at;) {
    bool is_human = strncmp(at, human, sizeof human - 1) == 0;
    char *begin = at + (is_human ? sizeof human : sizeof assistant) - 1;
    char *next_human = strstr(begin, human), *next_assistant = strstr(begin, assistant);
    char *end = next_human && (!next_assistant || next_human < next_assistant) ? next_human
                                                                               : next_assistant;
    char kept = end ? *end : 0;
    if (end) *end = 0;
    FT_TRY(ft_add_message(r, is_human ? FT_SPEAKER_USER : FT_SPEAKER_ASSISTANT,
                          begin + (*begin == ' ')));
    if (!end) break;
    *end = kept;
    at = end;
  }
out:
  ft_free(copy);
  return err;
}

/* One side: a string (an answer, or a whole conversation), one message, or a list of them. */
static ft_err read_side(const ft_record_rules *rules, const cJSON *json, const char *name,
                        ft_record *r) {
  const cJSON *side = ft_member(rules, json, name);
  if (cJSON_IsArray(side)) {
    bool sharegpt = ft_json_get(side->child, "from") != NULL;
    return ft_read_messages(rules, side, name, sharegpt, r);
  }
  if (cJSON_IsObject(side)) {
    ft_err err = ft_read_message(rules, side, ft_json_get(side, "from") != NULL, r);
    return err == FT_ERR_DATA ? ft_fail_prefix(err, "\"%s\"", name) : err;
  }
  const char *text;
  ft_err err = ft_string_of(rules, json, name, &text);
  if (err != FT_OK) return err;
  return strncmp(text, "\n\nHuman:", 8) == 0 ? read_turns(text, r)
                                             : ft_add_message(r, FT_SPEAKER_ASSISTANT, text);
}

static bool same_message(const ft_message *a, const ft_message *b) {
  return a->role == b->role && strcmp(a->content, b->content) == 0 && !a->tool_calls &&
         !b->tool_calls;
}

/* Whole conversations: what both share is the prompt. */
static ft_err mark_shared(ft_record *chosen, ft_record *rejected) {
  int64_t shared = 0, least = FT_MIN(chosen->num_messages, rejected->num_messages);
  while (shared < least && same_message(&chosen->messages[shared], &rejected->messages[shared]))
    shared++;
  if (shared == chosen->num_messages && shared == rejected->num_messages)
    return ft_fail(FT_ERR_DATA, "\"chosen\" and \"rejected\" are the same");
  if (shared == 0 || shared == least)
    return ft_fail(FT_ERR_DATA, "\"chosen\" and \"rejected\" are conversations that %s",
                   shared == 0 ? "share no beginning" : "end within each other");
  for (int64_t i = 0; i < shared; i++)
    chosen->messages[i].target = rejected->messages[i].target = false;
  return FT_OK;
}

/* What stands before both answers: a prompt, an instruction, or messages. */
static ft_err read_prompt(const ft_record_rules *rules, const cJSON *json, ft_record *prompt) {
  ft_err err = FT_OK;
  const cJSON *list = ft_member(rules, json, "prompt");
  const char *system, *text, *input;
  FT_TRY(ft_optional_string(rules, json, "system", &system));
  FT_TRY(ft_add_system(prompt, system));
  if (cJSON_IsArray(list)) {
    FT_TRY(ft_read_messages(rules, list, "prompt", false, prompt));
  } else if (!ft_is_absent(list)) {
    FT_TRY(ft_string_of(rules, json, "prompt", &text));
    if (strncmp(text, "\n\nHuman:", 8) == 0)
      FT_TRY(read_turns(text, prompt));
    else
      FT_TRY(ft_add_message(prompt, FT_SPEAKER_USER, text));
  } else if (!ft_is_absent(ft_member(rules, json, "conversations"))) {
    FT_TRY(ft_read_messages(rules, ft_member(rules, json, "conversations"), "conversations", true,
                            prompt));
  } else if (!ft_is_absent(ft_member(rules, json, "messages"))) {
    FT_TRY(ft_read_messages(rules, ft_member(rules, json, "messages"), "messages", false, prompt));
  } else {
    FT_TRY(ft_string_of(rules, json, "instruction", &text));
    FT_TRY(ft_optional_string(rules, json, "input", &input));
    FT_TRY(ft_add_message(prompt, FT_SPEAKER_USER, text));
    if (input && input[0])
      FT_TRY(ft_strdup(input, &prompt->messages[prompt->num_messages - 1].input));
  }
  FT_TRY(ft_check_system(prompt, system && system[0]));
  /* an assistant's empty turn at the end only opens the answer */
  while (prompt->num_messages > 0 &&
         prompt->messages[prompt->num_messages - 1].role == FT_SPEAKER_ASSISTANT &&
         !prompt->messages[prompt->num_messages - 1].content[0])
    ft_free(prompt->messages[--prompt->num_messages].content);
  for (int64_t i = 0; i < prompt->num_messages; i++)
    prompt->messages[i].target = false;
out:
  return err;
}

static bool is_conversation(const ft_record *side) {
  return side->num_messages > 1 && side->messages[0].role != FT_SPEAKER_ASSISTANT;
}

static bool has_prompt(const ft_record_rules *rules, const cJSON *json) {
  static const char *const names[] = {"prompt", "instruction", "conversations", "messages"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++)
    if (!ft_is_absent(ft_member(rules, json, names[i]))) return true;
  return false;
}

/* Puts the prompt before an answer. */
static ft_err join(const ft_record *prompt, const ft_record *answer, ft_record *out) {
  ft_err err = copy_messages(prompt, out);
  return err == FT_OK ? copy_messages(answer, out) : err;
}

ft_err ft_read_preference(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  ft_record chosen = {0}, rejected = {0}, prompt = {0};
  void *other = NULL;
  r->kind = FT_TOKENS_PREFERENCE;
  FT_TRY(ft_alloc(FT_MEM_PREP, sizeof *r, &other));
  r->rejected = other;
  FT_TRY(read_side(rules, json, "chosen", &chosen));
  FT_TRY(read_side(rules, json, "rejected", &rejected));
  FT_CHECK(is_conversation(&chosen) == is_conversation(&rejected), FT_ERR_DATA,
           "of \"chosen\" and \"rejected\" one is a conversation and one an answer");
  if (is_conversation(&chosen)) {
    /* a prompt beside whole conversations repeats what they begin with */
    FT_TRY(mark_shared(&chosen, &rejected));
  } else {
    FT_CHECK(has_prompt(rules, json), FT_ERR_DATA,
             "has \"chosen\" and \"rejected\" answers and no \"prompt\"");
    FT_TRY(read_prompt(rules, json, &prompt));
    FT_CHECK(chosen.num_messages != 1 || rejected.num_messages != 1 ||
                 !same_message(&chosen.messages[0], &rejected.messages[0]),
             FT_ERR_DATA, "\"chosen\" and \"rejected\" are the same");
    r->is_continuation = r->rejected->is_continuation =
        cJSON_IsString(ft_member(rules, json, "prompt")) &&
        cJSON_IsString(ft_member(rules, json, "chosen"));
  }
  FT_TRY(join(&prompt, &chosen, r));
  FT_TRY(join(&prompt, &rejected, r->rejected));
  r->unread = chosen.unread;
  r->rejected->kind = FT_TOKENS_PREFERENCE;
out:
  ft_record_fini(&chosen);
  ft_record_fini(&rejected);
  ft_record_fini(&prompt);
  return err;
}
