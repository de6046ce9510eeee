/* What a model directory says of how its conversations are written: its chat template, end-of-text
 * token and BOS. */
#define _GNU_SOURCE /* strptime */
#include <string.h>
#include <time.h>

#include "chat.h"
#include "template.h"

/* Id of "eos_token_id": a number, or the first of a list; -1 if there is none. */
static int64_t token_id_of(const cJSON *config) {
  const cJSON *item = config ? ft_json_get(config, "eos_token_id") : NULL;
  int64_t id;
  if (cJSON_IsArray(item)) item = item->child;
  return ft_json_i64(item, &id) && id >= 0 ? id : -1;
}

/* Id of a token that tokenizer_config.json names by content, as a string or {"content": …}. */
static int64_t named_token(const cJSON *config, const char *key, const ft_tokenizer *t) {
  const cJSON *item = config ? ft_json_get(config, key) : NULL;
  if (cJSON_IsObject(item)) item = ft_json_get(item, "content");
  return cJSON_IsString(item) ? ft_tokenizer_id(t, item->valuestring) : -1;
}

static ft_err find_eos(const char *dir, const ft_tokenizer *t, const cJSON *tokenizer_config,
                       int64_t *eos) {
  static const char *const files[] = {"config.json", "generation_config.json"};
  *eos = -1;
  for (size_t i = 0; i < FT_ARRAY_SIZE(files) && *eos < 0; i++) {
    cJSON *json;
    ft_err err = ft_json_read_if_there(dir, files[i], &json);
    if (err != FT_OK) return err;
    *eos = token_id_of(json);
    cJSON_Delete(json);
  }
  if (*eos < 0) *eos = named_token(tokenizer_config, "eos_token", t);
  return FT_OK;
}

static void find_bos(const ft_tokenizer *t, const cJSON *tokenizer_config, int64_t *bos) {
  const uint32_t *before, *after;
  int64_t num_before, num_after;
  ft_tokenizer_post_processor(t, &before, &num_before, &after, &num_after);
  *bos = num_before > 0 ? (int64_t)before[0] : named_token(tokenizer_config, "bos_token", t);
}

/* ---------------------------------------------------------------- words of the command line */

ft_err ft_train_on_by_name(const char *name, ft_train_on *out) {
  static const char *const names[] = {"all", "last", "marked"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++)
    if (strcmp(name, names[i]) == 0) {
      *out = (ft_train_on)i;
      return FT_OK;
    }
  return ft_fail(FT_ERR_USAGE, "found \"%.40s\", expected all, last or marked", name);
}

ft_err ft_date_by_name(const char *text, struct tm *out) {
  struct tm date = {.tm_isdst = -1, .tm_hour = 12};
  const char *end = strptime(text, "%Y-%m-%d", &date);
  if (end && *end == 'T') end = strptime(end + 1, "%H:%M:%S", &date);
  if (!end || *end || mktime(&date) == (time_t)-1)
    return ft_fail(FT_ERR_USAGE,
                   "found \"%.40s\", expected a date like 2026-01-31 or "
                   "2026-01-31T12:00:00",
                   text);
  *out = date;
  return FT_OK;
}

/* ---------------------------------------------------------------- a directory */

/* The model's own template where there is one and none other is asked for by name. */
static ft_err choose_template(const char *dir, const ft_tokenizer *t, const cJSON *config,
                              ft_template wanted, ft_render_options *out) {
  ft_err err = FT_OK;
  FT_TRY(ft_chat_open(dir, t, config, &out->chat));
  bool own = wanted == FT_TEMPLATE_MODEL || (wanted == FT_TEMPLATE_AUTO && out->chat);
  FT_CHECK(!own || out->chat, FT_ERR_DATA,
           "%s has no chat template (chat_template.jinja, or \"chat_template\" in "
           "tokenizer_config.json); choose a layout: chatml, llama2, llama3, alpaca or plain",
           dir);
  if (own) {
    out->template = FT_TEMPLATE_MODEL;
    return FT_OK;
  }
  err = ft_template_resolve(wanted, t, &out->template);
  if (err != FT_OK) return ft_fail_prefix(err, "%s", dir);
  if (out->chat)
    ft_log(FT_LOG_WARNING,
           "%s has a chat template of its own, and the layout %s is used instead: what the model "
           "was trained on before may look different",
           dir, ft_template_name(out->template));
out:
  return err;
}

ft_err ft_render_options_init(const char *model_dir, const ft_tokenizer *t, ft_template wanted,
                              const char *system, ft_render_options *out) {
  ft_err err = FT_OK;
  cJSON *config = NULL;
  time_t now = time(NULL);
  *out = (ft_render_options){.bos = -1, .eos = -1};
  localtime_r(&now, &out->date);
  FT_TRY(ft_json_read_if_there(model_dir, "tokenizer_config.json", &config));
  FT_TRY(find_eos(model_dir, t, config, &out->eos));
  find_bos(t, config, &out->bos);
  FT_TRY(choose_template(model_dir, t, config, wanted, out));
  FT_TRY(ft_specials_new(model_dir, t, &out->specials));
  if (system) FT_TRY(ft_strdup(system, &out->system));
out:
  cJSON_Delete(config);
  if (err != FT_OK) ft_render_options_fini(out);
  return err;
}

void ft_render_options_fini(ft_render_options *options) {
  ft_free(options->system);
  ft_chat_free(options->chat);
  ft_specials_free(options->specials);
  *options = (ft_render_options){.bos = -1, .eos = -1};
}
