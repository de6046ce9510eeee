/* A conversation through the model's own template: what the template sees, and where in its text
 * turns and control tokens are. */
#include <string.h>

#include "chat.h"

/* ---------------------------------------------------------------- messages */

static ft_err no_memory(void) {
  return ft_fail(FT_ERR_MEMORY, "no memory for a conversation");
}

static bool add_reference(cJSON *object, const char *name, const cJSON *item) {
  return cJSON_AddItemReferenceToObject(object, name, (cJSON *)item);
}

/* A message as it stood in the record. As transformers does, members that are null are left out,
 * and the reasoning is there under the names that templates read, whatever the record calls it. */
static bool add_original(cJSON *message, const ft_message *m) {
  static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
  const cJSON *reasoning = NULL, *item;
  bool added = true;
  for (size_t i = 0; i < FT_ARRAY_SIZE(names) && !reasoning; i++) {
    item = ft_json_get(m->json, names[i]);
    if (item && !cJSON_IsNull(item)) reasoning = item;
  }
  if (reasoning && !ft_json_get(m->json, "thinking"))
    added = add_reference(message, "thinking", reasoning);
  cJSON_ArrayForEach(item, m->json) {
    bool is_reasoning = reasoning && strcmp(item->string, "reasoning_content") == 0;
    if (cJSON_IsNull(item) || is_reasoning) continue;
    if (strcmp(item->string, "role") == 0)
      added = added && cJSON_AddStringToObject(message, "role", ft_speaker_name(m->role));
    else
      added = added && add_reference(message, item->string, item);
  }
  if (reasoning)
    added = added && add_reference(message, "reasoning_content", reasoning);
  else if (m->reasoning)
    added = added && cJSON_AddStringToObject(message, "reasoning_content", m->reasoning) &&
            cJSON_AddStringToObject(message, "thinking", m->reasoning);
  return added;
}

/* A message of another form, in OpenAI's. */
static bool add_made(cJSON *message, const ft_message *m) {
  bool added = cJSON_AddStringToObject(message, "role", ft_speaker_name(m->role));
  if (m->input) {
    char *both;
    if (ft_format(&both, "%s\n%s", m->content, m->input) != FT_OK) return false;
    added = added && cJSON_AddStringToObject(message, "content", both);
    ft_free(both);
  } else {
    added = added && cJSON_AddStringToObject(message, "content", m->content);
  }
  if (m->reasoning)
    added = added && cJSON_AddStringToObject(message, "reasoning_content", m->reasoning) &&
            cJSON_AddStringToObject(message, "thinking", m->reasoning);
  if (m->tool_calls) added = added && add_reference(message, "tool_calls", m->tool_calls);
  if (m->name) added = added && cJSON_AddStringToObject(message, "name", m->name);
  if (m->call_id) added = added && cJSON_AddStringToObject(message, "tool_call_id", m->call_id);
  return added;
}

static ft_err add_message(ft_chat_run *run, const ft_message *m) {
  cJSON *message = cJSON_CreateObject();
  if (!message || !cJSON_AddItemToArray(run->messages, message)) {
    cJSON_Delete(message);
    return no_memory();
  }
  return (m->json ? add_original(message, m) : add_made(message, m)) ? FT_OK : no_memory();
}

/* --system, for conversations that begin with nobody's instructions. */
static ft_err add_system(ft_chat_run *run) {
  const ft_record *r = run->record;
  const char *system = run->options->system;
  bool has = r->num_messages > 0 && (r->messages[0].role == FT_SPEAKER_SYSTEM ||
                                     r->messages[0].role == FT_SPEAKER_DEVELOPER);
  if (has || !system || !system[0]) return FT_OK;
  ft_message message = {.role = FT_SPEAKER_SYSTEM, .content = (char *)system};
  run->first = 1;
  return add_message(run, &message);
}

/* ---------------------------------------------------------------- inputs */

static void add_inputs(ft_chat_run *run, const cJSON *object, bool own) {
  const cJSON *item;
  cJSON_ArrayForEach(item, object) run->inputs[run->num_inputs++] =
      (ft_jinja_input){.name = item->string, .value = item, .own = own};
}

