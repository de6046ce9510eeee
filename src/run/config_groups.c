/* optimizer.groups: tensors by patterns, with rates of their own. */
#include <string.h>

#include "config_table.h"

/* A number of a group that is right, or a mistake in *good; negative where there is none. */
static double number(const cJSON *group, const char *name, bool *good) {
  const cJSON *value = ft_json_get(group, name);
  if (!value) return -1;
  *good = *good && cJSON_IsNumber(value) && value->valuedouble >= 0 && value->valuedouble <= 1e6;
  return value->valuedouble;
}

static bool read_group(const cJSON *item, ft_config_group *out) {
  const cJSON *pattern = ft_json_get(item, "pattern");
  bool good = cJSON_IsString(pattern) && pattern->valuestring[0];
  *out = (ft_config_group){.pattern = good ? pattern->valuestring : "",
                           .lr = number(item, "lr", &good),
                           .weight_decay = number(item, "weight_decay", &good)};
  for (const cJSON *member = item->child; member; member = member->next)
    good = good && member->string &&
           (strcmp(member->string, "pattern") == 0 || strcmp(member->string, "lr") == 0 ||
            strcmp(member->string, "weight_decay") == 0);
  return good && (out->lr >= 0 || out->weight_decay >= 0);
}

static void wrong(ft_mistakes *m, const ft_key *key, const cJSON *value, int64_t index) {
  char *text = ft_config_print(value);
  char place[32] = "", allowed[FT_ALLOWED_BYTES];
  if (index >= 0) snprintf(place, sizeof place, "[%lld]", (long long)index);
  ft_config_allowed(key, allowed, sizeof allowed);
  ft_mistakes_add(m, FT_ERR_CONFIG, "%s%s: found %s; expected %s", key->path, place,
                  text ? text : "?",
                  index < 0 ? allowed
                            : "{\"pattern\": text} with \"lr\" or \"weight_decay\" (numbers from 0 "
                              "to 1000000) or both");
  cJSON_free(text);
}

ft_err ft_config_take_groups(ft_mistakes *m, const ft_key *key, const cJSON *value, ft_config *c) {
  void *p;
  if (!cJSON_IsArray(value)) {
    wrong(m, key, value, -1);
    return FT_OK;
  }
  ft_err err = ft_alloc_array(FT_MEM_OTHER, cJSON_GetArraySize(value), sizeof *c->groups, &p);
  if (err != FT_OK) return err;
  c->groups = p;
  for (const cJSON *item = value->child; item; item = item->next, c->num_groups++)
    if (!read_group(item, &c->groups[c->num_groups])) wrong(m, key, item, c->num_groups);
  return FT_OK;
}
