/* The versions of the libraries that ranks talk and find their cores by. */
#include <hwloc.h>
#include <string.h>

#include "comm_internal.h"

/* "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, …": up to the first comma. */
const char *ft_comm_libraries(void) {
  static char text[160];
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  unsigned hwloc = hwloc_get_api_version();
  MPI_Get_library_version(mpi, &length);
  mpi[strcspn(mpi, ",\n")] = 0;
  snprintf(text, sizeof text, "%.100s, hwloc %u.%u.%u", mpi, hwloc >> 16, hwloc >> 8 & 255,
           hwloc & 255);
  return text;
}
