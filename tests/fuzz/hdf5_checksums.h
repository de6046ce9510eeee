/* Makes the checksums of HDF5's newer structures fit what an input has in them: a mutation would
 * otherwise be refused there and get no further. */
#ifndef HDF5_CHECKSUMS_H
#define HDF5_CHECKSUMS_H

#include <stddef.h>

void hdf5_fix_checksums(char *data, size_t bytes);

#endif
