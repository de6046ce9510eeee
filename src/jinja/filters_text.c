/* Filters that make texts, and those that pass any value on. */
#include "state.h"

/* The text of what is filtered. */
static ft_err text_of(jinja_state *s, jinja_value v, const jinja_string **out) {
  ft_err err = jinja_to_string(s->arena, v, out);
  return err == FT_OK ? jinja_work(s, (int64_t)(*out)->bytes / 8) : err;
}

/* Most text filters are the method of the same name on the value's text. */
static ft_err by_method(jinja_state *s, const char *name, jinja_value v,
                        const jinja_arguments *with, jinja_value *out) {
  const jinja_string *text;
  ft_err err = text_of(s, v, &text);
  if (err != FT_OK) return err;
  jinja_value self = jinja_of_string(text);
  return jinja_run_builtin(s, jinja_find_method(self, name), self, with, out);
}

static ft_err upper(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return by_method(s, "upper", v, g->all, out);
}

static ft_err lower(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return by_method(s, "lower", v, g->all, out);
}

static ft_err capitalize(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return by_method(s, "capitalize", v, g->all, out);
}

static ft_err trim(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  jinja_value chars = g->has[0] ? g->at[0] : jinja_none();
  jinja_arguments with = {.positional = &chars, .count = 1};
  return by_method(s, "strip", v, &with, out);
}

static ft_err center(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  jinja_value width = g->has[0] ? g->at[0] : jinja_int(80);
  jinja_arguments with = {.positional = &width, .count = 1};
  return by_method(s, "center", v, &with, out);
}

static ft_err replace(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  const jinja_string *text, *parts[2];
  jinja_value with[3], plain;
  FT_TRY(text_of(s, v, &text));
  for (int i = 0; i < 2; i++) {
    FT_TRY(text_of(s, g->at[i], &parts[i]));
    with[i] = jinja_of_string(parts[i]);
  }
  with[2] = g->has[2] && g->at[2].type != JINJA_NONE ? g->at[2] : jinja_int(-1);
  FT_TRY(jinja_string_part(s->arena, text, 0, text->bytes, &plain));
  ((jinja_string *)plain.string)->markup = false; /* without autoescape it becomes a plain text */
  FT_TRY(by_method(s, "replace", plain, &(jinja_arguments){.positional = with, .count = 3}, out));
out:
  return err;
}

/* Where a word begins: after a run of white space, or of - ( { [ <. */
static bool is_word_border(const char *s, size_t room) {
  return jinja_space(s, room) > 0 || strchr("-({[<", s[0]);
}

static ft_err title(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  ft_err err = FT_OK;
  const jinja_string *text;
  bool starts = true;
  jinja_builder b = jinja_builder_on(s->arena);
  FT_TRY(text_of(s, v, &text));
  for (size_t at = 0, bytes; at < text->bytes; at += bytes) {
    uint32_t changed;
    char encoded[4];
    size_t left;
    uint32_t code = jinja_decode(text->text + at, &bytes);
    FT_TRY(jinja_change_case(code, starts ? JINJA_TO_UPPER : JINJA_TO_LOWER, &changed));
    starts = text->text[at] && is_word_border(text->text + at, text->bytes - at);
    jinja_put(&b, encoded, jinja_encode(changed, encoded), jinja_origin_at(text, at, &left));
  }
  FT_TRY(jinja_built(&b, out));
out:
  return err;
}

static ft_err string(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  const jinja_string *text;
  ft_err err = text_of(s, v, &text);
  if (err == FT_OK) *out = jinja_of_string(text);
  return err;
}

static ft_err safe(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  const jinja_string *text;
  ft_err err = text_of(s, v, &text);
  if (err == FT_OK) err = jinja_string_part(s->arena, text, 0, text->bytes, out);
  if (err == FT_OK) ((jinja_string *)out->string)->markup = true;
  return err;
}

/* Escaping is what a sum with a string marked safe does. */
static ft_err escape(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  jinja_value marked, text;
  ft_err err = string(s, v, g, &text);
  if (err == FT_OK) err = jinja_string_literal(s->arena, "", &marked);
  if (err == FT_OK) ((jinja_string *)marked.string)->markup = true;
  return err == FT_OK ? jinja_add(s, marked, text, out) : err;
}

static ft_err force_escape(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  const jinja_string *text;
  jinja_value plain;
  ft_err err = text_of(s, v, &text);
  if (err == FT_OK) err = jinja_string_part(s->arena, text, 0, text->bytes, &plain);
  if (err != FT_OK) return err;
  ((jinja_string *)plain.string)->markup = false;
  return escape(s, plain, g, out);
}

