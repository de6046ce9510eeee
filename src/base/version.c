/* Who this is: the program's version, and those of libraries. */
#include <xxhash.h>

#include "ft/base.h"

static const char *program = "unknown";

void ft_set_version(const char *text) {
  program = text;
}

const char *ft_version(void) {
  return program;
}

const char *ft_base_libraries(void) {
  static char text[32];
  unsigned n = XXH_versionNumber();
  snprintf(text, sizeof text, "xxHash %u.%u.%u", n / 10000, n / 100 % 100, n % 100);
  return text;
}
