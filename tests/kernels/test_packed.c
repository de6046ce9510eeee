/* Proves what is kept in fewer bytes: packed AdamW and gradient sums have the bits of the plain
 * references for every mix of formats, instruction set, odd length and number of threads; rounding
 * keeps the mean; codes stand for the numbers that lie nearest, or next to it. Run alone: meson
 * test kernels-packed */
#include "support.h"

static const int64_t counts[] = {1, 3, 17, 63, 65, 255, 256, 257, 700, 20000};
static const ft_adamw adamw = {.lr = 1e-3f,
                               .beta1 = 0.9f,
                               .beta2 = 0.95f,
                               .eps = 1e-8f,
                               .weight_decay = 0.1f,
                               .correction1 = 0.19f,
                               .correction2 = 0.0975f,
                               .gradient_scale = 0.7f};

/* ---------------------------------------------------------------- quanta */

static void quanta_ascend(void **state) {
  (void)state;
  assert_true(ft_quanta_signed[127] == 0 && ft_quanta_unsigned[0] == 0);
  assert_true(ft_quanta_signed[255] == 1 && ft_quanta_unsigned[255] == 1);
  for (int i = 1; i < 256; i++) {
    assert_true(ft_quanta_signed[i] > ft_quanta_signed[i - 1]);
    assert_true(ft_quanta_unsigned[i] > ft_quanta_unsigned[i - 1]);
  }
  /* Seven decades; the middle of an interval (Dettmers et al. 2022, as their library makes it). */
  assert_true(ft_quanta_signed[128] == 0.55e-6f && ft_quanta_signed[126] == -0.55e-6f);
  assert_true(ft_quanta_unsigned[1] == 0.325e-6f && ft_quanta_unsigned[2] == 0.775e-6f);
  assert_true(ft_quanta_signed[254] == (float)(1 - 0.9 / 128));
  assert_true(ft_quanta_signed[0] == (float)-(1 - 0.9 / 128));
  assert_true(ft_quanta_unsigned[254] == (float)(1 - 0.9 / 256));
}

/* Every quantum but 0 and 1 is the code of itself, whatever the scale. */
static void check_quanta_stay(void) {
  for (int has_sign = 0; has_sign < 2; has_sign++) {
    const float *quanta = has_sign ? ft_quanta_signed : ft_quanta_unsigned;
    for (int e = -60; e <= 60; e += 20) {
      float in[256], back[256], scale, factor = ldexpf(1, e);
      uint8_t codes[256];
      for (int i = 0; i < 256; i++)
        in[i] = quanta[i] * factor;
      ft_quantize(has_sign, 256, in, codes, &scale);
      assert_true(scale == factor);
      for (int i = 0; i < 256; i++)
        assert_int_equal(codes[i], i);
      ft_dequantize(has_sign, 256, codes, scale, back);
      assert_memory_equal(in, back, sizeof in);
    }
  }
}

/* Random values become the nearest quantum, or a neighbour that lies nearly as near. */
static void check_quantize(void) {
  for (size_t s = 0; s < FT_ARRAY_SIZE(counts) && counts[s] <= FT_QUANTUM; s++)
    for (uint64_t seed = 1; seed <= 20; seed++)
      for (int has_sign = 0; has_sign < 2; has_sign++) {
        int64_t n = counts[s];
        float in[FT_QUANTUM], back[FT_QUANTUM], scale, ref_scale;
        uint8_t codes[FT_QUANTUM], ref_codes[FT_QUANTUM];
        for (int64_t i = 0; i < n; i++) {
          double x = ft_random_normal(seed, FT_RANDOM_BENCH, 1, (uint64_t)i);
          double size = pow(10, -9 * ft_random_uniform(seed, FT_RANDOM_BENCH, 2, (uint64_t)i));
          in[i] = (float)(has_sign ? x * size : x * x * size);
        }
        ft_quantize(has_sign, n, in, codes, &scale);
        ft_ref_quantize(has_sign, n, in, ref_codes, &ref_scale);
        assert_true(scale == ref_scale);
        assert_memory_equal(codes, ref_codes, (size_t)n);
        ft_dequantize(has_sign, n, codes, scale, back);
        for (int64_t i = 0; i < n; i++) {
          double x = fabs(in[i] / scale), error = fabs((double)back[i] - in[i]) / scale;
          double decade = fmax(pow(10, floor(log10(x)) + 1), 1e-6);
          double half = 0.45e-6 / (has_sign ? 1 : 2); /* of the lowest decade */
          for (double top = 1e-6; top < decade * 0.9; top *= 10)
            half *= 5; /* ten times the range, twice the intervals */
          assert_true(error <= half * 1.001 + 1e-7);
          if (!has_sign && in[i] > 0) assert_true(back[i] > 0);
        }
      }
}

