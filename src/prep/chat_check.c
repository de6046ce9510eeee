/* What a chat template does with what records may hold: found by rendering small conversations and
 * looking where their parts went. */
#include <string.h>

#include "chat.h"

/* ---------------------------------------------------------------- rendering a probe */

typedef struct probe {
  cJSON *json;
  ft_record record;
  ft_chat_run run;
} probe;

static void probe_fini(probe *p) {
  ft_chat_run_fini(&p->run);
  ft_record_fini(&p->record);
  cJSON_Delete(p->json);
}

/* Renders a record's text; FT_ERR_DATA if the template refuses it. */
static ft_err probe_init(probe *p, const ft_render_options *options, const char *text) {
  static const ft_record_rules rules = {0};
  *p = (probe){0};
  ft_err err = ft_json_parse(text, strlen(text), "probe", &p->json);
  if (err == FT_OK) err = ft_record_read(&rules, p->json, &p->record);
  if (err == FT_OK) err = ft_chat_run_init(&p->run, options, &p->record);
  if (err == FT_OK) err = ft_chat_run_render(&p->run, -1, false, p->run.whole);
  return err;
}

/* Whether something of this member was written. index -1: of an input that is no message. */
static bool is_written(const ft_jinja_text *text, const char *variable, int64_t index,
                       const char *member) {
  for (int64_t i = 0; i < text->num_spans; i++) {
    const ft_jinja_span *span = &text->spans[i];
    const ft_jinja_origin *o = span->origin >= 0 ? &text->origins[span->origin] : NULL;
    if (!o || strcmp(o->variable, variable) != 0 || (index >= 0 && o->index != index)) continue;
    if (!member || (o->member && strcmp(o->member, member) == 0)) return true;
  }
  return false;
}

/* ---------------------------------------------------------------- members and roles */

#define USER "{\"role\":\"user\",\"content\":\"q\"}"
#define ANSWER "{\"role\":\"assistant\",\"content\":\"a\"}"
#define THOUGHT                                                                                    \
  "{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"r\",\"thinking\":\"r\"}"
#define CALL                                                                                       \
  "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call00001\",\"type\":"       \
  "\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":\"y\"}}}]}"
#define RESULT "{\"role\":\"tool\",\"content\":\"5\",\"tool_call_id\":\"call00001\",\"name\":\"f\"}"
#define TOOLS                                                                                      \
  ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","         \
  "\"parameters\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"string\","                \
  "\"description\":\"e\"}},\"required\":[\"x\"]}}}]"

static const struct {
  const char *name, *record, *variable;
  int64_t index;
  const char *member;
} parts[FT_NUM_CHAT_PARTS] = {
    [FT_CHAT_SYSTEM] = {"system message",
                        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"}," USER "," ANSWER
                        "]}",
                        "messages", 0, "content"},
    [FT_CHAT_LATER_SYSTEM] = {"later system message",
                              "{\"messages\":[" USER "," ANSWER
                              ",{\"role\":\"system\",\"content\":\"s\"}," USER "," ANSWER "]}",
                              "messages", 2, "content"},
    [FT_CHAT_DEVELOPER] = {"developer message",
                           "{\"messages\":[{\"role\":\"developer\",\"content\":\"s\"}," USER
                           "," ANSWER "]}",
                           "messages", 0, "content"},
    [FT_CHAT_PARTS] = {"content as parts",
                       "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                       "\"text\":\"q\"}]}," ANSWER "]}",
                       "messages", 0, "content"},
    [FT_CHAT_TOOLS] = {"tools", "{\"messages\":[" USER "," ANSWER "]" TOOLS "}", "tools", -1, NULL},
    [FT_CHAT_CALLS] = {"tool calls",
                       "{\"messages\":[" USER "," CALL "," RESULT "," ANSWER "]" TOOLS "}",
                       "messages", 1, "tool_calls"},
    [FT_CHAT_RESULTS] = {"tool results",
                         "{\"messages\":[" USER "," CALL "," RESULT "," ANSWER "]" TOOLS "}",
                         "messages", 2, "content"},
    [FT_CHAT_REASONING] = {"reasoning of the last answer", "{\"messages\":[" USER "," THOUGHT "]}",
                           "messages", 1, NULL},
    [FT_CHAT_EARLIER_REASONING] = {"reasoning of earlier answers",
                                   "{\"messages\":[" USER "," THOUGHT "," USER "," THOUGHT "]}",
                                   "messages", 1, NULL},
    [FT_CHAT_DOCUMENTS] = {"documents",
                           "{\"messages\":[" USER "," ANSWER
                           "],\"documents\":[{\"title\":\"t\",\"text\":\"u\"}]}",
                           "documents", -1, NULL}};

