/* JSON text (RFC 8259) to a cJSON tree. Parsed here and not by cJSON_Parse, because that accepts
 * control characters, leading zeros and a zero inside a string, knows neither line nor column of a
 * mistake, lets repeated keys pass and forgets how a number was written. A file that is read and
 * written again keeps its numbers as they were ("1e-05", "10000.0"): the text is kept in
 * valuestring where the printer would write something else. */
#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "ft/base_utf8.h"
#include "ft/io_kind.h"
#include "json.h"

enum { MAX_FILE_BYTES = 1 << 30, MAX_DEPTH = 256, MAX_NUMBER = 1000, MAX_SHOWN = 40 };

/* A key of an object that is still open, for the search for repeated ones. */
typedef struct key {
  const char *name; /* owned by the item */
  uint64_t hash;    /* of the name: most comparisons end there */
  size_t at;
} key;

typedef struct parser {
  const char *text, *where;
  size_t length, at;
  bool keeps_zeros; /* \u0000 becomes FT_JSON_ZERO */
  key *keys;        /* of all objects that are open, innermost last */
  int64_t num_keys, capacity;
} parser;

static ft_err parse_value(parser *p, int depth, cJSON **out);

/* ---------------------------------------------------------------- mistakes */

/* Records a mistake at byte `at`; lines and columns (in characters) are counted from 1. */
static ft_err mistake(const parser *p, size_t at, const char *what) {
  int64_t line = 1, column = 1;
  for (size_t i = 0; i < at && i < p->length; i++) {
    if (p->text[i] == '\n') {
      line++;
      column = 1;
    } else if (((unsigned char)p->text[i] & 0xC0) != 0x80) {
      column++;
    }
  }
  return ft_fail(FT_ERR_DATA, "%s: line %lld, column %lld: %s", p->where, (long long)line,
                 (long long)column, what);
}

/* As mistake, telling what stands there. */
static ft_err unexpected(const parser *p, const char *expected) {
  char what[160];
  if (p->at >= p->length) {
    snprintf(what, sizeof what, "the text ends where %s was expected", expected);
  } else {
    unsigned char c = (unsigned char)p->text[p->at];
    if (c > 0x20 && c < 0x7F)
      snprintf(what, sizeof what, "found '%c' where %s was expected", c, expected);
    else
      snprintf(what, sizeof what, "found byte 0x%02x where %s was expected", c, expected);
  }
  return mistake(p, p->at, what);
}

static ft_err no_memory(const parser *p) {
  return ft_fail(FT_ERR_MEMORY, "%s: no memory for its %zu bytes of JSON", p->where, p->length);
}

/* ---------------------------------------------------------------- characters */

static void skip_space(parser *p) {
  while (p->at < p->length) {
    char c = p->text[p->at];
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') break;
    p->at++;
  }
}

/* ---------------------------------------------------------------- strings */

