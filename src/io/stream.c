/* Writing large files past the page cache, or through it in windows. */
#define _GNU_SOURCE /* O_DIRECT, sync_file_range */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A write of the buffer keeps the disk busy for a millisecond or two; larger ones were not faster.
 * Addresses, lengths and offsets of direct writes are multiples of ALIGNMENT, which every disk
 * accepts. */
enum { BUFFER_BYTES = 4 << 20, ALIGNMENT = 4096, WINDOW_BYTES = 32 << 20 };

/* <linux/magic.h> does not know it. */
enum { XFS_MAGIC = 0x58465342 };

/* Filesystems of a disk of this machine. On those of a network a direct write waits for the server,
 * while the page cache sends many requests at a time. */
static bool writes_direct(int fd) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return false;
  long type = (long)info.f_type;
  return type == EXT4_SUPER_MAGIC || type == XFS_MAGIC;
}

static void set_direct(ft_stream *s, bool on) {
  int flags = fcntl(s->fd, F_GETFL);
  s->direct =
      flags >= 0 && fcntl(s->fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 && on;
}

ft_err ft_stream_open(ft_stream *s, const char *path) {
  ft_err err = FT_OK;
  *s = (ft_stream){.path = path, .fd = -1, .window_start = -1, .previous_start = -1};
  FT_TRY(ft_alloc(FT_MEM_IO, 2 * BUFFER_BYTES + ALIGNMENT, &s->memory));
  s->buffer = (char *)s->memory + (-(uintptr_t)s->memory & (ALIGNMENT - 1));
  s->other = s->buffer + BUFFER_BYTES;
  FT_TRY(ft_file_create(path, &s->fd));
  if (writes_direct(s->fd)) set_direct(s, true);
out:
  return err;
}

/* Starts writing a window back when it is full, and waits for the one before. Where the filesystem
 * cannot, the fsync at the end does all. */
static void pace(ft_stream *s, int64_t from, int64_t to) {
  if (s->window_start < 0) s->window_start = from;
  if (to - s->window_start < WINDOW_BYTES) return;
  (void)sync_file_range(s->fd, s->window_start, to - s->window_start, SYNC_FILE_RANGE_WRITE);
  if (s->previous_start >= 0) {
    int64_t bytes = s->window_start - s->previous_start;
    (void)sync_file_range(s->fd, s->previous_start, bytes,
                          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                              SYNC_FILE_RANGE_WAIT_AFTER);
    (void)posix_fadvise(s->fd, s->previous_start, bytes, POSIX_FADV_DONTNEED);
  }
  s->previous_start = s->window_start;
  s->window_start = to;
}

/* Waits for the direct write in progress. What it left is written, or its error named, by an
 * ordinary write. */
static ft_err wait_written(ft_stream *s) {
  ft_err err = FT_OK;
  if (!s->writing) return FT_OK;
  s->writing = false;
  const struct aiocb *list[] = {&s->request};
  int error;
  while ((error = aio_error(&s->request)) == EINPROGRESS)
    (void)aio_suspend(list, 1, NULL);
  int64_t put = FT_MAX(aio_return(&s->request), 0), bytes = (int64_t)s->request.aio_nbytes;
  /* a disk that wants more than ALIGNMENT, or a layer between that cannot */
  if (error == EINVAL) set_direct(s, false);
  if (put < bytes)
    FT_TRY(ft_file_pwrite(s->fd, s->path, s->other + put, (size_t)(bytes - put),
                          (int64_t)s->request.aio_offset + put));
out:
  return err;
}

/* Begins to write the buffer past the page cache, and goes on with the other. What is written is
 * rounded up: only the last buffer of a file is not full. */
static ft_err begin_direct(ft_stream *s) {
  ft_err err = FT_OK;
  int64_t bytes = ft_round_up(s->used, ALIGNMENT);
  memset(s->buffer + s->used, 0, (size_t)(bytes - s->used));
  FT_TRY(ft_file_may_write(s->path));
  s->request = (struct aiocb){.aio_fildes = s->fd,
                              .aio_buf = s->buffer,
                              .aio_nbytes = (size_t)bytes,
                              .aio_offset = s->start};
  if (aio_write(&s->request) != 0) FT_TRY(ft_file_fail(FT_ERR_IO, s->path, "begin to write"));
  s->writing = true;
  char *filled = s->buffer;
  s->buffer = s->other;
  s->other = filled;
out:
  return err;
}

/* Writes the buffer out; it is empty then, and begins where it ended. */
static ft_err put_buffer(ft_stream *s) {
  ft_err err = FT_OK;
  int64_t end = s->start + s->used;
  FT_TRY(wait_written(s));
  if (s->direct && s->used > 0) {
    FT_TRY(begin_direct(s));
  } else if (s->used > 0) {
    FT_TRY(ft_file_pwrite(s->fd, s->path, s->buffer, (size_t)s->used, s->start));
    pace(s, s->start, end);
  }
  s->start = end;
  s->used = 0;
out:
  return err;
}

/* Appends to the buffer, from `data` or zeros (NULL). */
static ft_err append(ft_stream *s, const char *data, int64_t bytes) {
  ft_err err = FT_OK;
  while (bytes > 0) {
    int64_t now = FT_MIN(bytes, BUFFER_BYTES - s->used);
    if (data)
      memcpy(s->buffer + s->used, data, (size_t)now);
    else
      memset(s->buffer + s->used, 0, (size_t)now);
    if (data) data += now;
    s->used += now;
    bytes -= now;
    if (s->used == BUFFER_BYTES) FT_TRY(put_buffer(s));
  }
out:
  return err;
}

ft_err ft_stream_write(ft_stream *s, const void *data, size_t bytes, int64_t offset) {
  ft_err err = FT_OK;
  int64_t end = s->start + s->used;
  FT_CHECK(offset >= end, FT_ERR_INTERNAL, "%s: byte %lld is written after byte %lld", s->path,
           (long long)offset, (long long)end);
  FT_TRY(append(s, NULL, offset - end));
  FT_TRY(append(s, data, (int64_t)bytes));
out:
  return err;
}

ft_err ft_stream_flush(ft_stream *s) {
  ft_err err = put_buffer(s);
  if (err == FT_OK) err = wait_written(s);
  set_direct(s, false);
  return err;
}

void ft_stream_close(ft_stream *s) {
  (void)wait_written(s);
  ft_file_close(&s->fd);
  ft_free(s->memory);
  s->memory = s->buffer = NULL;
}
