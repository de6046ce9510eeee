/* Inside io: files opened, read and written with errors that name the path. */
#ifndef FT_IO_FILE_H
#define FT_IO_FILE_H

#include "ft/io.h"

/* Records "PATH: cannot WHAT: errno's text" with `code` and returns it. */
ft_err ft_file_fail(ft_err code, const char *path, const char *what);

/* Opens a regular file for reading. *bytes: its size. Errors: FT_ERR_NOINPUT, FT_ERR_DATA (not a
 * regular file), FT_ERR_IO. */
ft_err ft_file_open(const char *path, int *fd, int64_t *bytes);

/* *out = the temporary name beside PATH under which it is written; free with ft_free. */
ft_err ft_file_temporary(const char *path, char **out);
/* Creates (truncates) a file for writing. Errors: FT_ERR_CREATE. */
ft_err ft_file_create(const char *path, int *fd);
/* A test may make the next write fail here (FT_FAULT=file.write=fail). Called by ft_file_pwrite. */
ft_err ft_file_may_write(const char *path);
/* Writes all bytes at an offset, however many calls it takes. Errors: FT_ERR_IO. */
ft_err ft_file_pwrite(int fd, const char *path, const void *data, size_t bytes, int64_t offset);
/* fsync and close; *fd becomes -1. Errors: FT_ERR_IO. */
ft_err ft_file_sync_close(int *fd, const char *path);
/* Closes what is open; *fd becomes -1. For files that were read and for the way out of an error. */
void ft_file_close(int *fd);
/* fsync of the directory that holds `path`, which makes a new name there last. */
ft_err ft_file_sync_parent(const char *path);
/* Copies bytes from one open file to another in bounded pieces. */
ft_err ft_file_copy_range(int from, const char *from_path, int64_t from_offset, int to,
                          const char *to_path, int64_t to_offset, int64_t bytes);
/* Goes on with a hash over the bytes from `at` to `end` of an open file. */
ft_err ft_file_hash(int fd, const char *path, int64_t at, int64_t end, ft_hash *hash);

#endif
