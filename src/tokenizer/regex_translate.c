/* From Oniguruma's Ruby dialect of regular expressions to PCRE2's. What they write alike is copied;
 * what they write differently is rewritten: \h and \v, (?m), {n,m}+, a quantifier of a quantifier,
 * classes, properties and word boundaries; what else differs is refused. Groups do not capture. */
#include "regex.h"

#include <string.h>

#include "unicode.h"

/* ---------------------------------------------------------------- the pattern */

enum { MAX_GROUPS = 200 };

typedef struct translator {
  ft_regex_parser in;
  ft_regex_text *out[2];           /* quick, exact */
  size_t atom[2];                  /* where the last atom begins in each */
  bool has_atom, quantified;       /* there is one to repeat; it is repeated already */
  char last_literal;               /* an ASCII letter that was the last atom, or 0 */
  size_t open[MAX_GROUPS][2];      /* where groups begin */
  bool assertion[MAX_GROUPS];      /* nothing to repeat */
  bool outer_caseless[MAX_GROUPS]; /* case before the group */
  int depth;
} translator;

static ft_err put(translator *t, const char *s) {
  ft_err err = ft_regex_put(t->out[0], s, strlen(s));
  return err == FT_OK ? ft_regex_put(t->out[1], s, strlen(s)) : err;
}

static void begin_atom(translator *t) {
  for (int i = 0; i < 2; i++)
    t->atom[i] = t->out[i]->length;
  t->has_atom = true;
  t->quantified = false;
  t->last_literal = 0;
}

static void no_atom(translator *t) {
  t->has_atom = t->quantified = false;
  t->last_literal = 0;
}

/* Ignoring case, Oniguruma takes some letters for one letter of the same sound ("ss" and "ß"). */
static bool folds_together(char a, char b) {
  char pair[3] = {(char)(a | 32), (char)(b | 32), 0};
  return a && (strcmp(pair, "ss") == 0 || strcmp(pair, "st") == 0 || strcmp(pair, "ff") == 0 ||
               strcmp(pair, "fi") == 0 || strcmp(pair, "fl") == 0);
}

static ft_err literal(translator *t, uint32_t code) {
  ft_err err = FT_OK;
  char before = t->quantified ? 0 : t->last_literal, letter = code < 0x80 ? (char)code : 0;
  if (t->in.caseless && (code >= 0x80 || folds_together(before, letter)))
    FT_TRY(ft_regex_refuse(&t->in, "ignoring the case of letters that have several forms (ss, st, "
                                   "ff, fi, fl, any that is not ASCII) is not supported"));
  begin_atom(t);
  t->last_literal = letter;
  for (int i = 0; i < 2; i++)
    FT_TRY(ft_regex_put_code(t->out[i], code));
out:
  return err;
}

/* A set outside of brackets: case does not matter to it. */
static ft_err put_set(translator *t, const ft_code_set *set, bool negated, const char *quick) {
  ft_err err = FT_OK;
  begin_atom(t);
  for (int i = 0; i < 2; i++) {
    if (t->in.caseless) FT_TRY(ft_regex_put(t->out[i], "(?-i:", 5));
    if (i == 0 && quick)
      FT_TRY(ft_regex_put(t->out[i], quick, strlen(quick)));
    else
      FT_TRY(ft_regex_put_set(t->out[i], set, negated));
    if (t->in.caseless) FT_TRY(ft_regex_put(t->out[i], ")", 1));
  }
out:
  return err;
}

static ft_err property(translator *t) {
  ft_err err = FT_OK;
  ft_code_set set = {0};
  bool negated;
  const char *name;
  char quick[8];
  FT_TRY(ft_regex_property(&t->in, &set, &negated, &name));
  if (name) snprintf(quick, sizeof quick, "\\%c{%s}", negated ? 'P' : 'p', name);
  bool cased = name && t->in.caseless; /* some versions of PCRE2 would ignore it */
  FT_TRY(put_set(t, &set, negated, name && !cased ? quick : NULL));
out:
  ft_code_set_fini(&set);
  return err;
}

