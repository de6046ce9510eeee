/* A small decoder of any form: a batch of three documents, random weights, and the comparison of
 * every tensor's gradient with finite differences of the loss. */
#ifndef FT_MODEL_FIXTURE_H
#define FT_MODEL_FIXTURE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ft_test.h"
#include "layouts.h"
#include "ft/kernels.h"
#include "ft/model_generate.h"

enum {
  TOKENS = 29,
  DOCUMENTS = 3,
  MOST_VIRTUAL = 3,
  MOST_ROWS = TOKENS + DOCUMENTS * MOST_VIRTUAL
};

static ft_comm *comm;

static const ft_arch base =
    FT_ARCH_LLAMA(.vocab = 67, .hidden = 24, .ffn = 41, .layers = 3, .heads = 4, .kv_heads = 2,
                  .head_dim = 6, .max_positions = 64, .norm.eps = 1e-5f, .ropes[0].theta = 100);

static inline ft_arch completed(const ft_arch *arch) {
  ft_arch a = *arch;
  ft_arch_complete(&a);
  return a;
}

typedef struct batch {
  uint32_t tokens[MOST_ROWS];
  int32_t targets[MOST_ROWS], positions[MOST_ROWS];
  int64_t offsets[DOCUMENTS + 1];
  int32_t labels[DOCUMENTS];
  ft_model_batch view;
} batch;

/* Token i of the documents laid end to end, at a row of the batch. */
static inline void put_token(const ft_arch *a, batch *b, int64_t row, int64_t i, bool is_last) {
  b->tokens[row] =
      (uint32_t)(ft_random_u64(3, FT_RANDOM_BENCH, 0, (uint64_t)i) % (uint64_t)a->vocab);
  b->targets[row] = !is_last && i % 5 != 2 ? (int32_t)((7 * i + 3) % a->vocab) : -1;
}

/* Each document behind the rows of a prompt or prefix. */
static inline void make_batch(const ft_arch *a, int64_t virtual_rows, batch *b) {
  static const int64_t offsets[] = {0, 11, 12, TOKENS};
  int64_t row = 0;
  assert_true(virtual_rows <= MOST_VIRTUAL);
  for (int d = 0; d < DOCUMENTS; d++) {
    b->offsets[d] = row;
    for (int64_t p = 0; p < virtual_rows; p++, row++) {
      b->tokens[row] = FT_NO_TOKEN;
      b->targets[row] = -1;
    }
    for (int64_t i = offsets[d]; i < offsets[d + 1]; i++, row++)
      put_token(a, b, row, i, i + 1 == offsets[d + 1]);
    for (int64_t i = b->offsets[d]; i < row; i++)
      b->positions[i] = (int32_t)(i - b->offsets[d]);
  }
  b->offsets[DOCUMENTS] = row;
  for (int d = 0; d < DOCUMENTS; d++)
    b->labels[d] = a->num_labels > 0 ? (int32_t)((2 * d + 1) % a->num_labels) : 0;
  b->view = (ft_model_batch){.num_tokens = row,
                             .num_documents = DOCUMENTS,
                             .tokens = b->tokens,
                             .targets = b->targets,
                             .positions = b->positions,
                             .offsets = b->offsets,
                             .labels = b->labels};
}

typedef struct setup {
  ft_shard *shard;
  ft_model *model;
  batch batch;
  bool draws;   /* the loss is that of training, as an evaluation draws nothing */
  bool weighed; /* the loss is `bent` of all rows' values */
} setup;

static inline void randomize(ft_shard *shard) {
  for (int64_t n = 0; n < ft_shard_num_blocks(shard); n++) {
    const ft_block *b = ft_shard_block(shard, n);
    for (int i = 0; i < b->num_tensors; i++) {
      const ft_tensor *t = &b->tensors[i];
      bool norm = ft_role_is_norm_weight(t->role);
      for (int64_t e = 0; e < ft_tensor_elements(t); e++) {
        double noise = ft_random_normal(5, FT_RANDOM_BENCH, (uint64_t)(n * 100 + i), (uint64_t)e);
        float value = (float)(norm ? 1 + 0.1 * noise : 0.25 * noise);
        if (t->role == FT_ROLE_XIELU_BETA) value = 0.5f;
        if (t->role == FT_ROLE_XIELU_EPS) value = -1e-6f;
        ft_shard_set_weights(shard, n, t->offset + e, 1, &value);
      }
    }
  }
  assert_ok(ft_shard_weights_changed(shard));
}

