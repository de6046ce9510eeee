/* Inside io: what the reader and the writer of slice files share. */
#ifndef FT_IO_SLICES_H
#define FT_IO_SLICES_H

#include "ft/io.h"

#define FT_SLICES_FORMAT "ftrun-slices"
#define FT_SLICES_HASHES ".xxh3" /* ends the name of the dataset of hashes */
enum { FT_SLICES_VERSION = 1, FT_SLICES_MAX_RANGES = 8000 /* an attribute holds 64 KiB */ };

/* Bytes of a range's entries. */
static inline int64_t ft_slices_range_bytes(const ft_slice_dataset *d, int64_t elements) {
  return elements / d->group_elements * (int64_t)d->element_bytes;
}

/* As ft_slices_metadata_hash, of an open file of `bytes` bytes. */
ft_err ft_slices_hash_metadata(int fd, const char *path, int64_t bytes,
                               const ft_slice_dataset *datasets, int64_t count, uint64_t *hash);

#endif
