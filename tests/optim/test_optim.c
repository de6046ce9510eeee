/* Proves: weights after several updates have the same bits for every number of ranks and stage, are
 * those of AdamW computed by hand in double, and weight decay leaves vectors alone. Alone: mpirun
 * -np 3 build/tests/optim/test_optim */
#include <math.h>

#include "../shard/fixture.h"
#include "ranks_test.h"
#include "ft/optim.h"

static ft_comm *comm;

enum { NUM_STEPS = 3, MICRO_BATCHES = 3 };

static const ft_optim_options options = {
    .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .grad_clip = 1.0};

static double lr_of(int64_t t) {
  return 1e-2 / (double)t;
}

/* Trains; norms[t-1] receives each step's. */
static ft_shard *train(int stage, bool tied, ft_dtype compute, const ft_optim_options *o,
                       double *norms) {
  ft_arch arch = small_arch(tied);
  const ft_shard_options shard_options = {
      .stage = stage, .training = true, .compute = compute, .piece_elements = 5000};
  ft_shard *shard;
  ft_optim *optim;
  assert_ok(ft_shard_new(comm, layout_of(&arch), &shard_options, &shard));
  assert_ok(ft_optim_new(shard, o, &optim));
  set_all_weights(shard, 77);
  assert_ok(ft_shard_weights_changed(shard));
  for (int64_t t = 1; t <= NUM_STEPS; t++) {
    ft_shard_begin_step(shard, MICRO_BATCHES);
    reduce_all(shard, comm, t * 10, MICRO_BATCHES, compute);
    assert_ok(ft_shard_gradient_norm(shard, &norms[t - 1]));
    ft_optim_step(optim, t, &(ft_rate){.lr = lr_of(t), .share = 1}, norms[t - 1]);
    assert_ok(ft_shard_weights_changed(shard));
  }
  ft_optim_free(optim);
  return shard;
}

/* One block's weights after the same updates in one process, by the kernel.
 */
static float *update_serially(int64_t number, const ft_block *block, ft_dtype compute,
                              const double *norms) {
  size_t bytes = (size_t)block->num_elements * sizeof(float);
  float *w = block_values(77, number, block), *m = calloc(1, bytes), *v = calloc(1, bytes);
  for (int64_t t = 1; t <= NUM_STEPS; t++) {
    float *g = expected_gradient(number, block, t * 10, MICRO_BATCHES, compute);
    float clip = fminf(1.0f, 1.0f / ((float)norms[t - 1] + 1e-6f) * (float)options.grad_clip);
    for (int i = 0; i < block->num_tensors; i++) {
      const ft_tensor *tensor = &block->tensors[i];
      const ft_adamw a = {.lr = (float)lr_of(t),
                          .beta1 = (float)options.beta1,
                          .beta2 = (float)options.beta2,
                          .eps = (float)options.eps,
                          .weight_decay = tensor->num_dims == 2 ? (float)options.weight_decay : 0,
                          .correction1 = (float)(1 - pow(options.beta1, (double)t)),
                          .correction2 = (float)(1 - pow(options.beta2, (double)t)),
                          .gradient_scale = clip};
      int64_t at = tensor->offset;
      ft_adamw_update(&a, ft_tensor_elements(tensor), w + at, m + at, v + at, g + at);
    }
    free(g);
  }
  free(m);
  free(v);
  return w;
}

static void check_bits(ft_shard *shard, ft_dtype compute, const double *norms) {
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    float *expected = update_serially(b, ft_shard_block(shard, b), compute, norms);
    int64_t num;
    const ft_range *r = ft_shard_kept_ranges(shard, b, &num);
    for (int64_t i = 0; i < num; i++)
      assert_memory_equal(ft_shard_master(shard, b) + r[i].local, expected + r[i].start,
                          (size_t)r[i].count * sizeof(float));
    free(expected);
  }
}

static void same_bits_for_any_layout(void **state) {
  (void)state;
  for (int tied = 0; tied < 2; tied++) {
    uint64_t first = 0;
    for (int stage = 0; stage <= 3; stage++) {
      double norms[NUM_STEPS];
      uint64_t sum;
      ft_shard *shard = train(stage, tied, FT_BF16, &options, norms);
      check_bits(shard, FT_BF16, norms);
      assert_ok(ft_shard_checksum(shard, &sum));
      if (stage == 0) first = sum;
      assert_true(sum == first);
      ft_shard_free(shard);
    }
  }
}

/* AdamW in double, one element. */
static double adamw(int64_t number, int64_t flat, bool decays, const double *norms) {
  double w = value_at(77, number, flat), m = 0, v = 0;
  for (int64_t t = 1; t <= NUM_STEPS; t++) {
    double g = 0, lr = lr_of(t);
    for (int64_t i = 0; i < MICRO_BATCHES; i++)
      g += value_at((uint64_t)(t * 10 + i), number, flat);
    g *= fmin(1.0, options.grad_clip / (norms[t - 1] + 1e-6));
    if (decays) w -= lr * options.weight_decay * w;
    m = options.beta1 * m + (1 - options.beta1) * g;
    v = options.beta2 * v + (1 - options.beta2) * g * g;
    w -= lr * (m / (1 - pow(options.beta1, (double)t))) /
         (sqrt(v / (1 - pow(options.beta2, (double)t))) + options.eps);
  }
  return w;
}

static void close_to_double(void **state) {
  (void)state;
  double norms[NUM_STEPS];
  ft_shard *shard = train(2, false, FT_F32, &options, norms);
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    const ft_block *block = ft_shard_block(shard, b);
    int64_t num;
    const ft_range *r = ft_shard_ranges(shard, b, &num);
    for (int64_t i = 0; i < num; i++)
      for (int64_t k = 0; k < r[i].count; k++) {
        double expected = 0, found = ft_shard_master(shard, b)[r[i].local + k];
        for (int t = 0; t < block->num_tensors; t++) {
          const ft_tensor *tensor = &block->tensors[t];
          int64_t inside = r[i].start + k - tensor->offset;
          if (inside >= 0 && inside < ft_tensor_elements(tensor))
            expected = adamw(b, r[i].start + k, tensor->num_dims == 2, norms);
        }
        assert_true(fabs(found - expected) < 1e-6);
      }
  }
  ft_shard_free(shard);
}

/* Without clipping, and with a clip that never bites, gradients count as they are. */
static void clip_that_does_not_bite(void **state) {
  (void)state;
  double norms[NUM_STEPS];
  uint64_t sums[2];
  for (int i = 0; i < 2; i++) {
    ft_optim_options o = options;
    o.grad_clip = i ? 1e6 : 0;
    ft_shard *shard = train(3, false, FT_F32, &o, norms);
    assert_ok(ft_shard_checksum(shard, &sums[i]));
    ft_shard_free(shard);
  }
  assert_true(sums[0] == sums[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_bits_for_any_layout),
      cmocka_unit_test(close_to_double),
      cmocka_unit_test(clip_that_does_not_bite),
  };
  return run_on_ranks(&comm, tests, FT_ARRAY_SIZE(tests), NULL, NULL);
}
