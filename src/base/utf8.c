/* UTF-8: what is well-formed (Unicode, table 3-7), what is white space, and writing it. */
#include "ft/base_utf8.h"

size_t ft_utf8_next(const char *s, size_t room, size_t *valid) {
  const unsigned char *u = (const unsigned char *)s;
  *valid = 1;
  if (u[0] < 0x80) return 1;
  if (u[0] < 0xC2 || u[0] > 0xF4) return 0;
  size_t length = u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
  /* the second byte's range excludes overlong forms, surrogates and what lies past U+10FFFF */
  unsigned char low = u[0] == 0xE0 ? 0xA0 : u[0] == 0xF0 ? 0x90 : 0x80;
  unsigned char high = u[0] == 0xED ? 0x9F : u[0] == 0xF4 ? 0x8F : 0xBF;
  for (; *valid < length; ++*valid) {
    if (*valid >= room || u[*valid] < low || u[*valid] > high) return 0;
    low = 0x80;
    high = 0xBF;
  }
  return length;
}

size_t ft_utf8_space(const char *s, size_t room) {
  if (room == 0) return 0;
  unsigned char c = (unsigned char)s[0];
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
  size_t valid, bytes;
  if (ft_utf8_next(s, room, &valid) == 0) return 0;
  uint32_t code = ft_utf8_decode(s, &bytes);
  bool space = code == 0x85 || code == 0xA0 || code == 0x1680 ||
               (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
               code == 0x202F || code == 0x205F || code == 0x3000;
  return space ? bytes : 0;
}

size_t ft_utf8_encode(uint32_t code, char *out) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (char)(0xC0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3F));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xE0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3F));
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | code >> 18);
  out[1] = (char)(0x80 | (code >> 12 & 0x3F));
  out[2] = (char)(0x80 | (code >> 6 & 0x3F));
  out[3] = (char)(0x80 | (code & 0x3F));
  return 4;
}
