/* Inside tokenizer: byte-pair encoding (Sennrich et al., 2016) as Hugging Face's tokenizers do it:
 * the model of tokenizer.json and the merging of words. */
#ifndef FT_TOKENIZER_BPE_H
#define FT_TOKENIZER_BPE_H

#include "buffer.h"
#include "ft/tokenizer.h"
#include "unicode.h"
#include "vocabulary.h"

#define FT_BPE_NO_ID UINT32_MAX

/* Merges are fewer than this, so that a rank and a place in a short word fit into 31 bits. */
enum { FT_BPE_MAX_MERGES = 1 << 25 };

/* How a pair of symbols merges; in a hash table. */
typedef struct ft_bpe_merge {
  uint64_t key; /* (left id << 32 | right id) + 1; 0: free */
  uint32_t rank, id;
} ft_bpe_merge;

/* Immutable once loaded. */
typedef struct ft_bpe {
  const ft_vocabulary *vocabulary; /* not owned */

  ft_bpe_merge *merges; /* [merge_slots], a power of two */
  uint64_t merge_slots;
  int merge_shift;
  int64_t num_merges;

  uint32_t *pages[FT_CODE_POINTS >> 8]; /* [256] ids of single characters, or NULL */
  int64_t byte_tokens[256];             /* ids of <0x00> …, or -1 */
  bool byte_merges;                     /* such a token is a side of a merge */
  char *prefix, *suffix, *unk_token;    /* or NULL */
  int64_t unk_id;                       /* -1: not in the vocabulary */
  bool fuse_unk, byte_fallback, ignore_merges;

  /* words given as bytes instead of characters of the byte alphabet */
  bool takes_bytes; /* possible: every byte of UTF-8 has a token */
  uint32_t byte_ids[256];
  struct ft_bpe_byte_pair {
    uint32_t rank, id; /* FT_BPE_NO_ID: they do not merge */
  } * byte_pairs;      /* [256][256] which every word asks for */
  char *byte_arena;
  ft_string_map byte_words; /* bytes to id; filled if ignore_merges */
} ft_bpe;

/* Reads the "model" of tokenizer.json but for its "vocab", which must outlive it. Errors:
 * FT_ERR_DATA, naming what is not supported. */
ft_err ft_bpe_load(const cJSON *model, const ft_vocabulary *vocabulary, ft_bpe **out);
void ft_bpe_free(ft_bpe *bpe);
/* Refuses a model without merges whose vocabulary needs them; `added` are contents (to ids) that
 * do not count. */
ft_err ft_bpe_check_merges(const ft_bpe *bpe, const ft_string_map *added);

/* Asks for the memory that ft_bpe_find will look at. */
static inline void ft_bpe_look_ahead(const ft_bpe *bpe, uint32_t left, uint32_t right) {
  uint64_t key = ((uint64_t)left << 32 | right) + 1;
  __builtin_prefetch(&bpe->merges[key * 0x9E3779B97F4A7C15u >> bpe->merge_shift]);
}

/* What two symbols merge to, or NULL. */
static inline const ft_bpe_merge *ft_bpe_find(const ft_bpe *bpe, uint32_t left, uint32_t right) {
  uint64_t key = ((uint64_t)left << 32 | right) + 1;
  uint64_t i = key * 0x9E3779B97F4A7C15u >> bpe->merge_shift;
  for (;; i = (i + 1) & (bpe->merge_slots - 1)) {
    if (bpe->merges[i].key == key) return &bpe->merges[i];
    if (!bpe->merges[i].key) return NULL;
  }
}

/* Memory that merging long words needs: one for each thread at a time. Starts zeroed. */
typedef struct ft_bpe_scratch {
  struct ft_bpe_link *links;
  struct ft_bpe_candidate *queue;
  int64_t capacity; /* of links; the queue has three times as many */
} ft_bpe_scratch;
void ft_bpe_scratch_fini(ft_bpe_scratch *s);

/* Appends the ids of one word (of bytes, or of characters) to out, whose mask is left to the
 * caller. Errors: FT_ERR_DATA (an unknown character and no token for it), FT_ERR_MEMORY. */
ft_err ft_bpe_encode(const ft_bpe *bpe, ft_bpe_scratch *s, const char *word, size_t bytes,
                     bool is_bytes, ft_ids *out);

/* A word of few symbols that is being merged. Symbols that became part of another leave holes,
 * which `next` and `previous` pass over. */
enum { FT_BPE_FEW = 40 };
typedef struct ft_bpe_word {
  uint32_t symbols[FT_BPE_FEW];
  int64_t count;
  int32_t order[FT_BPE_FEW + 8]; /* of the pair at a place: its rank and the place, or the most */
  uint32_t made[FT_BPE_FEW];     /* what it becomes */
  uint8_t next[FT_BPE_FEW + 1], previous[FT_BPE_FEW + 1];
  uint8_t grown; /* place of the symbol that has grown last */
  bool waits;    /* its new pairs have not been looked up */
} ft_bpe_word;

/* Whether a word of so many bytes has few symbols, whatever they are. */
bool ft_bpe_is_short(const ft_bpe *bpe, size_t bytes);
/* Takes a short word. Errors: as ft_bpe_encode. */
ft_err ft_bpe_word_init(const ft_bpe *bpe, const char *word, size_t bytes, bool is_bytes,
                        ft_bpe_word *out);
/* Merges words: symbols[0 … count) of each are its ids then. What one word waits for from memory is
 * fetched while others are merged, so several at once are faster than one after the other. */
void ft_bpe_merge_words(const ft_bpe *bpe, ft_bpe_word *words, int64_t num_words);

/* Merges symbols[0..*count), however many, in place; *count is how many are left. Errors:
 * FT_ERR_MEMORY. */
ft_err ft_bpe_merge_many(const ft_bpe *bpe, ft_bpe_scratch *s, uint32_t *symbols, int64_t *count);
/* Begins the merging of a word's symbols: looks all pairs up. bytes: what the symbols stand for, if
 * each is a byte, or NULL. */
void ft_bpe_begin(const ft_bpe *bpe, const char *bytes, ft_bpe_word *w);

#endif