static inline void open_layout(setup *s, const ft_layout *layout, const ft_model_options *options,
                               int64_t piece_elements) {
  ft_shard_options shard = {
      .stage = 3, .training = true, .compute = options->compute, .piece_elements = piece_elements};
  s->draws = layout->method.dropout > 0;
  s->weighed = options->weighed;
  assert_ok(ft_shard_new(comm, layout, &shard, &s->shard));
  assert_ok(ft_model_new(s->shard, options, &s->model));
  make_batch(&layout->arch, ft_method_virtual_rows(&layout->method), &s->batch);
  randomize(s->shard);
}

static inline void open_with(setup *s, const ft_arch *arch, const ft_model_options *options,
                             int64_t piece_elements) {
  const ft_arch a = completed(arch);
  assert_ok(ft_arch_check(&a));
  open_layout(s, layout_of(&a), options, piece_elements);
}

static inline void open_setup(setup *s, const ft_arch *arch, int64_t checkpointing,
                              int64_t piece_elements) {
  const ft_model_options options = {.compute = FT_F32,
                                    .max_tokens = TOKENS,
                                    .training = true,
                                    .activation_checkpointing = checkpointing};
  open_with(s, arch, &options, piece_elements);
}

/* Three or four pieces of the vocabulary, whose borders are not those of what leaves at once. */
static inline void open_in_pieces(setup *s, const ft_arch *arch, ft_dtype type, bool in_pieces) {
  const ft_model_options options = {.compute = type,
                                    .max_tokens = TOKENS,
                                    .training = true,
                                    .logits_bytes = 2048,
                                    .bounded_head = in_pieces};
  open_with(s, arch, &options, 2400);
}

/* A loss over whole documents, of logits that fit at once or not. */
static inline void open_weighed(setup *s, const ft_arch *arch, int64_t logits_bytes,
                                bool in_pieces) {
  const ft_model_options options = {.compute = FT_F32,
                                    .max_tokens = TOKENS,
                                    .training = true,
                                    .weighed = true,
                                    .logits_bytes = logits_bytes,
                                    .bounded_head = in_pieces};
  open_with(s, arch, &options, 2400);
}

static inline void close_setup(setup *s) {
  ft_model_free(s->model);
  ft_shard_free(s->shard);
}

/* A loss that is no sum over rows: Σ cₑ v − (Σ v)² / 200 with a sign that alternates; weights are
 * its derivatives. */
static inline double bent(int64_t rows, const float *values, float *weights) {
  double sum = 0, plain = 0;
  for (int64_t r = 0; r < rows; r++) {
    sum += (double)values[r];
    plain += (r % 2 ? 0.5 : -1) * (double)values[r];
  }
  for (int64_t r = 0; r < rows && weights; r++)
    weights[r] = (float)((r % 2 ? 0.5 : -1) - sum / 100);
  return plain - sum * sum / 200;
}

static inline void weigh(void *arg, int64_t rows, const float *values, float *weights) {
  *(double *)arg = bent(rows, values, weights);
}

static inline double train(setup *s) {
  const ft_loss row_loss = {.weight = 1};
  double loss;
  const ft_weigher weigher = {weigh, &loss};
  ft_shard_begin_step(s->shard, 1);
  ft_shard_round(s->shard, 1);
  if (s->weighed)
    assert_ok(ft_model_train_weighed(s->model, &s->batch.view, &weigher));
  else
    assert_ok(ft_model_train(s->model, &s->batch.view, &row_loss, &loss));
  assert_ok(ft_shard_reduce_finish(s->shard));
  return loss;
}

static inline double loss_of(setup *s) {
  double loss;
  if (s->draws) return train(s);
  if (s->weighed) {
    const float *values;
    int64_t rows;
    assert_ok(ft_model_values(s->model, &s->batch.view, &values, &rows));
    return bent(rows, values, NULL);
  }
  assert_ok(ft_model_evaluate(s->model, &s->batch.view, &loss, NULL));
  return loss;
}

