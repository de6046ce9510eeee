/* A whole forward and backward pass. The order of acquisitions and gradients is the same on every
 * rank, also on one that has no micro-batch in this round. */
#include <string.h>

#include "internal.h"

static int64_t head_block(const ft_model *m) {
  return m->arch.layers + 1;
}

/* Layers 0, k, 2k … keep only their input. */
static bool computed_again(const ft_model *m, int64_t layer) {
  int64_t every = m->options.activation_checkpointing;
  return every > 0 && layer % every == 0;
}

static layer_activations *activations_of(ft_model *m, int64_t layer) {
  int64_t every = m->options.activation_checkpointing;
  if (!m->options.training || computed_again(m, layer))
    return &m->activations[m->num_activations - 1];
  return &m->activations[every > 0 ? layer - ft_ceil_div(layer, every) : layer];
}

/* Where layer `layer`'s input is kept, or the last output (layer == layers). Without a backward
 * pass two buffers take turns. */
static void *input_of(ft_model *m, int64_t layer) {
  return m->options.training ? m->x[layer] : m->x[layer % 2];
}

/* Before a layer that is computed: where a stop is noticed, and tests make ranks slow. */
static ft_err begin_layer(const ft_model *m, const char *point) {
  double slow_s = ft_fault(point).slow_s;
  for (double end_s = slow_s > 0 ? ft_now_s() + slow_s : 0; end_s > 0 && ft_now_s() < end_s;) {
    ft_err err = ft_shard_check(m->shard);
    if (err != FT_OK) return err;
    ft_sleep_s(0.005);
  }
  return ft_shard_check(m->shard);
}

/* Embedding and layers. batch NULL: only the collectives. `after`: the block acquired after the
 * last. */
static ft_err forward_layers(ft_model *m, const ft_model_batch *batch, int64_t after) {
  ft_err err = FT_OK;
  const void *weights;
  FT_TRY(ft_shard_acquire(m->shard, 0, 1, &weights));
  ft_time_enter(FT_TIME_ELEMENTWISE);
  if (batch)
    ft_embedding_forward(m->type, batch->num_tokens, m->d, batch->tokens, weights, input_of(m, 0));
  ft_shard_release(m->shard, 0);
  for (int64_t layer = 0; layer < m->arch.layers; layer++) {
    int64_t next = layer + 1 < m->arch.layers ? layer + 2 : after;
    FT_TRY(ft_shard_acquire(m->shard, layer + 1, next, &weights));
    if (batch) {
      FT_TRY(begin_layer(m, "forward"));
      FT_TRY(ft_layer_forward(m, layer, weights, batch, input_of(m, layer),
                              activations_of(m, layer), input_of(m, layer + 1)));
      ft_shard_look_at_output(m->shard, layer + 1, m->type, input_of(m, layer + 1),
                              batch->num_tokens * m->d);
    }
    ft_shard_release(m->shard, layer + 1);
  }
out:
  ft_time_enter(FT_TIME_OTHER);
  return err;
}

/* Lends the head matrix and the final norm. Tied: two blocks are held. `next`: block after them. */
static ft_err acquire_head(ft_model *m, int64_t next, const void **head, const void **norm) {
  ft_err err = FT_OK;
  const void *weights, *embedding;
  FT_TRY(ft_shard_acquire(m->shard, head_block(m), m->arch.tied ? 0 : next, &weights));
  *norm = ft_model_weight(m, head_block(m), weights, FT_ROLE_FINAL_NORM);
  *head = ft_model_weight(m, head_block(m), weights, FT_ROLE_HEAD);
  if (m->arch.tied) {
    FT_TRY(ft_shard_acquire(m->shard, 0, next, &embedding));
    *head = ft_model_weight(m, 0, embedding, FT_ROLE_EMBEDDING);
  }
out:
  return err;
}

static void release_head(ft_model *m) {
  if (m->arch.tied) ft_shard_release(m->shard, 0);
  ft_shard_release(m->shard, head_block(m));
}

/* Whether the embedding's gradient needs the embedding: tied, with the head's part in pieces. */
static bool head_again(const ft_model *m) {
  return m->arch.tied && m->num_vocab_pieces > 0;
}

static ft_err backward_layers(ft_model *m, const ft_model_batch *batch) {
  ft_err err = FT_OK;
  const void *weights;
  for (int64_t layer = m->arch.layers - 1; layer >= 0; layer--) {
    layer_activations *a = activations_of(m, layer);
    FT_TRY(
        ft_shard_acquire(m->shard, layer + 1, layer > 0 || head_again(m) ? layer : -1, &weights));
    FT_TRY(ft_shard_gradient_open(m->shard, layer + 1));
    if (batch) {
      FT_TRY(begin_layer(m, "backward"));
      if (computed_again(m, layer))
        FT_TRY(ft_layer_forward(m, layer, weights, batch, m->x[layer], a, NULL));
      FT_TRY(ft_layer_backward(m, layer, weights, batch, m->x[layer], a));
    }
    FT_TRY(ft_shard_gradient_close(m->shard));
    ft_shard_release(m->shard, layer + 1);
  }
out:
  return err;
}

