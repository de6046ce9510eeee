/* The filter tojson: what Python's json.dumps writes. */
#include <math.h>

#include "value.h"

static void put_unicode(ft_jinja_builder *b, uint32_t code, uint32_t origin) {
  char text[16];
  if (code < 0x10000)
    snprintf(text, sizeof text, "\\u%04x", code);
  else
    snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
             0xDC00 + ((code - 0x10000) & 0x3FF));
  ft_jinja_put(b, text, strlen(text), origin);
}

static void put_escape(ft_jinja_builder *b, uint32_t code, uint32_t origin) {
  static const char meanings[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
  const char *found = code && code < 0x80 ? strchr(meanings, (int)code) : NULL;
  if (!found) {
    put_unicode(b, code, origin);
    return;
  }
  char text[2] = {'\\', letters[found - meanings]};
  ft_jinja_put(b, text, 2, origin);
}

static void put_string(ft_jinja_builder *b, const ft_jinja_string *s, bool ascii) {
  size_t start = 0;
  ft_jinja_put_text(b, "\"");
  for (size_t at = 0, bytes; at < s->bytes; at += bytes) {
    unsigned char c = (unsigned char)s->text[at];
    bytes = 1;
    if (c >= 0x7F ? !ascii : c >= 0x20 && c != '"' && c != '\\') continue;
    uint32_t code = ft_utf8_decode(s->text + at, &bytes);
    size_t left;
    uint32_t origin = ft_jinja_origin_at(s, at, &left);
    ft_jinja_put_part(b, s, start, at);
    put_escape(b, code, origin);
    start = at + bytes;
  }
  ft_jinja_put_part(b, s, start, s->bytes);
  ft_jinja_put_text(b, "\"");
}

static void put_line(ft_jinja_builder *b, const ft_jinja_json_style *style, int depth) {
  if (!style->indent) return;
  ft_jinja_put_text(b, "\n");
  for (int i = 0; i < depth; i++)
    ft_jinja_put_string(b, style->indent);
}

static void put_comma(ft_jinja_builder *b, const ft_jinja_json_style *style) {
  if (style->item_separator)
    ft_jinja_put_string(b, style->item_separator);
  else
    ft_jinja_put_text(b, style->indent ? "," : ", ");
}

static ft_err put_list(ft_jinja_builder *b, const ft_jinja_list *list,
                       const ft_jinja_json_style *style, int depth) {
  ft_jinja_put_text(b, "[");
  for (int64_t i = 0; i < list->count; i++) {
    if (i > 0) put_comma(b, style);
    put_line(b, style, depth + 1);
    ft_err err = ft_jinja_print_json(b, list->items[i], style, depth + 1);
    if (err != FT_OK) return err;
  }
  if (list->count > 0) put_line(b, style, depth);
  ft_jinja_put_text(b, "]");
  return b->err;
}

/* Numbers, booleans and none as keys become strings. */
static ft_err put_key(ft_jinja_builder *b, ft_jinja_value key, const ft_jinja_json_style *style) {
  if (key.type == JINJA_STRING) {
    put_string(b, key.string, style->ascii);
    return b->err;
  }
  if (!ft_jinja_is_number(key.type) && key.type != JINJA_NONE && key.type != JINJA_BIG)
    return ft_fail(FT_ERR_DATA, "tojson: a key is a %s", ft_jinja_type_name(key));
  ft_jinja_put_text(b, "\"");
  ft_err err = ft_jinja_print_json(b, key, style, 0);
  ft_jinja_put_text(b, "\"");
  return err;
}

static ft_err put_dict(ft_jinja_builder *b, const ft_jinja_dict *dict,
                       const ft_jinja_json_style *style, int depth) {
  ft_err err = FT_OK;
  ft_jinja_value *keys = ft_jinja_alloc(b->arena, (size_t)dict->count * sizeof *keys);
  ft_jinja_value *values = ft_jinja_alloc(b->arena, (size_t)dict->count * sizeof *values);
  if (!values) return b->arena->failed;
  for (int64_t i = 0; i < dict->count; i++) {
    keys[i] = dict->entries[i].key;
    values[i] = dict->entries[i].value;
  }
  if (style->sort) FT_TRY(ft_jinja_sort(b->arena, keys, values, dict->count, false));
  ft_jinja_put_text(b, "{");
  for (int64_t i = 0; i < dict->count; i++) {
    if (i > 0) put_comma(b, style);
    put_line(b, style, depth + 1);
    FT_TRY(put_key(b, keys[i], style));
    if (style->key_separator)
      ft_jinja_put_string(b, style->key_separator);
    else
      ft_jinja_put_text(b, ": ");
    FT_TRY(ft_jinja_print_json(b, values[i], style, depth + 1));
  }
  if (dict->count > 0) put_line(b, style, depth);
  ft_jinja_put_text(b, "}");
out:
  return err == FT_OK ? b->err : err;
}

static void put_float(ft_jinja_builder *b, double value) {
  char text[JINJA_FLOAT_BYTES];
  if (isnan(value))
    ft_jinja_put_text(b, "NaN");
  else if (isinf(value))
    ft_jinja_put_text(b, value < 0 ? "-Infinity" : "Infinity");
  else
    ft_jinja_put(b, text, ft_jinja_float_text(value, text), 0);
}

ft_err ft_jinja_print_json(ft_jinja_builder *b, ft_jinja_value v, const ft_jinja_json_style *style,
                           int depth) {
  if (depth > JINJA_NEST_MAX) return ft_fail(FT_ERR_DATA, "values nested more than 200 deep");
  switch (v.type) {
  case JINJA_NONE:
    ft_jinja_put_text(b, "null");
    break;
  case JINJA_BOOL:
    ft_jinja_put_text(b, v.boolean ? "true" : "false");
    break;
  case JINJA_INT:
  case JINJA_BIG:
    return ft_jinja_print_repr(b, v, depth);
  case JINJA_FLOAT:
    put_float(b, v.real);
    break;
  case JINJA_STRING:
    put_string(b, v.string, style->ascii);
    break;
  case JINJA_LIST:
  case JINJA_TUPLE:
    return put_list(b, v.list, style, depth);
  case JINJA_DICT:
    return put_dict(b, v.dict, style, depth);
  default:
    return ft_fail(FT_ERR_DATA, "tojson: a %s cannot be written as JSON", ft_jinja_type_name(v));
  }
  return b->err;
}
