/* Inside io: HDF5 with this library's errors. HDF5 is used for metadata only: the bytes of datasets
 * are contiguous and go by pread and pwrite. */
#ifndef FT_IO_HDF5_H
#define FT_IO_HDF5_H

#include <hdf5.h>

#include "ft/io.h"

/* Every use of HDF5 stands between these two: the library is not safe to use from several threads
 * at once, and prints errors unless told not to. */
void ft_h5_lock(void);
void ft_h5_unlock(void);

/* Records "PATH: cannot WHAT: HDF5's reason" and returns `code`. */
ft_err ft_h5_fail(ft_err code, const char *path, const char *what);

/* Opens a file for reading. Errors: FT_ERR_DATA. */
ft_err ft_h5_open(const char *path, hid_t *file);
/* Creates a file. latest: HDF5's newest format, whose metadata carry checksums. */
ft_err ft_h5_create(const char *path, bool latest, hid_t *file);
/* Closes the file and all that is open in it; *file becomes -1. */
ft_err ft_h5_close(hid_t *file, const char *path);

/* A text attribute of an object, fixed or variable in length. Errors: FT_ERR_DATA. */
ft_err ft_h5_get_text(hid_t object, const char *path, const char *name, char *out, size_t room);
ft_err ft_h5_set_text(hid_t object, const char *path, const char *name, const char *text);
/* An integer attribute of any width that is not negative and at most `max`. */
ft_err ft_h5_get_number(hid_t object, const char *path, const char *name, uint64_t max,
                        uint64_t *out);
/* Creates a one-dimensional attribute (count < 0: a scalar) and writes it; type: in file and
 * memory. */
ft_err ft_h5_set_array(hid_t object, const char *path, const char *name, hid_t type, int64_t count,
                       const void *values);

/* Where a one-dimensional contiguous dataset lies. */
typedef struct ft_h5_place {
  int64_t count;  /* elements */
  int64_t offset; /* file offset of the first; 0 when there are none */
} ft_h5_place;
/* Creates a dataset whose bytes are allocated and not written. *place tells where they go. With
 * `keep` not NULL the dataset stays open as *keep. */
ft_err ft_h5_new_dataset(hid_t file, const char *path, const char *name, hid_t type, int64_t count,
                         ft_h5_place *place, hid_t *keep);
/* Checks an open dataset: one-dimensional, of that type, contiguous, all inside the file's bytes.
 */
ft_err ft_h5_check_dataset(hid_t dataset, const char *path, const char *name, hid_t type,
                           int64_t file_bytes, ft_h5_place *place);
/* Opens a dataset that lies in this file itself (no soft or external link). */
ft_err ft_h5_open_dataset(hid_t group, const char *path, const char *name, hid_t *dataset);

#endif
