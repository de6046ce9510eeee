/* From a template's source to tokens. White space is trimmed here: after a block or comment the
 * line's end (trim_blocks), before one the indentation (lstrip_blocks), where a minus stands all
 * of it, where a plus stands nothing. */
#include <stdlib.h>

#include "syntax.h"

enum { MAX_NESTED = 100, MAX_DIGITS = 400 };

typedef struct lexer {
  ft_jinja_arena *arena;
  const char *text; /* [length] lines end with LF only */
  size_t length, at;
  int line;
  bool line_starts;         /* what was read last ended with a line's end */
  char closing[MAX_NESTED]; /* brackets that are open inside the braces */
  int num_open;
  ft_jinja_token *tokens;
  int64_t count, capacity;
} lexer;

static ft_err mistake(const lexer *l, const char *what) {
  return ft_fail(FT_ERR_DATA, "line %d: %s", l->line, what);
}

static bool starts(const lexer *l, size_t at, const char *text) {
  size_t bytes = strlen(text);
  return l->length - at >= bytes && memcmp(l->text + at, text, bytes) == 0;
}

/* Goes on to byte `to`, counting lines. */
static void advance(lexer *l, size_t to) {
  if (to > l->at) l->line_starts = l->text[to - 1] == '\n';
  for (; l->at < to; l->at++)
    l->line += l->text[l->at] == '\n';
}

static size_t skip_space(const lexer *l, size_t at) {
  for (size_t bytes; (bytes = ft_utf8_space(l->text + at, l->length - at)) > 0;)
    at += bytes;
  return at;
}

static ft_err add(lexer *l, ft_jinja_token token) {
  ft_jinja_token *tokens =
      ft_jinja_grow(l->arena, l->tokens, l->count, sizeof *tokens, 64, &l->capacity);
  if (!tokens) return l->arena->failed;
  l->tokens = tokens;
  token.line = l->line;
  l->tokens[l->count++] = token;
  return FT_OK;
}

static ft_err add_text(lexer *l, ft_jinja_token_type type, const char *text, size_t bytes) {
  char *copy = ft_jinja_alloc(l->arena, bytes + 1);
  if (!copy) return l->arena->failed;
  if (bytes > 0) memcpy(copy, text, bytes);
  return add(l, (ft_jinja_token){.type = type, .text = copy, .bytes = bytes});
}

/* ---------------------------------------------------------------- outside of braces */

/* Where the text before a tag at `end` is to stop. */
static size_t text_end(const lexer *l, size_t begin, size_t end, char sign, bool is_variable) {
  if (sign == '-') {
    size_t kept = begin;
    for (size_t at = begin; at < end;) {
      size_t space = ft_utf8_space(l->text + at, end - at);
      at += space ? space : ft_utf8_length(l->text[at]);
      if (!space) kept = at;
    }
    return kept;
  }
  if (sign == '+' || is_variable) return end;
  size_t line = end;
  while (line > begin && l->text[line - 1] != '\n')
    line--;
  if (line == begin && !l->line_starts) return end;
  for (size_t at = line, bytes; at < end; at += bytes)
    if ((bytes = ft_utf8_space(l->text + at, end - at)) == 0) return end;
  return line;
}

static ft_err add_data(lexer *l, size_t end) {
  return end > l->at ? add_text(l, JINJA_T_DATA, l->text + l->at, end - l->at) : FT_OK;
}

/* Bytes of a tag's end "-%}", "+%}" or "%}" at `at` with what it takes of the text behind, or 0. */
static size_t tag_end(const lexer *l, size_t at, const char *close, bool plus, bool trims) {
  bool minus = l->text[at] == '-', sign = minus || (plus && l->text[at] == '+');
  if (at >= l->length || !starts(l, at + sign, close)) return 0;
  size_t end = at + sign + strlen(close);
  if (minus) end = skip_space(l, end);
  if (!sign && trims && end < l->length && l->text[end] == '\n') end++;
  return end - at;
}

static ft_err lex_comment(lexer *l) {
  for (size_t at = l->at; at < l->length; at++) {
    size_t bytes = tag_end(l, at, "#}", true, true);
    if (bytes == 0) continue;
    advance(l, at + bytes);
    return FT_OK;
  }
  return mistake(l, "Missing end of comment tag");
}

