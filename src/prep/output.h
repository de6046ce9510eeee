/* Where prep's shards go: a work folder beside (or inside) OUT until all is there. */
#ifndef FT_PREP_OUTPUT_H
#define FT_PREP_OUTPUT_H

#include "ft/prep.h"

/* A shard that is being filled, of one set and one kind. */
typedef struct ft_prep_shard {
  ft_tokens_writer *writer; /* NULL: none is open, or another rank writes it */
  int64_t tokens, documents;
  bool begun;
} ft_prep_shard;

typedef struct ft_prep_output {
  char *out, *work;                  /* folders; work is removed at the end */
  char *result;                      /* work/result, which becomes OUT */
  bool inside;                       /* work lies in OUT, which exists already */
  uint32_t vocab_size;               /* of the shards */
  const char *tokenizer;             /* its SHA-256; not owned */
  ft_tokens_preparation preparation; /* system is not owned */
  int rank, num_ranks;               /* shard number n of all is written by rank n mod num_ranks */
  int64_t shard_tokens;              /* a shard that has reached this is closed */
  int64_t shard_documents;
  ft_prep_shard shards[FT_NUM_SPLITS][FT_TOKENS_NUM_KINDS];
  int64_t num_shards[FT_NUM_SPLITS];
} ft_prep_output;

/* Where everything goes; nothing is made. `output` starts zeroed but for vocab_size, tokenizer,
 * preparation and ranks. */
ft_err ft_prep_output_init(ft_prep_output *output, const char *out);
/* Checks that OUT may be written (overwrite: sets of shards in it will be replaced). Errors:
 * FT_ERR_CREATE. */
ft_err ft_prep_output_check(const ft_prep_output *output, bool overwrite);
/* Makes the folders of the sets, emptied of what an earlier attempt left. One rank. */
ft_err ft_prep_output_begin(ft_prep_output *output);
/* Takes the next document of all in order: every rank is given every document, and writes those of
 * its shards. `read` brings the document when it is wanted. Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_prep_output_add(ft_prep_output *output, ft_split set, ft_tokens_kind kind,
                          int64_t num_tokens, ft_err (*read)(void *arg, const ft_document **out),
                          void *arg);
/* Completes this rank's shards. */
ft_err ft_prep_output_close(ft_prep_output *output);
/* Puts everything in place, the sets and the files `names`. One rank. */
ft_err ft_prep_output_commit(ft_prep_output *output, const char *const *names, int64_t num_names);
/* Closes what is open, without it appearing, and frees. The work folder stays. */
void ft_prep_output_fini(ft_prep_output *output);

#endif
