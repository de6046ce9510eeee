/* Inside io: what the process that reads HDF5 files of others does. */
#ifndef FT_IO_H5_FOREIGN_H
#define FT_IO_H5_FOREIGN_H

#include "ft/io_pretokenized.h"

/* Each document goes to `out` as this and its ids [count] and mask [count]; count -1 is the end, -2
 * an error, whose message of `bytes` follows. */
typedef struct ft_h5_frame {
  int64_t count;
  int32_t has_mask, bytes;
} ft_h5_frame;

/* Longest document, in tokens. */
enum { FT_H5_MAX_DOCUMENT = 1 << 28 };

/* Reads all documents of a file and writes them to `out`. Errors are written there as well. */
void ft_h5_read_foreign(const char *path, int64_t pad, FILE *out);

#endif
