/* Whole files: reads that survive short reads and signals, and durable writes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

enum { PIECE_BYTES = 4 << 20 };

ft_err ft_file_fail(ft_err code, const char *path, const char *what) {
  return ft_fail(code, "%s: cannot %s: %s", path, what, strerror(errno));
}

static ft_err open_failed(const char *path) {
  if (errno == ENOENT || errno == ENOTDIR) return ft_fail(FT_ERR_NOINPUT, "%s: no such file", path);
  return ft_file_fail(FT_ERR_IO, path, "open");
}

ft_err ft_file_open(const char *path, int *fd, int64_t *bytes) {
  struct stat info;
  *bytes = 0;
  /* nonblocking, so that a FIFO is refused instead of waited for */
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (*fd < 0) return open_failed(path);
  ft_err err = FT_OK;
  if (fstat(*fd, &info) != 0)
    err = ft_file_fail(FT_ERR_IO, path, "stat");
  else if (!S_ISREG(info.st_mode))
    err = ft_fail(FT_ERR_DATA, "%s: is %s, a regular file was expected", path,
                  S_ISDIR(info.st_mode) ? "a directory" : "a special file");
  if (err != FT_OK)
    ft_file_close(fd);
  else
    *bytes = info.st_size;
  return err;
}

void ft_file_close(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* Appends the rest of an open file to *data, growing it, and adds a terminating zero. */
static ft_err read_rest(int fd, const char *path, size_t guess, size_t max_bytes, char **data,
                        size_t *bytes) {
  ft_err err = FT_OK;
  size_t capacity = FT_MIN(guess, max_bytes) + 2, used = 0;
  void *buffer = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, capacity, &buffer));
  for (;;) {
    if (used + 1 == capacity) {
      capacity = FT_MIN(capacity * 2, max_bytes + 2);
      FT_TRY(ft_realloc(FT_MEM_IO, capacity, &buffer));
    }
    ssize_t got = read(fd, (char *)buffer + used, capacity - 1 - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) FT_TRY(ft_file_fail(FT_ERR_IO, path, "read"));
    if (got == 0) break;
    used += (size_t)got;
    FT_CHECK(used <= max_bytes, FT_ERR_DATA, "%s: has more than the %zu bytes that are read here",
             path, max_bytes);
  }
  ((char *)buffer)[used] = 0;
  *data = buffer;
  *bytes = used;
  buffer = NULL;
out:
  ft_free(buffer);
  return err;
}

ft_err ft_read_file(const char *path, size_t max_bytes, char **data, size_t *bytes) {
  ft_err err = FT_OK;
  *data = NULL;
  *bytes = 0;
  int fd = -1;
  int64_t size;
  FT_TRY(ft_file_open(path, &fd, &size));
  FT_CHECK((size_t)size <= max_bytes, FT_ERR_DATA, "%s: has %lld bytes, at most %zu are read here",
           path, (long long)size, max_bytes);
  FT_TRY(read_rest(fd, path, (size_t)size, FT_MIN(max_bytes, SIZE_MAX / 4), data, bytes));
out:
  ft_file_close(&fd);
  return err;
}

