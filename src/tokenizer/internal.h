/* Inside tokenizer: its parts, and the memory that encoding works in. */
#ifndef FT_TOKENIZER_INTERNAL_H
#define FT_TOKENIZER_INTERNAL_H

#include <pthread.h>

#include "added_tokens.h"
#include "decoder.h"
#include "joints.h"
#include "model.h"
#include "normalizer.h"
#include "pretokenizer.h"
#include "word_cache.h"

/* What the post-processor puts around a text. Starts zeroed. */
typedef struct ft_surroundings {
  uint32_t *before, *after;
  int64_t num_before, num_after;
} ft_surroundings;
/* Reads the "post_processor" (NULL: nothing); ids are below vocab_size. Errors: FT_ERR_DATA, naming
 * what is not supported. */
ft_err ft_surroundings_load(const cJSON *json, int64_t vocab_size, ft_surroundings *out);
void ft_surroundings_fini(ft_surroundings *s);

enum { FT_CUT_WORDS = 512 };

/* Memory that one encoding at a time works in, with the words it has lately seen. */
typedef struct ft_workspace {
  struct ft_workspace *next;
  ft_regex_scratch *regex;
  ft_normalizer_scratch normalizer;
  ft_pretokenizer_run run;
  ft_model_scratch model;
  ft_word_cache cache;
  size_t ends[FT_CUT_WORDS]; /* of words that have been cut and not encoded yet */
} ft_workspace;

/* Workspaces that nobody uses now: as many as there ever were encodings at once. */
typedef struct ft_workspace_pool {
  pthread_mutex_t lock;
  ft_workspace *free;
} ft_workspace_pool;

/* A token as decoding sees it. */
typedef struct ft_token {
  const char *content; /* as it stands in tokenizer.json; NULL: no such id */
  const char *decoded; /* what the decoder gets: added tokens are normalized */
  bool special;
  bool skipped; /* by decoding without special tokens */
} ft_token;

struct ft_tokenizer {
  char sha256[65];
  ft_model model;
  ft_normalizer *normalizer;
  ft_pretokenizer *pretokenizer;
  ft_decoder *decoder;
  ft_added_tokens added;
  ft_surroundings surroundings;
  bool takes_bytes; /* words go to the model as bytes */
  ft_joints joints; /* usable: text is cut at them, and by nothing else */
  int64_t vocab_size;
  ft_token *tokens; /* [vocab_size] */
  uint8_t *special; /* [vocab_size] */
  ft_workspace_pool *pool;
};

/* Appends the ids of words that stand one behind the other in text[0 … bytes): the first ends at
 * ends[0], the next at ends[1] … specials: words may become special tokens. The mask is left to the
 * caller. Errors: FT_ERR_DATA, FT_ERR_MEMORY. */
ft_err ft_words_encode(const ft_tokenizer *t, ft_workspace *w, bool specials, const char *text,
                       size_t bytes, const size_t *ends, int64_t count, ft_ids *out);

void ft_workspace_free(ft_workspace *w);

#endif
