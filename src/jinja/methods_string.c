/* Methods of strings that ask, change case, cut at the ends and replace. */
#include "state.h"

/* ---------------------------------------------------------------- changing case */

typedef enum casing { UPPER, LOWER, TITLE, CAPITAL, SWAP } casing;

/* Whether a code point is of one of these classes, a bit of each. */
static bool is_of(uint32_t code, int classes) {
  for (int c = JINJA_ALPHA; c <= JINJA_TITLE; c++)
    if (classes >> c & 1 && ft_jinja_is_class(code, (ft_jinja_class)c)) return true;
  return false;
}

static bool has_case(uint32_t code) {
  return is_of(code, 1 << JINJA_UPPER | 1 << JINJA_LOWER | 1 << JINJA_TITLE);
}

static ft_jinja_case case_at(casing how, uint32_t code, bool starts, bool first) {
  switch (how) {
  case UPPER:
    return JINJA_TO_UPPER;
  case LOWER:
    return JINJA_TO_LOWER;
  case TITLE:
    return starts ? JINJA_TO_TITLE : JINJA_TO_LOWER;
  case CAPITAL:
    return first ? JINJA_TO_TITLE : JINJA_TO_LOWER;
  default:
    return ft_jinja_is_class(code, JINJA_UPPER) ? JINJA_TO_LOWER : JINJA_TO_UPPER;
  }
}

/* The variant is the casing. */
static ft_err change(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  casing how = (casing)g->variant;
  ft_err err = ft_jinja_work(s, (int64_t)v.string->bytes);
  const ft_jinja_string *text = v.string;
  bool starts = true;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  for (size_t at = 0, bytes; at < text->bytes && err == FT_OK; at += bytes) {
    uint32_t changed, code = ft_utf8_decode(text->text + at, &bytes);
    char encoded[4];
    size_t left;
    err = ft_jinja_change_case(code, case_at(how, code, starts, at == 0), &changed);
    if (err != FT_OK) return err;
    starts = !has_case(code);
    ft_jinja_put(&b, encoded, ft_utf8_encode(changed, encoded),
                 ft_jinja_origin_at(text, at, &left));
  }
  if (err == FT_OK) err = ft_jinja_built(&b, out);
  if (err == FT_OK) ((ft_jinja_string *)out->string)->markup = text->markup;
  return err;
}

/* ---------------------------------------------------------------- questions */

/* Whether there are characters, and all are of one of the variant's classes. */
static ft_err all_are(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                      ft_jinja_value *out) {
  (void)s;
  const ft_jinja_string *text = v.string;
  bool all = text->bytes > 0;
  for (size_t at = 0, bytes; at < text->bytes && all; at += bytes) {
    uint32_t code = ft_utf8_decode(text->text + at, &bytes);
    all = is_of(code, g->variant);
  }
  *out = ft_jinja_bool(all);
  return FT_OK;
}

static ft_err isascii_(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                       ft_jinja_value *out) {
  (void)s;
  (void)g;
  bool is = true;
  for (size_t i = 0; i < v.string->bytes; i++)
    is = is && (unsigned char)v.string->text[i] < 0x80;
  *out = ft_jinja_bool(is);
  return FT_OK;
}

static ft_err isspace_(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                       ft_jinja_value *out) {
  (void)s;
  (void)g;
  size_t at = 0, space;
  while ((space = ft_utf8_space(v.string->text + at, v.string->bytes - at)) > 0)
    at += space;
  *out = ft_jinja_bool(at > 0 && at == v.string->bytes);
  return FT_OK;
}

/* Some letters, and all that have a case are of the variant's class. */
static ft_err is_cased(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                       ft_jinja_value *out) {
  (void)s;
  bool some = false, all = true;
  for (size_t at = 0, bytes; at < v.string->bytes && all; at += bytes) {
    uint32_t code = ft_utf8_decode(v.string->text + at, &bytes);
    bool cased = has_case(code);
    all = !cased || ft_jinja_is_class(code, (ft_jinja_class)g->variant);
    some = some || cased;
  }
  *out = ft_jinja_bool(some && all);
  return FT_OK;
}

/* ---------------------------------------------------------------- ends */

static bool is_in(const ft_jinja_string *set, const char *s, size_t bytes) {
  for (size_t at = 0; at < set->bytes; at += ft_utf8_length(set->text[at]))
    if (set->bytes - at >= bytes && memcmp(set->text + at, s, bytes) == 0) return true;
  return false;
}

/* Bytes of a character that is to be cut, or 0. chars: NULL means white space. */
static size_t cut(const ft_jinja_string *chars, const char *s, size_t room) {
  if (room == 0) return 0;
  if (!chars) return ft_utf8_space(s, room);
  size_t bytes = ft_utf8_length(s[0]);
  return is_in(chars, s, bytes) ? bytes : 0;
}

