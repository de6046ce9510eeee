/* What the files of this module share: buffers of a pass, and the rooms a pass walks through.
 *
 *   pass.c          the order of acquisitions and gradients, the same on every rank
 *   unit.c          weights of a unit by role; its gradient on the way to the owners
 *   kept.c          what is kept for the backward pass
 *   layer.c         one layer: norms, attention, feed-forward part and the sums between them
 *   norm.c          norms of the residual stream
 *   linear.c        one linear map
 *   beside.c        what a method puts beside one: a low-rank part, scales
 *   beside_ends.c   low-rank parts beside the embedding and the head
 *   bottleneck.c    … at the end of a branch or a layer: a narrow feed-forward part
 *   virtual.c       … before the tokens of a document: a prompt, a prefix
 *   attention.c     q, k, v: projections, norms, rotation, attention
 *   feed_forward.c  gated or plain
 *   embedding.c     look-ups
 *   head_input.c, head.c, head_weighed.c, head_pieces.c  what is predicted from, logits, losses
 *   cache.c         keys and values of sequences that grow; a pass over them
 *   sample.c        choosing a token
 *   generate.c      answers to many prompts
 *
 * T: tokens of a micro-batch; other letters as in arch.h. Arrays are of the compute type unless a
 * type stands there. */
#ifndef FT_MODEL_INTERNAL_H
#define FT_MODEL_INTERNAL_H

#include "ft/kernels_beside.h"
#include "ft/kernels_layer.h"
#include "ft/kernels_loss.h"
#include "ft/model.h"

/* ---------------------------------------------------------------- buffers */

/* What stands beside a map, in the layer with the most of it. */
typedef struct map_needs {
  int64_t in, out;
  int64_t rank; /* the highest; 0: no low-rank part */
  bool own_a, output_scale, input_scale;
} map_needs;

/* Where a layer may have a bottleneck. */
typedef enum bottleneck_site {
  AFTER_ATTENTION,
  AFTER_FEED_FORWARD,
  BOTTLENECK_SITES
} bottleneck_site;

/* What a layer's backward pass needs of its forward pass; NULL where the model has no such thing.
 * Statistics are what a norm's backward pass needs of each row. */
typedef struct layer_activations {
  void *attention_input;  /* [T, D] normed; without that norm it is the layer's input itself */
  void *qkv;              /* [T, H·W + 2 K·W] after norms and rotary embedding */
  void *qk;               /* [T, H·W + 2 K·W] q and k before their norm (v's columns unused) */
  void *attended;         /* [T, H·W] attention's output */
  void *attention_output; /* [T, D] input of the norm after attention */
  void *middle;           /* [T, D] residual stream between attention and feed-forward part */
  void *mlp_input;        /* [T, D] normed; without that norm it is `middle` itself */
  void *gate;             /* [T, F] */
  void *up;               /* [T, F] */
  void *mlp_output;       /* [T, D] input of the norm after the feed-forward part */
  float *attention_stats; /* [T], as the others of the stream */
  float *attention_output_stats, *mlp_stats, *mlp_output_stats;
  float *q_stats, *k_stats;                 /* [T, H], [T, K] */
  float *lse;                               /* [H, T] */
  void *reduced[FT_MAP_NUM];                /* [T, r] s · A x of a low-rank part */
  void *unscaled[FT_MAP_NUM];               /* [T, out] what an output scale multiplies */
  void *bottleneck_input[BOTTLENECK_SITES]; /* [T, D] what a bottleneck reads */
  void *bottleneck_inner[BOTTLENECK_SITES]; /* [T, width] before its activation */
} layer_activations;

struct ft_model {
  ft_arch arch;
  const ft_layout *layout; /* borrowed, as the next */
  ft_shard *shard;
  ft_model_options options;
  ft_dtype type;
  int64_t d, f, q, kv, qkv; /* widths: D, F, H·W, K·W, and H·W + 2 K·W */
  ft_rope ropes[FT_MAX_ROPES];
  uint8_t *rope_table;  /* [T] which of two sets of frequencies a token's document uses, or NULL */
  int64_t lowest_layer; /* the backward pass ends there: below nothing is trained; L: the head */
  bool embedding_trained;
  bool head_trained;                    /* the head's matrix, wherever it lies */
  int64_t *train_order, *forward_order; /* blocks in the order of acquisition */
  int64_t num_train_order, num_forward_order;
  const ft_block *open; /* whose gradient is being sent, or NULL */
  bool rows_alone;      /* rows are of different sequences: no row's bits may depend on others */

