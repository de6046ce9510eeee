/* Small questions about texts. */
#include <string.h>

#include "ft/base.h"

size_t ft_edit_distance(const char *a, const char *b) {
  size_t row[128], n = strlen(b);
  if (n >= FT_ARRAY_SIZE(row)) return 1000;
  for (size_t j = 0; j <= n; j++)
    row[j] = j;
  for (size_t i = 1; a[i - 1]; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= n; j++) {
      size_t above = row[j], change = diagonal + (a[i - 1] != b[j - 1]);
      row[j] = FT_MIN(FT_MIN(above, row[j - 1]) + 1, change);
      diagonal = above;
    }
  }
  return row[n];
}

bool ft_ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

int ft_hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
