/* A whole forward and backward pass. The order of acquisitions and gradients is the same on every
 * rank, also on one that has no micro-batch in this round. */
#include "internal.h"

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

static ft_err forward_embedding(ft_model *m, const ft_model_batch *batch, bool noisy) {
  unit_weights w;
  ft_err err = ft_unit_acquire(m, &m->layout->embedding, &w);
  if (err != FT_OK) return err;
  if (batch) err = ft_embed(m, &w, batch, noisy, m->x[0]);
  ft_unit_release(m, &m->layout->embedding);
  return err;
}

/* Embedding and layers. batch NULL: only the collectives. noisy: with the batch's noise. */
static ft_err forward_layers(ft_model *m, const ft_model_batch *batch, bool noisy) {
  ft_err err = FT_OK;
  if (batch) ft_rope_choose_tables(m, batch);
  FT_TRY(forward_embedding(m, batch, noisy));
  for (int64_t layer = 0; layer < m->arch.layers; layer++) {
    const ft_unit *unit = &m->layout->layers[layer];
    unit_weights w;
    FT_TRY(ft_unit_acquire(m, unit, &w));
    if (batch) {
      FT_TRY(begin_layer(m, "forward"));
      FT_TRY(ft_layer_forward(m, layer, &w, batch, m->x[layer], &m->activations[layer],
                              m->x[layer + 1]));
      ft_shard_look_at_output(m->shard, unit->blocks[0], m->type, m->x[layer + 1],
                              batch->num_tokens * m->d);
    }
    ft_unit_release(m, unit);
  }
out:
  ft_time_enter(FT_TIME_OTHER);
  return err;
}

/* What a pass makes of the head's rows: losses of equal weight, or values that are weighed. */
typedef struct lesson {
  const ft_loss *row_loss;
  double *loss;
  const ft_weigher *weigher; /* NULL: row_loss and loss */
} lesson;

static ft_err learn(ft_model *m, const ft_model_batch *batch, const unit_weights *w,
                    const void *head, const lesson *l, head_rest *rest) {
  ft_err err = FT_OK;
  const void *x = m->x[m->arch.layers];
  if (!l->weigher) return ft_head_loss(m, batch, x, w, head, true, l->row_loss, l->loss, rest);
  FT_TRY(ft_head_values(m, batch, x, w, head, true));
  l->weigher->weigh(l->weigher->arg, m->num_rows, m->row_values, m->row_weights);
  FT_TRY(ft_head_weighed(m, batch, w, head, rest));
out:
  return err;
}

static ft_err backward_head(ft_model *m, const ft_model_batch *batch, const lesson *l,
                            head_rest *rest) {
  ft_err err = FT_OK;
  unit_weights w;
  const void *head;
  FT_TRY(ft_head_acquire(m, &w, &head));
  FT_TRY(ft_gradient_open(m, &m->layout->head));
  if (batch) FT_TRY(learn(m, batch, &w, head, l, rest));
  FT_TRY(ft_gradient_close(m));
  ft_head_release(m);
out:
  return err;
}

static ft_err backward_layers(ft_model *m, const ft_model_batch *batch) {
  ft_err err = FT_OK;
  for (int64_t layer = m->arch.layers - 1; layer >= m->lowest_layer; layer--) {
    const ft_unit *unit = &m->layout->layers[layer];
    layer_activations *a = &m->activations[layer];
    bool input_too = layer > m->lowest_layer || m->embedding_trained;
    unit_weights w;
    FT_TRY(ft_unit_acquire(m, unit, &w));
    FT_TRY(ft_gradient_open(m, unit));
    if (batch) {
      FT_TRY(begin_layer(m, "backward"));
      if (ft_layer_is_computed_again(m, layer))
        FT_TRY(ft_layer_forward(m, layer, &w, batch, m->x[layer], a, NULL));
      FT_TRY(ft_layer_backward(m, layer, &w, batch, m->x[layer], a, input_too));
    }
    FT_TRY(ft_gradient_close(m));
    ft_unit_release(m, unit);
  }
out:
  return err;
}

