/* From words to ids: those lately seen from memory, others by the model. */
#include "internal.h"

enum { BATCH = 64, GROUP = 8 };

/* A word whose ids are not known yet. Room for its ids was left in the output. */
typedef struct new_word {
  const char *text;
  size_t bytes;
  ft_word_key key; /* of a short word */
  uint64_t hash;   /* of a long one */
  int64_t at;      /* where its ids will begin */
} new_word;

/* What a run of words shares. */
typedef struct speller {
  const ft_tokenizer *t;
  ft_workspace *w;
  bool specials;                    /* words may become special tokens */
  bool groups;                      /* new words are merged together */
  const ft_string_map *whole_words; /* ft_model_whole_words */
  ft_ids *out;
  new_word news[GROUP];
  int64_t num_new;
} speller;

/* The id of a word that is looked up as a whole. *lasting: the answer is the same whether special
 * tokens count or not. */
static bool find_whole(const speller *s, const char *word, size_t bytes, uint64_t hash,
                       uint32_t *id, bool *lasting) {
  int64_t found = s->whole_words ? ft_string_map_get_hashed(s->whole_words, word, bytes, hash) : -1;
  bool special = found >= 0 && s->t->special[found];
  *lasting = !special;
  *id = (uint32_t)found;
  return found >= 0 && (s->specials || !special);
}

static ft_err ask_model(speller *s, const char *word, size_t bytes, bool *lasting) {
  uint32_t whole;
  uint64_t hash = s->whole_words ? ft_hash64(word, bytes, 0) : 0;
  if (find_whole(s, word, bytes, hash, &whole, lasting)) return ft_ids_append(s->out, &whole, 1, 0);
  return ft_model_encode(&s->t->model, &s->w->model, word, bytes, s->t->takes_bytes, s->out);
}

/* A short word that is not known, or whose ids are many. */
static ft_err encode_short(speller *s, const char *word, size_t bytes, ft_word_key key,
                           const ft_short_word *known) {
  ft_err err = FT_OK;
  bool lasting;
  int64_t before = s->out->count;
  const uint32_t *ids = known ? ft_word_ids(&s->w->cache, known) : NULL;
  if (ids) return ft_ids_append(s->out, ids, known->count, 0);
  FT_TRY(ask_model(s, word, bytes, &lasting));
  if (lasting)
    FT_TRY(ft_word_remember(&s->w->cache, key, s->out->ids + before, s->out->count - before));
out:
  return err;
}

/* ---------------------------------------------------------------- new words
 * Merging waits for memory most of the time, so several new words are merged together, and their
 * ids put where room was left. */

static ft_err remember(ft_word_cache *c, const new_word *n, const uint32_t *ids, int64_t count) {
  return n->bytes <= FT_SHORT_WORD
             ? ft_word_remember(c, n->key, ids, count)
             : ft_long_word_remember(c, n->hash, n->text, n->bytes, ids, count);
}

/* Puts the ids of new words in place, and closes what room they leave. ids of word i begin at
 * ids[i]. */
static void fill_gaps(speller *s, const uint32_t *const *ids, const int64_t *counts) {
  ft_ids *out = s->out;
  int64_t end = s->num_new > 0 ? s->news[0].at : 0;
  for (int64_t i = 0; i < s->num_new; i++) {
    int64_t behind = s->news[i].at + FT_BPE_FEW;
    int64_t next = i + 1 < s->num_new ? s->news[i + 1].at : out->count;
    memcpy(out->ids + end, ids[i], (size_t)counts[i] * sizeof *out->ids);
    end += counts[i];
    memmove(out->ids + end, out->ids + behind, (size_t)(next - behind) * sizeof *out->ids);
    end += next - behind;
  }
  if (s->num_new > 0) out->count = end;
}

/* Finds the ids of all new words. */
static ft_err settle(speller *s) {
  ft_err err = FT_OK;
  const ft_model *m = &s->t->model;
  ft_bpe_word words[GROUP];
  uint32_t whole[GROUP];
  uint64_t hashes[GROUP] = {0};
  const uint32_t *ids[GROUP];
  int64_t counts[GROUP], num_merging = 0, merging[GROUP];
  bool lasting[GROUP];
  for (int64_t i = 0; s->whole_words && i < s->num_new; i++)
    hashes[i] = ft_string_map_look_ahead(s->whole_words, s->news[i].text, s->news[i].bytes);
  for (int64_t i = 0; i < s->num_new; i++) {
    const new_word *n = &s->news[i];
    bool is_whole = find_whole(s, n->text, n->bytes, hashes[i], &whole[i], &lasting[i]);
    ids[i] = &whole[i];
    counts[i] = 1;
    if (is_whole) continue;
    FT_TRY(ft_bpe_word_init(m->bpe, n->text, n->bytes, s->t->takes_bytes, &words[num_merging]));
    merging[num_merging++] = i;
  }
  ft_bpe_merge_words(m->bpe, words, num_merging);
  for (int64_t i = 0; i < num_merging; i++) {
    ids[merging[i]] = words[i].symbols;
    counts[merging[i]] = words[i].count;
  }
  fill_gaps(s, ids, counts);
  for (int64_t i = 0; i < s->num_new; i++)
    if (lasting[i]) FT_TRY(remember(&s->w->cache, &s->news[i], ids[i], counts[i]));
out:
  s->num_new = 0;
  return err;
}

