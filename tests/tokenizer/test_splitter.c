/* Proves that splitters cut the words that their patterns cut: random texts of characters that the
 * patterns tell apart, beside the regular expressions, one after the other as pre-tokenizers apply
 * them.
 * Run alone: meson test splitter */
#include "ft_test.h"

#include <stdlib.h>
#include <string.h>

#include "../../src/tokenizer/regex.h"
#include "../../src/tokenizer/splitter.h"
#include "../../src/tokenizer/unicode.h"

enum { TEXTS = 4000, MOST_BYTES = 256, MOST_PATTERNS = 8 };

static uint64_t draw(uint64_t text, uint64_t i, uint64_t below) {
  return ft_random_u64(11, FT_RANDOM_BENCH, text, i) % below;
}

/* One or more characters, often what decides between alternatives. Every other text is nearly all
 * ASCII, so that many of its words are found at once. */
static size_t put_fragment(uint64_t text, uint64_t i, char *out) {
  static const char *const ascii[] = {
      " ",    "  ",   "\n",   "\r\n",        "\t",        "a",     "bc",       "A",  "Bc",  "XYZ",
      "1",    "23",   "4567", ".",           ",(",        "/",     "'",        "'s", "'Re", "'LL",
      "\x01", "\x7f", "_",    "abcdefghijk", "         ", "don't", "#include", "I'M"};
  static const char *const others[] = {
      "'ſ",     "ſ",      "é",      "e\u0301", "\u0301",     "中",        "中文", "ア",
      "・",     "ー",     "\u3040", "ß",       "ǅ",          "ʰ",         "ª",    "Ⅷ",
      "½",      "٣",      "—",      "\u00a0",  "\u3000",     "\xC2\x85",  "€",    "\u2028",
      "\u200d", "\ufffd", "\u0378", "😀",       "\U00010D40", "\U00010D50"};
  uint64_t any = draw(text, 2 * i + 1, 1024);
  bool is_ascii = draw(text, 2 * i + 2000, 1024) < (text % 2 ? 1000 : 512);
  if (any < (text % 2 ? 4 : 64)) {
    uint32_t code = (uint32_t)draw(text, 2 * i + 1, FT_CODE_POINTS - 1) + 1;
    return ft_utf8_encode(code >= 0xD800 && code < 0xE000 ? 'x' : code, out);
  }
  const char *s = is_ascii ? ascii[draw(text, 2 * i, FT_ARRAY_SIZE(ascii))]
                           : others[draw(text, 2 * i, FT_ARRAY_SIZE(others))];
  memcpy(out, s, strlen(s));
  return strlen(s);
}

/* What a list of patterns cuts, each pattern each part of the one before. */
typedef struct reference {
  ft_regex *regexes[MOST_PATTERNS]; /* NULL: single digits */
  int64_t count;
  ft_regex_scratch *scratch;
  size_t ends[MOST_BYTES];
  int64_t num_ends;
} reference;

static void cut_part(reference *r, int64_t pattern, const char *text, size_t start, size_t end);

static void cut_digits(reference *r, const char *text, size_t start, size_t end) {
  size_t done = start;
  for (size_t i = start, length; i < end; i += length) {
    if (!ft_unicode_is_numeric(ft_utf8_decode(text + i, &length))) continue;
    cut_part(r, 1, text, done, i);
    cut_part(r, 1, text, i, i + length);
    done = i + length;
  }
  cut_part(r, 1, text, done, end);
}

static void cut_part(reference *r, int64_t pattern, const char *text, size_t start, size_t end) {
  if (start == end) return;
  if (pattern == r->count) {
    r->ends[r->num_ends++] = end;
    return;
  }
  if (!r->regexes[pattern]) {
    cut_digits(r, text, start, end);
    return;
  }
  ft_regex_matches m = {.regex = r->regexes[pattern],
                        .scratch = r->scratch,
                        .text = text + start,
                        .bytes = end - start,
                        .unusual = true,
                        .last_end = SIZE_MAX};
  size_t done = 0, from, to;
  bool found;
  for (;;) {
    assert_ok(ft_regex_next(&m, &from, &to, &found));
    if (!found) break;
    cut_part(r, pattern + 1, text, start + done, start + from);
    cut_part(r, pattern + 1, text, start + from, start + to);
    done = to;
  }
  cut_part(r, pattern + 1, text, start + done, end);
}

static void expect_words(const ft_splitter *s, reference *r, const char *text, size_t bytes,
                         int64_t room) {
  size_t at = 0, ends[MOST_BYTES];
  int64_t count = 0, now;
  r->num_ends = 0;
  cut_part(r, 0, text, 0, bytes);
  do { /* in pieces: a word does not depend on how many are asked for */
    now = ft_splitter_cut(s, text, bytes, &at, ends + count, FT_MIN(room, MOST_BYTES - count));
    count += now;
  } while (now > 0);
  bool equal = count == r->num_ends && at == bytes;
  for (int64_t i = 0; equal && i < count; i++)
    equal = ends[i] == r->ends[i];
  if (!equal) fail_msg("\"%.*s\": other words than the pattern's", (int)bytes, text);
}

static void words_are_those_of_the_pattern(void **state) {
  (void)state;
  reference r = {0};
  assert_ok(ft_regex_scratch_new(&r.scratch));
  for (int64_t number = 0; ft_splitter_patterns(number); number++) {
    const char *const *patterns = ft_splitter_patterns(number);
    for (r.count = 0; patterns[r.count]; r.count++) {
      bool digits = strcmp(patterns[r.count], FT_SPLITTER_DIGITS) == 0;
      r.regexes[r.count] = NULL;
      if (!digits) assert_ok(ft_regex_compile(patterns[r.count], &r.regexes[r.count]));
    }
    const ft_splitter *s = ft_splitter_find(patterns, r.count);
    assert_non_null(s);
    for (uint64_t i = 0; i < TEXTS; i++) {
      char *text = malloc(MOST_BYTES); /* of its size, for the address sanitizer */
      size_t bytes = 0, wanted = draw(i, 1000, MOST_BYTES - 24);
      for (uint64_t k = 0; bytes < wanted; k++)
        bytes += put_fragment(i, k, text + bytes);
      text = realloc(text, bytes + 1);
      int64_t room = draw(i, 1002, 4) ? MOST_BYTES : 1 + (int64_t)draw(i, 1001, 9);
      expect_words(s, &r, text, bytes, room);
      free(text);
    }
    for (int64_t k = 0; k < r.count; k++)
      ft_regex_free(r.regexes[k]);
  }
  ft_regex_scratch_free(r.scratch);
}

/* Other patterns are left to the regular expressions. */
static void only_exact_patterns_are_known(void **state) {
  (void)state;
  const char *const *gpt2 = ft_splitter_patterns(0);
  static const char *const other[] = {"\\s+|\\S+"};
  const char *twice[] = {gpt2[0], gpt2[0]};
  assert_non_null(ft_splitter_find(gpt2, 1));
  assert_null(ft_splitter_find(other, 1));
  assert_null(ft_splitter_find(twice, 2));
  assert_null(ft_splitter_find(gpt2, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(words_are_those_of_the_pattern),
                                     cmocka_unit_test(only_exact_patterns_are_known)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