  /* kept for the backward pass */
  void **x;                       /* [L + 1] inputs of each layer, and the last one's output */
  layer_activations *activations; /* [L] those of layers that nothing is kept of are the same */
  void *passing;                  /* [T, D] normed inputs that nobody needs again */
  bool has_passing;
  void *embedding_sum; /* [T, D] input of the embedding's norm, or NULL */
  float *embedding_stats;

  /* scratch of one unit */
  void *branch;     /* [T, D] what a branch adds to the residual stream; then its gradient */
  void *wide;       /* [T, F] activation's output and its gradient */
  void *d_qkv;      /* [T, H·W + 2 K·W] */
  void *d_attended; /* [T, H·W] */
  float *dx;        /* [T, D] gradient of the residual stream */
  void *dx16;       /* [T, D] the same in the compute type */
  float *d_norm, *d_norm_bias; /* [D] gradients of a norm's weight and bias */
  float *d_q_norm, *d_k_norm;  /* [H·W], [K·W] at most */

  /* beside maps (beside.c); NULL where there is no such thing */
  map_needs needs[FT_MAP_NUM];  /* of those of layers */
  float dropout;                /* of the pass at hand */
  uint64_t draw;                /* names its random numbers */
  void *scaled;                 /* [T, widest] a map's input or gradient after a scale */
  void *dropped;                /* [T, widest] a low-rank part's input after dropout */
  void *d_reduced[FT_MAP_NUM];  /* [T, r] gradient of A x */
  float *factors[FT_MAP_NUM];   /* [2, out] what an output scale multiplies by; norms of rows */
  float *d_factors[FT_MAP_NUM]; /* [out], or of an input scale [in] its gradient */
  float *d_bias[FT_MAP_NUM];    /* [out] of a bias behind a scale */
  float *beside_room;           /* of ft_low_rank_row_norms */

  /* low-rank parts of the ends (beside_ends.c); NULL where there is none */
  void *embedding_reduced;    /* [T, r] s · A[t] */
  float *d_embedding_reduced; /* [T, r] */
  void *head_reduced;         /* [T, r] s · A h of the head's rows */
  void *d_head_reduced;       /* [T, r] */
  float *d_head_up;           /* [columns, r] of what makes logits, summed over pieces of tokens */
  float *d_head_down;         /* [D, r] of the other, where one part stands for both ends */

  /* beside layers; NULL as above */
  void *narrow;         /* [T, width] a bottleneck's activation, or its gradient */
  uint32_t *prompt_ids; /* [T] of the batch at hand: row of the prompt, or FT_NO_TOKEN */
  float *d_prefix;      /* [prefix_tokens, 2 K·W] gradient of a layer's prefix */

  /* the head, over rows with something to predict (head_input.c) */
  int64_t columns;      /* logits of a row: V, or num_labels */
  int64_t num_rows;     /* of the batch at hand */
  int64_t logit_rows;   /* rows of one bounded piece */
  int64_t *target_rows; /* [T] */
  int32_t *target_ids;  /* [T] */
  float *row_values;    /* [T] where rows are weighed: log p of the target, or a score */
  float *row_weights;   /* [T] likewise: derivative of the loss by it */
  bool predicts;        /* the pass is to note the largest logit of each row */
  int32_t *predicted;   /* [T] of an evaluation */
  void *head_x, *head_n, *head_p, *head_t, *head_a, *head_h; /* [T, D] */
  float *head_stats, *head_transform_stats, *head_dx, *row_loss;
  int64_t num_logits, num_d_logits; /* elements */
  float *logits;                    /* [logit_rows, columns], or a piece of the vocabulary's */
  void *d_logits;                   /* the same */
  int64_t d_head_rows;
  float *d_head; /* [d_head_rows, D] sum over pieces of tokens: of the whole head (tied, or more
                    than one piece possible), of some rows (tied, in pieces of the vocabulary), or
                    NULL */
  float *d_head_bias, *d_head_bias_piece; /* [columns] sum over pieces of tokens, and one of them */

