/* Bracketed classes of Oniguruma's dialect ([a-z], nested, intersected with &&, [:alpha:] …) as
 * sets of code points, and the escapes that may stand in them. */
#include "regex.h"

#include <string.h>

#include "unicode.h"

enum { MAX_NESTING = 64 };

ft_err ft_regex_refuse(const ft_regex_parser *p, const char *what) {
  return ft_fail(FT_ERR_DATA, "the regular expression \"%.500s\": %s (at byte %zu)", p->pattern,
                 what, (size_t)(p->at - p->pattern));
}

/* \xHH, \x{H…} and \uHHHH; at the backslash. */
static ft_err hex_escape(ft_regex_parser *p, int64_t *code) {
  bool braces = p->at[2] == '{', wide = p->at[1] == 'u';
  const char *s = p->at + 2 + braces;
  int digits = 0, most = braces ? 8 : wide ? 4 : 2;
  int64_t value = 0;
  for (; digits < most && ft_hex_digit(*s) >= 0; s++, digits++)
    value = value * 16 + ft_hex_digit(*s);
  bool complete =
      digits > 0 && (!wide || digits == 4) && (!braces || *s == '}') && !(wide && braces);
  if (!complete) return ft_regex_refuse(p, "a hexadecimal escape that is not complete");
  if (value >= FT_CODE_POINTS || (value >= 0xD800 && value <= 0xDFFF))
    return ft_regex_refuse(p, "an escape that is no Unicode character");
  p->at = s + braces;
  *code = value;
  return FT_OK;
}

ft_err ft_regex_escape_code(ft_regex_parser *p, int64_t *code) {
  static const char letters[] = "tnrfvae", meanings[] = "\t\n\r\f\v\a\x1b";
  char c = p->at[1];
  *code = -1;
  if (c == 0) return ft_regex_refuse(p, "a backslash at the end");
  const char *found = strchr(letters, c);
  if (found) {
    *code = meanings[found - letters];
    p->at += 2;
    return FT_OK;
  }
  if (c == 'x' || c == 'u') return hex_escape(p, code);
  if (c >= '0' && c <= '9')
    return ft_regex_refuse(p, "back-references and octal escapes are not supported");
  if (strchr("cCMo", c)) return ft_regex_refuse(p, "\\c, \\C, \\M and \\o are not supported");
  if (strchr("sSwWdDhHpPbBAZzGKRXNOyYkg", c)) return FT_OK; /* a class or an assertion */
  size_t length;
  *code = ft_utf8_decode(p->at + 1, &length);
  p->at += 1 + length;
  return FT_OK;
}

ft_err ft_regex_property(ft_regex_parser *p, ft_code_set *set, bool *negated, const char **pcre2) {
  char name[32];
  *negated = p->at[1] == 'P';
  const char *s = p->at + 2, *end;
  if (*s != '{' || !(end = strchr(s, '}'))) return ft_regex_refuse(p, "\\p without {NAME}");
  s++;
  if (*s == '^') {
    *negated = !*negated;
    s++;
  }
  if (end - s >= (ptrdiff_t)sizeof name) return ft_regex_refuse(p, "a property's name is too long");
  memcpy(name, s, (size_t)(end - s));
  name[end - s] = 0;
  p->at = end + 1;
  ft_err err = ft_code_set_add_property(set, name, pcre2);
  if (err == FT_ERR_DATA) ft_fail_prefix(err, "the regular expression \"%.500s\"", p->pattern);
  return err;
}

/* What a class in brackets is read into. */
typedef struct class_items {
  ft_code_set set;
  ft_regex_text quick; /* the same in PCRE2's dialect, without brackets */
  bool has_quick;      /* … if it can be said there */
} class_items;

static void items_fini(class_items *items) {
  ft_code_set_fini(&items->set);
  ft_regex_text_fini(&items->quick);
}

static ft_err read_class(ft_regex_parser *p, int depth, class_items *out);

