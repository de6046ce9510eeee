/* Reading a configuration: defaults, the user's file, overrides; every mistake is collected. */
#include <math.h>
#include <stdarg.h>
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
                                         [KEY_STRINGS] = {"list", NULL},
                                         [KEY_SOURCES] = {"list", NULL},
                                         [KEY_SETS] = {"list", NULL}};
  return names[key->type][key->nullable];
}

const ft_config_key *ft_config_keys(int64_t *count) {
  static ft_config_key keys[64];
  FT_ASSERT(ft_config_table_size <= (int64_t)FT_ARRAY_SIZE(keys));
  for (int64_t i = 0; i < ft_config_table_size; i++) {
    const ft_key *key = &ft_config_table[i];
    keys[i] = (ft_config_key){.path = key->path,
                              .type = type_name(key),
                              .initial = key->initial,
                              .meaning = key->meaning,
                              .resumable = key->resumable};
  }
  *count = ft_config_table_size;
  return keys;
}

static const ft_key *find_key(const char *path) {
  for (int64_t i = 0; i < ft_config_table_size; i++)
    if (strcmp(ft_config_table[i].path, path) == 0) return &ft_config_table[i];
  return NULL;
}

/* Levenshtein distance, for "did you mean". */
static size_t distance(const char *a, const char *b) {
  size_t row[128], n = strlen(b);
  if (n >= FT_ARRAY_SIZE(row)) return 1000;
  for (size_t j = 0; j <= n; j++)
    row[j] = j;
  for (size_t i = 1; a[i - 1]; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= n; j++) {
      size_t above = row[j], change = diagonal + (a[i - 1] != b[j - 1]);
      row[j] = FT_MIN(FT_MIN(above, row[j - 1]) + 1, change);
      diagonal = above;
    }
  }
  return row[n];
}

static void unknown_key(ft_mistakes *m, const char *path) {
  const char *best = NULL, *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
  size_t least = 4;
  for (int64_t i = 0; i < ft_config_table_size; i++) {
    const char *known = ft_config_table[i].path;
    /* the right name in the wrong section, or without one, is nearly as near */
    size_t d = FT_MIN(distance(path, known), distance(name, strrchr(known, '.') + 1) + 1);
    if (d < least) {
      least = d;
      best = known;
    }
  }
  if (best)
    ft_mistakes_add(m, FT_ERR_CONFIG, "%s: there is no such key; did you mean %s?", path, best);
  else
    ft_mistakes_add(m, FT_ERR_CONFIG, "%s: there is no such key (ftrun train --help lists them)",
                    path);
}

void ft_config_check_key(const char *path, ft_mistakes *m) {
  if (!find_key(path)) unknown_key(m, path);
}

/* ---------------------------------------------------------------- merging */

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
    if (find_key(path))
      ft_config_put(root, path, cJSON_Duplicate(item, true));
    else if (!known)
      unknown_key(m, path);
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
  if (!find_key(path)) {
    unknown_key(m, path);
    return;
  }
  cJSON *value = cJSON_ParseWithOpts(equals + 1, NULL, true);
  ft_config_put(root, path, value ? value : cJSON_CreateString(equals + 1));
  /* one length replaces the other */
  if (strcmp(path, "train.steps") == 0) ft_config_put(root, "train.epochs", cJSON_CreateNull());
  if (strcmp(path, "train.epochs") == 0) ft_config_put(root, "train.steps", cJSON_CreateNull());
}

/* ---------------------------------------------------------------- checks and extraction */

char *ft_config_print(const cJSON *value) {
  char *text = cJSON_PrintUnformatted(value);
  if (text && strlen(text) > 200) memcpy(text + 196, " ...", 5);
  return text;
}

