/* Proves that a memory of words gives the ids that were put in, or none: while it grows, when it is
 * full, and when the heap of longer words is emptied.
 * Run alone: meson test word-cache */
#include "ft_test.h"

#include "../../src/tokenizer/word_cache.h"

/* Word number n: a few letters, then the number's bytes. Ids and their count depend on n. */
static size_t word_of(uint64_t n, char *out) {
  size_t bytes = 1 + n % FT_SHORT_WORD;
  memset(out, 'a' + (char)(n % 7), FT_SHORT_WORD + 1);
  memcpy(out, &n, bytes < sizeof n ? bytes : sizeof n);
  return bytes;
}

static int64_t ids_of(uint64_t n, uint32_t *out) {
  int64_t count = (int64_t)(n % 6);
  for (int64_t i = 0; i < count; i++)
    out[i] = (uint32_t)(n * 31 + (uint64_t)i);
  return count;
}

static ft_word_key key_of(uint64_t n) {
  char word[2 * FT_SHORT_WORD];
  size_t bytes = word_of(n, word);
  return ft_word_key_of(word, bytes, sizeof word);
}

/* Whether the word is there; if it is, its ids must be right. */
static bool is_known(const ft_word_cache *c, uint64_t n) {
  uint32_t expected[8];
  ft_word_key key = key_of(n);
  const ft_short_word *w = ft_word_find(c, ft_word_hash(key), key);
  const uint32_t *ids = w ? ft_word_ids(c, w) : NULL;
  if (!ids) return false;
  assert_int_equal(w->count, ids_of(n, expected));
  assert_memory_equal(ids, expected, w->count * sizeof *ids);
  return true;
}

/* Words of 8 bytes and more, so that each number is another word. */
static uint64_t nth(uint64_t i) {
  return i * FT_SHORT_WORD + 8 + i % 7;
}

static void short_words_come_back(void **state) {
  (void)state;
  enum { FEW = 20000, MANY = 600000 };
  ft_word_cache c = {0};
  uint32_t ids[8];
  int64_t known = 0;
  assert_ok(ft_word_cache_init(&c));
  for (uint64_t i = 0; i < MANY; i++) {
    assert_false(is_known(&c, nth(i)));
    assert_ok(ft_word_remember(&c, key_of(nth(i)), ids, ids_of(nth(i), ids)));
    assert_true(is_known(&c, nth(i)));
    if (i + 1 == FEW) /* nothing is forgotten while there is room */
      for (uint64_t k = 0; k < FEW; k++)
        assert_true(is_known(&c, nth(k)));
  }
  for (uint64_t i = 0; i < MANY; i++)
    known += is_known(&c, nth(i));
  assert_in_range(known, MANY / 4, MANY - 1); /* a full one forgets */
  ft_word_cache_fini(&c);
}

/* The key is of the word alone, whatever stands behind it and however little can be read. */
static void keys_are_of_words_alone(void **state) {
  (void)state;
  char text[32] = "abcdefghijklmnopqrstuvwxyz", other[32];
  for (size_t bytes = 1; bytes <= FT_SHORT_WORD; bytes++) {
    memset(other, '!', sizeof other);
    memcpy(other, text, bytes);
    ft_word_key key = ft_word_key_of(text, bytes, sizeof text);
    ft_word_key same = ft_word_key_of(other, bytes, sizeof other);
    ft_word_key tight = ft_word_key_of(text, bytes, bytes);
    ft_word_key shorter = ft_word_key_of(text, bytes - 1, sizeof text);
    assert_memory_equal(&key, &same, sizeof key);
    assert_memory_equal(&key, &tight, sizeof key);
    assert_memory_not_equal(&key, &shorter, sizeof key);
  }
}

static void long_words_come_back_until_the_heap_is_emptied(void **state) {
  (void)state;
  enum { WORDS = 40000 };
  ft_word_cache c = {0};
  char word[FT_LONG_WORD];
  uint32_t ids[FT_LONG_WORD];
  int64_t count, known = 0;
  assert_ok(ft_word_cache_init(&c));
  for (uint64_t i = 0; i < 2 * WORDS; i++) {
    size_t bytes = FT_SHORT_WORD + 1 + i % (FT_LONG_WORD - FT_SHORT_WORD);
    memset(word, 'x', sizeof word);
    memcpy(word, &i, sizeof i);
    count = (int64_t)(i % 90);
    for (int64_t k = 0; k < count; k++)
      ids[k] = (uint32_t)(i + (uint64_t)k);
    uint64_t hash = ft_hash64(word, bytes, 0);
    assert_null(ft_long_word_find(&c, hash, word, bytes, &count));
    count = (int64_t)(i % 90);
    assert_ok(ft_long_word_remember(&c, hash, word, bytes, ids, count));
    int64_t found;
    const uint32_t *back = ft_long_word_find(&c, hash, word, bytes, &found);
    assert_non_null(back);
    assert_int_equal(found, count);
    assert_memory_equal(back, ids, (size_t)count * sizeof *ids);
    word[bytes - 1] = 'y'; /* another word of the same hash, were there one */
    assert_null(ft_long_word_find(&c, hash, word, bytes, &found));
    known++;
  }
  assert_true(c.filling > 0);
  ft_word_cache_fini(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(short_words_come_back), cmocka_unit_test(keys_are_of_words_alone),
      cmocka_unit_test(long_words_come_back_until_the_heap_is_emptied)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