/* Unites set (inverted if negated), called `quick` in PCRE2's dialect (NULL: it has no name). */
static ft_err add_set(class_items *items, ft_code_set *set, bool negated, const char *quick) {
  ft_err err = FT_OK;
  if (negated) FT_TRY(ft_code_set_invert(set));
  FT_TRY(ft_code_set_unite(&items->set, set));
  if (quick)
    FT_TRY(ft_regex_put(&items->quick, quick, strlen(quick)));
  else
    items->has_quick = false;
out:
  return err;
}

/* \s \S \w \W \d \D \h \H \p{…} \P{…}; at the backslash. */
static ft_err add_escape(ft_regex_parser *p, class_items *items) {
  ft_err err = FT_OK;
  ft_code_set set = {0};
  char c = p->at[1], quick[8] = "";
  if (p->caseless && strchr("PWH", c)) /* \S and \D hold all cases of a letter or none */
    FT_TRY(ft_regex_refuse(p, "a negated set of letters inside a class that ignores case"));
  if (c == 'p' || c == 'P') {
    bool negated;
    const char *name;
    FT_TRY(ft_regex_property(p, &set, &negated, &name));
    if (name) snprintf(quick, sizeof quick, "\\%c{%s}", negated ? 'P' : 'p', name);
    FT_TRY(add_set(items, &set, negated, name ? quick : NULL));
  } else {
    bool negated = c == 'S' || c == 'W' || c == 'D' || c == 'H';
    char kind = negated ? (char)(c + 32) : c;
    if (!strchr("swdh", kind)) FT_TRY(ft_regex_refuse(p, "an escape that has no place in []"));
    FT_TRY(ft_code_set_add_kind(&set, kind));
    p->at += 2;
    const char *name = kind == 's'   ? negated ? "\\S" : "\\s"
                       : kind == 'd' ? negated ? "\\P{Nd}" : "\\p{Nd}"
                                     : NULL;
    FT_TRY(add_set(items, &set, negated, name));
  }
out:
  ft_code_set_fini(&set);
  return err;
}

/* [:name:] or [:^name:]; *done is false if it is none. */
static ft_err add_posix(ft_regex_parser *p, class_items *items, bool *done) {
  ft_err err = FT_OK;
  ft_code_set set = {0};
  *done = false;
  if (p->at[1] != ':') return FT_OK; /* it may be the end of the pattern */
  const char *name = p->at + 2, *end = strstr(name, ":]"), *unused;
  bool negated = *name == '^';
  name += negated;
  *done = end && end >= name && end - name < 32;
  if (!*done) return FT_OK;
  char copy[32];
  memcpy(copy, name, (size_t)(end - name));
  copy[end - name] = 0;
  if (strcmp(copy, "xdigit") == 0)
    FT_TRY(ft_code_set_add_kind(&set, 'h'));
  else if (strcmp(copy, "digit") == 0 || strcmp(copy, "space") == 0 || strcmp(copy, "word") == 0)
    FT_TRY(ft_code_set_add_property(&set, copy, &unused));
  else
    FT_TRY(ft_regex_refuse(p, "of POSIX classes, digit, space, word and xdigit are supported"));
  p->at = end + 2;
  if (negated && p->caseless)
    FT_TRY(ft_regex_refuse(p, "a negated class inside one that ignores case"));
  FT_TRY(add_set(items, &set, negated, NULL));
out:
  ft_code_set_fini(&set);
  return err;
}

static ft_err add_nested(ft_regex_parser *p, int depth, class_items *items) {
  ft_err err = FT_OK;
  class_items nested = {0};
  bool done;
  FT_TRY(add_posix(p, items, &done));
  if (done) goto out;
  FT_TRY(read_class(p, depth + 1, &nested));
  FT_TRY(add_set(items, &nested.set, false, nested.has_quick ? nested.quick.text : NULL));
out:
  items_fini(&nested);
  return err;
}

/* One character of a class, written or escaped; *code is -1 at an escape for a set. */
static ft_err read_code(ft_regex_parser *p, int64_t *code) {
  if (*p->at == '\\') {
    if (p->at[1] == 'b') { /* backspace, here */
      *code = '\b';
      p->at += 2;
      return FT_OK;
    }
    return ft_regex_escape_code(p, code);
  }
  if (!*p->at) return ft_regex_refuse(p, "a class without its ]");
  size_t length;
  *code = ft_utf8_decode(p->at, &length);
  p->at += length;
  return FT_OK;
}