static void wrong(ft_mistakes *m, const ft_key *key, const cJSON *value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void wrong(ft_mistakes *m, const ft_key *key, const cJSON *value, const char *format, ...) {
  char allowed[512];
  va_list args;
  va_start(args, format);
  vsnprintf(allowed, sizeof allowed, format, args);
  va_end(args);
  char *text = ft_config_print(value);
  ft_mistakes_add(m, FT_ERR_CONFIG, "%s: found %s; expected %s", key->path, text ? text : "?",
                  allowed);
  cJSON_free(text);
}

static bool whole(double x) {
  return floor(x) == x;
}

static void take_number(ft_mistakes *m, const ft_key *key, const cJSON *value, void *to) {
  bool integer = key->type == KEY_INT;
  double x = value->valuedouble;
  if (!cJSON_IsNumber(value) || (integer && !whole(x)) || !(x >= key->min && x <= key->max)) {
    wrong(m, key, value, "%s between %.16g and %.16g%s", integer ? "a whole number" : "a number",
          key->min, key->max, key->nullable ? ", or null" : "");
    return;
  }
  if (integer)
    *(int64_t *)to = (int64_t)x;
  else
    *(double *)to = x;
}

static void take_every(ft_mistakes *m, const ft_key *key, const cJSON *value, int64_t *to) {
  double x = value->valuedouble;
  if (cJSON_IsBool(value))
    *to = cJSON_IsTrue(value);
  else if (cJSON_IsNumber(value) && whole(x) && x >= key->min && x <= key->max)
    *to = (int64_t)x;
  else
    wrong(m, key, value, "true, false or a whole number between %.16g and %.16g", key->min,
          key->max);
}

static void take_pair(ft_mistakes *m, const ft_key *key, const cJSON *value, double *to) {
  for (int i = 0; i < 2; i++) {
    const cJSON *item = cJSON_IsArray(value) ? cJSON_GetArrayItem(value, i) : NULL;
    if (!cJSON_IsNumber(item) || cJSON_GetArraySize(value) != 2 || item->valuedouble < key->min ||
        item->valuedouble > key->max) {
      wrong(m, key, value, "two numbers in [%g, 1)", key->min);
      return;
    }
    to[i] = item->valuedouble;
  }
}

static void take_choice(ft_mistakes *m, const ft_key *key, const cJSON *value, ft_config *c) {
  char list[128] = "";
  for (int i = 0; i < 4 && key->choices[i]; i++) {
    if (cJSON_IsString(value) && strcmp(value->valuestring, key->choices[i]) == 0) {
      if (key->offset != FT_KEY_NOWHERE) *(int *)(void *)((char *)c + key->offset) = i;
      return;
    }
    size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s\"%s\"", i ? " or " : "", key->choices[i]);
  }
  wrong(m, key, value, "%s", list);
}

/* A list of objects with a path and one more member; *num of them, or a mistake. */
static bool check_list(ft_mistakes *m, const ft_key *key, const cJSON *value, const char *other,
                       const char *form) {
  if (!cJSON_IsArray(value)) {
    wrong(m, key, value, "a list: %s", form);
    return false;
  }
  int index = 0;
  bool good = true;
  for (const cJSON *item = value->child; item; item = item->next, index++) {
    const cJSON *path = ft_json_get(item, "path");
    bool known = cJSON_IsString(path) && path->valuestring[0];
    for (const cJSON *member = item->child; member; member = member->next)
      known &= member->string &&
               (strcmp(member->string, "path") == 0 || strcmp(member->string, other) == 0);
    if (!known) {
      char *text = ft_config_print(item);
      ft_mistakes_add(m, FT_ERR_CONFIG, "%s[%d]: found %s; expected %s", key->path, index,
                      text ? text : "?", form);
      cJSON_free(text);
      good = false;
    }
  }
  return good;
}

