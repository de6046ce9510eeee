/* Filters that make texts, and those that pass any value on. */
#include "state.h"

/* The text of what is filtered. */
static ft_err text_of(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_string **out) {
  ft_err err = ft_jinja_to_string(s->arena, v, out);
  return err == FT_OK ? ft_jinja_work(s, (int64_t)(*out)->bytes / 8) : err;
}

/* Most text filters are the method of the same name on the value's text. */
static ft_err by_method(ft_jinja_state *s, const char *name, ft_jinja_value v,
                        const ft_jinja_arguments *with, ft_jinja_value *out) {
  const ft_jinja_string *text;
  ft_err err = text_of(s, v, &text);
  if (err != FT_OK) return err;
  ft_jinja_value self = ft_jinja_of_string(text);
  return ft_jinja_run_builtin(s, ft_jinja_find_method(self, name), self, with, out);
}

static ft_err upper(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  return by_method(s, "upper", v, g->all, out);
}

static ft_err lower(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  return by_method(s, "lower", v, g->all, out);
}

static ft_err capitalize(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                         ft_jinja_value *out) {
  return by_method(s, "capitalize", v, g->all, out);
}

static ft_err trim(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  ft_jinja_value chars = g->has[0] ? g->at[0] : ft_jinja_none();
  ft_jinja_arguments with = {.positional = &chars, .count = 1};
  return by_method(s, "strip", v, &with, out);
}

static ft_err center(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  ft_jinja_value width = g->has[0] ? g->at[0] : ft_jinja_int(80);
  ft_jinja_arguments with = {.positional = &width, .count = 1};
  return by_method(s, "center", v, &with, out);
}

static ft_err replace(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                      ft_jinja_value *out) {
  ft_err err = FT_OK;
  const ft_jinja_string *text, *parts[2];
  ft_jinja_value with[3], plain;
  FT_TRY(text_of(s, v, &text));
  for (int i = 0; i < 2; i++) {
    FT_TRY(text_of(s, g->at[i], &parts[i]));
    with[i] = ft_jinja_of_string(parts[i]);
  }
  with[2] = g->has[2] && g->at[2].type != JINJA_NONE ? g->at[2] : ft_jinja_int(-1);
  FT_TRY(ft_jinja_string_part(s->arena, text, 0, text->bytes, &plain));
  ((ft_jinja_string *)plain.string)->markup =
      false; /* without autoescape it becomes a plain text */
  FT_TRY(
      by_method(s, "replace", plain, &(ft_jinja_arguments){.positional = with, .count = 3}, out));
out:
  return err;
}

/* Where a word begins: after a run of white space, or of - ( { [ <. */
static bool is_word_border(const char *s, size_t room) {
  return ft_utf8_space(s, room) > 0 || strchr("-({[<", s[0]);
}

static ft_err title(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  (void)g;
  ft_err err = FT_OK;
  const ft_jinja_string *text;
  bool starts = true;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  FT_TRY(text_of(s, v, &text));
  for (size_t at = 0, bytes; at < text->bytes; at += bytes) {
    uint32_t changed;
    char encoded[4];
    size_t left;
    uint32_t code = ft_utf8_decode(text->text + at, &bytes);
    FT_TRY(ft_jinja_change_case(code, starts ? JINJA_TO_UPPER : JINJA_TO_LOWER, &changed));
    starts = text->text[at] && is_word_border(text->text + at, text->bytes - at);
    ft_jinja_put(&b, encoded, ft_utf8_encode(changed, encoded),
                 ft_jinja_origin_at(text, at, &left));
  }
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}

static ft_err string(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  (void)g;
  const ft_jinja_string *text;
  ft_err err = text_of(s, v, &text);
  if (err == FT_OK) *out = ft_jinja_of_string(text);
  return err;
}

static ft_err safe(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  (void)g;
  const ft_jinja_string *text;
  ft_err err = text_of(s, v, &text);
  if (err == FT_OK) err = ft_jinja_string_part(s->arena, text, 0, text->bytes, out);
  if (err == FT_OK) ((ft_jinja_string *)out->string)->markup = true;
  return err;
}

/* Escaping is what a sum with a string marked safe does. */
static ft_err escape(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  ft_jinja_value marked, text;
  ft_err err = string(s, v, g, &text);
  if (err == FT_OK) err = ft_jinja_string_literal(s->arena, "", &marked);
  if (err == FT_OK) ((ft_jinja_string *)marked.string)->markup = true;
  return err == FT_OK ? ft_jinja_add(s, marked, text, out) : err;
}

