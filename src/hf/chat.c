/* What a model was trained to chat with, in its directory: where generation ends, and how a
 * conversation is written. */
#include <string.h>

#include "hf_internal.h"

/* ---------------------------------------------------------------- generation_config.json */

/* Adds an id to a list that lacks it. */
static bool add_id(cJSON *list, int64_t id, bool *changed) {
  const cJSON *item;
  cJSON_ArrayForEach(item, list) {
    if (cJSON_IsNumber(item) && item->valuedouble == (double)id) return true;
  }
  *changed = true;
  return cJSON_AddItemToArray(list, cJSON_CreateNumber((double)id));
}

/* The end tokens that the directory's files name, as a list. */
static cJSON *list_ends(const cJSON *generation, const cJSON *config) {
  const cJSON *value = ft_json_get(generation, "eos_token_id");
  const cJSON *text = ft_json_get(config, "text_config");
  if (!value || cJSON_IsNull(value)) value = ft_json_get(config, "eos_token_id");
  if (!value && text) value = ft_json_get(text, "eos_token_id");
  if (cJSON_IsArray(value)) return cJSON_Duplicate(value, true);
  cJSON *list = cJSON_CreateArray();
  if (list && cJSON_IsNumber(value)) cJSON_AddItemToArray(list, cJSON_Duplicate(value, false));
  return list;
}

/* A new file stands before config.json, whose ids of special tokens it has to repeat. */
static ft_err repeat_ids(const cJSON *config, cJSON *generation) {
  static const char *const names[] = {"bos_token_id", "pad_token_id"};
  ft_err err = FT_OK;
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    const cJSON *id = ft_json_get(config, names[i]);
    if (!id) id = ft_json_get(ft_json_get(config, "text_config"), names[i]);
    if (!cJSON_IsNumber(id)) continue;
    FT_CHECK(cJSON_AddNumberToObject(generation, names[i], id->valuedouble), FT_ERR_MEMORY,
             "no memory for generation_config.json");
  }
out:
  return err;
}

/* Ends of turns join those that the file names. */
static ft_err add_ends(const char *dir, const ft_hf_chat *chat, bool *changed) {
  ft_err err = FT_OK;
  cJSON *generation = NULL, *config = NULL, *list = NULL;
  char *path = NULL;
  *changed = false;
  FT_TRY(ft_json_read_if_there(dir, "generation_config.json", &generation));
  FT_TRY(ft_json_read_if_there(dir, "config.json", &config));
  if (!generation) {
    generation = cJSON_CreateObject();
    FT_TRY(repeat_ids(config, generation));
  }
  list = list_ends(generation, config);
  bool good = generation && list;
  for (int64_t i = 0; good && i < chat->num_ends; i++)
    good = add_id(list, chat->ends[i], changed);
  FT_CHECK(good, FT_ERR_MEMORY, "no memory for %s/generation_config.json", dir);
  if (!*changed) goto out;
  cJSON_DeleteItemFromObjectCaseSensitive(generation, "eos_token_id");
  cJSON_AddItemToObject(generation, "eos_token_id", list);
  list = NULL;
  FT_TRY(ft_path_join(dir, "generation_config.json", &path));
  FT_TRY(ft_json_write(path, generation));
out:
  ft_free(path);
  cJSON_Delete(list);
  cJSON_Delete(generation);
  cJSON_Delete(config);
  return err;
}

/* ---------------------------------------------------------------- chat_template.jinja */

static ft_err find_template(const char *dir, bool *has) {
  ft_err err = FT_OK;
  cJSON *config = NULL;
  char *path = NULL;
  FT_TRY(ft_path_join(dir, "chat_template.jinja", &path));
  *has = ft_path_exists(path);
  FT_TRY(ft_json_read_if_there(dir, "tokenizer_config.json", &config));
  const ft_hf_object object = {.json = config};
  *has = *has || ft_hf_has(&object, "chat_template");
out:
  ft_free(path);
  cJSON_Delete(config);
  return err;
}

ft_err ft_hf_add_chat(const char *dir, const ft_hf_chat *chat, ft_hf_chat_report *report) {
  ft_err err = FT_OK;
  char *path = NULL;
  *report = (ft_hf_chat_report){0};
  FT_TRY(add_ends(dir, chat, &report->added_ends));
  FT_TRY(find_template(dir, &report->had_template));
  if (chat->template && !report->had_template) {
    FT_TRY(ft_path_join(dir, "chat_template.jinja", &path));
    FT_TRY(ft_write_file(path, chat->template, strlen(chat->template)));
    report->added_template = true;
  }
  if (report->added_ends || report->added_template) FT_TRY(ft_hf_write_sums(dir));
out:
  ft_free(path);
  return err;
}