static ft_err take_sources(ft_mistakes *m, const ft_key *key, const cJSON *value, ft_config *c) {
  static const char form[] = "{\"path\": shard or folder, \"weight\": positive number}";
  if (!check_list(m, key, value, "weight", form)) return FT_OK;
  int64_t n = cJSON_GetArraySize(value);
  if (n == 0) wrong(m, key, value, "at least one training set");
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, n, sizeof *c->train, &p);
  if (err != FT_OK) return err;
  c->train = p;
  for (const cJSON *item = value->child; item; item = item->next) {
    cJSON *weight = ft_json_get(item, "weight");
    if (weight &&
        !(cJSON_IsNumber(weight) && weight->valuedouble > 0 && weight->valuedouble < 1e12))
      ft_mistakes_add(m, FT_ERR_CONFIG, "%s[%lld].weight: expected a positive number", key->path,
                      (long long)c->num_train);
    c->train[c->num_train++] = (ft_config_source){.path = ft_json_get(item, "path")->valuestring,
                                                  .has_weight = weight != NULL,
                                                  .weight = weight ? weight->valuedouble : 1.0};
  }
  return FT_OK;
}

static ft_err take_sets(ft_mistakes *m, const ft_key *key, const cJSON *value, ft_config *c) {
  static const char form[] = "{\"name\": text, \"path\": shard or folder}";
  if (!check_list(m, key, value, "name", form)) return FT_OK;
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, cJSON_GetArraySize(value), sizeof *c->validation, &p);
  if (err != FT_OK) return err;
  c->validation = p;
  for (const cJSON *item = value->child; item; item = item->next) {
    cJSON *name = ft_json_get(item, "name");
    const char *text = cJSON_IsString(name) ? name->valuestring : "";
    if (!*text)
      ft_mistakes_add(m, FT_ERR_CONFIG, "%s[%lld].name: expected a name", key->path,
                      (long long)c->num_validation);
    for (int64_t i = 0; i < c->num_validation; i++)
      if (strcmp(c->validation[i].name, text) == 0)
        ft_mistakes_add(m, FT_ERR_CONFIG, "%s: two sets are named \"%s\"", key->path, text);
    c->validation[c->num_validation++] =
        (ft_validation_set){.name = text, .path = ft_json_get(item, "path")->valuestring};
  }
  return FT_OK;
}

static ft_err take_strings(ft_mistakes *m, const ft_key *key, const cJSON *value, void *to) {
  ft_strings *list = to;
  void *p;
  bool good = cJSON_IsArray(value);
  for (const cJSON *item = good ? value->child : NULL; item; item = item->next)
    good = good && cJSON_IsString(item) && item->valuestring[0];
  if (!good) {
    wrong(m, key, value, "a list of texts that are not empty");
    return FT_OK;
  }
  ft_err err = ft_alloc_array(FT_MEM_OTHER, cJSON_GetArraySize(value), sizeof *list->texts, &p);
  if (err != FT_OK) return err;
  list->texts = p;
  for (const cJSON *item = value->child; item; item = item->next)
    list->texts[list->num++] = item->valuestring;
  return FT_OK;
}

static ft_err take(ft_mistakes *m, const ft_key *key, const cJSON *value, ft_config *c) {
  void *to = key->offset == FT_KEY_NOWHERE ? NULL : (char *)c + key->offset;
  bool null = !value || cJSON_IsNull(value);
  if (null && strcmp(key->initial, "required") == 0) {
    ft_mistakes_add(m, FT_ERR_CONFIG, "%s: required (%s)", key->path, key->meaning);
    return FT_OK;
  }
  if (null && key->nullable) return FT_OK; /* stays 0 */
  switch (key->type) {
  case KEY_STRING:
    if (cJSON_IsString(value) && value->valuestring[0])
      *(const char **)to = value->valuestring;
    else
      wrong(m, key, value, "a string that is not empty");
    return FT_OK;
  case KEY_BOOL:
    if (cJSON_IsBool(value))
      *(bool *)to = cJSON_IsTrue(value);
    else
      wrong(m, key, value, "true or false");
    return FT_OK;
  case KEY_EVERY:
    take_every(m, key, value, to);
    return FT_OK;
  case KEY_INT:
  case KEY_NUMBER:
    take_number(m, key, value, to);
    return FT_OK;
  case KEY_PAIR:
    take_pair(m, key, value, to);
    return FT_OK;
  case KEY_CHOICE:
    take_choice(m, key, value, c);
    return FT_OK;
  case KEY_STRINGS:
    return take_strings(m, key, value, to);
  case KEY_SOURCES:
    return take_sources(m, key, value, c);
  case KEY_SETS:
    return take_sets(m, key, value, c);
  }
  return FT_OK;
}

