/* What a picture shows of a curve: the lowest, the highest and the mean of each pixel column. */
#include "curve.h"

#include <math.h>

enum { FEW_VALUES = 100 };

int64_t ft_curve_window(int64_t count) {
  return count < FEW_VALUES ? 1 : count / 40 | 1;
}

bool ft_curve_range(const curve *c, double *low, double *high) {
  *low = INFINITY;
  *high = -INFINITY;
  for (int64_t i = 0; i < c->count; i++) {
    if (!isfinite(c->y[i])) continue;
    *low = FT_MIN(*low, c->y[i]);
    *high = FT_MAX(*high, c->y[i]);
  }
  return *low <= *high;
}

static void take(curve_column *k, double x, double y) {
  bool first = k->count++ == 0;
  if (first || y < k->low) {
    k->low = y;
    k->low_x = x;
  }
  if (first || y > k->high) {
    k->high = y;
    k->high_x = x;
  }
}

/* Mean of the `half` values before and after `middle`. At the beginning, where curves fall steeply,
 * as few after it as there are before it; at the end those that there are. */
static double mean_around(const curve *c, int64_t middle, int64_t half) {
  double sum = 0;
  int64_t count = 0, before = FT_MIN(half, middle);
  int64_t last = FT_MIN(middle + before, c->count - 1);
  for (int64_t i = middle - before; i <= last; i++) {
    if (!isfinite(c->y[i])) continue;
    sum += c->y[i];
    count++;
  }
  return count ? sum / (double)count : NAN;
}

void ft_curve_columns(const curve *c, double from, double to, int64_t window, int64_t num_columns,
                      curve_column *columns) {
  double width = (to - from) / (double)num_columns;
  int64_t at = 0;
  while (at < c->count && c->x[at] < from)
    at++;
  for (int64_t k = 0; k < num_columns; k++) {
    double end = k + 1 == num_columns ? INFINITY : from + (double)(k + 1) * width;
    int64_t begin = at;
    columns[k] = (curve_column){0};
    for (; at < c->count && c->x[at] < end && c->x[at] <= to; at++)
      if (isfinite(c->y[at])) take(&columns[k], c->x[at], c->y[at]);
    if (columns[k].count == 0) continue;
    int64_t middle = begin + (at - begin - 1) / 2;
    columns[k].mean_x = c->x[middle];
    columns[k].mean = mean_around(c, middle, window / 2);
  }
}