static inline float direction(int64_t block, int tensor, int64_t e) {
  return ft_random_u64(9, FT_RANDOM_BENCH, (uint64_t)(block * 100 + tensor), (uint64_t)e) & 1
             ? 1.0f
             : -1.0f;
}

/* Moves one tensor along its direction by `by`. */
static inline void move(setup *s, int64_t block, int tensor, float by) {
  const ft_tensor *t = &ft_shard_block(s->shard, block)->tensors[tensor];
  float *master = ft_shard_master(s->shard, block) + t->offset;
  for (int64_t e = 0; e < ft_tensor_elements(t); e++)
    master[e] += by * direction(block, tensor, e);
  assert_ok(ft_shard_weights_changed(s->shard));
}

static inline bool is_constant(ft_role role) {
  return role == FT_ROLE_XIELU_BETA || role == FT_ROLE_XIELU_EPS;
}

static inline uint64_t hash_gradients(setup *s) {
  uint64_t hash = 0;
  for (int64_t b = 0; b < ft_shard_num_blocks(s->shard); b++)
    if (ft_shard_is_trained(s->shard, b))
      hash = ft_hash64(ft_shard_gradient(s->shard, b),
                       (size_t)ft_shard_kept(s->shard, b) * sizeof(float), hash);
  return hash;
}

static inline void compare_tensor(setup *s, int64_t block, int tensor, const char *name) {
  const ft_tensor *t = &ft_shard_block(s->shard, block)->tensors[tensor];
  const float *gradient = ft_shard_gradient(s->shard, block) + t->offset;
  double slope = 0, size = 0;
  for (int64_t e = 0; e < ft_tensor_elements(t); e++) {
    slope += (double)gradient[e] * direction(block, tensor, e);
    size += (double)gradient[e] * gradient[e];
  }
  if (is_constant(t->role)) assert_true(size == 0 && t->num_dims == 0);
  if (is_constant(t->role)) return;
  assert_true(size > 0);
  double step = 2e-3 / sqrt((double)ft_tensor_elements(t));
  move(s, block, tensor, (float)step);
  double up = loss_of(s);
  move(s, block, tensor, (float)(-2 * step));
  double down = loss_of(s);
  move(s, block, tensor, (float)step);
  double measured = (up - down) / (2 * step);
  /* the slope along a random direction is about as large as the gradient; what is left is f32 noise
   * of the loss */
  double noise = 3e-6 * fabs(up) / step;
  if (fabs(measured - slope) > 0.02 * sqrt(size) + noise)
    fail_msg("%s, block %s, role %d: analytic %g, measured %g (gradient norm %g)", name,
             ft_shard_block(s->shard, block)->name, (int)t->role, slope, measured, sqrt(size));
}

static inline void compare_tensors(setup *s, const char *name) {
  double loss = train(s);
  assert_true(fabs(loss - loss_of(s)) < 1e-6 * fabs(loss));
  for (int64_t block = 0; block < ft_shard_num_blocks(s->shard); block++)
    for (int t = 0; t < ft_shard_block(s->shard, block)->num_tensors; t++)
      if (ft_shard_is_trained(s->shard, block)) compare_tensor(s, block, t, name);
}

/* Appends tokens to the cache's first sequence: logits of the last. */
static inline void extend(ft_model *model, ft_cache *cache, const uint32_t *tokens, int64_t count,
                          float *logits) {
  int64_t ready = 0, num = 0;
  assert_ok(ft_cache_put(cache, 0, tokens, count));
  while (ft_cache_waits(cache))
    assert_ok(ft_model_advance(model, cache, &ready, &num, logits));
  assert_true(num == 1 && ready == 0);
}

static inline int start(void **state) {
  (void)state;
  assert_ok(ft_comm_new(&comm));
  ft_comm_setup_threads(comm);
  assert_ok(ft_kernels_init());
  return 0;
}

static inline int end(void **state) {
  (void)state;
  ft_kernels_fini();
  ft_comm_free(comm);
  return 0;
}

static inline void compare_all(const ft_arch *arch, const char *name) {
  setup s;
  open_setup(&s, arch, false, 700);
  compare_tensors(&s, name);
  close_setup(&s);
}

#endif
