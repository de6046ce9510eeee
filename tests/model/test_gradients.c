/* Proves that the backward pass is the derivative of the forward pass: for every tensor of several
 * small architectures the analytic slope along a random direction is compared with a central
 * difference of the loss, in fp32. Also: activation checkpointing and the order of pieces change no
 * bit, and the head's gradient in pieces of the vocabulary is the one that is made at once, up to
 * the order of sums. Run alone: meson test model */
#include "ft_test.h"
#include "layouts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ft/kernels.h"
#include "ft/model.h"

enum { TOKENS = 29, DOCUMENTS = 3 };

static ft_comm *comm;

static const ft_arch base =
    FT_ARCH_LLAMA(.vocab = 67, .hidden = 24, .ffn = 41, .layers = 3, .heads = 4, .kv_heads = 2,
                  .head_dim = 6, .max_positions = 64, .norm.eps = 1e-5f, .ropes[0].theta = 100);

static ft_arch completed(const ft_arch *arch) {
  ft_arch a = *arch;
  ft_arch_complete(&a);
  return a;
}

typedef struct batch {
  uint32_t tokens[TOKENS];
  int32_t targets[TOKENS], positions[TOKENS];
  int64_t offsets[DOCUMENTS + 1];
  ft_model_batch view;
} batch;

static void make_batch(const ft_arch *a, batch *b) {
  static const int64_t offsets[] = {0, 11, 12, TOKENS};
  memcpy(b->offsets, offsets, sizeof offsets);
  for (int d = 0; d < DOCUMENTS; d++)
    for (int64_t i = offsets[d]; i < offsets[d + 1]; i++) {
      b->tokens[i] =
          (uint32_t)(ft_random_u64(3, FT_RANDOM_BENCH, 0, (uint64_t)i) % (uint64_t)a->vocab);
      b->positions[i] = (int32_t)(i - offsets[d]);
      bool target = i + 1 < offsets[d + 1] && i % 5 != 2;
      b->targets[i] = target ? (int32_t)((7 * i + 3) % a->vocab) : -1;
    }
  b->view = (ft_model_batch){.num_tokens = TOKENS,
                             .num_documents = DOCUMENTS,
                             .tokens = b->tokens,
                             .targets = b->targets,
                             .positions = b->positions,
                             .offsets = b->offsets};
}

typedef struct setup {
  ft_shard *shard;
  ft_model *model;
  batch batch;
} setup;

static void randomize(ft_shard *shard) {
  for (int64_t n = 0; n < ft_shard_num_blocks(shard); n++) {
    const ft_block *b = ft_shard_block(shard, n);
    for (int i = 0; i < b->num_tensors; i++) {
      const ft_tensor *t = &b->tensors[i];
      bool norm = t->role == FT_ROLE_ATTN_NORM || t->role == FT_ROLE_MLP_NORM ||
                  t->role == FT_ROLE_FINAL_NORM || t->role == FT_ROLE_Q_NORM ||
                  t->role == FT_ROLE_K_NORM;
      for (int64_t e = 0; e < ft_tensor_elements(t); e++) {
        double noise = ft_random_normal(5, FT_RANDOM_BENCH, (uint64_t)(n * 100 + i), (uint64_t)e);
        float value = (float)(norm ? 1 + 0.1 * noise : 0.25 * noise);
        ft_shard_set_weights(shard, n, t->offset + e, 1, &value);
      }
    }
  }
  assert_ok(ft_shard_weights_changed(shard));
}

static void open_with(setup *s, const ft_arch *arch, const ft_model_options *options,
                      int64_t piece_elements) {
  ft_shard_options shard = {
      .stage = 3, .training = true, .compute = options->compute, .piece_elements = piece_elements};
  const ft_arch a = completed(arch);
  assert_ok(ft_arch_check(&a));
  assert_ok(ft_shard_new(comm, layout_of(&a), &shard, &s->shard));
  assert_ok(ft_model_new(s->shard, options, &s->model));
  make_batch(arch, &s->batch);
  randomize(s->shard);
}