/* \b is where a word begins or ends, \B is elsewhere. */
static ft_err word_boundary(translator *t, bool negated) {
  ft_err err = FT_OK;
  ft_code_set word = {0};
  FT_TRY(ft_code_set_add_kind(&word, 'w'));
  const char *parts[5] = {"(?:(?<=", ")(?!", ")|(?<!", ")(?=", "))"};
  if (negated) {
    parts[1] = ")(?=";
    parts[3] = ")(?!";
  }
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < 5; k++) {
      FT_TRY(ft_regex_put(t->out[i], parts[k], strlen(parts[k])));
      if (k < 4) FT_TRY(ft_regex_put_set(t->out[i], &word, false));
    }
  t->in.at += 2;
  no_atom(t);
out:
  ft_code_set_fini(&word);
  return err;
}

static ft_err escape(translator *t) {
  ft_err err = FT_OK;
  ft_code_set set = {0};
  char c = t->in.at[1];
  int64_t code;
  FT_TRY(ft_regex_escape_code(&t->in, &code));
  if (code >= 0) {
    FT_TRY(literal(t, (uint32_t)code));
  } else if (c == 'p' || c == 'P') {
    FT_TRY(property(t));
  } else if (strchr("sSwWdDhH", c)) {
    bool negated = c < 'a';
    char kind = negated ? (char)(c + 32) : c;
    FT_TRY(ft_code_set_add_kind(&set, kind));
    t->in.at += 2;
    const char *quick = c == 's' ? "\\s" : c == 'S' ? "\\S" : c == 'd' ? "\\p{Nd}" : NULL;
    FT_TRY(put_set(t, &set, negated, quick));
  } else if (c == 'b' || c == 'B') {
    FT_TRY(word_boundary(t, c == 'B'));
  } else if (c == 'A' || c == 'z' || c == 'Z') {
    const char text[3] = {'\\', c, 0};
    FT_TRY(put(t, text));
    t->in.at += 2;
    no_atom(t);
  } else {
    FT_TRY(ft_regex_refuse(&t->in, "this escape is not supported"));
  }
out:
  ft_code_set_fini(&set);
  return err;
}

/* ---------------------------------------------------------------- groups */

static ft_err open_group(translator *t, const char *text, size_t read, bool assertion) {
  if (t->depth == MAX_GROUPS) return ft_regex_refuse(&t->in, "groups nested too deeply");
  for (int i = 0; i < 2; i++)
    t->open[t->depth][i] = t->out[i]->length;
  t->assertion[t->depth] = assertion;
  t->outer_caseless[t->depth++] = t->in.caseless;
  t->in.at += read;
  no_atom(t);
  return put(t, text);
}

static ft_err close_group(translator *t) {
  if (t->depth == 0) return ft_regex_refuse(&t->in, "a ) without its (");
  t->depth--;
  t->in.at++;
  t->in.caseless = t->outer_caseless[t->depth];
  no_atom(t);
  t->has_atom = !t->assertion[t->depth];
  for (int i = 0; i < 2; i++)
    t->atom[i] = t->open[t->depth][i];
  return put(t, ")");
}

/* (?imx-imx) and (?imx-imx:…): what Ruby calls m is PCRE2's s. */
static ft_err options(translator *t) {
  const char *s = t->in.at + 2;
  bool on = true, caseless = t->in.caseless;
  char text[16] = "(?", *out = text + 2;
  for (; *s == 'i' || *s == 'm' || *s == '-'; s++) {
    if (out - text > 8) return ft_regex_refuse(&t->in, "too many options");
    *out++ = (char)(*s == 'm' ? 's' : *s);
    if (*s == '-') on = false;
    if (*s == 'i') caseless = on;
  }
  ft_err err = FT_OK;
  if (*s == ':') {
    memcpy(out, ":", 2);
    err = open_group(t, text, (size_t)(s + 1 - t->in.at), false);
    t->in.caseless = caseless;
    return err;
  }
  if (*s != ')') return ft_regex_refuse(&t->in, "this kind of group is not supported");
  /* until the group's end, alternatives included: the same thing only where nothing came before */
  bool first =
      t->depth == 0 ? t->out[0]->length == 0 : strchr(":=!>", t->in.at[-1]) || t->in.at[-1] == '(';
  if (!first)
    return ft_regex_refuse(&t->in, "options inside of a group are supported at its start");
  memcpy(out, ")", 2);
  t->in.at = s + 1;
  t->in.caseless = caseless;
  return put(t, text);
}