/* The word's place in the output is that at the end. */
static ft_err put_off(speller *s, new_word n) {
  ft_err err = FT_OK;
  if (s->num_new == GROUP) FT_TRY(settle(s));
  FT_TRY(ft_ids_reserve(s->out, FT_BPE_FEW));
  n.at = s->out->count;
  s->news[s->num_new++] = n;
  s->out->count += FT_BPE_FEW;
out:
  return err;
}

static ft_err encode_long(speller *s, const char *word, size_t bytes) {
  ft_err err = FT_OK;
  bool lasting;
  int64_t count = 0, before = s->out->count;
  uint64_t hash = bytes <= FT_LONG_WORD ? ft_hash64(word, bytes, 0) : 0;
  const uint32_t *ids = hash ? ft_long_word_find(&s->w->cache, hash, word, bytes, &count) : NULL;
  if (ids) return ft_ids_append(s->out, ids, count, 0);
  if (hash && s->groups && ft_bpe_is_short(s->t->model.bpe, bytes))
    return put_off(s, (new_word){.text = word, .bytes = bytes, .hash = hash});
  FT_TRY(ask_model(s, word, bytes, &lasting));
  count = s->out->count - before;
  if (hash && lasting && count <= FT_LONG_WORD)
    FT_TRY(ft_long_word_remember(&s->w->cache, hash, word, bytes, s->out->ids + before, count));
out:
  return err;
}

/* ---------------------------------------------------------------- runs of words */

/* The keys of short words. All buckets are asked for before the first is looked at, so that memory
 * is waited for once. */
static void look_ahead(const ft_word_cache *c, const char *text, size_t bytes, size_t start,
                       const size_t *ends, int64_t count, ft_word_key *keys, uint64_t *hashes) {
  for (int64_t i = 0; i < count; start = ends[i++]) {
    size_t length = ends[i] - start;
    if (length > FT_SHORT_WORD) continue;
    keys[i] = ft_word_key_of(text + start, length, bytes - start);
    hashes[i] = ft_word_hash(keys[i]);
    ft_word_look_ahead(c, hashes[i]);
  }
}

/* A word that is not among the short ones with few ids. */
static ft_err encode_other(speller *s, const char *word, size_t bytes, const ft_word_key *key,
                           const ft_short_word *known) {
  if (bytes > FT_SHORT_WORD) return encode_long(s, word, bytes);
  if (!known && s->groups) return put_off(s, (new_word){.text = word, .bytes = bytes, .key = *key});
  return encode_short(s, word, bytes, *key, known);
}

static ft_err encode_batch(speller *s, const char *text, size_t bytes, size_t start,
                           const size_t *ends, int64_t count) {
  ft_err err = FT_OK;
  ft_word_key keys[BATCH];
  uint64_t hashes[BATCH];
  ft_ids *out = s->out;
  look_ahead(&s->w->cache, text, bytes, start, ends, count, keys, hashes);
  FT_TRY(ft_ids_reserve(out, FT_SHORT_IDS * count));
  uint32_t *to = out->ids + out->count;
  for (int64_t i = 0; i < count; start = ends[i++]) {
    size_t length = ends[i] - start;
    const ft_short_word *known = NULL;
    if (length <= FT_SHORT_WORD) {
      known = ft_word_find(&s->w->cache, hashes[i], keys[i]);
      if (known && known->count <= FT_SHORT_IDS) { /* nearly all words of a text */
        memcpy(to, known->ids, sizeof known->ids);
        to += known->count;
        continue;
      }
    }
    out->count = to - out->ids;
    FT_TRY(encode_other(s, text + start, length, &keys[i], known));
    FT_TRY(ft_ids_reserve(out, FT_SHORT_IDS * (count - i)));
    to = out->ids + out->count;
  }
  out->count = to - out->ids;
out:
  return err;
}

ft_err ft_words_encode(const ft_tokenizer *t, ft_workspace *w, bool specials, const char *text,
                       size_t bytes, const size_t *ends, int64_t count, ft_ids *out) {
  speller s; /* its new words are not cleared: this may be called for a single word */
  size_t start = 0;
  s.t = t;
  s.w = w;
  s.specials = specials;
  s.out = out;
  s.num_new = 0;
  s.whole_words = ft_model_whole_words(&t->model, t->takes_bytes);
  s.groups = t->model.bpe && ft_bpe_is_short(t->model.bpe, FT_SHORT_WORD);
  for (int64_t i = 0; i < count; i += BATCH) {
    int64_t now = FT_MIN(count - i, BATCH);
    ft_err err = encode_batch(&s, text, bytes, start, ends + i, now);
    if (err != FT_OK) return err;
    start = ends[i + now - 1];
  }
  return s.num_new > 0 ? settle(&s) : FT_OK;
}
