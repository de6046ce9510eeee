/* The string that a translated pattern is put together in: literal code points, sets of them. */
#include "regex.h"

#include <string.h>

enum { MAX_TEXT = 1 << 20 };

void ft_regex_text_fini(ft_regex_text *t) {
  ft_free(t->text);
  *t = (ft_regex_text){0};
}

ft_err ft_regex_put(ft_regex_text *t, const char *s, size_t bytes) {
  if (t->length + bytes > MAX_TEXT) /* a class that is spelled out has some 10 KB */
    return ft_fail(FT_ERR_DATA, "a regular expression of more than %d bytes, written out",
                   MAX_TEXT);
  ft_err err =
      ft_grow_bytes(FT_MEM_TOKENIZER, t->length + bytes + 1, &t->capacity, (void **)&t->text);
  if (err != FT_OK) return err;
  memcpy(t->text + t->length, s, bytes);
  t->length += bytes;
  t->text[t->length] = 0;
  return FT_OK;
}

ft_err ft_regex_put_code(ft_regex_text *t, uint32_t code) {
  bool plain = (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') ||
               (code >= 'A' && code <= 'Z') || code == ' ' || code == '\'' || code == '_';
  char text[16];
  int length = snprintf(text, sizeof text, plain ? "%c" : "\\x{%x}", (unsigned)code);
  return ft_regex_put(t, text, (size_t)length);
}

/* Surrogates are in no text and must not be named. */
static ft_err put_span(ft_regex_text *t, uint32_t first, uint32_t last) {
  if (first >= 0xD800 && first <= 0xDFFF) first = 0xE000;
  if (last >= 0xD800 && last <= 0xDFFF) last = 0xD7FF;
  if (first > last) return FT_OK;
  ft_err err = ft_regex_put_code(t, first);
  if (err == FT_OK && last > first) err = ft_regex_put(t, "-", 1);
  if (err == FT_OK && last > first) err = ft_regex_put_code(t, last);
  return err;
}

ft_err ft_regex_put_set(ft_regex_text *t, const ft_code_set *set, bool negated) {
  ft_err err = FT_OK;
  if (set->count == 0) { /* PCRE2 has no empty class */
    static const char none[] = "[^\\x{0}-\\x{10ffff}]", any[] = "[\\x{0}-\\x{10ffff}]";
    return negated ? ft_regex_put(t, any, sizeof any - 1) : ft_regex_put(t, none, sizeof none - 1);
  }
  FT_TRY(ft_regex_put(t, negated ? "[^" : "[", negated ? 2 : 1));
  for (int64_t i = 0; i < set->count; i++)
    FT_TRY(put_span(t, set->spans[i].first, set->spans[i].last));
  FT_TRY(ft_regex_put(t, "]", 1));
out:
  return err;
}