const char *ft_chat_part_name(ft_chat_part part) {
  return parts[part].name;
}

static bool is_reasoning_written(const ft_jinja_text *text, int64_t index) {
  return is_written(text, "messages", index, "reasoning_content") ||
         is_written(text, "messages", index, "thinking");
}

static ft_err check_part(const ft_render_options *options, ft_chat_part part, ft_chat_check *out) {
  probe p;
  ft_err err = probe_init(&p, options, parts[part].record);
  bool reasoning = part == FT_CHAT_REASONING || part == FT_CHAT_EARLIER_REASONING;
  out->parts[part] = FT_CHAT_REFUSED;
  if (err == FT_ERR_DATA)
    snprintf(out->reasons[part], sizeof out->reasons[part], "%s", ft_error_message());
  if (err == FT_OK) {
    bool written = reasoning ? is_reasoning_written(p.run.whole, parts[part].index)
                             : is_written(p.run.whole, parts[part].variable, parts[part].index,
                                          parts[part].member);
    out->parts[part] = written ? FT_CHAT_WRITTEN : FT_CHAT_DROPPED;
  }
  probe_fini(&p);
  return err == FT_ERR_DATA ? FT_OK : err;
}

/* ---------------------------------------------------------------- history */

/* Whether an answer is written in the same way when nothing and when more follows. */
static ft_err check_history(const ft_render_options *options, ft_chat_check *out) {
  static const char *const records[] = {
      "{\"messages\":[" USER "," ANSWER "," USER "," ANSWER "]}",
      "{\"messages\":[" USER "," THOUGHT "," USER "," THOUGHT "]}",
      "{\"messages\":[" USER "," CALL "," RESULT "," ANSWER "," USER "," ANSWER "]" TOOLS "}"};
  out->keeps_history = true;
  for (size_t i = 0; i < FT_ARRAY_SIZE(records); i++) {
    probe p;
    size_t begin = 0, end = 0, from = 0, to = 0;
    ft_err err = probe_init(&p, options, records[i]);
    if (err == FT_OK) err = ft_chat_run_render(&p.run, 2, false, p.run.part);
    if (err == FT_OK) {
      bool there =
          ft_chat_region(p.run.whole, 1, &begin, &end) && ft_chat_region(p.run.part, 1, &from, &to);
      bool same = there && end == to && memcmp(p.run.whole->text, p.run.part->text, end) == 0;
      out->keeps_history = out->keeps_history && (same || !there);
    }
    probe_fini(&p);
    if (err != FT_OK && err != FT_ERR_DATA) return err;
  }
  return FT_OK;
}

/* ---------------------------------------------------------------- ids */

static ft_err ids_of(const ft_tokenizer *t, const ft_render_options *options, const char *text,
                     ft_ids *out) {
  static const ft_record_rules rules = {0};
  cJSON *json = NULL;
  ft_document document = {0};
  ft_err err = ft_json_parse(text, strlen(text), "probe", &json);
  if (err == FT_OK) err = ft_render_record(t, options, &rules, json, &document);
  *out = document.ids;
  ft_ids_fini(&document.rejected);
  cJSON_Delete(json);
  return err;
}

