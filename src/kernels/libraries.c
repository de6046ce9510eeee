/* The versions of the libraries that matrix products may come from. */
#include "internal.h"

const char *ft_kernels_libraries(void) {
  static char text[256];
  snprintf(text, sizeof text, "%s, %s", ft_onednn_version(), ft_blas_describe());
  return text;
}
