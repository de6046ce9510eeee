/* PREP.json: the options of `ftrun prep` in a file. */
#include <string.h>

#include "ft/io_kind.h"
#include "prep_arguments.h"

bool ft_prep_is_config(const char *path) {
  cJSON *json = NULL;
  if (!ft_ends_with(path, ".json")) return false;
  ft_kind kind = ft_kind_of(path);
  if (kind != FT_KIND_JSON_OBJECT && kind != FT_KIND_JSON_LINES) return false;
  bool is = ft_json_read(path, &json) == FT_OK && ft_json_get(json, "input") &&
            (ft_json_get(json, "model") || ft_json_get(json, "out"));
  cJSON_Delete(json);
  return is;
}

/* The option whose long name is the member's, with - for _. */
static const struct argp_option *option_of(const char *member) {
  for (const struct argp_option *o = ft_prep_argp_options; o->name; o++) {
    size_t i = 0;
    while (o->name[i] && (o->name[i] == member[i] || (o->name[i] == '-' && member[i] == '_')))
      i++;
    if (!o->name[i] && !member[i]) return o;
  }
  return NULL;
}

/* A value as the command line would have it; NULL for true. Strings stay the config's. */
static ft_err text_of(ft_prep_arguments *a, const cJSON *item, const char **out) {
  char number[64];
  if (cJSON_IsString(item)) {
    *out = item->valuestring;
    return FT_OK;
  }
  if (!cJSON_IsNumber(item)) return ft_fail(FT_ERR_CONFIG, "a text or a number was expected");
  snprintf(number, sizeof number, "%.17g", item->valuedouble);
  /* kept with the config, as long as it is */
  cJSON *kept = ft_json_get(a->config, "");
  if (!kept) kept = cJSON_AddArrayToObject(a->config, "");
  cJSON *text = cJSON_CreateString(number);
  if (!kept || !text || !cJSON_AddItemToArray(kept, text))
    return ft_fail(FT_ERR_MEMORY, "no memory");
  *out = text->valuestring;
  return FT_OK;
}

static ft_err set_one(ft_prep_arguments *a, const struct argp_option *o, const cJSON *item) {
  const char *text = NULL;
  if (!o->arg) {
    if (!cJSON_IsBool(item)) return ft_fail(FT_ERR_CONFIG, "true or false was expected");
    return cJSON_IsTrue(item) ? ft_prep_set(a, o->key, NULL) : FT_OK;
  }
  ft_err err = text_of(a, item, &text);
  return err == FT_OK ? ft_prep_set(a, o->key, text) : err;
}

/* {"RULE": "ACTION", …}, or true for all. */
static ft_err set_clean(ft_prep_arguments *a, const cJSON *item) {
  const cJSON *rule;
  if (cJSON_IsBool(item)) {
    if (cJSON_IsTrue(item)) ft_clean_all(&a->prep.clean);
    return FT_OK;
  }
  if (!cJSON_IsObject(item))
    return ft_fail(FT_ERR_CONFIG, "true or {\"RULE\": \"ACTION\"} was expected");
  cJSON_ArrayForEach(rule, item) {
    if (!cJSON_IsString(rule))
      return ft_fail(FT_ERR_CONFIG, "\"%s\": an action was expected", rule->string);
    ft_err err = ft_clean_set(&a->prep.clean, rule->string, rule->valuestring);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

static ft_err set_fields(ft_prep_arguments *a, const cJSON *item) {
  ft_record_rules *r = &a->prep.records;
  const cJSON *field;
  if (!cJSON_IsObject(item)) return ft_fail(FT_ERR_CONFIG, "{\"OURS\": \"THEIRS\"} was expected");
  cJSON_ArrayForEach(field, item) {
    char *name;
    if (!cJSON_IsString(field) || r->num_fields == FT_PREP_MAX_FIELDS)
      return ft_fail(FT_ERR_CONFIG, "\"%s\": a name was expected, of at most %d", field->string,
                     FT_PREP_MAX_FIELDS);
    ft_err err = ft_strdup(field->string, &name);
    if (err != FT_OK) return err;
    a->fields[r->num_fields++] = (ft_field){name, field->valuestring};
    r->fields = a->fields;
  }
  return FT_OK;
}

static ft_err set_member(ft_prep_arguments *a, const cJSON *item) {
  const struct argp_option *o = option_of(item->string);
  const cJSON *one;
  if (!o) return ft_fail(FT_ERR_CONFIG, "there is no such key (ftrun prep --help lists them)");
  if (strcmp(item->string, "clean") == 0) return set_clean(a, item);
  if (strcmp(item->string, "field") == 0) return set_fields(a, item);
  if (!cJSON_IsArray(item)) return set_one(a, o, item);
  cJSON_ArrayForEach(one, item) {
    ft_err err = set_one(a, o, one);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

ft_err ft_prep_read_config(ft_prep_arguments *a, const char *path) {
  ft_err err = FT_OK;
  FT_TRY(ft_json_read(path, &a->config));
  FT_CHECK(cJSON_IsObject(a->config), FT_ERR_CONFIG, "%s: an object was expected", path);
  for (const cJSON *item = a->config->child, *next; item; item = next) {
    next = item->next;
    if (!item->string[0]) continue; /* numbers that were kept as text */
    err = set_member(a, item);
    if (err == FT_ERR_MEMORY) goto out;
    if (err != FT_OK) {
      (void)ft_fail_prefix(err, "%s: %s", path, item->string);
      err = FT_ERR_CONFIG;
      goto out;
    }
  }
out:
  return err;
}