static void open_setup(setup *s, const ft_arch *arch, int64_t checkpointing,
                       int64_t piece_elements) {
  const ft_model_options options = {.compute = FT_F32,
                                    .max_tokens = TOKENS,
                                    .training = true,
                                    .activation_checkpointing = checkpointing};
  open_with(s, arch, &options, piece_elements);
}

/* Three or four pieces of the vocabulary, whose borders are not those of what leaves at once. */
static void open_in_pieces(setup *s, const ft_arch *arch, ft_dtype type, bool in_pieces) {
  const ft_model_options options = {.compute = type,
                                    .max_tokens = TOKENS,
                                    .training = true,
                                    .logits_bytes = 2048,
                                    .bounded_head = in_pieces};
  open_with(s, arch, &options, 2400);
}

static void close_setup(setup *s) {
  ft_model_free(s->model);
  ft_shard_free(s->shard);
}

static double loss_of(setup *s) {
  double loss;
  assert_ok(ft_model_evaluate(s->model, &s->batch.view, &loss));
  return loss;
}

static double train(setup *s) {
  double loss;
  ft_shard_begin_step(s->shard, 1);
  ft_shard_round(s->shard, 1);
  assert_ok(ft_model_train(s->model, &s->batch.view, 1.0, &loss));
  assert_ok(ft_shard_reduce_finish(s->shard));
  return loss;
}

static float direction(int64_t block, int tensor, int64_t e) {
  return ft_random_u64(9, FT_RANDOM_BENCH, (uint64_t)(block * 100 + tensor), (uint64_t)e) & 1
             ? 1.0f
             : -1.0f;
}

/* Moves one tensor along its direction by `by`. */
static void move(setup *s, int64_t block, int tensor, float by) {
  const ft_tensor *t = &ft_shard_block(s->shard, block)->tensors[tensor];
  float *master = ft_shard_master(s->shard, block) + t->offset;
  for (int64_t e = 0; e < ft_tensor_elements(t); e++)
    master[e] += by * direction(block, tensor, e);
  assert_ok(ft_shard_weights_changed(s->shard));
}

