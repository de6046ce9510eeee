/* Small model directories for tests: tokenizers of each family with chosen merges and special
 * tokens, written to a temporary folder. */
#ifndef FT_TEST_TINY_TOKENIZER_H
#define FT_TEST_TINY_TOKENIZER_H

#include "ft/tokenizer.h"

typedef struct tiny_spec {
  bool byte_fallback;   /* Llama 2's family; otherwise byte-level */
  bool metaspace_first; /* with byte_fallback: the newer form, which marks a text's start only */
  const char *const *specials; /* special added tokens, NULL at the end; after the vocabulary */
  const char *const *merges; /* pairs of pieces as they stand in tokenizer.json, NULL at the end */
  const char *bos;           /* what the post-processor puts first, or NULL */
  bool nfc;
  const char *config; /* tokenizer_config.json's text, or NULL */
} tiny_spec;

/* A new temporary folder; free with ft_free after tiny_remove. */
char *tiny_folder(void);
void tiny_remove(char *folder);
/* Writes TEXT to FOLDER/NAME. */
void tiny_write(const char *folder, const char *name, const char *text);
/* Writes tokenizer.json (and tokenizer_config.json) into FOLDER and opens it. */
ft_tokenizer *tiny_tokenizer(const char *folder, const tiny_spec *spec);

#endif
