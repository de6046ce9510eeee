/* Proves that the backward pass is the derivative of the forward pass: for every tensor of several
 * small architectures the analytic slope along a random direction is compared with a central
 * difference of the loss, in fp32. Also: activation checkpointing and the order of pieces change no
 * bit, and the head's gradient in pieces of the vocabulary is the one that is made at once, up to
 * the order of sums. Run alone: meson test model */
#include "fixture.h"

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
  set_kind(&a, 1, 1);
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

/* ---------------------------------------------------------------- noise */

/* The formula for element c of token t, from its definition. */
static float noise_at(const ft_noise *noise, int64_t length, int64_t width, int64_t t, int64_t c) {
  uint32_t words[4];
  uint64_t index = (noise->micro_batch << 39) + (uint64_t)(t * ((width + 3) / 4) + c / 4);
  ft_random_words(noise->seed, FT_RANDOM_NOISE, noise->step, index, words);
  float u = (float)((double)(words[c % 4] >> 8) / 8388608.0 - 1);
  return (float)(noise->alpha / sqrt((double)(length * width))) * u;
}

/* Every token is another one, so that noise on what is looked up can be put into the table. */
static void put_noise_into_table(setup *s, const ft_noise *noise) {
  const ft_tensor *table = ft_block_tensor(ft_shard_block(s->shard, 0), FT_ROLE_EMBEDDING);
  float *rows = ft_shard_master(s->shard, 0) + table->offset;
  const batch *b = &s->batch;
  for (int d = 0; d < DOCUMENTS; d++)
    for (int64_t t = b->offsets[d]; t < b->offsets[d + 1]; t++)
      for (int64_t c = 0; c < table->cols; c++)
        rows[b->tokens[t] * table->cols + c] +=
            noise_at(noise, b->offsets[d + 1] - b->offsets[d], table->cols, t, c);
  assert_ok(ft_shard_weights_changed(s->shard));
}

static void noise_is_that_of_its_formula_and_has_no_gradient(void **state) {
  (void)state;
  const ft_noise noise = {.alpha = 5, .seed = 4, .step = 7, .micro_batch = 3};
  setup s[2];
  float *gradients[2];
  double loss[2], plain, evaluated;
  int64_t count;
  for (int in_table = 0; in_table < 2; in_table++) {
    setup *one = &s[in_table];
    open_setup(one, &base, in_table, 700);
    for (int t = 0; t < TOKENS; t++)
      one->batch.tokens[t] = (uint32_t)t * 2;
    evaluated = loss_of(one);
    plain = train(one);
    if (in_table)
      put_noise_into_table(one, &noise);
    else
      one->batch.view.noise = noise;
    assert_true(in_table || loss_of(one) == evaluated);
    loss[in_table] = train(one);
    gradients[in_table] = all_gradients(one, &count);
  }
  assert_true(loss[0] != plain && loss[0] == loss[1]);
  assert_memory_equal(gradients[0], gradients[1], (size_t)count * sizeof(float));
  for (int i = 0; i < 2; i++) {
    free(gradients[i]);
    close_setup(&s[i]);
  }
}

/* Of each document by its own length: bounds, mean 0 and the variance of a uniform distribution, as
 * transformers' neftune_post_forward_hook has them. Other steps and micro-batches have other noise,
 * also where a row's width is no multiple of four. */
static void noise_is_uniform_within_its_bounds(void **state) {
  (void)state;
  enum { D = 70, N = 2000 };
  static const int64_t offsets[] = {0, 400, N};
  const ft_noise noise = {.alpha = 5, .seed = 1, .step = 1};
  static float x[N * D], other[N * D];
  ft_add_noise(FT_F32, x, &noise, 1, offsets, 2, D);
  for (int d = 0; d < 2; d++) {
    int64_t length = offsets[d + 1] - offsets[d], count = length * D;
    double bound = 5 / sqrt((double)count), sum = 0, squares = 0;
    for (int64_t i = offsets[d] * D; i < offsets[d + 1] * D; i++) {
      assert_true(fabs((double)x[i]) <= bound * (1 + 1e-6));
      sum += (double)x[i] / bound;
      squares += (double)x[i] / bound * (double)x[i] / bound;
    }
    assert_true(fabs(sum) < 4 * sqrt((double)count / 3));
    assert_true(fabs(squares / (double)count * 3 - 1) < 0.02);
  }
  const ft_noise others[] = {{.alpha = 5, .seed = 2, .step = 1},
                             {.alpha = 5, .seed = 1, .step = 2},
                             {.alpha = 5, .seed = 1, .step = 1, .micro_batch = 1}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(others); i++) {
    memset(other, 0, sizeof other);
    ft_add_noise(FT_F32, other, &others[i], 1, offsets, 2, D);
    int64_t equal = 0;
    for (int64_t k = 0; k < N * D; k++)
      equal += other[k] == x[k];
    assert_true(equal < 20);
  }
}

/* Rows that no token stands for get none, and do not count. */
static void noise_leaves_virtual_rows_alone(void **state) {
  (void)state;
  enum { D = 8, N = 12, VIRTUAL = 3 };
  static const int64_t offsets[] = {0, N};
  const ft_noise noise = {.alpha = 5, .seed = 1, .step = 1, .virtual_rows = VIRTUAL};
  float x[N * D] = {0}, largest = 0;
  ft_add_noise(FT_F32, x, &noise, 1, offsets, 1, D);
  for (int i = 0; i < N * D; i++) {
    assert_true((x[i] == 0) == (i < VIRTUAL * D));
    largest = fmaxf(largest, fabsf(x[i]));
  }
  assert_true(largest > 5 / sqrtf((float)(N * D)) &&
              largest <= 5 / sqrtf((float)(N - VIRTUAL) * D));
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

/* Rows whose weights follow from all of them: logits at once, in pieces of rows, in pieces of the
 * vocabulary, and scores of documents. */
static void weighed_rows(void **state) {
  (void)state;
  static const int64_t logits_bytes[] = {0, 2048, 2048};
  for (int i = 0; i < 6; i++) {
    setup s;
    ft_arch a = large_head(i % 2);
    open_weighed(&s, &a, logits_bytes[i / 2], i / 2 == 2);
    compare_tensors(&s, "weighed rows");
    close_setup(&s);
  }
  setup s;
  ft_arch a = base;
  a.head = FT_HEAD_LABELS;
  a.num_labels = 1;
  a.pooling = FT_POOL_LAST;
  open_weighed(&s, &a, 0, false);
  compare_tensors(&s, "scores");
  close_setup(&s);
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
  make_batch(&a, 0, &b);
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
    assert_ok(ft_cache_new(model, 1, TOKENS, &cache));
    for (int i = 0; i < 3 && at < TOKENS; i++) {
      extend(model, cache, b.tokens + at, parts[p][i], stepwise);
      at += parts[p][i];
    }
    for (int64_t i = 0; i < a.vocab; i++)
      assert_true(fabsf(whole[i] - stepwise[i]) < 2e-5f);
    ft_cache_free(cache);
  }
  ft_model_free(model);
  ft_shard_free(shard);
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
      cmocka_unit_test(noise_is_that_of_its_formula_and_has_no_gradient),
      cmocka_unit_test(noise_is_uniform_within_its_bounds),
      cmocka_unit_test(noise_leaves_virtual_rows_alone),
      cmocka_unit_test(head_in_pieces),
      cmocka_unit_test(weighed_rows),
      cmocka_unit_test(head_in_pieces_agrees_with_the_head_at_once),
      cmocka_unit_test(generation_agrees_with_the_whole_pass),
  };
  return cmocka_run_group_tests(tests, start, end);
}
