/* A cJSON tree to text. Printed here and not by cJSON_Print, because that takes 15 digits for
 * enough when the value read back is close: equal text has to mean equal bits. Looks as Python's
 * json.dumps(indent=2, ensure_ascii=False) does, so that exported files differ little from the
 * files they come from. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

typedef struct printer {
  char *text;
  size_t used, capacity;
  bool pretty;
} printer;

void ft_json_number(double value, char out[FT_JSON_NUMBER_BYTES]) {
  if (value == floor(value) && fabs(value) < 9007199254740992.0 &&
      !(value == 0 && signbit(value))) {
    snprintf(out, FT_JSON_NUMBER_BYTES, "%lld", (long long)value);
    return;
  }
  for (int precision = 15; precision <= 17; precision++) {
    snprintf(out, FT_JSON_NUMBER_BYTES, "%.*g", precision, value);
    if (strtod(out, NULL) == value) return;
  }
}

static ft_err put(printer *p, const char *s, size_t bytes) {
  ft_err err = ft_grow_bytes(FT_MEM_IO, p->used + bytes + 1, &p->capacity, (void **)&p->text);
  if (err != FT_OK) return err;
  memcpy(p->text + p->used, s, bytes);
  p->used += bytes;
  p->text[p->used] = 0;
  return FT_OK;
}

static ft_err put_text(printer *p, const char *s) {
  return put(p, s, strlen(s));
}

static ft_err put_line(printer *p, int depth) {
  ft_err err = FT_OK;
  if (!p->pretty) return FT_OK;
  FT_TRY(put(p, "\n", 1));
  for (int i = 0; i < depth; i++)
    FT_TRY(put(p, "  ", 2));
out:
  return err;
}

static ft_err put_string(printer *p, const char *s) {
  static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
  ft_err err = FT_OK;
  FT_TRY(put(p, "\"", 1));
  while (*s) {
    size_t plain = 0;
    while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
      plain++;
    FT_TRY(put(p, s, plain));
    s += plain;
    if (!*s) break;
    const char *found = strchr(special, *s);
    char escaped[8];
    if (found)
      snprintf(escaped, sizeof escaped, "\\%c", letters[found - special]);
    else
      snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(unsigned char)*s);
    FT_TRY(put_text(p, escaped));
    s++;
  }
  FT_TRY(put(p, "\"", 1));
out:
  return err;
}

/* A number as its file wrote it, if it still has that value. */
static ft_err put_number(printer *p, const cJSON *item) {
  char text[FT_JSON_NUMBER_BYTES];
  double value = item->valuedouble;
  if (!isfinite(value)) return put_text(p, "null"); /* JSON has no NaN and no infinity */
  if (item->valuestring && strtod(item->valuestring, NULL) == value)
    return put_text(p, item->valuestring);
  ft_json_number(value, text);
  return put_text(p, text);
}

static ft_err print_value(printer *p, const cJSON *item, int depth) {
  ft_err err = FT_OK;
  if (cJSON_IsNumber(item)) return put_number(p, item);
  if (cJSON_IsString(item)) return put_string(p, item->valuestring);
  if (cJSON_IsBool(item)) return put_text(p, cJSON_IsTrue(item) ? "true" : "false");
  if (cJSON_IsRaw(item)) return put_text(p, item->valuestring);
  if (!cJSON_IsObject(item) && !cJSON_IsArray(item)) return put_text(p, "null");
  bool object = cJSON_IsObject(item);
  FT_TRY(put(p, object ? "{" : "[", 1));
  for (const cJSON *child = item->child; child; child = child->next) {
    FT_TRY(put_line(p, depth + 1));
    if (object) {
      FT_TRY(put_string(p, child->string));
      FT_TRY(put(p, ": ", p->pretty ? 2 : 1));
    }
    FT_TRY(print_value(p, child, depth + 1));
    if (child->next) FT_TRY(put(p, ",", 1));
  }
  if (item->child) FT_TRY(put_line(p, depth));
  FT_TRY(put(p, object ? "}" : "]", 1));
out:
  return err;
}

ft_err ft_json_print(const cJSON *json, bool pretty, char **text) {
  printer p = {.pretty = pretty};
  ft_err err = print_value(&p, json, 0);
  if (err != FT_OK) ft_free(p.text);
  *text = err == FT_OK ? p.text : NULL;
  return err;
}

ft_err ft_json_write(const char *path, const cJSON *json) {
  printer p = {.pretty = true};
  ft_err err = print_value(&p, json, 0);
  if (err == FT_OK) err = put(&p, "\n", 1);
  if (err == FT_OK) err = ft_write_file(path, p.text, p.used);
  ft_free(p.text);
  return err;
}
