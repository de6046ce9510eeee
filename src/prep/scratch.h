/* Arrays with a place for every document, however many there are: they lie in a file, so that the
 * system keeps of them in memory what it has room for. */
#ifndef FT_PREP_SCRATCH_H
#define FT_PREP_SCRATCH_H

#include "ft/base.h"

typedef struct ft_scratch {
  void *data; /* zeros at first; NULL: there is no byte */
  size_t bytes;
} ft_scratch;

/* `path` is made for a moment and has no name afterwards; room is reserved on the disk. Errors:
 * FT_ERR_CREATE, FT_ERR_IO (no room, too). */
ft_err ft_scratch_new(const char *path, int64_t count, size_t size, ft_scratch *out);
void ft_scratch_free(ft_scratch *scratch);

#endif
