/* Proves: the moving average of the weights begins with them and is, after several updates, on any
 * number of ranks, in every stage and of master weights in every form, the bits of the formula
 * average += (1 − decay) (w − average) over the weights that there were after each; and close to
 * the sum in double that the formula comes to. Alone: mpirun -np 3 build/tests/optim/test_average
 */
#include <math.h>

#include "../shard/fixture.h"
#include "ft/optim.h"
#include "ranks_test.h"

static ft_comm *comm;

enum { NUM_STEPS = 4 };
static const double decay = 0.9;

static float *average_of(ft_shard *shard, int64_t block) {
  int last = ft_shard_num_states(shard) - 1;
  assert_string_equal(ft_shard_state_info(shard, last)->name, FT_OPTIM_AVERAGE);
  return ft_shard_state(shard, last, block);
}

/* Values [kept] of the master weights. */
static void read_weights(ft_shard *shard, int64_t block, float *out) {
  void *w;
  uint8_t *low;
  ft_shard_master_arrays(shard, block, &w, &low);
  ft_master_read(ft_shard_options_of(shard)->master, w, low, ft_shard_kept(shard, block), out);
}

/* The weights of all blocks after each update, one after the other. */
typedef struct course {
  float *weights[NUM_STEPS + 1];
  int64_t count;
} course;

static void note(ft_shard *shard, course *c, int64_t t) {
  c->count = 0;
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++)
    c->count += ft_shard_kept(shard, b);
  c->weights[t] = calloc((size_t)c->count + 1, sizeof(float));
  assert_non_null(c->weights[t]);
  int64_t at = 0;
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); at += ft_shard_kept(shard, b++))
    read_weights(shard, b, c->weights[t] + at);
}

static ft_shard *train(ft_master master, int stage, course *c) {
  ft_arch arch = small_arch(false);
  const ft_shard_options shard_options = {.stage = stage,
                                          .training = true,
                                          .seed = 5,
                                          .compute = FT_BF16,
                                          .master = master,
                                          .piece_elements = 5000};
  const ft_optim_options options = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .average = decay};
  ft_shard *shard;
  ft_optim *optim;
  assert_ok(ft_shard_new(comm, layout_of(&arch), &shard_options, &shard));
  assert_ok(ft_optim_new(shard, &options, &optim));
  set_all_weights(shard, 77);
  ft_optim_begin_average(optim);
  assert_ok(ft_shard_weights_changed(shard));
  note(shard, c, 0);
  for (int64_t t = 1; t <= NUM_STEPS; t++) {
    double norm;
    ft_shard_begin_step(shard, 2);
    reduce_all(shard, comm, t * 10, 2, FT_BF16);
    assert_ok(ft_shard_gradient_norm(shard, &norm));
    ft_optim_step(optim, t, &(ft_rate){.lr = 0.05, .share = 1}, norm);
    ft_shard_set_version(shard, t);
    assert_ok(ft_shard_weights_changed(shard));
    note(shard, c, t);
  }
  ft_optim_free(optim);
  return shard;
}

static void check(ft_shard *shard, const course *c) {
  const float weight = (float)(1.0 - decay);
  double moved = 0;
  int64_t at = 0;
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); at += ft_shard_kept(shard, b++))
    for (int64_t i = 0; i < ft_shard_kept(shard, b); i++) {
      float found = average_of(shard, b)[i], average = c->weights[0][at + i];
      double sum = pow(decay, NUM_STEPS) * (double)average;
      for (int t = 1; t <= NUM_STEPS; t++) {
        volatile float step = weight * (c->weights[t][at + i] - average);
        average = average + step;
        sum += (1 - decay) * pow(decay, NUM_STEPS - t) * (double)c->weights[t][at + i];
      }
      assert_true(found == average);
      assert_true(fabs((double)found - sum) < 1e-6);
      moved = fmax(moved, fabs((double)(found - c->weights[NUM_STEPS][at + i])));
    }
  if (c->count > 0) assert_true(moved > 0.01);
}

static void follows_the_weights(void **state) {
  (void)state;
  static const ft_master masters[] = {FT_MASTER_F32, FT_MASTER_BF16_8, FT_MASTER_BF16};
  for (size_t m = 0; m < FT_ARRAY_SIZE(masters); m++)
    for (int stage = 0; stage <= 3; stage += 3) {
      course c = {.count = 0};
      ft_shard *shard = train(masters[m], stage, &c);
      check(shard, &c);
      for (int t = 0; t <= NUM_STEPS; t++)
        free(c.weights[t]);
      ft_shard_free(shard);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(follows_the_weights)};
  return run_on_ranks(&comm, tests, FT_ARRAY_SIZE(tests), NULL, NULL);
}
