/* Inside io: writing HDF5 files. The library makes the metadata; the bytes of datasets are
 * contiguous and go to their places by pwrite. Reading: h5_read.h. */
#ifndef FT_IO_HDF5_H
#define FT_IO_HDF5_H

#include <hdf5.h>

#include "h5_read.h"

/* Every use of HDF5 stands between these two: the library is not safe to use from several threads
 * at once, and prints errors unless told not to. */
void ft_h5_lock(void);
void ft_h5_unlock(void);

/* Records "PATH: cannot WHAT: HDF5's reason" and returns `code`. */
ft_err ft_h5_fail(ft_err code, const char *path, const char *what);

/* Creates a file. latest: HDF5's newest format, whose metadata carry checksums. */
ft_err ft_h5_create(const char *path, bool latest, hid_t *file);
/* Closes the file and all that is open in it; *file becomes -1. */
ft_err ft_h5_close(hid_t *file, const char *path);

/* Sets a text attribute of variable length. */
ft_err ft_h5_set_text(hid_t object, const char *path, const char *name, const char *text);
/* Creates a one-dimensional attribute (count < 0: a scalar) and writes it; type: in file and
 * memory. */
ft_err ft_h5_set_array(hid_t object, const char *path, const char *name, hid_t type, int64_t count,
                       const void *values);

/* Creates a dataset whose bytes are allocated and not written. *place tells where they go. With
 * `keep` not NULL the dataset stays open as *keep. */
ft_err ft_h5_new_dataset(hid_t file, const char *path, const char *name, hid_t type, int64_t count,
                         ft_h5_place *place, hid_t *keep);
#endif
