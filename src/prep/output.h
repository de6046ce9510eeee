/* Where prep's shards go: a folder beside (or inside) OUT until all is there. */
#ifndef FT_PREP_OUTPUT_H
#define FT_PREP_OUTPUT_H

#include "ft/prep.h"

/* A shard that is being written, of one set and one kind. */
typedef struct ft_prep_shard {
  ft_tokens_writer *writer; /* NULL: none is open */
  int64_t tokens, documents;
} ft_prep_shard;

typedef struct ft_prep_output {
  char *out, *temporary;
  bool inside;           /* temporary lies in OUT, which exists already */
  uint32_t vocab_size;   /* of the shards */
  const char *tokenizer; /* its SHA-256; not owned */
  int64_t shard_tokens;  /* a shard that has reached this is closed */
  int64_t shard_documents;
  ft_prep_shard shards[FT_NUM_SPLITS][2]; /* [set][kind] */
  int64_t num_shards[FT_NUM_SPLITS];
} ft_prep_output;

/* Checks that OUT may be written (overwrite: sets of shards in it will be replaced) and makes the
 * temporary folder. `output` starts zeroed but for vocab_size and tokenizer. Errors:
 * FT_ERR_CREATE. */
ft_err ft_prep_output_begin(ft_prep_output *output, const char *out, bool overwrite);
/* Appends a document to the set's shard of that kind. Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_prep_output_add(ft_prep_output *output, ft_split set, ft_tokens_kind kind,
                          const ft_ids *document);
/* Puts everything in place. */
ft_err ft_prep_output_commit(ft_prep_output *output);
/* Removes what is not in place, and frees. */
void ft_prep_output_fini(ft_prep_output *output);

#endif