  /* the head's gradient in pieces of the vocabulary (head_pieces.c); else 0 and NULL */
  int64_t num_vocab_pieces, vocab_columns; /* of one piece */
  double *log_sums;   /* [T, num_vocab_pieces] log of each piece's sum of exponentials */
  int32_t *piece_ids; /* [T] targets counted from where a piece begins */

  ft_footprint *footprint; /* borrowed: buffers are counted there, not allocated; else NULL */
  void **allocations;      /* everything above, to free */
  int64_t num_allocations, room_allocations;
};

/* Element `i` of an array of the compute type. */
static inline const void *ft_model_at(const ft_model *m, const void *p, int64_t i) {
  return (const char *)p + (size_t)i * ft_dtype_bytes(m->type);
}
static inline void *ft_model_at_mut(const ft_model *m, void *p, int64_t i) {
  return (char *)p + (size_t)i * ft_dtype_bytes(m->type);
}

/* *out = memory that ft_model_free frees; NULL where it is only counted. */
ft_err ft_model_alloc(ft_model *m, ft_owner owner, int64_t count, size_t size, void **out);
/* One buffer: where its pointer goes, how many elements, of what size. */
typedef struct ft_model_buffer {
  void *pointer; /* a `T **`, which becomes NULL where there are none */
  int64_t count;
  size_t size;
} ft_model_buffer;
ft_err ft_model_alloc_all(ft_model *m, ft_owner owner, const ft_model_buffer *buffers, size_t num);
/* kept.c: the stream and every layer's activations. */
ft_err ft_model_alloc_kept(ft_model *m, int64_t tokens);
/* Whether only the layer's input is kept, and the rest computed again in the backward pass. */
bool ft_layer_is_computed_again(const ft_model *m, int64_t layer);

/* ---------------------------------------------------------------- order.c */

/* Sets what is trained, then (once the head is planned) the orders of acquisition. */
void ft_model_find_trained(ft_model *m);
ft_err ft_model_make_orders(ft_model *m);
/* Whether the embedding's backward pass needs its weights: those of its norm, or those that are the
 * head's as well, whose part of the gradient is made in pieces. */
bool ft_model_needs_embedding_again(const ft_model *m);

/* ---------------------------------------------------------------- unit.c */

/* Gathered weights by role, with their shapes; NULL where the unit has none. */
typedef struct unit_weights {
  const void *of[FT_ROLE_ALL];
  const ft_tensor *shape[FT_ROLE_ALL];
  int64_t layer; /* whose they are; -1 outside of layers */
} unit_weights;

/* Lends a unit's weights, which come next in the pass. Collective, as ft_shard_acquire. */
ft_err ft_unit_acquire(ft_model *m, const ft_unit *unit, unit_weights *w);
void ft_unit_release(ft_model *m, const ft_unit *unit);
bool ft_unit_is_trained(const ft_model *m, const ft_unit *unit);
/* Whether it has a tensor of that role, which is trained. */
bool ft_unit_trains(const ft_model *m, const ft_unit *unit, ft_role role);

/* Opens the gradient of the unit's trained block, if it has one. Collective, as the next. */
ft_err ft_gradient_open(ft_model *m, const ft_unit *unit);
ft_err ft_gradient_close(ft_model *m);
/* Index of the open block's tensor of that role; -1: it is not trained, or not there. Everything
 * that sends does nothing then. */
int ft_gradient_tensor(const ft_model *m, ft_role role);
/* Sends a vector's gradient, given in f32. */
ft_err ft_gradient_send_vector(ft_model *m, ft_role role, const float *gradient);
ft_err ft_gradient_send_zeros(ft_model *m, ft_role role);
/* Sends a matrix' gradient [rows, cols], given in f32. */
ft_err ft_gradient_send_f32(ft_model *m, ft_role role, const float *gradient);
/* Sends a matrix' gradient dyᵀ · x in row pieces. dy [T, rows], x [T, cols]. */
ft_err ft_gradient_send_matrix(ft_model *m, ft_role role, int64_t tokens, const void *dy,
                               int64_t dy_stride, const void *x, int64_t x_stride);
/* Sends a bias' gradient, the column sums of dy. */
ft_err ft_gradient_send_column_sums(ft_model *m, ft_role role, int64_t tokens, const void *dy,
                                    int64_t dy_stride);

