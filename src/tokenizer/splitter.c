/* Known patterns, word by word. What each alternative of a pattern takes stands beside the code
 * that takes it; L, M, N, P, S are Unicode's general categories. */
#include "splitter.h"

#include "splitter_runs.h"
#include "splitter_starts.h"

/* ---------------------------------------------------------------- GPT-2 */

static const char gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* digits: they are fences. */
INLINE unsigned gpt2_window(const reading *r, bool is_ascii, size_t at, bool digits) {
  window w = {r->masks, at - r->masks->start, is_ascii};
  unsigned front = r->text[at] == ' ';
  uint64_t letter = BITS(&w, letter);
  if (has(letter, front)) return window_letters(&w, letter, front);
  if (r->text[at] == '\'') return 0;
  if (has(BITS(&w, other), front)) return window_signs(&w, front, false);
  uint64_t digit = BITS(&w, digit);
  if (has(digit, front) && !digits) return checked(&w, front + ft_mask_run(digit, front));
  return has(BITS(&w, space), 0) ? window_spaces(&w, false, digits ? digit : 0) : 0;
}

INLINE size_t gpt2_any(const reading *r, size_t at, unsigned fences) {
  size_t length, taken = contraction(r, at, false);
  if (taken) return at + taken;
  size_t behind = at + (r->text[at] == ' '); /* " ?" */
  unsigned class = class_at(r, behind, &length);
  if (behind < r->bytes && !(class & (FT_SPACE | fences))) {
    if (class & FT_LETTER) return run_of_letters(r, behind + length, FT_LETTER);
    if (class & FT_NUMBER) return run_of(r, behind + length, FT_NUMBER);
    return run_without(r, behind + length, FT_SPACE | FT_LETTER | FT_NUMBER | fences);
  }
  return spaces(r, at, false, fences);
}

RARE size_t plain_gpt2_any(const reading *r, size_t at) {
  return gpt2_any(r, at, 0);
}

INLINE size_t plain_gpt2_word(const reading *r, bool is_ascii, size_t at) {
  unsigned quick = gpt2_window(r, is_ascii, at, false);
  return quick ? at + quick : plain_gpt2_any(r, at);
}

/* Each digit by itself, before the pattern sees the text. */
RARE size_t digits_gpt2_any(const reading *r, size_t at) {
  size_t length;
  return class_at(r, at, &length) & FT_DIGIT ? at + length : gpt2_any(r, at, FT_DIGIT);
}

INLINE size_t digits_gpt2_word(const reading *r, bool is_ascii, size_t at) {
  unsigned quick = gpt2_window(r, is_ascii, at, true);
  return quick ? at + quick : digits_gpt2_any(r, at);
}

/* ---------------------------------------------------------------- cl100k and its kin */

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define CL100K(NUMBERS)                                                                            \
  CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" NUMBERS                                           \
               "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const char llama3[] = CL100K("\\p{N}{1,3}"), qwen2[] = CL100K("\\p{N}");
static const char qwen35[] = CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* Words of letters, perhaps behind one other character ([^\r\n\p{L}\p{N}]?). */
INLINE bool has_letters(uint64_t letter, uint64_t fronts, unsigned *front) {
  *front = !has(letter, 0);
  return has(letter, *front) && has(letter | fronts, 0);
}

INLINE size_t cl100k_any(const reading *r, size_t at, unsigned letters, int most_numbers) {
  size_t length, next_length;
  unsigned class = class_at(r, at, &length);
  if (class & letters) return run_of_letters(r, at + length, letters);
  size_t taken = contraction(r, at, true);
  if (taken) return at + taken;
  if (class & FT_NUMBER) return numbers(r, at, most_numbers);
  unsigned next = class_at(r, at + length, &next_length);
  if (!(class & FT_NEWLINE) && next & letters) /* [^\r\n\p{L}\p{N}]? before letters */
    return run_of_letters(r, at + length + next_length, letters);
  unsigned others = FT_SPACE | FT_NUMBER | letters;
  bool follows = r->text[at] == ' ' && at + 1 < r->bytes && !(next & others);
  if (!(class & FT_SPACE) || follows)
    return line_ends(r, run_without(r, at + length, others), false);
  return spaces(r, at, true, 0);
}

RARE size_t llama3_any(const reading *r, size_t at) {
  return cl100k_any(r, at, FT_LETTER, 3);
}

