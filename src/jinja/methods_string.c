/* Methods of strings that ask, change case, cut at the ends and replace. */
#include "state.h"

/* ---------------------------------------------------------------- changing case */

typedef enum casing { UPPER, LOWER, TITLE, CAPITAL, SWAP } casing;

static jinja_case case_at(casing how, uint32_t code, bool starts, bool first) {
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
    return jinja_is_class(code, JINJA_UPPER) ? JINJA_TO_LOWER : JINJA_TO_UPPER;
  }
}

static ft_err change(jinja_state *s, jinja_value v, casing how, jinja_value *out) {
  ft_err err = jinja_work(s, (int64_t)v.string->bytes);
  const jinja_string *text = v.string;
  bool starts = true;
  jinja_builder b = jinja_builder_on(s->arena);
  for (size_t at = 0, bytes; at < text->bytes && err == FT_OK; at += bytes) {
    uint32_t changed, code = jinja_decode(text->text + at, &bytes);
    char encoded[4];
    size_t left;
    err = jinja_change_case(code, case_at(how, code, starts, at == 0), &changed);
    if (err != FT_OK) return err;
    starts = !jinja_is_class(code, JINJA_UPPER) && !jinja_is_class(code, JINJA_LOWER) &&
             !jinja_is_class(code, JINJA_TITLE);
    jinja_put(&b, encoded, jinja_encode(changed, encoded), jinja_origin_at(text, at, &left));
  }
  if (err == FT_OK) err = jinja_built(&b, out);
  if (err == FT_OK) ((jinja_string *)out->string)->markup = text->markup;
  return err;
}

static ft_err upper(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  return change(s, v, UPPER, out);
}

static ft_err lower(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  return change(s, v, LOWER, out);
}

static ft_err title(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  return change(s, v, TITLE, out);
}

static ft_err capitalize(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  return change(s, v, CAPITAL, out);
}

static ft_err swapcase(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  return change(s, v, SWAP, out);
}

/* ---------------------------------------------------------------- questions */

/* Whether there are characters, and all are of one of these classes. */
static bool all_are(const jinja_string *text, const jinja_class *classes, int count) {
  for (size_t at = 0, bytes; at < text->bytes; at += bytes) {
    uint32_t code = jinja_decode(text->text + at, &bytes);
    bool is = false;
    for (int i = 0; i < count && !is; i++)
      is = jinja_is_class(code, classes[i]);
    if (!is) return false;
  }
  return text->bytes > 0;
}

static ft_err isalpha_(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  (void)g;
  *out = jinja_bool(all_are(v.string, (jinja_class[]){JINJA_ALPHA}, 1));
  return FT_OK;
}

static ft_err isdigit_(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  (void)g;
  *out = jinja_bool(all_are(v.string, (jinja_class[]){JINJA_DIGIT}, 1));
  return FT_OK;
}

static ft_err isdecimal(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  (void)g;
  *out = jinja_bool(all_are(v.string, (jinja_class[]){JINJA_DECIMAL}, 1));
  return FT_OK;
}

static ft_err isnumeric(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  (void)g;
  *out = jinja_bool(all_are(v.string, (jinja_class[]){JINJA_NUMERIC}, 1));
  return FT_OK;
}

static ft_err isalnum_(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  (void)g;
  static const jinja_class both[] = {JINJA_ALPHA, JINJA_NUMERIC};
  *out = jinja_bool(all_are(v.string, both, 2));
  return FT_OK;
}

static ft_err isascii_(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  (void)g;
  bool is = true;
  for (size_t i = 0; i < v.string->bytes; i++)
    is = is && (unsigned char)v.string->text[i] < 0x80;
  *out = jinja_bool(is);
  return FT_OK;
}

static ft_err isspace_(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  (void)g;
  size_t at = 0, space;
  while ((space = jinja_space(v.string->text + at, v.string->bytes - at)) > 0)
    at += space;
  *out = jinja_bool(at > 0 && at == v.string->bytes);
  return FT_OK;
}

/* Some letters, and all that have a case are of the wanted one. */
static bool is_cased(const jinja_string *text, jinja_class wanted) {
  bool some = false;
  for (size_t at = 0, bytes; at < text->bytes; at += bytes) {
    uint32_t code = jinja_decode(text->text + at, &bytes);
    bool cased = jinja_is_class(code, JINJA_UPPER) || jinja_is_class(code, JINJA_LOWER) ||
                 jinja_is_class(code, JINJA_TITLE);
    if (cased && !jinja_is_class(code, wanted)) return false;
    some = some || cased;
  }
  return some;
}

static ft_err islower_(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  (void)g;
  *out = jinja_bool(is_cased(v.string, JINJA_LOWER));
  return FT_OK;
}

static ft_err isupper_(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  (void)g;
  *out = jinja_bool(is_cased(v.string, JINJA_UPPER));
  return FT_OK;
}

/* ---------------------------------------------------------------- ends */