/* The embedding's gradient; tied: with the head's added in f32. */
static ft_err backward_embedding(ft_model *m, const ft_model_batch *batch) {
  ft_err err = FT_OK;
  const void *weights = NULL;
  if (head_again(m)) FT_TRY(ft_shard_acquire(m->shard, 0, -1, &weights));
  FT_TRY(ft_shard_gradient_open(m->shard, 0));
  for (int64_t row = 0, rows; batch && row < m->arch.vocab; row += rows) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, 0, row, &rows, &out));
    for (int64_t r = row, n; r < row + rows; r += n) {
      const float *head;
      n = row + rows - r;
      FT_TRY(ft_head_tied_rows(m, weights, r, &n, &head));
      ft_time_enter(FT_TIME_ELEMENTWISE);
      FT_TRY(ft_embedding_backward(m->type, batch->num_tokens, m->d, batch->tokens, m->dx, r, n,
                                   head, ft_model_at_mut(m, out, (r - row) * m->d)));
    }
  }
  FT_TRY(ft_shard_gradient_close(m->shard));
  if (head_again(m)) ft_shard_release(m->shard, 0);
out:
  return err;
}

ft_err ft_model_train(ft_model *m, const ft_model_batch *batch, double scale, double *loss) {
  ft_err err = FT_OK;
  const void *head, *norm;
  FT_ASSERT(m->options.training && (!batch || batch->num_tokens <= m->options.max_tokens));
  *loss = 0;
  FT_TRY(forward_layers(m, batch, head_block(m)));
  FT_TRY(acquire_head(m, m->arch.layers, &head, &norm));
  FT_TRY(ft_shard_gradient_open(m->shard, head_block(m)));
  if (batch) FT_TRY(ft_head_loss(m, batch, m->x[m->arch.layers], head, norm, true, scale, loss));
  FT_TRY(ft_shard_gradient_close(m->shard));
  release_head(m);
  FT_TRY(backward_layers(m, batch));
  FT_TRY(backward_embedding(m, batch));
out:
  ft_time_enter(FT_TIME_OTHER);
  return err;
}

ft_err ft_model_evaluate(ft_model *m, const ft_model_batch *batch, double *loss) {
  ft_err err = FT_OK;
  const void *head, *norm;
  FT_ASSERT(!batch || batch->num_tokens <= m->options.max_tokens);
  *loss = 0;
  FT_TRY(forward_layers(m, batch, head_block(m)));
  FT_TRY(acquire_head(m, -1, &head, &norm));
  if (batch)
    FT_TRY(ft_head_loss(m, batch, input_of(m, m->arch.layers), head, norm, false, 0, loss));
  release_head(m);
out:
  ft_time_enter(FT_TIME_OTHER);
  return err;
}

ft_err ft_model_logits_of(ft_model *m, const void *x, const int64_t *rows, int64_t num_rows,
                          float *logits) {
  ft_err err = FT_OK;
  const void *head, *norm;
  size_t row_bytes = (size_t)m->d * ft_dtype_bytes(m->type);
  FT_ASSERT(num_rows <= m->options.max_tokens);
  FT_TRY(acquire_head(m, -1, &head, &norm));
  for (int64_t i = 0; i < num_rows; i++)
    memcpy(ft_model_at_mut(m, m->head_x, i * m->d), ft_model_at(m, x, rows[i] * m->d), row_bytes);
  if (num_rows > 0) {
    ft_rmsnorm_forward(m->type, num_rows, m->d, m->head_x, NULL, NULL, norm, m->arch.norm_eps,
                       m->head_h, m->head_rstd);
    FT_TRY(ft_matmul_forward(m->type, FT_F32, num_rows, m->arch.vocab, m->d, m->head_h, m->d, head,
                             NULL, logits, m->arch.vocab, false));
  }
  release_head(m);
out:
  return err;
}

ft_err ft_model_logits(ft_model *m, const ft_model_batch *batch, const int64_t *rows,
                       int64_t num_rows, float *logits) {
  ft_err err = FT_OK;
  FT_TRY(forward_layers(m, batch, head_block(m)));
  FT_TRY(ft_model_logits_of(m, input_of(m, m->arch.layers), rows, num_rows, logits));
out:
  return err;
}
