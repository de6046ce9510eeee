/* Reading a configuration: defaults, the user's file, overrides; every mistake is collected. */
#include <stdlib.h>
#include <string.h>

#include "config_table.h"

/* ---------------------------------------------------------------- keys */

/* A type's name in documents. */
static const char *type_name(const ft_key *key) {
  static const char *const names[][2] = {[KEY_STRING] = {"string", "string or null"},
                                         [KEY_INT] = {"integer", "integer or null"},
                                         [KEY_NUMBER] = {"number", "number or null"},
                                         [KEY_BOOL] = {"boolean", "boolean or null"},
                                         [KEY_EVERY] = {"boolean or integer", NULL},
                                         [KEY_CHOICE] = {"string", "string or null"},
                                         [KEY_PAIR] = {"two numbers", NULL},
                                         [KEY_TIME] = {"time", "time or null"},
                                         [KEY_MONITOR] = {"name, object or null", NULL},
                                         [KEY_REPLAY] = {"object or null", NULL},
                                         [KEY_STRINGS] = {"list", NULL},
                                         [KEY_NAMES] = {"list or string", NULL},
                                         [KEY_NUMBERS] = {"object", NULL},
                                         [KEY_GROUPS] = {"list", NULL},
                                         [KEY_SOURCES] = {"list", NULL},
                                         [KEY_SETS] = {"list", NULL}};
  return names[key->type][key->nullable];
}

const ft_config_key *ft_config_keys(int64_t *count) {
  static ft_config_key keys[128];
  static char allowed[FT_ARRAY_SIZE(keys)][FT_ALLOWED_BYTES];
  FT_ASSERT(ft_config_table_size <= (int64_t)FT_ARRAY_SIZE(keys));
  for (int64_t i = 0; i < ft_config_table_size; i++) {
    const ft_key *key = &ft_config_table[i];
    ft_config_allowed(key, allowed[i], sizeof allowed[i]);
    keys[i] = (ft_config_key){.allowed = allowed[i],
                              .path = key->path,
                              .type = type_name(key),
                              .initial = key->initial,
                              .meaning = key->meaning,
                              .resumable = key->resumable};
  }
  *count = ft_config_table_size;
  return keys;
}

/* ---------------------------------------------------------------- merging */

static cJSON *defaults(void) {
  cJSON *root = cJSON_CreateObject();
  for (int64_t i = 0; i < ft_config_table_size; i++) {
    const ft_key *key = &ft_config_table[i];
    if (strcmp(key->initial, "required") != 0)
      ft_config_put(root, key->path, cJSON_Parse(key->initial));
    else
      ft_config_put(root, key->path, cJSON_CreateNull());
  }
  return root;
}

/* Copies the user's values over the defaults, by path; unknown ones are mistakes. */
static void merge(cJSON *root, const cJSON *object, const char *prefix, ft_mistakes *m) {
  for (const cJSON *item = object->child; item; item = item->next) {
    char path[128];
    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", item->string);
    const cJSON *known = ft_config_find(root, path);
    if (ft_config_is_key(path))
      ft_config_put(root, path, cJSON_Duplicate(item, true));
    else if (!known)
      ft_config_check_key(path, m);
    else if (!cJSON_IsObject(item))
      ft_mistakes_add(m, FT_ERR_CONFIG,
                      "%s: this is a section; an object with its keys was expected", path);
    else
      merge(root, item, path, m);
  }
}

static void apply_override(cJSON *root, const char *override, ft_mistakes *m) {
  const char *equals = strchr(override, '=');
  char path[128];
  if (!equals || equals == override || equals - override >= (ptrdiff_t)sizeof path) {
    ft_mistakes_add(m, FT_ERR_CONFIG, "\"%s\": an override has the form section.key=value",
                    override);
    return;
  }
  snprintf(path, sizeof path, "%.*s", (int)(equals - override), override);
  if (!ft_config_is_key(path)) {
    ft_config_check_key(path, m);
    return;
  }
  cJSON *value = cJSON_ParseWithOpts(equals + 1, NULL, true);
  ft_config_put(root, path, value ? value : cJSON_CreateString(equals + 1));
  /* one length replaces the other */
  if (strcmp(path, "train.steps") == 0) ft_config_put(root, "train.epochs", cJSON_CreateNull());
  if (strcmp(path, "train.epochs") == 0) ft_config_put(root, "train.steps", cJSON_CreateNull());
}

