/* Tokens of tokenizer_config.json and its older companions, as transformers 5 reads them. */
#include "more_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "members.h"

static const char *const named[] = {"bos_token", "eos_token", "unk_token",
                                    "sep_token", "cls_token", "mask_token"};
static const char extra_name[] = "extra_special_tokens", older_name[] = "additional_special_tokens";
static const char own_names[] = "model_specific_special_tokens";

/* Files of a directory; NULL where there is none. */
typedef struct files {
  const char *dir;
  cJSON *config, *map, *added;
} files;

static ft_err read_if_there(const char *dir, const char *name, cJSON **out) {
  char *path = NULL;
  *out = NULL;
  ft_err err = ft_path_join(dir, name, &path);
  if (err == FT_OK && ft_path_exists(path)) err = ft_json_read(path, out);
  if (err == FT_OK && *out && !cJSON_IsObject(*out))
    err = ft_fail(FT_ERR_DATA, "%s: a JSON object was expected", path);
  ft_free(path);
  return err;
}

static void files_fini(files *f) {
  cJSON_Delete(f->config);
  cJSON_Delete(f->map);
  cJSON_Delete(f->added);
}

/* The older files count only without "added_tokens_decoder". */
static ft_err files_read(const char *dir, files *f) {
  ft_err err = FT_OK;
  f->dir = dir;
  FT_TRY(read_if_there(dir, "tokenizer_config.json", &f->config));
  FT_CHECK(!f->config || !cJSON_IsTrue(ft_json_get(f->config, "split_special_tokens")), FT_ERR_DATA,
           "%s/tokenizer_config.json: split_special_tokens true is not supported: it cuts special "
           "tokens to pieces, also those of a chat template; false was expected",
           dir);
  if (f->config && cJSON_IsObject(ft_json_get(f->config, "added_tokens_decoder"))) goto out;
  FT_TRY(read_if_there(dir, "special_tokens_map.json", &f->map));
  FT_TRY(read_if_there(dir, "added_tokens.json", &f->added));
out:
  return err;
}

/* ---------------------------------------------------------------- one token */

static const char *content_of(const cJSON *item) {
  if (cJSON_IsObject(item)) item = ft_json_get(item, "content");
  return cJSON_IsString(item) ? item->valuestring : NULL;
}

static ft_err append(cJSON *list, cJSON *item) {
  if (item && cJSON_AddItemToArray(list, item)) return FT_OK;
  cJSON_Delete(item);
  return ft_fail(FT_ERR_MEMORY, "no memory for a tokenizer's added tokens");
}

/* A token that is written as a string, or as an object with its properties. */
static ft_err put(cJSON *list, const cJSON *item, bool special) {
  const char *content = content_of(item);
  if (!content || !*content) return FT_OK;
  cJSON *token = cJSON_IsObject(item) ? cJSON_Duplicate(item, true) : cJSON_CreateObject();
  if (cJSON_IsString(item)) cJSON_AddStringToObject(token, "content", content);
  if (special && token) {
    cJSON_DeleteItemFromObjectCaseSensitive(token, "special");
    cJSON_AddBoolToObject(token, "special", true);
  }
  return append(list, token);
}

/* ---------------------------------------------------------------- tokens with ids */

static int by_id(const void *a, const void *b) {
  double left = ft_json_get(*(cJSON *const *)a, "id")->valuedouble;
  double right = ft_json_get(*(cJSON *const *)b, "id")->valuedouble;
  return left < right ? -1 : left > right;
}

/* Appends tokens in order of their ids; takes them out of `tokens`. */
static ft_err put_sorted(cJSON *list, cJSON *tokens) {
  ft_err err = FT_OK;
  void *memory = NULL;
  int64_t count = cJSON_GetArraySize(tokens);
  FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, count, sizeof(cJSON *), &memory));
  cJSON **sorted = memory;
  for (int64_t i = 0; i < count; i++)
    sorted[i] = cJSON_DetachItemFromArray(tokens, 0);
  qsort(sorted, (size_t)count, sizeof *sorted, by_id);
  for (int64_t i = 0; i < count; i++)
    cJSON_AddItemToArray(list, sorted[i]);
out:
  ft_free(memory);
  return err;
}

static bool holds(const cJSON *list, const char *content) {
  for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
    const char *other = content_of(item);
    if (other && strcmp(other, content) == 0) return true;
  }
  return false;
}

/* Whether a file names the content as a special token. */
static bool is_named(const cJSON *file, const char *content) {
  for (size_t i = 0; file && i < FT_ARRAY_SIZE(named); i++) {
    const char *other = content_of(ft_json_get(file, named[i]));
    if (other && strcmp(other, content) == 0) return true;
  }
  return file && (holds(ft_json_get(file, extra_name), content) ||
                  holds(ft_json_get(file, older_name), content));
}

