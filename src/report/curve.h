/* Inside report: a curve of any length as the few points that a picture can show. */
#ifndef FT_REPORT_CURVE_H
#define FT_REPORT_CURVE_H

#include "ft/base.h"

/* Values over ascending x; NaN where there is none. */
typedef struct curve {
  const double *x, *y; /* [count], borrowed */
  int64_t count;
} curve;

/* What a pixel column shows of a curve. */
typedef struct curve_column {
  int64_t count;                   /* values that fall into it; 0: the others mean nothing */
  double low, low_x, high, high_x; /* the lowest and the highest, and where they are */
  double mean, mean_x;             /* mean of the `window` values around the column's middle one */
} curve_column;

/* Cuts [from, to] into num_columns equal columns and says what each shows. The mean is over
 * `window` values (an odd number), fewer at the curve's ends. */
void ft_curve_columns(const curve *c, double from, double to, int64_t window, int64_t num_columns,
                      curve_column *columns);

/* Over how many values a mean is taken that shows a curve's course: a fortieth of them, an odd
 * number; 1 where there are too few to be noisy. */
int64_t ft_curve_window(int64_t count);

/* The lowest and highest value that is a number; false: there is none. */
bool ft_curve_range(const curve *c, double *low, double *high);

#endif
