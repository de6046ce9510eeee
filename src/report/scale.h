/* Inside report: axes. A scale maps values to pixels and has ticks that people like to read. */
#ifndef FT_REPORT_SCALE_H
#define FT_REPORT_SCALE_H

#include "ft/base.h"

enum { SCALE_MAX_TICKS = 12, SCALE_TICK_BYTES = 24 };

typedef struct scale {
  double low, high;         /* values at the ends */
  double low_pixel, pixels; /* where low lies, and how far high is from it (negative: upwards) */
  bool logarithmic;         /* low is positive then */
  int exponent;             /* labels are the values divided by 10 to this power */
  int num_ticks;
  double ticks[SCALE_MAX_TICKS];
  char labels[SCALE_MAX_TICKS][SCALE_TICK_BYTES];
} scale;

/* A scale over [low, high], widened to something where that is nothing; ticks at multiples of 1, 2
 * or 5 times a power of ten, about `wanted` of them. With `powers`, large and small values are
 * divided by a power of 1000, which the axis has to say; without, they are written as 20k, 3M. */
void ft_scale_linear(scale *s, double low, double high, int wanted, bool powers);
/* A logarithmic one with ticks at powers of ten (and 2 and 5 times them where that is few). Values
 * that span less than a factor of 4 get a linear scale. low > 0. */
void ft_scale_logarithmic(scale *s, double low, double high, int wanted);
/* Where the scale lies on the page. */
void ft_scale_place(scale *s, double low_pixel, double high_pixel);
/* The pixel of a value; values outside lie at the ends. */
double ft_scale_pixel(const scale *s, double value);

#endif
