/* Proves base: Philox against the published vectors, number formats against exhaustive round trips,
 * memory accounting, error messages. Run alone: meson test base */
#include "ft_test.h"

#include <math.h>
#include <string.h>

#include "ft/base_utf8.h"

static void errors_keep_code_and_message(void **state) {
  (void)state;
  assert_int_equal(ft_fail(FT_ERR_DATA, "found %d", 3), FT_ERR_DATA);
  assert_int_equal(ft_fail_prefix(FT_ERR_DATA, "file %s", "x"), FT_ERR_DATA);
  assert_string_equal(ft_error_message(), "file x: found 3");
  ft_fail(FT_ERR_IO, "again: %s", ft_error_message());
  assert_string_equal(ft_error_message(), "again: file x: found 3");
}

static void memory_is_zeroed_aligned_and_accounted(void **state) {
  (void)state;
  for (size_t bytes = 0; bytes <= (size_t)64 << 20; bytes = bytes * 7 + 1) {
    size_t before = ft_mem_of(FT_MEM_DATA).current_bytes;
    void *p;
    assert_int_equal(ft_alloc(FT_MEM_DATA, bytes, &p), FT_OK);
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_int_equal(ft_mem_of(FT_MEM_DATA).current_bytes, before + bytes);
    for (size_t i = 0; i < bytes; i++)
      assert_int_equal(((char *)p)[i], 0);
    if (bytes) memset(p, 1, bytes);
    assert_int_equal(ft_realloc(FT_MEM_DATA, bytes + 10, &p), FT_OK);
    for (size_t i = 0; i < 10; i++)
      assert_int_equal(((char *)p)[bytes + i], 0);
    if (bytes) assert_int_equal(((char *)p)[bytes - 1], 1);
    ft_free(p);
    assert_int_equal(ft_mem_of(FT_MEM_DATA).current_bytes, before);
  }
  assert_true(ft_mem_of(FT_MEM_DATA).peak_bytes > 1000);
}

static void arrays_grow_when_they_are_full(void **state) {
  (void)state;
  int64_t capacity = 0, seen = 0, times = 0;
  int32_t *list = NULL;
  for (int32_t i = 0; i < 10000; i++, times += capacity != seen, seen = capacity) {
    assert_int_equal(ft_grow(FT_MEM_DATA, i + 1, sizeof *list, &capacity, (void **)&list), FT_OK);
    assert_true(capacity > i);
    list[i] = i;
  }
  for (int32_t i = 0; i < 10000; i++)
    assert_int_equal(list[i], i);
  assert_in_range(times, 2, 10); /* 64 elements, then doubled */
  assert_int_equal(ft_grow(FT_MEM_DATA, INT64_MAX / 8, 4, &capacity, (void **)&list),
                   FT_ERR_MEMORY);
  assert_int_equal(capacity, seen);
  assert_int_equal(list[9999], 9999);
  ft_free(list);

  size_t room = 0;
  char *text = NULL;
  assert_int_equal(ft_grow_bytes(FT_MEM_DATA, 3, &room, (void **)&text), FT_OK);
  assert_true(room >= 3);
  memcpy(text, "abc", 3);
  size_t needed = 4 * room + 1;
  assert_int_equal(ft_grow_bytes(FT_MEM_DATA, needed, &room, (void **)&text), FT_OK);
  assert_true(room >= needed);
  assert_memory_equal(text, "abc", 3);
  ft_free(text);
}

static void arrays_grow_together(void **state) {
  (void)state;
  int64_t capacity = 0;
  int32_t *numbers = NULL, *one_by_one = NULL;
  char *marks = NULL;
  const ft_array arrays[] = {{(void **)&numbers, sizeof *numbers}, {(void **)&marks, 1}};
  for (int32_t i = 0; i < 1000; i++) {
    assert_int_equal(ft_grow_all(FT_MEM_DATA, i + 1, &capacity, arrays, 2), FT_OK);
    assert_true(capacity > i);
    numbers[i] = i;
    marks[i] = (char)(i % 100);
  }
  for (int32_t i = 0; i < 1000; i++)
    assert_true(numbers[i] == i && marks[i] == i % 100);
  ft_free(numbers);
  ft_free(marks);

  for (int32_t i = 0; i < 1000; i++) {
    assert_int_equal(ft_grow_one(FT_MEM_DATA, i, sizeof *one_by_one, (void **)&one_by_one), FT_OK);
    one_by_one[i] = i; /* beyond its end, a sanitizer sees it */
  }
  for (int32_t i = 0; i < 1000; i++)
    assert_int_equal(one_by_one[i], i);
  ft_free(one_by_one);
}

static void hex_digits_have_values(void **state) {
  (void)state;
  static const char digits[] = "0123456789abcdefABCDEF";
  for (int c = -128; c < 128; c++) {
    const char *at = c ? strchr(digits, c) : NULL;
    int place = at ? (int)(at - digits) : -1;
    assert_int_equal(ft_hex_digit((char)c), place < 16 ? place : place - 6);
  }
}