static void check_zeros(void) {
  float zeros[FT_QUANTUM] = {0}, scale, back[FT_QUANTUM];
  uint8_t codes[FT_QUANTUM];
  for (int has_sign = 0; has_sign < 2; has_sign++) {
    ft_quantize(has_sign, FT_QUANTUM, zeros, codes, &scale);
    assert_true(scale == 0);
    ft_dequantize(has_sign, FT_QUANTUM, codes, scale, back);
    assert_memory_equal(back, zeros, sizeof zeros);
  }
}

static void quantisation(void **state) {
  (void)state;
  for_each_level(check_quanta_stay);
  for_each_level(check_quantize);
  for_each_level(check_zeros);
}

/* ---------------------------------------------------------------- master weights */

/* A value keeps its upper bits, rounded to the nearest. */
static void check_master(void) {
  static const int dropped[FT_MASTER_NUM] = {0, 8, 16};
  enum { COUNT = 999 };
  array in = array_random(FT_F32, COUNT, 3, 2);
  float out[COUNT];
  uint8_t low[COUNT];
  uint32_t w[COUNT];
  for (int kind = 0; kind < FT_MASTER_NUM; kind++) {
    ft_master_write((ft_master)kind, in.data, COUNT, w, low);
    ft_master_read((ft_master)kind, w, low, COUNT, out);
    for (int i = 0; i < COUNT; i++) {
      double x = get(&in, i), ulp = ldexp(1, ilogb(x) - 23 + dropped[kind]);
      assert_true(fabs(out[i] - x) <= (kind == FT_MASTER_F32 ? 0 : ulp / 2));
      assert_int_equal(ft_f32_bits(out[i]) & ((1u << dropped[kind]) - 1), 0);
    }
    float again[COUNT];
    ft_master_write((ft_master)kind, out, COUNT, w, low);
    ft_master_read((ft_master)kind, w, low, COUNT, again);
    assert_memory_equal(out, again, sizeof out);
  }
  array_free(&in);
}

static void masters_keep_their_value(void **state) {
  (void)state;
  for_each_level(check_master);
  assert_string_equal(ft_master_name(FT_MASTER_BF16_8), "bf16+8");
  assert_string_equal(ft_moments_name(FT_MOMENTS_INT8), "int8");
}

/* ---------------------------------------------------------------- gradients */

static void check_accumulate(void) {
  for (size_t s = 0; s < FT_ARRAY_SIZE(counts); s++)
    for (size_t t = 0; t < 2; t++) {
      int64_t n = counts[s];
      uint64_t first = ((uint64_t)3 << 44) + 4096;
      array sum = array_random(FT_BF16, n, 5, 1), in = array_random(both_types[t], n, 6, 0.01);
      array ref = array_copy(&sum), parts = array_copy(&sum);
      ft_accumulate_bf16(9, 77, first, sum.data, both_types[t], in.data, n);
      ft_ref_accumulate_bf16(9, 77, first, ref.data, both_types[t], in.data, n);
      assert_true(array_equal(&sum, &ref));
      for (int64_t at = 0, len = 8; at < n; at += len, len += 24) {
        const char *from = (const char *)in.data + (size_t)at * ft_dtype_bytes(both_types[t]);
        ft_accumulate_bf16(9, 77, first + (uint64_t)at, (uint16_t *)parts.data + at, both_types[t],
                           from, FT_MIN(len, n - at));
      }
      assert_true(array_equal(&sum, &parts));
      array *all[] = {&sum, &in, &ref, &parts};
      for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
        array_free(all[i]);
    }
}

static void gradient_sums_equal_reference(void **state) {
  (void)state;
  for_each_level(check_accumulate);
}

/* A thousand small additions, each of a tenth of a bf16 step, are not lost. */
static void gradient_sums_keep_the_mean(void **state) {
  (void)state;
  enum { COUNT = 4096 };
  uint16_t sums[COUNT];
  float small[COUNT];
  double mean = 0;
  for (int i = 0; i < COUNT; i++) {
    sums[i] = ft_bf16_from_f32(1.0f);
    small[i] = 0x1p-7f / 10;
  }
  for (uint64_t step = 0; step < 1000; step++)
    ft_accumulate_bf16(1, step, 0, sums, FT_F32, small, COUNT);
  for (int i = 0; i < COUNT; i++)
    mean += ft_f32_from_bf16(sums[i]) / COUNT;
  assert_true(fabs(mean - (1 + 1000 * 0x1p-7 / 10)) < 0.01);
}

/* ---------------------------------------------------------------- AdamW */

static size_t moment_bytes(ft_moments kind) {
  return kind == FT_MOMENTS_F32 ? 4 : 1;
}

