/* base: sixteen bytes of text at once, by the compiler's vectors. */
#ifndef FT_BASE_BYTES_H
#define FT_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

typedef uint8_t ft_bytes16 __attribute__((vector_size(16), aligned(1), may_alias));

/* The top bits of 16 bytes, the first one's lowest. Comparisons of vectors set all bits of what
 * holds. */
static inline uint16_t ft_top_bits(ft_bytes16 bytes) {
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

#endif