static void compare_tensor(setup *s, int64_t block, int tensor, const char *name) {
  const ft_tensor *t = &ft_shard_block(s->shard, block)->tensors[tensor];
  const float *gradient = ft_shard_gradient(s->shard, block) + t->offset;
  double slope = 0, size = 0;
  for (int64_t e = 0; e < ft_tensor_elements(t); e++) {
    slope += (double)gradient[e] * direction(block, tensor, e);
    size += (double)gradient[e] * gradient[e];
  }
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

static void compare_tensors(setup *s, const char *name) {
  double loss = train(s);
  assert_true(fabs(loss - loss_of(s)) < 1e-6 * fabs(loss));
  for (int64_t block = 0; block < ft_shard_num_blocks(s->shard); block++)
    for (int t = 0; t < ft_shard_block(s->shard, block)->num_tensors; t++)
      compare_tensor(s, block, t, name);
}

static void compare_all(const ft_arch *arch, const char *name) {
  setup s;
  open_setup(&s, arch, false, 700);
  compare_tensors(&s, name);
  close_setup(&s);
}

static void plain_llama(void **state) {
  (void)state;
  compare_all(&base, "llama");
}

static void tied_with_scaled_rotary(void **state) {
  (void)state;
  ft_arch a = base;
  a.tied = true;
  a.ropes[0].type = FT_ROPE_LLAMA3;
  a.ropes[0].factor = 8;
  a.ropes[0].low_freq = 1;
  a.ropes[0].high_freq = 4;
  a.ropes[0].original_positions = 16;
  compare_all(&a, "tied");
}

static void biases_everywhere(void **state) {
  (void)state;
  ft_arch a = base;
  a.qkv_bias = a.o_bias = a.mlp_bias = true;
  compare_all(&a, "biases");
}

static void qk_norm_and_wide_heads(void **state) {
  (void)state;
  ft_arch a = base;
  a.qk_norm = FT_QK_NORM_HEADS;
  a.head_dim = 10;
  compare_all(&a, "q/k norm");
}

static void sliding_window_in_later_layers(void **state) {
  (void)state;
  ft_arch a = base;
  a.num_kinds = 2;
  a.kinds[1].window = 4;
  ft_arch_set_kind(&a, 1, 1);
  compare_all(&a, "window");
}

/* Gradients of every block, copied. */
static float *all_gradients(setup *s, int64_t *count) {
  *count = 0;
  for (int64_t n = 0; n < ft_shard_num_blocks(s->shard); n++)
    *count += ft_shard_kept(s->shard, n);
  float *all = malloc((size_t)*count * sizeof *all);
  int64_t at = 0;
  for (int64_t n = 0; n < ft_shard_num_blocks(s->shard); n++) {
    memcpy(all + at, ft_shard_gradient(s->shard, n),
           (size_t)ft_shard_kept(s->shard, n) * sizeof *all);
    at += ft_shard_kept(s->shard, n);
  }
  return all;
}

static void activation_checkpointing_changes_no_bit(void **state) {
  (void)state;
  enum { NUM = 6 }; /* none, every layer, every 2nd … 5th of five */
  setup s[NUM];
  float *gradients[NUM];
  double loss[NUM];
  int64_t count[NUM];
  size_t bytes[NUM];
  ft_arch a = base;
  a.qk_norm = FT_QK_NORM_HEADS;
  a.qkv_bias = true;
  a.layers = 5;
  for (int i = 0; i < NUM; i++) {
    open_setup(&s[i], &a, i, 700);
    loss[i] = train(&s[i]);
    gradients[i] = all_gradients(&s[i], &count[i]);
    bytes[i] = ft_mem_of(FT_MEM_ACTIVATIONS).current_bytes;
    close_setup(&s[i]);
    assert_int_equal(count[i], count[0]);
    assert_memory_equal(&loss[i], &loss[0], sizeof loss[0]);
    assert_memory_equal(gradients[i], gradients[0], (size_t)count[0] * sizeof(float));
  }
  /* Kept whole: 5 layers; 0 and room for one; 2 and room for one; 3, 3, 4 and room for one. */
  size_t layer = (bytes[0] - bytes[1]) / 4;
  static const size_t kept[NUM] = {5, 1, 3, 4, 4, 5};
  for (int i = 0; i < NUM; i++) {
    assert_int_equal(bytes[0] - bytes[i], (5 - kept[i]) * layer);
    free(gradients[i]);
  }
}

static void a_batch_without_targets_gives_zero(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    setup s;
    int64_t count;
    ft_arch a = base;
    a.tied = i % 2;
    open_in_pieces(&s, &a, FT_F32, i / 2);
    train(&s); /* buffers are full of something */
    for (int t = 0; t < TOKENS; t++)
      s.batch.targets[t] = -1;
    assert_true(train(&s) == 0);
    float *gradients = all_gradients(&s, &count);
    for (int64_t e = 0; e < count; e++)
      assert_true(gradients[e] == 0);
    free(gradients);
    close_setup(&s);
  }
}

/* ---------------------------------------------------------------- pieces of the vocabulary */

static ft_arch large_head(bool tied) {
  ft_arch a = base;
  a.vocab = 215;
  a.tied = tied;
  return a;
}

static void head_in_pieces(void **state) {
  (void)state;
  for (int tied = 0; tied < 2; tied++) {
    setup s;
    ft_arch a = large_head(tied);
    open_in_pieces(&s, &a, FT_F32, true);
    compare_tensors(&s, tied ? "tied, in pieces" : "in pieces");
    close_setup(&s);
  }
}

/* How far apart two gradients are, by the size of one, tensor by tensor: the most. */
static double distance(const ft_shard *shard, const float *a, const float *b) {
  double most = 0;
  for (int64_t n = 0; n < ft_shard_num_blocks(shard); n++) {
    const ft_block *block = ft_shard_block(shard, n);
    for (int i = 0; i < block->num_tensors; i++) {
      double size = 0, apart = 0;
      for (int64_t e = 0; e < ft_tensor_elements(&block->tensors[i]); e++) {
        int64_t at = block->tensors[i].offset + e;
        size += (double)b[at] * b[at];
        apart += ((double)a[at] - b[at]) * ((double)a[at] - b[at]);
      }
      assert_true(size > 0);
      most = FT_MAX(most, sqrt(apart / size));
    }
    a += block->num_elements;
    b += block->num_elements;
  }
  return most;
}

