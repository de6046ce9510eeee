/* From words to ids: characters or bytes to symbols, and merging. */
#include "bpe.h"

#include <string.h>

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
  int64_t id = ft_vocabulary_id(c->bpe->vocabulary, marked.data, marked.bytes);
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

/* The most symbols a word can have: one a byte of what is written for it, and an unknown one. */
static size_t most_symbols(const ft_bpe *bpe, size_t bytes) {
  size_t extra = (bpe->prefix ? strlen(bpe->prefix) : 0) + (bpe->suffix ? strlen(bpe->suffix) : 0);
  return bytes < SIZE_MAX / (extra + 1) - 1 ? bytes * (extra + 1) + 1 : SIZE_MAX;
}

/* A word's symbols; *count is their number. */
static ft_err collect(const ft_bpe *bpe, const char *word, size_t bytes, bool is_bytes,
                      uint32_t *symbols, int64_t *count) {
  ft_err err = FT_OK;
  collector c = {.bpe = bpe, .symbols = symbols};
  if (is_bytes) {
    for (size_t i = 0; i < bytes; i++)
      symbols[i] = bpe->byte_ids[(uint8_t)word[i]];
    c.count = (int64_t)bytes;
  } else {
    err = put_characters(&c, word, bytes);
  }
  *count = c.count;
  return err;
}

bool ft_bpe_is_short(const ft_bpe *bpe, size_t bytes) {
  return most_symbols(bpe, bytes) <= FT_BPE_FEW;
}

ft_err ft_bpe_word_init(const ft_bpe *bpe, const char *word, size_t bytes, bool is_bytes,
                        ft_bpe_word *out) {
  ft_err err = collect(bpe, word, bytes, is_bytes, out->symbols, &out->count);
  if (err == FT_OK) ft_bpe_begin(bpe, is_bytes ? word : NULL, out);
  return err;
}

ft_err ft_bpe_encode(const ft_bpe *bpe, ft_bpe_scratch *s, const char *word, size_t bytes,
                     bool is_bytes, ft_ids *out) {
  ft_err err = FT_OK;
  ft_bpe_word few;
  size_t most = most_symbols(bpe, bytes);
  if (most <= FT_BPE_FEW) {
    FT_TRY(ft_bpe_word_init(bpe, word, bytes, is_bytes, &few));
    ft_bpe_merge_words(bpe, &few, 1);
    FT_TRY(ft_ids_append(out, few.symbols, few.count, 0));
    goto out;
  }
  FT_CHECK(most < INT32_MAX - 8, FT_ERR_DATA,
           "a word of %zu bytes is too long for the tokenizer; insert spaces or line breaks",
           bytes);
  FT_TRY(ft_ids_reserve(out, (int64_t)most));
  uint32_t *symbols = out->ids + out->count;
  int64_t count = 0;
  FT_TRY(collect(bpe, word, bytes, is_bytes, symbols, &count));
  FT_TRY(ft_bpe_merge_many(bpe, s, symbols, &count));
  out->count += count;
out:
  return err;
}
