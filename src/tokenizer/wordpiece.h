/* Inside tokenizer: WordPiece (Schuster and Nakajima, 2012) as BERT's tokenizers use it: a word is
 * cut into the longest tokens from left to right. */
#ifndef FT_TOKENIZER_WORDPIECE_H
#define FT_TOKENIZER_WORDPIECE_H

#include "buffer.h"
#include "ft/tokenizer.h"
#include "vocabulary.h"

/* Immutable once loaded. */
typedef struct ft_wordpiece {
  const ft_vocabulary *vocabulary; /* not owned */
  char *prefix;                    /* of tokens that continue a word */
  char *unk_token;
  int64_t unk_id;         /* -1: not in the vocabulary */
  int64_t max_characters; /* a longer word becomes the unknown token */
  size_t max_token_bytes; /* of the longest token */
} ft_wordpiece;

/* Reads the "model" of tokenizer.json but for its "vocab", which must outlive it. Errors:
 * FT_ERR_DATA. */
ft_err ft_wordpiece_load(const cJSON *model, const ft_vocabulary *vocabulary, ft_wordpiece **out);
void ft_wordpiece_free(ft_wordpiece *w);

/* Appends the ids of one word to out, whose mask is left to the caller. `content` is memory to work
 * in. Errors: FT_ERR_DATA (an unknown word and no token for it), FT_ERR_MEMORY. */
ft_err ft_wordpiece_encode(const ft_wordpiece *w, ft_buffer *content, const char *word,
                           size_t bytes, ft_ids *out);

#endif
