/* Inputs: JSON to values, each string with where it stood. */
#include <errno.h>
#include <stdlib.h>

#include "state.h"

/* Strings of an input that come from the same place share a number. */
static ft_err add_origin(ft_jinja_state *s, const char *variable, int64_t index, const char *member,
                         uint32_t *out) {
  ft_jinja_origin *origins =
      ft_jinja_grow(s->arena, s->origins, s->num_origins, sizeof *origins, 16, &s->origin_capacity);
  if (!origins) return s->arena->failed;
  s->origins = origins;
  s->origins[s->num_origins++] = (ft_jinja_origin){variable, index, member};
  *out = (uint32_t)s->num_origins;
  return FT_OK;
}

/* U+0000 stands as FT_JSON_ZERO in a string that was read as data. */
static ft_err convert_string(ft_jinja_state *s, const char *text, uint32_t origin,
                             ft_jinja_value *out) {
  size_t bytes = strlen(text), used = 0;
  if (!strstr(text, FT_JSON_ZERO)) return ft_jinja_string_new(s->arena, text, bytes, origin, out);
  char *copy = ft_jinja_alloc(s->arena, bytes);
  if (!copy) return s->arena->failed;
  for (size_t i = 0; i < bytes; used++) {
    bool zero = strncmp(text + i, FT_JSON_ZERO, 2) == 0;
    copy[used] = zero ? 0 : text[i];
    i += zero ? 2 : 1;
  }
  return ft_jinja_string_new(s->arena, copy, used, origin, out);
}

/* A number as it was written: whole unless it has a point or an exponent. */
static ft_err convert_number(ft_jinja_state *s, const cJSON *item, ft_jinja_value *out) {
  const char *text = item->valuestring;
  if (!text) { /* written as the shortest form of its value */
    int64_t whole;
    *out = ft_json_i64(item, &whole) ? ft_jinja_int(whole) : ft_jinja_float(item->valuedouble);
    return FT_OK;
  }
  if (strpbrk(text, ".eE")) {
    *out = ft_jinja_float(item->valuedouble);
    return FT_OK;
  }
  errno = 0;
  long long value = strtoll(text, NULL, 10);
  *out = ft_jinja_int(value);
  if (errno != ERANGE) return FT_OK;
  ft_err err = ft_jinja_string_literal(s->arena, text, out);
  out->type = JINJA_BIG;
  return err;
}

static ft_err convert(ft_jinja_state *s, const cJSON *item, uint32_t origin, int depth,
                      ft_jinja_value *out);

static ft_err convert_list(ft_jinja_state *s, const cJSON *item, uint32_t origin, int depth,
                           ft_jinja_value *out) {
  ft_err err = ft_jinja_list_new(s->arena, JINJA_LIST, cJSON_GetArraySize(item), out);
  int64_t i = 0;
  for (const cJSON *child = item->child; child && err == FT_OK; child = child->next)
    err = convert(s, child, origin, depth + 1, &out->list->items[i++]);
  return err;
}

static ft_err convert_member(ft_jinja_state *s, const cJSON *child, uint32_t origin, int depth,
                             ft_jinja_dict *dict) {
  ft_jinja_entry *entry = &dict->entries[dict->count];
  ft_err err = convert_string(s, child->string, origin, &entry->key);
  if (err == FT_OK) err = convert(s, child, origin, depth + 1, &entry->value);
  if (err == FT_OK) dict->count++;
  return err;
}

static ft_err convert_dict(ft_jinja_state *s, const cJSON *item, uint32_t origin, int depth,
                           ft_jinja_value *out) {
  ft_jinja_dict *dict;
  ft_err err = ft_jinja_dict_new(s->arena, cJSON_GetArraySize(item), &dict);
  for (const cJSON *child = item->child; child && err == FT_OK; child = child->next)
    err = convert_member(s, child, origin, depth, dict);
  if (err == FT_OK) *out = (ft_jinja_value){.type = JINJA_DICT, .dict = dict};
  return err;
}

static ft_err convert(ft_jinja_state *s, const cJSON *item, uint32_t origin, int depth,
                      ft_jinja_value *out) {
  if (depth > JINJA_NEST_MAX) return ft_fail(FT_ERR_DATA, "values nested more than 200 deep");
  if (cJSON_IsString(item)) return convert_string(s, item->valuestring, origin, out);
  if (cJSON_IsNumber(item)) return convert_number(s, item, out);
  if (cJSON_IsArray(item)) return convert_list(s, item, origin, depth, out);
  if (cJSON_IsObject(item)) return convert_dict(s, item, origin, depth, out);
  *out = cJSON_IsBool(item) ? ft_jinja_bool(cJSON_IsTrue(item)) : ft_jinja_none();
  return FT_OK;
}

/* An object whose members are told apart: the input itself, or a member of the list it is. */
static ft_err convert_object(ft_jinja_state *s, const char *variable, int64_t index,
                             const cJSON *object, ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_dict *dict;
  FT_TRY(ft_jinja_dict_new(s->arena, cJSON_GetArraySize(object), &dict));
  for (const cJSON *child = object->child; child; child = child->next) {
    uint32_t origin = 0;
    FT_TRY(add_origin(s, variable, index, child->string, &origin));
    FT_TRY(convert_member(s, child, origin, 0, dict));
  }
  *out = (ft_jinja_value){.type = JINJA_DICT, .dict = dict};
out:
  return err;
}

static ft_err convert_part(ft_jinja_state *s, const char *variable, int64_t index,
                           const cJSON *item, ft_jinja_value *out) {
  uint32_t origin = 0;
  if (cJSON_IsObject(item)) return convert_object(s, variable, index, item, out);
  ft_err err = add_origin(s, variable, index, NULL, &origin);
  return err == FT_OK ? convert(s, item, origin, 0, out) : err;
}

static ft_err convert_input(ft_jinja_state *s, const ft_jinja_input *input, ft_jinja_value *out) {
  ft_err err = FT_OK;
  bool turns = s->options->turns && strcmp(s->options->turns, input->name) == 0;
  if (input->own) return convert(s, input->value, 0, 0, out);
  if (!cJSON_IsArray(input->value)) return convert_part(s, input->name, -1, input->value, out);
  int64_t count = cJSON_GetArraySize(input->value), i = 0;
  if (turns && s->options->num_turns >= 0) count = FT_MIN(count, s->options->num_turns);
  FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, count, out));
  for (const cJSON *child = input->value->child; child && i < count; child = child->next, i++) {
    ft_jinja_value *item = &out->list->items[i];
    FT_TRY(convert_part(s, input->name, i, child, item));
    if (turns && item->type == JINJA_DICT) item->dict->turn = (int32_t)i;
  }
out:
  return err;
}

ft_err ft_jinja_variable(ft_jinja_state *s, const char *name, ft_jinja_value *out) {
  for (int64_t i = s->options->num_inputs - 1; i >= 0; i--)
    if (strcmp(s->options->inputs[i].name, name) == 0)
      return convert_input(s, &s->options->inputs[i], out);
  *out = ft_jinja_undefined(name);
  return FT_OK;
}