static ft_err backward_embedding(ft_model *m, const ft_model_batch *batch, const head_rest *rest) {
  ft_err err = FT_OK;
  const ft_unit *unit = &m->layout->embedding;
  unit_weights w = {.of = {NULL}};
  bool again = ft_model_needs_embedding_again(m);
  if (!m->embedding_trained) return FT_OK;
  if (again) FT_TRY(ft_unit_acquire(m, unit, &w));
  FT_TRY(ft_gradient_open(m, unit));
  if (batch) FT_TRY(ft_embedding_unit_backward(m, batch, &w, rest));
  FT_TRY(ft_gradient_close(m));
  if (again) ft_unit_release(m, unit);
out:
  return err;
}

static ft_err train(ft_model *m, const ft_model_batch *batch, const lesson *l) {
  ft_err err = FT_OK;
  head_rest rest = {.rows = 0};
  FT_ASSERT(m->options.training && (!batch || batch->num_tokens <= m->options.max_tokens));
  m->predicts = false;
  m->dropout = m->layout->method.dropout;
  m->draw = batch ? batch->draw : 0;
  ft_shard_begin_pass(m->shard, m->train_order, m->num_train_order);
  FT_TRY(forward_layers(m, batch, true));
  FT_TRY(backward_head(m, batch, l, &rest));
  FT_TRY(backward_layers(m, batch));
  FT_TRY(backward_embedding(m, batch, &rest));
out:
  ft_time_enter(FT_TIME_OTHER);
  return err;
}

ft_err ft_model_train(ft_model *m, const ft_model_batch *batch, const ft_loss *row_loss,
                      double *loss) {
  const lesson l = {.row_loss = row_loss, .loss = loss};
  *loss = 0;
  return train(m, batch, &l);
}

ft_err ft_model_train_weighed(ft_model *m, const ft_model_batch *batch, const ft_weigher *weigher) {
  const lesson l = {.weigher = weigher};
  FT_ASSERT(m->options.weighed);
  return train(m, batch, &l);
}

ft_err ft_model_evaluate(ft_model *m, const ft_model_batch *batch, double *loss,
                         ft_predictions *predictions) {
  ft_err err = FT_OK;
  const ft_loss plain = {.weight = 0};
  unit_weights w;
  const void *head;
  FT_ASSERT(!batch || batch->num_tokens <= m->options.max_tokens);
  *loss = 0;
  m->predicts = predictions != NULL;
  m->dropout = 0;
  ft_shard_begin_pass(m->shard, m->forward_order, m->num_forward_order);
  FT_TRY(forward_layers(m, batch, false));
  FT_TRY(ft_head_acquire(m, &w, &head));
  if (batch)
    FT_TRY(ft_head_loss(m, batch, m->x[m->arch.layers], &w, head, false, &plain, loss, NULL));
  ft_head_release(m);
  if (predictions)
    *predictions = (ft_predictions){
        .num = batch ? m->num_rows : 0, .targets = m->target_ids, .predicted = m->predicted};
out:
  ft_time_enter(FT_TIME_OTHER);
  return err;
}

ft_err ft_model_values(ft_model *m, const ft_model_batch *batch, const float **values,
                       int64_t *rows) {
  ft_err err = FT_OK;
  unit_weights w;
  const void *head;
  FT_ASSERT(m->options.weighed && (!batch || batch->num_tokens <= m->options.max_tokens));
  m->dropout = 0;
  ft_shard_begin_pass(m->shard, m->forward_order, m->num_forward_order);
  FT_TRY(forward_layers(m, batch, false));
  FT_TRY(ft_head_acquire(m, &w, &head));
  if (batch) FT_TRY(ft_head_values(m, batch, m->x[m->arch.layers], &w, head, false));
  ft_head_release(m);
  *values = m->row_values;
  *rows = batch ? m->num_rows : 0;
out:
  ft_time_enter(FT_TIME_OTHER);
  return err;
}

ft_err ft_model_logits(ft_model *m, const ft_model_batch *batch, const int64_t *rows,
                       int64_t num_rows, float *logits) {
  ft_err err = FT_OK;
  m->dropout = 0;
  ft_shard_begin_pass(m->shard, m->forward_order, m->num_forward_order);
  FT_TRY(forward_layers(m, batch, false));
  FT_TRY(ft_head_logits(m, m->x[m->arch.layers], rows, num_rows, logits));
out:
  return err;
}
