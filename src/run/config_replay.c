/* data.replay, the one key against forgetting: a general set that takes a share of the rows, and
 * what tells of the forgetting. It becomes the last training set and the last validation set. */
#include <string.h>

#include "config_table.h"

static const double least_share = 0.01, largest_share = 0.99;

static ft_err append(void **array, int64_t count, size_t size, const void *item) {
  ft_err err = ft_realloc(FT_MEM_OTHER, (size_t)(count + 1) * size, array);
  if (err == FT_OK) memcpy((char *)*array + (size_t)count * size, item, size);
  return err;
}

/* DIR/validation beside DIR/train, as prep makes both; NULL: the path is another. cJSON_Delete. */
static cJSON *usual_validation(const char *path) {
  static const char train[] = "train", validation[] = "validation";
  size_t bytes = strlen(path), end = sizeof train - 1;
  while (bytes > 0 && path[bytes - 1] == '/')
    bytes--;
  bool is_train =
      bytes > end && path[bytes - end - 1] == '/' && strncmp(path + bytes - end, train, end) == 0;
  char *text = NULL;
  if (!is_train || ft_format(&text, "%.*s%s", (int)(bytes - end), path, validation) != FT_OK)
    return NULL;
  cJSON *json = cJSON_CreateString(text);
  ft_free(text);
  return json;
}

static bool is_path(const cJSON *item) {
  return cJSON_IsString(item) && item->valuestring[0];
}

static bool check(const cJSON *replay, ft_mistakes *m) {
  static const char *const members[] = {"path", "share", "validation"};
  const cJSON *share = ft_json_get(replay, "share"), *set = ft_json_get(replay, "validation");
  bool good = cJSON_IsObject(replay) && is_path(ft_json_get(replay, "path")) &&
              cJSON_IsNumber(share) && share->valuedouble >= least_share &&
              share->valuedouble <= largest_share && (!set || cJSON_IsNull(set) || is_path(set));
  for (const cJSON *item = good ? replay->child : NULL; item; item = item->next) {
    bool known = false;
    for (size_t i = 0; i < FT_ARRAY_SIZE(members); i++)
      known |= strcmp(item->string, members[i]) == 0;
    good &= known;
  }
  if (good) return true;
  char *text = ft_config_print(replay);
  ft_mistakes_add(m, FT_ERR_CONFIG,
                  "data.replay: found %s; expected {\"path\": shard or folder, \"share\": number "
                  "between 0.01 and 0.99, \"validation\": shard, folder or null}, or null",
                  text ? text : "?");
  cJSON_free(text);
  return false;
}

static ft_err add_validation(ft_config *c, const char *path, ft_mistakes *m) {
  const ft_validation_set set = {.name = FT_REPLAY_SET, .path = path};
  for (int64_t i = 0; i < c->num_validation; i++)
    if (strcmp(c->validation[i].name, set.name) == 0)
      ft_mistakes_add(m, FT_ERR_CONFIG,
                      "data.validation: the name \"%s\" is that of the set of data.replay",
                      set.name);
  void *sets = c->validation;
  ft_err err = append(&sets, c->num_validation, sizeof set, &set);
  c->validation = sets;
  if (err == FT_OK) c->replay_set = c->num_validation++;
  return err;
}

ft_err ft_config_add_replay(ft_config *c, ft_mistakes *m) {
  ft_err err = FT_OK;
  cJSON *replay = (cJSON *)(uintptr_t)ft_config_find(c->json, "data.replay");
  c->replay_set = -1;
  if (!replay || cJSON_IsNull(replay) || !check(replay, m)) return FT_OK;
  const ft_config_source source = {.path = ft_json_get(replay, "path")->valuestring, .weight = 1};
  void *sources = c->train;
  FT_TRY(append(&sources, c->num_train, sizeof source, &source));
  c->train = sources;
  c->num_train++;
  c->replay_share = ft_json_get(replay, "share")->valuedouble;
  if (!ft_json_get(replay, "validation")) {
    cJSON *usual = usual_validation(source.path);
    cJSON_AddItemToObject(replay, "validation", usual ? usual : cJSON_CreateNull());
  }
  const cJSON *set = ft_json_get(replay, "validation");
  if (is_path(set)) FT_TRY(add_validation(c, set->valuestring, m));
out:
  return err;
}
