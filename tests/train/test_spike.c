/* Proves that a loss far above those before it is called a spike, once a mean is known, and that
 * ordinary noise, a falling loss and the first steps are not. Alone: build/tests/train/test_spike
 */
#include "ft_test.h"

#include "../../src/train/internal.h"

static double noise(uint64_t step) {
  return ft_random_normal(1, FT_RANDOM_BENCH, step, 0);
}

static void noise_is_no_spike(void **state) {
  (void)state;
  ft_spike s = {0};
  for (uint64_t i = 0; i < 5000; i++)
    assert_false(ft_spike_note(&s, 2.0 + 0.1 * noise(i)));
}

static void falling_is_no_spike(void **state) {
  (void)state;
  ft_spike s = {0};
  for (uint64_t i = 0; i < 500; i++)
    assert_false(ft_spike_note(&s, 9.0 / (1.0 + 0.1 * (double)i) + 0.05 * noise(i)));
}

/* Two spikes in a row are both seen, and the losses after them are not. */
static void spikes_are_seen(void **state) {
  (void)state;
  ft_spike s = {0};
  for (uint64_t i = 0; i < 200; i++) {
    bool spike = i == 100 || i == 101 || i == 150;
    assert_int_equal(ft_spike_note(&s, 2.0 + 0.1 * noise(i) + (spike ? 3.0 : 0)), spike);
  }
}

static void first_steps_are_no_spikes(void **state) {
  (void)state;
  ft_spike s = {0};
  for (int i = 0; i < 16; i++)
    assert_false(ft_spike_note(&s, i % 2 ? 1.0 : 50.0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(noise_is_no_spike), cmocka_unit_test(falling_is_no_spike),
      cmocka_unit_test(spikes_are_seen), cmocka_unit_test(first_steps_are_no_spikes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
