/* Members of tokenizer.json with their types checked. */
#include "members.h"

static const char *type_name(const cJSON *item) {
  if (!item || cJSON_IsNull(item)) return "nothing";
  if (cJSON_IsBool(item)) return "a boolean";
  if (cJSON_IsNumber(item)) return "a number";
  if (cJSON_IsString(item)) return "a string";
  return cJSON_IsArray(item) ? "an array" : "an object";
}

static const cJSON *get(const cJSON *object, const char *name) {
  const cJSON *item = cJSON_IsObject(object) ? ft_json_get(object, name) : NULL;
  return item && !cJSON_IsNull(item) ? item : NULL;
}

static ft_err wrong_type(const cJSON *item, const char *where, const char *name,
                         const char *expected) {
  return ft_fail(FT_ERR_DATA, "%s: \"%s\" is %s, expected %s", where, name, type_name(item),
                 expected);
}

ft_err ft_member_optional_string(const cJSON *object, const char *where, const char *name,
                                 const char **out) {
  const cJSON *item = get(object, name);
  *out = NULL;
  if (!item) return FT_OK;
  if (!cJSON_IsString(item)) return wrong_type(item, where, name, "a string");
  *out = item->valuestring;
  return FT_OK;
}

ft_err ft_member_string(const cJSON *object, const char *where, const char *name,
                        const char **out) {
  ft_err err = ft_member_optional_string(object, where, name, out);
  return err == FT_OK && !*out ? wrong_type(NULL, where, name, "a string") : err;
}

ft_err ft_member_optional_bool(const cJSON *object, const char *where, const char *name,
                               bool fallback, bool *out) {
  const cJSON *item = get(object, name);
  *out = item ? cJSON_IsTrue(item) : fallback;
  return item && !cJSON_IsBool(item) ? wrong_type(item, where, name, "true or false") : FT_OK;
}

ft_err ft_member_bool(const cJSON *object, const char *where, const char *name, bool *out) {
  *out = false;
  return get(object, name) ? ft_member_optional_bool(object, where, name, false, out)
                           : wrong_type(NULL, where, name, "true or false");
}

ft_err ft_member_count(const cJSON *object, const char *where, const char *name, int64_t max,
                       int64_t *out) {
  const cJSON *item = get(object, name);
  *out = 0;
  if (!cJSON_IsNumber(item)) return wrong_type(item, where, name, "a whole number");
  if (!ft_json_i64(item, out) || *out < 0 || *out > max)
    return ft_fail(FT_ERR_DATA, "%s: \"%s\" is %.17g, expected a whole number from 0 to %lld",
                   where, name, item->valuedouble, (long long)max);
  return FT_OK;
}

ft_err ft_member_optional_object(const cJSON *object, const char *where, const char *name,
                                 cJSON **out) {
  const cJSON *item = get(object, name);
  *out = (cJSON *)item;
  return item && !cJSON_IsObject(item) ? wrong_type(item, where, name, "an object") : FT_OK;
}

ft_err ft_member_object(const cJSON *object, const char *where, const char *name, cJSON **out) {
  ft_err err = ft_member_optional_object(object, where, name, out);
  return err == FT_OK && !*out ? wrong_type(NULL, where, name, "an object") : err;
}

ft_err ft_member_array(const cJSON *object, const char *where, const char *name, cJSON **out) {
  const cJSON *item = get(object, name);
  *out = (cJSON *)item;
  return cJSON_IsArray(item) ? FT_OK : wrong_type(item, where, name, "an array");
}

ft_err ft_member_pattern(const cJSON *object, const char *where, const char **text,
                         bool *is_regex) {
  ft_err err = FT_OK;
  cJSON *pattern;
  *text = NULL;
  FT_TRY(ft_member_object(object, where, "pattern", &pattern));
  FT_TRY(ft_member_optional_string(pattern, where, "Regex", text));
  *is_regex = *text != NULL;
  if (!*text) FT_TRY(ft_member_optional_string(pattern, where, "String", text));
  FT_CHECK(*text, FT_ERR_DATA,
           "%s: \"pattern\" has neither a \"String\" nor a \"Regex\" to search for", where);
  FT_CHECK(**text, FT_ERR_DATA, "%s: an empty \"pattern\" is not supported", where);
out:
  return err;
}
