/* Whether a run directory takes what a run will write there, found out by doing it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "internal.h"

enum { WRITTEN_BYTES = 1 << 16 };

static ft_err no_room(const ft_run *run, int fd, int64_t bytes, int error) {
  struct statvfs info;
  double room = fstatvfs(fd, &info) == 0 ? (double)info.f_bavail * (double)info.f_frsize : 0;
  return ft_fail(FT_ERR_IO,
                 "run.dir: %s: %s: the run's checkpoints need %.3f GiB and %.3f GiB are free: make "
                 "room there, lower checkpoint.keep, or choose another run.dir",
                 run->dir, strerror(error), (double)bytes / 1073741824.0, room / 1073741824.0);
}

/* Reserves the bytes, so that quotas count too; where a filesystem cannot reserve, what it says is
 * free has to do. */
static ft_err reserve(const ft_run *run, int fd, int64_t bytes) {
  struct statvfs info;
  if (bytes <= WRITTEN_BYTES || fallocate(fd, 0, 0, bytes) == 0) return FT_OK;
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) return no_room(run, fd, bytes, errno);
  if (fstatvfs(fd, &info) != 0) return FT_OK;
  if ((double)info.f_bavail * (double)info.f_frsize >= (double)bytes) return FT_OK;
  return no_room(run, fd, bytes, ENOSPC);
}

static ft_err write_some(const char *path, int fd) {
  static const char data[WRITTEN_BYTES];
  ssize_t put = write(fd, data, sizeof data);
  if (put == (ssize_t)sizeof data && fsync(fd) == 0) return FT_OK;
  return ft_fail(FT_ERR_IO, "run.dir: %s: cannot write: %s", path,
                 put >= 0 && put < (ssize_t)sizeof data ? strerror(ENOSPC) : strerror(errno));
}

ft_err ft_run_check_room(const ft_run *run, int64_t bytes) {
  ft_err err = FT_OK;
  char *path = NULL;
  int fd = -1;
  FT_TRY(ft_format(&path, "%s/.room-%ld", run->dir, (long)getpid()));
  fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  FT_CHECK(fd >= 0, FT_ERR_CREATE, "run.dir: %s: cannot create: %s", path, strerror(errno));
  FT_TRY(write_some(path, fd));
  FT_TRY(reserve(run, fd, bytes));
out:
  if (fd >= 0) {
    close(fd);
    (void)unlink(path);
  }
  ft_free(path);
  return err;
}
