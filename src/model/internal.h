/* What the files of this module share: buffers of a pass and the steps of one layer. */
#ifndef FT_MODEL_INTERNAL_H
#define FT_MODEL_INTERNAL_H

#include "ft/kernels.h"
#include "ft/model.h"

/* What a layer's backward pass needs of its forward pass. d: hidden, f: ffn, q: heads · head_dim,
 * kv: kv_heads · head_dim. All of the compute type unless a type stands there. */
typedef struct layer_activations {
  void *h1;   /* [tokens, d] normed input of attention */
  void *qkv;  /* [tokens, q + 2 kv] after norm and rotary embedding */
  void *qk;   /* [tokens, q + 2 kv] q and k before their norm (v's columns unused); NULL without */
  void *o;    /* [tokens, q] attention's output */
  void *x1;   /* [tokens, d] residual stream between attention and MLP */
  void *h2;   /* [tokens, d] normed input of the MLP */
  void *gate; /* [tokens, f] */
  void *up;   /* [tokens, f] */
  float *rstd1, *rstd2;   /* [tokens] */
  float *rstd_q, *rstd_k; /* [tokens, heads], [tokens, kv_heads]; NULL without q/k norm */
  float *lse;             /* [heads, tokens] */
} layer_activations;

struct ft_model {
  ft_arch arch;
  ft_shard *shard; /* borrowed */
  ft_model_options options;
  ft_dtype type;
  int64_t d, f, q, kv, qkv; /* widths; qkv = q + 2 kv */
  float *inv_freq;          /* [head_dim / 2] */

  /* kept for the backward pass */
  void **x;                       /* [layers + 1] inputs of each layer, and the last one's output */
  layer_activations *activations; /* [num_activations] the last is shared by the layers that are
                                     computed again */
  int64_t num_activations;

  /* scratch of one block */
  void *branch;  /* [tokens, d] what a branch adds to the residual stream; then its gradient */
  void *wide;    /* [tokens, f] SwiGLU output and its gradient */
  void *d_qkv;   /* [tokens, qkv] */
  void *d_o;     /* [tokens, q] */
  float *dx;     /* [tokens, d] gradient of the residual stream */
  void *dx16;    /* [tokens, d] the same in the compute type */
  float *d_norm; /* [max(d, head_dim)] gradient of a norm's weight */

  /* the head, over rows with a target only */
  int64_t logit_rows;    /* rows of one bounded piece */
  int64_t *target_rows;  /* [tokens] */
  int32_t *target_ids;   /* [tokens] */
  void *head_x, *head_h; /* [tokens, d] */
  float *head_rstd, *head_dx, *row_loss;
  int64_t head_rows; /* that there are in this micro-batch */
  double head_scale;
  int64_t num_logits, num_d_logits; /* elements */
  float *logits;                    /* [logit_rows, vocab], or a piece of the vocabulary's */
  void *d_logits;                   /* the same */
  int64_t d_head_rows;
  float *d_head; /* [d_head_rows, d] sum over pieces of tokens: of the whole head (tied, or more
                    than one piece possible), of some rows (tied, in pieces of the vocabulary), or
                    NULL */

  /* the head's gradient in pieces of the vocabulary (head_pieces.c); else 0 and NULL */
  int64_t num_vocab_pieces, vocab_columns; /* of one piece */
  double *log_sums;   /* [tokens, num_vocab_pieces] log of each piece's sum of exponentials */
  int32_t *piece_ids; /* [tokens] targets counted from where a piece begins */

  void **allocations; /* everything above, to free */
  int64_t num_allocations, room_allocations;
};

/* Element `i` of an array of the compute type. */
static inline const void *ft_model_at(const ft_model *m, const void *p, int64_t i) {
  return (const char *)p + (size_t)i * ft_dtype_bytes(m->type);
}
static inline void *ft_model_at_mut(const ft_model *m, void *p, int64_t i) {
  return (char *)p + (size_t)i * ft_dtype_bytes(m->type);
}

