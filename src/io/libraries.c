/* The versions of the libraries that files are read and written with. */
#include <zlib.h>
#include <zstd.h>

#include "ft/io.h"

const char *ft_io_libraries(void) {
  static char text[96];
  snprintf(text, sizeof text, "cJSON %s, zlib %s, zstd %s", cJSON_Version(), zlibVersion(),
           ZSTD_versionString());
  return text;
}
