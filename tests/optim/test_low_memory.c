/* Proves: with every mix of master weights, moments and gradient sums that take fewer bytes,
 * several updates give, on any number of ranks and in every stage, the bits of one process that
 * adds and updates whole blocks with the plain references; and gathered weights are the rounded
 * values of the master weights. Alone: mpirun -np 3 build/tests/optim/test_low_memory */
#include <math.h>

#include "../shard/fixture.h"
#include "ranks_test.h"
#include "ft/kernels_ref.h"
#include "ft/optim.h"

static ft_comm *comm;

enum { NUM_STEPS = 3, MICRO_BATCHES = 5, SEED = 21 };

typedef struct mode {
  ft_master master;
  ft_moments state;
  ft_dtype gradient, compute;
} mode;

static const mode modes[] = {{FT_MASTER_BF16_8, FT_MOMENTS_INT8, FT_BF16, FT_BF16},
                             {FT_MASTER_BF16, FT_MOMENTS_INT8, FT_BF16, FT_F32},
                             {FT_MASTER_BF16, FT_MOMENTS_F32, FT_F32, FT_BF16},
                             {FT_MASTER_BF16_8, FT_MOMENTS_F32, FT_BF16, FT_F32},
                             {FT_MASTER_F32, FT_MOMENTS_INT8, FT_F32, FT_BF16}};

static ft_optim_options optim_options(const mode *m) {
  return (ft_optim_options){.beta1 = 0.9,
                            .beta2 = 0.95,
                            .eps = 1e-8,
                            .weight_decay = 0.1,
                            .grad_clip = 1.0,
                            .state = m->state};
}

static ft_shard *train(const mode *m, int stage, bool tied, double *norms) {
  ft_arch arch = small_arch(tied);
  const ft_shard_options options = {.stage = stage,
                                    .training = true,
                                    .stochastic_rounding = true,
                                    .seed = SEED,
                                    .compute = m->compute,
                                    .master = m->master,
                                    .gradient = m->gradient,
                                    .piece_elements = 5000};
  const ft_optim_options o = optim_options(m);
  ft_shard *shard;
  ft_optim *optim;
  assert_ok(ft_shard_new(comm, layout_of(&arch), &options, &shard));
  assert_ok(ft_optim_new(shard, &o, &optim));
  set_all_weights(shard, 77);
  assert_ok(ft_shard_weights_changed(shard));
  for (int64_t t = 1; t <= NUM_STEPS; t++) {
    ft_shard_begin_step(shard, MICRO_BATCHES);
    reduce_all(shard, comm, t * 10, MICRO_BATCHES, m->compute);
    assert_ok(ft_shard_gradient_norm(shard, &norms[t - 1]));
    ft_optim_step(optim, t, &(ft_rate){.lr = 1e-2, .share = 1}, norms[t - 1]);
    ft_shard_set_version(shard, t);
    assert_ok(ft_shard_weights_changed(shard));
  }
  ft_optim_free(optim);
  return shard;
}

/* ---------------------------------------------------------------- one process, whole blocks */

/* Arrays of a whole block, in the order of the shard's states. */
static ft_adamw_arrays whole_block(const mode *m, int64_t number, const ft_block *block) {
  size_t n = (size_t)block->num_elements, moment = m->state == FT_MOMENTS_F32 ? 4 : 1;
  ft_adamw_arrays x = {.master = m->master,
                       .w = calloc(n, ft_master_bytes(m->master)),
                       .w_low = ft_master_low_bytes(m->master) ? calloc(n, 1) : NULL,
                       .moments = m->state,
                       .m = calloc(n, moment),
                       .v = calloc(n, moment),
                       .m_scale = calloc(n / FT_QUANTUM, sizeof(float)),
                       .v_scale = calloc(n / FT_QUANTUM, sizeof(float)),
                       .gradient = m->gradient,
                       .g = calloc(n, ft_dtype_bytes(m->gradient))};
  float *values = block_values(77, number, block);
  ft_master_write(m->master, values, block->num_elements, x.w, x.w_low);
  free(values);
  return x;
}

static void free_block(const ft_adamw_arrays *x) {
  void *all[] = {x->w, x->w_low, x->m, x->v, x->m_scale, x->v_scale, (void *)(uintptr_t)x->g};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    free(all[i]);
}

static void add_gradients(const mode *m, int64_t number, const ft_block *block, int64_t t,
                          const ft_adamw_arrays *x) {
  int64_t n = block->num_elements;
  void *sums = (void *)(uintptr_t)x->g;
  memset(sums, 0, (size_t)n * ft_dtype_bytes(m->gradient));
  for (int64_t i = 0; i < MICRO_BATCHES; i++) {
    float *values = block_values((uint64_t)(t * 10 + i), number, block);
    void *sent = rounded(m->compute, values, n);
    if (m->gradient == FT_F32)
      ft_accumulate(sums, m->compute, sent, n);
    else
      ft_ref_accumulate_bf16(SEED, (uint64_t)(t - 1) << 24 | (uint64_t)i, (uint64_t)number << 44,
                             sums, m->compute, sent, n);
    free(values);
    free(sent);
  }
}