/* A character or a range of them. */
static ft_err add_range(ft_regex_parser *p, class_items *items) {
  ft_err err = FT_OK;
  int64_t first, last;
  FT_TRY(read_code(p, &first));
  if (first < 0) return add_escape(p, items);
  last = first;
  if (p->at[0] == '-' && p->at[1] && p->at[1] != ']' && !(p->at[1] == '&' && p->at[2] == '&')) {
    p->at++;
    if (*p->at == '[') FT_TRY(ft_regex_refuse(p, "a range that ends in a class"));
    FT_TRY(read_code(p, &last));
    if (last < first) FT_TRY(ft_regex_refuse(p, "a range that ends before it begins"));
  }
  FT_TRY(ft_code_set_add(&items->set, (uint32_t)first, (uint32_t)last));
  FT_TRY(ft_regex_put_code(&items->quick, (uint32_t)first));
  if (last > first) {
    FT_TRY(ft_regex_put(&items->quick, "-", 1));
    FT_TRY(ft_regex_put_code(&items->quick, (uint32_t)last));
  }
out:
  return err;
}

/* Items up to "]" or "&&". */
static ft_err read_items(ft_regex_parser *p, int depth, class_items *items) {
  ft_err err = FT_OK;
  const char *begin = p->at;
  items->has_quick = true;
  for (;;) {
    if (*p->at == ']' && p->at != begin) break;
    if (p->at[0] == '&' && p->at[1] == '&') break;
    if (*p->at == '[') {
      FT_TRY(add_nested(p, depth, items));
      continue;
    }
    bool is_set = *p->at == '\\' && p->at[1] && strchr("sSwWdDhHpP", p->at[1]);
    FT_TRY(add_range(p, items));
    if (is_set && p->at[0] == '-' && p->at[1] != ']')
      FT_TRY(ft_regex_refuse(p, "a range that begins with a class"));
  }
out:
  return err;
}

static ft_err read_class(ft_regex_parser *p, int depth, class_items *out) {
  ft_err err = FT_OK;
  class_items more = {0};
  if (depth > MAX_NESTING) FT_TRY(ft_regex_refuse(p, "classes nested too deeply"));
  p->at++;
  bool negated = *p->at == '^';
  p->at += negated;
  FT_TRY(read_items(p, depth, out));
  while (*p->at == '&') {
    p->at += 2;
    FT_TRY(read_items(p, depth, &more));
    FT_TRY(ft_code_set_intersect(&out->set, &more.set));
    out->has_quick = false;
    items_fini(&more);
    more = (class_items){0};
  }
  if (!*p->at) FT_TRY(ft_regex_refuse(p, "a class without its ]"));
  p->at++;
  if (negated && depth > 0) { /* the outermost class says ^ itself */
    if (p->caseless) FT_TRY(ft_regex_refuse(p, "a negated class inside one that ignores case"));
    FT_TRY(ft_code_set_invert(&out->set));
    out->has_quick = false;
  }
out:
  items_fini(&more);
  return err;
}

ft_err ft_regex_class(ft_regex_parser *p, ft_regex_text *quick, ft_regex_text *exact) {
  ft_err err = FT_OK;
  class_items items = {0};
  bool negated = p->at[1] == '^';
  FT_TRY(read_class(p, 0, &items));
  FT_TRY(ft_regex_put_set(exact, &items.set, negated));
  if (items.has_quick && !p->caseless) { /* PCRE2's properties know no case */
    FT_TRY(ft_regex_put(quick, negated ? "[^" : "[", negated ? 2 : 1));
    FT_TRY(ft_regex_put(quick, items.quick.text, items.quick.length));
    FT_TRY(ft_regex_put(quick, "]", 1));
  } else {
    FT_TRY(ft_regex_put_set(quick, &items.set, negated));
  }
out:
  items_fini(&items);
  return err;
}
