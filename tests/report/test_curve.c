/* Proves that pictures are honest: no value of a curve of any length lies outside what a column
 * shows, means are means, and axes have ticks that people read. Run alone: meson test curve */
#include "ft_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "curve.h"
#include "scale.h"
#include "text.h"

enum { COLUMNS = 50, COUNT = 12345 };

static void columns_hide_no_outlier(void **state) {
  (void)state;
  static double x[COUNT], y[COUNT];
  curve_column columns[COLUMNS];
  double low = 0, high = 0;
  int64_t shown = 0;
  for (int64_t i = 0; i < COUNT; i++) {
    x[i] = (double)(i + 1);
    y[i] = sin((double)i);
  }
  y[777] = 100;
  y[9000] = -100;
  y[5000] = NAN;
  curve c = {.x = x, .y = y, .count = COUNT};
  ft_curve_columns(&c, 0, COUNT, 1, COLUMNS, columns);
  for (int k = 0; k < COLUMNS; k++) {
    shown += columns[k].count;
    low = FT_MIN(low, columns[k].low);
    high = FT_MAX(high, columns[k].high);
    assert_true(columns[k].mean_x > (double)k * COUNT / COLUMNS);
    assert_true(columns[k].mean_x <= (double)(k + 1) * COUNT / COLUMNS);
  }
  assert_int_equal(shown, COUNT - 1); /* all but what is no number */
  assert_true(low == -100 && high == 100);
  assert_true(columns[777 * COLUMNS / COUNT].high_x == 778);
}

static void means_are_of_the_window(void **state) {
  (void)state;
  enum { N = 11 };
  double x[N], y[N];
  curve_column columns[N];
  for (int i = 0; i < N; i++) {
    x[i] = i;
    y[i] = i * i;
  }
  curve c = {.x = x, .y = y, .count = N};
  ft_curve_columns(&c, 0, N, 3, N, columns);
  assert_true(columns[0].mean == 0); /* none before it, so none after it */
  assert_true(columns[5].mean == (16.0 + 25 + 36) / 3);
  assert_true(columns[N - 1].mean == (81.0 + 100) / 2);
  assert_int_equal(ft_curve_window(99), 1);
  assert_int_equal(ft_curve_window(100000) % 2, 1);
}

static void ticks_are_nice(void **state) {
  (void)state;
  scale s;
  ft_scale_linear(&s, 0, 97, 5, false);
  assert_int_equal(s.num_ticks, 5);
  assert_string_equal(s.labels[1], "20");
  ft_scale_linear(&s, 0, 100000, 5, false);
  assert_string_equal(s.labels[s.num_ticks - 1], "100k");
  ft_scale_linear(&s, 0, 1.07e-5, 5, true);
  assert_int_equal(s.exponent, -6);
  assert_string_equal(s.labels[s.num_ticks - 1], "10");
  ft_scale_linear(&s, -0.13, 0.31, 5, true);
  assert_string_equal(s.labels[0], "-0.1");
  assert_string_equal(s.labels[1], "0.0"); /* and not -0.0 */
  ft_scale_logarithmic(&s, 0.5, 40, 5);
  assert_true(s.logarithmic);
  assert_string_equal(s.labels[0], "0.5");
  ft_scale_logarithmic(&s, 1, 2, 5);
  assert_false(s.logarithmic);
}

static void any_range_has_an_axis(void **state) {
  (void)state;
  static const double ranges[][2] = {{0, 0},          {3, 3},      {-2, -2},       {1e-300, 2e-300},
                                     {-1e300, 1e300}, {0, 5e-324}, {1, 1 + 1e-15}, {-1e-9, 1e9}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(ranges); i++) {
    scale s;
    ft_scale_linear(&s, ranges[i][0], ranges[i][1], 5, i % 2);
    ft_scale_place(&s, 0, 100);
    assert_true(s.num_ticks <= SCALE_MAX_TICKS);
    for (int k = 0; k < s.num_ticks; k++) {
      double pixel = ft_scale_pixel(&s, s.ticks[k]);
      assert_true(pixel >= 0 && pixel <= 100);
      assert_true(strlen(s.labels[k]) < SCALE_TICK_BYTES);
    }
  }
}

static void texts_cannot_leave_their_place(void **state) {
  (void)state;
  char *text = NULL;
  size_t bytes;
  FILE *f = open_memstream(&text, &bytes);
  ft_text_escaped(f, "<a href=\"x\">&\x01\n");
  fclose(f);
  assert_string_equal(text, "&lt;a href=&quot;x&quot;&gt;&amp;\xEF\xBF\xBD\n");
  free(text);
  f = open_memstream(&text, &bytes);
  ft_text_escaped(
      f, "\xC3\xA4\xFF<\xEF\xBF\xBF\xC3"); /* a character, none, another, none, a cut one */
  fclose(f);
  assert_string_equal(text, "\xC3\xA4\xEF\xBF\xBD&lt;\xEF\xBF\xBD\xEF\xBF\xBD");
  free(text);
}

static void numbers_are_for_people(void **state) {
  (void)state;
  char out[TEXT_NUMBER_BYTES];
  assert_string_equal(ft_text_number(1.23456, out), "1.2346");
  assert_string_equal(ft_text_number(1234567.4, out), "1,234,567");
  assert_string_equal(ft_text_number(1.2e-5, out), "1.2e-05");
  assert_string_equal(ft_text_number(NAN, out), "–");
  assert_string_equal(ft_text_count(-1234, out), "-1,234");
  assert_string_equal(ft_text_duration(4000, out), "67 min");
  assert_string_equal(ft_text_duration(200000, out), "2 d 7 h");
  assert_string_equal(ft_text_bytes(1536, out), "1.5 KiB");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(columns_hide_no_outlier),
                                     cmocka_unit_test(means_are_of_the_window),
                                     cmocka_unit_test(ticks_are_nice),
                                     cmocka_unit_test(any_range_has_an_axis),
                                     cmocka_unit_test(texts_cannot_leave_their_place),
                                     cmocka_unit_test(numbers_are_for_people)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
