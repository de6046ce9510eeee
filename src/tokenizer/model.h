/* Inside tokenizer: the "model" of tokenizer.json, which turns words into ids. */
#ifndef FT_TOKENIZER_MODEL_H
#define FT_TOKENIZER_MODEL_H

#include "bpe.h"
#include "wordpiece.h"

/* Immutable once loaded. Starts zeroed. */
typedef struct ft_model {
  ft_vocabulary vocabulary;
  ft_bpe *bpe; /* one of these */
  ft_wordpiece *wordpiece;
} ft_model;

/* Errors: FT_ERR_DATA, naming what is not supported. */
ft_err ft_model_load(const cJSON *json, ft_model *out);
void ft_model_fini(ft_model *m);

/* Memory that encoding a word needs: one for each thread at a time. Starts zeroed. */
typedef struct ft_model_scratch {
  ft_bpe_scratch bpe;
  ft_buffer content;
} ft_model_scratch;
void ft_model_scratch_fini(ft_model_scratch *s);

/* The words that are looked up as a whole before anything else, or NULL. is_bytes: they stand as
 * bytes for characters of GPT-2's byte alphabet. */
const ft_string_map *ft_model_whole_words(const ft_model *m, bool is_bytes);
/* Appends the ids of one word to out, whose mask is left to the caller. Errors: FT_ERR_DATA (what
 * the model does not know, and no token for it), FT_ERR_MEMORY. */
ft_err ft_model_encode(const ft_model *m, ft_model_scratch *s, const char *word, size_t bytes,
                       bool is_bytes, ft_ids *out);

#endif