static ft_err force_escape(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                           ft_jinja_value *out) {
  const ft_jinja_string *text;
  ft_jinja_value plain;
  ft_err err = text_of(s, v, &text);
  if (err == FT_OK) err = ft_jinja_string_part(s->arena, text, 0, text->bytes, &plain);
  if (err != FT_OK) return err;
  ((ft_jinja_string *)plain.string)->markup = false;
  return escape(s, plain, g, out);
}

/* ---------------------------------------------------------------- lines */

static void put_indented(ft_jinja_builder *b, const ft_jinja_string *text,
                         const ft_jinja_string *indent, bool first, bool blank) {
  size_t at = 0;
  bool is_first = true;
  while (at <= text->bytes) {
    int64_t end =
        ft_jinja_string_find(text, at, text->bytes, &(ft_jinja_string){.text = "\n", .bytes = 1});
    size_t stop = end < 0 ? text->bytes : (size_t)end;
    bool wanted = is_first ? first : blank || stop > at;
    if (wanted) ft_jinja_put_string(b, indent);
    ft_jinja_put_part(b, text, at, stop);
    if (end < 0) return;
    ft_jinja_put_part(b, text, stop, stop + 1);
    at = stop + 1;
    is_first = false;
  }
}

/* Line ends other than LF would become LF in Python. */
static ft_err check_lines(const ft_jinja_string *text) {
  for (size_t at = 0, bytes; at < text->bytes; at += bytes) {
    uint32_t code = ft_utf8_decode(text->text + at, &bytes);
    if (code != '\n' && ft_jinja_ends_line(code))
      return ft_fail(FT_ERR_DATA, "the text has the line end U+%04X, which is not supported here",
                     code);
  }
  return FT_OK;
}

static ft_err indent(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  ft_err err = FT_OK;
  const ft_jinja_string *text;
  ft_jinja_value indention;
  int64_t width = 4;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  FT_TRY(ft_jinja_want_string(v, "what is indented", &text));
  FT_CHECK(!text->markup, FT_ERR_DATA, "a string marked safe is not supported");
  FT_TRY(check_lines(text));
  if (g->has[0] && g->at[0].type == JINJA_STRING) {
    indention = g->at[0];
  } else {
    if (g->has[0]) FT_TRY(ft_jinja_want_whole(g->at[0], "the width", &width));
    FT_CHECK(width <= JINJA_MAX_RANGE, FT_ERR_DATA, "a width of %lld", (long long)width);
    ft_jinja_builder spaces = ft_jinja_builder_on(s->arena);
    for (int64_t i = 0; i < width; i++)
      ft_jinja_put_text(&spaces, " ");
    FT_TRY(ft_jinja_built(&spaces, &indention));
  }
  put_indented(&b, text, indention.string, ft_jinja_is_on(g, 1), ft_jinja_is_on(g, 2));
  FT_TRY(ft_jinja_built(&b, out));
  FT_TRY(ft_jinja_work(s, out->string ? (int64_t)out->string->bytes / 8 : 0));
out:
  return err;
}

static ft_err truncate_text(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                            ft_jinja_value *out) {
  ft_err err = FT_OK;
  const ft_jinja_string *text, *end;
  ft_jinja_value dots;
  int64_t length = 255, leeway = 5;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  FT_TRY(ft_jinja_string_literal(s->arena, "...", &dots));
  FT_TRY(ft_jinja_want_string(v, "what is truncated", &text));
  if (g->has[0]) FT_TRY(ft_jinja_want_whole(g->at[0], "the length", &length));
  FT_TRY(ft_jinja_want_string(g->has[2] ? g->at[2] : dots, "the end", &end));
  if (g->has[3] && g->at[3].type != JINJA_NONE)
    FT_TRY(ft_jinja_want_whole(g->at[3], "the leeway", &leeway));
  int64_t dots_length = ft_jinja_string_length(end);
  FT_CHECK(length >= dots_length && leeway >= 0, FT_ERR_DATA,
           "expected length >= %lld, leeway >= 0", (long long)dots_length);
  *out = v;
  if (ft_jinja_string_length(text) <= length + leeway) return FT_OK;
  size_t stop = ft_jinja_string_at(text, length - dots_length);
  int64_t space =
      ft_jinja_string_find_last(text, 0, stop, &(ft_jinja_string){.text = " ", .bytes = 1});
  if (!ft_jinja_is_on(g, 1) && space >= 0) stop = (size_t)space;
  ft_jinja_put_part(&b, text, 0, stop);
  ft_jinja_put_string(&b, end);
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}

static ft_err wordcount(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                        ft_jinja_value *out) {
  (void)g;
  const ft_jinja_string *text;
  int64_t count = 0;
  bool inside = false;
  ft_err err = text_of(s, v, &text);
  if (err != FT_OK) return err;
  for (size_t at = 0, bytes; at < text->bytes; at += bytes) {
    uint32_t code = ft_utf8_decode(text->text + at, &bytes);
    bool word = code == '_' || ft_jinja_is_class(code, JINJA_ALPHA) ||
                ft_jinja_is_class(code, JINJA_NUMERIC);
    count += word && !inside;
    inside = word;
  }
  *out = ft_jinja_int(count);
  return FT_OK;
}

