/* Inside text: UTF-8 and the character classes that Hugging Face's tokenizers use. Categories are
 * those of Unicode 16, whatever version PCRE2 and utf8proc have (unicode_tables.h has the
 * differences). */
#ifndef FT_TEXT_UNICODE_H
#define FT_TEXT_UNICODE_H

#include <utf8proc.h>

#include "ft/base.h"

enum { FT_CODE_POINTS = 0x110000 };

/* Bytes of the character that begins with this byte of valid UTF-8. */
static inline size_t ft_utf8_length(char first) {
  unsigned char c = (unsigned char)first;
  return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* The code point at s (valid UTF-8); *length is its number of bytes. */
static inline uint32_t ft_utf8_decode(const char *s, size_t *length) {
  const unsigned char *u = (const unsigned char *)s;
  *length = ft_utf8_length(s[0]);
  switch (*length) {
  case 1:
    return u[0];
  case 2:
    return (u[0] & 0x1Fu) << 6 | (u[1] & 0x3Fu);
  case 3:
    return (u[0] & 0x0Fu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
  default:
    return (u[0] & 0x07u) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
  }
}

/* Bytes of the UTF-8 character at s if it is well-formed within `room` bytes, else 0; *valid is how
 * many bytes could begin a well-formed character (at least 1): what is to be skipped then. */
size_t ft_utf8_next(const char *s, size_t room, size_t *valid);

/* Writes the code point's UTF-8 (up to 4 bytes) and returns its length. */
size_t ft_utf8_encode(uint32_t code, char *out);

/* True if text is well-formed UTF-8; else *at is the first offending byte. *unusual: it holds code
 * points about which versions of Unicode disagree (ft_unicode_is_unusual). */
bool ft_utf8_check(const char *text, size_t bytes, size_t *at, bool *unusual);

/* General category. */
utf8proc_category_t ft_unicode_category(uint32_t code);
/* Unassigned, or classed differently since Unicode 14, or a space to PCRE2 only. */
bool ft_unicode_is_unusual(uint32_t code);
/* Code points that follow each other and are of one kind. */
typedef struct ft_code_run {
  uint32_t first, last;
  utf8proc_category_t category; /* general category */
  bool is_space;                /* White_Space */
  bool is_word;                 /* \w of Oniguruma */
} ft_code_run;
/* All code points, in order. Found once a process (it takes some milliseconds), constant then. */
const ft_code_run *ft_unicode_runs(int64_t *count);
/* White_Space. */
bool ft_unicode_is_space(uint32_t code);
/* \w of Rust's regular expressions. */
bool ft_unicode_is_rust_word(uint32_t code);
/* Rust's char::is_numeric. */
bool ft_unicode_is_numeric(uint32_t code);
/* What StripAccents removes. */
bool ft_unicode_is_accent(uint32_t code);
/* Lower case: one code point, or two (returned: how many). */
size_t ft_unicode_lower(uint32_t code, uint32_t out[2]);
/* Normalization neither decomposes nor reorders it, though newer versions of Unicode may. */
bool ft_unicode_is_opaque(uint32_t code);

#endif
