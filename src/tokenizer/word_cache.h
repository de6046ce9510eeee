/* Inside tokenizer: the ids of words lately seen. Short words with few ids, which are nearly all of
 * a text, lie in the table itself, two to a cache line; others in a heap. */
#ifndef FT_TOKENIZER_WORD_CACHE_H
#define FT_TOKENIZER_WORD_CACHE_H

#include <string.h>

#include "ft/base.h"

enum { FT_SHORT_WORD = 15, FT_SHORT_IDS = 3, FT_LONG_WORD = 255 };

/* Up to 15 bytes, zeros behind them, and their number in the last byte. */
typedef struct ft_word_key {
  uint64_t half[2];
} ft_word_key;

/* A short word; ids behind `count` are of no meaning. Of more than FT_SHORT_IDS the heap has them:
 * ids[0] is where they begin, ids[1] which filling of the heap that was. A free entry has no
 * length. */
typedef struct ft_short_word {
  ft_word_key key;
  uint32_t ids[FT_SHORT_IDS];
  uint32_t count;
} ft_short_word;

/* A long word: its ids begin at `start` of the heap, the word stands behind them. */
typedef struct ft_long_word {
  uint64_t hash; /* 0: free */
  uint32_t start;
  uint16_t bytes, count;
} ft_long_word;

/* Starts zeroed. Belongs to one tokenizer. */
typedef struct ft_word_cache {
  ft_short_word *words; /* [2 (bucket_mask + 1)] */
  uint64_t bucket_mask;
  int64_t num_words;
  ft_long_word *long_words; /* [FT_LONG_SLOTS] */
  uint32_t *heap;
  int64_t heap_used, heap_capacity; /* in 4 bytes */
  uint32_t filling;                 /* how often the heap was emptied */
} ft_word_cache;

/* Makes the tables. Errors: FT_ERR_MEMORY. */
ft_err ft_word_cache_init(ft_word_cache *c);
void ft_word_cache_fini(ft_word_cache *c);

/* The key of text[0 … bytes), at most FT_SHORT_WORD; `room` bytes can be read. */
static inline ft_word_key ft_word_key_of(const char *text, size_t bytes, size_t room) {
  static const uint8_t ones[32] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                   0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
  ft_word_key key = {{0, 0}}, mask;
  if (room < sizeof key) {
    memcpy(&key, text, bytes);
  } else {
    memcpy(&key, text, sizeof key);
    memcpy(&mask, ones + sizeof mask - bytes, sizeof mask);
    key.half[0] &= mask.half[0];
    key.half[1] &= mask.half[1];
  }
  key.half[1] |= (uint64_t)bytes << 56;
  return key;
}

static inline uint64_t ft_word_hash(ft_word_key key) {
  uint64_t mixed = (key.half[0] ^ key.half[1] * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
  return mixed >> 32 ^ mixed;
}

/* Asks for the memory that ft_word_find begins with. */
static inline void ft_word_look_ahead(const ft_word_cache *c, uint64_t hash) {
  __builtin_prefetch(&c->words[2 * (hash & c->bucket_mask)]);
}

/* The word's entry, or NULL. Words of a full bucket go on in the next one. */
static inline const ft_short_word *ft_word_find(const ft_word_cache *c, uint64_t hash,
                                                ft_word_key key) {
  for (uint64_t i = hash & c->bucket_mask;; i = (i + 1) & c->bucket_mask)
    for (const ft_short_word *w = &c->words[2 * i], *end = w + 2; w < end; w++) {
      if (w->key.half[0] == key.half[0] && w->key.half[1] == key.half[1]) return w;
      if (w->key.half[1] == 0) return NULL;
    }
}

/* The ids of an entry; NULL: the heap has been emptied since. */
static inline const uint32_t *ft_word_ids(const ft_word_cache *c, const ft_short_word *w) {
  if (w->count <= FT_SHORT_IDS) return w->ids;
  return w->ids[1] == c->filling ? c->heap + w->ids[0] : NULL;
}

/* Remembers a short word that ft_word_find does not find, or finds without ids; a full cache
 * forgets another for it. Errors: FT_ERR_MEMORY (the cache grows). */
ft_err ft_word_remember(ft_word_cache *c, ft_word_key key, const uint32_t *ids, int64_t count);

/* Ids of a longer word; NULL: it is not there. */
const uint32_t *ft_long_word_find(const ft_word_cache *c, uint64_t hash, const char *word,
                                  size_t bytes, int64_t *count);
/* Remembers one of at most FT_LONG_WORD bytes and ids. Errors: FT_ERR_MEMORY. */
ft_err ft_long_word_remember(ft_word_cache *c, uint64_t hash, const char *word, size_t bytes,
                             const uint32_t *ids, int64_t count);

#endif