/* "added_tokens_decoder": {"ID": {"content": …}, …} */
static ft_err put_decoder(cJSON *list, const files *f, const cJSON *decoder) {
  ft_err err = FT_OK;
  cJSON *tokens = cJSON_CreateArray();
  for (const cJSON *item = decoder->child; item; item = item->next) {
    char *end;
    double id = strtod(item->string, &end);
    FT_CHECK(end != item->string && *end == 0 && cJSON_IsObject(item) && content_of(item),
             FT_ERR_DATA,
             "%s/tokenizer_config.json: \"added_tokens_decoder\": \"%s\" is not an id with a "
             "token's {\"content\": …}",
             f->dir, item->string);
    FT_TRY(put(tokens, item, is_named(f->config, content_of(item))));
    cJSON *last = cJSON_GetArrayItem(tokens, cJSON_GetArraySize(tokens) - 1);
    if (last) cJSON_AddNumberToObject(last, "id", id);
  }
  FT_TRY(put_sorted(list, tokens));
out:
  cJSON_Delete(tokens);
  return err;
}

/* added_tokens.json: {"CONTENT": ID, …} */
static ft_err put_added(cJSON *list, const files *f) {
  ft_err err = FT_OK;
  cJSON *tokens = cJSON_CreateArray();
  for (const cJSON *item = f->added->child; item; item = item->next) {
    FT_CHECK(cJSON_IsNumber(item), FT_ERR_DATA,
             "%s/added_tokens.json: the id of \"%s\" is no number", f->dir, item->string);
    bool special = is_named(f->map, item->string) || is_named(f->config, item->string);
    cJSON *token = cJSON_CreateObject();
    if (token) {
      cJSON_AddStringToObject(token, "content", item->string);
      cJSON_AddNumberToObject(token, "id", item->valuedouble);
      cJSON_AddBoolToObject(token, "special", special);
      cJSON_AddBoolToObject(token, "normalized", !special);
    }
    FT_TRY(append(tokens, token));
  }
  FT_TRY(put_sorted(list, tokens));
out:
  cJSON_Delete(tokens);
  return err;
}

/* ---------------------------------------------------------------- tokens with names */

static bool is_listed(const char *const *names, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

/* A model's own names: "image_token" … */
static bool is_own_name(const cJSON *item) {
  static const char ending[] = "_token";
  size_t length = strlen(item->string), end = sizeof ending - 1;
  return cJSON_IsString(item) && length > end && strcmp(item->string + length - end, ending) == 0 &&
         !is_listed(named, FT_ARRAY_SIZE(named), item->string) &&
         strcmp(item->string, "pad_token") != 0;
}

static ft_err put_all(cJSON *list, const cJSON *tokens) {
  ft_err err = FT_OK;
  for (const cJSON *item = tokens ? tokens->child : NULL; item; item = item->next)
    FT_TRY(put(list, item, true));
out:
  return err;
}

/* special_tokens_map.json stands above tokenizer_config.json; a model's own names stand in the
 * latter, or in an object of it, which does not count beside them. */
static ft_err put_names(cJSON *list, const files *f) {
  ft_err err = FT_OK;
  bool has_own = cJSON_IsObject(ft_json_get(f->config, extra_name));
  for (size_t i = 0; i < FT_ARRAY_SIZE(named); i++) {
    const cJSON *item = f->map ? ft_json_get(f->map, named[i]) : NULL;
    if (!content_of(item)) item = f->config ? ft_json_get(f->config, named[i]) : NULL;
    FT_TRY(put(list, item, true));
  }
  for (const cJSON *item = f->config ? f->config->child : NULL; item; item = item->next) {
    if (!is_own_name(item)) continue;
    FT_TRY(put(list, item, true));
    has_own = true;
  }
  if (!has_own) FT_TRY(put_all(list, ft_json_get(f->config, own_names)));
out:
  return err;
}

/* "extra_special_tokens", by its older name where it is not there under the new one; an object of
 * it holds tokens with names. The map adds to the former, and has the latter only if the
 * configuration has neither. */
static ft_err put_further(cJSON *list, const files *f) {
  ft_err err = FT_OK;
  const cJSON *extra = f->config ? ft_json_get(f->config, extra_name) : NULL;
  const cJSON *older = f->config ? ft_json_get(f->config, older_name) : NULL;
  const cJSON *map_extra = f->map ? ft_json_get(f->map, extra_name) : NULL;
  const cJSON *map_older = f->map ? ft_json_get(f->map, older_name) : NULL;
  bool has_extra = cJSON_IsArray(extra) && extra->child;
  FT_TRY(put_all(list, extra));
  if (!has_extra) FT_TRY(put_all(list, older));
  FT_TRY(put_all(list, map_extra));
  if (!has_extra && !older && !map_extra) FT_TRY(put_all(list, map_older));
out:
  return err;
}

ft_err ft_more_tokens_read(const char *dir, cJSON **out) {
  ft_err err = FT_OK;
  files f = {0};
  cJSON *list = cJSON_CreateArray();
  FT_CHECK(list, FT_ERR_MEMORY, "no memory for a tokenizer's added tokens");
  FT_TRY(files_read(dir, &f));
  const cJSON *decoder = f.config ? ft_json_get(f.config, "added_tokens_decoder") : NULL;
  if (cJSON_IsObject(decoder)) FT_TRY(put_decoder(list, &f, decoder));
  if (f.added) FT_TRY(put_added(list, &f));
  FT_TRY(put_names(list, &f));
  FT_TRY(put_further(list, &f));
  *out = list;
  list = NULL;
out:
  cJSON_Delete(list);
  files_fini(&f);
  return err;
}