/* {% raw %} at `at` (behind its sign): the byte after it, or 0. */
static size_t raw_begin(const lexer *l, size_t at) {
  at = skip_space(l, at);
  if (!starts(l, at, "raw")) return 0;
  at = skip_space(l, at + 3);
  if (starts(l, at, "-%}")) return skip_space(l, at + 3);
  return starts(l, at, "%}") ? at + 2 : 0;
}

/* {% endraw %} at `at`: bytes of it, or 0. */
static size_t raw_end(const lexer *l, size_t at, char *sign) {
  if (!starts(l, at, "{%")) return 0;
  size_t word = at + 2;
  *sign = word < l->length ? l->text[word] : 0;
  word = skip_space(l, word + (*sign == '-' || *sign == '+'));
  if (!starts(l, word, "endraw")) return 0;
  word = skip_space(l, word + 6);
  size_t bytes = word < l->length ? tag_end(l, word, "%}", true, true) : 0;
  return bytes ? word + bytes - at : 0;
}

static ft_err lex_raw(lexer *l) {
  char sign;
  for (size_t at = l->at; at < l->length; at++) {
    size_t bytes = raw_end(l, at, &sign);
    if (bytes == 0) continue;
    ft_err err = add_data(l, text_end(l, l->at, at, sign, false));
    advance(l, at + bytes);
    return err;
  }
  return mistake(l, "Missing end of raw directive");
}

/* ---------------------------------------------------------------- strings */

