/* Small questions about texts. */
#include <string.h>

#include "ft/base.h"

bool ft_ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}
