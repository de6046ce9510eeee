/* Values of a configuration by their dotted paths. */
#include <string.h>

#include "config_table.h"

/* The object that holds the last part of a dotted path, made where missing; *last is that part.
 * NULL if something on the way is not an object. */
static cJSON *section_of(cJSON *root, const char *path, const char **last) {
  const char *dot = strchr(path, '.');
  if (!dot) {
    *last = path;
    return root;
  }
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)FT_MIN(dot - path, 63), path);
  cJSON *section = ft_json_get(root, name);
  if (!section) section = cJSON_AddObjectToObject(root, name);
  return cJSON_IsObject(section) ? section_of(section, dot + 1, last) : NULL;
}

void ft_config_put(cJSON *root, const char *path, cJSON *value) {
  const char *last;
  cJSON *section = section_of(root, path, &last);
  if (!section) {
    cJSON_Delete(value);
    return;
  }
  cJSON_DeleteItemFromObjectCaseSensitive(section, last);
  cJSON_AddItemToObject(section, last, value);
}

const cJSON *ft_config_find(const cJSON *root, const char *path) {
  char copy[128];
  snprintf(copy, sizeof copy, "%s", path);
  const cJSON *at = root;
  char *rest = NULL;
  for (char *part = strtok_r(copy, ".", &rest); part && at; part = strtok_r(NULL, ".", &rest))
    at = ft_json_get(at, part);
  return at;
}

bool ft_config_is_open(const ft_config *c, const char *path) {
  const cJSON *value = ft_config_find(c->json, path);
  return !value || cJSON_IsNull(value);
}

char *ft_config_print(const cJSON *value) {
  char *text = cJSON_PrintUnformatted(value);
  if (text && strlen(text) > 200) memcpy(text + 196, " ...", 5);
  return text;
}
