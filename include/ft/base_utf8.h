/* base: UTF-8, one character at a time. */
#ifndef FT_BASE_UTF8_H
#define FT_BASE_UTF8_H

#include "ft/base.h"

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

/* Bytes of the white space character at s, as Python's str.isspace sees it, or 0. What is not
 * well-formed within `room` bytes is none. */
size_t ft_utf8_space(const char *s, size_t room);

/* Writes the code point's UTF-8 (up to 4 bytes) and returns its length. */
size_t ft_utf8_encode(uint32_t code, char *out);

/* Start of the character that ends before text[at] (valid UTF-8, at > 0). */
static inline size_t ft_utf8_before(const char *text, size_t at) {
  do
    at--;
  while (((unsigned char)text[at] & 0xC0) == 0x80);
  return at;
}

#endif
