/* Signatures and n-grams of documents. */
#include "shingles.h"

#include <string.h>

/* As ft_mix64, of 32 bits. */
static inline uint32_t mix32(uint32_t h) {
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  return h ^ h >> 16;
}

/* ---------------------------------------------------------------- texts of a record */

typedef ft_err (*visitor)(void *arg, const ft_words *words);

/* Calls `visit` for each message's words; alpaca's input belongs to its instruction. Of a pair, the
 * rejected answer counts too. */
static ft_err each_text(const ft_record *record, ft_words *words, visitor visit, void *arg) {
  ft_err err = FT_OK;
  ft_words_clear(words);
  if (record->text) {
    FT_TRY(ft_words_add(words, record->text, strlen(record->text)));
    FT_TRY(visit(arg, words));
  }
  for (int64_t i = 0; i < record->num_messages; i++) {
    const ft_message *m = &record->messages[i];
    if (m->role == FT_SPEAKER_SYSTEM || m->role == FT_SPEAKER_DEVELOPER) continue;
    ft_words_clear(words);
    FT_TRY(ft_words_add(words, m->content, strlen(m->content)));
    if (m->input) FT_TRY(ft_words_add(words, m->input, strlen(m->input)));
    FT_TRY(visit(arg, words));
  }
  const ft_record *other = record->rejected;
  if (other && other->num_messages > 0) {
    const ft_message *m = &other->messages[other->num_messages - 1];
    ft_words_clear(words);
    FT_TRY(ft_words_add(words, m->content, strlen(m->content)));
    FT_TRY(visit(arg, words));
  }
out:
  return err;
}

static int64_t word_end(const ft_words *w, int64_t i) {
  return i + 1 < w->num_words ? w->starts[i + 1] - 1 : (int64_t)w->bytes;
}

static uint64_t word_hash(const ft_words *w, int64_t i) {
  return ft_hash64(w->text + w->starts[i], (size_t)(word_end(w, i) - w->starts[i]), 0);
}

/* ---------------------------------------------------------------- signatures */

typedef struct sketch {
  ft_signature *signature;
  int64_t width; /* words or characters of a shingle */
  bool characters, found;
  uint32_t seeds[FT_SIGNATURE_SIZE];
} sketch;

/* Each place's hash function is the mixed shingle, permuted once more by a number of its own. */
static void add_shingle(sketch *s, uint64_t shingle) {
  uint32_t *least = s->signature->least, low = (uint32_t)ft_mix64(shingle);
  for (int i = 0; i < FT_SIGNATURE_SIZE; i++) {
    uint32_t h = (low ^ s->seeds[i]) * 0x9e3779b1u;
    h = (h ^ h >> 15) * 0x85ebca77u;
    h ^= h >> 13;
    least[i] = h < least[i] ? h : least[i];
  }
  s->found = true;
}

static void sketch_words(sketch *s, const ft_words *words) {
  int64_t width = FT_MIN(s->width, words->num_words);
  uint64_t recent[32];
  for (int64_t i = 0; i < words->num_words; i++) {
    recent[i % 32] = word_hash(words, i);
    if (i + 1 < width) continue;
    uint64_t h = 0;
    for (int64_t k = i + 1 - width; k <= i; k++)
      h = (h ^ recent[k % 32]) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
    add_shingle(s, h);
  }
}

static void sketch_characters(sketch *s, const ft_words *words) {
  size_t width = FT_MIN((size_t)s->width, words->bytes);
  for (size_t i = 0; width > 0 && i + width <= words->bytes; i++) {
    bool inside = ((unsigned char)words->text[i] & 0xC0) == 0x80;
    if (!inside) add_shingle(s, ft_hash64(words->text + i, width, 0));
  }
}

static ft_err sketch_text(void *arg, const ft_words *words) {
  sketch *s = arg;
  if (s->characters)
    sketch_characters(s, words);
  else
    sketch_words(s, words);
  return FT_OK;
}

ft_err ft_signature_of(const ft_clean_options *options, const ft_record *record, ft_words *words,
                       ft_signature *signature, bool *found) {
  sketch s = {.signature = signature,
              .width = FT_MIN(options->near_shingle, 32),
              .characters = options->near_characters};
  for (uint32_t i = 0; i < FT_SIGNATURE_SIZE; i++)
    s.seeds[i] = mix32(i * 0x9e3779b9u + 1);
  memset(signature, 0xff, sizeof *signature);
  ft_err err = each_text(record, words, sketch_text, &s);
  *found = s.found;
  return err;
}

uint64_t ft_signature_band(const ft_signature *signature, int band) {
  return ft_hash64(signature->least + band * FT_SIGNATURE_ROWS,
                   FT_SIGNATURE_ROWS * sizeof signature->least[0], (uint64_t)band + 1);
}

double ft_signature_similarity(const ft_signature *a, const ft_signature *b) {
  int equal = 0;
  for (int i = 0; i < FT_SIGNATURE_SIZE; i++)
    equal += a->least[i] == b->least[i];
  return (double)equal / FT_SIGNATURE_SIZE;
}

/* ---------------------------------------------------------------- n-grams */

typedef struct gram_job {
  ft_grams *grams;
  int64_t width;
} gram_job;

static ft_err add_gram(ft_grams *g, uint64_t hash) {
  ft_err err =
      ft_grow(FT_MEM_PREP, g->count + 1, sizeof *g->hashes, &g->capacity, (void **)&g->hashes);
  if (err == FT_OK) g->hashes[g->count++] = hash;
  return err;
}

static ft_err gram_text(void *arg, const ft_words *words) {
  gram_job *job = arg;
  int64_t width = FT_MIN(job->width, words->num_words);
  if (width < FT_MAX(1, job->width / 3)) return FT_OK;
  for (int64_t i = 0; i + width <= words->num_words; i++) {
    size_t bytes = (size_t)(word_end(words, i + width - 1) - words->starts[i]);
    ft_err err = add_gram(job->grams, ft_hash64(words->text + words->starts[i], bytes, 0));
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

ft_err ft_grams_of(const ft_clean_options *options, const ft_record *record, ft_words *words,
                   ft_grams *grams) {
  gram_job job = {.grams = grams, .width = options->ngram};
  return each_text(record, words, gram_text, &job);
}

void ft_grams_fini(ft_grams *grams) {
  ft_free(grams->hashes);
  *grams = (ft_grams){0};
}