static void add_input(ft_chat_run *run, const char *name, const cJSON *value) {
  run->inputs[run->num_inputs++] =
      (ft_jinja_input){.name = name, .value = value ? value : run->none};
}

ft_err ft_chat_run_init(ft_chat_run *run, const ft_render_options *options,
                        const ft_record *record) {
  ft_err err = FT_OK;
  void *memory;
  const ft_chat *chat = options->chat;
  *run = (ft_chat_run){.chat = chat, .options = options, .record = record};
  run->template = record->tools && chat->tools_template ? chat->tools_template : chat->template;
  run->messages = cJSON_CreateArray();
  run->yes = cJSON_CreateTrue();
  run->no = cJSON_CreateFalse();
  run->none = cJSON_CreateNull();
  if (!run->messages || !run->yes || !run->no || !run->none) return no_memory();
  FT_TRY(ft_chat_take_texts(chat, &run->texts));
  run->whole = &run->texts->whole;
  run->part = &run->texts->part;
  FT_TRY(add_system(run));
  for (int64_t i = 0; i < record->num_messages; i++)
    FT_TRY(add_message(run, &record->messages[i]));
  int64_t count =
      cJSON_GetArraySize(chat->tokens) + cJSON_GetArraySize(record->template_kwargs) + 4;
  FT_TRY(ft_alloc_array(FT_MEM_PREP, count, sizeof *run->inputs, &memory));
  run->inputs = memory;
  add_inputs(run, chat->tokens, true);
  add_inputs(run, record->template_kwargs, false);
  add_input(run, "tools", record->tools);
  add_input(run, "documents", record->documents);
  add_input(run, "messages", run->messages); /* these two are set for each rendering */
  add_input(run, "add_generation_prompt", run->no);
out:
  return err;
}

void ft_chat_run_fini(ft_chat_run *run) {
  ft_chat_put_back(run->chat, run->texts);
  cJSON_Delete(run->messages);
  cJSON_Delete(run->yes);
  cJSON_Delete(run->no);
  cJSON_Delete(run->none);
  ft_free(run->inputs);
  ft_free(run->targets);
  *run = (ft_chat_run){0};
}

ft_err ft_chat_run_render(ft_chat_run *run, int64_t num_turns, bool open, ft_jinja_text *out) {
  run->inputs[run->num_inputs - 2].value = run->messages;
  run->inputs[run->num_inputs - 1].value = open ? run->yes : run->no;
  ft_jinja_options options = {.inputs = run->inputs,
                              .num_inputs = run->num_inputs,
                              .turns = "messages",
                              .num_turns = num_turns,
                              .date = run->options->date};
  return ft_jinja_render(run->template, &options, out);
}

/* ---------------------------------------------------------------- whose text */

bool ft_chat_region(const ft_jinja_text *text, int32_t turn, size_t *begin, size_t *end) {
  size_t at = 0;
  bool found = false;
  for (int64_t i = 0; i < text->num_spans; i++) {
    if (text->spans[i].turn == turn) {
      if (!found) *begin = at;
      found = true;
      *end = text->spans[i].end;
    }
    at = text->spans[i].end;
  }
  return found;
}

bool ft_chat_is_own(const ft_jinja_text *text, const ft_jinja_span *span) {
  if (span->origin < 0) return true;
  const ft_jinja_origin *o = &text->origins[span->origin];
  return o->member && strcmp(o->variable, "messages") == 0 && strcmp(o->member, "role") == 0;
}

/* Whether all of [begin, end) is the template's own. */
static bool is_own_text(const ft_jinja_text *text, size_t begin, size_t end) {
  size_t at = 0;
  for (int64_t i = 0; i < text->num_spans && at < end; i++) {
    const ft_jinja_span *span = &text->spans[i];
    if (span->end > begin && !ft_chat_is_own(text, span)) return false;
    at = span->end;
  }
  return true;
}

const ft_special *ft_chat_next_control(const ft_specials *specials, const ft_jinja_text *text,
                                       size_t *at, size_t to, size_t *end) {
  const ft_special *found;
  while (specials && (found = ft_specials_next(specials, text->text, to, at))) {
    *end = *at + found->bytes;
    if (is_own_text(text, *at, *end)) return found;
    *at += 1;
  }
  return NULL;
}