/* The `digits` hexadecimal digits at s, as UTF-8. */
static ft_err hex_escape(const lexer *l, const char *s, const char *end, int digits, char *out,
                         size_t *used) {
  uint32_t code = 0;
  for (int i = 0; i < digits; i++) {
    int digit = s + i < end ? ft_hex_digit(s[i]) : -1;
    if (digit < 0) return mistake(l, "a truncated \\x, \\u or \\U escape in a string");
    code = code * 16 + (uint32_t)digit;
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
    return mistake(l, "an escape in a string that is no character");
  *used += ft_utf8_encode(code, out + *used);
  return FT_OK;
}

static size_t octal_escape(const char *s, const char *end, char *out, size_t *used) {
  uint32_t code = 0;
  size_t digits = 0;
  for (; digits < 3 && s + digits < end && s[digits] >= '0' && s[digits] <= '7'; digits++)
    code = code * 8 + (uint32_t)(s[digits] - '0');
  *used += ft_utf8_encode(code, out + *used);
  return digits;
}

/* One escape; *s is behind its backslash. `out` has room for what the escape takes, and 6 more. */
static ft_err escape(const lexer *l, const char **s, const char *end, char *out, size_t *used) {
  static const char letters[] = "\\'\"abfnrtv", meanings[] = "\\'\"\a\b\f\n\r\t\v";
  char c = **s;
  const char *found = strchr(letters, c);
  int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (c == '\n') {
    (*s)++;
  } else if (found && c) {
    out[(*used)++] = meanings[found - letters];
    (*s)++;
  } else if (digits) {
    ft_err err = hex_escape(l, *s + 1, end, digits, out, used);
    *s += 1 + digits;
    return err;
  } else if (c >= '0' && c <= '7') {
    *s += octal_escape(*s, end, out, used);
  } else if (c == 'N') {
    return mistake(l, "an escape \\N{…} in a string is not supported");
  } else if ((unsigned char)c >= 0x80) {
    return mistake(l, "a backslash before a character outside of ASCII is not supported");
  } else {
    out[(*used)++] = '\\'; /* unknown ones stay as they are */
  }
  return FT_OK;
}

static ft_err lex_string(lexer *l) {
  char quote = l->text[l->at];
  size_t close = l->at + 1;
  while (close < l->length && l->text[close] != quote)
    close += l->text[close] == '\\' ? 2 : 1;
  if (close >= l->length) return mistake(l, "a string that is not closed");
  const char *s = l->text + l->at + 1, *end = l->text + close;
  char *out = ft_jinja_alloc(l->arena, (size_t)(end - s) * 2 + 8);
  if (!out) return l->arena->failed;
  size_t used = 0;
  while (s < end) {
    if (*s != '\\') {
      out[used++] = *s++;
      continue;
    }
    s++;
    ft_err err = escape(l, &s, end, out, &used);
    if (err != FT_OK) return err;
  }
  ft_err err = add(l, (ft_jinja_token){.type = JINJA_T_STRING, .text = out, .bytes = used});
  advance(l, close + 1);
  return err;
}

/* ---------------------------------------------------------------- numbers */

/* Digits with single underscores between them. */
static size_t digits_end(const lexer *l, size_t at) {
  size_t end = at;
  while (end < l->length) {
    bool joined = l->text[end] == '_' && end > at && end + 1 < l->length;
    char c = l->text[end + joined];
    if (c < '0' || c > '9') break;
    end += 1 + (size_t)joined;
  }
  return end;
}

/* End of the float at `at`, or `at`. */
static size_t float_end(const lexer *l, size_t at) {
  size_t whole = digits_end(l, at), end = whole;
  if (whole == at || (at > 0 && l->text[at - 1] == '.')) return at;
  if (end < l->length && l->text[end] == '.') {
    size_t fraction = digits_end(l, end + 1);
    if (fraction > end + 1) end = fraction;
  }
  if (end < l->length && (l->text[end] == 'e' || l->text[end] == 'E')) {
    size_t sign = end + 1;
    if (sign < l->length && (l->text[sign] == '+' || l->text[sign] == '-')) sign++;
    size_t exponent = digits_end(l, sign);
    if (exponent > sign) end = exponent;
  }
  return end > whole ? end : at;
}

static size_t copy_digits(const lexer *l, size_t end, char *text) {
  size_t used = 0;
  for (size_t i = l->at; i < end && used < MAX_DIGITS; i++)
    if (l->text[i] != '_') text[used++] = l->text[i];
  text[used] = 0;
  return used;
}

static ft_err add_integer(lexer *l, const char *text, int base) {
  uint64_t value = 0;
  for (; *text; text++) {
    uint64_t digit = (uint64_t)ft_hex_digit(*text);
    if (value > ((uint64_t)INT64_MAX - digit) / (uint64_t)base)
      return mistake(l, "an integer of more than 64 bits is not supported");
    value = value * (uint64_t)base + digit;
  }
  return add(l, (ft_jinja_token){.type = JINJA_T_INTEGER, .number = ft_jinja_int((int64_t)value)});
}

static ft_err lex_number(lexer *l) {
  ft_err err = FT_OK;
  char text[MAX_DIGITS + 1];
  size_t end = float_end(l, l->at), begin = l->at;
  FT_CHECK(end - l->at < MAX_DIGITS, FT_ERR_DATA, "line %d: a number that is too long", l->line);
  if (end > l->at) {
    copy_digits(l, end, text);
    FT_TRY(add(
        l, (ft_jinja_token){.type = JINJA_T_FLOAT, .number = ft_jinja_float(strtod(text, NULL))}));
    advance(l, end);
    return FT_OK;
  }
  char kind = l->text[l->at] == '0' && l->at + 1 < l->length ? l->text[l->at + 1] | 0x20 : 0;
  int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
  if (base != 10) begin += 2;
  end = begin;
  bool zero = base == 10 && l->text[begin] == '0'; /* "007" is 00 and then 7 */
  while (end < l->length) {
    bool joined = l->text[end] == '_' && end + 1 < l->length;
    int digit = ft_hex_digit(l->text[end + joined]);
    if (digit < 0 || digit >= (zero ? 1 : base)) break;
    end += 1 + (size_t)joined;
  }
  FT_CHECK(end > begin && end - begin < MAX_DIGITS, FT_ERR_DATA,
           "line %d: a number that is not understood", l->line);
  copy_digits(l, end, text);
  FT_TRY(add_integer(l, base == 10 ? text : text + 2, base));
  advance(l, end);
out:
  return err;
}

/* ---------------------------------------------------------------- inside braces */

static bool is_name(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (!first && c >= '0' && c <= '9');
}

/* Keeps count of brackets: the end of a tag is only looked for outside of them. */
static ft_err balance(lexer *l, char c) {
  if (c == '(' || c == '[' || c == '{') {
    if (l->num_open == MAX_NESTED) return mistake(l, "brackets nested more than 100 deep");
    l->closing[l->num_open++] = (char)(c == '(' ? ')' : c == '[' ? ']' : '}');
  }
  if (c == ')' || c == ']' || c == '}')
    if (l->num_open == 0 || l->closing[--l->num_open] != c)
      return ft_fail(FT_ERR_DATA, "line %d: unexpected '%c'", l->line, c);
  return FT_OK;
}

static ft_err lex_operator(lexer *l) {
  static const char *const operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                          "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                          ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(operators); i++) {
    if (!starts(l, l->at, operators[i])) continue;
    ft_err err = balance(l, operators[i][0]);
    if (err == FT_OK)
      err = add(l, (ft_jinja_token){.type = JINJA_T_OPERATOR,
                                    .text = operators[i],
                                    .bytes = strlen(operators[i])});
    advance(l, l->at + strlen(operators[i]));
    return err;
  }
  return ft_fail(FT_ERR_DATA, "line %d: unexpected character 0x%02x", l->line,
                 (unsigned)(unsigned char)l->text[l->at]);
}

