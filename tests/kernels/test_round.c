/* Proves stochastic rounding: the vectorised numbers are those of ft_random_words, the mean is
 * kept, what bf16 can hold stays, infinities and NaN too, and any cut of a range gives the same
 * bits. Run alone: meson test round */
#include "support.h"

enum { COUNT = 1000 };

static float value_at(int64_t i) {
  return (float)ft_random_normal(4, FT_RANDOM_BENCH, 0, (uint64_t)i);
}

static void numbers_are_those_of_the_generator(void) {
  float in[COUNT];
  uint16_t out[COUNT];
  const uint64_t first = ((uint64_t)3 << 44) + 8 * 4096, step = 77;
  for (int i = 0; i < COUNT; i++)
    in[i] = value_at(i);
  ft_round_stochastic(11, step, first, COUNT, in, out);
  for (int i = 0; i < COUNT; i++) {
    uint32_t words[4];
    ft_random_words(11, FT_RANDOM_ROUND, step, (first + (uint64_t)i) / 8, words);
    uint32_t half = words[i % 8 / 2] >> (i % 2 ? 16 : 0) & 0xffffu;
    assert_int_equal(out[i], (uint16_t)((ft_f32_bits(in[i]) + half) >> 16));
  }
}

static void cuts_change_nothing(void) {
  float in[COUNT];
  uint16_t whole[COUNT], parts[COUNT];
  for (int i = 0; i < COUNT; i++)
    in[i] = value_at(i);
  ft_round_stochastic(1, 2, 64, COUNT, in, whole);
  for (int64_t at = 0, n = 8; at < COUNT; at += n, n += 16)
    ft_round_stochastic(1, 2, 64 + (uint64_t)at, FT_MIN(n, COUNT - at), in + at, parts + at);
  assert_memory_equal(whole, parts, sizeof whole);
}

static void the_mean_is_kept(void) {
  enum { TRIES = 20000 };
  static float in[TRIES];
  static uint16_t out[TRIES];
  float low = 1.0f, step = 0x1p-7f;
  for (int quarter = 0; quarter <= 3; quarter++) {
    int64_t up = 0;
    for (int i = 0; i < TRIES; i++)
      in[i] = low + (float)quarter * step / 4;
    ft_round_stochastic(5, 1, 0, TRIES, in, out);
    for (int i = 0; i < TRIES; i++)
      up += ft_f32_from_bf16(out[i]) > low;
    assert_true(fabs((double)up / TRIES - quarter / 4.0) < 0.02);
  }
}

/* Wherever they stand among others, which are rounded as if they were not there. */
static void special_values_among_others(void) {
  /* NaNs of which nothing is left in the upper half, or to which nothing can be added */
  const float special[6] = {INFINITY,
                            -INFINITY,
                            NAN,
                            ft_f32_from_bits(0x7f800001u),
                            ft_f32_from_bits(0xffffffffu),
                            3e38f};
  float in[COUNT];
  uint16_t out[COUNT], plain[COUNT];
  for (int i = 0; i < COUNT; i++)
    in[i] = value_at(i);
  ft_round_stochastic(3, 8, 0, COUNT, in, plain);
  for (int at = 0; at < COUNT; at += 7) {
    float was = in[at];
    in[at] = special[at / 7 % 6];
    ft_round_stochastic(3, 8, 0, COUNT, in, out);
    float became = ft_f32_from_bf16(out[at]);
    assert_true(isnan(in[at]) ? isnan(became) : isinf(in[at]) ? became == in[at] : became > 2.9e38f);
    out[at] = plain[at];
    assert_memory_equal(out, plain, sizeof out);
    in[at] = was;
  }
}

static void special_values_stay(void) {
  const float in[8] = {INFINITY, -INFINITY, NAN, 0.0f, -0.0f, 1.5f, -3.25f, 0x1p-133f};
  uint16_t out[8];
  for (uint64_t step = 0; step < 50; step++) {
    ft_round_stochastic(9, step, 0, 8, in, out);
    for (int i = 0; i < 8; i++)
      if (i == 2)
        assert_true(isnan(ft_f32_from_bf16(out[i])));
      else
        assert_int_equal(out[i], ft_bf16_from_f32(in[i]));
  }
}

/* test_NAME: the check NAME at every level. */
#define AT_EVERY_LEVEL(name)           \
  static void test_##name(void **state) { \
    (void)state;                       \
    for_each_level(name);              \
  }
AT_EVERY_LEVEL(numbers_are_those_of_the_generator)
AT_EVERY_LEVEL(cuts_change_nothing)
AT_EVERY_LEVEL(the_mean_is_kept)
AT_EVERY_LEVEL(special_values_among_others)
AT_EVERY_LEVEL(special_values_stay)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers_are_those_of_the_generator),
      cmocka_unit_test(test_cuts_change_nothing),
      cmocka_unit_test(test_the_mean_is_kept),
      cmocka_unit_test(test_special_values_among_others),
      cmocka_unit_test(test_special_values_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
