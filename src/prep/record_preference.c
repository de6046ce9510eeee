/* Preference records: a prompt with a chosen and a rejected answer, in the forms that people have.
 * Both become whole conversations; what both begin with is not learnt. */
#include <string.h>

#include "record_internal.h"
#include "space.h"

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

/* The form of a dialogue in one string: "\n\nHuman: …\n\nAssistant: …". */
static bool has_turns(const char *text) {
  return strncmp(text, "\n\nHuman:", 8) == 0;
}

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
  return has_turns(text) ? read_turns(text, r) : ft_add_message(r, FT_SPEAKER_ASSISTANT, text);
}

static bool same_text(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_message(const ft_message *a, const ft_message *b) {
  bool same_calls = a->tool_calls && b->tool_calls
                        ? cJSON_Compare(a->tool_calls, b->tool_calls, true)
                        : a->tool_calls == b->tool_calls;
  return a->role == b->role && strcmp(a->content, b->content) == 0 && same_calls &&
         same_text(a->reasoning, b->reasoning) && same_text(a->name, b->name);
}

/* ---------------------------------------------------------------- whole conversations */

/* Whether a prompt that stands beside them is what whole conversations go on from: its last message
 * is among the `shared` first ones, white space around it aside. */
static bool repeats_prompt(const ft_record *prompt, const ft_record *chosen, int64_t shared) {
  size_t bytes, length;
  const char *last = ft_trimmed(prompt->messages[prompt->num_messages - 1].content, &bytes);
  for (int64_t i = 0; i < shared; i++) {
    const char *text = ft_trimmed(chosen->messages[i].content, &length);
    if (length == bytes && memcmp(text, last, bytes) == 0) return true;
  }
  return false;
}

/* What both conversations begin with is the prompt, and the last message of each is an answer.
 * Returns how many messages the prompt has. */
static int64_t mark_shared(ft_record *chosen, ft_record *rejected) {
  int64_t shared = 0, most = FT_MIN(chosen->num_messages, rejected->num_messages) - 1;
  while (shared < most && same_message(&chosen->messages[shared], &rejected->messages[shared]))
    shared++;
  for (int64_t i = 0; i < shared; i++)
    chosen->messages[i].target = rejected->messages[i].target = false;
  return shared;
}

/* Only the last answers are learnt where it is not known what they answer. */
static void mark_last(ft_record *side) {
  for (int64_t i = 0; i + 1 < side->num_messages; i++)
    side->messages[i].target = false;
}

/* What stands before both answers: a prompt, an instruction, or messages. */
static ft_err read_prompt(const ft_record_rules *rules, const cJSON *json, ft_record *prompt) {
  ft_err err = FT_OK;
  const cJSON *list = ft_member(rules, json, "prompt");
  const char *system, *text, *input;
  FT_TRY(ft_system_of(rules, json, &system));
  FT_TRY(ft_add_system(prompt, system));
  if (cJSON_IsArray(list)) {
    FT_TRY(ft_read_messages(rules, list, "prompt", false, prompt));
  } else if (!ft_is_absent(list)) {
    FT_TRY(ft_string_of(rules, json, "prompt", &text));
    if (has_turns(text))
      FT_TRY(read_turns(text, prompt));
    else
      FT_TRY(ft_add_message(prompt, FT_SPEAKER_USER, text));
  } else if (!ft_is_absent(ft_member(rules, json, "question"))) {
    FT_TRY(ft_string_of(rules, json, "question", &text));
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
  static const char *const names[] = {"prompt", "question", "instruction", "conversations",
                                      "messages"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++)
    if (!ft_is_absent(ft_member(rules, json, names[i]))) return true;
  return false;
}

/* ---------------------------------------------------------------- a prompt inside the answers */

/* Two strings without a prompt: it is what both begin with, up to the word in which they differ.
 * The space before that word stays with the answers. */
static ft_err split_strings(ft_record *chosen, ft_record *rejected, ft_record *prompt) {
  char *a = chosen->messages[0].content, *b = rejected->messages[0].content;
  size_t at = 0;
  while (a[at] && a[at] == b[at])
    at++;
  while (at > 0 && !strchr(" \n\t\r", a[at - 1]))
    at--;
  if (at > 0 && a[at - 1] == ' ') at--;
  if (at == 0)
    return ft_fail(FT_ERR_DATA, "has \"chosen\" and \"rejected\" that share no beginning, and no "
                                "\"prompt\"");
  size_t rest_a = strlen(a + at) + 1, rest_b = strlen(b + at) + 1;
  char first = a[at];
  a[at] = 0;
  ft_err err = ft_add_message(prompt, FT_SPEAKER_USER, a);
  a[at] = first;
  memmove(a, a + at, rest_a);
  memmove(b, b + at, rest_b);
  if (err == FT_OK) prompt->messages[prompt->num_messages - 1].target = false;
  return err;
}

/* ---------------------------------------------------------------- records */

/* Puts the prompt before an answer. */
static ft_err join(const ft_record *prompt, const ft_record *answer, ft_record *out) {
  ft_err err = copy_messages(prompt, out);
  return err == FT_OK ? copy_messages(answer, out) : err;
}

/* `to` keeps what the messages of `from` point to, and what was not read of it. */
static ft_err adopt(ft_record *to, ft_record *from) {
  ft_unread_merge(&to->unread, &from->unread);
  if (!from->owned) return FT_OK;
  if (!to->owned) to->owned = cJSON_CreateArray();
  if (!to->owned || !cJSON_AddItemToArray(to->owned, from->owned))
    return ft_fail(FT_ERR_MEMORY, "no memory for a record");
  from->owned = NULL;
  return FT_OK;
}

/* Both sides are whole conversations; a prompt beside them only repeats what they begin with. */
static ft_err read_conversations(const ft_record_rules *rules, const cJSON *json, ft_record *r,
                                 ft_record *chosen, ft_record *rejected, ft_record *prompt) {
  ft_err err = FT_OK;
  const char *system = NULL;
  int64_t shared = mark_shared(chosen, rejected);
  r->prompts_differ = shared == 0;
  if (has_prompt(rules, json)) {
    FT_TRY(read_prompt(rules, json, prompt));
    bool said = prompt->num_messages == 0 || repeats_prompt(prompt, chosen, shared);
    r->prompts_differ = r->prompts_differ || !said;
    ft_record_fini(prompt);
  }
  if (r->prompts_differ) {
    mark_last(chosen);
    mark_last(rejected);
  }
  FT_TRY(ft_system_of(rules, json, &system));
  bool begins_with_it = system && chosen->messages[0].role == FT_SPEAKER_SYSTEM &&
                        strcmp(chosen->messages[0].content, system) == 0;
  if (!begins_with_it) FT_TRY(ft_add_system(prompt, system));
out:
  return err;
}

/* Both sides are answers. */
static ft_err read_answers(const ft_record_rules *rules, const cJSON *json, ft_record *r,
                           ft_record *chosen, ft_record *rejected, ft_record *prompt) {
  ft_err err = FT_OK;
  bool strings = cJSON_IsString(ft_member(rules, json, "chosen")) &&
                 cJSON_IsString(ft_member(rules, json, "rejected"));
  if (has_prompt(rules, json)) {
    const cJSON *text = ft_member(rules, json, "prompt");
    FT_TRY(read_prompt(rules, json, prompt));
    r->is_continuation = strings && cJSON_IsString(text) && !has_turns(text->valuestring);
  } else {
    const char *system = NULL;
    FT_CHECK(strings, FT_ERR_DATA, "has \"chosen\" and \"rejected\" answers and no \"prompt\"");
    FT_CHECK(r->unread.used == 0, FT_ERR_DATA,
             "has \"chosen\" and \"rejected\" answers and no \"prompt\": if \"%s\" is it, say so "
             "(--field prompt=%s)",
             r->unread.names, r->unread.names);
    FT_TRY(ft_system_of(rules, json, &system));
    FT_TRY(ft_add_system(prompt, system));
    FT_TRY(split_strings(chosen, rejected, prompt));
    r->is_continuation = true;
  }
  r->rejected->is_continuation = r->is_continuation;
out:
  return err;
}

ft_err ft_read_preference(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  ft_record chosen = {0}, rejected = {0}, prompt = {0};
  void *other = NULL;
  r->kind = FT_TOKENS_PREFERENCE;
  FT_TRY(ft_alloc(FT_MEM_PREP, sizeof *r, &other));
  r->rejected = other;
  r->rejected->kind = FT_TOKENS_PREFERENCE;
  FT_TRY(read_side(rules, json, "chosen", &chosen));
  FT_TRY(read_side(rules, json, "rejected", &rejected));
  bool whole = is_conversation(&chosen);
  FT_CHECK(whole == is_conversation(&rejected), FT_ERR_DATA,
           "of \"chosen\" and \"rejected\" one is a conversation and one an answer");
  FT_TRY(whole ? read_conversations(rules, json, r, &chosen, &rejected, &prompt)
               : read_answers(rules, json, r, &chosen, &rejected, &prompt));
  FT_TRY(join(&prompt, &chosen, r));
  FT_TRY(join(&prompt, &rejected, r->rejected));
  FT_TRY(ft_check_system(r, prompt.num_messages > 0 && whole));
  FT_TRY(adopt(r, &chosen));
  FT_TRY(adopt(r, &rejected));
  FT_TRY(adopt(r, &prompt));
out:
  ft_record_fini(&chosen);
  ft_record_fini(&rejected);
  ft_record_fini(&prompt);
  return err;
}
