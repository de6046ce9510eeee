/* Inside splitter.c: where all words of some fifty bytes of ASCII begin, at once. */
#ifndef FT_TOKENIZER_SPLITTER_STARTS_H
#define FT_TOKENIZER_SPLITTER_STARTS_H

#include "splitter_runs.h"

/* A window as bits, the first byte lowest. A word begins at its first byte, so that nothing before
 * it counts. */
typedef struct window_bits {
  uint64_t letter, digit, space, newline, other, apostrophe, gap;
  unsigned known; /* bytes before the first one that is no ASCII */
} window_bits;

INLINE window_bits bits_at(const ft_ascii_masks *masks, size_t at) {
  window w = {.masks = masks, .at = at};
  window_bits b = {.letter = BITS(&w, letter),
                   .digit = BITS(&w, digit),
                   .space = BITS(&w, space),
                   .newline = BITS(&w, newline),
                   .other = BITS(&w, other),
                   .gap = BITS(&w, gap)};
  b.known = (unsigned)__builtin_ctzll(BITS(&w, high) | (uint64_t)1 << FT_WINDOW);
  b.apostrophe = b.other & ~BITS(&w, front) & (((uint64_t)1 << b.known) - 1);
  return b;
}

/* The first bit of each run of bits. */
INLINE uint64_t first_of_runs(uint64_t bits) {
  return bits & ~(bits << 1);
}

/* \p{N}{1,3}: the first digit of each three; \p{N}: each digit. */
INLINE uint64_t number_starts(uint64_t digit, unsigned most) {
  if (most == 1) return digit;
  uint64_t starts = first_of_runs(digit), next = starts;
  uint64_t fourth = digit & digit << 1 & digit << 2 & digit << 3;
  while ((next = next << 3 & fourth) != 0)
    starts |= next;
  return starts;
}

/* White space that may begin a word: \s*[\r\n]+ up to the last end of a line in a run, blanks
 * behind it but for the last, and the last. `rest` is white space that signs did not take. */
INLINE uint64_t space_starts(const window_bits *b, uint64_t rest) {
  uint64_t blank = b->space & ~b->newline;
  uint64_t last = blank & ~(b->space >> 1), behind = blank & (b->newline & rest) << 1;
  uint64_t followed = (blank + behind) & b->newline & ~behind; /* by one more end of a line */
  for (; followed; followed &= followed - 1) {
    uint64_t before = behind & ((followed & -followed) - 1);
    behind &= ~((uint64_t)1 << (63 - __builtin_clzll(before)));
  }
  return first_of_runs(rest) | behind | last;
}

/* Starts behind contractions (?i:'s|'t|'re|'ve|'m|'ll|'d). */
INLINE uint64_t behind_contractions(const reading *r, size_t at, uint64_t apostrophes) {
  uint64_t starts = 0;
  for (; apostrophes; apostrophes &= apostrophes - 1) {
    unsigned from = (unsigned)__builtin_ctzll(apostrophes);
    size_t taken = contraction(r, at + from, true);
    if (taken) starts |= (uint64_t)1 << (from + taken);
  }
  return starts;
}

/* Starts that are sure: not past what is known, nor inside white space that may go on there. */
INLINE uint64_t sure_starts(const window_bits *b, uint64_t starts) {
  uint64_t in = ((uint64_t)1 << b->known) - 1, solid = ~b->space & in;
  if (!solid) return 0;
  return starts & in & (((uint64_t)4 << (63 - __builtin_clzll(solid))) - 1) & ~(uint64_t)1;
}

/* Words of cl100k and its kin at `at` of the text, where one begins: where the others begin, as
 * bits from `at` on. 0: nothing is known, the next word least of all. */
INLINE uint64_t cl100k_starts(const reading *r, size_t at, unsigned most_numbers) {
  window_bits b = bits_at(r->masks, at - r->masks->start);
  uint64_t blank = b.space & ~b.newline;
  uint64_t signs = first_of_runs(b.other) & ~(b.gap << 1); /* " ?" takes the space before */
  uint64_t lone = signs & ~(b.other >> 1);                 /* letters behind it are its word */
  uint64_t letters = first_of_runs(b.letter) & ~((blank | lone) << 1);
  uint64_t taken = b.newline & ~(b.newline + (b.newline & b.other << 1)); /* by signs */
  uint64_t starts =
      signs | letters | number_starts(b.digit, most_numbers) | space_starts(&b, b.space & ~taken);
  starts |= behind_contractions(r, at, b.apostrophe & lone & b.letter >> 1);
  return sure_starts(&b, starts);
}

#endif