/* ---------------------------------------------------------------- lines */

static void put_indented(jinja_builder *b, const jinja_string *text, const jinja_string *indent,
                         bool first, bool blank) {
  size_t at = 0;
  bool is_first = true;
  while (at <= text->bytes) {
    int64_t end =
        jinja_string_find(text, at, text->bytes, &(jinja_string){.text = "\n", .bytes = 1});
    size_t stop = end < 0 ? text->bytes : (size_t)end;
    bool wanted = is_first ? first : blank || stop > at;
    if (wanted) jinja_put_string(b, indent);
    jinja_put_part(b, text, at, stop);
    if (end < 0) return;
    jinja_put_part(b, text, stop, stop + 1);
    at = stop + 1;
    is_first = false;
  }
}

/* Line ends other than LF would become LF in Python. */
static ft_err check_lines(const jinja_string *text) {
  for (size_t at = 0, bytes; at < text->bytes; at += bytes) {
    uint32_t code = jinja_decode(text->text + at, &bytes);
    bool other = (code >= 0x0B && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
                 code == 0x2028 || code == 0x2029;
    if (other)
      return ft_fail(FT_ERR_DATA, "the text has the line end U+%04X, which is not supported here",
                     code);
  }
  return FT_OK;
}

static ft_err indent(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  const jinja_string *text;
  jinja_value indention;
  int64_t width = 4;
  jinja_builder b = jinja_builder_on(s->arena);
  FT_TRY(jinja_want_string(v, "what is indented", &text));
  FT_CHECK(!text->markup, FT_ERR_DATA, "a string marked safe is not supported");
  FT_TRY(check_lines(text));
  if (g->has[0] && g->at[0].type == JINJA_STRING) {
    indention = g->at[0];
  } else {
    if (g->has[0]) FT_TRY(jinja_want_whole(g->at[0], "the width", &width));
    FT_CHECK(width <= JINJA_MAX_RANGE, FT_ERR_DATA, "a width of %lld", (long long)width);
    jinja_builder spaces = jinja_builder_on(s->arena);
    for (int64_t i = 0; i < width; i++)
      jinja_put_text(&spaces, " ");
    FT_TRY(jinja_built(&spaces, &indention));
  }
  put_indented(&b, text, indention.string, g->has[1] && jinja_truth(g->at[1]),
               g->has[2] && jinja_truth(g->at[2]));
  FT_TRY(jinja_built(&b, out));
  FT_TRY(jinja_work(s, out->string ? (int64_t)out->string->bytes / 8 : 0));
out:
  return err;
}

static ft_err truncate_text(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  const jinja_string *text, *end;
  jinja_value dots;
  int64_t length = 255, leeway = 5;
  jinja_builder b = jinja_builder_on(s->arena);
  FT_TRY(jinja_string_literal(s->arena, "...", &dots));
  FT_TRY(jinja_want_string(v, "what is truncated", &text));
  if (g->has[0]) FT_TRY(jinja_want_whole(g->at[0], "the length", &length));
  FT_TRY(jinja_want_string(g->has[2] ? g->at[2] : dots, "the end", &end));
  if (g->has[3] && g->at[3].type != JINJA_NONE)
    FT_TRY(jinja_want_whole(g->at[3], "the leeway", &leeway));
  int64_t dots_length = jinja_string_length(end);
  FT_CHECK(length >= dots_length && leeway >= 0, FT_ERR_DATA,
           "expected length >= %lld, leeway >= 0", (long long)dots_length);
  *out = v;
  if (jinja_string_length(text) <= length + leeway) return FT_OK;
  size_t stop = jinja_string_at(text, length - dots_length);
  int64_t space = jinja_string_find_last(text, 0, stop, &(jinja_string){.text = " ", .bytes = 1});
  if (!(g->has[1] && jinja_truth(g->at[1])) && space >= 0) stop = (size_t)space;
  jinja_put_part(&b, text, 0, stop);
  jinja_put_string(&b, end);
  FT_TRY(jinja_built(&b, out));
out:
  return err;
}

static ft_err wordcount(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  const jinja_string *text;
  int64_t count = 0;
  bool inside = false;
  ft_err err = text_of(s, v, &text);
  if (err != FT_OK) return err;
  for (size_t at = 0, bytes; at < text->bytes; at += bytes) {
    uint32_t code = jinja_decode(text->text + at, &bytes);
    bool word =
        code == '_' || jinja_is_class(code, JINJA_ALPHA) || jinja_is_class(code, JINJA_NUMERIC);
    count += word && !inside;
    inside = word;
  }
  *out = jinja_int(count);
  return FT_OK;
}

static ft_err format(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  const jinja_string *text;
  jinja_value arguments;
  FT_TRY(text_of(s, v, &text));
  FT_CHECK(g->all->num_named == 0, FT_ERR_DATA, "keyword arguments are not supported");
  FT_TRY(jinja_list_new(s->arena, JINJA_TUPLE, g->all->count, &arguments));
  for (int64_t i = 0; i < g->all->count; i++)
    arguments.list->items[i] = g->all->positional[i];
  FT_TRY(jinja_format_percent(s, text, arguments, out));
out:
  return err;
}

/* ---------------------------------------------------------------- JSON */

static ft_err json_indent(jinja_state *s, jinja_value v, const jinja_string **out) {
  ft_err err = FT_OK;
  jinja_value text;
  int64_t width;
  *out = NULL;
  if (v.type == JINJA_NONE) return FT_OK;
  if (v.type == JINJA_STRING) {
    *out = v.string;
    return FT_OK;
  }
  FT_TRY(jinja_want_whole(v, "indent", &width));
  FT_CHECK(width <= JINJA_MAX_RANGE, FT_ERR_DATA, "indent is %lld", (long long)width);
  jinja_builder b = jinja_builder_on(s->arena);
  for (int64_t i = 0; i < width; i++)
    jinja_put_text(&b, " ");
  FT_TRY(jinja_built(&b, &text));
  *out = text.string;
out:
  return err;
}

static ft_err json_separators(jinja_state *s, jinja_value v, jinja_json_style *style) {
  ft_err err = FT_OK;
  jinja_list *both;
  if (v.type == JINJA_NONE) return FT_OK;
  FT_TRY(jinja_members(s, v, &both));
  FT_CHECK(both->count == 2, FT_ERR_DATA, "separators are %lld, two were expected",
           (long long)both->count);
  FT_TRY(jinja_want_string(both->items[0], "a separator", &style->item_separator));
  FT_TRY(jinja_want_string(both->items[1], "a separator", &style->key_separator));
out:
  return err;
}

static ft_err tojson(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  jinja_builder b = jinja_builder_on(s->arena);
  jinja_json_style style = {.ascii = g->has[0] && jinja_truth(g->at[0]),
                            .sort = g->has[3] && jinja_truth(g->at[3])};
  if (g->has[1]) FT_TRY(json_indent(s, g->at[1], &style.indent));
  if (g->has[2]) FT_TRY(json_separators(s, g->at[2], &style));
  FT_TRY(jinja_print_json(&b, v, &style, 0));
  FT_TRY(jinja_work(s, (int64_t)b.bytes / 8));
  FT_TRY(jinja_built(&b, out));
out:
  return err;
}

/* ---------------------------------------------------------------- any value */

static ft_err default_value(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  bool missing =
      v.type == JINJA_UNDEFINED || (g->has[1] && jinja_truth(g->at[1]) && !jinja_truth(v));
  *out = v;
  if (!missing) return FT_OK;
  if (!g->has[0]) return jinja_string_literal(s->arena, "", out);
  *out = g->at[0];
  return FT_OK;
}

static ft_err attr(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  if (v.type == JINJA_DICT || v.type == JINJA_UNDEFINED)
    return ft_fail(FT_ERR_DATA, "attr of a %s is not supported", jinja_type_name(v));
  return jinja_item(s, v, g->at[0], out);
}

const jinja_builtin jinja_text_filters[] = {
    {"attr", "name", 1, attr},
    {"capitalize", "", 0, capitalize},
    {"center", "width", 0, center},
    {"d", "default_value,boolean", 0, default_value},
    {"default", "default_value,boolean", 0, default_value},
    {"e", "", 0, escape},
    {"escape", "", 0, escape},
    {"forceescape", "", 0, force_escape},
    {"format", NULL, 0, format},
    {"indent", "width,first,blank", 0, indent},
    {"lower", "", 0, lower},
    {"replace", "old,new,count", 2, replace},
    {"safe", "", 0, safe},
    {"string", "", 0, string},
    {"title", "", 0, title},
    {"tojson", "ensure_ascii,indent,separators,sort_keys", 0, tojson},
    {"trim", "chars", 0, trim},
    {"truncate", "length,killwords,end,leeway", 0, truncate_text},
    {"upper", "", 0, upper},
    {"wordcount", "", 0, wordcount},
    {0}};
