/* Inside splitter.c: runs of characters, in any text and, by masks, in ASCII. */
#ifndef FT_TOKENIZER_SPLITTER_RUNS_H
#define FT_TOKENIZER_SPLITTER_RUNS_H

#include <string.h>

#include "ascii_masks.h"
#include "char_class.h"

/* Text that is being cut. */
typedef struct reading {
  const ft_char_classes *classes;
  const char *text;
  size_t bytes;
  const ft_ascii_masks *masks; /* of the stretch that words begin in */
} reading;

/* Helpers are inlined into each pattern's functions, with its masks as constants. */
#define INLINE static inline __attribute__((always_inline))
/* What few words need stays out of the loop over words. */
#define RARE static __attribute__((noinline))

/* ---------------------------------------------------------------- runs */

/* Classes of the character at `at`, 0 at the end of the text. */
INLINE unsigned class_at(const reading *r, size_t at, size_t *length) {
  *length = 0;
  return at < r->bytes ? ft_char_class_at(r->classes, r->text + at, length) : 0;
}

/* End of the run of characters, from `at` on, that are in one of the classes. */
INLINE size_t run_of(const reading *r, size_t at, unsigned classes) {
  size_t length;
  while (class_at(r, at, &length) & classes)
    at += length;
  return at;
}

/* End of the run of characters that are in none of the classes. */
INLINE size_t run_without(const reading *r, size_t at, unsigned classes) {
  for (size_t length; at < r->bytes; at += length)
    if (class_at(r, at, &length) & classes) break;
  return at;
}

/* The top bit of each of eight bytes that is no ASCII letter. */
INLINE uint64_t not_letters(uint64_t bytes) {
  const uint64_t ones = 0x0101010101010101u, tops = 0x80 * ones;
  uint64_t lower = (bytes | 0x20 * ones) & ~tops;
  uint64_t from_a = lower + (0x80 - 'a') * ones, past_z = lower + (0x80 - 'z' - 1) * ones;
  return ~(from_a & ~past_z & ~bytes) & tops;
}

/* As run_of, for classes that have all ASCII letters and nothing else of ASCII. */
INLINE size_t run_of_letters(const reading *r, size_t at, unsigned classes) {
  uint64_t eight;
  while (at + sizeof eight <= r->bytes) {
    memcpy(&eight, r->text + at, sizeof eight);
    uint64_t others = not_letters(eight);
    at += others ? (size_t)__builtin_ctzll(others) / 8 : sizeof eight;
    if (!others) continue;
    size_t length;
    if ((unsigned char)r->text[at] < 0x80 || !(class_at(r, at, &length) & classes)) return at;
    at += length;
  }
  return run_of(r, at, classes);
}

/* \p{N}{1,most}, at a number. */
INLINE size_t numbers(const reading *r, size_t at, int most) {
  size_t length;
  for (int i = 0; i < most && class_at(r, at, &length) & FT_NUMBER; i++)
    at += length;
  return at;
}

/* [\r\n]*, or [\r\n/]* */
INLINE size_t line_ends(const reading *r, size_t at, bool slashes) {
  while (at < r->bytes &&
         (r->text[at] == '\n' || r->text[at] == '\r' || (slashes && r->text[at] == '/')))
    at++;
  return at;
}

/* White space at `at`: \s*[\r\n]+ if `lines`, else \s+(?!\S), else \s+. A character in one of the
 * classes `fences` is the end of the text. */
INLINE size_t white_space(const reading *r, size_t at, bool lines, unsigned fences) {
  size_t length, last = at, behind_line = 0;
  unsigned class;
  while ((class = class_at(r, at, &length)) & FT_SPACE) {
    last = at;
    at += length;
    if (class & FT_NEWLINE) behind_line = at;
  }
  if (lines && behind_line) return behind_line;
  if (at == r->bytes || class & fences) return at;
  return last;
}

/* The same where the run begins at `at`: a single space is itself. */
INLINE size_t spaces(const reading *r, size_t at, bool lines, unsigned fences) {
  size_t end = white_space(r, at, lines, fences), length;
  if (end > at) return end;
  class_at(r, at, &length);
  return at + length;
}

/* Bytes of 's|'t|'re|'ve|'m|'ll|'d at an apostrophe, or 0. Without regard to case, "ſ" is an s. */
INLINE size_t contraction(const reading *r, size_t at, bool caseless) {
  size_t left = r->bytes - at;
  const char *text = r->text + at;
  if (left < 2 || text[0] != '\'') return 0;
  int fold = caseless ? 0x20 : 0;
  int first = text[1] | fold, second = left > 2 ? text[2] | fold : 0;
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  return caseless && left > 2 && memcmp(text + 1, "ſ", 2) == 0 ? 3 : 0;
}

/* ---------------------------------------------------------------- words of ASCII
 * Most words are of ASCII and end before an ASCII character. Their lengths are found in the masks,
 * without a loop; 0 stands for all others, which are left to the code for any text. */

/* The masks from a word's start on. */
typedef struct window {
  const ft_ascii_masks *masks;
  size_t at;
  bool is_ascii; /* the whole stretch is; a constant in each loop */
} window;
#define BITS(WINDOW, MASK) ft_mask_bits((WINDOW)->masks->MASK, (WINDOW)->at)

INLINE bool has(uint64_t bits, unsigned at) {
  return bits >> at & 1;
}

/* `end` if the word is known to end there. */
INLINE unsigned checked(const window *w, unsigned end) {
  if (end >= FT_WINDOW) return 0;
  return (w->is_ascii ? w->at + end >= w->masks->length : has(BITS(w, high), end)) ? 0 : end;
}

/* White space at the window's start; see white_space. */
INLINE unsigned window_spaces(const window *w, bool lines, uint64_t fences) {
  unsigned end = ft_mask_run(BITS(w, space), 0);
  if (!checked(w, end)) return 0;
  uint64_t line_ends = BITS(w, newline) & (((uint64_t)1 << end) - 1);
  if (lines && line_ends) return 64 - (unsigned)__builtin_clzll(line_ends);
  return end == 1 || has(fences, end) ? end : end - 1;
}

/* Signs from `at` on, and line ends if `lines`. */
INLINE unsigned window_signs(const window *w, unsigned at, bool lines) {
  unsigned end = at + ft_mask_run(BITS(w, other), at);
  if (!checked(w, end) || !lines) return checked(w, end);
  return checked(w, end + ft_mask_run(BITS(w, newline), end));
}

INLINE unsigned window_letters(const window *w, uint64_t letters, unsigned at) {
  return checked(w, at + ft_mask_run(letters, at));
}

#endif
