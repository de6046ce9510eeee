/* Values as Python prints them: str, repr and json.dumps. */
#include <math.h>
#include <stdlib.h>

#include "value.h"

/* ---------------------------------------------------------------- floats */

/* "1.5e+17" of C to Python's choice: an exponent from 1e16 on and below 1e-4, else a point. */
static size_t lay_out(const char *digits, int exponent, bool negative, char *out) {
  size_t count = strlen(digits), used = 0;
  if (negative) out[used++] = '-';
  if (exponent < -4 || exponent >= 16) {
    out[used++] = digits[0];
    if (count > 1) out[used++] = '.';
    memcpy(out + used, digits + 1, count - 1);
    used += count - 1;
    return used + (size_t)snprintf(out + used, 8, "e%+03d", exponent);
  }
  for (int i = 0; i > exponent; i--) {
    out[used++] = '0';
    if (i == 0) out[used++] = '.';
  }
  for (int i = 0; i < (int)count || i <= exponent; i++) {
    if (exponent >= 0 && i == exponent + 1) out[used++] = '.';
    out[used++] = i < (int)count ? digits[i] : '0';
  }
  if (exponent >= (int)count - 1) {
    out[used++] = '.';
    out[used++] = '0';
  }
  return used;
}

size_t ft_jinja_float_text(double value, char out[JINJA_FLOAT_BYTES]) {
  if (isnan(value)) return (size_t)snprintf(out, JINJA_FLOAT_BYTES, "nan");
  if (isinf(value)) return (size_t)snprintf(out, JINJA_FLOAT_BYTES, value < 0 ? "-inf" : "inf");
  char text[JINJA_FLOAT_BYTES], digits[20];
  int precision = 0;
  do /* the fewest digits that read back as the same number */
    snprintf(text, sizeof text, "%.*e", precision, fabs(value));
  while (strtod(text, NULL) != fabs(value) && ++precision < 17);
  size_t count = 0;
  char *e = strchr(text, 'e');
  for (const char *c = text; c < e; c++)
    if (*c != '.') digits[count++] = *c;
  while (count > 1 && digits[count - 1] == '0')
    count--;
  digits[count] = 0;
  return lay_out(digits, atoi(e + 1), signbit(value), out);
}

/* ---------------------------------------------------------------- repr */

static void put_escape(ft_jinja_builder *b, uint32_t code, uint32_t origin) {
  char text[12];
  if (code == '\n' || code == '\r' || code == '\t') {
    snprintf(text, sizeof text, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
  } else {
    const char *format = code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x";
    snprintf(text, sizeof text, format, code);
  }
  ft_jinja_put(b, text, strlen(text), origin);
}

static void put_quoted(ft_jinja_builder *b, const ft_jinja_string *s) {
  bool single = memchr(s->text, '\'', s->bytes), both = single && memchr(s->text, '"', s->bytes);
  char quote = single && !both ? '"' : '\'';
  size_t start = 0;
  ft_jinja_put(b, &quote, 1, 0);
  for (size_t at = 0, bytes; at < s->bytes; at += bytes) {
    uint32_t code = ft_utf8_decode(s->text + at, &bytes);
    bool slash = code == '\\' || code == (uint32_t)(unsigned char)quote;
    if (!slash && (code < 0x7F ? code >= 0x20 : ft_jinja_is_printable(code))) continue;
    size_t left;
    uint32_t origin = ft_jinja_origin_at(s, at, &left);
    ft_jinja_put_part(b, s, start, at);
    if (slash) {
      ft_jinja_put(b, "\\", 1, origin);
      ft_jinja_put(b, s->text + at, 1, origin);
    } else {
      put_escape(b, code, origin);
    }
    start = at + bytes;
  }
  ft_jinja_put_part(b, s, start, s->bytes);
  ft_jinja_put(b, &quote, 1, 0);
}

static ft_err put_list(ft_jinja_builder *b, ft_jinja_value v, int depth) {
  const char *open = v.type == JINJA_TUPLE ? "(" : "[", *close = v.type == JINJA_TUPLE ? ")" : "]";
  if (v.type == JINJA_VIEW) {
    ft_jinja_put_text(b, v.list->view);
    ft_jinja_put_text(b, "(");
  }
  ft_jinja_put_text(b, open);
  for (int64_t i = 0; i < v.list->count; i++) {
    if (i > 0) ft_jinja_put_text(b, ", ");
    ft_err err = ft_jinja_print_repr(b, v.list->items[i], depth + 1);
    if (err != FT_OK) return err;
  }
  if (v.type == JINJA_TUPLE && v.list->count == 1) ft_jinja_put_text(b, ",");
  ft_jinja_put_text(b, close);
  if (v.type == JINJA_VIEW) ft_jinja_put_text(b, ")");
  return b->err;
}

static ft_err put_dict(ft_jinja_builder *b, ft_jinja_value v, int depth) {
  ft_err err = FT_OK;
  if (v.type == JINJA_NAMESPACE) ft_jinja_put_text(b, "<Namespace ");
  ft_jinja_put_text(b, "{");
  for (int64_t i = 0; i < v.dict->count; i++) {
    if (i > 0) ft_jinja_put_text(b, ", ");
    FT_TRY(ft_jinja_print_repr(b, v.dict->entries[i].key, depth + 1));
    ft_jinja_put_text(b, ": ");
    FT_TRY(ft_jinja_print_repr(b, v.dict->entries[i].value, depth + 1));
  }
  ft_jinja_put_text(b, "}");
  if (v.type == JINJA_NAMESPACE) ft_jinja_put_text(b, ">");
out:
  return err == FT_OK ? b->err : err;
}

static void put_range(ft_jinja_builder *b, const ft_jinja_list *range) {
  char text[80];
  int used = snprintf(text, sizeof text, "range(%lld, %lld", (long long)range->start,
                      (long long)range->stop);
  if (range->step != 1)
    used += snprintf(text + used, sizeof text - (size_t)used, ", %lld", (long long)range->step);
  snprintf(text + used, sizeof text - (size_t)used, ")");
  ft_jinja_put_text(b, text);
}

static void put_number(ft_jinja_builder *b, ft_jinja_value v) {
  char text[JINJA_FLOAT_BYTES];
  if (v.type == JINJA_INT)
    ft_jinja_put(b, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)v.integer), 0);
  else
    ft_jinja_put(b, text, ft_jinja_float_text(v.real, text), 0);
}

