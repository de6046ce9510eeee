/* Words that a template does not write: some take a list of parts only, and pass over a content
 * that is a text without an error, so that a conversation of empty turns would be learnt. */
#define _GNU_SOURCE /* memmem */
#include <stdatomic.h>
#include <string.h>

#include "chat.h"

/* Whether some of the output came from the content of a message. */
static bool came_from(const ft_jinja_text *text, int64_t message) {
  size_t begin = 0;
  for (int64_t i = 0; i < text->num_spans; begin = text->spans[i++].end) {
    const ft_jinja_span *span = &text->spans[i];
    if (span->origin < 0 || span->end == begin) continue;
    const ft_jinja_origin *o = &text->origins[span->origin];
    if (o->index == message && o->member && strcmp(o->member, "content") == 0 &&
        strcmp(o->variable, "messages") == 0)
      return true;
  }
  return false;
}

/* What filters have made of a content has no origin: its first word may stand in the output all the
 * same. */
static bool stands_in(const ft_jinja_text *text, const char *content) {
  content += strspn(content, " \t\r\n");
  size_t length = strcspn(content, " \t\r\n");
  return length == 0 || memmem(text->text, text->bytes, content, length) != NULL;
}

/* Roles whose words every template is for. A message with calls of tools may be written by these.
 */
static bool has_words(const cJSON *message) {
  const cJSON *role = ft_json_get(message, "role"), *calls = ft_json_get(message, "tool_calls");
  if (!cJSON_IsString(role) || cJSON_GetArraySize(calls) > 0) return false;
  return strcmp(role->valuestring, "user") == 0 || strcmp(role->valuestring, "assistant") == 0;
}

void ft_chat_tell_lost(const ft_chat_run *run) {
  static atomic_flag told = ATOMIC_FLAG_INIT;
  int64_t number = 0;
  for (const cJSON *m = run->messages->child; m; m = m->next, number++) {
    const cJSON *content = ft_json_get(m, "content");
    if (!has_words(m) || !cJSON_IsString(content)) continue;
    if (came_from(run->whole, number) || stands_in(run->whole, content->valuestring)) continue;
    if (!atomic_flag_test_and_set(&told))
      ft_log(FT_LOG_WARNING,
             "the model's chat template writes nothing of the content of message %lld (%s), which "
             "is a text, so its words are not learnt; a template that expects parts takes "
             "[{\"type\": \"text\", \"text\": …}]. Others like it are not told",
             (long long)(number - run->first + 1), ft_json_get(m, "role")->valuestring);
  }
}
