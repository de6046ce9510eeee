/* Members of records by name, and what their values say. */
#include <string.h>

#include "record_internal.h"

const cJSON *ft_member(const ft_record_rules *rules, const cJSON *object, const char *name) {
  for (int64_t i = 0; i < rules->num_fields; i++)
    if (strcmp(rules->fields[i].name, name) == 0)
      return ft_json_get(object, rules->fields[i].file_name);
  return ft_json_get(object, name);
}

bool ft_is_absent(const cJSON *item) {
  return !item || cJSON_IsNull(item);
}

bool ft_is_empty(const cJSON *item) {
  static const char *const nothing[] = {"", "[]", "{}", "null", "None"};
  if (ft_is_absent(item) || cJSON_IsFalse(item)) return true;
  if (cJSON_IsArray(item) || cJSON_IsObject(item)) return !item->child;
  for (size_t i = 0; cJSON_IsString(item) && i < FT_ARRAY_SIZE(nothing); i++)
    if (strcmp(item->valuestring, nothing[i]) == 0) return true;
  return false;
}

const char *ft_type_name(const cJSON *item) {
  return !item                  ? "missing"
         : cJSON_IsNull(item)   ? "null"
         : cJSON_IsString(item) ? "a string"
         : cJSON_IsNumber(item) ? "a number"
         : cJSON_IsBool(item)   ? "a boolean"
         : cJSON_IsArray(item)  ? "a list"
                                : "an object";
}

ft_err ft_string_of(const ft_record_rules *rules, const cJSON *object, const char *name,
                    const char **out) {
  const cJSON *item = ft_member(rules, object, name);
  *out = NULL;
  if (!cJSON_IsString(item))
    return ft_fail(FT_ERR_DATA, "\"%s\" is %s, a string was expected", name, ft_type_name(item));
  *out = item->valuestring;
  return FT_OK;
}

ft_err ft_optional_string(const ft_record_rules *rules, const cJSON *object, const char *name,
                          const char **out) {
  *out = NULL;
  return ft_is_absent(ft_member(rules, object, name)) ? FT_OK
                                                      : ft_string_of(rules, object, name, out);
}

ft_err ft_system_of(const ft_record_rules *rules, const cJSON *object, const char **out) {
  static const char *const names[] = {FT_SYSTEM_NAMES};
  const char *first = NULL;
  *out = NULL;
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    const char *text;
    ft_err err = ft_optional_string(rules, object, names[i], &text);
    if (err != FT_OK) return err;
    if (!text || !text[0]) continue;
    if (*out && strcmp(*out, text) != 0)
      return ft_fail(FT_ERR_DATA, "\"%s\" says something else than \"%s\"", names[i], first);
    *out = text;
    first = names[i];
  }
  return FT_OK;
}

ft_err ft_record_own(ft_record *r, const char *text, const char *name, const cJSON **out) {
  ft_err err = FT_OK;
  cJSON *json = NULL;
  err = ft_json_parse_data(text, strlen(text), "its JSON", &json);
  if (err == FT_ERR_DATA) err = ft_fail_prefix(err, "\"%s\"", name);
  if (err != FT_OK) return err;
  if (!r->owned) r->owned = cJSON_CreateArray();
  if (!r->owned || !cJSON_AddItemToArray(r->owned, json)) {
    cJSON_Delete(json);
    return ft_fail(FT_ERR_MEMORY, "no memory for a record");
  }
  *out = json;
  return FT_OK;
}

void ft_record_fini(ft_record *record) {
  for (int64_t i = 0; i < record->num_messages; i++) {
    ft_free(record->messages[i].content);
    ft_free(record->messages[i].input);
  }
  ft_free(record->messages);
  ft_free(record->text);
  ft_ids_fini(&record->ids);
  if (record->rejected) ft_record_fini(record->rejected);
  ft_free(record->rejected);
  cJSON_Delete(record->owned);
  *record = (ft_record){0};
}