/* How rows are filled stays as it is in a run that goes on, whatever a new one would do. */
static ft_err keep_filling(ft_config *c) {
  cJSON *earlier = NULL;
  ft_err err = FT_OK;
  if (c->run_dir) err = ft_json_read_if_there(c->run_dir, "config.json", &earlier);
  if (err == FT_ERR_MEMORY) return err;
  if (err != FT_OK)
    ft_log(FT_LOG_WARNING, "%s: data.fit and data.packing are chosen anew", ft_error_message());
  ft_config_settle_filling(c, earlier);
  cJSON_Delete(earlier);
  return FT_OK;
}

/* ---------------------------------------------------------------- entry points */

ft_err ft_config_read(const char *path, char *const *overrides, int64_t num_overrides,
                      ft_mistakes *mistakes, ft_config *out) {
  ft_err err = FT_OK;
  cJSON *file = NULL;
  memset(out, 0, sizeof *out);
  err = ft_json_read(path, &file);
  if (err == FT_ERR_DATA) err = ft_fail_prefix(FT_ERR_CONFIG, "a configuration is JSON");
  if (err == FT_ERR_NOINPUT)
    err = ft_fail(err,
                  "%s: no such file; a configuration (a JSON file, docs/configuration.md) was "
                  "expected",
                  path);
  if (err != FT_OK) goto out;
  FT_CHECK(cJSON_IsObject(file), FT_ERR_CONFIG, "%s: a JSON object was expected", path);
  FT_CHECK(!ft_json_get(file, "model_type"), FT_ERR_CONFIG,
           "%s: is a model's config.json; a run's configuration was expected, whose model.path "
           "names that model's directory (docs/configuration.md)",
           path);
  out->json = defaults();
  merge(out->json, file, "", mistakes);
  for (int64_t i = 0; i < num_overrides; i++)
    apply_override(out->json, overrides[i], mistakes);
  FT_TRY(ft_config_extract(out, mistakes));
  FT_TRY(keep_filling(out));
out:
  cJSON_Delete(file);
  if (err != FT_OK) ft_config_fini(out);
  return err;
}

ft_err ft_config_fail(const ft_mistakes *m, const char *path, int64_t num_overrides) {
  char where[512];
  snprintf(where, sizeof where, "%s%s", path, num_overrides > 0 ? " and the command line" : "");
  return ft_mistakes_fail(m, where);
}

ft_err ft_config_load(const char *path, char *const *overrides, int64_t num_overrides,
                      ft_config *out) {
  ft_mistakes m = {0};
  ft_err err = ft_config_read(path, overrides, num_overrides, &m, out);
  if (err != FT_OK) return err;
  err = ft_config_fail(&m, path, num_overrides);
  if (err != FT_OK) ft_config_fini(out);
  return err;
}

ft_err ft_config_from_json(const cJSON *json, const char *where, ft_config *out) {
  ft_err err = FT_OK;
  ft_mistakes m = {0};
  memset(out, 0, sizeof *out);
  out->json = defaults();
  merge(out->json, json, "", &m);
  FT_TRY(ft_config_extract(out, &m));
  ft_config_settle_filling(out, json); /* who wrote it down decided by the keys of the time */
  FT_TRY(ft_mistakes_fail(&m, where));
out:
  if (err != FT_OK) ft_config_fini(out);
  return err;
}

void ft_config_fini(ft_config *c) {
  ft_free(c->train);
  ft_free(c->validation);
  ft_free(c->monitor);
  ft_free(c->groups);
  ft_free(c->freeze.texts);
  ft_free(c->method.targets.texts);
  ft_free(c->method.save_modules.texts);
  ft_free(c->method.rank_pattern.items);
  ft_free(c->method.alpha_pattern.items);
  cJSON_Delete(c->json);
  memset(c, 0, sizeof *c);
}

cJSON *ft_config_plan(const cJSON *json) {
  static const char *const keys[] = {"train.steps", "train.epochs", "validation.patience"};
  cJSON *plan = cJSON_CreateObject();
  for (size_t i = 0; i < FT_ARRAY_SIZE(keys); i++)
    cJSON_AddItemToObject(plan, keys[i], cJSON_Duplicate(ft_config_find(json, keys[i]), true));
  return plan;
}

const cJSON *ft_config_value(const ft_config *config, const char *path) {
  return ft_config_is_key(path) ? ft_config_find(config->json, path) : NULL;
}
