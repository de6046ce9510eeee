/* Methods of strings that cut and put together: split, join, partition, padding, format. */
#include "state.h"

/* ---------------------------------------------------------------- split */

/* Parts, gathered in the order in which they are found. */
typedef struct parts {
  ft_jinja_state *s;
  ft_jinja_list *list;
  int64_t capacity;
} parts;

static ft_err parts_init(parts *p, ft_jinja_state *s, ft_jinja_value *out) {
  p->s = s;
  ft_err err = ft_jinja_list_new(s->arena, JINJA_LIST, 0, out);
  p->list = err == FT_OK ? out->list : NULL;
  p->capacity = 0;
  return err;
}

static ft_err add_part(parts *p, const ft_jinja_string *text, size_t begin, size_t end) {
  ft_jinja_value *items =
      ft_jinja_grow(p->s->arena, p->list->items, p->list->count, sizeof *items, 8, &p->capacity);
  if (!items) return p->s->arena->failed;
  p->list->items = items;
  return ft_jinja_string_part(p->s->arena, text, begin, end, &p->list->items[p->list->count++]);
}

static void reverse(ft_jinja_list *list) {
  for (int64_t i = 0; i < list->count / 2; i++) {
    ft_jinja_value swapped = list->items[i];
    list->items[i] = list->items[list->count - 1 - i];
    list->items[list->count - 1 - i] = swapped;
  }
}

static size_t skip_space(const ft_jinja_string *text, size_t at) {
  for (size_t space; (space = ft_utf8_space(text->text + at, text->bytes - at)) > 0;)
    at += space;
  return at;
}

static ft_err split_space(parts *p, const ft_jinja_string *text, int64_t most) {
  ft_err err = FT_OK;
  for (size_t at = skip_space(text, 0); at < text->bytes; most--) {
    size_t end = at;
    while (end < text->bytes && ft_utf8_space(text->text + end, text->bytes - end) == 0)
      end += ft_utf8_length(text->text[end]);
    if (most == 0) end = text->bytes;
    FT_TRY(add_part(p, text, at, end));
    at = skip_space(text, end);
  }
out:
  return err;
}

/* Where the white space, or else the word, that ends at `end` begins. */
static size_t stretch_begin(const ft_jinja_string *text, size_t end, bool space) {
  while (end > 0) {
    size_t last = ft_utf8_before(text->text, end);
    if ((ft_utf8_space(text->text + last, text->bytes - last) > 0) != space) break;
    end = last;
  }
  return end;
}

/* From the right; parts come in reverse. */
static ft_err rsplit_space(parts *p, const ft_jinja_string *text, int64_t most) {
  ft_err err = FT_OK;
  for (size_t end = text->bytes; end > 0; most--) {
    end = stretch_begin(text, end, true);
    if (end == 0) break;
    size_t begin = stretch_begin(text, end, false);
    if (most == 0) begin = skip_space(text, 0);
    FT_TRY(add_part(p, text, begin, end));
    if (most == 0) break;
    end = begin;
  }
out:
  return err;
}

static ft_err split_at(parts *p, const ft_jinja_string *text, const ft_jinja_string *border,
                       int64_t most) {
  ft_err err = FT_OK;
  size_t begin = 0;
  int64_t at;
  while (most-- != 0 && (at = ft_jinja_string_find(text, begin, text->bytes, border)) >= 0) {
    FT_TRY(add_part(p, text, begin, (size_t)at));
    begin = (size_t)at + border->bytes;
  }
  FT_TRY(add_part(p, text, begin, text->bytes));
out:
  return err;
}

static ft_err rsplit_at(parts *p, const ft_jinja_string *text, const ft_jinja_string *border,
                        int64_t most) {
  ft_err err = FT_OK;
  size_t end = text->bytes;
  int64_t at;
  while (most-- != 0 && (at = ft_jinja_string_find_last(text, 0, end, border)) >= 0) {
    FT_TRY(add_part(p, text, (size_t)at + border->bytes, end));
    end = (size_t)at;
  }
  FT_TRY(add_part(p, text, 0, end));
out:
  return err;
}

enum { FROM_RIGHT = 1 };
static ft_err cut(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                  ft_jinja_value *out) {
  ft_err err = FT_OK;
  const ft_jinja_string *border = NULL;
  int64_t most = -1;
  parts p;
  if (g->has[0] && g->at[0].type != JINJA_NONE)
    FT_TRY(ft_jinja_want_string(g->at[0], "the separator", &border));
  FT_CHECK(!border || border->bytes > 0, FT_ERR_DATA, "empty separator");
  if (g->has[1]) FT_TRY(ft_jinja_want_whole(g->at[1], "maxsplit", &most));
  if (most < 0) most = -1;
  FT_TRY(ft_jinja_work(s, (int64_t)v.string->bytes));
  FT_TRY(parts_init(&p, s, out));
  if (!(g->variant & FROM_RIGHT))
    return border ? split_at(&p, v.string, border, most) : split_space(&p, v.string, most);
  FT_TRY(border ? rsplit_at(&p, v.string, border, most) : rsplit_space(&p, v.string, most));
  reverse(out->list);
out:
  return err;
}

