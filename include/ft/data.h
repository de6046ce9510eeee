/* data: the order of samples as a pure function of (seed, step), and batches from token shards. No
 * MPI: a rank is a plain argument. Not collective, all of it. */
#ifndef FT_DATA_H
#define FT_DATA_H

#include "ft/io.h"

typedef struct ft_data_source {
  const char *path; /* a token shard, or a folder of them, read in name order */
  double weight;    /* share of rows, relative to the other sources' weights, unless concatenated */
} ft_data_source;

/* What is predicted, and from shards of which kinds. */
typedef enum ft_data_target {
  FT_TARGET_NEXT,   /* the next token, where the mask says so: text, sft */
  FT_TARGET_MASKED, /* the token itself, which is masked: kind masked */
  FT_TARGET_CLASS   /* the document's class: kind classes */
} ft_data_target;

typedef struct ft_data_options {
  const ft_data_source *sources;
  int64_t num_sources;
  ft_data_target target;
  int64_t num_classes; /* FT_TARGET_CLASS: classes are below it */
  /* Each epoch has every row of every source once: dealt evenly, or without shuffling one source
   * after the other. Else sources are endless, and weights are their shares of rows. */
  bool concatenate;
  int64_t seq_len;
  bool packing, shuffle;
  bool best_fit; /* rows are filled as full as they get; else next-fit: in order of documents */
  uint64_t seed;
  uint32_t model_vocab;         /* shards of a larger vocabulary are refused */
  const char *tokenizer_sha256; /* of the model's tokenizer.json; "" : not compared */
  const char *model_path;       /* for messages */
} ft_data_options;

typedef struct ft_data ft_data;

/* Opens all shards, checks them, cuts text documents at multiples of seq_len, packs rows. Documents
 * are packed once, so every epoch has the same rows, each once, in an order of its own. Several
 * sources: row p of the endless stream is dealt so that every source is within two rows of its
 * share at any p; within a source rows follow its own order, epoch after epoch. Empty documents are
 * left out. Memory: at most 24 bytes a document and 24 a row. Shards that were prepared with
 * different templates are refused; with different system messages, warned of. Errors:
 * FT_ERR_NOINPUT, FT_ERR_DATA (all mistakes of all shards in one message where possible),
 * FT_ERR_CONFIG (seq_len, weights). */
ft_err ft_data_open(const ft_data_options *options, ft_data **out);
void ft_data_close(ft_data *data);

/* Of one epoch, over all sources. A part of a text that was cut counts as a document. */
int64_t ft_data_num_rows(const ft_data *data);
/* Of one epoch of one source. */
int64_t ft_data_source_rows(const ft_data *data, int64_t source);
int64_t ft_data_source_documents(const ft_data *data, int64_t source);
int64_t ft_data_source_tokens(const ft_data *data, int64_t source);
int64_t ft_data_num_documents(const ft_data *data);
int64_t ft_data_num_tokens(const ft_data *data);
/* What the first shard that knows was made with (ft_tokens_preparation); NULL: none knows.
 * Borrowed.
 */
const ft_tokens_preparation *ft_data_preparation(const ft_data *data);
/* What a source's shards are known by, in their order: changes with any content or preparation of
 * any of them, not with their paths. Reads shards of other programs whole. Errors: FT_ERR_DATA,
 * FT_ERR_IO. */
ft_err ft_data_identity(ft_data *data, int64_t source, uint64_t *out);
/* Reads every token and mask once: what is not a token or a mask is refused, naming the shard.
 * Takes as long as reading all files, so it is for checks and for one rank, not for every start. */
ft_err ft_data_scan(ft_data *data);
/* Tokens (or documents with a class) a loss is taken at in one epoch, the first where masks are
 * drawn. The first call scans; -1 if that fails. */
int64_t ft_data_num_targets(ft_data *data);

/* A micro-batch: documents laid end to end, no padding. Where masks are drawn (shards of kind
 * masked without labels), 15 of 100 tokens that may be masked are targets; of these 80 of 100
 * become the mask token, 10 any token, 10 stay (Devlin et al. 2019), by numbers of (seed, epoch,
 * token). Arrays are owned by the batch and reused.
 */
typedef struct ft_batch {
  int64_t num_tokens, num_documents, num_targets;
  uint32_t *tokens;   /* [num_tokens] */
  int32_t *targets;   /* [num_tokens] id to predict at this position, -1: none */
  int32_t *positions; /* [num_tokens] place in the document */
  int64_t *offsets;   /* [num_documents + 1] */
  int32_t *classes;   /* [num_documents] FT_TARGET_CLASS; else unused */
  int64_t capacity_tokens, capacity_documents;
} ft_batch;

void ft_batch_fini(ft_batch *batch);

/* Rows first … first+num_rows-1 of the endless training stream as one micro-batch. batch starts
 * zeroed. */
ft_err ft_data_rows(ft_data *data, int64_t first, int64_t num_rows, ft_batch *batch);
/* Number of targets of those rows: reads masks only. */
ft_err ft_data_count_targets(ft_data *data, int64_t first, int64_t num_rows, int64_t *num_targets);
/* The largest number of tokens that a micro-batch of num_rows rows may have: num_rows · seq_len at
 * most. */
int64_t ft_data_max_tokens(const ft_data *data, int64_t num_rows);

#endif
