/* Proves what a run tells of itself: the time that is left is that of the last steps with all that
 * lies between them, `mfu` is model FLOP/s by the peak, and which of the best steps get a
 * checkpoint of their own. Alone: build/tests/train/test_progress */
#include <math.h>

#include "ft_test.h"

#include "../../src/train/internal.h"

/* Steps of a second, and an evaluation of 10 s after every tenth. */
static double left_after(int64_t steps, double first_s) {
  ft_progress p = {0};
  double now_s = 100, left_s = 0;
  for (int64_t step = 1; step <= steps; step++) {
    double step_s = step <= FT_WINDOW ? first_s : 1;
    now_s += step_s;
    left_s = ft_time_left(&p, now_s, step, 1000, step_s);
    if (step % 10 == 0) now_s += 10;
  }
  return left_s;
}

static void time_left_is_that_of_a_window(void **state) {
  (void)state;
  assert_true(left_after(1, 7) == 7 * 999.0); /* nothing else is known */
  assert_true(left_after(5, 1) == 995.0);
  /* 31 steps of a window of 32 have 3 or 4 evaluations between them */
  double steps_left = 1000 - 100, each_s = left_after(100, 1) / steps_left;
  assert_true(each_s >= (31 + 3 * 10) / 31.0 && each_s <= (31 + 4 * 10) / 31.0);
  assert_true(left_after(100, 50) == left_after(100, 1)); /* the slow ones are behind the window */
}

static void mfu_is_the_share_of_the_peak(void **state) {
  (void)state;
  step_result r = {.flops = 6e12, .seconds = 4};
  assert_true(ft_share_of_peak(&r, 3e12) == 0.5);
  assert_true(isnan(ft_share_of_peak(&r, 0)));
  r.seconds = 0;
  assert_true(isnan(ft_share_of_peak(&r, 3e12)));
}

static void the_best_are_saved_at_a_bounded_rate(void **state) {
  (void)state;
  int64_t little = 1 << 20, much = (int64_t)1 << 40;
  assert_false(ft_best_is_worth_saving(0, 100, 0, little)); /* nothing is trained yet */
  assert_true(ft_best_is_worth_saving(1, 100, 0, much));    /* the first one */
  assert_false(ft_best_is_worth_saving(2, 100, 1, little)); /* never two in a row */
  assert_true(ft_best_is_worth_saving(3, 100, 1, little));
  assert_false(ft_best_is_worth_saving(3, 100, 1, much));
  assert_false(ft_best_is_worth_saving(25, 100, 1, much));
  assert_true(ft_best_is_worth_saving(26, 100, 1, much));
  assert_false(ft_best_is_worth_saving(101, 100, 1, little)); /* step 100 was due */
  assert_false(ft_best_is_worth_saving(124, 100, 1, much));
  assert_true(ft_best_is_worth_saving(125, 100, 1, much));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(time_left_is_that_of_a_window),
      cmocka_unit_test(mfu_is_the_share_of_the_peak),
      cmocka_unit_test(the_best_are_saved_at_a_bounded_rate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
