/* text % arguments: Python's printf. */
#include <stdlib.h>

#include "state.h"

enum { MAX_WIDTH = 1000 };

typedef struct conversion {
  char flags[8]; /* of C's printf, and how many */
  size_t num_flags;
  int64_t width, precision; /* -1: none */
  char letter;
} conversion;

static size_t number(const ft_jinja_string *f, size_t at, int64_t *out) {
  *out = 0;
  for (; at < f->bytes && f->text[at] >= '0' && f->text[at] <= '9'; at++)
    *out = FT_MIN(*out * 10 + (f->text[at] - '0'), MAX_WIDTH + 1);
  return at;
}

/* What stands behind a percent sign; *at moves behind its letter. */
static ft_err read_conversion(const ft_jinja_string *f, size_t *at, conversion *out) {
  *out = (conversion){.width = -1, .precision = -1};
  while (*at < f->bytes && f->text[*at] && strchr("-+ #0", f->text[*at])) {
    if (out->num_flags == sizeof out->flags) return ft_fail(FT_ERR_DATA, "%%: too many flags");
    out->flags[out->num_flags++] = f->text[(*at)++];
  }
  if (*at < f->bytes && f->text[*at] >= '1' && f->text[*at] <= '9')
    *at = number(f, *at, &out->width);
  if (*at < f->bytes && f->text[*at] == '.') *at = number(f, *at + 1, &out->precision);
  if (out->width > MAX_WIDTH || out->precision > MAX_WIDTH)
    return ft_fail(FT_ERR_DATA, "%%: a width of more than %d", MAX_WIDTH);
  if (*at == f->bytes) return ft_fail(FT_ERR_DATA, "incomplete format");
  out->letter = f->text[(*at)++];
  return FT_OK;
}

static ft_err put_number(ft_jinja_builder *b, const conversion *c, ft_jinja_value v) {
  char format[32], text[3 * MAX_WIDTH];
  bool real = strchr("eEfFgG", c->letter);
  if (!ft_jinja_is_number(v.type) || (!real && v.type == JINJA_FLOAT && strchr("xXo", c->letter)))
    return ft_fail(FT_ERR_DATA, "%%%c of a %s", c->letter, ft_jinja_type_name(v));
  if (!real && strchr("xXo", c->letter))
    return ft_fail(FT_ERR_DATA, "%%%c is not supported", c->letter);
  size_t used = 0;
  format[used++] = '%';
  memcpy(format + used, c->flags, c->num_flags);
  used += c->num_flags;
  snprintf(format + used, sizeof format - used, "*.*%s%c", real ? "" : "ll",
           real ? c->letter : 'd');
  int width = (int)FT_MAX(c->width, 0), precision = (int)c->precision;
  int bytes;
  if (real)
    bytes = snprintf(text, sizeof text, format, width, precision, ft_jinja_real(v));
  else if (v.type == JINJA_FLOAT && !(ft_jinja_real(v) > -9e18 && ft_jinja_real(v) < 9e18))
    return ft_fail(FT_ERR_DATA, "%%d of a number of more than 64 bits");
  else
    bytes = snprintf(text, sizeof text, format, width, precision,
                     (long long)(v.type == JINJA_FLOAT ? (int64_t)v.real : ft_jinja_whole(v)));
  ft_jinja_put(b, text, (size_t)bytes, 0);
  return b->err;
}

static ft_err put_text(ft_jinja_state *s, ft_jinja_builder *b, const conversion *c,
                       ft_jinja_value v) {
  ft_err err = FT_OK;
  ft_jinja_builder inner = ft_jinja_builder_on(s->arena);
  ft_jinja_value text;
  FT_TRY(c->letter == 'r' ? ft_jinja_print_repr(&inner, v, 0) : ft_jinja_print(&inner, v));
  FT_TRY(ft_jinja_built(&inner, &text));
  size_t end =
      c->precision < 0 ? text.string->bytes : ft_jinja_string_at(text.string, c->precision);
  bool left = memchr(c->flags, '-', c->num_flags);
  ft_jinja_string shown = {.text = text.string->text, .bytes = end};
  int64_t padding = c->width - ft_jinja_string_length(&shown);
  for (int64_t i = 0; i < padding && !left; i++)
    ft_jinja_put_text(b, " ");
  ft_jinja_put_part(b, text.string, 0, end);
  for (int64_t i = 0; i < padding && left; i++)
    ft_jinja_put_text(b, " ");
  err = b->err;
out:
  return err;
}

/* %(name)s takes from an object; *at is on the bracket. */
static ft_err named_argument(ft_jinja_state *s, const ft_jinja_string *f, size_t *at,
                             ft_jinja_value from, ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_value key;
  int64_t close =
      ft_jinja_string_find(f, *at, f->bytes, &(ft_jinja_string){.text = ")", .bytes = 1});
  FT_CHECK(close >= 0, FT_ERR_DATA, "incomplete format key");
  FT_CHECK(from.type == JINJA_DICT, FT_ERR_DATA, "format requires a mapping");
  FT_TRY(ft_jinja_string_part(s->arena, f, *at + 1, (size_t)close, &key));
  const ft_jinja_value *found = ft_jinja_dict_find(from.dict, key);
  FT_CHECK(found, FT_ERR_DATA, "the format's key is not in the mapping");
  *out = *found;
  *at = (size_t)close + 1;
out:
  return err;
}

static ft_err convert(ft_jinja_state *s, ft_jinja_builder *b, const conversion *c,
                      ft_jinja_value v) {
  switch (c->letter) {
  case 's':
  case 'r':
    return put_text(s, b, c, v);
  case 'd':
  case 'i':
  case 'u':
  case 'x':
  case 'X':
  case 'o':
  case 'e':
  case 'E':
  case 'f':
  case 'F':
  case 'g':
  case 'G':
    return put_number(b, c, v);
  default:
    return ft_fail(FT_ERR_DATA, "unsupported format character '%c'", c->letter);
  }
}

ft_err ft_jinja_format_percent(ft_jinja_state *s, const ft_jinja_string *f,
                               ft_jinja_value arguments, ft_jinja_value *out) {
  ft_err err = FT_OK;
  size_t start = 0;
  int64_t used = 0, count = arguments.type == JINJA_TUPLE ? arguments.list->count : 1;
  bool by_name = arguments.type == JINJA_DICT;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  FT_CHECK(!f->markup, FT_ERR_DATA, "%% of a string marked safe is not supported");
  for (size_t at = 0; at < f->bytes;) {
    conversion c;
    ft_jinja_value v;
    bool named;
    if (f->text[at++] != '%') continue;
    ft_jinja_put_part(&b, f, start, at - 1);
    named = at < f->bytes && f->text[at] == '(';
    if (named) FT_TRY(named_argument(s, f, &at, arguments, &v));
    FT_TRY(read_conversion(f, &at, &c));
    start = at;
    if (c.letter == '%') {
      ft_jinja_put_text(&b, "%");
      continue;
    }
    if (!named) {
      FT_CHECK(used < count, FT_ERR_DATA, "not enough arguments for format string");
      v = arguments.type == JINJA_TUPLE ? arguments.list->items[used] : arguments;
      used++;
    }
    FT_TRY(convert(s, &b, &c, v));
  }
  ft_jinja_put_part(&b, f, start, f->bytes);
  FT_CHECK(used == count || by_name || (used == 0 && arguments.type == JINJA_LIST), FT_ERR_DATA,
           "not all arguments converted during string formatting");
  FT_TRY(ft_jinja_work(s, (int64_t)b.bytes / 8));
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}
