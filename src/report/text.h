/* Inside report: texts of people in HTML and SVG, and numbers for people. */
#ifndef FT_REPORT_TEXT_H
#define FT_REPORT_TEXT_H

#include "ft/base.h"

/* Text as content or in a double-quoted attribute of HTML and XML; what is no UTF-8 (a path may
 * hold anything, a long name is cut) and characters that XML does not have become U+FFFD. */
void ft_text_escaped(FILE *out, const char *text);

enum { TEXT_NUMBER_BYTES = 48 };
/* A number with about four digits that matter, thousands apart by commas: 1.234, 12,345, 1.2e-05;
 * "–" where there is none. */
const char *ft_text_number(double value, char out[TEXT_NUMBER_BYTES]);
/* A whole number with commas. */
const char *ft_text_count(int64_t value, char out[TEXT_NUMBER_BYTES]);
/* "45 s", "12 min", "3 h 07 min", "2 d 4 h". */
const char *ft_text_duration(double seconds, char out[TEXT_NUMBER_BYTES]);
/* "12.3 GiB". */
const char *ft_text_bytes(double bytes, char out[TEXT_NUMBER_BYTES]);

#endif
