/* Quality of a text by numbers that hold in any language: how much of it is repeated, how much is
 * neither letter, digit nor space, and what its lines look like. */
#include <stdlib.h>
#include <string.h>

#include "clean.h"

/* Bounds. The first three follow the rules of Rae et al. (2021), "Scaling Language Models", table
 * A1, with room for code and lists. */
enum { MIN_LINES = 8, MIN_WORDS = 50, GRAM_WORDS = 5, MAX_SAME_WORD = 12, MAX_SAME_BYTE = 200 };
static const double max_repeated_lines = 0.3, max_repeated_grams = 0.3, max_symbols = 0.45,
                    max_line_bytes = 2000, max_ellipses = 0.3;

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* Share of values that have occurred before. */
static double repeated(uint64_t *values, int64_t count) {
  int64_t again = 0;
  if (count == 0) return 0;
  qsort(values, (size_t)count, sizeof *values, by_value);
  for (int64_t i = 1; i < count; i++)
    again += values[i] == values[i - 1];
  return (double)again / (double)count;
}

typedef struct line_facts {
  int64_t count, ellipses; /* of lines that are not blank */
  size_t bytes;
  double repeated;
} line_facts;

static bool ends_open(const char *line, size_t bytes) {
  return bytes >= 3 && (memcmp(line + bytes - 3, "...", 3) == 0 ||
                        memcmp(line + bytes - 3, "\xE2\x80\xA6", 3) == 0);
}

static ft_err look_at_lines(const char *text, size_t bytes, line_facts *facts) {
  ft_err err = FT_OK;
  uint64_t *hashes = NULL;
  int64_t capacity = 0;
  for (size_t begin = 0, end; begin < bytes; begin = end + 1) {
    const char *feed = memchr(text + begin, '\n', bytes - begin);
    end = feed ? (size_t)(feed - text) : bytes;
    if (ft_line_is_blank(text + begin, end - begin)) continue;
    FT_TRY(ft_grow(FT_MEM_PREP, facts->count + 1, sizeof *hashes, &capacity, (void **)&hashes));
    hashes[facts->count++] = ft_hash64(text + begin, end - begin, 0);
    facts->ellipses += ends_open(text + begin, end - begin);
    facts->bytes += end - begin;
  }
  facts->repeated = repeated(hashes, facts->count);
out:
  ft_free(hashes);
  return err;
}

/* Whether words repeat themselves, in a row or as runs of GRAM_WORDS. */
static ft_err repeats_words(const ft_words *words, bool *tripped) {
  ft_err err = FT_OK;
  uint64_t *hashes = NULL;
  int64_t count = words->num_words, grams = FT_MAX(count - GRAM_WORDS + 1, 0), run = 1;
  *tripped = false;
  if (count < MIN_WORDS) goto out;
  FT_TRY(ft_alloc_array(FT_MEM_PREP, count, sizeof *hashes, (void **)&hashes));
  for (int64_t i = 0; i < count; i++) {
    int64_t end = i + 1 < count ? words->starts[i + 1] - 1 : (int64_t)words->bytes;
    hashes[i] = ft_hash64(words->text + words->starts[i], (size_t)(end - words->starts[i]), 0);
    run = i > 0 && hashes[i] == hashes[i - 1] ? run + 1 : 1;
    *tripped = *tripped || run > MAX_SAME_WORD;
  }
  for (int64_t i = 0; i < grams; i++)
    hashes[i] = ft_hash64(hashes + i, GRAM_WORDS * sizeof *hashes, 0);
  *tripped = *tripped || repeated(hashes, grams) > max_repeated_grams;
out:
  ft_free(hashes);
  return err;
}

/* Letters and digits in a row that are all the same. */
static bool repeats_bytes(const char *text, size_t bytes) {
  size_t run = 1;
  for (size_t i = 1; i < bytes; i++) {
    bool word = (text[i] >= '0' && text[i] <= '9') || (text[i] | 0x20) >= 'a';
    run = text[i] == text[i - 1] && word && (unsigned char)text[i] < 128 ? run + 1 : 1;
    if (run > MAX_SAME_BYTE) return true;
  }
  return false;
}

/* Share of ASCII signs, controls and replacement characters among what is no white space. */
static double symbols(const char *text, size_t bytes) {
  size_t signs = 0, all = 0;
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == ' ' || (c >= 9 && c <= 13) || (c & 0xC0) == 0x80) continue;
    bool word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c >= 0xC0;
    bool replaced = c == 0xEF && i + 2 < bytes && memcmp(text + i, "\xEF\xBF\xBD", 3) == 0;
    signs += !word || replaced;
    all++;
  }
  return all > 0 ? (double)signs / (double)all : 0;
}

ft_err ft_quality(const char *text, size_t bytes, uint32_t *tripped) {
  ft_err err = FT_OK;
  ft_words words = {0};
  line_facts lines = {0};
  bool repeats = false;
  *tripped = 0;
  FT_TRY(look_at_lines(text, bytes, &lines));
  FT_TRY(ft_words_add(&words, text, bytes));
  FT_TRY(repeats_words(&words, &repeats));
  if (repeats || repeats_bytes(text, bytes) ||
      (lines.count >= MIN_LINES && lines.repeated > max_repeated_lines))
    *tripped |= 1u << FT_RULE_REPETITION;
  if (bytes >= 64 && symbols(text, bytes) > max_symbols) *tripped |= 1u << FT_RULE_SYMBOLS;
  bool open =
      lines.count >= MIN_LINES && (double)lines.ellipses > max_ellipses * (double)lines.count;
  bool unbroken = words.num_words < (int64_t)lines.bytes / 40 && lines.bytes > 4 * 2000 &&
                  (double)lines.bytes > max_line_bytes * (double)lines.count;
  if (open || unbroken) *tripped |= 1u << FT_RULE_LINES;
out:
  ft_words_fini(&words);
  return err;
}
