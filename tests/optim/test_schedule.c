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

/* Stable up to the last decay_steps, linear there; a decay that is too long begins after warm-up.
 */
static void stable_then_decay(void **state) {
  (void)state;
  ft_schedule s = {
      .name = FT_SCHEDULE_WSD, .warmup_steps = 10, .decay_steps = 20, .min_lr_ratio = 0.5};
  assert_true(ft_schedule_lr(&s, 2e-3, 5, 100) == 1e-3);
  assert_true(ft_schedule_lr(&s, 2e-3, 11, 100) == 2e-3);
  assert_true(ft_schedule_lr(&s, 2e-3, 80, 100) == 2e-3);
  assert_true(fabs(ft_schedule_lr(&s, 2e-3, 90, 100) - 1.5e-3) < 1e-18);
  assert_true(ft_schedule_lr(&s, 2e-3, 100, 100) == 1e-3);
  assert_true(ft_schedule_lr(&s, 2e-3, 101, 100) == 1e-3);
  s.decay_steps = 1000;
  assert_true(ft_schedule_lr(&s, 2e-3, 10, 100) == 2e-3);
  assert_true(fabs(ft_schedule_lr(&s, 2e-3, 55, 100) - 1.5e-3) < 1e-18);
  s.decay_steps = 0;
  assert_true(ft_schedule_lr(&s, 2e-3, 100, 100) == 2e-3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(warms_up_in_equal_steps),
      cmocka_unit_test(ends_at_the_ratio),
      cmocka_unit_test(half_way),
      cmocka_unit_test(stable_then_decay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
