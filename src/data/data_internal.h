/* What the files of `data` share: a source is shards laid end to end on one axis of tokens, cut
 * into documents, packed into rows. */
#ifndef FT_DATA_INTERNAL_H
#define FT_DATA_INTERNAL_H

#include "ft/data.h"

/* The order of a source's rows in one epoch. */
typedef struct ft_data_order {
  int64_t epoch; /* -1: none yet */
  int64_t *rows; /* [num_rows] */
} ft_data_order;

typedef struct ft_data_shards {
  const char *path;       /* of the source, for messages; borrowed from the options while opening */
  int64_t index;          /* among the sources; part of the key of its random numbers */
  ft_tokens_file **files; /* [num_files] */
  int64_t num_files;
  int64_t virtual_rows; /* before each document */
  int64_t *bases;           /* [num_files + 1] first token of each file on the source's axis */
  int64_t *first_documents; /* [num_files] number of each file's first one on that axis */
  int64_t *starts;        /* [num_documents + 1] first token of each document; they tile the axis */
  int64_t num_documents;  /* none of them empty */
  int64_t per_item;       /* documents that stand together: 2 of a pair, else 1 */
  int64_t *packing_order; /* [items] as they fill rows; NULL: file order */
  int64_t *row_starts;    /* [num_rows + 1] places in packing order; NULL: a row is an item */
  int64_t num_rows;
  int64_t longest_row;     /* tokens, virtual ones included */
  ft_data_order orders[2]; /* of epochs with this parity */
} ft_data_shards;

/* Opens and checks every shard of a source and finds its documents; what is wrong goes to
 * *mistakes. Returns only errors that make going on pointless (FT_ERR_MEMORY). */
ft_err ft_data_shards_open(ft_data_shards *shards, const ft_data_options *options, int64_t index,
                           ft_mistakes *mistakes);
void ft_data_shards_fini(ft_data_shards *shards);

/* Adds a mistake for every shard that was prepared with another template than the first. */
void ft_data_compare_preparations(const ft_data *data, ft_mistakes *mistakes);

/* Best-fit: order[count] = places of items as rows hold them, row_starts[num_rows + 1] where
 * each row begins in it (room for count + 1). lengths[count], by place, are 1 … seq_len, which is
 * below 2^24. */
ft_err ft_data_best_fit(const int64_t *lengths, int64_t count, int64_t seq_len, int64_t *order,
                        int64_t *row_starts, int64_t *num_rows);
/* Fills rows with items: next-fit or best-fit up to per_item · (seq_len + virtual_rows) tokens, or
 * one each. */
ft_err ft_data_pack(ft_data_shards *shards, const ft_data_options *options);
/* *row = row number `n` of the source's endless stream, epoch after epoch. */
ft_err ft_data_row_at(ft_data_shards *shards, bool shuffle, uint64_t seed, int64_t n, int64_t *row);

/* Which source row p of the stream comes from. A binary tree whose leaves are the sources: each
 * inner node deals its rows to its two children by their weights. */
typedef struct ft_data_mix_node {
  uint64_t weight;     /* of all sources below */
  int64_t left, right; /* nodes; -1 in a leaf, whose number is its source's */
} ft_data_mix_node;
typedef struct ft_data_mix {
  ft_data_mix_node *nodes; /* [2 * sources - 1]; the last is the root; NULL: one after the other */
  int64_t num_nodes;
  int64_t *ends; /* [sources] rows of a pass up to the end of each; NULL where there are nodes */
  int64_t num_sources; /* without the one that is replayed, the last */
  uint64_t replay;     /* rows of it among 2^40 of the stream */
} ft_data_mix;
/* rows [num_sources] of a pass. */
ft_err ft_data_mix_init(ft_data_mix *mix, const ft_data_options *options, const int64_t *rows);
void ft_data_mix_fini(ft_data_mix *mix);
/* Rows of the stream in which `rows` come from sources that are not replayed. */
int64_t ft_data_mix_length(const ft_data_mix *mix, int64_t rows);
/* *source of row p, and how many of the rows before p came from it. A pure function. */
void ft_data_mix_at(const ft_data_mix *mix, int64_t p, int64_t *source, int64_t *row);

struct ft_data {
  ft_data_shards *sources; /* [num_sources] */
  int64_t num_sources;
  ft_data_mix mix;
  int64_t seq_len, virtual_rows;
  ft_data_target target;
  bool prompt_targets;
  uint32_t vocab; /* of the model */
  bool packing, shuffle;
  uint64_t seed;
  uint8_t *mask; /* of one document: [mask_capacity], or as many labels */
  int64_t mask_capacity;
};

/* ---- mask.c */

/* Number of ones in mask[count]. */
int64_t ft_data_count_mask(const uint8_t *mask, int64_t count);
/* data->mask has room for `length` tokens, as bytes or as labels. */
ft_err ft_data_reserve_mask(ft_data *data, int64_t length);

/* ---- targets.c */

/* A document where it lies: positions start … start+length-1 of a file. */
typedef struct ft_data_place {
  ft_tokens_file *file;
  int64_t start, length;
  int64_t number; /* in the file */
  int64_t axis;   /* its first token on the source's axis */
  int64_t draw;   /* epoch and source, as one number */
} ft_data_place;

/* Where a document goes. */
typedef struct ft_data_slot {
  uint32_t *tokens;
  int32_t *targets;        /* what is to be predicted at each token; -1: nothing */
  bool *of_answer;         /* whether the mask marks that; FT_TARGET_PAIR and _RATED only */
  int32_t class_of;        /* FT_TARGET_CLASS; else -1 */
  int64_t num;             /* rows of the loss */
  ft_batch_document about; /* but for its item */
} ft_data_slot;

ft_err ft_data_read_document(ft_data *data, const ft_data_place *place, ft_data_slot *slot);
/* Only what it counts for, added to *counts. */
ft_err ft_data_count_document(ft_data *data, const ft_data_place *place, ft_data_counts *counts);
/* Notes what of a shard is wrong for the target. */
void ft_data_check_target(ft_tokens_file *file, const ft_data_options *options,
                          ft_mistakes *mistakes);

/* ---- answers.c: documents of a prompt and an answer; data->mask has room for them */

ft_err ft_data_read_answer(ft_data *data, const ft_data_place *place, ft_data_slot *slot);
ft_err ft_data_count_answer(ft_data *data, const ft_data_place *place, ft_data_counts *counts);
/* Tokens before the answer. */
ft_err ft_data_prompt_length(ft_data *data, const ft_data_place *place, int64_t *out);
/* The first prompt_length tokens of `prompt`, followed by what `answer` has from its token
 * answer_at on, slot->tokens holding `length` in all. */
ft_err ft_data_read_mismatched(ft_data *data, const ft_data_place *prompt, int64_t prompt_length,
                               const ft_data_place *answer, int64_t answer_at, int64_t length,
                               ft_data_slot *slot);

#endif