/* The white space of CPython's str.isspace, and no half of another character. */
static void white_space_is_pythons(void **state) {
  (void)state;
  static const uint32_t spaces[] = {0x9,    0xA,    0xB,    0xC,    0xD,    0x1C,   0x1D,   0x1E,
                                    0x1F,   0x20,   0x85,   0xA0,   0x1680, 0x2000, 0x2001, 0x2002,
                                    0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A,
                                    0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  size_t next = 0;
  for (uint32_t code = 0; code < 0x110000; code++) {
    char text[4];
    if (code >= 0xD800 && code < 0xE000) continue;
    size_t length = ft_utf8_encode(code, text);
    bool is = next < FT_ARRAY_SIZE(spaces) && spaces[next] == code;
    next += is;
    assert_int_equal(ft_utf8_space(text, length), is ? length : 0);
    assert_int_equal(ft_utf8_space(text, length - 1), 0);
    if (length > 1) assert_int_equal(ft_utf8_space(text + 1, length - 1), 0);
  }
  assert_int_equal(next, FT_ARRAY_SIZE(spaces));
}

static void impossible_sizes_are_refused(void **state) {
  (void)state;
  void *p;
  assert_int_equal(ft_alloc(FT_MEM_DATA, SIZE_MAX - 3, &p), FT_ERR_MEMORY);
  assert_int_equal(ft_alloc_array(FT_MEM_DATA, -1, 4, &p), FT_ERR_MEMORY);
  assert_int_equal(ft_alloc_array(FT_MEM_DATA, INT64_MAX, 8, &p), FT_ERR_MEMORY);
  assert_null(p);
}

static void random_numbers_depend_on_all_of_the_key(void **state) {
  (void)state;
  uint64_t base = ft_random_u64(1, FT_RANDOM_INIT, 2, 3);
  assert_true(base == ft_random_u64(1, FT_RANDOM_INIT, 2, 3));
  assert_true(base != ft_random_u64(2, FT_RANDOM_INIT, 2, 3));
  assert_true(base != ft_random_u64(1, FT_RANDOM_SHUFFLE, 2, 3));
  assert_true(base != ft_random_u64(1, FT_RANDOM_INIT, 3, 3));
  assert_true(base != ft_random_u64(1, FT_RANDOM_INIT, 2, 4));
}

static void normals_have_mean_0_and_variance_1(void **state) {
  (void)state;
  double sum = 0, squares = 0;
  enum { COUNT = 100000 };
  for (int i = 0; i < COUNT; i++) {
    double x = ft_random_normal(7, FT_RANDOM_INIT, 0, (uint64_t)i);
    sum += x;
    squares += x * x;
  }
  assert_true(fabs(sum / COUNT) < 0.015);
  assert_true(fabs(squares / COUNT - 1) < 0.02);
}

static void permutations_hold_every_index_once(void **state) {
  (void)state;
  int64_t order[1000], moved = 0;
  bool seen[1000] = {false};
  ft_random_permutation(5, FT_RANDOM_SHUFFLE, 1, 1000, order);
  for (int i = 0; i < 1000; i++) {
    assert_true(order[i] >= 0 && order[i] < 1000 && !seen[order[i]]);
    seen[order[i]] = true;
    moved += order[i] != i;
  }
  assert_true(moved > 900);
}

static void bf16_rounds_to_nearest_even(void **state) {
  (void)state;
  for (uint32_t h = 0; h < 65536; h++) {
    float f = ft_f32_from_bf16((uint16_t)h);
    if (isnan(f))
      assert_true(isnan(ft_f32_from_bf16(ft_bf16_from_f32(f))));
    else
      assert_int_equal(ft_bf16_from_f32(f), h);
  }
  assert_int_equal(ft_bf16_from_f32(ft_f32_from_bits(0x3f808000)), 0x3f80); /* tie to even */
  assert_int_equal(ft_bf16_from_f32(ft_f32_from_bits(0x3f818000)), 0x3f82);
  assert_int_equal(ft_bf16_from_f32(ft_f32_from_bits(0x3f808001)), 0x3f81);
  assert_int_equal(ft_bf16_from_f32(INFINITY), 0x7f80);
}

static void f16_rounds_to_nearest_even(void **state) {
  (void)state;
  for (uint32_t h = 0; h < 65536; h++) {
    float f = ft_f32_from_f16((uint16_t)h);
    if (isnan(f))
      assert_true(isnan(ft_f32_from_f16(ft_f16_from_f32(f))));
    else
      assert_int_equal(ft_f16_from_f32(f), h);
  }
  assert_int_equal(ft_f16_from_f32(65519.0f), 0x7bff);
  assert_int_equal(ft_f16_from_f32(65520.0f), 0x7c00);
  assert_int_equal(ft_f16_from_f32(1.0f + 0x1p-11f), 0x3c00);
  assert_int_equal(ft_f16_from_f32(1.0f + 3 * 0x1p-11f), 0x3c02);
  assert_int_equal(ft_f16_from_f32(0x1p-25f), 0);
  assert_int_equal(ft_f16_from_f32(0x1.8p-25f), 1);
}

static void hashes_match_published_values(void **state) {
  (void)state;
  char hex[65];
  ft_sha256_hex("abc", 3, hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_true(ft_hash64("", 0, 0) == 0x2d06800538d394c2u); /* XXH3's own test vector */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(errors_keep_code_and_message),
      cmocka_unit_test(memory_is_zeroed_aligned_and_accounted),
      cmocka_unit_test(arrays_grow_when_they_are_full),
      cmocka_unit_test(arrays_grow_together),
      cmocka_unit_test(hex_digits_have_values),
      cmocka_unit_test(white_space_is_pythons),
      cmocka_unit_test(impossible_sizes_are_refused),
      cmocka_unit_test(random_numbers_depend_on_all_of_the_key),
      cmocka_unit_test(normals_have_mean_0_and_variance_1),
      cmocka_unit_test(permutations_hold_every_index_once),
      cmocka_unit_test(bf16_rounds_to_nearest_even),
      cmocka_unit_test(f16_rounds_to_nearest_even),
      cmocka_unit_test(hashes_match_published_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