/* Which end of a string a method is about. */
enum { AT_START = 1, AT_END = 2 };

static ft_err strip_ends(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                         ft_jinja_value *out) {
  ft_err err = FT_OK;
  bool left = g->variant & AT_START, right = g->variant & AT_END;
  const ft_jinja_string *text = v.string, *chars = NULL;
  size_t begin = 0, end = text->bytes, bytes;
  if (g->has[0] && g->at[0].type != JINJA_NONE)
    FT_TRY(ft_jinja_want_string(g->at[0], "the characters to strip", &chars));
  while (left && (bytes = cut(chars, text->text + begin, end - begin)) > 0)
    begin += bytes;
  while (right && end > begin) {
    size_t last = ft_utf8_before(text->text, end);
    if (cut(chars, text->text + last, end - last) == 0) break;
    end = last;
  }
  FT_TRY(ft_jinja_string_part(s->arena, text, begin, end, out));
out:
  return err;
}

static bool has_end(const ft_jinja_string *text, size_t begin, size_t end,
                    const ft_jinja_string *part, bool at_start) {
  if (begin > end || part->bytes > end - begin) return false;
  const char *place = text->text + (at_start ? begin : end - part->bytes);
  return memcmp(place, part->text, part->bytes) == 0;
}

/* The bounds that count, find, startswith … take, as bytes. *empty: begin is behind the end. */
static ft_err bounds(const ft_jinja_given *g, const ft_jinja_string *text, size_t *begin,
                     size_t *end, bool *empty) {
  ft_err err = FT_OK;
  int64_t length = ft_jinja_string_length(text), at[2] = {0, length};
  for (int i = 0; i < 2; i++) {
    if (!g->has[1 + i] || g->at[1 + i].type == JINJA_NONE) continue;
    FT_TRY(ft_jinja_want_whole(g->at[1 + i], "a bound", &at[i]));
    if (at[i] < 0) at[i] = FT_MAX(at[i] + length, 0);
  }
  *empty = at[0] > length || at[0] > at[1];
  *begin = ft_jinja_string_at(text, FT_MIN(at[0], length));
  *end = ft_jinja_string_at(text, FT_MIN(at[1], length));
out:
  return err;
}

static ft_err has_affix(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                        ft_jinja_value *out) {
  (void)s;
  ft_err err = FT_OK;
  size_t begin, end;
  bool empty, is = false, at_start = g->variant & AT_START;
  const ft_jinja_string *part;
  FT_TRY(bounds(g, v.string, &begin, &end, &empty));
  bool several = g->at[0].type == JINJA_TUPLE;
  int64_t count = several ? g->at[0].list->count : 1;
  for (int64_t i = 0; i < count; i++) {
    FT_TRY(ft_jinja_want_string(several ? g->at[0].list->items[i] : g->at[0],
                                at_start ? "startswith's argument" : "endswith's argument", &part));
    is = is || (!empty && has_end(v.string, begin, end, part, at_start));
  }
  *out = ft_jinja_bool(is);
out:
  return err;
}

static ft_err remove_affix(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                           ft_jinja_value *out) {
  bool prefix = g->variant & AT_START;
  const ft_jinja_string *part, *text = v.string;
  ft_err err = ft_jinja_want_string(g->at[0], "the affix", &part);
  if (err != FT_OK) return err;
  size_t begin = 0, end = text->bytes;
  if (has_end(text, 0, end, part, prefix)) {
    begin = prefix ? part->bytes : 0;
    end -= prefix ? 0 : part->bytes;
  }
  return ft_jinja_string_part(s->arena, text, begin, end, out);
}

/* ---------------------------------------------------------------- looking for parts */

static ft_err look_for(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                       ft_jinja_value *out) {
  ft_err err = FT_OK;
  bool last = g->variant & AT_END;
  size_t begin, end;
  bool empty;
  const ft_jinja_string *part, *text = v.string;
  FT_TRY(ft_jinja_want_string(g->at[0], "what is looked for", &part));
  FT_TRY(bounds(g, text, &begin, &end, &empty));
  FT_TRY(ft_jinja_work(s, (int64_t)text->bytes / 8));
  int64_t at = empty  ? -1
               : last ? ft_jinja_string_find_last(text, begin, end, part)
                      : ft_jinja_string_find(text, begin, end, part);
  ft_jinja_string before = {.text = text->text, .bytes = at < 0 ? 0 : (size_t)at};
  *out = ft_jinja_int(at < 0 ? -1 : ft_jinja_string_length(&before));
out:
  return err;
}

