#include "space.h"

#include <string.h>

#include "ft/base_utf8.h"

size_t ft_space_before(const char *text, size_t bytes) {
  size_t at = 0, length;
  while ((length = ft_utf8_space(text + at, bytes - at)) > 0)
    at += length;
  return at;
}

size_t ft_space_after(const char *text, size_t bytes) {
  size_t end = bytes;
  for (bool found = true; found;) {
    found = false;
    for (size_t length = 1; length <= 3 && length <= end && !found; length++)
      if (ft_utf8_space(text + end - length, length) == length) {
        end -= length;
        found = true;
      }
  }
  return bytes - end;
}

const char *ft_trimmed(const char *text, size_t *bytes) {
  size_t length = strlen(text), begin = ft_space_before(text, length);
  *bytes = length - begin - ft_space_after(text + begin, length - begin);
  return text + begin;
}