/* ---------------------------------------------------------------- linear.c */

typedef struct linear {
  ft_role weight, bias; /* [out, in], [out] */
  int64_t in, out;
  ft_map_slot slot; /* of a layer; FT_MAP_NONE: nothing stands beside it */
} linear;

/* y [T, out] = x [T, in] · Wᵀ + b with what stands beside it; y_stride in elements, inputs without
 * gaps. a: its layer's
 * activations, NULL of a map outside of layers. y NULL: only what the backward pass needs of it,
 * when a layer is computed again. */
ft_err ft_linear_forward(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                         const void *x, void *y, int64_t y_stride, const layer_activations *a);
/* The gradient of a map's output, through what scales it: what the functions below work on. */
typedef struct linear_gradient {
  const linear *map;
  const layer_activations *a;
  int64_t tokens;
  const void *dy; /* [T, out] of x · Wᵀ */
  int64_t stride;
  const float *d_bias; /* [out] of a bias behind the scale, or NULL */
} linear_gradient;

/* Begins the backward pass of a map from dy [T, out]. scaled: where the gradient goes if an output
 * scale changes it, with the same stride; it may be dy. */
ft_err ft_linear_backward(ft_model *m, const linear *l, const unit_weights *w, int64_t tokens,
                          const layer_activations *a, const void *dy, int64_t stride, void *scaled,
                          linear_gradient *g);
/* dx [T, in] (+)= dy · W, with what stands beside it. */
ft_err ft_linear_backward_input(ft_model *m, const linear_gradient *g, const unit_weights *w,
                                void *dx, bool accumulate);
/* Send gradients; x [T, in] is the map's input. */
ft_err ft_linear_send_weight(ft_model *m, const linear_gradient *g, const void *x);
ft_err ft_linear_send_bias(ft_model *m, const linear_gradient *g);

/* ---------------------------------------------------------------- norm.c */

typedef struct norm_roles {
  ft_role weight, bias;
} norm_roles;

/* y [rows, D] = norm(x); stats [rows]. */
void ft_norm_rows(ft_model *m, const norm_roles *n, const unit_weights *w, int64_t rows,
                  const void *x, void *y, float *stats);
/* dx (f32, NULL: not wanted; = or +=) and dx16 (NULL: not wanted; may be dy) from dy; sends the
 * gradients of weight and bias. */
ft_err ft_norm_rows_backward(ft_model *m, const norm_roles *n, const unit_weights *w, int64_t rows,
                             const void *dy, const void *x, const float *stats, float *dx,
                             bool accumulate, void *dx16);

/* Where a branch joins the residual stream, with the norms around the sum. */
typedef struct junction {
  norm_roles post;   /* of the branch's output, or of the sum */
  void *kept;        /* [T, D] input of that norm */
  float *post_stats; /* [T] */
  norm_roles pre;    /* of the next branch's input, taken with the sum */
  void *normed;      /* [T, D] its result, or NULL */
  float *pre_stats;  /* [T] */
} junction;

/* stream [T, D] = x + branch with what the norms make of it; j->normed too. The branch's output is
 * in j->kept where it is normed itself, else in m->branch, which is overwritten. */
void ft_join(ft_model *m, const junction *j, const unit_weights *w, int64_t tokens, const void *x,
             void *stream);
/* From m->dx and m->dx16, gradient of the stream after the junction: *d_branch (m->dx16 or
 * m->branch) is that of the branch's output, m->dx that of the stream before. Sends the gradients
 * of `post`. */
ft_err ft_join_backward(ft_model *m, const junction *j, const unit_weights *w, int64_t tokens,
                        const void **d_branch);
/* From m->branch, the gradient of a branch's input, through the norm before it, if there is one, to
 * the stream: adds to m->dx, and m->dx16 follows. */
ft_err ft_branch_input_backward(ft_model *m, const norm_roles *pre, const unit_weights *w,
                                int64_t tokens, const void *x, const float *stats);
/* m->dx += m->branch, and m->dx16 follows. */
void ft_add_branch_gradient(ft_model *m, int64_t tokens);

/* ---------------------------------------------------------------- attention.c */

