/* The I/O thread: order, errors with their messages, stop and start again.
 * Alone: build/tests/io/test_thread */
#include <pthread.h>

#include "io_test.h"

static int order[100], num_ran;
static pthread_t ran_on;

static ft_err note(void *arg) {
  order[num_ran++] = *(int *)arg;
  ran_on = pthread_self();
  return FT_OK;
}

static ft_err slow_failure(void *arg) {
  ft_sleep_s(0.02);
  return ft_fail(FT_ERR_IO, "job %d failed", *(int *)arg);
}

static void jobs_run_in_order(void **state) {
  (void)state;
  ft_io_job *jobs[100];
  int numbers[100];
  num_ran = 0;
  for (int i = 0; i < 100; i++) {
    numbers[i] = i;
    assert_ok(ft_io_submit(note, &numbers[i], &jobs[i]));
  }
  for (int i = 99; i >= 0; i--)
    assert_ok(ft_io_wait(jobs[i]));
  for (int i = 0; i < 100; i++)
    assert_int_equal(order[i], i);
  assert_false(pthread_equal(ran_on, pthread_self()));
  assert_ok(ft_io_wait(NULL));
  ft_io_stop();
}

static void errors_come_with_their_message(void **state) {
  (void)state;
  ft_io_job *bad, *good;
  int number = 7;
  num_ran = 0;
  assert_ok(ft_io_submit(slow_failure, &number, &bad));
  assert_ok(ft_io_submit(note, &number, &good));
  assert_false(ft_io_done(bad));
  assert_ok(ft_io_wait(good));
  assert_true(ft_io_done(bad));
  ft_fail(FT_ERR_DATA, "something else");
  assert_fails(ft_io_wait(bad), FT_ERR_IO, "job 7 failed");
}

static void stop_ends_what_was_submitted(void **state) {
  (void)state;
  ft_io_job *slow, *last;
  int number = 1;
  num_ran = 0;
  assert_ok(ft_io_submit(slow_failure, &number, &slow));
  assert_ok(ft_io_submit(note, &number, &last));
  ft_io_stop();
  assert_int_equal(num_ran, 1);
  assert_true(ft_io_done(slow) && ft_io_done(last));
  assert_int_equal(ft_io_wait(slow), FT_ERR_IO);
  assert_ok(ft_io_wait(last));
  ft_io_stop();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(jobs_run_in_order),
                                     cmocka_unit_test(errors_come_with_their_message),
                                     cmocka_unit_test(stop_ends_what_was_submitted)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