/* Tokens up to the end of {{ … }} or {% … %}. */
static ft_err lex_tag(lexer *l, bool is_block) {
  ft_err err = FT_OK;
  l->num_open = 0;
  while (l->at < l->length) {
    char c = l->text[l->at];
    size_t end = l->num_open ? 0 : tag_end(l, l->at, is_block ? "%}" : "}}", is_block, is_block);
    size_t space = ft_utf8_space(l->text + l->at, l->length - l->at);
    if (end) {
      FT_TRY(add(l, (ft_jinja_token){.type = is_block ? JINJA_T_BLOCK_END : JINJA_T_VARIABLE_END}));
      advance(l, l->at + end);
      return FT_OK;
    }
    if (space) {
      advance(l, l->at + space);
    } else if (c >= '0' && c <= '9') {
      FT_TRY(lex_number(l));
    } else if (is_name(c, true)) {
      size_t name = l->at;
      while (name < l->length && is_name(l->text[name], false))
        name++;
      FT_TRY(add_text(l, JINJA_T_NAME, l->text + l->at, name - l->at));
      advance(l, name);
    } else if (c == '\'' || c == '"') {
      FT_TRY(lex_string(l));
    } else {
      FT_TRY(lex_operator(l));
    }
  }
out:
  return err;
}

/* The tag that begins at `at`, with the text before it. */
static ft_err lex_at_tag(lexer *l, size_t at) {
  char kind = l->text[at + 1];
  size_t behind = at + 2;
  char sign = behind < l->length && (l->text[behind] == '-' || l->text[behind] == '+')
                  ? l->text[behind]
                  : 0;
  behind += sign != 0;
  ft_err err = add_data(l, text_end(l, l->at, at, sign, kind == '{'));
  if (err != FT_OK) return err;
  size_t raw = kind == '%' ? raw_begin(l, behind) : 0;
  advance(l, raw ? raw : behind);
  if (raw) return lex_raw(l);
  if (kind == '#') return lex_comment(l);
  bool is_block = kind == '%';
  err = add(l, (ft_jinja_token){.type = is_block ? JINJA_T_BLOCK_BEGIN : JINJA_T_VARIABLE_BEGIN});
  return err == FT_OK ? lex_tag(l, is_block) : err;
}

/* Lines end with LF; one line's end at the end of the source is dropped. */
static ft_err normalize_lines(lexer *l, const char *source, size_t bytes) {
  char *text = ft_jinja_alloc(l->arena, bytes + 1);
  if (!text) return l->arena->failed;
  for (size_t i = 0; i < bytes; i++) {
    bool cr = source[i] == '\r';
    text[l->length++] = cr ? '\n' : source[i];
    if (cr && i + 1 < bytes && source[i + 1] == '\n') i++;
  }
  if (l->length > 0 && text[l->length - 1] == '\n') l->length--;
  text[l->length] = 0;
  l->text = text;
  return FT_OK;
}

ft_err ft_jinja_lex(ft_jinja_arena *a, const char *source, size_t bytes, ft_jinja_token **tokens,
                    int64_t *count) {
  ft_err err = FT_OK;
  lexer l = {.arena = a, .line = 1, .line_starts = true};
  FT_TRY(normalize_lines(&l, source, bytes));
  while (l.at < l.length) {
    size_t at = l.at;
    while (at + 1 < l.length &&
           !(l.text[at] == '{' && l.text[at + 1] && strchr("{%#", l.text[at + 1])))
      at++;
    if (at + 1 >= l.length) {
      FT_TRY(add_data(&l, l.length));
      break;
    }
    FT_TRY(lex_at_tag(&l, at));
  }
  FT_TRY(add(&l, (ft_jinja_token){.type = JINJA_T_END}));
  *tokens = l.tokens;
  *count = l.count;
out:
  return err;
}