ft_err ft_pread_all(int fd, const char *path, void *data, size_t bytes, int64_t offset) {
  size_t done = 0;
  while (done < bytes) {
    size_t piece = FT_MIN(bytes - done, (size_t)1 << 30);
    ssize_t got = pread(fd, (char *)data + done, piece, offset + (int64_t)done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ft_file_fail(FT_ERR_IO, path, "read");
    if (got == 0)
      return ft_fail(FT_ERR_DATA,
                     "%s: ends at byte %lld, where %zu bytes from byte %lld on were expected", path,
                     (long long)(offset + (int64_t)done), bytes, (long long)offset);
    done += (size_t)got;
  }
  return FT_OK;
}

/* A test may make a step of writing fail as the filesystem would (FT_FAULT=POINT=fail). */
static bool made_to_fail(const char *point, int error) {
  if (!ft_fault(point).fail) return false;
  errno = error;
  return true;
}

ft_err ft_file_temporary(const char *path, char **out) {
  return ft_format(out, "%s.tmp", path);
}

ft_err ft_file_create(const char *path, int *fd) {
  *fd = -1;
  if (!made_to_fail("file.create", EROFS))
    *fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  return *fd < 0 ? ft_file_fail(FT_ERR_CREATE, path, "create") : FT_OK;
}

ft_err ft_file_may_write(const char *path) {
  return made_to_fail("file.write", ENOSPC) ? ft_file_fail(FT_ERR_IO, path, "write") : FT_OK;
}

ft_err ft_file_pwrite(int fd, const char *path, const void *data, size_t bytes, int64_t offset) {
  size_t done = 0;
  ft_err err = ft_file_may_write(path);
  if (err != FT_OK) return err;
  while (done < bytes) {
    size_t piece = FT_MIN(bytes - done, (size_t)1 << 30);
    ssize_t put = pwrite(fd, (const char *)data + done, piece, offset + (int64_t)done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return ft_file_fail(FT_ERR_IO, path, "write");
    done += (size_t)put;
  }
  return FT_OK;
}

ft_err ft_file_sync_close(int *fd, const char *path) {
  ft_err err = FT_OK;
  if (made_to_fail("file.fsync", EIO) || fsync(*fd) != 0)
    err = ft_file_fail(FT_ERR_IO, path, "fsync");
  /* some filesystems report a failed write only when the file is closed */
  if (close(*fd) != 0 && err == FT_OK) err = ft_file_fail(FT_ERR_IO, path, "close");
  *fd = -1;
  return err;
}

ft_err ft_file_sync_parent(const char *path) {
  ft_err err = FT_OK;
  char *dir = NULL;
  int fd = -1;
  FT_TRY(ft_strdup(path, &dir));
  char *slash = strrchr(dir, '/');
  if (!slash)
    strcpy(dir, "."); /* path is not empty, so there is room */
  else
    slash[slash == dir ? 1 : 0] = 0;
  fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) FT_TRY(ft_file_fail(FT_ERR_IO, dir, "open"));
  if (made_to_fail("file.fsync_dir", EIO) || fsync(fd) != 0)
    FT_TRY(ft_file_fail(FT_ERR_IO, dir, "fsync"));
out:
  ft_file_close(&fd);
  ft_free(dir);
  return err;
}

ft_err ft_commit_file(const char *temporary, const char *path) {
  ft_err err = FT_OK;
  int fd = open(temporary, O_RDONLY | O_CLOEXEC);
  if (fd < 0) FT_TRY(ft_file_fail(FT_ERR_IO, temporary, "open"));
  FT_TRY(ft_file_sync_close(&fd, temporary));
  if (made_to_fail("file.rename", EIO) || rename(temporary, path) != 0)
    FT_TRY(ft_file_fail(FT_ERR_IO, path, "rename the temporary file to it"));
  FT_TRY(ft_file_sync_parent(path));
out:
  ft_file_close(&fd);
  return err;
}

ft_err ft_write_file(const char *path, const void *data, size_t bytes) {
  ft_err err = FT_OK;
  char *temporary = NULL;
  int fd = -1;
  bool created = false;
  FT_TRY(ft_file_temporary(path, &temporary));
  FT_TRY(ft_file_create(temporary, &fd));
  created = true;
  FT_TRY(ft_file_pwrite(fd, temporary, data, bytes, 0));
  FT_TRY(ft_file_sync_close(&fd, temporary));
  FT_TRY(ft_commit_file(temporary, path));
  created = false;
out:
  ft_file_close(&fd);
  if (created) unlink(temporary);
  ft_free(temporary);
  return err;
}

ft_err ft_file_copy_range(int from, const char *from_path, int64_t from_offset, int to,
                          const char *to_path, int64_t to_offset, int64_t bytes) {
  ft_err err = FT_OK;
  void *buffer = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, (size_t)FT_MIN(bytes, PIECE_BYTES), &buffer));
  for (int64_t done = 0; done < bytes;) {
    size_t piece = (size_t)FT_MIN(bytes - done, PIECE_BYTES);
    FT_TRY(ft_pread_all(from, from_path, buffer, piece, from_offset + done));
    FT_TRY(ft_file_pwrite(to, to_path, buffer, piece, to_offset + done));
    done += (int64_t)piece;
  }
out:
  ft_free(buffer);
  return err;
}

ft_err ft_copy_file(const char *from, const char *to) {
  ft_err err = FT_OK;
  char *temporary = NULL;
  int in = -1, fd = -1;
  bool created = false;
  int64_t bytes;
  FT_TRY(ft_file_open(from, &in, &bytes));
  FT_TRY(ft_file_temporary(to, &temporary));
  FT_TRY(ft_file_create(temporary, &fd));
  created = true;
  FT_TRY(ft_file_copy_range(in, from, 0, fd, temporary, 0, bytes));
  FT_TRY(ft_file_sync_close(&fd, temporary));
  FT_TRY(ft_commit_file(temporary, to));
  created = false;
out:
  ft_file_close(&in);
  ft_file_close(&fd);
  if (created) unlink(temporary);
  ft_free(temporary);
  return err;
}

ft_err ft_file_hash(int fd, const char *path, int64_t at, int64_t end, ft_hash *hash) {
  const int64_t piece = 1 << 20;
  ft_err err = FT_OK;
  void *buffer = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, (size_t)piece, &buffer));
  for (; at < end; at += piece) {
    size_t bytes = (size_t)FT_MIN(end - at, piece);
    FT_TRY(ft_pread_all(fd, path, buffer, bytes, at));
    ft_hash_add(hash, buffer, bytes);
  }
out:
  ft_free(buffer);
  return err;
}