static ft_err format(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  ft_err err = FT_OK;
  const ft_jinja_string *text;
  ft_jinja_value arguments;
  FT_TRY(text_of(s, v, &text));
  FT_CHECK(g->all->num_named == 0, FT_ERR_DATA, "keyword arguments are not supported");
  FT_TRY(ft_jinja_list_of(s->arena, JINJA_TUPLE, g->all->positional, g->all->count, &arguments));
  FT_TRY(ft_jinja_format_percent(s, text, arguments, out));
out:
  return err;
}

/* ---------------------------------------------------------------- JSON */

static ft_err json_indent(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_string **out) {
  ft_err err = FT_OK;
  ft_jinja_value text;
  int64_t width;
  *out = NULL;
  if (v.type == JINJA_NONE) return FT_OK;
  if (v.type == JINJA_STRING) {
    *out = v.string;
    return FT_OK;
  }
  FT_TRY(ft_jinja_want_whole(v, "indent", &width));
  FT_CHECK(width <= JINJA_MAX_RANGE, FT_ERR_DATA, "indent is %lld", (long long)width);
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  for (int64_t i = 0; i < width; i++)
    ft_jinja_put_text(&b, " ");
  FT_TRY(ft_jinja_built(&b, &text));
  *out = text.string;
out:
  return err;
}

static ft_err json_separators(ft_jinja_state *s, ft_jinja_value v, ft_jinja_json_style *style) {
  ft_err err = FT_OK;
  ft_jinja_list *both;
  if (v.type == JINJA_NONE) return FT_OK;
  FT_TRY(ft_jinja_members(s, v, &both));
  FT_CHECK(both->count == 2, FT_ERR_DATA, "separators are %lld, two were expected",
           (long long)both->count);
  FT_TRY(ft_jinja_want_string(both->items[0], "a separator", &style->item_separator));
  FT_TRY(ft_jinja_want_string(both->items[1], "a separator", &style->key_separator));
out:
  return err;
}

static ft_err tojson(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  ft_jinja_json_style style = {.ascii = ft_jinja_is_on(g, 0), .sort = ft_jinja_is_on(g, 3)};
  if (g->has[1]) FT_TRY(json_indent(s, g->at[1], &style.indent));
  if (g->has[2]) FT_TRY(json_separators(s, g->at[2], &style));
  FT_TRY(ft_jinja_print_json(&b, v, &style, 0));
  FT_TRY(ft_jinja_work(s, (int64_t)b.bytes / 8));
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}

/* ---------------------------------------------------------------- any value */

static ft_err default_value(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                            ft_jinja_value *out) {
  bool missing = v.type == JINJA_UNDEFINED || (ft_jinja_is_on(g, 1) && !ft_jinja_truth(v));
  *out = v;
  if (!missing) return FT_OK;
  if (!g->has[0]) return ft_jinja_string_literal(s->arena, "", out);
  *out = g->at[0];
  return FT_OK;
}

static ft_err attr(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  if (v.type == JINJA_DICT || v.type == JINJA_UNDEFINED)
    return ft_fail(FT_ERR_DATA, "attr of a %s is not supported", ft_jinja_type_name(v));
  return ft_jinja_item(s, v, g->at[0], out);
}

const ft_jinja_builtin ft_jinja_text_filters[] = {
    {"attr", "name", 1, attr, 0},
    {"capitalize", "", 0, capitalize, 0},
    {"center", "width", 0, center, 0},
    {"d", "default_value,boolean", 0, default_value, 0},
    {"default", "default_value,boolean", 0, default_value, 0},
    {"e", "", 0, escape, 0},
    {"escape", "", 0, escape, 0},
    {"forceescape", "", 0, force_escape, 0},
    {"format", NULL, 0, format, 0},
    {"indent", "width,first,blank", 0, indent, 0},
    {"lower", "", 0, lower, 0},
    {"replace", "old,new,count", 2, replace, 0},
    {"safe", "", 0, safe, 0},
    {"string", "", 0, string, 0},
    {"title", "", 0, title, 0},
    {"tojson", "ensure_ascii,indent,separators,sort_keys", 0, tojson, 0},
    {"trim", "chars", 0, trim, 0},
    {"truncate", "length,killwords,end,leeway", 0, truncate_text, 0},
    {"upper", "", 0, upper, 0},
    {"wordcount", "", 0, wordcount, 0},
    {0}};