ft_err ft_jinja_print_repr(ft_jinja_builder *b, ft_jinja_value v, int depth) {
  if (depth > JINJA_NEST_MAX) return ft_fail(FT_ERR_DATA, "values nested more than 200 deep");
  switch (v.type) {
  case JINJA_UNDEFINED:
    ft_jinja_put_text(b, "Undefined");
    break;
  case JINJA_NONE:
    ft_jinja_put_text(b, "None");
    break;
  case JINJA_BOOL:
    ft_jinja_put_text(b, v.boolean ? "True" : "False");
    break;
  case JINJA_INT:
  case JINJA_FLOAT:
    put_number(b, v);
    break;
  case JINJA_BIG:
    ft_jinja_put_string(b, v.string);
    break;
  case JINJA_STRING:
    if (v.string->markup)
      return ft_fail(FT_ERR_DATA, "the inner text of a string marked safe is printed, which is not "
                                  "supported");
    put_quoted(b, v.string);
    break;
  case JINJA_RANGE:
    put_range(b, v.list);
    break;
  case JINJA_LIST:
  case JINJA_TUPLE:
  case JINJA_VIEW:
    return put_list(b, v, depth);
  case JINJA_DICT:
  case JINJA_NAMESPACE:
    return put_dict(b, v, depth);
  default:
    return ft_fail(FT_ERR_DATA, "a %s is printed: what that looks like is an accident of Python",
                   ft_jinja_type_name(v));
  }
  return b->err;
}

ft_err ft_jinja_print(ft_jinja_builder *b, ft_jinja_value v) {
  if (v.type == JINJA_UNDEFINED) {
    if (v.unsafe) return ft_fail(FT_ERR_DATA, "access to %s is unsafe", v.why);
    return b->err;
  }
  if (v.type != JINJA_STRING) return ft_jinja_print_repr(b, v, 0);
  ft_jinja_put_string(b, v.string);
  return b->err;
}

ft_err ft_jinja_to_string(ft_jinja_arena *a, ft_jinja_value v, const ft_jinja_string **out) {
  *out = v.string;
  if (v.type == JINJA_STRING) return FT_OK;
  ft_jinja_builder b = ft_jinja_builder_on(a);
  ft_jinja_value text;
  ft_err err = ft_jinja_print(&b, v);
  if (err == FT_OK) err = ft_jinja_built(&b, &text);
  if (err == FT_OK) *out = text.string;
  return err;
}
