/* Inside io: a large file that is written once, from front to back, beside a training step. */
#ifndef FT_IO_STREAM_H
#define FT_IO_STREAM_H

#include <aio.h>

#include "file.h"

typedef struct ft_stream {
  const char *path; /* borrowed, for messages */
  int fd;           /* -1: not open */
  bool direct;      /* past the page cache */
  void *memory;     /* that the buffers lie in */
  char *buffer;     /* the one that is filled: the file's bytes from `start` on, `used` of them */
  char *other;      /* direct: the one that is written by `request`, if `writing` */
  int64_t start, used;
  struct aiocb request;
  bool writing;
  int64_t window_start, previous_start; /* not direct: parts sent to the disk; -1: none yet */
} ft_stream;

/* Creates (truncates) the file. Where its filesystem is known to do this well, data go to the disk
 * without the page cache, from one buffer while the other is filled: a third of the processor's
 * time of a copy into the cache, and the whole rate of the disk while other threads compute.
 * Elsewhere they go through the page cache in windows, each sent to the disk while the next is
 * filled, so that no more than two take memory from the run. `path` must outlive the stream.
 * Errors: FT_ERR_CREATE, FT_ERR_MEMORY. After an error, too, the stream wants ft_stream_close. */
ft_err ft_stream_open(ft_stream *s, const char *path);

/* Writes bytes at an offset not before what was written last; what lies between becomes zero.
 * Errors: FT_ERR_IO. */
ft_err ft_stream_write(ft_stream *s, const void *data, size_t bytes, int64_t offset);

/* Writes what the buffer still holds. s->fd is then an ordinary descriptor for reading and writing;
 * the file may have zeros behind the last byte that was written: set its size. Errors: FT_ERR_IO.
 */
ft_err ft_stream_flush(ft_stream *s);

/* Frees the buffer and closes the file, unless ft_file_sync_close(&s->fd, …) has. */
void ft_stream_close(ft_stream *s);

#endif
