/* From JSON to the values of a configuration: each key by its type, then what no single key can
 * say. Every mistake is collected. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "config_table.h"

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

/* What the key allows was expected. */
static void wrong_value(ft_mistakes *m, const ft_key *key, const cJSON *value) {
  char allowed[FT_ALLOWED_BYTES];
  ft_config_allowed(key, allowed, sizeof allowed);
  wrong(m, key, value, "%s", allowed);
}

static bool whole(double x) {
  return floor(x) == x;
}

static void take_number(ft_mistakes *m, const ft_key *key, const cJSON *value, void *to) {
  bool integer = key->type == KEY_INT;
  double x = value->valuedouble;
  if (!cJSON_IsNumber(value) || (integer && !whole(x)) || !(x >= key->min && x <= key->max)) {
    wrong_value(m, key, value);
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
    wrong_value(m, key, value);
}

static void take_time(ft_mistakes *m, const ft_key *key, const cJSON *value, double *to) {
  double x = value->valuedouble;
  bool read =
      cJSON_IsNumber(value) || (cJSON_IsString(value) && ft_duration_read(value->valuestring, &x));
  if (read && x >= key->min && x <= key->max)
    *to = x;
  else
    wrong_value(m, key, value);
}

static void take_pair(ft_mistakes *m, const ft_key *key, const cJSON *value, double *to) {
  for (int i = 0; i < 2; i++) {
    const cJSON *item = cJSON_IsArray(value) ? cJSON_GetArrayItem(value, i) : NULL;
    if (!cJSON_IsNumber(item) || cJSON_GetArraySize(value) != 2 || item->valuedouble < key->min ||
        item->valuedouble > key->max) {
      wrong_value(m, key, value);
      return;
    }
    to[i] = item->valuedouble;
  }
}

static void take_choice(ft_mistakes *m, const ft_key *key, const cJSON *value, ft_config *c) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(key->choices) && key->choices[i]; i++) {
    if (!cJSON_IsString(value) || strcmp(value->valuestring, key->choices[i]) != 0) continue;
    if (key->offset != FT_KEY_NOWHERE) *(int *)(void *)((char *)c + key->offset) = (int)i;
    return;
  }
  wrong_value(m, key, value);
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
  bool one = key->type == KEY_NAMES && cJSON_IsString(value), good = one || cJSON_IsArray(value);
  const cJSON *first = !good ? NULL : one ? value : value->child;
  for (const cJSON *item = first; item; item = one ? NULL : item->next)
    good = good && cJSON_IsString(item) && item->valuestring[0];
  if (!good) {
    wrong_value(m, key, value);
    return FT_OK;
  }
  int64_t num = one ? 1 : cJSON_GetArraySize(value);
  ft_err err = ft_alloc_array(FT_MEM_OTHER, num, sizeof *list->texts, &p);
  if (err != FT_OK) return err;
  list->texts = p;
  for (const cJSON *item = first; item; item = one ? NULL : item->next)
    list->texts[list->num++] = item->valuestring;
  return FT_OK;
}

static ft_err take_numbers(ft_mistakes *m, const ft_key *key, const cJSON *value, void *to) {
  ft_named_numbers *list = to;
  void *p;
  bool good = cJSON_IsObject(value);
  for (const cJSON *item = good ? value->child : NULL; item; item = item->next)
    good = good && cJSON_IsNumber(item) && item->string[0] && item->valuedouble >= key->min &&
           item->valuedouble <= key->max;
  if (!good) {
    wrong_value(m, key, value);
    return FT_OK;
  }
  ft_err err = ft_alloc_array(FT_MEM_OTHER, cJSON_GetArraySize(value), sizeof *list->items, &p);
  if (err != FT_OK) return err;
  list->items = p;
  for (const cJSON *item = value->child; item; item = item->next)
    list->items[list->num++] = (ft_named_number){.name = item->string, .value = item->valuedouble};
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
      wrong_value(m, key, value);
    return FT_OK;
  case KEY_BOOL:
    if (cJSON_IsBool(value))
      *(bool *)to = cJSON_IsTrue(value);
    else
      wrong_value(m, key, value);
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
  case KEY_TIME:
    take_time(m, key, value, to);
    return FT_OK;
  case KEY_MONITOR: /* once the sets are known: take_monitor, */
  case KEY_REPLAY:  /* ft_config_add_replay */
    return FT_OK;
  case KEY_CHOICE:
    take_choice(m, key, value, c);
    return FT_OK;
  case KEY_STRINGS:
  case KEY_NAMES:
    return take_strings(m, key, value, to);
  case KEY_NUMBERS:
    return take_numbers(m, key, value, to);
  case KEY_GROUPS:
    return ft_config_take_groups(m, key, value, c);
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

/* Validation sets but that of data.replay, which is the last. */
static int64_t own_sets(const ft_config *c) {
  return c->num_validation - (c->replay_set >= 0);
}

static void add_to_monitor(ft_mistakes *m, ft_config *c, const char *name, double weight) {
  for (int64_t i = 0; i < c->num_validation; i++)
    if (strcmp(c->validation[i].name, name) == 0) {
      c->monitor[i] = weight;
      return;
    }
  ft_mistakes_add(m, FT_ERR_CONFIG, "validation.monitor: data.validation has no set named \"%s\"",
                  name);
}

/* Which of the validation sets' losses counts. */
static ft_err take_monitor(ft_mistakes *m, ft_config *c) {
  const cJSON *value = ft_config_find(c->json, "validation.monitor");
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, c->num_validation, sizeof *c->monitor, &p);
  if (err != FT_OK) return err;
  c->monitor = p;
  bool own = own_sets(c) > 0; /* what is not to be forgotten is not what is to become lower */
  if ((!value || cJSON_IsNull(value)) && own) c->monitor[0] = 1;
  if (cJSON_IsString(value)) add_to_monitor(m, c, value->valuestring, 1);
  bool good = !value || cJSON_IsNull(value) || cJSON_IsString(value) ||
              (cJSON_IsObject(value) && value->child);
  for (const cJSON *item = cJSON_IsObject(value) ? value->child : NULL; item; item = item->next) {
    good &= cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < 1e12;
    add_to_monitor(m, c, item->string, item->valuedouble);
  }
  if (!good)
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "validation.monitor: expected a validation set's name, or {NAME: positive "
                    "number, …}, or null");
  return FT_OK;
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
  if (c->method.name != 0 && c->freeze.num > 0)
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "train.freeze: with method.name the whole model is frozen; "
                    "method.save_modules names what is trained of it");
  if (c->patience > 0 && own_sets(c) == 0)
    ft_mistakes_add(m, FT_ERR_CONFIG, "validation.patience: needs a set in data.validation");
  if (c->prompts && c->num_validation == 0)
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "validation.prompts: samples are made when sets are evaluated, and "
                    "data.validation has none");
}

/* Fills *c from c->json. */
ft_err ft_config_extract(ft_config *c, ft_mistakes *m) {
  ft_err err = FT_OK;
  for (int64_t i = 0; i < ft_config_table_size; i++)
    FT_TRY(take(m, &ft_config_table[i], ft_config_find(c->json, ft_config_table[i].path), c));
  resolve_mix(c);
  FT_TRY(ft_config_add_replay(c, m));
  FT_TRY(take_monitor(m, c));
  if (m->count == 0) check_together(m, c);
out:
  return err;
}