static bool is_in(const jinja_string *set, const char *s, size_t bytes) {
  for (size_t at = 0; at < set->bytes; at += jinja_char_bytes(set->text[at]))
    if (set->bytes - at >= bytes && memcmp(set->text + at, s, bytes) == 0) return true;
  return false;
}

/* Bytes of a character that is to be cut, or 0. chars: NULL means white space. */
static size_t cut(const jinja_string *chars, const char *s, size_t room) {
  if (room == 0) return 0;
  if (!chars) return jinja_space(s, room);
  size_t bytes = jinja_char_bytes(s[0]);
  return is_in(chars, s, bytes) ? bytes : 0;
}

static ft_err strip_ends(jinja_state *s, jinja_value v, const jinja_given *g, bool left, bool right,
                         jinja_value *out) {
  ft_err err = FT_OK;
  const jinja_string *text = v.string, *chars = NULL;
  size_t begin = 0, end = text->bytes, bytes;
  if (g->has[0] && g->at[0].type != JINJA_NONE)
    FT_TRY(jinja_want_string(g->at[0], "the characters to strip", &chars));
  while (left && (bytes = cut(chars, text->text + begin, end - begin)) > 0)
    begin += bytes;
  while (right && end > begin) {
    size_t last = end - 1;
    while (last > begin && ((unsigned char)text->text[last] & 0xC0) == 0x80)
      last--;
    if (cut(chars, text->text + last, end - last) == 0) break;
    end = last;
  }
  FT_TRY(jinja_string_part(s->arena, text, begin, end, out));
out:
  return err;
}

static ft_err strip(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return strip_ends(s, v, g, true, true, out);
}

static ft_err lstrip(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return strip_ends(s, v, g, true, false, out);
}

static ft_err rstrip(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return strip_ends(s, v, g, false, true, out);
}

static bool has_end(const jinja_string *text, size_t begin, size_t end, const jinja_string *part,
                    bool at_start) {
  if (begin > end || part->bytes > end - begin) return false;
  const char *place = text->text + (at_start ? begin : end - part->bytes);
  return memcmp(place, part->text, part->bytes) == 0;
}

/* The bounds that count, find, startswith … take, as bytes. *empty: begin is behind the end. */
static ft_err bounds(const jinja_given *g, const jinja_string *text, size_t *begin, size_t *end,
                     bool *empty) {
  ft_err err = FT_OK;
  int64_t length = jinja_string_length(text), at[2] = {0, length};
  for (int i = 0; i < 2; i++) {
    if (!g->has[1 + i] || g->at[1 + i].type == JINJA_NONE) continue;
    FT_TRY(jinja_want_whole(g->at[1 + i], "a bound", &at[i]));
    if (at[i] < 0) at[i] = FT_MAX(at[i] + length, 0);
  }
  *empty = at[0] > length || at[0] > at[1];
  *begin = jinja_string_at(text, FT_MIN(at[0], length));
  *end = jinja_string_at(text, FT_MIN(at[1], length));
out:
  return err;
}

static ft_err has_affix(jinja_value v, const jinja_given *g, bool at_start, jinja_value *out) {
  ft_err err = FT_OK;
  size_t begin, end;
  bool empty, is = false;
  const jinja_string *part;
  FT_TRY(bounds(g, v.string, &begin, &end, &empty));
  bool several = g->at[0].type == JINJA_TUPLE;
  int64_t count = several ? g->at[0].list->count : 1;
  for (int64_t i = 0; i < count; i++) {
    FT_TRY(jinja_want_string(several ? g->at[0].list->items[i] : g->at[0],
                             at_start ? "startswith's argument" : "endswith's argument", &part));
    is = is || (!empty && has_end(v.string, begin, end, part, at_start));
  }
  *out = jinja_bool(is);
out:
  return err;
}

static ft_err startswith(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  return has_affix(v, g, true, out);
}

static ft_err endswith(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)s;
  return has_affix(v, g, false, out);
}

static ft_err remove_affix(jinja_state *s, jinja_value v, const jinja_given *g, bool prefix,
                           jinja_value *out) {
  const jinja_string *part, *text = v.string;
  ft_err err = jinja_want_string(g->at[0], "the affix", &part);
  if (err != FT_OK) return err;
  size_t begin = 0, end = text->bytes;
  if (has_end(text, 0, end, part, prefix)) {
    begin = prefix ? part->bytes : 0;
    end -= prefix ? 0 : part->bytes;
  }
  return jinja_string_part(s->arena, text, begin, end, out);
}

static ft_err removeprefix(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return remove_affix(s, v, g, true, out);
}

static ft_err removesuffix(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return remove_affix(s, v, g, false, out);
}

/* ---------------------------------------------------------------- looking for parts */