static void update_block(int64_t number, const ft_block *block, int64_t t, double norm,
                         const ft_adamw_arrays *x) {
  size_t moment = x->moments == FT_MOMENTS_F32 ? 4 : 1;
  for (int i = 0; i < block->num_tensors; i++) {
    const ft_tensor *tensor = &block->tensors[i];
    int64_t at = tensor->offset;
    const ft_adamw a = {.lr = 1e-2f,
                        .beta1 = 0.9f,
                        .beta2 = 0.95f,
                        .eps = 1e-8f,
                        .weight_decay = tensor->num_dims == 2 ? 0.1f : 0,
                        .correction1 = (float)(1 - pow(0.9, (double)t)),
                        .correction2 = (float)(1 - pow(0.95, (double)t)),
                        .gradient_scale = fminf(1.0f, 1.0f / ((float)norm + 1e-6f))};
    ft_adamw_arrays y = *x;
    y.w = (char *)x->w + (size_t)at * ft_master_bytes(x->master);
    if (x->w_low) y.w_low = x->w_low + at;
    y.m = (char *)x->m + (size_t)at * moment;
    y.v = (char *)x->v + (size_t)at * moment;
    y.m_scale = x->m_scale + at / FT_QUANTUM;
    y.v_scale = x->v_scale + at / FT_QUANTUM;
    y.g = (const char *)x->g + (size_t)at * ft_dtype_bytes(x->gradient);
    ft_ref_adamw_update_packed(&a, &y, SEED, (uint64_t)t, ((uint64_t)number << 44) + (uint64_t)at,
                               ft_tensor_elements(tensor));
  }
}

/* ---------------------------------------------------------------- comparison */

static const void *array_of(const ft_adamw_arrays *x, const char *state) {
  const struct {
    const char *name;
    const void *array;
  } all[] = {{"master", x->w}, {"master.low", x->w_low}, {"m", x->m},
             {"v", x->v},      {"m.scale", x->m_scale},  {"v.scale", x->v_scale}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    if (strcmp(all[i].name, state) == 0) return all[i].array;
  fail_msg("state %s", state);
  return NULL;
}

static void check_states(ft_shard *shard, int64_t number, const ft_adamw_arrays *expected) {
  int64_t num;
  const ft_range *r = ft_shard_kept_ranges(shard, number, &num);
  for (int s = 0; s < ft_shard_num_states(shard); s++) {
    const ft_state_info *info = ft_shard_state_info(shard, s);
    const char *found = ft_shard_state(shard, s, number), *wanted = array_of(expected, info->name);
    for (int64_t i = 0; i < num; i++)
      assert_memory_equal(found + (size_t)(r[i].local / info->group_elements) * info->group_bytes,
                          wanted + (size_t)(r[i].start / info->group_elements) * info->group_bytes,
                          (size_t)(r[i].count / info->group_elements) * info->group_bytes);
  }
}

static void check_gathered(ft_shard *shard, int64_t number, const ft_adamw_arrays *expected) {
  const ft_shard_options *o = ft_shard_options_of(shard);
  int64_t n = ft_shard_block(shard, number)->num_elements;
  size_t bytes = (size_t)n * ft_dtype_bytes(o->compute);
  float *values = malloc((size_t)n * sizeof *values);
  void *wanted = malloc(bytes);
  const void *found;
  ft_master_read(expected->master, expected->w, expected->w_low, n, values);
  ft_shard_round_weights(o, NUM_STEPS, number, 0, n, values, wanted);
  assert_ok(acquire_one(shard, number, &found));
  assert_memory_equal(found, wanted, bytes);
  ft_shard_release(shard, number);
  free(values);
  free(wanted);
}

static void check_mode(const mode *m, bool tied) {
  uint64_t first = 0;
  for (int stage = 0; stage <= 3; stage++) {
    double norms[NUM_STEPS];
    uint64_t sum;
    ft_shard *shard = train(m, stage, tied, norms);
    for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
      const ft_block *block = ft_shard_block(shard, b);
      ft_adamw_arrays expected = whole_block(m, b, block);
      for (int64_t t = 1; t <= NUM_STEPS; t++) {
        add_gradients(m, b, block, t, &expected);
        update_block(b, block, t, norms[t - 1], &expected);
      }
      check_states(shard, b, &expected);
      check_gathered(shard, b, &expected);
      free_block(&expected);
    }
    assert_ok(ft_shard_checksum(shard, &sum));
    if (stage == 0) first = sum;
    assert_true(sum == first);
    ft_shard_free(shard);
  }
}

static void same_bits_for_any_layout(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(modes); i++)
    check_mode(&modes[i], i % 2);
}

/* What each kind takes is what is accounted: bytes a kept element. */
static void bytes_are_as_promised(void **state) {
  (void)state;
  static const struct {
    mode mode;
    double bytes;
  } cases[] = {{{FT_MASTER_F32, FT_MOMENTS_F32, FT_F32, FT_BF16}, 16},
               {{FT_MASTER_BF16_8, FT_MOMENTS_INT8, FT_BF16, FT_BF16}, 7 + 8.0 / 256},
               {{FT_MASTER_BF16, FT_MOMENTS_INT8, FT_BF16, FT_BF16}, 6 + 8.0 / 256}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    double norms[NUM_STEPS], elements = 0, chunks = 0;
    ft_shard *shard = train(&cases[i].mode, 3, false, norms);
    for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
      int64_t num;
      const ft_range *r = ft_shard_ranges(shard, b, &num);
      elements += (double)ft_shard_kept(shard, b);
      for (int64_t k = 0; k < num; k++)
        chunks += (double)ft_ceil_div(r[k].count, FT_CHUNK);
    }
    size_t found = ft_mem_of(FT_MEM_MASTER).current_bytes + ft_mem_of(FT_MEM_STATE).current_bytes +
                   ft_mem_of(FT_MEM_GRADIENT).current_bytes;
    assert_true((double)found == cases[i].bytes * elements + 8 * chunks);
    ft_shard_free(shard);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_bits_for_any_layout),
      cmocka_unit_test(bytes_are_as_promised),
  };
  return run_on_ranks(&comm, tests, FT_ARRAY_SIZE(tests), NULL, NULL);
}
