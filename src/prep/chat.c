/* The model's own chat template: where it stands in the directory, what it sees beside the
 * conversation, and which tokens end and begin turns. */
#include <string.h>

#include "chat.h"

enum { MAX_TEMPLATE_BYTES = 16 << 20 };

/* ---------------------------------------------------------------- the template's text */

/* A file's text; *out is NULL if there is no such file. */
static ft_err read_text(const char *dir, const char *name, char **out) {
  char *path = NULL;
  size_t bytes;
  *out = NULL;
  ft_err err = ft_path_join(dir, name, &path);
  if (err == FT_OK && ft_path_exists(path))
    err = ft_read_file(path, MAX_TEMPLATE_BYTES, out, &bytes);
  ft_free(path);
  return err;
}

/* The template of this name in tokenizer_config.json: a string is "default", a list has names. */
static const char *named_template(const cJSON *config, const char *name) {
  const cJSON *item = ft_json_get(config, "chat_template"), *named;
  if (cJSON_IsString(item)) return strcmp(name, "default") == 0 ? item->valuestring : NULL;
  cJSON_ArrayForEach(named, item) {
    const cJSON *key = ft_json_get(named, "name"), *text = ft_json_get(named, "template");
    if (cJSON_IsString(key) && cJSON_IsString(text) && strcmp(key->valuestring, name) == 0)
      return text->valuestring;
  }
  return NULL;
}

/* A file beside the tokenizer wins over tokenizer_config.json, as in transformers. */
static ft_err find_source(const char *dir, const cJSON *config, const char *name, char **out) {
  ft_err err = FT_OK;
  char *file = NULL;
  bool is_default = strcmp(name, "default") == 0;
  FT_TRY(read_text(dir, "chat_template.jinja", out));
  if (*out && is_default) return FT_OK;
  bool in_files = *out != NULL;
  ft_free(*out);
  *out = NULL;
  if (in_files) {
    FT_TRY(ft_format(&file, "additional_chat_templates/%s.jinja", name));
    err = read_text(dir, file, out);
    goto out;
  }
  const char *text = named_template(config, name);
  if (text) FT_TRY(ft_strdup(text, out));
out:
  ft_free(file);
  return err;
}

static ft_err parse(const char *dir, const char *name, const char *source, ft_jinja **out) {
  char *where = NULL;
  ft_err err = ft_format(&where, "%s: chat template%s%s", dir, *name ? " " : "", name);
  if (err == FT_OK) err = ft_jinja_parse(source, strlen(source), where, out);
  ft_free(where);
  return err;
}

static ft_err read_templates(const char *dir, const cJSON *config, ft_chat *chat, bool *found) {
  ft_err err = FT_OK;
  char *source = NULL, *with_tools = NULL, *both = NULL;
  FT_TRY(find_source(dir, config, "default", &source));
  FT_TRY(find_source(dir, config, "tool_use", &with_tools));
  *found = source != NULL;
  if (!source) {
    FT_CHECK(!with_tools, FT_ERR_DATA, "%s: its chat templates have names, and none is \"default\"",
             dir);
    goto out;
  }
  FT_TRY(parse(dir, "", source, &chat->template));
  if (with_tools) FT_TRY(parse(dir, "tool_use", with_tools, &chat->tools_template));
  FT_TRY(ft_format(&both, "%s%s", source, with_tools ? with_tools : ""));
  ft_sha256_hex(both, strlen(both), chat->sha256);
out:
  ft_free(source);
  ft_free(with_tools);
  ft_free(both);
  return err;
}

/* ---------------------------------------------------------------- tokens */