/* Bytes of the line's end at s, or 0. */
static size_t line_end(const char *s, size_t room) {
  size_t bytes;
  if (s[0] == '\r') return room > 1 && s[1] == '\n' ? 2 : 1;
  return ft_jinja_ends_line(ft_utf8_decode(s, &bytes)) ? bytes : 0;
}

static ft_err splitlines(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                         ft_jinja_value *out) {
  ft_err err = FT_OK;
  const ft_jinja_string *text = v.string;
  bool keeps = ft_jinja_is_on(g, 0);
  parts p;
  FT_TRY(ft_jinja_work(s, (int64_t)text->bytes));
  FT_TRY(parts_init(&p, s, out));
  for (size_t begin = 0, at = 0; begin < text->bytes;) {
    size_t end = at < text->bytes ? line_end(text->text + at, text->bytes - at) : 0;
    if (end == 0 && at < text->bytes) {
      at += ft_utf8_length(text->text[at]);
      continue;
    }
    FT_TRY(add_part(&p, text, begin, keeps ? at + end : at));
    begin = at = at + end;
  }
out:
  return err;
}

static ft_err cut_once(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                       ft_jinja_value *out) {
  ft_err err = FT_OK;
  bool last = g->variant & FROM_RIGHT;
  const ft_jinja_string *border, *text = v.string;
  FT_TRY(ft_jinja_want_string(g->at[0], "the separator", &border));
  FT_CHECK(border->bytes > 0, FT_ERR_DATA, "empty separator");
  FT_TRY(ft_jinja_list_new(s->arena, JINJA_TUPLE, 3, out));
  int64_t at = last ? ft_jinja_string_find_last(text, 0, text->bytes, border)
                    : ft_jinja_string_find(text, 0, text->bytes, border);
  size_t begin = at >= 0 ? (size_t)at : last ? 0 : text->bytes;
  size_t end = at >= 0 ? begin + border->bytes : begin;
  FT_TRY(ft_jinja_string_part(s->arena, text, 0, begin, &out->list->items[0]));
  FT_TRY(ft_jinja_string_part(s->arena, text, begin, end, &out->list->items[1]));
  FT_TRY(ft_jinja_string_part(s->arena, text, end, text->bytes, &out->list->items[2]));
out:
  return err;
}

/* ---------------------------------------------------------------- putting together */

static ft_err join(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  FT_CHECK(!v.string->markup, FT_ERR_DATA, "join of a string marked safe is not supported");
  FT_TRY(ft_jinja_members(s, g->at[0], &members));
  for (int64_t i = 0; i < members->count; i++) {
    const ft_jinja_string *text;
    FT_TRY(ft_jinja_want_string(members->items[i], "a part to join", &text));
    if (i > 0) ft_jinja_put_string(&b, v.string);
    ft_jinja_put_string(&b, text);
  }
  FT_TRY(ft_jinja_work(s, members->count + (int64_t)b.bytes / 16));
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}

/* Fills up to a width: so many fill characters before and behind. */
static ft_err pad(ft_jinja_state *s, ft_jinja_value v, int64_t before, int64_t behind,
                  const ft_jinja_string *fill, ft_jinja_value *out) {
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  ft_err err = ft_jinja_work(s, before + behind);
  for (int64_t i = 0; i < before && err == FT_OK; i++)
    ft_jinja_put_string(&b, fill);
  ft_jinja_put_string(&b, v.string);
  for (int64_t i = 0; i < behind && err == FT_OK; i++)
    ft_jinja_put_string(&b, fill);
  return err == FT_OK ? ft_jinja_built(&b, out) : err;
}

/* *missing: characters up to the width. */
static ft_err padding(ft_jinja_value v, const ft_jinja_given *g, ft_jinja_string *fill,
                      int64_t *missing) {
  ft_err err = FT_OK;
  int64_t width;
  *fill = (ft_jinja_string){.text = " ", .bytes = 1};
  FT_TRY(ft_jinja_want_whole(g->at[0], "the width", &width));
  FT_CHECK(width < JINJA_MAX_STEPS, FT_ERR_DATA, "a width of %lld", (long long)width);
  if (g->has[1]) {
    const ft_jinja_string *given;
    FT_TRY(ft_jinja_want_string(g->at[1], "the fill character", &given));
    FT_CHECK(ft_jinja_string_length(given) == 1, FT_ERR_DATA, "the fill character is not one");
    *fill = *given;
  }
  *missing = FT_MAX(width - ft_jinja_string_length(v.string), 0);
out:
  return err;
}

static ft_err ljust(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  ft_jinja_string fill;
  int64_t missing = 0;
  ft_err err = padding(v, g, &fill, &missing);
  return err == FT_OK ? pad(s, v, 0, missing, &fill, out) : err;
}