/* Arrays of a mix of formats, filled through the kernels themselves. */
static ft_adamw_arrays arrays_new(ft_master master, ft_moments moments, ft_dtype gradient,
                                  int64_t n) {
  array w = array_random(FT_F32, n, 1, 1), m = array_random(FT_F32, n, 2, 0.1);
  array v = array_random(FT_F32, n, 3, 0.1), g = array_random(gradient, n, 4, 1);
  size_t quanta = (size_t)ft_ceil_div(n, FT_QUANTUM);
  ft_adamw_arrays x = {.master = master,
                       .w = calloc((size_t)n, ft_master_bytes(master)),
                       .w_low = ft_master_low_bytes(master) ? calloc((size_t)n, 1) : NULL,
                       .moments = moments,
                       .m = calloc((size_t)n, moment_bytes(moments)),
                       .v = calloc((size_t)n, moment_bytes(moments)),
                       .m_scale = calloc(quanta, sizeof(float)),
                       .v_scale = calloc(quanta, sizeof(float)),
                       .gradient = gradient,
                       .g = g.data};
  ft_master_write(master, w.data, n, x.w, x.w_low);
  for (int64_t i = 0; i < n; i++)
    set(&v, i, fabs(get(&v, i)));
  for (int64_t at = 0; at < n; at += FT_QUANTUM) {
    int64_t count = FT_MIN(n - at, (int64_t)FT_QUANTUM);
    float *mf = (float *)m.data + at, *vf = (float *)v.data + at;
    if (moments == FT_MOMENTS_INT8) {
      ft_quantize(true, count, mf, (uint8_t *)x.m + at, &x.m_scale[at / FT_QUANTUM]);
      ft_quantize(false, count, vf, (uint8_t *)x.v + at, &x.v_scale[at / FT_QUANTUM]);
    } else {
      memcpy((float *)x.m + at, mf, (size_t)count * sizeof *mf);
      memcpy((float *)x.v + at, vf, (size_t)count * sizeof *vf);
    }
  }
  array_free(&w);
  array_free(&m);
  array_free(&v);
  return x;
}

static void arrays_free(const ft_adamw_arrays *x) {
  void *all[] = {x->w, x->w_low, x->m, x->v, x->m_scale, x->v_scale, (void *)(uintptr_t)x->g};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    free(all[i]);
}

static void assert_same(const ft_adamw_arrays *a, const ft_adamw_arrays *b, int64_t n) {
  size_t count = (size_t)n, quanta = (size_t)ft_ceil_div(n, FT_QUANTUM);
  assert_memory_equal(a->w, b->w, count * ft_master_bytes(a->master));
  if (a->w_low) assert_memory_equal(a->w_low, b->w_low, count);
  assert_memory_equal(a->m, b->m, count * moment_bytes(a->moments));
  assert_memory_equal(a->v, b->v, count * moment_bytes(a->moments));
  assert_memory_equal(a->m_scale, b->m_scale, quanta * sizeof(float));
  assert_memory_equal(a->v_scale, b->v_scale, quanta * sizeof(float));
}

static void check_mix(ft_master master, ft_moments moments, ft_dtype gradient) {
  const uint64_t first = ((uint64_t)2 << 44) + 512;
  for (size_t s = 0; s < FT_ARRAY_SIZE(counts); s++)
    for (int threads = 1; threads <= 3; threads += 2) {
      ft_adamw_arrays x = arrays_new(master, moments, gradient, counts[s]);
      ft_adamw_arrays ref = arrays_new(master, moments, gradient, counts[s]);
      omp_set_num_threads(threads);
      for (uint64_t step = 1; step <= 2; step++) {
        ft_adamw_update_packed(&adamw, &x, 7, step, first, counts[s]);
        ft_ref_adamw_update_packed(&adamw, &ref, 7, step, first, counts[s]);
      }
      assert_same(&x, &ref, counts[s]);
      arrays_free(&x);
      arrays_free(&ref);
    }
}

static void check_adamw(void) {
  for (int master = 0; master < FT_MASTER_NUM; master++)
    for (int moments = 0; moments < FT_MOMENTS_NUM; moments++)
      for (size_t t = 0; t < 2; t++)
        check_mix((ft_master)master, (ft_moments)moments, both_types[t]);
}

static void adamw_equals_reference(void **state) {
  (void)state;
  for_each_level(check_adamw);
}

/* Nothing is packed: the bits of ft_adamw_update. */
static void unpacked_adamw_is_plain_adamw(void **state) {
  (void)state;
  enum { COUNT = 3000 };
  ft_adamw_arrays x = arrays_new(FT_MASTER_F32, FT_MOMENTS_F32, FT_F32, COUNT);
  ft_adamw_arrays plain = arrays_new(FT_MASTER_F32, FT_MOMENTS_F32, FT_F32, COUNT);
  ft_adamw_update_packed(&adamw, &x, 1, 1, 0, COUNT);
  ft_adamw_update(&adamw, COUNT, plain.w, plain.m, plain.v, plain.g);
  assert_same(&x, &plain, COUNT);
  arrays_free(&x);
  arrays_free(&plain);
}

int main(void) {
  assert_ok(ft_kernels_init());
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(quanta_ascend),
      cmocka_unit_test(quantisation),
      cmocka_unit_test(masters_keep_their_value),
      cmocka_unit_test(gradient_sums_equal_reference),
      cmocka_unit_test(gradient_sums_keep_the_mean),
      cmocka_unit_test(adamw_equals_reference),
      cmocka_unit_test(unpacked_adamw_is_plain_adamw),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