static ft_err group(translator *t) {
  static const struct {
    const char *text;
    bool assertion;
  } kinds[] = {{"(?:", false}, {"(?>", false}, {"(?=", true},
               {"(?!", true},  {"(?<=", true}, {"(?<!", true}};
  const char *s = t->in.at;
  if (s[1] != '?') return open_group(t, "(?:", 1, false);
  for (size_t i = 0; i < FT_ARRAY_SIZE(kinds); i++)
    if (strncmp(s, kinds[i].text, strlen(kinds[i].text)) == 0)
      return open_group(t, kinds[i].text, strlen(kinds[i].text), kinds[i].assertion);
  if (s[2] == '#') {
    const char *end = strchr(s, ')');
    if (!end) return ft_regex_refuse(&t->in, "a comment without its )");
    t->in.at = end + 1;
    return FT_OK;
  }
  if (s[2] == '<') {
    const char *end = strchr(s, '>');
    if (!end) return ft_regex_refuse(&t->in, "a group's name without its >");
    return open_group(t, "(?:", (size_t)(end + 1 - s), false);
  }
  return options(t);
}

/* ---------------------------------------------------------------- repetition */

/* Puts "(?:" before the last atom and ")" behind it. */
static ft_err wrap_atom(translator *t) {
  for (int i = 0; i < 2; i++) {
    ft_err err = ft_regex_put(t->out[i], "(?:)", 4);
    if (err != FT_OK) return err;
    char *atom = t->out[i]->text + t->atom[i];
    memmove(atom + 3, atom, t->out[i]->length - 4 - t->atom[i]);
    memcpy(atom, "(?:", 3);
  }
  return FT_OK;
}

/* {n} {n,} {n,m} {,m}: its length, or 0 if it is none. */
static size_t interval_length(const char *s) {
  size_t i = 1, digits = 0;
  for (; s[i] >= '0' && s[i] <= '9'; i++)
    digits++;
  if (s[i] == ',')
    for (i++; s[i] >= '0' && s[i] <= '9'; i++)
      digits++;
  return s[i] == '}' && digits > 0 ? i + 1 : 0;
}

static ft_err quantifier(translator *t) {
  ft_err err = FT_OK;
  char text[32];
  const char *s = t->in.at;
  bool interval = *s == '{';
  size_t length = interval ? interval_length(s) : 1;
  if (!t->has_atom) FT_TRY(ft_regex_refuse(&t->in, "nothing to repeat"));
  if (length > sizeof text - 4) FT_TRY(ft_regex_refuse(&t->in, "a number too large"));
  if (interval && s[length] == '?' && !memchr(s, ',', length))
    FT_TRY(ft_regex_refuse(&t->in, "{n}? is not supported"));
  if (t->quantified) FT_TRY(wrap_atom(t));
  bool zero = interval && s[1] == ',';
  snprintf(text, sizeof text, "%s%.*s", zero ? "{0" : "", (int)length - zero, s + zero);
  FT_TRY(put(t, text));
  t->in.at += length;
  t->quantified = true;
  t->last_literal = 0;
  /* "+" after an interval repeats it, in Ruby */
  if (*t->in.at == '?' || (*t->in.at == '+' && !interval)) {
    FT_TRY(put(t, *t->in.at == '?' ? "?" : "+"));
    t->in.at++;
  }
out:
  return err;
}

static ft_err step(translator *t) {
  char c = *t->in.at;
  switch (c) {
  case '\\':
    return escape(t);
  case '(':
    return group(t);
  case ')':
    return close_group(t);
  case '[':
    begin_atom(t);
    return ft_regex_class(&t->in, t->out[0], t->out[1]);
  case '*':
  case '+':
  case '?':
    return quantifier(t);
  case '{':
    if (interval_length(t->in.at) > 0) return quantifier(t);
    break;
  case '.':
    begin_atom(t);
    t->in.at++;
    return put(t, ".");
  case '^':
  case '$':
  case '|': {
    const char text[2] = {c, 0};
    no_atom(t);
    t->in.at++;
    return put(t, text);
  }
  default:
    break;
  }
  size_t length;
  uint32_t code = ft_utf8_decode(t->in.at, &length);
  t->in.at += length;
  return literal(t, code);
}

ft_err ft_regex_translate(const char *pattern, ft_regex_text *quick, ft_regex_text *exact) {
  ft_err err = FT_OK;
  translator t = {.in = {.pattern = pattern, .at = pattern}, .out = {quick, exact}};
  FT_TRY(put(&t, ""));
  while (*t.in.at)
    FT_TRY(step(&t));
  if (t.depth > 0) FT_TRY(ft_regex_refuse(&t.in, "a ( without its )"));
out:
  return err;
}
