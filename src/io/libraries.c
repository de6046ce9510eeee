/* The version of the library that JSON trees are. */
#include "ft/io.h"

const char *ft_io_libraries(void) {
  static char text[48];
  snprintf(text, sizeof text, "cJSON %s", cJSON_Version());
  return text;
}
