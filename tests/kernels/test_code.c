/* Frozen weights in codes of int8 and nf4: the bits of the plain reference on every instruction set
 * and number of threads, in odd lengths; codes stand for the nearest number; a packet depends on
 * its 64 values alone. Alone: meson test -C build kernels-code */
#include "support.h"

static const int64_t counts[] = {1, 3, 17, 63, 64, 65, 129, 20011};

static void sizes(void **state) {
  (void)state;
  assert_string_equal(ft_code_name(FT_CODE_NONE), "bf16");
  assert_string_equal(ft_code_name(FT_CODE_INT8), "int8");
  assert_string_equal(ft_code_name(FT_CODE_NF4), "nf4");
  assert_int_equal(ft_code_bytes(FT_CODE_INT8, 64), 68); /* 1.0625 bytes an element */
  assert_int_equal(ft_code_bytes(FT_CODE_NF4, 64), 36);  /* 0.5625 */
  assert_int_equal(ft_code_bytes(FT_CODE_NF4, 65), 72);
  assert_int_equal(ft_code_bytes(FT_CODE_INT8, 0), 0);
}

/* Normal numbers; the second packet zero, the third with a border of int8 and of nf4, the fourth so
 * small that its scale is not a normal number. */
static array weights(ft_dtype type, int64_t count) {
  array x = array_random(type, count, 1, 0.05);
  for (int64_t i = 64; i < FT_MIN(count, (int64_t)128); i++)
    set(&x, i, 0);
  if (count > 131) {
    set(&x, 128, -127);
    set(&x, 129, 2.5); /* midway between two whole numbers */
    set(&x, 130, 3.5);
  }
  for (int64_t i = 192; i < FT_MIN(count, (int64_t)256); i++)
    set(&x, i, (double)(i - 200) * 0x1p-149);
  return x;
}

static void check_code(ft_code code, ft_dtype type, int64_t count) {
  array x = weights(type, count);
  size_t bytes = ft_code_bytes(code, count);
  uint8_t *expected = calloc(bytes, 1), *found = calloc(bytes, 1);
  assert_true(expected && found);
  ft_ref_code_write(code, expected, type, x.data, count);
  FOR_THREADS {
    omp_set_num_threads(threads);
    memset(found, 0xee, bytes);
    ft_code_write(code, found, type, x.data, count);
    assert_memory_equal(found, expected, bytes);
    for (int t = 0; t < 2; t++) {
      array out = array_new(both_types[t], count), exact = array_new(both_types[t], count);
      ft_code_read(code, both_types[t], out.data, found, count);
      ft_ref_code_read(code, both_types[t], exact.data, found, count);
      assert_true(array_equal(&out, &exact));
      ARRAYS_FREE(&out, &exact);
    }
  }
  free(expected);
  free(found);
  array_free(&x);
}

static void check_codes(void) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(counts); i++)
    for (int code = FT_CODE_INT8; code < FT_CODE_NUM; code++)
      for (int t = 0; t < 2; t++)
        check_code((ft_code)code, both_types[t], counts[i]);
}
static void equal_reference(void **state) {
  (void)state;
  for_each_level(check_codes);
}

/* No element is further from its number than half the gap between two of them. */
static void nearest(void **state) {
  (void)state;
  enum { COUNT = 640 };
  const double gaps[FT_CODE_NUM] = {0, 1.0 / 127, 0.304}; /* of the scale's packet: the widest */
  array x = array_random(FT_F32, COUNT, 3, 1);
  for (int code = FT_CODE_INT8; code < FT_CODE_NUM; code++) {
    float back[COUNT];
    uint8_t codes[COUNT * 2];
    ft_code_write((ft_code)code, codes, FT_F32, x.data, COUNT);
    ft_code_read((ft_code)code, FT_F32, back, codes, COUNT);
    for (int64_t p = 0; p < COUNT; p += FT_CODE_ELEMENTS) {
      double most = 0;
      for (int64_t i = p; i < p + FT_CODE_ELEMENTS; i++)
        most = fmax(most, fabs(get(&x, i)));
      for (int64_t i = p; i < p + FT_CODE_ELEMENTS; i++)
        assert_true(fabs((double)back[i] - get(&x, i)) <= most * gaps[code] / 2 * 1.0001);
    }
  }
  array_free(&x);
}

/* Elements 64 … of a longer array have the codes that they have alone. */
static void packets_do_not_see_each_other(void **state) {
  (void)state;
  array x = array_random(FT_BF16, 192, 5, 1);
  for (int code = FT_CODE_INT8; code < FT_CODE_NUM; code++) {
    uint8_t whole[3 * 68], part[68];
    size_t bytes = ft_code_bytes((ft_code)code, 64);
    ft_code_write((ft_code)code, whole, FT_BF16, x.data, 192);
    ft_code_write((ft_code)code, part, FT_BF16, (uint16_t *)x.data + 64, 64);
    assert_memory_equal(whole + bytes, part, bytes);
  }
  array_free(&x);
}

/* What is not finite is seen in everything that shares its scale. */
static void check_not_finite(void) {
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (int code = FT_CODE_INT8; code < FT_CODE_NUM; code++)
    for (int b = 0; b < 3; b++) {
      float x[128] = {0}, back[128];
      uint8_t codes[2 * 68];
      x[70] = bad[b];
      ft_code_write((ft_code)code, codes, FT_F32, x, 128);
      ft_code_read((ft_code)code, FT_F32, back, codes, 128);
      for (int i = 0; i < 128; i++)
        assert_true((back[i] != back[i]) == (i >= 64));
    }
}
static void not_finite(void **state) {
  (void)state;
  for_each_level(check_not_finite);
}

int main(void) {
  assert_ok(ft_kernels_init());
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes),      cmocka_unit_test(equal_reference),
      cmocka_unit_test(nearest),    cmocka_unit_test(packets_do_not_see_each_other),
      cmocka_unit_test(not_finite),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