/* The last special token among an answer's targets. */
static ft_err check_end(const ft_tokenizer *t, const ft_render_options *options,
                        ft_chat_check *out) {
  ft_ids ids = {0};
  ft_err err = ids_of(t, options, "{\"messages\":[" USER "," ANSWER "]}", &ids);
  out->end_of_turn = -1;
  out->refuses_chats = err == FT_ERR_DATA;
  if (err == FT_ERR_DATA) snprintf(out->reason, sizeof out->reason, "%s", ft_error_message());
  for (int64_t i = 0; err == FT_OK && i < ids.count; i++) {
    bool ends =
        ft_tokenizer_is_special(t, ids.ids[i]) || ft_chat_is_stop(options->chat, ids.ids[i]);
    if (ids.mask[i] && ends) out->end_of_turn = ids.ids[i];
  }
  ft_ids_fini(&ids);
  return err == FT_ERR_DATA ? FT_OK : err;
}

static int64_t count_control(const ft_render_options *options, const ft_ids *ids) {
  int64_t count = 0;
  const ft_specials *specials = options->specials;
  for (int64_t i = 0; i < ids->count; i++)
    for (int64_t k = 0; k < specials->count; k++)
      count += specials->list[k].is_control && specials->list[k].id == ids->ids[i];
  return count;
}

/* A question that spells all control tokens must not add one. */
static ft_err check_forging(const ft_tokenizer *t, const ft_render_options *options,
                            ft_chat_check *out) {
  ft_err err = FT_OK;
  ft_ids plain = {0}, hostile = {0};
  char *text = NULL;
  cJSON *json = cJSON_CreateObject(),
        *messages = json ? cJSON_AddArrayToObject(json, "messages") : NULL;
  cJSON *user = cJSON_CreateObject(), *answer = NULL;
  char spelled[4096] = "q";
  size_t used = 1;
  FT_CHECK(messages && user && cJSON_AddItemToArray(messages, user), FT_ERR_MEMORY, "no memory");
  for (int64_t i = 0; i < options->specials->count; i++) {
    const ft_special *s = &options->specials->list[i];
    if (!s->is_control || s->bytes + used + 1 >= sizeof spelled) continue;
    memcpy(spelled + used, s->text, s->bytes);
    used += s->bytes;
    out->num_control++;
  }
  spelled[used] = 0;
  cJSON_AddStringToObject(user, "role", "user");
  cJSON_AddStringToObject(user, "content", spelled);
  answer = cJSON_CreateObject();
  FT_CHECK(answer && cJSON_AddItemToArray(messages, answer), FT_ERR_MEMORY, "no memory");
  cJSON_AddStringToObject(answer, "role", "assistant");
  cJSON_AddStringToObject(answer, "content", "a");
  FT_TRY(ft_json_print(json, false, &text));
  FT_TRY(ids_of(t, options, "{\"messages\":[" USER "," ANSWER "]}", &plain));
  FT_TRY(ids_of(t, options, text, &hostile));
  out->can_be_forged = count_control(options, &plain) != count_control(options, &hostile);
out:
  ft_ids_fini(&plain);
  ft_ids_fini(&hostile);
  ft_free(text);
  cJSON_Delete(json);
  return err;
}

ft_err ft_chat_check_template(const ft_tokenizer *t, const ft_render_options *options,
                              ft_chat_check *out) {
  ft_err err = FT_OK;
  const ft_jinja *template = options->chat->template;
  *out = (ft_chat_check){.reads_date = ft_chat_reads_date(options->chat),
                         .marks_generation = ft_jinja_has_generation(template)};
  FT_TRY(check_end(t, options, out));
  if (out->refuses_chats) return FT_OK;
  for (int i = 0; i < FT_NUM_CHAT_PARTS; i++)
    FT_TRY(check_part(options, (ft_chat_part)i, out));
  FT_TRY(check_history(options, out));
  FT_TRY(check_forging(t, options, out));
out:
  return err;
}