RARE size_t qwen2_any(const reading *r, size_t at) {
  return cl100k_any(r, at, FT_LETTER, 1);
}

RARE size_t qwen35_any(const reading *r, size_t at) {
  return cl100k_any(r, at, FT_LETTER | FT_MARK, 1);
}

/* ---------------------------------------------------------------- o200k and Tekken */

#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(SUFFIX, NUMBERS)                                                                     \
  "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" SUFFIX "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER    \
  "*" SUFFIX "|" NUMBERS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const char o200k[] = CASED(CONTRACTIONS "?", "\\p{N}{1,3}");
static const char tekken[] = CASED("", "\\p{N}");

/* Whether UPPER (LOWER) has a character of these classes. */
INLINE bool in_upper(unsigned class) {
  return class & (FT_LETTER | FT_MARK) && !(class & FT_LOWER);
}
INLINE bool in_lower(unsigned class) {
  return class & (FT_LETTER | FT_MARK) && !(class & FT_UPPER);
}

/* End of UPPER*LOWER+ at `at`, or 0. UPPER* gives back what it took, up to the last character that
 * is in LOWER, too, where no other follows. */
INLINE size_t upper_lower(const reading *r, size_t at) {
  size_t length, behind_both = 0;
  unsigned class;
  for (; in_upper(class = class_at(r, at, &length)); at += length)
    if (in_lower(class)) behind_both = at + length;
  if (!in_lower(class)) return behind_both;
  while (in_lower(class_at(r, at, &length)))
    at += length;
  return at;
}

/* End of UPPER+LOWER* at `at`, or 0; upper_lower did not match there. */
INLINE size_t upper_only(const reading *r, size_t at) {
  size_t length, from = at;
  while (in_upper(class_at(r, at, &length)))
    at += length;
  return at > from ? at : 0;
}

INLINE unsigned cased_window(const reading *r, bool is_ascii, size_t at, bool suffixes,
                             unsigned most_numbers) {
  window w = {r->masks, at - r->masks->start, is_ascii};
  unsigned front, end, space = r->text[at] == ' ';
  uint64_t letter = BITS(&w, letter), lower = BITS(&w, lower), digit = BITS(&w, digit);
  uint64_t fronts = BITS(&w, front) | (r->text[at] == '\''); /* in front, it is like others */
  if (has_letters(letter, fronts, &front)) {
    end = window_letters(&w, lower, front + ft_mask_run(letter & ~lower, front));
    return end && suffixes && r->text[at + end] == '\'' ? 0 : end;
  }
  if (has(BITS(&w, other), space)) { /* a slash behind the end of a line belongs to it */
    end = window_signs(&w, space, true);
    return end && r->text[at + end] == '/' ? 0 : end;
  }
  if (has(digit, 0)) return checked(&w, FT_MIN(ft_mask_run(digit, 0), most_numbers));
  return has(BITS(&w, space), 0) ? window_spaces(&w, true, 0) : 0;
}

INLINE size_t cased_any(const reading *r, size_t at, bool suffixes, int most_numbers) {
  size_t length, end = 0;
  unsigned class = class_at(r, at, &length);
  bool takes_front = !(class & (FT_NEWLINE | FT_LETTER | FT_NUMBER)); /* [^\r\n\p{L}\p{N}]? */
  if (takes_front) end = upper_lower(r, at + length);
  if (!end) end = upper_lower(r, at);
  if (!end && takes_front) end = upper_only(r, at + length);
  if (!end) end = upper_only(r, at);
  if (end) return suffixes ? end + contraction(r, end, true) : end;
  if (class & FT_NUMBER) return numbers(r, at, most_numbers);
  size_t next_length;
  unsigned others = FT_SPACE | FT_LETTER | FT_NUMBER, next = class_at(r, at + length, &next_length);
  bool follows = r->text[at] == ' ' && at + 1 < r->bytes && !(next & others);
  if (!(class & FT_SPACE) || follows)
    return line_ends(r, run_without(r, at + length, others), true);
  return spaces(r, at, true, 0);
}

RARE size_t o200k_any(const reading *r, size_t at) {
  return cased_any(r, at, true, 3);
}

INLINE size_t o200k_word(const reading *r, bool is_ascii, size_t at) {
  unsigned quick = cased_window(r, is_ascii, at, true, 3);
  return quick ? at + quick : o200k_any(r, at);
}