/* The loss has the same bits. Gradients differ by the order of sums in f32; in bf16 now and then by
 * one in the last bit of a logit's gradient, and by what comes of it. */
static void head_in_pieces_agrees_with_the_head_at_once(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    ft_dtype type = i / 2 ? FT_BF16 : FT_F32;
    ft_arch a = large_head(i % 2);
    setup s[2];
    float *gradients[2];
    double loss[2];
    size_t bytes[2];
    int64_t count;
    for (int in_pieces = 0; in_pieces < 2; in_pieces++) {
      open_in_pieces(&s[in_pieces], &a, type, in_pieces);
      bytes[in_pieces] = ft_mem_of(FT_MEM_WORKSPACE).current_bytes;
      loss[in_pieces] = train(&s[in_pieces]);
      gradients[in_pieces] = all_gradients(&s[in_pieces], &count);
      if (!in_pieces) close_setup(&s[0]);
    }
    assert_memory_equal(&loss[0], &loss[1], sizeof loss[0]);
    double apart = distance(s[1].shard, gradients[1], gradients[0]);
    if (apart > (type == FT_F32 ? 2e-6 : 4e-3)) fail_msg("case %d: %g apart", i, apart);
    assert_true(bytes[1] != bytes[0]);
    close_setup(&s[1]);
    free(gradients[0]);
    free(gradients[1]);
  }
}

/* Logits of a prompt one token at a time, all at once, and in two parts are those of the whole
 * pass. */
static void generation_agrees_with_the_whole_pass(void **state) {
  (void)state;
  ft_arch a = completed(&base);
  a.kinds[0].window = 5;
  a.qk_norm = FT_QK_NORM_HEADS;
  ft_shard *shard;
  ft_model *model;
  ft_shard_options options = {.stage = 2, .training = false, .compute = FT_F32};
  ft_model_options model_options = {.compute = FT_F32, .max_tokens = TOKENS};
  assert_ok(ft_shard_new(comm, layout_of(&a), &options, &shard));
  assert_ok(ft_model_new(shard, &model_options, &model));
  randomize(shard);
  batch b;
  make_batch(&a, &b);
  for (int i = 0; i < TOKENS; i++)
    b.positions[i] = i;
  b.offsets[1] = TOKENS;
  b.view.num_documents = 1;
  float whole[67], stepwise[67];
  int64_t last = TOKENS - 1;
  assert_ok(ft_model_logits(model, &b.view, &last, 1, whole));
  static const int parts[][3] = {{TOKENS, 0, 0}, {1, 1, TOKENS - 2}, {20, 8, 1}};
  for (size_t p = 0; p < FT_ARRAY_SIZE(parts); p++) {
    ft_cache *cache;
    int at = 0;
    assert_ok(ft_cache_new(model, TOKENS, &cache));
    for (int i = 0; i < 3 && at < TOKENS; i++) {
      assert_ok(ft_model_extend(model, cache, b.tokens + at, parts[p][i], stepwise));
      at += parts[p][i];
    }
    for (int64_t i = 0; i < a.vocab; i++)
      assert_true(fabsf(whole[i] - stepwise[i]) < 2e-5f);
    ft_cache_free(cache);
  }
  ft_model_free(model);
  ft_shard_free(shard);
}

static int start(void **state) {
  (void)state;
  assert_ok(ft_comm_new(&comm));
  ft_comm_setup_threads(comm);
  assert_ok(ft_kernels_init());
  return 0;
}

static int end(void **state) {
  (void)state;
  ft_kernels_fini();
  ft_comm_free(comm);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_llama),
      cmocka_unit_test(tied_with_scaled_rotary),
      cmocka_unit_test(biases_everywhere),
      cmocka_unit_test(qk_norm_and_wide_heads),
      cmocka_unit_test(sliding_window_in_later_layers),
      cmocka_unit_test(activation_checkpointing_changes_no_bit),
      cmocka_unit_test(a_batch_without_targets_gives_zero),
      cmocka_unit_test(head_in_pieces),
      cmocka_unit_test(head_in_pieces_agrees_with_the_head_at_once),
      cmocka_unit_test(generation_agrees_with_the_whole_pass),
  };
  return cmocka_run_group_tests(tests, start, end);
}