static ft_err rjust(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  ft_jinja_string fill;
  int64_t missing = 0;
  ft_err err = padding(v, g, &fill, &missing);
  return err == FT_OK ? pad(s, v, missing, 0, &fill, out) : err;
}

static ft_err center(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  ft_jinja_string fill;
  int64_t missing = 0;
  ft_err err = padding(v, g, &fill, &missing);
  if (err != FT_OK) return err;
  int64_t width = ft_jinja_string_length(v.string) + missing;
  int64_t before = missing / 2 + (missing & width & 1); /* CPython's choice */
  return pad(s, v, before, missing - before, &fill, out);
}

static ft_err zfill(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_string fill, zero = {.text = "0", .bytes = 1};
  int64_t missing = 0;
  FT_TRY(padding(v, g, &fill, &missing));
  bool sign = v.string->bytes > 0 && (v.string->text[0] == '-' || v.string->text[0] == '+');
  if (!sign) return pad(s, v, missing, 0, &zero, out);
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  ft_jinja_put_part(&b, v.string, 0, 1);
  FT_TRY(ft_jinja_work(s, missing));
  for (int64_t i = 0; i < missing; i++)
    ft_jinja_put_string(&b, &zero);
  ft_jinja_put_part(&b, v.string, 1, v.string->bytes);
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}

/* ---------------------------------------------------------------- format */

/* The value that {…} of str.format names: nothing (the next one), a number or a name. */
static ft_err field(const ft_jinja_string *text, size_t begin, size_t end, const ft_jinja_given *g,
                    int64_t *next, ft_jinja_value *out) {
  size_t bytes = end - begin;
  const char *name = text->text + begin;
  int64_t at = 0;
  bool digits = true;
  for (size_t i = 0; i < bytes; i++) {
    bool plain = name[i] == '_' || (name[i] >= '0' && name[i] <= '9') ||
                 (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z');
    if (!plain)
      return ft_fail(FT_ERR_DATA, "format: \"{%.*s}\" is not supported, only {}, {0} and {name}",
                     (int)FT_MIN(bytes, 40), name);
    digits = digits && name[i] >= '0' && name[i] <= '9' && i < 9;
    if (digits) at = at * 10 + (name[i] - '0');
  }
  if (bytes == 0) at = (*next)++;
  if (digits) {
    if (at >= g->all->count) return ft_fail(FT_ERR_DATA, "format: too few arguments");
    *out = g->all->positional[at];
    return FT_OK;
  }
  for (int64_t i = 0; i < g->all->num_named; i++)
    if (strlen(g->all->names[i]) == bytes && memcmp(g->all->names[i], name, bytes) == 0) {
      *out = g->all->named[i];
      return FT_OK;
    }
  return ft_fail(FT_ERR_DATA, "format: there is no argument \"%.*s\"", (int)FT_MIN(bytes, 40),
                 name);
}

static ft_err format(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  ft_err err = FT_OK;
  const ft_jinja_string *text = v.string;
  int64_t next = 0;
  size_t start = 0;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  FT_CHECK(!text->markup, FT_ERR_DATA, "format of a string marked safe is not supported");
  for (size_t at = 0; at < text->bytes; at++) {
    char c = text->text[at];
    if (c != '{' && c != '}') continue;
    ft_jinja_put_part(&b, text, start, at);
    bool twice = at + 1 < text->bytes && text->text[at + 1] == c;
    if (twice) {
      ft_jinja_put_part(&b, text, at, at + 1);
      start = ++at + 1;
      continue;
    }
    int64_t close = c == '{' ? ft_jinja_string_find(text, at, text->bytes,
                                                    &(ft_jinja_string){.text = "}", .bytes = 1})
                             : -1;
    ft_jinja_value value;
    FT_CHECK(close > 0, FT_ERR_DATA, "format: a single '%c'", c);
    FT_TRY(field(text, at + 1, (size_t)close, g, &next, &value));
    FT_TRY(ft_jinja_print(&b, value));
    at = (size_t)close;
    start = at + 1;
  }
  ft_jinja_put_part(&b, text, start, text->bytes);
  FT_TRY(ft_jinja_work(s, (int64_t)b.bytes / 8));
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}

const ft_jinja_builtin ft_jinja_string_split_methods[] = {
    {"center", "/width,fillchar", 1, center, 0},
    {"format", NULL, 0, format, 0},
    {"join", "/iterable", 1, join, 0},
    {"ljust", "/width,fillchar", 1, ljust, 0},
    {"partition", "/sep", 1, cut_once, 0},
    {"rjust", "/width,fillchar", 1, rjust, 0},
    {"rpartition", "/sep", 1, cut_once, FROM_RIGHT},
    {"rsplit", "sep,maxsplit", 0, cut, FROM_RIGHT},
    {"split", "sep,maxsplit", 0, cut, 0},
    {"splitlines", "keepends", 0, splitlines, 0},
    {"zfill", "/width", 1, zfill, 0},
    {0}};