RARE size_t tekken_any(const reading *r, size_t at) {
  return cased_any(r, at, false, 1);
}

INLINE size_t tekken_word(const reading *r, bool is_ascii, size_t at) {
  unsigned quick = cased_window(r, is_ascii, at, false, 1);
  return quick ? at + quick : tekken_any(r, at);
}

/* ---------------------------------------------------------------- DeepSeek V3
 * Numbers are cut out first, then runs of Chinese characters and kana; each part is then split by
 * the third pattern as a text of its own. */

static const char deepseek_numbers[] = "\\p{N}{1,3}", deepseek_han[] = "[一-龥぀-ゟ゠-ヿ]+";
static const char deepseek_words[] =
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* As class_at, inside the part of Chinese and kana or outside: 0 and no length past its end. */
INLINE unsigned class_inside(const reading *r, size_t at, bool han, size_t *length) {
  unsigned class = class_at(r, at, length);
  if (!(class & FT_NUMBER) && !(class & FT_HAN_KANA) == !han) return class;
  *length = 0;
  return 0;
}

INLINE size_t run_inside(const reading *r, size_t at, bool han, unsigned classes) {
  size_t length;
  while (class_inside(r, at, han, &length) & classes)
    at += length;
  return at;
}

INLINE bool is_ascii_letter(const reading *r, size_t at) {
  return at < r->bytes && (unsigned)(r->text[at] | 0x20) - 'a' < 26;
}

/* What no alternative takes, up to where one does: a character of no class, unless it stands before
 * a letter. */
INLINE size_t deepseek_rest(const reading *r, size_t at, bool han) {
  size_t length, next_length;
  for (;;) {
    unsigned class = class_inside(r, at, han, &length);
    if (length == 0 || class & (FT_LETTER | FT_MARK | FT_SIGN | FT_SPACE)) return at;
    if (class_inside(r, at + length, han, &next_length) & (FT_LETTER | FT_MARK)) return at;
    at += length;
  }
}

/* Words of letters and numbers; others are told apart further. */
INLINE unsigned deepseek_window(const reading *r, bool is_ascii, size_t at) {
  window w = {r->masks, at - r->masks->start, is_ascii};
  unsigned front;
  uint64_t letter = BITS(&w, letter), digit = BITS(&w, digit);
  uint64_t fronts = BITS(&w, front) | (r->text[at] == '\'');
  if (has_letters(letter, fronts, &front)) return window_letters(&w, letter, front);
  if (has(digit, 0)) return checked(&w, FT_MIN(ft_mask_run(digit, 0), 3u));
  if (r->text[at] == ' ' && has(BITS(&w, other), 1)) return 0;
  return has(BITS(&w, space), 0) ? window_spaces(&w, true, digit) : 0;
}

RARE size_t deepseek_any(const reading *r, size_t at) {
  size_t length, next_length, from = at;
  unsigned class = class_at(r, at, &length), letters = FT_LETTER | FT_MARK;
  bool han = class & FT_HAN_KANA;
  if (class & FT_NUMBER) return numbers(r, at, 3);
  if (class & letters) return run_inside(r, at + length, han, letters);
  if (class & FT_SIGN && length == 1 && is_ascii_letter(r, at + 1)) {
    for (at += 2; is_ascii_letter(r, at);)
      at++;
    return at;
  }
  unsigned next = class_inside(r, at + length, han, &next_length);
  if (!(class & (FT_NEWLINE | FT_SIGN)) && next & letters)
    return run_inside(r, at + length, han, letters);
  if (r->text[at] == ' ' && next & FT_SIGN) from = at + 1;
  if (class & FT_SIGN || from > at) {
    size_t end = run_inside(r, from, han, FT_SIGN);
    return han ? end : line_ends(r, end, false);
  }
  if (class & FT_SPACE) return spaces(r, at, true, FT_NUMBER | FT_HAN_KANA);
  return deepseek_rest(r, at + length, han);
}

INLINE size_t deepseek_word(const reading *r, bool is_ascii, size_t at) {
  unsigned quick = deepseek_window(r, is_ascii, at);
  return quick ? at + quick : deepseek_any(r, at);
}

/* ---------------------------------------------------------------- the table */

