/* Proves that words of any length are merged as byte pair encoding is defined. Run alone: meson
 * test bpe */
#include "ft_test.h"

#include <string.h>

#include "../../src/tokenizer/model.h"

/* By definition: the pair of lowest rank, the leftmost of equal ones, until none merges. */
static int64_t merge_plainly(const ft_bpe *bpe, uint32_t *symbols, int64_t count) {
  for (;;) {
    const ft_bpe_merge *best = NULL;
    int64_t at = 0;
    for (int64_t i = 0; i + 1 < count; i++) {
      const ft_bpe_merge *m = ft_bpe_find(bpe, symbols[i], symbols[i + 1]);
      if (m && (!best || m->rank < best->rank)) {
        best = m;
        at = i;
      }
    }
    if (!best) return count;
    symbols[at] = best->id;
    memmove(symbols + at + 1, symbols + at + 2, (size_t)(count - at - 2) * sizeof *symbols);
    count--;
  }
}

enum { MAX_LETTERS = 4 };

/* A model whose tokens are all words of "a" and "b" of up to 4 letters, and whose merges are all
 * that make them, in an order of chance: many pairs compete, and candidates go stale. */
static ft_model model_of_rivals(uint64_t seed) {
  cJSON *model = cJSON_CreateObject(), *vocab = cJSON_AddObjectToObject(model, "vocab");
  char words[2 << MAX_LETTERS][MAX_LETTERS + 1], pairs[256][2 * MAX_LETTERS + 2];
  int64_t num_words = 0, num_pairs = 0, order[256];
  for (int length = 1; length <= MAX_LETTERS; length++)
    for (int bits = 0; bits < 1 << length; bits++, num_words++) {
      for (int i = 0; i < length; i++)
        words[num_words][i] = bits >> i & 1 ? 'b' : 'a';
      words[num_words][length] = 0;
      cJSON_AddNumberToObject(vocab, words[num_words], (double)num_words);
      for (int cut = 1; cut < length; cut++)
        snprintf(pairs[num_pairs++], sizeof pairs[0], "%.*s %s", cut, words[num_words],
                 words[num_words] + cut);
    }
  cJSON *merges = cJSON_AddArrayToObject(model, "merges");
  ft_random_permutation(seed, FT_RANDOM_BENCH, 0, num_pairs, order);
  for (int64_t i = 0; i < num_pairs; i++)
    cJSON_AddItemToArray(merges, cJSON_CreateString(pairs[order[i]]));
  cJSON_AddStringToObject(model, "type", "BPE");
  ft_model loaded = {0};
  assert_ok(ft_model_load(model, &loaded));
  cJSON_Delete(model);
  return loaded;
}

static void words_of_any_length_merge_by_definition(void **state) {
  (void)state;
  ft_bpe_scratch scratch = {0};
  for (uint64_t round = 0; round < 300; round++) {
    ft_model model = model_of_rivals(round);
    int64_t count = 1 + (int64_t)(ft_random_u64(3, FT_RANDOM_BENCH, round, 0) % 150);
    char word[160];
    uint32_t expected[160];
    for (int64_t i = 0; i < count; i++) {
      expected[i] = (uint32_t)(ft_random_u64(4, FT_RANDOM_BENCH, round, (uint64_t)i) % 2);
      word[i] = expected[i] ? 'b' : 'a'; /* ids 1 and 0 */
    }
    ft_ids ids = {0};
    assert_ok(ft_bpe_encode(model.bpe, &scratch, word, (size_t)count, false, &ids));
    assert_int_equal(ids.count, merge_plainly(model.bpe, expected, count));
    assert_memory_equal(ids.ids, expected, (size_t)ids.count * sizeof *expected);
    ft_ids_fini(&ids);
    ft_model_fini(&model);
  }
  ft_bpe_scratch_fini(&scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_of_any_length_merge_by_definition),
  };
  return cmocka_run_group_tests_name("bpe", tests, NULL, NULL);
}
