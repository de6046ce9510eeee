/* Sixteen bytes at once, by the compiler's vectors. */
#include "ascii_masks.h"

typedef uint8_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));

/* The top bits of 16 bytes. */
static inline uint16_t top_bits(bytes16 bytes) {
#ifdef __SSE2__
  typedef char chars __attribute__((vector_size(16)));
  return (uint16_t)__builtin_ia32_pmovmskb128((chars)bytes);
#else
  uint64_t halves[2];
  memcpy(halves, &bytes, sizeof halves);
  for (int i = 0; i < 2; i++) /* the product brings the eight bits together */
    halves[i] = (halves[i] >> 7 & 0x0101010101010101u) * 0x0102040810204080u >> 56;
  return (uint16_t)(halves[0] | halves[1] << 8);
#endif
}

static inline void put(uint8_t *mask, size_t at, uint16_t bits) {
  memcpy(mask + at / 8, &bits, sizeof bits);
}

static inline void fill16(bytes16 v, size_t at, ft_ascii_masks *out) {
  bytes16 apostrophe = (bytes16)(v == '\'');
  bytes16 letter = (bytes16)(((v | 0x20) - 'a') < 26), digit = (bytes16)((v - '0') < 10);
  bytes16 newline = (bytes16)(v == '\n') | (bytes16)(v == '\r');
  bytes16 gap = (bytes16)(v == ' '), space = gap | (bytes16)((v - '\t') < 5);
  put(out->letter, at, top_bits(letter));
  put(out->lower, at, top_bits(letter & (v << 2)));
  put(out->digit, at, top_bits(digit));
  put(out->space, at, top_bits(space));
  put(out->gap, at, top_bits(gap));
  put(out->newline, at, top_bits(newline));
  put(out->other, at, top_bits(~(letter | digit | space | v)));
  put(out->front, at, top_bits(~(letter | digit | newline | apostrophe | v)));
  put(out->high, at, top_bits(v));
}

void ft_ascii_masks_fill(const char *text, size_t bytes, size_t start, ft_ascii_masks *out) {
  const char *from = text + start;
  size_t left = bytes - start, at = 0;
  bytes16 v, all = {0};
  out->start = start;
  out->length = left < FT_MASKED ? left : FT_MASKED;
  for (; at < FT_MASKED && at + sizeof v <= left; at += sizeof v) {
    v = *(const bytes16 *)(from + at);
    all |= v;
    fill16(v, at, out);
  }
  out->is_ascii = !top_bits(all);
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