/* Loops for each pattern, so that its word is found without a call: one for stretches of ASCII, one
 * for others. Words begin before `stop`. */
#define CUTTER(NAME)                                                                               \
  INLINE int64_t loop_##NAME(const reading *r, bool is_ascii, size_t stop, size_t *at,             \
                             size_t *ends, int64_t room) {                                         \
    int64_t count = 0;                                                                             \
    size_t now = *at;                                                                              \
    while (count < room && now < stop)                                                             \
      ends[count++] = now = NAME##_word(r, is_ascii, now);                                         \
    *at = now;                                                                                     \
    return count;                                                                                  \
  }                                                                                                \
  static int64_t cut_##NAME(const reading *r, size_t stop, size_t *at, size_t *ends,               \
                            int64_t room) {                                                        \
    return r->masks->is_ascii ? loop_##NAME(r, true, stop, at, ends, room)                         \
                              : loop_##NAME(r, false, stop, at, ends, room);                       \
  }
CUTTER(plain_gpt2)
CUTTER(digits_gpt2)
CUTTER(o200k)
CUTTER(tekken)
CUTTER(deepseek)

/* The same where all words of a window are found at once; the word that ends none of them is left
 * to `any`, the code for any text. */
INLINE int64_t cut_by_windows(const reading *r, size_t stop, size_t *at, size_t *ends, int64_t room,
                              unsigned most_numbers, size_t (*any)(const reading *r, size_t at)) {
  int64_t count = 0;
  size_t now = *at;
  while (count < room && now < stop) {
    uint64_t starts = room - count >= FT_WINDOW ? cl100k_starts(r, now, most_numbers) : 0;
    if (!starts) {
      ends[count++] = now = any(r, now);
      continue;
    }
    size_t from = now;
    for (; starts; starts &= starts - 1)
      ends[count++] = now = from + (size_t)__builtin_ctzll(starts);
  }
  *at = now;
  return count;
}

static int64_t cut_llama3(const reading *r, size_t stop, size_t *at, size_t *ends, int64_t room) {
  return cut_by_windows(r, stop, at, ends, room, 3, llama3_any);
}

static int64_t cut_qwen2(const reading *r, size_t stop, size_t *at, size_t *ends, int64_t room) {
  return cut_by_windows(r, stop, at, ends, room, 1, qwen2_any);
}

static int64_t cut_qwen35(const reading *r, size_t stop, size_t *at, size_t *ends, int64_t room) {
  return cut_by_windows(r, stop, at, ends, room, 1, qwen35_any);
}

enum { MOST_PATTERNS = 3 };

struct ft_splitter {
  const char *patterns[MOST_PATTERNS + 1]; /* NULL at the end */
  int64_t (*cut)(const reading *r, size_t stop, size_t *at, size_t *ends, int64_t room);
};

static const ft_splitter splitters[] = {
    {{gpt2}, cut_plain_gpt2}, {{FT_SPLITTER_DIGITS, gpt2}, cut_digits_gpt2},
    {{llama3}, cut_llama3},   {{qwen2}, cut_qwen2},
    {{qwen35}, cut_qwen35},   {{o200k}, cut_o200k},
    {{tekken}, cut_tekken},   {{deepseek_numbers, deepseek_han, deepseek_words}, cut_deepseek},
};

const char *const *ft_splitter_patterns(int64_t number) {
  return number < (int64_t)FT_ARRAY_SIZE(splitters) ? splitters[number].patterns : NULL;
}

const ft_splitter *ft_splitter_find(const char *const *patterns, int64_t count) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(splitters); i++) {
    const char *const *known = splitters[i].patterns;
    int64_t same = 0;
    while (same < count && known[same] && strcmp(known[same], patterns[same]) == 0)
      same++;
    if (same == count && !known[same]) return ft_char_classes_get() ? &splitters[i] : NULL;
  }
  return NULL;
}

int64_t ft_splitter_cut(const ft_splitter *s, const char *text, size_t bytes, size_t *at,
                        size_t *ends, int64_t room) {
  ft_ascii_masks masks;
  reading r = {.classes = ft_char_classes_get(), .text = text, .bytes = bytes, .masks = &masks};
  if (*at >= bytes) return 0;
  ft_ascii_masks_fill(text, bytes, *at, &masks);
  return s->cut(&r, FT_MIN(bytes, *at + FT_MASKED), at, ends, room);
}
