/* From words to ids: characters or bytes to symbols, merging, and a cache of words lately seen. */
#include "bpe.h"

#include <assert.h>
#include <string.h>

/* ---------------------------------------------------------------- words lately seen
 * One cache line a word, found by its hash, replaced by whoever comes next. */

#ifndef FT_BPE_CACHE_SLOTS /* fuzzing opens a tokenizer for every input */
#define FT_BPE_CACHE_SLOTS (1 << 15)
#endif
enum { CACHE_SLOTS = FT_BPE_CACHE_SLOTS, CACHED_BYTES = 26, CACHED_IDS = 7 };

struct ft_bpe_cached {
  uint64_t hash;
  uint8_t bytes, count; /* count 0: free (a cached word has an id) */
  char word[CACHED_BYTES];
  uint32_t ids[CACHED_IDS];
};
static_assert(sizeof(struct ft_bpe_cached) == 64, "one cache line");

/* The word's place in the cache, or NULL if it is too long for it. */
static ft_err cache_slot(ft_bpe_scratch *s, const char *word, size_t bytes, uint64_t *hash,
                         struct ft_bpe_cached **slot) {
  *slot = NULL;
  if (bytes > CACHED_BYTES) return FT_OK;
  if (!s->cache) {
    void *memory;
    ft_err err = ft_alloc_array(FT_MEM_TOKENIZER, CACHE_SLOTS, sizeof *s->cache, &memory);
    if (err != FT_OK) return err;
    s->cache = memory;
  }
  *hash = ft_hash64(word, bytes, 0);
  *slot = &s->cache[*hash & (CACHE_SLOTS - 1)];
  return FT_OK;
}

static bool is_cached(const struct ft_bpe_cached *slot, uint64_t hash, const char *word,
                      size_t bytes) {
  return slot->hash == hash && slot->count > 0 && slot->bytes == bytes &&
         memcmp(slot->word, word, bytes) == 0;
}

static void remember(struct ft_bpe_cached *slot, uint64_t hash, const char *word, size_t bytes,
                     const uint32_t *ids, int64_t count) {
  if (count == 0 || count > CACHED_IDS) return;
  slot->hash = hash;
  slot->bytes = (uint8_t)bytes;
  slot->count = (uint8_t)count;
  memcpy(slot->word, word, bytes);
  memcpy(slot->ids, ids, (size_t)count * sizeof *ids);
}

void ft_bpe_scratch_fini(ft_bpe_scratch *s) {
  ft_free(s->symbols);
  ft_free(s->links);
  ft_free(s->queue);
  ft_free(s->cache);
  *s = (ft_bpe_scratch){0};
}

/* ---------------------------------------------------------------- symbols */

/* Symbols being collected from a word's characters. */
typedef struct collector {
  const ft_bpe *bpe;
  uint32_t *symbols; /* room for all */
  int64_t count;
  bool pending_unknown; /* an unknown token is due, and put before the next known character */
} collector;

static void put_known(collector *c, uint32_t id) {
  if (c->pending_unknown) c->symbols[c->count++] = (uint32_t)c->bpe->unk_id;
  c->pending_unknown = false;
  c->symbols[c->count++] = id;
}

static ft_err put_unknown(collector *c) {
  if (!c->bpe->unk_token) return FT_OK; /* no token for it: left out */
  if (c->bpe->unk_id < 0)
    return ft_fail(FT_ERR_DATA,
                   "the text has a character without a token, and \"unk_token\" \"%s\" is not in "
                   "\"vocab\"",
                   c->bpe->unk_token);
  if (c->pending_unknown && !c->bpe->fuse_unk) c->symbols[c->count++] = (uint32_t)c->bpe->unk_id;
  c->pending_unknown = true;
  return FT_OK;
}

/* One token a byte, if there is one for each. They do not flush an unknown token that is due: so
 * does the reference. */
static bool put_bytes(collector *c, const char *text, size_t bytes) {
  if (!c->bpe->byte_fallback) return false;
  for (size_t i = 0; i < bytes; i++)
    if (c->bpe->byte_tokens[(uint8_t)text[i]] < 0) return false;
  for (size_t i = 0; i < bytes; i++)
    c->symbols[c->count++] = (uint32_t)c->bpe->byte_tokens[(uint8_t)text[i]];
  return true;
}

