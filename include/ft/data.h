/* data: the order of samples as a pure function of (seed, step), and batches from token shards. No
 * MPI: a rank is a plain argument. Not collective, all of it. */
#ifndef FT_DATA_H
#define FT_DATA_H

#include "ft/base_layer.h"
#include "ft/io.h"

typedef struct ft_data_source {
  const char *path; /* a token shard, or a folder of them, read in name order */
  double weight;    /* share of rows, relative to the other sources' weights, unless concatenated */
} ft_data_source;

/* What is predicted, and from shards of which kinds. */
typedef enum ft_data_target {
  FT_TARGET_NEXT,   /* the next token, where the mask says so: text, sft */
  FT_TARGET_MASKED, /* the token itself, which is masked: kind masked */
  FT_TARGET_CLASS,  /* the document's class: kind classes */
  FT_TARGET_PAIR,   /* the next token of an answer; answers come in pairs: kind preference */
  FT_TARGET_RATED   /* the next token of an answer that is labelled as a whole: kind unpaired */
} ft_data_target;

typedef struct ft_data_options {
  const ft_data_source *sources;
  int64_t num_sources;
  ft_data_target target;
  int64_t num_classes; /* FT_TARGET_CLASS: classes are below it */
  /* Each epoch has every row of every source once: dealt evenly, or without shuffling one source
   * after the other. Else sources are endless, and weights are their shares of rows. */
  bool concatenate;
  double replay_share; /* of rows, which the last source has whatever `concatenate` says; 0: none */
  int64_t seq_len;
  int64_t virtual_rows; /* of a batch, before each document: room for what a method puts there */
  bool packing, shuffle;
  bool prompt_targets; /* FT_TARGET_PAIR: all tokens of a chosen document but the first are
                          targets */
  bool best_fit; /* rows are filled as full as they get; else next-fit: in order of documents */
  uint64_t seed;
  uint32_t model_vocab;         /* shards of a larger vocabulary are refused */
  const char *tokenizer_sha256; /* of the model's tokenizer.json; "" : not compared */
  const char *model_path;       /* for messages */
} ft_data_options;

typedef struct ft_data ft_data;

/* A row is a document, or a pair of them (FT_TARGET_PAIR: the chosen and the rejected one, side by
 * side); with packing, as many whole ones as fit: documents into seq_len tokens, pairs into twice
 * as many, since each document of a pair may have seq_len. Where virtual rows stand before each
 * document, they count: a row has room for seq_len tokens and one document's virtual rows. So what
 * a document holds does not depend on them. */

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

/* Of one epoch, over all sources; of the last one, where it is replayed, its share. A part of a
 * text that was cut counts as a document. */
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
/* What a document of a micro-batch is. */
typedef enum ft_batch_part {
  FT_PART_WHOLE, /* of every target but the following */
  FT_PART_CHOSEN,
  FT_PART_REJECTED,
  FT_PART_DESIRABLE,
  FT_PART_UNDESIRABLE,
  FT_PART_MISMATCHED /* a prompt with another document's answer (ft_data_add_mismatched) */
} ft_batch_part;

typedef struct ft_batch_document {
  ft_batch_part part;
  int64_t item; /* which pair or document of the micro-batch it belongs to, from 0: both of a pair
                   have the pair's number, a mismatched one that of its prompt */
  int64_t prompt_length; /* tokens before the first that the mask marks; all of them: no answer */
  uint64_t hash; /* FT_TARGET_PAIR and _RATED: of its tokens and mask; equal documents, in whatever
                    set and place, have one hash */
} ft_batch_document;

/* A micro-batch: documents laid end to end, no padding. Virtual rows before each document have
 * FT_NO_TOKEN, no target and the first positions, and the document's offset includes them. Where
 * masks are drawn (shards of kind masked without labels), 15 of 100 tokens that may be masked are
 * targets; of these 80 of 100 become the mask token, 10 any token, 10 stay (Devlin et al. 2019), by
 * numbers of (seed, epoch, token). Arrays are owned by the batch and reused. */
typedef struct ft_batch {
  int64_t num_tokens, num_documents, num_targets;
  int64_t virtual_rows;         /* of each document, before its tokens */
  uint32_t *tokens;             /* [num_tokens] */
  int32_t *targets;             /* [num_tokens] id to predict at this position, -1: none */
  bool *of_answer;              /* [num_tokens] FT_TARGET_PAIR and _RATED: whether the mask marks
                                   what is to be predicted here; else unused */
  int32_t *positions;           /* [num_tokens] place in the document */
  int64_t *offsets;             /* [num_documents + 1] */
  int32_t *classes;             /* [num_documents] FT_TARGET_CLASS; else unused */
  ft_batch_document *documents; /* [num_documents] */
  int64_t num_items;            /* pairs, or documents without the mismatched ones */
  int64_t capacity_tokens, capacity_documents;
} ft_batch;

void ft_batch_fini(ft_batch *batch);
/* Takes the virtual rows out: the batch as it is without what a method puts there. */
void ft_batch_drop_virtual(ft_batch *batch);

/* Rows first … first+num_rows-1 of the endless training stream as one micro-batch. batch starts
 * zeroed. */
ft_err ft_data_rows(ft_data *data, int64_t first, int64_t num_rows, ft_batch *batch);
/* Appends to a micro-batch of those rows, FT_TARGET_RATED, for each of its documents in order one
 * more: its prompt with the answer of the document before it, the first with the last's, where
 * "before", "first" and "last" are of the global batch, rows batch_first … batch_first +
 * batch_rows - 1, to which the micro-batch belongs. One that would be longer than seq_len is cut
 * there. They count in num_tokens, num_documents and num_targets, not in num_items. */
ft_err ft_data_add_mismatched(ft_data *data, int64_t first, int64_t num_rows, int64_t batch_first,
                              int64_t batch_rows, ft_batch *batch);

/* What rows hold, the mismatched documents aside. */
typedef struct ft_data_counts {
  int64_t targets;        /* as ft_batch.num_targets */
  int64_t items;          /* as ft_batch.num_items */
  int64_t chosen_answers; /* FT_TARGET_PAIR: targets in the answers of chosen documents */
  int64_t chosen_tokens;  /* FT_TARGET_PAIR: tokens of chosen documents but the first of each */
} ft_data_counts;
/* Of rows first … first+num_rows-1: reads masks only. */
ft_err ft_data_count(ft_data *data, int64_t first, int64_t num_rows, ft_data_counts *counts);
/* Tokens of the longest row, virtual rows included. */
int64_t ft_data_longest_row(const ft_data *data);
/* What the size of a micro-batch depends on. */
typedef struct ft_data_shape {
  ft_data_target target;
  bool packing;
  int64_t seq_len, virtual_rows, longest_row; /* the last with virtual rows */
} ft_data_shape;
/* The largest number of tokens, virtual rows included, that a micro-batch of num_rows rows may
 * have, or one of their mismatched documents (FT_TARGET_RATED). */
int64_t ft_data_batch_tokens(const ft_data_shape *shape, int64_t num_rows);
/* The same of data that is there. */
int64_t ft_data_max_tokens(const ft_data *data, int64_t num_rows);

#endif
