/* Durations as people and Slurm write them. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config_table.h"

/* A number of decimal digits, no sign, with a fraction if `fraction`. */
static bool read_number(const char **at, bool fraction, double *value) {
  char *end;
  if (!isdigit((unsigned char)**at)) return false;
  *value = fraction ? strtod(*at, &end) : (double)strtoll(*at, &end, 10);
  *at = end;
  return true;
}

/* "1h30m", "24h", "1.5d": each unit at most once, the larger first. */
static bool read_units(const char *text, double *seconds) {
  static const char units[] = "dhms";
  static const double length_s[] = {86400, 3600, 60, 1};
  size_t next = 0;
  *seconds = 0;
  for (const char *at = text; *at; at++) {
    double value;
    if (!read_number(&at, true, &value)) return false;
    const char *unit = *at ? strchr(units + next, *at) : NULL;
    if (!unit) return false;
    *seconds += value * length_s[unit - units];
    next = (size_t)(unit - units) + 1;
  }
  return *text != 0;
}

/* "12:30:00", "1-12", "1-12:30", "1-12:30:00". Minutes and seconds alone are not: who reads "90:00"
 * thinks of hours as well. */
static bool read_clock(const char *text, double *seconds) {
  double days = 0, parts[3] = {0, 0, 0};
  const char *at = text, *dash = strchr(text, '-');
  int num = 0;
  if (dash && (!read_number(&at, false, &days) || at++ != dash)) return false;
  for (;;) {
    if (num == 3 || !read_number(&at, false, &parts[num++])) return false;
    if (*at != ':') break;
    at++;
  }
  *seconds = days * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2];
  bool whole = *at == 0 && parts[1] < 60 && parts[2] < 60;
  return whole && (dash ? parts[0] < 24 : num == 3);
}

bool ft_duration_read(const char *text, double *seconds) {
  return read_clock(text, seconds) || read_units(text, seconds);
}