/* A character with what is written before and behind it inside a word. */
static ft_err put_marked(collector *c, const char *text, size_t bytes, bool first, bool last) {
  ft_err err = FT_OK;
  ft_buffer marked = {0};
  const char *prefix = first || !c->bpe->prefix ? "" : c->bpe->prefix;
  const char *suffix = last && c->bpe->suffix ? c->bpe->suffix : "";
  FT_TRY(ft_buffer_put(&marked, prefix, strlen(prefix)));
  FT_TRY(ft_buffer_put(&marked, text, bytes));
  FT_TRY(ft_buffer_put(&marked, suffix, strlen(suffix)));
  int64_t id = ft_string_map_get(&c->bpe->vocabulary, marked.data, marked.bytes);
  if (id >= 0)
    put_known(c, (uint32_t)id);
  else if (!put_bytes(c, marked.data, marked.bytes))
    FT_TRY(put_unknown(c));
out:
  ft_buffer_fini(&marked);
  return err;
}

static ft_err put_characters(collector *c, const char *word, size_t bytes) {
  const ft_bpe *bpe = c->bpe;
  for (size_t i = 0, length; i < bytes; i += length) {
    ft_err err = FT_OK;
    uint32_t code = ft_utf8_decode(word + i, &length);
    if (bpe->prefix || bpe->suffix) {
      err = put_marked(c, word + i, length, i == 0, i + length == bytes);
    } else {
      const uint32_t *page = bpe->pages[code >> 8];
      uint32_t id = page ? page[code & 255] : FT_BPE_NO_ID;
      if (id != FT_BPE_NO_ID)
        put_known(c, id);
      else if (!put_bytes(c, word + i, length))
        err = put_unknown(c);
    }
    if (err != FT_OK) return err;
  }
  if (c->pending_unknown) c->symbols[c->count++] = (uint32_t)bpe->unk_id;
  return FT_OK;
}

/* Fills s->symbols; *count is their number. */
static ft_err collect(const ft_bpe *bpe, ft_bpe_scratch *s, const char *word, size_t bytes,
                      bool is_bytes, int64_t *count) {
  ft_err err = FT_OK;
  size_t extra = (bpe->prefix ? strlen(bpe->prefix) : 0) + (bpe->suffix ? strlen(bpe->suffix) : 0);
  FT_CHECK(bytes < (size_t)INT32_MAX / (extra + 1) - 8, FT_ERR_DATA,
           "a word of %zu bytes is too long for the tokenizer; insert spaces or line breaks",
           bytes);
  int64_t most = (int64_t)(bytes * (extra + 1)) + 1; /* a byte a symbol, and an unknown one */
  if (most > s->symbols_capacity) {
    void *symbols = s->symbols;
    int64_t capacity = FT_MAX(2 * most, 256);
    FT_TRY(ft_realloc(FT_MEM_TOKENIZER, (size_t)capacity * sizeof *s->symbols, &symbols));
    s->symbols = symbols;
    s->symbols_capacity = capacity;
  }
  if (is_bytes) {
    for (size_t i = 0; i < bytes; i++)
      s->symbols[i] = bpe->byte_ids[(uint8_t)word[i]];
    *count = (int64_t)bytes;
  } else {
    collector c = {.bpe = bpe, .symbols = s->symbols};
    FT_TRY(put_characters(&c, word, bytes));
    *count = c.count;
  }
out:
  return err;
}

/* ---------------------------------------------------------------- words */

static ft_err put_ids(ft_ids *out, const uint32_t *ids, int64_t count) {
  ft_err err = ft_ids_reserve(out, count);
  if (err != FT_OK) return err;
  if (count > 0) memcpy(out->ids + out->count, ids, (size_t)count * sizeof *ids);
  out->count += count;
  return FT_OK;
}

ft_err ft_bpe_encode(const ft_bpe *bpe, ft_bpe_scratch *s, const char *word, size_t bytes,
                     bool is_bytes, const uint8_t *blocked, ft_ids *out) {
  ft_err err = FT_OK;
  uint64_t hash = 0;
  struct ft_bpe_cached *slot;
  if (bytes == 0) goto out;
  if (bpe->ignore_merges) {
    int64_t id = ft_string_map_get(is_bytes ? &bpe->byte_words : &bpe->vocabulary, word, bytes);
    if (id >= 0 && !(blocked && blocked[id])) {
      uint32_t whole = (uint32_t)id;
      FT_TRY(put_ids(out, &whole, 1));
      goto out;
    }
  }
  FT_TRY(cache_slot(s, word, bytes, &hash, &slot));
  if (slot && is_cached(slot, hash, word, bytes)) {
    FT_TRY(put_ids(out, slot->ids, slot->count));
    goto out;
  }
  int64_t count = 0;
  FT_TRY(collect(bpe, s, word, bytes, is_bytes, &count));
  count = ft_bpe_merge_all(bpe, s, count);
  if (count < 0) {
    err = FT_ERR_MEMORY;
    goto out;
  }
  FT_TRY(put_ids(out, s->symbols, count));
  if (slot) remember(slot, hash, word, bytes, s->symbols, count);
out:
  return err;
}
