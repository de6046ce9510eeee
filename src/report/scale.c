/* Axes: ranges, ticks and their labels. */
#include "scale.h"

#include <math.h>

/* The least of 1, 2, 5 × 10^k that is at least `size`. */
static double nice_size(double size) {
  double power = pow(10, floor(log10(size)));
  static const double steps[] = {1, 2, 5, 10};
  for (size_t i = 0; i < FT_ARRAY_SIZE(steps); i++)
    if (steps[i] * power >= size * (1 - 1e-9)) return steps[i] * power;
  return 10 * power;
}

/* The power of 1000 by which labels are divided, so that they have few digits. */
static int exponent_of(double largest) {
  if (largest == 0 || (largest >= 1e-2 && largest < 1e5)) return 0;
  return (int)floor(log10(largest) / 3 + 1e-9) * 3;
}

/* A number with as many decimals as tell multiples of `size` apart. */
static void label_number(double value, double size, char out[SCALE_TICK_BYTES]) {
  if (fabs(value) >= 1e15 || size < 1e-12) { /* no decimals tell such apart */
    snprintf(out, SCALE_TICK_BYTES, "%.6g", value);
    return;
  }
  int decimals = FT_MAX(0, -(int)floor(log10(size) + 1e-9));
  if (fabs(value) < size * 1e-6) value = 0; /* no -0 */
  snprintf(out, SCALE_TICK_BYTES, "%.*f", decimals, value);
}

/* 20k, 1.5M: counts. */
static void label_count(double value, double size, char out[SCALE_TICK_BYTES]) {
  static const struct {
    double unit;
    const char *suffix;
  } units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(units); i++)
    if (fabs(value) >= units[i].unit) {
      char number[SCALE_TICK_BYTES];
      label_number(value / units[i].unit, size / units[i].unit, number);
      snprintf(out, SCALE_TICK_BYTES, "%.20s%s", number, units[i].suffix);
      return;
    }
  label_number(value, size, out);
}

void ft_scale_linear(scale *s, double low, double high, int wanted, bool powers) {
  *s = (scale){0};
  if (!(high > low)) { /* one value: something around it */
    double around = fabs(low) > 0 ? fabs(low) * 0.1 : 1;
    low -= around;
    high += around;
  }
  s->low = low;
  s->high = high;
  double size = nice_size((high - low) / wanted);
  s->exponent = powers ? exponent_of(FT_MAX(fabs(low), fabs(high))) : 0;
  double unit = pow(10, s->exponent);
  for (double at = ceil(low / size - 1e-9); at * size <= high + size * 1e-9; at++) {
    if (s->num_ticks == SCALE_MAX_TICKS || at + 1 == at) break;
    s->ticks[s->num_ticks] = at * size;
    if (powers)
      label_number(at * size / unit, size / unit, s->labels[s->num_ticks]);
    else
      label_count(at * size, size, s->labels[s->num_ticks]);
    s->num_ticks++;
  }
}

static void add_power_tick(scale *s, double value) {
  if (s->num_ticks == SCALE_MAX_TICKS) return;
  if (value < s->low * (1 - 1e-9) || value > s->high * (1 + 1e-9)) return;
  s->ticks[s->num_ticks] = value;
  snprintf(s->labels[s->num_ticks++], SCALE_TICK_BYTES, "%.3g", value);
}

void ft_scale_logarithmic(scale *s, double low, double high, int wanted) {
  if (!(high >= 4 * low)) {
    ft_scale_linear(s, low, high, wanted, true);
    return;
  }
  *s = (scale){.low = low, .high = high, .logarithmic = true};
  int first = (int)floor(log10(low)), last = (int)ceil(log10(high));
  int every = FT_MAX(1, (last - first) / wanted);
  for (int power = first; power <= last; power += every) {
    double value = pow(10, power);
    add_power_tick(s, value);
    if (high > 300 * low) continue;
    add_power_tick(s, 2 * value);
    add_power_tick(s, 5 * value);
  }
}

void ft_scale_place(scale *s, double low_pixel, double high_pixel) {
  s->low_pixel = low_pixel;
  s->pixels = high_pixel - low_pixel;
}

double ft_scale_pixel(const scale *s, double value) {
  double part = s->logarithmic ? log(FT_MAX(value, s->low) / s->low) / log(s->high / s->low)
                               : (value - s->low) / (s->high - s->low);
  return s->low_pixel + FT_MIN(FT_MAX(part, 0), 1) * s->pixels;
}
