/* Inside train: objectives that weigh whole documents, and what a reference model says of them. */
#ifndef FT_TRAIN_PREFERENCE_H
#define FT_TRAIN_PREFERENCE_H

#include "ft/objective_preference.h"
#include "internal.h"

/* ---- reference_file.c */

/* What the reference model gave to one document. */
typedef struct ft_reference_row {
  uint64_t hash;   /* ft_batch_document */
  double logp;     /* Σ log p over its answer's targets */
  int64_t targets; /* their number */
} ft_reference_row;

typedef struct ft_reference {
  ft_reference_row *rows; /* [num] by ascending hash; owned */
  int64_t num;
} ft_reference;

void ft_reference_fini(ft_reference *reference);
/* NULL: no document has that hash. */
const ft_reference_row *ft_reference_find(const ft_reference *reference, uint64_t hash);
/* Reads DIR/reference.h5, comparing every checksum; without that file *out is empty. *identity: of
 * the model that gave the numbers. Errors: FT_ERR_DATA, FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_reference_read(const char *dir, ft_reference *out, uint64_t *identity);
/* What the numbers depend on beside the document. Not collective. Errors: those of reading files. */
ft_err ft_reference_identify(const trainer *t, uint64_t *identity);
/* Writes it, durably. Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_reference_write(const char *dir, const ft_reference *reference, uint64_t identity);

/* ---- documents.c */

/* The documents of a micro-batch, as the objective sees them. */
typedef struct ft_documents {
  ft_preference_batch view;
  int64_t capacity;
  double *value, *reference, *rest, *weight, *rest_weight; /* [capacity], as the next */
  int64_t *targets, *rest_targets;
  bool *desirable;
} ft_documents;

void ft_documents_fini(ft_documents *documents);
/* All but values, from a micro-batch and what the reference model said of it (NULL: there is none).
 * Errors: FT_ERR_MEMORY, FT_ERR_INTERNAL (it said nothing). */
ft_err ft_documents_prepare(ft_documents *documents, const ft_batch *batch,
                            const ft_reference *reference);
/* Values from those of the model's rows: sums over a document, or its score. */
void ft_documents_take(ft_documents *documents, const ft_batch *batch, bool scores,
                       const float *values);
/* The weight of each row from those of its document, times `factor`. */
void ft_documents_spread(const ft_documents *documents, const ft_batch *batch, bool scores,
                         double factor, float *weights);

/* ---- preference.c */

struct ft_preference {
  trainer *t; /* borrowed */
  bool scores;
  ft_reference reference;
  ft_documents documents; /* of t->batch */
  ft_preference_whole whole;
  ft_preference_sums sums; /* of the last micro-batch */
  double factor;           /* on all weights: 1 but for tests */
  ft_weigher weigher;
};

/* NULL for objectives that weigh rows of their own. Not collective. Errors: FT_ERR_MEMORY. */
ft_err ft_preference_new(trainer *t, ft_preference **out);
void ft_preference_free(ft_preference *preference);
/* What is known of a step before its passes; counts are of all ranks. Collective over all ranks.
 * Errors: FT_ERR_STOPPED. */
ft_err ft_preference_begin_step(ft_preference *p, int64_t step, const ft_data_counts *counts);
/* t->batch has been read and is about to be passed over: FT_ERR_INTERNAL, FT_ERR_MEMORY. Not
 * collective. */
ft_err ft_preference_prepare(ft_preference *p);
/* All of a validation set: its sums, z and targets, the same on every rank. Collective over all
 * ranks. Errors: FT_ERR_STOPPED. */
ft_err ft_preference_evaluate(ft_preference *p, ft_data *data, int64_t rows,
                              ft_preference_sums *sums, double *kl, int64_t *targets);

/* ---- reference.c */

/* Refuses a directory that cannot be the reference of this run. Not collective. Errors:
 * FT_ERR_NOINPUT, FT_ERR_DATA, FT_ERR_CONFIG. */
ft_err ft_reference_check(const trainer *t);
/* Documents that it will be asked about at most, from the first step on; 0: there is none. Not
 * collective. Errors: FT_ERR_MEMORY. */
ft_err ft_reference_documents(const trainer *t, int64_t *out);
/* Log-probabilities by the reference model of every document that the run will use: those that
 * RUN/reference.h5 has are read, others are computed by all ranks; when training, the file has all
 * of them then. Before shard and model have weights. Collective over all ranks; errors are agreed.
 * Errors: FT_ERR_STOPPED, those of reading a model. */
ft_err ft_reference_prepare(trainer *t, bool training);

#endif