static int64_t num_weights(const ft_config *c) {
  int64_t num = 0;
  for (int64_t i = 0; i < c->num_train; i++)
    num += c->train[i].has_weight;
  return num;
}

bool ft_config_is_open(const ft_config *c, const char *path) {
  const cJSON *value = ft_config_find(c->json, path);
  return !value || cJSON_IsNull(value);
}

static void resolve_mix(ft_config *c) {
  static const char *const names[] = {"concatenate", "weights"};
  if (!ft_config_is_open(c, "data.mix")) return;
  c->mix = num_weights(c) > 0 ? FT_MIX_WEIGHTS : FT_MIX_CONCATENATE;
  ft_config_put(c->json, "data.mix", cJSON_CreateString(names[c->mix]));
}

/* What no single key can say. */
static void check_together(ft_mistakes *m, const ft_config *c) {
  if (c->steps == 0 && c->epochs == 0)
    ft_mistakes_add(m, FT_ERR_CONFIG, "train.steps or train.epochs: one of them is required");
  if (c->steps != 0 && c->epochs != 0)
    ft_mistakes_add(
        m, FT_ERR_CONFIG,
        "train.steps (%lld) and train.epochs (%g): give only one of them (the other null)",
        (long long)c->steps, c->epochs);
  if (c->mix == FT_MIX_CONCATENATE && num_weights(c) > 0)
    ft_mistakes_add(
        m, FT_ERR_CONFIG,
        "data.mix is \"concatenate\", which has no weights, but %lld sets of data.train "
        "have one: leave them out, or set data.mix to \"weights\"",
        (long long)num_weights(c));
  if (c->micro_batch > 0 && c->global_batch % c->micro_batch != 0)
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "train.global_batch (%lld) must be a multiple of train.micro_batch (%lld)",
                    (long long)c->global_batch, (long long)c->micro_batch);
  if (c->patience > 0 && c->num_validation == 0)
    ft_mistakes_add(m, FT_ERR_CONFIG, "validation.patience: needs a set in data.validation");
}

/* Fills *c from c->json. */
static ft_err extract(ft_config *c, ft_mistakes *m) {
  ft_err err = FT_OK;
  for (int64_t i = 0; i < ft_config_table_size; i++)
    FT_TRY(take(m, &ft_config_table[i], ft_config_find(c->json, ft_config_table[i].path), c));
  resolve_mix(c);
  if (m->count == 0) check_together(m, c);
out:
  return err;
}

/* ---------------------------------------------------------------- entry points */

ft_err ft_config_read(const char *path, char *const *overrides, int64_t num_overrides,
                      ft_mistakes *mistakes, ft_config *out) {
  ft_err err = FT_OK;
  cJSON *file = NULL;
  memset(out, 0, sizeof *out);
  err = ft_json_read(path, &file);
  if (err == FT_ERR_DATA) err = FT_ERR_CONFIG;
  if (err != FT_OK) goto out;
  FT_CHECK(cJSON_IsObject(file), FT_ERR_CONFIG, "%s: a JSON object was expected", path);
  out->json = defaults();
  merge(out->json, file, "", mistakes);
  for (int64_t i = 0; i < num_overrides; i++)
    apply_override(out->json, overrides[i], mistakes);
  FT_TRY(extract(out, mistakes));
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
  FT_TRY(extract(out, &m));
  FT_TRY(ft_mistakes_fail(&m, where));
out:
  if (err != FT_OK) ft_config_fini(out);
  return err;
}

void ft_config_fini(ft_config *c) {
  ft_free(c->train);
  ft_free(c->validation);
  ft_free(c->freeze.texts);
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
  return find_key(path) ? ft_config_find(config->json, path) : NULL;
}
