/* Inside tokenizer: which bytes of a stretch of text are letters, digits, white space …, as bits.
 */
#ifndef FT_TOKENIZER_ASCII_MASKS_H
#define FT_TOKENIZER_ASCII_MASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FT_MASKED = 1024, FT_MASK_BYTES = FT_MASKED / 8 + 8, FT_WINDOW = 56 };

/* One bit a byte of text, the first one lowest; those of bytes that are no ASCII are 0 in all but
 * `high`. Behind the text all bytes count as no ASCII. */
typedef struct ft_ascii_masks {
  size_t start;                                        /* of the stretch in the text */
  uint8_t letter[FT_MASK_BYTES], lower[FT_MASK_BYTES]; /* of both cases; of these the lower one */
  uint8_t digit[FT_MASK_BYTES];
  uint8_t space[FT_MASK_BYTES];   /* white space, ends of lines included */
  uint8_t gap[FT_MASK_BYTES];     /* ' ' */
  uint8_t newline[FT_MASK_BYTES]; /* \r and \n */
  uint8_t other[FT_MASK_BYTES];   /* other ASCII */
  uint8_t front[FT_MASK_BYTES];   /* other and white space, but for ends of lines and apostrophes */
  uint8_t high[FT_MASK_BYTES];    /* no ASCII */
  size_t length;                  /* of the stretch */
  bool is_ascii;                  /* all of it */
} ft_ascii_masks;

/* Fills masks of text[start … start + FT_MASKED), as far as there is text. */
void ft_ascii_masks_fill(const char *text, size_t bytes, size_t start, ft_ascii_masks *out);

/* The bits from `at` of the stretch on: at least FT_WINDOW of them. */
static inline uint64_t ft_mask_bits(const uint8_t *mask, size_t at) {
  uint64_t bits;
  memcpy(&bits, mask + at / 8, sizeof bits);
  return bits >> (at & 7);
}

/* How many bits in a row are set from `from` on; FT_WINDOW or more: perhaps further ones. */
static inline unsigned ft_mask_run(uint64_t bits, unsigned from) {
  return (unsigned)__builtin_ctzll(~(bits >> from) | (uint64_t)1 << 63);
}

#endif
