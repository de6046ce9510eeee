/* Proves that the rate of a run follows every key of `schedule`: the course and where it ends, and
 * of "wsd" over how many steps it falls. Alone: build/tests/train/test_rate */
#include <math.h>

#include "ft_test.h"

#include "../../src/train/internal.h"

enum { STEPS = 200 };

static ft_config config_of(ft_rate_course name) {
  return (ft_config){.lr = 1e-3,
                     .schedule = {.name = name, .warmup_steps = 10, .min_lr_ratio = 0.1}};
}

static void assert_rate(const ft_config *config, int64_t step, double expected) {
  assert_true(fabs(ft_lr_at(config, STEPS, step) - expected) <= 1e-15);
}

static void wsd_falls_over_its_last_steps(void **state) {
  (void)state;
  ft_config config = config_of(FT_RATE_WSD);
  config.schedule.decay_steps = 100;
  assert_rate(&config, 5, 0.5e-3);
  assert_rate(&config, 100, 1e-3);
  assert_rate(&config, 150, 0.55e-3);
  assert_rate(&config, STEPS, 1e-4);
}

static void wsd_falls_over_a_tenth_unless_told(void **state) {
  (void)state;
  ft_config config = config_of(FT_RATE_WSD);
  assert_rate(&config, 180, 1e-3);
  assert_rate(&config, 190, 0.55e-3);
  assert_rate(&config, STEPS, 1e-4);
}

/* The course may end before the run does. */
static void course_ends_where_it_is_told(void **state) {
  (void)state;
  for (int name = FT_RATE_LINEAR; name <= FT_RATE_WSD; name++) {
    ft_config config = config_of((ft_rate_course)name);
    config.schedule.steps = 100;
    assert_true(ft_lr_at(&config, STEPS, 95) > 1.001e-4);
    assert_rate(&config, 100, 1e-4);
    assert_rate(&config, 150, 1e-4);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(wsd_falls_over_its_last_steps),
                                     cmocka_unit_test(wsd_falls_over_a_tenth_unless_told),
                                     cmocka_unit_test(course_ends_where_it_is_told)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