/* Special tokens by name ("bos_token"), as strings, those of later files only where missing. */
static ft_err add_tokens(cJSON *tokens, const cJSON *config) {
  const cJSON *item;
  cJSON_ArrayForEach(item, config) {
    const cJSON *content = cJSON_IsObject(item) ? ft_json_get(item, "content") : item;
    size_t bytes = strlen(item->string);
    bool is_token = bytes > 6 && strcmp(item->string + bytes - 6, "_token") == 0;
    if (!is_token || !cJSON_IsString(content) || ft_json_get(tokens, item->string)) continue;
    if (!cJSON_AddStringToObject(tokens, item->string, content->valuestring))
      return ft_fail(FT_ERR_MEMORY, "no memory for the names of special tokens");
  }
  return FT_OK;
}

static ft_err read_tokens(const char *dir, const cJSON *config, ft_chat *chat) {
  ft_err err = FT_OK;
  cJSON *map = NULL;
  chat->tokens = cJSON_CreateObject();
  FT_CHECK(chat->tokens, FT_ERR_MEMORY, "no memory for the names of special tokens");
  FT_TRY(ft_json_read_if_there(dir, "special_tokens_map.json", &map));
  FT_TRY(add_tokens(chat->tokens, config));
  FT_TRY(add_tokens(chat->tokens, map));
out:
  cJSON_Delete(map);
  return err;
}

bool ft_chat_is_stop(const ft_chat *chat, uint32_t id) {
  for (int64_t i = 0; i < chat->num_stops; i++)
    if (chat->stops[i] == id) return true;
  return false;
}

static void add_stop(ft_chat *chat, int64_t id) {
  if (id < 0 || id > UINT32_MAX || chat->num_stops == FT_MAX_STOPS) return;
  if (!ft_chat_is_stop(chat, (uint32_t)id)) chat->stops[chat->num_stops++] = (uint32_t)id;
}

static void add_stops(ft_chat *chat, const cJSON *ids) {
  int64_t id;
  const cJSON *item;
  if (ft_json_i64(ids, &id)) add_stop(chat, id);
  if (cJSON_IsArray(ids))
    cJSON_ArrayForEach(item, ids) if (ft_json_i64(item, &id)) add_stop(chat, id);
}

/* What ends the model's writing: eos_token_id of both files, and the tokenizer's eos_token. */
static ft_err find_stops(const char *dir, const ft_tokenizer *t, ft_chat *chat) {
  static const char *const files[] = {"generation_config.json", "config.json"};
  const cJSON *eos = ft_json_get(chat->tokens, "eos_token");
  for (size_t i = 0; i < FT_ARRAY_SIZE(files); i++) {
    cJSON *json;
    ft_err err = ft_json_read_if_there(dir, files[i], &json);
    if (err != FT_OK) return err;
    add_stops(chat, ft_json_get(json, "eos_token_id"));
    cJSON_Delete(json);
  }
  if (eos) add_stop(chat, ft_tokenizer_id(t, eos->valuestring));
  return FT_OK;
}

/* ---------------------------------------------------------------- a first look
 * A question, an answer and another question are rendered to see what the template writes around
 * them. Templates that refuse these are taken as they are. */

static const char probe_text[] =
    "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
    "\"b\"},{\"role\":\"user\",\"content\":\"c\"}]}";
static const char probe_parts[] =
    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},"
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}]},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"c\"}]}]}";

/* The last special token of the answer. */
static void find_end_of_turn(ft_chat *chat, const ft_specials *specials,
                             const ft_jinja_text *text) {
  size_t begin, end, stop;
  if (!ft_chat_region(text, 1, &begin, &end)) return;
  const ft_special *found;
  for (size_t at = begin; (found = ft_chat_next_control(specials, text, &at, end, &stop));
       at = stop)
    chat->end_of_turn = found->id;
}

/* What is written behind the last question's turn. */
static ft_err find_prompt(ft_chat *chat, const ft_jinja_text *text) {
  size_t begin, end;
  if (!ft_chat_region(text, 2, &begin, &end) || end == text->bytes) return FT_OK;
  return ft_format(&chat->prompt, "%.*s", (int)(text->bytes - end), text->text + end);
}

