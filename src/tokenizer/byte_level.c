/* GPT-2's byte alphabet: printable characters of Latin-1 stand for themselves, the other 68 bytes
 * are U+0100 … U+0143 in order. */
#include "byte_level.h"

#include "unicode.h"

static bool is_printable(uint32_t code) {
  return (code >= '!' && code <= '~') || (code >= 0xA1 && code <= 0xAC) ||
         (code >= 0xAE && code <= 0xFF);
}

uint32_t ft_byte_level_code(uint8_t byte) {
  if (is_printable(byte)) return byte;
  if (byte <= 0x20) return 0x100u + byte;                        /* 33 of them */
  if (byte >= 0x7F && byte <= 0xA0) return 0x121u + byte - 0x7F; /* 34 */
  return 0x143;                                                  /* the soft hyphen */
}

/* The byte that a character stands for, or -1. */
static int byte_of(uint32_t code) {
  if (code < 0x100) return is_printable(code) ? (int)code : -1;
  if (code <= 0x120) return (int)code - 0x100;
  if (code <= 0x142) return (int)code - 0x121 + 0x7F;
  return code == 0x143 ? 0xAD : -1;
}

ft_err ft_byte_level_put(ft_buffer *out, const char *text, size_t bytes) {
  ft_err err = ft_buffer_reserve(out, 2 * bytes);
  if (err != FT_OK) return err;
  for (size_t i = 0; i < bytes; i++)
    out->bytes += ft_utf8_encode(ft_byte_level_code((uint8_t)text[i]), out->data + out->bytes);
  return FT_OK;
}

bool ft_byte_level_decode(const char *text, size_t bytes, char *out, size_t *length) {
  *length = 0;
  for (size_t i = 0, step = 1; i < bytes; i += step) {
    bool plain = text[i] >= '!' && text[i] <= '~'; /* most of them */
    int byte = plain ? text[i] : byte_of(ft_utf8_decode(text + i, &step));
    if (byte < 0) return false;
    out[(*length)++] = (char)byte;
    if (plain) step = 1;
  }
  return true;
}