static ft_err look_for(jinja_state *s, jinja_value v, const jinja_given *g, bool last,
                       jinja_value *out) {
  ft_err err = FT_OK;
  size_t begin, end;
  bool empty;
  const jinja_string *part, *text = v.string;
  FT_TRY(jinja_want_string(g->at[0], "what is looked for", &part));
  FT_TRY(bounds(g, text, &begin, &end, &empty));
  FT_TRY(jinja_work(s, (int64_t)text->bytes / 8));
  int64_t at = empty  ? -1
               : last ? jinja_string_find_last(text, begin, end, part)
                      : jinja_string_find(text, begin, end, part);
  jinja_string before = {.text = text->text, .bytes = at < 0 ? 0 : (size_t)at};
  *out = jinja_int(at < 0 ? -1 : jinja_string_length(&before));
out:
  return err;
}

static ft_err find(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return look_for(s, v, g, false, out);
}

static ft_err rfind(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return look_for(s, v, g, true, out);
}

static ft_err must_find(jinja_state *s, jinja_value v, const jinja_given *g, bool last,
                        jinja_value *out) {
  ft_err err = look_for(s, v, g, last, out);
  if (err == FT_OK && out->integer < 0) return ft_fail(FT_ERR_DATA, "substring not found");
  return err;
}

static ft_err index_of(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return must_find(s, v, g, false, out);
}

static ft_err rindex_of(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return must_find(s, v, g, true, out);
}

static ft_err count(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  size_t begin, end;
  bool empty;
  int64_t found = 0, at;
  const jinja_string *part, *text = v.string;
  FT_TRY(jinja_want_string(g->at[0], "what is counted", &part));
  FT_TRY(bounds(g, text, &begin, &end, &empty));
  FT_TRY(jinja_work(s, (int64_t)text->bytes / 8));
  if (!empty && part->bytes == 0)
    found =
        jinja_string_length(&(jinja_string){.text = text->text + begin, .bytes = end - begin}) + 1;
  while (!empty && part->bytes > 0 && (at = jinja_string_find(text, begin, end, part)) >= 0) {
    found++;
    begin = (size_t)at + part->bytes;
  }
  *out = jinja_int(found);
out:
  return err;
}

/* Between all characters, where the old part is empty. */
static void replace_empty(jinja_builder *b, const jinja_string *text, const jinja_string *new,
                          int64_t most) {
  for (size_t at = 0; at <= text->bytes; most--) {
    if (most != 0) jinja_put_string(b, new);
    if (at == text->bytes) break;
    size_t bytes = jinja_char_bytes(text->text[at]);
    jinja_put_part(b, text, at, at + bytes);
    at += bytes;
  }
}

static ft_err replace(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  const jinja_string *old, *new, *text = v.string;
  int64_t most = -1, at;
  size_t begin = 0;
  jinja_builder b = jinja_builder_on(s->arena);
  FT_CHECK(!text->markup, FT_ERR_DATA, "replace of a string marked safe is not supported");
  FT_TRY(jinja_want_string(g->at[0], "what is replaced", &old));
  FT_TRY(jinja_want_string(g->at[1], "the replacement", &new));
  if (g->has[2]) FT_TRY(jinja_want_whole(g->at[2], "the count", &most));
  FT_TRY(jinja_work(s, (int64_t)text->bytes / 8));
  if (old->bytes == 0) {
    replace_empty(&b, text, new, most);
    return jinja_built(&b, out);
  }
  while (most != 0 && (at = jinja_string_find(text, begin, text->bytes, old)) >= 0) {
    jinja_put_part(&b, text, begin, (size_t)at);
    jinja_put_string(&b, new);
    begin = (size_t)at + old->bytes;
    most--;
  }
  jinja_put_part(&b, text, begin, text->bytes);
  FT_TRY(jinja_built(&b, out));
out:
  return err;
}

const jinja_builtin jinja_string_methods[] = {{"capitalize", "", 0, capitalize},
                                              {"count", "/sub,start,end", 1, count},
                                              {"endswith", "/suffix,start,end", 1, endswith},
                                              {"find", "/sub,start,end", 1, find},
                                              {"index", "/sub,start,end", 1, index_of},
                                              {"isalnum", "", 0, isalnum_},
                                              {"isalpha", "", 0, isalpha_},
                                              {"isascii", "", 0, isascii_},
                                              {"isdecimal", "", 0, isdecimal},
                                              {"isdigit", "", 0, isdigit_},
                                              {"islower", "", 0, islower_},
                                              {"isnumeric", "", 0, isnumeric},
                                              {"isspace", "", 0, isspace_},
                                              {"isupper", "", 0, isupper_},
                                              {"lower", "", 0, lower},
                                              {"lstrip", "/chars", 0, lstrip},
                                              {"removeprefix", "/prefix", 1, removeprefix},
                                              {"removesuffix", "/suffix", 1, removesuffix},
                                              {"replace", "/old,new,count", 2, replace},
                                              {"rfind", "/sub,start,end", 1, rfind},
                                              {"rindex", "/sub,start,end", 1, rindex_of},
                                              {"rstrip", "/chars", 0, rstrip},
                                              {"startswith", "/prefix,start,end", 1, startswith},
                                              {"strip", "/chars", 0, strip},
                                              {"swapcase", "", 0, swapcase},
                                              {"title", "", 0, title},
                                              {"upper", "", 0, upper},
                                              {0}};
