/* Sixteen bytes at once, by the compiler's vectors. */
#include "ascii_masks.h"

#include "ft/base_bytes.h"

static inline void put(uint8_t *mask, size_t at, uint16_t bits) {
  memcpy(mask + at / 8, &bits, sizeof bits);
}

static inline void fill16(ft_bytes16 v, size_t at, ft_ascii_masks *out) {
  ft_bytes16 apostrophe = (ft_bytes16)(v == '\'');
  ft_bytes16 letter = (ft_bytes16)(((v | 0x20) - 'a') < 26), digit = (ft_bytes16)((v - '0') < 10);
  ft_bytes16 newline = (ft_bytes16)(v == '\n') | (ft_bytes16)(v == '\r');
  ft_bytes16 gap = (ft_bytes16)(v == ' '), space = gap | (ft_bytes16)((v - '\t') < 5);
  put(out->letter, at, ft_top_bits(letter));
  put(out->lower, at, ft_top_bits(letter & (v << 2)));
  put(out->digit, at, ft_top_bits(digit));
  put(out->space, at, ft_top_bits(space));
  put(out->gap, at, ft_top_bits(gap));
  put(out->newline, at, ft_top_bits(newline));
  put(out->other, at, ft_top_bits(~(letter | digit | space | v)));
  put(out->front, at, ft_top_bits(~(letter | digit | newline | apostrophe | v)));
  put(out->high, at, ft_top_bits(v));
}

void ft_ascii_masks_fill(const char *text, size_t bytes, size_t start, ft_ascii_masks *out) {
  const char *from = text + start;
  size_t left = bytes - start, at = 0;
  ft_bytes16 v, all = {0};
  out->start = start;
  out->length = left < FT_MASKED ? left : FT_MASKED;
  for (; at < FT_MASKED && at + sizeof v <= left; at += sizeof v) {
    v = *(const ft_bytes16 *)(from + at);
    all |= v;
    fill16(v, at, out);
  }
  out->is_ascii = !ft_top_bits(all);
  if (at < FT_MASKED) { /* the text's last bytes, and none behind them */
    memset(&v, 0xFF, sizeof v);
    memcpy(&v, from + at, left - at);
    fill16(v, at, out);
    at += sizeof v;
    out->is_ascii = false;
  }
  uint8_t *const masks[] = {out->letter, out->lower,   out->digit, out->space,
                            out->gap,    out->newline, out->other, out->front};
  for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
    memset(masks[i] + at / 8, 0, FT_MASK_BYTES - at / 8);
  memset(out->high + at / 8, 0xFF, FT_MASK_BYTES - at / 8);
}
