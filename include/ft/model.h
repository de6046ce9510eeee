/* model: a decoder's forward and backward pass, block by block, over parameters acquired from
 * shard. */
#ifndef FT_MODEL_H
#define FT_MODEL_H

#include "ft/kernels_layer.h"
#include "ft/kernels_loss.h"
#include "ft/shard.h"

typedef struct ft_model ft_model;

typedef struct ft_model_options {
  ft_dtype compute;   /* as the shard's */
  int64_t max_tokens; /* of a micro-batch */
  bool training;      /* room for a backward pass */
  /* Of every so many layers (the first, …) keep only the input and compute the rest again; 0: keep
   * everything. */
  int64_t activation_checkpointing;
  int64_t logits_bytes; /* that logits of one piece may take; 0: 256 MiB, or what FTRUN_LOGITS_BYTES
                           says; tests set a few */
  bool weighed;         /* ft_model_train_weighed and ft_model_values are to be called */
  bool bounded_head;    /* where the head's gradient would be summed in f32 in more than four times
                           logits_bytes, it is made in pieces of the vocabulary, from logits that
                           are computed once more (tied: twice) */
  uint64_t seed;        /* of what training draws */
} ft_model_options;

/* A micro-batch as the model sees it; everything borrowed. */
typedef struct ft_model_batch {
  int64_t num_tokens, num_documents;
  const uint32_t *tokens;   /* [num_tokens] FT_NO_TOKEN: a row of the method's (arch_method.h), the
                               first ft_method_virtual_rows of each document, and no others */
  const int32_t *targets;   /* [num_tokens] id to predict, -1: none */
  const int32_t *positions; /* [num_tokens] */
  const int64_t *offsets;   /* [num_documents + 1] */
  const int32_t *labels;    /* [num_documents] class of each, for a head of labels; else NULL */
  ft_noise noise;           /* on the embeddings, in ft_model_train only */
  uint64_t draw;            /* names what training draws for it: another one each time */
} ft_model_batch;

/* Rows of the last evaluated batch: what was to be predicted, and what had the largest logit. */
typedef struct ft_predictions {
  int64_t num;
  const int32_t *targets, *predicted; /* [num] borrowed until the next pass */
} ft_predictions;

/* Allocates activations and workspace for the model that the shard's layout describes. Not
 * collective. shard is borrowed. Errors: FT_ERR_MEMORY, FT_ERR_USAGE (FTRUN_LOGITS_BYTES). */
ft_err ft_model_new(ft_shard *shard, const ft_model_options *options, ft_model **out);
void ft_model_free(ft_model *model);
/* What ft_model_new allocates for the model of a layout, to the byte, and what attention takes
 * beside it for the longest document that max_tokens allow; without shard and MPI. Not collective.
 * Errors: those of ft_model_new. */
ft_err ft_model_footprint(const ft_layout *layout, const ft_model_options *options,
                          ft_footprint *out);

/* Sets what a method has added to a model whose own weights are there to its first values, those of
 * options.seed; a prompt to the embedded prompt [prompt_tokens], or if that is NULL as the rest.
 * Collective over all ranks. Errors: FT_ERR_STOPPED, FT_ERR_MEMORY. */
ft_err ft_model_start_method(ft_model *model, const uint32_t *prompt);

/* Forward and backward of one micro-batch; batch NULL: this rank has none in this round and only
 * takes part in the collectives. row_loss: what a row (a token with a target, or a document with a
 * label) contributes, and the weight of its gradient; its logits are the model's business. *loss:
 * sum of the rows' losses, in double. Collective over all ranks, which call it once a round.
 * Errors: FT_ERR_STOPPED. */
ft_err ft_model_train(ft_model *model, const ft_model_batch *batch, const ft_loss *row_loss,
                      double *loss);

/* Forward only: *loss is the sum over rows of −log p. predictions: NULL, or what was predicted.
 * Same rules. */
ft_err ft_model_evaluate(ft_model *model, const ft_model_batch *batch, double *loss,
                         ft_predictions *predictions);

/* What weighs rows once the values of a whole micro-batch are known: log p of each target in order
 * of tokens, or each document's score. values [rows]; weights [rows] become the derivative of the
 * loss by each value. */
typedef struct ft_weigher {
  void (*weigh)(void *arg, int64_t rows, const float *values, float *weights);
  void *arg;
} ft_weigher;

/* Forward and backward of one micro-batch whose rows are weighed between the two. Rules and errors
 * as ft_model_train. */
ft_err ft_model_train_weighed(ft_model *model, const ft_model_batch *batch,
                              const ft_weigher *weigher);

/* Forward only: *values [*rows], borrowed until the next pass. Same rules. */
ft_err ft_model_values(ft_model *model, const ft_model_batch *batch, const float **values,
                       int64_t *rows);

/* Logits [num_rows, vocab] (f32) of the given rows of a micro-batch. Collective (same rules; batch
 * not NULL). */
ft_err ft_model_logits(ft_model *model, const ft_model_batch *batch, const int64_t *rows,
                       int64_t num_rows, float *logits);

#endif
