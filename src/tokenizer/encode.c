/* From text to ids: added tokens are found first, then what lies between is normalized, cut into
 * words and given to the model. */
#include "internal.h"

#include "unicode.h"

/* ---------------------------------------------------------------- workspaces */

static ft_err workspace_new(const ft_tokenizer *t, ft_workspace **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory));
  ft_workspace *w = memory;
  FT_TRY(ft_pretokenizer_run_init(t->pretokenizer, &w->run));
  FT_TRY(ft_word_cache_init(&w->cache));
  FT_TRY(ft_regex_scratch_new(&w->regex));
  w->run.regex = w->regex;
  w->run.keep_bytes = t->takes_bytes;
  *out = w;
  memory = NULL;
out:
  ft_workspace_free(memory);
  return err;
}

void ft_workspace_free(ft_workspace *w) {
  if (!w) return;
  ft_regex_scratch_free(w->regex);
  ft_normalizer_scratch_fini(&w->normalizer);
  ft_pretokenizer_run_fini(&w->run);
  ft_model_scratch_fini(&w->model);
  ft_word_cache_fini(&w->cache);
  ft_free(w);
}

static ft_err workspace_acquire(const ft_tokenizer *t, ft_workspace **out) {
  pthread_mutex_lock(&t->pool->lock);
  ft_workspace *w = t->pool->free;
  if (w) t->pool->free = w->next;
  pthread_mutex_unlock(&t->pool->lock);
  *out = w;
  return w ? FT_OK : workspace_new(t, out);
}

static void workspace_release(const ft_tokenizer *t, ft_workspace *w) {
  if (!w) return;
  pthread_mutex_lock(&t->pool->lock);
  w->next = t->pool->free;
  t->pool->free = w;
  pthread_mutex_unlock(&t->pool->lock);
}

/* ---------------------------------------------------------------- encoding */

typedef struct encoding {
  const ft_tokenizer *t;
  ft_workspace *w;
  bool specials; /* text may become special tokens */
  ft_ids *out;
  /* words that the pre-tokenizer's steps cut out of a piece, one behind the other */
  const ft_piece *piece; /* NULL: words are not parts of it */
  size_t start, end;     /* of these words in the piece */
  int64_t num_ends;      /* of w->ends, from their start on */
} encoding;

/* Encodes the words that were kept back. */
static ft_err encode_kept(encoding *e) {
  int64_t count = e->num_ends;
  e->num_ends = 0;
  if (count == 0) return FT_OK;
  return ft_words_encode(e->t, e->w, e->specials, e->piece->text + e->start,
                         e->piece->bytes - e->start, e->w->ends, count, e->out);
}

/* Takes a word from the pre-tokenizer's steps. */
static ft_err encode_word(void *arg, const ft_piece *word) {
  encoding *e = arg;
  if (word->bytes == 0) return FT_OK;
  if (!e->piece)
    return ft_words_encode(e->t, e->w, e->specials, word->text, word->bytes, &word->bytes, 1,
                           e->out);
  size_t at = (size_t)(word->text - e->piece->text);
  if (e->num_ends == FT_CUT_WORDS || (e->num_ends > 0 && at != e->end)) {
    ft_err err = encode_kept(e);
    if (err != FT_OK) return err;
  }
  if (e->num_ends == 0) e->start = at;
  e->end = at + word->bytes;
  e->w->ends[e->num_ends++] = e->end - e->start;
  return FT_OK;
}

static ft_err encode_by_steps(encoding *e, const ft_piece *piece) {
  e->piece = e->t->takes_bytes && ft_pretokenizer_keeps_text(e->t->pretokenizer) ? piece : NULL;
  e->num_ends = 0;
  ft_err err = ft_pretokenizer_apply(&e->w->run, piece);
  return err == FT_OK ? encode_kept(e) : err;
}

/* Words by hand, or by the pre-tokenizer's steps. */
static ft_err encode_words(encoding *e, const ft_piece *piece) {
  size_t from = 0, at;
  const ft_splitter *splitter =
      e->t->takes_bytes ? ft_pretokenizer_splitter(e->t->pretokenizer) : NULL;
  const ft_joints *joints = &e->t->joints;
  if (!splitter && !joints->usable) return encode_by_steps(e, piece);
  for (;;) {
    const char *text = piece->text + from;
    size_t bytes = piece->bytes - from;
    at = 0;
    int64_t count = splitter ? ft_splitter_cut(splitter, text, bytes, &at, e->w->ends, FT_CUT_WORDS)
                             : ft_joints_cut(joints, text, bytes, &at, e->w->ends, FT_CUT_WORDS);
    if (count == 0) return FT_OK;
    ft_err err = ft_words_encode(e->t, e->w, e->specials, text, bytes, e->w->ends, count, e->out);
    if (err != FT_OK) return err;
    from += at;
  }
}

/* The added tokens of the trie are ids; what lies between them is given to `between`. */
static ft_err encode_parts(encoding *e, const ft_trie *trie, const ft_piece *piece,
                           ft_err (*between)(encoding *e, const ft_piece *part)) {
  ft_err err = FT_OK;
  ft_added_matches m = {.added = &e->t->added,
                        .trie = trie,
                        .text = piece->text,
                        .bytes = piece->bytes,
                        .specials = e->specials};
  size_t start, end;
  const ft_added_token *token;
  while (ft_added_next(&m, &start, &end, &token)) {
    if (token) {
      FT_TRY(ft_ids_append(e->out, &token->id, 1, 0));
      continue;
    }
    ft_piece part = ft_piece_part(piece, start, end);
    FT_TRY(between(e, &part));
  }
out:
  return err;
}

/* Text between the added tokens that are searched for in the text as it is. */
static ft_err encode_between(encoding *e, const ft_piece *piece) {
  ft_piece normalized;
  ft_err err =
      ft_normalizer_apply(e->t->normalizer, &e->w->normalizer, e->w->regex, piece, &normalized);
  if (err != FT_OK) return err;
  return encode_parts(e, &e->t->added.normalized, &normalized, encode_words);
}

ft_err ft_tokenizer_encode(const ft_tokenizer *t, const char *text, size_t bytes, bool specials,
                           uint8_t mask, ft_ids *out) {
  return ft_tokenizer_encode_part(t, text, bytes, specials, false, mask, out);
}

ft_err ft_tokenizer_encode_part(const ft_tokenizer *t, const char *text, size_t bytes,
                                bool specials, bool behind, uint8_t mask, ft_ids *out) {
  ft_err err = FT_OK;
  int64_t before = out->count;
  size_t at;
  bool unusual;
  encoding e = {.t = t, .specials = specials, .out = out};
  FT_CHECK(ft_unicode_check(text, bytes, &at, &unusual), FT_ERR_DATA,
           "the text is not valid UTF-8 at byte %zu (0x%02X)", at,
           (unsigned)(unsigned char)text[at]);
  if (bytes == 0) goto out;
  FT_TRY(workspace_acquire(t, &e.w));
  e.w->run.word = encode_word;
  e.w->run.arg = &e;
  ft_piece all = {text, bytes, behind ? 0 : ft_utf8_length(text[0]), unusual};
  FT_TRY(encode_parts(&e, &t->added.plain, &all, encode_between));
  if (out->count > before) memset(out->mask + before, mask, (size_t)(out->count - before));
out:
  if (e.w) workspace_release(t, e.w);
  if (err != FT_OK) out->count = before;
  return err;
}