/* Added tokens that the template writes around the questions, or first behind the last one. */
static void find_marks(ft_chat *chat, const ft_tokenizer *t, const ft_jinja_text *text) {
  for (int64_t n = 0; n < ft_tokenizer_num_added(t) && chat->num_marks < FT_MAX_STOPS; n++) {
    int64_t id = ft_tokenizer_added_id(t, n);
    const char *token = ft_tokenizer_token(t, id);
    if (ft_tokenizer_is_special(t, id) || strspn(token, " \t\r\n") == strlen(token)) continue;
    size_t begin = 0, bytes = strlen(token), prompt = 0;
    bool marks = false;
    for (int64_t i = 0; i < text->num_spans; i++) {
      const ft_jinja_span *span = &text->spans[i];
      size_t room = span->end - begin;
      bool question = span->turn == 0 || span->turn == 2;
      if (span->turn == 2) prompt = span->end;
      bool first = span->turn < 0 && begin == prompt && prompt > 0 && room >= bytes &&
                   memcmp(text->text + begin, token, bytes) == 0;
      for (size_t at = begin; question && at + bytes <= span->end; at++)
        marks = marks || memcmp(text->text + at, token, bytes) == 0;
      marks = marks || first;
      begin = span->end;
    }
    if (marks) chat->marks[chat->num_marks++] = token;
  }
}

static ft_err probe(ft_chat *chat, const ft_tokenizer *t, const ft_specials *specials) {
  static const char *const conversations[] = {probe_text, probe_parts};
  static const ft_record_rules rules = {0};
  ft_err err = FT_OK;
  for (size_t i = 0; i < FT_ARRAY_SIZE(conversations); i++) {
    cJSON *json = NULL;
    ft_record record = {0};
    ft_chat_run run = {0};
    ft_render_options options = {.chat = chat};
    err = ft_json_parse(conversations[i], strlen(conversations[i]), "probe", &json);
    if (err == FT_OK) err = ft_record_read(&rules, json, &record);
    if (err == FT_OK) err = ft_chat_run_init(&run, &options, &record);
    if (err == FT_OK) err = ft_chat_run_render(&run, -1, true, run.whole);
    if (err == FT_OK) {
      find_end_of_turn(chat, specials, run.whole);
      find_marks(chat, t, run.whole);
      err = find_prompt(chat, run.whole);
    }
    ft_chat_run_fini(&run);
    ft_record_fini(&record);
    cJSON_Delete(json);
    if (err != FT_ERR_DATA) return err;
  }
  return FT_OK;
}

/* ---------------------------------------------------------------- opening */

ft_err ft_chat_open(const char *dir, const ft_tokenizer *t, const cJSON *tokenizer_config,
                    ft_chat **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  ft_specials *specials = NULL;
  bool found;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_PREP, sizeof **out, &memory));
  ft_chat *chat = memory;
  chat->tokenizer = t;
  chat->end_of_turn = -1;
  FT_TRY(ft_chat_pool_new(&chat->pool));
  FT_TRY(read_templates(dir, tokenizer_config, chat, &found));
  if (!found) goto out;
  FT_TRY(read_tokens(dir, tokenizer_config, chat));
  FT_TRY(find_stops(dir, t, chat));
  FT_TRY(ft_specials_new(dir, t, &specials));
  FT_TRY(probe(chat, t, specials));
  *out = chat;
  memory = NULL;
out:
  ft_specials_free(specials);
  ft_chat_free(memory);
  return err;
}

void ft_chat_free(ft_chat *chat) {
  if (!chat) return;
  ft_jinja_free(chat->template);
  ft_jinja_free(chat->tools_template);
  cJSON_Delete(chat->tokens);
  ft_chat_pool_free(chat->pool);
  ft_free(chat->prompt);
  ft_free(chat);
}

const char *ft_chat_sha256(const ft_chat *chat) {
  return chat->sha256;
}

bool ft_chat_reads_date(const ft_chat *chat) {
  return ft_jinja_uses(chat->template, "strftime_now") ||
         (chat->tools_template && ft_jinja_uses(chat->tools_template, "strftime_now"));
}
