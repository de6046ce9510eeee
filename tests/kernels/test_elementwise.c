/* Conversions, sums and AdamW against the reference, in both types and odd sizes, on every
 * instruction set; equal bits for any number of threads; the choice of an instruction set.
 * Alone: meson test -C build kernels-elementwise */
#include "support.h"

/* ---------------------------------------------------------------- conversions */

/* Bit patterns that rounding may get wrong, and random ones; signalling NaNs aside. */
static float special(int64_t i) {
  static const uint32_t bits[] = {0,          0x80000000, 0x3f800000, 0x7f800000, 0xff800000,
                                  0x7fc00000, 0x7fffffff, 0x00000001, 0x007fffff, 0x3f808000,
                                  0x3f818000, 0x3f808001, 0x7f7fffff, 0x477fe000, 0x477ff000,
                                  0x33000000, 0x33000001, 0x387fffff, 0x38800000, 0xc0490fdb};
  if (i < (int64_t)FT_ARRAY_SIZE(bits)) return ft_f32_from_bits(bits[i]);
  uint32_t words[4];
  ft_random_words(3, FT_RANDOM_BENCH, 0, (uint64_t)i, words);
  float value = ft_f32_from_bits(words[0]);
  return value != value ? 1.0f : value;
}

static void check_convert(void) {
  enum { MOST = 777 };
  float in[MOST] = {0}, back[MOST], sums[MOST];
  uint16_t half[MOST], other[MOST];
  for (int64_t count = 0; count <= MOST; count = count < 40 ? count + 1 : count * 2 + 1) {
    for (int64_t i = 0; i < count; i++)
      in[i] = special(i), sums[i] = 1.0f;
    ft_convert(FT_BF16, half, FT_F32, in, count);
    for (int64_t i = 0; i < count; i++)
      assert_int_equal(half[i], ft_bf16_from_f32(in[i]));
    ft_convert(FT_F32, back, FT_BF16, half, count);
    ft_accumulate(sums, FT_BF16, half, count);
    ft_convert(FT_F16, other, FT_BF16, half, count);
    for (int64_t i = 0; i < count; i++) {
      float expected = ft_f32_from_bf16(half[i]);
      assert_memory_equal(&back[i], &expected, 4);
      assert_int_equal(other[i], ft_f16_from_f32(expected));
      expected += 1.0f;
      assert_true(memcmp(&sums[i], &expected, 4) == 0 || expected != expected);
    }
    ft_convert(FT_F16, half, FT_F32, in, count);
    for (int64_t i = 0; i < count; i++)
      assert_int_equal(half[i], ft_f16_from_f32(in[i]));
    ft_convert(FT_F32, back, FT_F16, half, count);
    for (int64_t i = 0; i < count; i++) {
      float expected = ft_f32_from_f16(half[i]);
      assert_memory_equal(&back[i], &expected, 4);
    }
  }
}

static void conversions_equal_base(void **state) {
  (void)state;
  for_each_level(check_convert);
}

static double first_sum;
static void check_sum(void) {
  array a = array_random(FT_F32, 4096, 9, 1);
  double sum = ft_sum_of_squares(a.data, 4095), expected = 0;
  for (int64_t i = 0; i < 4095; i++)
    expected += get(&a, i) * get(&a, i);
  assert_true(fabs(sum - expected) < 1e-9 * expected);
  if (first_sum == 0) first_sum = sum;
  assert_true(sum == first_sum); /* on every instruction set */
  assert_true(ft_sum_of_squares(a.data, 0) == 0);
  array_free(&a);
}
static void sum_of_squares(void **state) {
  (void)state;
  for_each_level(check_sum);
}

/* ---------------------------------------------------------------- AdamW */

static void check_adamw(void) {
  const int64_t counts[] = {1, 3, 17, 65, 20000};
  const ft_adamw a = {.lr = 1e-3f,
                      .beta1 = 0.9f,
                      .beta2 = 0.95f,
                      .eps = 1e-8f,
                      .weight_decay = 0.1f,
                      .correction1 = 0.19f,
                      .correction2 = 0.0975f,
                      .gradient_scale = 0.7f};
  for (size_t s = 0; s < FT_ARRAY_SIZE(counts); s++)
    FOR_THREADS {
      array w = array_random(FT_F32, counts[s], 1, 1), m = array_random(FT_F32, counts[s], 2, 0.1);
      array v = array_random(FT_F32, counts[s], 3, 0.1), g = array_random(FT_F32, counts[s], 4, 1);
      for (int64_t i = 0; i < counts[s]; i++)
        set(&v, i, fabs(get(&v, i)));
      set(&g, 0, 0);
      array ref_w = array_copy(&w), ref_m = array_copy(&m), ref_v = array_copy(&v);
      omp_set_num_threads(threads);
      ft_adamw_update(&a, counts[s], w.data, m.data, v.data, g.data);
      ft_ref_adamw_update(&a, counts[s], ref_w.data, ref_m.data, ref_v.data, g.data);
      assert_true(array_equal(&w, &ref_w));
      assert_true(array_equal(&m, &ref_m));
      assert_true(array_equal(&v, &ref_v));
      array *all[] = {&w, &m, &v, &g, &ref_w, &ref_m, &ref_v};
      for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
        array_free(all[i]);
    }
}
static void adamw_equals_reference(void **state) {
  (void)state;
  for_each_level(check_adamw);
}

/* ---------------------------------------------------------------- choice of instruction set */

static void an_unknown_cpu_is_refused(void **state) {
  (void)state;
  setenv("FTRUN_CPU", "quantum", 1);
  assert_fails(ft_kernels_init(), FT_ERR_CONFIG, "FTRUN_CPU=quantum is none of plain, avx2");
  setenv("FTRUN_CPU", "plain", 1);
  assert_ok(ft_kernels_init());
  assert_false(ft_kernels_native_bf16());
  assert_non_null(strstr(ft_kernels_describe(), "plain, bf16 by f32, f32 by OpenBLAS"));
  assert_non_null(strstr(ft_kernels_describe(), "OpenBLAS 0."));
  unsetenv("FTRUN_CPU");
  assert_ok(ft_kernels_init());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conversions_equal_base),
      cmocka_unit_test(sum_of_squares),
      cmocka_unit_test(adamw_equals_reference),
      cmocka_unit_test(an_unknown_cpu_is_refused),
  };
  return cmocka_run_group_tests(tests, kernels_start, kernels_end);
}