/* Attention of layer `layer` over documents laid end to end. */
ft_attention ft_layer_attention(const ft_model *m, int64_t layer, int64_t num_documents,
                                const int64_t *offsets);
/* q, k and v of input h into a->qkv, normed and rotated. */
ft_err ft_attention_project(ft_model *m, int64_t layer, const unit_weights *w,
                            const ft_model_batch *batch, const void *h, layer_activations *a);
/* a->attended of a->qkv's. */
ft_err ft_attention_attend(ft_model *m, int64_t layer, const ft_model_batch *batch,
                           layer_activations *a);
/* out [T, D] = the output map of a->attended. */
ft_err ft_attention_output(ft_model *m, const unit_weights *w, int64_t tokens, layer_activations *a,
                           void *out);
/* From d_out [T, D], gradient of the output map's result: sends the gradients of attention's
 * tensors, and (input_too) that of h into m->branch, which may be d_out. */
ft_err ft_attention_backward_all(ft_model *m, int64_t layer, const unit_weights *w,
                                 const ft_model_batch *batch, const void *h, layer_activations *a,
                                 const void *d_out, bool input_too);

/* ---------------------------------------------------------------- feed_forward.c */

/* out [T, D] = the feed-forward part of a->mlp_input. NULL: only what its backward pass needs. */
ft_err ft_feed_forward(ft_model *m, const unit_weights *w, int64_t tokens, layer_activations *a,
                       void *out);
/* From d_out [T, D]: sends the gradients of its tensors, and (input_too) that of its input into
 * m->branch. */
ft_err ft_feed_forward_backward(ft_model *m, const unit_weights *w, int64_t tokens,
                                layer_activations *a, const void *d_out, bool input_too);

/* ---------------------------------------------------------------- layer.c */

/* Output from x, filling a. output NULL: only what the backward pass needs (activation
 * checkpointing). */
ft_err ft_layer_forward(ft_model *m, int64_t layer, const unit_weights *w,
                        const ft_model_batch *batch, const void *x, layer_activations *a,
                        void *output);
/* From m->dx and m->dx16, gradient of the layer's output, to the same of its input (unless
 * input_too is false: then they mean nothing); sends the gradients of the layer's tensors. */
ft_err ft_layer_backward(ft_model *m, int64_t layer, const unit_weights *w,
                         const ft_model_batch *batch, const void *x, layer_activations *a,
                         bool input_too);
/* The parts of ft_layer_forward around attention, for a caller with its own (generation). */
ft_err ft_layer_before_attention(ft_model *m, int64_t layer, const unit_weights *w,
                                 const ft_model_batch *batch, const void *x, layer_activations *a);
ft_err ft_layer_after_attention(ft_model *m, const unit_weights *w, int64_t tokens, const void *x,
                                layer_activations *a, void *output);

/* ---------------------------------------------------------------- rope.c */

/* Sets of frequencies: 1, or 2 where they depend on the document's length. */
int ft_rope_tables(const ft_rope_form *rope);
/* inv_freq [tables, width / 2] with the form's scaling. */
void ft_rope_frequencies(const ft_rope_form *rope, float *inv_freq);
/* Notes for each token of a batch which set its document uses, where there are two. */
void ft_rope_choose_tables(ft_model *m, const ft_model_batch *batch);

/* ---------------------------------------------------------------- head_input.c */

/* Collects what the head looks at of the last layer's output x, and what it is to predict: the rows
 * of tokens with a target, or one row a document. Returns their number. */
int64_t ft_head_select(ft_model *m, const ft_model_batch *batch, const void *x);
/* From m->head_x to m->head_h, for `rows` rows. batch: that the rows were selected from; NULL where
 * the caller chose them, of a head without labels. */
ft_err ft_head_input(ft_model *m, const ft_model_batch *batch, const unit_weights *w, int64_t rows);
/* From m->branch, the gradient of head_h, to m->dx and m->dx16 over the whole batch; sends the
 * gradients of norms and transform. */
ft_err ft_head_input_backward(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                              int64_t rows);

/* ---------------------------------------------------------------- head.c */

/* What the head's backward pass leaves for the embedding's, where they are one matrix. */
typedef struct head_rest {
  int64_t rows; /* with a target */
  ft_loss loss;
  const float *weights; /* [rows] of each one's gradient; NULL: loss.weight */
} head_rest;

