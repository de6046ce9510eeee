/* What a model directory says of how its conversations are written: end-of-text token, BOS, and the
 * system message of its own chat template. */
#include <string.h>

#include "template.h"

enum { CONFIG_MAX_BYTES = 64 << 20 };

/* DIR/NAME as JSON; *out is NULL if it does not exist. */
static ft_err read_if_there(const char *dir, const char *name, cJSON **out) {
  char *path = NULL;
  *out = NULL;
  ft_err err = ft_path_join(dir, name, &path);
  if (err == FT_OK && ft_path_exists(path)) err = ft_json_read(path, out);
  ft_free(path);
  return err;
}

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
    ft_err err = read_if_there(dir, files[i], &json);
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

/* The directory's chat template: chat_template.jinja, or a member of tokenizer_config.json that is
 * a string or a list of named ones. *out is NULL if there is none; free with ft_free. */
static ft_err read_chat_template(const char *dir, const cJSON *tokenizer_config, char **out) {
  ft_err err = FT_OK;
  char *path = NULL;
  size_t bytes;
  *out = NULL;
  FT_TRY(ft_path_join(dir, "chat_template.jinja", &path));
  if (ft_path_exists(path)) {
    FT_TRY(ft_read_file(path, CONFIG_MAX_BYTES, out, &bytes));
    goto out;
  }
  const cJSON *item = tokenizer_config ? ft_json_get(tokenizer_config, "chat_template") : NULL;
  if (cJSON_IsArray(item)) {
    const cJSON *named, *list = item;
    item = NULL;
    cJSON_ArrayForEach(named, list) {
      const cJSON *name = ft_json_get(named, "name");
      if (cJSON_IsString(name) && strcmp(name->valuestring, "default") == 0)
        item = ft_json_get(named, "template");
    }
  }
  if (cJSON_IsString(item)) FT_TRY(ft_strdup(item->valuestring, out));
out:
  ft_free(path);
  return err;
}

/* Takes from the directory's own template what the chosen one shares with it. */
static void use_facts(const char *dir, ft_jinja_facts *facts, ft_render_options *out) {
  bool same = (out->template == FT_TEMPLATE_CHATML && facts->has_chatml) ||
              (out->template == FT_TEMPLATE_LLAMA3 && facts->has_llama3) ||
              (out->template == FT_TEMPLATE_LLAMA2 && facts->has_llama2);
  if (!same) {
    ft_log(FT_LOG_WARNING,
           "%s has a chat template of its own, which is not the template %s that is used: what the "
           "model was trained on before may look different",
           dir, ft_template_name(out->template));
    return;
  }
  if (out->template == FT_TEMPLATE_CHATML) {
    out->bos_first = facts->mentions_bos && out->bos >= 0;
    out->system = facts->system;
    facts->system = NULL;
  }
  if (out->template == FT_TEMPLATE_LLAMA3) {
    out->system_preamble = facts->preamble;
    facts->preamble = NULL;
  }
}

ft_err ft_render_options_init(const char *model_dir, const ft_tokenizer *t, ft_template wanted,
                              const char *system, ft_render_options *out) {
  ft_err err = FT_OK;
  cJSON *config = NULL;
  char *source = NULL;
  ft_jinja_facts facts = {0};
  *out = (ft_render_options){.bos = -1, .eos = -1};
  err = ft_template_resolve(wanted, t, &out->template);
  if (err != FT_OK) FT_TRY(ft_fail_prefix(err, "%s", model_dir));
  FT_TRY(read_if_there(model_dir, "tokenizer_config.json", &config));
  FT_TRY(find_eos(model_dir, t, config, &out->eos));
  find_bos(t, config, &out->bos);
  FT_TRY(read_chat_template(model_dir, config, &source));
  if (source) {
    FT_TRY(ft_jinja_read(source, &facts));
    use_facts(model_dir, &facts, out);
  }
  FT_TRY(ft_specials_new(model_dir, t, &out->specials));
  if (system) {
    ft_free(out->system);
    FT_TRY(ft_strdup(system, &out->system));
  }
out:
  ft_jinja_facts_fini(&facts);
  ft_free(source);
  cJSON_Delete(config);
  if (err != FT_OK) ft_render_options_fini(out);
  return err;
}

void ft_render_options_fini(ft_render_options *options) {
  ft_free(options->system);
  ft_free(options->system_preamble);
  ft_specials_free(options->specials);
  *options = (ft_render_options){.bos = -1, .eos = -1};
}
