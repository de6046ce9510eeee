/* Proves: learning rates at the borders of warm-up and decay. Alone: meson test schedule */
#include <math.h>

#include "ft_test.h"
#include "ft/optim.h"

static double rate(ft_schedule_name name, int64_t warmup, double ratio, int64_t t, int64_t steps) {
  const ft_schedule s = {.name = name, .warmup_steps = warmup, .min_lr_ratio = ratio};
  return ft_schedule_lr(&s, 2e-3, t, steps);
}

static void warms_up_in_equal_steps(void **state) {
  (void)state;
  for (int name = FT_SCHEDULE_CONSTANT; name <= FT_SCHEDULE_COSINE; name++)
    for (int64_t t = 1; t <= 10; t++)
      assert_true(rate((ft_schedule_name)name, 10, 0.1, t, 100) == 2e-3 * (double)t / 10.0);
}

static void ends_at_the_ratio(void **state) {
  (void)state;
  assert_true(rate(FT_SCHEDULE_CONSTANT, 10, 0.25, 100, 100) == 2e-3);
  assert_true(rate(FT_SCHEDULE_LINEAR, 10, 0.25, 100, 100) == 2e-3 * 0.25);
  assert_true(rate(FT_SCHEDULE_COSINE, 10, 0.25, 100, 100) == 2e-3 * 0.25);
  assert_true(rate(FT_SCHEDULE_COSINE, 0, 0.0, 1, 1) == 0.0);
  /* Past the end, and a warm-up that never ends. */
  assert_true(rate(FT_SCHEDULE_LINEAR, 10, 0.25, 101, 100) == 2e-3 * 0.25);
  assert_true(rate(FT_SCHEDULE_LINEAR, 10, 0.25, 5, 5) == 1e-3);
  assert_true(rate(FT_SCHEDULE_COSINE, 5, 0.25, 5, 5) == 2e-3);
}

static void half_way(void **state) {
  (void)state;
  assert_true(fabs(rate(FT_SCHEDULE_LINEAR, 10, 0.5, 60, 110) - 2e-3 * 0.75) < 1e-18);
  assert_true(fabs(rate(FT_SCHEDULE_COSINE, 10, 0.5, 60, 110) - 2e-3 * 0.75) < 1e-18);
  double quarter = 0.5 + 0.25 * (1.0 + sqrt(0.5));
  assert_true(fabs(rate(FT_SCHEDULE_COSINE, 10, 0.5, 35, 110) - 2e-3 * quarter) < 1e-17);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(warms_up_in_equal_steps),
      cmocka_unit_test(ends_at_the_ratio),
      cmocka_unit_test(half_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