/* Loss over the batch's rows from the last layer's output x. w: the head unit's weights, head: its
 * matrix. backward: also fills m->dx / dx16, sends the gradients of the head's tensors, and *rest.
 */
ft_err ft_head_loss(ft_model *m, const ft_model_batch *batch, const void *x, const unit_weights *w,
                    const void *head, bool backward, const ft_loss *row_loss, double *loss,
                    head_rest *rest);
/* Logits of rows first … first+rows-1 of m->head_h, before their scale and cap. */
ft_err ft_head_make_logits(ft_model *m, const unit_weights *w, const void *head, int64_t first,
                           int64_t rows, float *logits);
/* Gradients that follow from m->d_logits of rows first …: of head_h (into m->branch, which is free
 * here), and of the head where it is summed; add: to what others gave. */
ft_err ft_head_rows_backward(ft_model *m, const unit_weights *w, const void *head, int64_t first,
                             int64_t rows, bool add);
/* Sends the gradients of the head's tensors, once all rows have had their backward pass (in pieces
 * of the vocabulary: makes them first), and fills m->dx / dx16. */
ft_err ft_head_send(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                    const void *head, const head_rest *rest);

/* ---- head_weighed.c: rows whose gradients get weights of their own, once all are known */

/* m->row_values of the batch's rows (m->num_rows): log p of the target, or the document's score. As
 * ft_head_loss. backward: keeps what ft_head_weighed needs. */
ft_err ft_head_values(ft_model *m, const ft_model_batch *batch, const void *x,
                      const unit_weights *w, const void *head, bool backward);
/* The backward pass after it: m->row_weights has the loss's derivative by each value, which is
 * overwritten. As ft_head_loss. */
ft_err ft_head_weighed(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                       const void *head, head_rest *rest);

/* Logits [num_rows, V] of some rows of the last layer's output x. The head's unit comes next. */
ft_err ft_head_logits(ft_model *m, const void *x, const int64_t *rows, int64_t num_rows,
                      float *logits);
/* Lends the head's unit and the matrix, which may be the embedding's. */
ft_err ft_head_acquire(ft_model *m, unit_weights *w, const void **head);
void ft_head_release(ft_model *m);
/* What lies between the head's product and the softmax. */
static inline ft_logits ft_head_logits_form(const ft_model *m) {
  return (ft_logits){.scale = m->arch.logits_scale, .cap = m->arch.logits_softcap};
}

/* ---- head_pieces.c: head, as above. Where m->num_vocab_pieces is 0, only plan and tied_rows are
 * called. */

/* Decides how the head's work is cut, from shapes and options alone. Errors: FT_ERR_USAGE. */
ft_err ft_head_plan(ft_model *m);
/* Notes m->log_sums of rows first … first+rows-1, whose logits are in m->logits. */
void ft_head_log_sums(ft_model *m, int64_t first, int64_t rows);
/* The gradient of head_h into m->branch, by way of m->dx. tensor: index of the head in the open
 * block, where its gradient is sent; -1: it is frozen, or leaves with the embedding. */
ft_err ft_head_pieces_backward(ft_model *m, const void *head, int tensor, const head_rest *rest);
/* The head's part of a tied matrix' gradient, rows row … row+*num_rows-1, or NULL if there is none;
 * it lies there until the next call, and may be of fewer rows than were asked for. Rows are asked
 * for in their order, all of them. */
ft_err ft_head_tied_rows(ft_model *m, const void *head, const head_rest *rest, int64_t row,
                         int64_t *num_rows, const float **gradient);

/* ---------------------------------------------------------------- embedding.c */

/* out [T, D] from the tokens of a batch; noisy: with its noise. */
ft_err ft_embed(ft_model *m, const unit_weights *w, const ft_model_batch *batch, bool noisy,
                void *out);
/* What multiplies a token's row before anything else is done with it, as in transformers. */
float ft_embedding_scale_inside(const ft_model *m);
/* Sends the gradients of the embedding's tensors from m->dx and m->dx16; tied: with the head's
 * added in f32. w: the unit's weights, as far as ft_model_needs_embedding_again says. */
ft_err ft_embedding_unit_backward(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                                  const head_rest *rest);

#endif