static ft_err must_find(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                        ft_jinja_value *out) {
  ft_err err = look_for(s, v, g, out);
  if (err == FT_OK && out->integer < 0) return ft_fail(FT_ERR_DATA, "substring not found");
  return err;
}

static ft_err count(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  ft_err err = FT_OK;
  size_t begin, end;
  bool empty;
  int64_t found = 0, at;
  const ft_jinja_string *part, *text = v.string;
  FT_TRY(ft_jinja_want_string(g->at[0], "what is counted", &part));
  FT_TRY(bounds(g, text, &begin, &end, &empty));
  FT_TRY(ft_jinja_work(s, (int64_t)text->bytes / 8));
  if (!empty && part->bytes == 0)
    found = ft_jinja_string_length(
                &(ft_jinja_string){.text = text->text + begin, .bytes = end - begin}) +
            1;
  while (!empty && part->bytes > 0 && (at = ft_jinja_string_find(text, begin, end, part)) >= 0) {
    found++;
    begin = (size_t)at + part->bytes;
  }
  *out = ft_jinja_int(found);
out:
  return err;
}

/* Between all characters, where the old part is empty. */
static void replace_empty(ft_jinja_builder *b, const ft_jinja_string *text,
                          const ft_jinja_string *new, int64_t most) {
  for (size_t at = 0; at <= text->bytes; most--) {
    if (most != 0) ft_jinja_put_string(b, new);
    if (at == text->bytes) break;
    size_t bytes = ft_utf8_length(text->text[at]);
    ft_jinja_put_part(b, text, at, at + bytes);
    at += bytes;
  }
}

static ft_err replace(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                      ft_jinja_value *out) {
  ft_err err = FT_OK;
  const ft_jinja_string *old, *new, *text = v.string;
  int64_t most = -1, at;
  size_t begin = 0;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  FT_CHECK(!text->markup, FT_ERR_DATA, "replace of a string marked safe is not supported");
  FT_TRY(ft_jinja_want_string(g->at[0], "what is replaced", &old));
  FT_TRY(ft_jinja_want_string(g->at[1], "the replacement", &new));
  if (g->has[2]) FT_TRY(ft_jinja_want_whole(g->at[2], "the count", &most));
  FT_TRY(ft_jinja_work(s, (int64_t)text->bytes / 8));
  if (old->bytes == 0) {
    replace_empty(&b, text, new, most);
    return ft_jinja_built(&b, out);
  }
  while (most != 0 && (at = ft_jinja_string_find(text, begin, text->bytes, old)) >= 0) {
    ft_jinja_put_part(&b, text, begin, (size_t)at);
    ft_jinja_put_string(&b, new);
    begin = (size_t)at + old->bytes;
    most--;
  }
  ft_jinja_put_part(&b, text, begin, text->bytes);
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}

const ft_jinja_builtin ft_jinja_string_methods[] = {
    {"capitalize", "", 0, change, CAPITAL},
    {"count", "/sub,start,end", 1, count, 0},
    {"endswith", "/suffix,start,end", 1, has_affix, AT_END},
    {"find", "/sub,start,end", 1, look_for, AT_START},
    {"index", "/sub,start,end", 1, must_find, AT_START},
    {"isalnum", "", 0, all_are, 1 << JINJA_ALPHA | 1 << JINJA_NUMERIC},
    {"isalpha", "", 0, all_are, 1 << JINJA_ALPHA},
    {"isascii", "", 0, isascii_, 0},
    {"isdecimal", "", 0, all_are, 1 << JINJA_DECIMAL},
    {"isdigit", "", 0, all_are, 1 << JINJA_DIGIT},
    {"islower", "", 0, is_cased, JINJA_LOWER},
    {"isnumeric", "", 0, all_are, 1 << JINJA_NUMERIC},
    {"isspace", "", 0, isspace_, 0},
    {"isupper", "", 0, is_cased, JINJA_UPPER},
    {"lower", "", 0, change, LOWER},
    {"lstrip", "/chars", 0, strip_ends, AT_START},
    {"removeprefix", "/prefix", 1, remove_affix, AT_START},
    {"removesuffix", "/suffix", 1, remove_affix, AT_END},
    {"replace", "/old,new,count", 2, replace, 0},
    {"rfind", "/sub,start,end", 1, look_for, AT_END},
    {"rindex", "/sub,start,end", 1, must_find, AT_END},
    {"rstrip", "/chars", 0, strip_ends, AT_END},
    {"startswith", "/prefix,start,end", 1, has_affix, AT_START},
    {"strip", "/chars", 0, strip_ends, AT_START | AT_END},
    {"swapcase", "", 0, change, SWAP},
    {"title", "", 0, change, TITLE},
    {"upper", "", 0, change, UPPER},
    {0}};
