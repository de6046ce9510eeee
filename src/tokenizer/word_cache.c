/* Words lately seen. */
#include "word_cache.h"

#include <assert.h>

static_assert(sizeof(ft_short_word) == 32, "two to a cache line");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a key's last byte is its length");

enum { FIRST_BUCKETS = 512, MAX_BUCKETS = 1 << 18 }; /* 32 KiB to 16 MiB */
enum { LONG_SLOTS = 1 << 17, FIRST_HEAP = 1 << 12, MAX_HEAP = 1 << 22 };

ft_err ft_word_cache_init(ft_word_cache *c) {
  ft_err err = FT_OK;
  void *memory;
  FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, 2 * FIRST_BUCKETS, sizeof *c->words, &memory));
  c->words = memory;
  c->bucket_mask = FIRST_BUCKETS - 1;
out:
  return err;
}

void ft_word_cache_fini(ft_word_cache *c) {
  ft_free(c->words);
  ft_free(c->long_words);
  ft_free(c->heap);
  *c = (ft_word_cache){0};
}

/* ---------------------------------------------------------------- ids that need more room */

/* Room for `more` elements in the heap; a full heap is emptied. */
static ft_err heap_reserve(ft_word_cache *c, int64_t more) {
  void *memory = c->heap;
  if (c->heap_used + more <= c->heap_capacity) return FT_OK;
  if (c->heap_capacity >= MAX_HEAP) {
    if (c->long_words) memset(c->long_words, 0, LONG_SLOTS * sizeof *c->long_words);
    c->heap_used = 0;
    c->filling++;
    return FT_OK;
  }
  int64_t capacity = FT_MAX(2 * c->heap_capacity, FIRST_HEAP);
  ft_err err = ft_realloc(FT_MEM_TOKENIZER, (size_t)capacity * sizeof *c->heap, &memory);
  if (err != FT_OK) return err;
  c->heap = memory;
  c->heap_capacity = capacity;
  return FT_OK;
}

/* ---------------------------------------------------------------- short words */

static bool is_free(const ft_short_word *w) {
  return w->key.half[1] == 0; /* it has no length */
}

/* More than half of the entries are taken. */
static bool is_full(const ft_word_cache *c) {
  return c->num_words > (int64_t)c->bucket_mask;
}

/* Puts a word into the first free entry from its bucket on; a full table forgets one of the two
 * that stand there. The word's own entry, if its ids are gone, is taken again. */
static void put(ft_word_cache *c, const ft_short_word *word) {
  uint64_t hash = ft_word_hash(word->key), at = 2 * (hash & c->bucket_mask);
  ft_short_word *own = (ft_short_word *)ft_word_find(c, hash, word->key);
  if (own) {
    *own = *word;
    return;
  }
  if (is_full(c) && !is_free(&c->words[at]) && !is_free(&c->words[at + 1])) {
    at += hash >> 63;
  } else {
    while (!is_free(&c->words[at]))
      at = (at + 1) & (2 * c->bucket_mask + 1);
  }
  c->num_words += is_free(&c->words[at]);
  c->words[at] = *word;
}

static ft_err grow(ft_word_cache *c) {
  void *memory;
  ft_short_word *old = c->words;
  int64_t count = 2 * (int64_t)(c->bucket_mask + 1);
  uint64_t buckets = FT_MIN(4 * (c->bucket_mask + 1), (uint64_t)MAX_BUCKETS);
  ft_err err = ft_alloc_array(FT_MEM_TOKENIZER, 2 * (int64_t)buckets, sizeof *c->words, &memory);
  if (err != FT_OK) return err;
  c->words = memory;
  c->bucket_mask = buckets - 1;
  c->num_words = 0;
  for (int64_t i = 0; i < count; i++)
    if (!is_free(&old[i])) put(c, &old[i]);
  ft_free(old);
  return FT_OK;
}

ft_err ft_word_remember(ft_word_cache *c, ft_word_key key, const uint32_t *ids, int64_t count) {
  ft_err err = FT_OK;
  ft_short_word word = {.key = key, .count = (uint32_t)count};
  if (count <= FT_SHORT_IDS) {
    memcpy(word.ids, ids, (size_t)count * sizeof *ids);
  } else {
    FT_TRY(heap_reserve(c, count));
    word.ids[0] = (uint32_t)c->heap_used;
    word.ids[1] = c->filling;
    memcpy(c->heap + c->heap_used, ids, (size_t)count * sizeof *ids);
    c->heap_used += count;
  }
  if (is_full(c) && c->bucket_mask + 1 < MAX_BUCKETS) FT_TRY(grow(c));
  put(c, &word);
out:
  return err;
}

/* ---------------------------------------------------------------- long words */

const uint32_t *ft_long_word_find(const ft_word_cache *c, uint64_t hash, const char *word,
                                  size_t bytes, int64_t *count) {
  if (!c->long_words) return NULL;
  const ft_long_word *slot = &c->long_words[hash & (LONG_SLOTS - 1)];
  if (slot->hash != hash || slot->bytes != bytes) return NULL;
  const uint32_t *ids = c->heap + slot->start;
  *count = slot->count;
  return memcmp(ids + slot->count, word, bytes) == 0 ? ids : NULL;
}

ft_err ft_long_word_remember(ft_word_cache *c, uint64_t hash, const char *word, size_t bytes,
                             const uint32_t *ids, int64_t count) {
  FT_ASSERT(bytes <= FT_LONG_WORD && count <= FT_LONG_WORD);
  ft_err err = FT_OK;
  int64_t size = count + (int64_t)(bytes + 3) / 4;
  if (!c->long_words) {
    void *slots;
    FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, LONG_SLOTS, sizeof *c->long_words, &slots));
    c->long_words = slots;
  }
  FT_TRY(heap_reserve(c, size));
  c->long_words[hash & (LONG_SLOTS - 1)] = (ft_long_word){.hash = hash,
                                                          .start = (uint32_t)c->heap_used,
                                                          .bytes = (uint16_t)bytes,
                                                          .count = (uint16_t)count};
  memcpy(c->heap + c->heap_used, ids, (size_t)count * sizeof *ids);
  memcpy(c->heap + c->heap_used + count, word, bytes);
  c->heap_used += size;
out:
  return err;
}