/* Four hexadecimal digits at byte `at`, or -1. */
static int32_t hex4(const parser *p, size_t at) {
  if (at + 4 > p->length) return -1;
  int32_t value = 0;
  for (size_t i = at; i < at + 4; i++) {
    int digit = ft_hex_digit(p->text[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* At "\u": one escape, or two that form a surrogate pair. */
static ft_err unicode_escape(parser *p, char *out, size_t *used) {
  size_t start = p->at;
  int32_t code = hex4(p, p->at + 2);
  if (code < 0) return mistake(p, start, "\\u needs four hexadecimal digits");
  p->at += 6;
  if (code == 0 && !p->keeps_zeros)
    return mistake(p, start, "\\u0000 cannot be part of a string here");
  if (code >= 0xDC00 && code <= 0xDFFF)
    return mistake(p, start, "the second half of a surrogate pair without its first");
  if (code >= 0xD800 && code <= 0xDBFF) {
    bool follows = p->at + 6 <= p->length && memcmp(p->text + p->at, "\\u", 2) == 0;
    int32_t low = follows ? hex4(p, p->at + 2) : -1;
    if (low < 0xDC00 || low > 0xDFFF)
      return mistake(p, start, "the first half of a surrogate pair without its second");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    p->at += 6;
  }
  if (code == 0) {
    memcpy(out + *used, FT_JSON_ZERO, 2);
    *used += 2;
  } else {
    *used += ft_utf8_encode((uint32_t)code, out + *used);
  }
  return FT_OK;
}

/* What a letter behind a backslash stands for; 0: nothing. */
static char meaning(char letter) {
  static const char meanings[UCHAR_MAX + 1] = {
      ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
      ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
  return meanings[(unsigned char)letter];
}

static ft_err escape(parser *p, char *out, size_t *used) {
  char c = p->at + 1 < p->length ? p->text[p->at + 1] : 0;
  if (c == 'u') return unicode_escape(p, out, used);
  char meant = meaning(c);
  if (!meant) return mistake(p, p->at, "an escape that JSON does not know");
  out[(*used)++] = meant;
  p->at += 2;
  return FT_OK;
}

/* Where the string whose first character is at `at` ends, as far as quotes and backslashes tell. */
static size_t string_end(const parser *p, size_t at) {
  for (size_t from = at;;) {
    const char *quote = memchr(p->text + from, '"', p->length - from);
    if (!quote) return p->length;
    size_t end = (size_t)(quote - p->text), behind = end;
    while (behind > at && p->text[behind - 1] == '\\')
      behind--;
    if ((end - behind) % 2 == 0) return end;
    from = end + 1; /* the quote is escaped */
  }
}

/* The top bit of each of eight bytes that is no plain ASCII in a string; bytes behind the first one
 * may be taken for such. */
static uint64_t special_bytes(uint64_t eight) {
  const uint64_t ones = 0x0101010101010101u, tops = 0x80 * ones;
  uint64_t quote = eight ^ '"' * ones, backslash = eight ^ '\\' * ones;
  uint64_t control = (eight - 0x20 * ones) & ~eight;
  return (eight | control | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & tops;
}

/* Copies plain ASCII from p->at on, as far as there is, to s + *used. The string ends at `end`, and
 * s has room for as much as stands before, so eight bytes may be copied where fewer count. */
static void copy_plain(parser *p, size_t end, char *s, size_t *used) {
  size_t at = p->at;
  char *to = s + *used;
  uint64_t eight;
  for (; at + sizeof eight <= end; at += sizeof eight, to += sizeof eight) {
    memcpy(&eight, p->text + at, sizeof eight);
    memcpy(to, &eight, sizeof eight);
    uint64_t special = special_bytes(eight);
    if (!special) continue;
    at += (size_t)__builtin_ctzll(special) / 8;
    break; /* and the loop below takes nothing more */
  }
  while (at < end && (unsigned char)p->text[at] < 0x80 && (unsigned char)p->text[at] >= 0x20 &&
         p->text[at] != '"' && p->text[at] != '\\')
    *to++ = p->text[at++];
  *used += at - p->at;
  p->at = at;
}

/* At the opening quote: *out is the string, from cJSON_malloc. */
static ft_err parse_string(parser *p, char **out) {
  size_t open = p->at++, used = 0, valid, length, end = string_end(p, p->at);
  ft_err err = FT_OK;
  char *s = cJSON_malloc(end - p->at + 1); /* escapes only get shorter */
  if (!s) return no_memory(p);
  for (;;) {
    copy_plain(p, end, s, &used);
    if (p->at >= p->length) FT_TRY(mistake(p, open, "a string that is not closed"));
    unsigned char c = (unsigned char)p->text[p->at];
    if (c == '"') break;
    if (c == '\\') {
      FT_TRY(escape(p, s, &used));
      continue;
    }
    if (c < 0x20) FT_TRY(mistake(p, p->at, "a control character inside a string"));
    length = ft_utf8_next(p->text + p->at, p->length - p->at, &valid);
    if (length == 0) FT_TRY(mistake(p, p->at, "invalid UTF-8"));
    memcpy(s + used, p->text + p->at, length);
    used += length;
    p->at += length;
  }
  p->at++;
  s[used] = 0;
  *out = s;
  s = NULL;
out:
  cJSON_free(s);
  return err;
}

/* ---------------------------------------------------------------- numbers */

static size_t digits(const parser *p, size_t at) {
  while (at < p->length && p->text[at] >= '0' && p->text[at] <= '9')
    at++;
  return at;
}

/* Byte after the number that starts at p->at, or p->at if it is not one. */
static size_t number_end(const parser *p) {
  size_t at = p->at;
  if (at < p->length && p->text[at] == '-') at++;
  size_t first = at;
  at = digits(p, at);
  if (at == first || (p->text[first] == '0' && at > first + 1)) return p->at;
  if (at < p->length && p->text[at] == '.') {
    size_t fraction = at + 1;
    at = digits(p, fraction);
    if (at == fraction) return p->at;
  }
  if (at < p->length && (p->text[at] == 'e' || p->text[at] == 'E')) {
    at++;
    if (at < p->length && (p->text[at] == '+' || p->text[at] == '-')) at++;
    size_t exponent = at;
    at = digits(p, exponent);
    if (at == exponent) return p->at;
  }
  return at;
}

/* A whole number of few digits, which doubles hold, and which is printed as it stands here. */
static bool short_number(const char *text, size_t length, double *value) {
  int64_t whole = 0;
  if (length > 15) return false;
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    whole = 10 * whole + (text[i] - '0');
  }
  *value = (double)whole;
  return true;
}

static ft_err parse_number(parser *p, cJSON **out) {
  size_t end = number_end(p), length = end - p->at;
  double whole;
  char text[MAX_NUMBER + 1], usual[FT_JSON_NUMBER_BYTES];
  if (length == 0) return mistake(p, p->at, "this is not a number as JSON writes them");
  if (length > MAX_NUMBER) return mistake(p, p->at, "a number of more than 1000 characters");
  if (short_number(p->text + p->at, length, &whole)) {
    *out = cJSON_CreateNumber(whole);
    p->at = end;
    return *out ? FT_OK : no_memory(p);
  }
  memcpy(text, p->text + p->at, length);
  text[length] = 0;
  double value = strtod(text, NULL);
  if (!isfinite(value)) return mistake(p, p->at, "a number too large for 64 bits");
  cJSON *item = cJSON_CreateNumber(value);
  if (!item) return no_memory(p);
  ft_json_number(value, usual);
  if (strcmp(usual, text) != 0) {
    item->valuestring = cJSON_malloc(length + 1);
    if (!item->valuestring) {
      cJSON_Delete(item);
      return no_memory(p);
    }
    memcpy(item->valuestring, text, length + 1);
  }
  p->at = end;
  *out = item;
  return FT_OK;
}

/* What Python's json writes for numbers that JSON has not. They pass in people's data, where most
 * stand in members that nobody reads; as a value they are no number of use. */
static ft_err parse_non_number(parser *p, cJSON **out) {
  static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    size_t length = strlen(names[i]);
    if (p->length - p->at < length || memcmp(p->text + p->at, names[i], length) != 0) continue;
    p->at += length;
    *out = cJSON_CreateNumber((double)NAN);
    return *out ? FT_OK : no_memory(p);
  }
  return parse_number(p, out);
}

/* ---------------------------------------------------------------- objects and arrays */

static int by_name(const void *a, const void *b) {
  const key *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  int order = strcmp(x->name, y->name);
  return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* Refuses an object whose keys (from number `base` on) repeat, and forgets them. */
static ft_err check_keys(parser *p, int64_t base) {
  int64_t count = p->num_keys - base, repeated = -1;
  key *keys = p->keys ? p->keys + base : NULL; /* an offset to a null pointer is undefined */
  if (count > 1) qsort(keys, (size_t)count, sizeof *keys, by_name);
  for (int64_t i = 1; i < count; i++)
    if (keys[i - 1].hash == keys[i].hash && strcmp(keys[i - 1].name, keys[i].name) == 0 &&
        (repeated < 0 || keys[i].at < keys[repeated].at))
      repeated = i;
  p->num_keys = base;
  if (repeated < 0) return FT_OK;
  char what[120];
  snprintf(what, sizeof what, "the key \"%.*s\" appears twice in one object", MAX_SHOWN,
           keys[repeated].name);
  return mistake(p, keys[repeated].at, what);
}

static ft_err remember_key(parser *p, const char *name, size_t at) {
  ft_err err =
      ft_grow(FT_MEM_IO, p->num_keys + 1, sizeof *p->keys, &p->capacity, (void **)&p->keys);
  if (err != FT_OK) return err;
  p->keys[p->num_keys++] = (key){.name = name, .hash = ft_hash64(name, strlen(name), 0), .at = at};
  return FT_OK;
}

/* "key": value, added to object. */
static ft_err parse_member(parser *p, int depth, cJSON *object) {
  ft_err err = FT_OK;
  char *name = NULL;
  cJSON *item = NULL;
  size_t at = p->at;
  if (at >= p->length || p->text[at] != '"') FT_TRY(unexpected(p, "a key in double quotes"));
  FT_TRY(parse_string(p, &name));
  skip_space(p);
  if (p->at >= p->length || p->text[p->at] != ':') FT_TRY(unexpected(p, "':'"));
  p->at++;
  FT_TRY(parse_value(p, depth, &item));
  FT_TRY(remember_key(p, name, at));
  item->string = name;
  name = NULL;
  cJSON_AddItemToArray(object, item); /* appends to objects as well, keeping the key as it is */
out:
  cJSON_free(name);
  return err;
}

/* An object (close is '}') or an array. */
static ft_err parse_container(parser *p, int depth, char close, cJSON **out) {
  ft_err err = FT_OK;
  int64_t base = p->num_keys;
  const char *expected = close == '}' ? "',' or '}'" : "',' or ']'";
  cJSON *container = close == '}' ? cJSON_CreateObject() : cJSON_CreateArray();
  if (!container) FT_TRY(no_memory(p));
  if (depth >= MAX_DEPTH) FT_TRY(mistake(p, p->at, "more than 256 levels of nesting"));
  p->at++;
  skip_space(p);
  bool empty = p->at < p->length && p->text[p->at] == close;
  while (!empty) {
    if (close == '}') {
      FT_TRY(parse_member(p, depth + 1, container));
    } else {
      cJSON *item = NULL;
      FT_TRY(parse_value(p, depth + 1, &item));
      cJSON_AddItemToArray(container, item);
    }
    skip_space(p);
    char c = p->at < p->length ? p->text[p->at] : 0;
    if (c == close) break;
    if (c != ',') FT_TRY(unexpected(p, expected));
    p->at++;
    skip_space(p);
  }
  p->at++;
  FT_TRY(check_keys(p, base));
  *out = container;
  container = NULL;
out:
  cJSON_Delete(container);
  return err;
}

static ft_err parse_word(parser *p, cJSON **out) {
  static const struct {
    const char *word;
    int type;
  } words[] = {{"true", cJSON_True}, {"false", cJSON_False}, {"null", cJSON_NULL}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(words); i++) {
    size_t length = strlen(words[i].word);
    if (p->length - p->at < length || memcmp(p->text + p->at, words[i].word, length) != 0) continue;
    *out = cJSON_CreateNull();
    if (!*out) return no_memory(p);
    (*out)->type = words[i].type;
    p->at += length;
    return FT_OK;
  }
  return unexpected(p, "a value");
}

static ft_err parse_value(parser *p, int depth, cJSON **out) {
  skip_space(p);
  if (p->at >= p->length) return unexpected(p, "a value");
  char c = p->text[p->at];
  if (c == '{') return parse_container(p, depth, '}', out);
  if (c == '[') return parse_container(p, depth, ']', out);
  if (p->keeps_zeros && (c == '-' || c == 'N' || c == 'I')) return parse_non_number(p, out);
  if (c == '-' || (c >= '0' && c <= '9')) return parse_number(p, out);
  if (c != '"') return parse_word(p, out);
  char *s = NULL;
  ft_err err = parse_string(p, &s);
  if (err != FT_OK) return err;
  cJSON *item = cJSON_CreateNull();
  if (!item) {
    cJSON_free(s);
    return no_memory(p);
  }
  item->type = cJSON_String;
  item->valuestring = s;
  *out = item;
  return FT_OK;
}

/* ---------------------------------------------------------------- the module's functions */

static ft_err parse(const char *text, size_t length, const char *where, bool keeps_zeros,
                    cJSON **out) {
  ft_err err = FT_OK;
  parser p = {.text = text, .length = length, .where = where, .keeps_zeros = keeps_zeros};
  cJSON *json = NULL;
  *out = NULL;
  if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) p.at = 3; /* byte order mark */
  FT_TRY(parse_value(&p, 0, &json));
  skip_space(&p);
  if (p.at < p.length) FT_TRY(unexpected(&p, "the end of the text"));
  *out = json;
  json = NULL;
out:
  cJSON_Delete(json);
  ft_free(p.keys);
  return err;
}

ft_err ft_json_parse(const char *text, size_t length, const char *where, cJSON **out) {
  return parse(text, length, where, false, out);
}

ft_err ft_json_parse_data(const char *text, size_t length, const char *where, cJSON **out) {
  return parse(text, length, where, true, out);
}

ft_err ft_json_read(const char *path, cJSON **out) {
  char *text = NULL;
  size_t bytes;
  *out = NULL;
  ft_err err = ft_read_file(path, MAX_FILE_BYTES, &text, &bytes);
  if (err == FT_OK) err = ft_json_parse(text, bytes, path, out);
  /* where it is something else altogether, that says more than the first wrong character */
  if (err == FT_ERR_DATA) (void)ft_kind_check(path, FT_WANT_JSON);
  ft_free(text);
  return err;
}

ft_err ft_json_read_if_there(const char *dir, const char *name, cJSON **out) {
  char *path = NULL;
  *out = NULL;
  ft_err err = ft_path_join(dir, name, &path);
  if (err == FT_OK && ft_path_exists(path)) err = ft_json_read(path, out);
  ft_free(path);
  return err;
}

cJSON *ft_json_get(const cJSON *object, const char *name) {
  return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

bool ft_json_i64(const cJSON *item, int64_t *out) {
  if (!cJSON_IsNumber(item)) return false;
  double value = item->valuedouble;
  if (!(fabs(value) < 9007199254740992.0) || value != floor(value)) return false;
  *out = (int64_t)value;
  return true;
}
