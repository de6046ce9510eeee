/* From words to ids: those lately seen from memory, others by the model. */
#include "internal.h"

enum { BATCH = 64 };

/* What a run of words shares. */
typedef struct speller {
  const ft_tokenizer *t;
  ft_workspace *w;
  bool specials; /* words may become special tokens */
  ft_ids *out;
} speller;

/* Asks the model. *lasting: the answer is the same whether specials count or not. */
static ft_err ask_model(speller *s, const char *word, size_t bytes, bool *lasting) {
  const ft_model *m = &s->t->model;
  int64_t id = ft_model_whole_word(m, word, bytes, s->t->takes_bytes);
  bool special = id >= 0 && s->t->special[id];
  *lasting = !special;
  if (id >= 0 && (s->specials || !special)) {
    uint32_t whole = (uint32_t)id;
    return ft_ids_append(s->out, &whole, 1, 0);
  }
  return ft_model_encode(m, &s->w->model, word, bytes, s->t->takes_bytes, s->out);
}

static ft_err encode_long(speller *s, const char *word, size_t bytes) {
  ft_err err = FT_OK;
  bool lasting;
  int64_t count = 0, before = s->out->count;
  uint64_t hash = bytes <= FT_LONG_WORD ? ft_hash64(word, bytes, 0) : 0;
  const uint32_t *ids = hash ? ft_long_word_find(&s->w->cache, hash, word, bytes, &count) : NULL;
  if (ids) return ft_ids_append(s->out, ids, count, 0);
  FT_TRY(ask_model(s, word, bytes, &lasting));
  count = s->out->count - before;
  if (hash && lasting && count <= FT_LONG_WORD)
    FT_TRY(ft_long_word_remember(&s->w->cache, hash, word, bytes, s->out->ids + before, count));
out:
  return err;
}

/* A short word that is not among the short ones: new, or of many ids. */
static ft_err encode_short(speller *s, const char *word, size_t bytes, ft_word_key key) {
  ft_err err = FT_OK;
  bool lasting;
  int64_t count = 0, before = s->out->count;
  uint64_t hash = ft_hash64(word, bytes, 0);
  const uint32_t *ids = ft_long_word_find(&s->w->cache, hash, word, bytes, &count);
  if (ids) return ft_ids_append(s->out, ids, count, 0);
  FT_TRY(ask_model(s, word, bytes, &lasting));
  count = s->out->count - before;
  if (!lasting) goto out;
  ids = s->out->ids + before;
  FT_TRY(count <= FT_SHORT_IDS
             ? ft_word_remember(&s->w->cache, key, ids, count)
             : ft_long_word_remember(&s->w->cache, hash, word, bytes, ids, count));
out:
  return err;
}

/* All buckets are asked for before the first is looked at, so that memory is waited for once. */
static ft_err encode_batch(speller *s, const char *text, size_t bytes, size_t start,
                           const size_t *ends, int64_t count) {
  ft_err err = FT_OK;
  ft_word_key keys[BATCH];
  size_t from = start;
  for (int64_t i = 0; i < count; from = ends[i++]) {
    size_t length = ends[i] - from;
    if (length > FT_SHORT_WORD) continue;
    keys[i] = ft_word_key_of(text + from, length, bytes - from);
    __builtin_prefetch(ft_word_bucket(&s->w->cache, keys[i]));
  }
  FT_TRY(ft_ids_reserve(s->out, FT_SHORT_IDS * count));
  from = start;
  for (int64_t i = 0; i < count; from = ends[i++]) {
    size_t length = ends[i] - from;
    if (length > FT_SHORT_WORD) {
      FT_TRY(encode_long(s, text + from, length));
    } else {
      const ft_short_word *found = ft_word_find(ft_word_bucket(&s->w->cache, keys[i]), keys[i]);
      if (found) {
        memcpy(s->out->ids + s->out->count, found->ids, sizeof found->ids);
        s->out->count += found->count;
        continue;
      }
      FT_TRY(encode_short(s, text + from, length, keys[i]));
    }
    FT_TRY(ft_ids_reserve(s->out, FT_SHORT_IDS * (count - i)));
  }
out:
  return err;
}

ft_err ft_words_encode(const ft_tokenizer *t, ft_workspace *w, bool specials, const char *text,
                       size_t bytes, const size_t *ends, int64_t count, ft_ids *out) {
  speller s = {.t = t, .w = w, .specials = specials, .out = out};
  size_t start = 0;
  for (int64_t i = 0; i < count; i += BATCH) {
    int64_t now = FT_MIN(count - i, BATCH);
    ft_err err = encode_batch(&s, text, bytes, start, ends + i, now);
    if (err != FT_OK) return err;
    start = ends[i + now - 1];
  }
  return FT_OK;
}