/* A block's tensor in its gathered weights, or NULL if the block has none of that role. */
const void *ft_model_weight(const ft_model *m, int64_t block, const void *weights, ft_role role);

/* inv_freq of the rotary embedding, with the architecture's scaling. */
void ft_model_inverse_frequencies(const ft_arch *arch, float *inv_freq);

/* Layer `layer` (from 0) with its gathered weights: output from x, filling a. output NULL: only
 * what the backward pass needs (activation checkpointing). */
ft_err ft_layer_forward(ft_model *m, int64_t layer, const void *weights,
                        const ft_model_batch *batch, const void *x, layer_activations *a,
                        void *output);
/* From m->dx and m->dx16, gradient of the layer's output, to the same of its input; sends the
 * gradients of the layer's tensors, whose block is open. */
ft_err ft_layer_backward(ft_model *m, int64_t layer, const void *weights,
                         const ft_model_batch *batch, const void *x, layer_activations *a);
/* The parts of ft_layer_forward around attention, for a caller with its own (generation). */
ft_err ft_layer_qkv(ft_model *m, int64_t layer, const void *weights, int64_t tokens,
                    const int32_t *positions, const void *x, layer_activations *a);
ft_err ft_layer_after_attention(ft_model *m, int64_t layer, const void *weights, int64_t tokens,
                                const void *x, layer_activations *a, void *output);
ft_attention ft_layer_attention(const ft_model *m, int64_t layer, int64_t num_documents,
                                const int64_t *offsets);

/* Sends a vector's gradient, given in f32. */
ft_err ft_model_send_vector(ft_model *m, int64_t block, ft_role role, const float *gradient);
/* Sends a matrix' gradient dyᵀ · x in row pieces. dy [tokens, rows], x [tokens, cols]. */
ft_err ft_model_send_matrix(ft_model *m, int64_t block, ft_role role, int64_t tokens,
                            const void *dy, int64_t dy_stride, const void *x, int64_t x_stride);
/* Sends a bias' gradient, the column sums of dy; a block without that role sends nothing. */
ft_err ft_model_send_bias(ft_model *m, int64_t block, ft_role role, int64_t tokens, const void *dy,
                          int64_t dy_stride);

/* Loss over the batch's targets from the last layer's output. head: the matrix, norm: the weights.
 * backward: also fills m->dx / dx16, m->d_head where it is used, and sends the head block's
 * gradients (open). */
ft_err ft_head_loss(ft_model *m, const ft_model_batch *batch, const void *x, const void *head,
                    const void *norm, bool backward, double scale, double *loss);

/* ---- head_pieces.c: head, as above. Where m->num_vocab_pieces is 0, only plan and tied_rows are
 * called. */

/* Decides how the head's work is cut, from shapes and options alone. Errors: FT_ERR_USAGE. */
ft_err ft_head_plan(ft_model *m);
/* Notes m->log_sums of rows first … first+rows-1, whose logits are in m->logits. */
void ft_head_log_sums(ft_model *m, int64_t first, int64_t rows);
/* The gradient of head_h into m->branch, by way of m->dx. tensor: index of the head in its block,
 * which is open, where its gradient is sent; -1: tied, it leaves with the embedding. */
ft_err ft_head_pieces_backward(ft_model *m, const void *head, int tensor);
/* The head's part of a tied matrix' gradient, rows row … row+*num_rows-1, or NULL if there is none;
 * it lies there until the next call, and may be of fewer rows than were asked for. Rows are asked
 * for in their order, all of them. */
ft_err ft_head_tied_rows(ft_model *m, const void *head, int64_t row, int64_t *num_rows,
                         const float **gradient);

/* Logits [num_rows, vocab] of some rows of the last layer's output x. */
ft_err ft_model_logits_of(ft_model *m, const void *x, const int64_t *rows, int64_t num_rows,
                          float *logits);

/* *out = memory that ft_model_free frees. */
ft_err ft_model_alloc(ft_model *m, ft_owner owner, int64_t count, size_t size, void **out);
ft_err ft_model_alloc_activations(ft_model *m, int64_t tokens, layer_activations *a);

#endif
