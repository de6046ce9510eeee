#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_KEPT_BYTES = 64 << 20 };

struct ft_rows {
  char *path;
  int fd;
  char *kept; /* [kept_bytes of room] not written yet, from a row's start or from where one tore */
  size_t kept_bytes, room;
  bool late; /* it was said that rows are kept */
};

ft_err ft_rows_open(const char *path, ft_rows **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(ft_rows), &memory));
  ft_rows *r = memory;
  r->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  FT_CHECK(r->fd >= 0, FT_ERR_CREATE, "cannot open %s: %s", path, strerror(errno));
  FT_TRY(ft_strdup(path, &r->path));
  *out = r;
  memory = NULL;
out:
  ft_rows_close(memory);
  return err;
}

static ft_err keep(ft_rows *r, const char *row) {
  ft_err err = FT_OK;
  size_t length = strlen(row), wanted = r->kept_bytes + length + 1;
  FT_CHECK(wanted <= MOST_KEPT_BYTES, FT_ERR_IO,
           "%s: cannot be written, and no more rows are kept in memory: make room on its disk",
           r->path);
  FT_TRY(ft_grow_bytes(FT_MEM_OTHER, wanted, &r->room, (void **)&r->kept));
  memcpy(r->kept + r->kept_bytes, row, length);
  r->kept[r->kept_bytes + length] = '\n';
  r->kept_bytes = wanted;
out:
  return err;
}

/* Whether the name still leads to the file that is open: editors and copies that are put back
 * replace files, and handles of network file systems go stale when a server restarts. */
static bool is_named(const ft_rows *r) {
  struct stat named, opened;
  return stat(r->path, &named) == 0 && fstat(r->fd, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

static bool open_again(ft_rows *r) {
  int fd = open(r->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return false;
  close(r->fd);
  r->fd = fd;
  ft_log(FT_LOG_WARNING, "%s: is another file than was written to, or was lost: opened again",
         r->path);
  return true;
}

/* Takes half a row off the end of the file again: it is written as a whole later. Returns how much
 * of what is kept is written. */
static size_t whole_rows(const ft_rows *r, size_t done) {
  size_t whole = done;
  struct stat s;
  while (whole > 0 && r->kept[whole - 1] != '\n')
    whole--;
  bool cut = whole < done && fstat(r->fd, &s) == 0 &&
             ftruncate(r->fd, s.st_size - (off_t)(done - whole)) == 0;
  return cut ? whole : done;
}

/* Writes what can be written; errno says why not all of it. */
static bool write_kept(ft_rows *r) {
  size_t done = 0;
  bool good = is_named(r) || open_again(r), again = true;
  if (ft_fault("metrics.write").fail) {
    errno = ENOSPC;
    good = false;
  }
  while (good && done < r->kept_bytes) {
    ssize_t put = write(r->fd, r->kept + done, r->kept_bytes - done);
    if (put > 0)
      done += (size_t)put;
    else if (put < 0 && errno == ESTALE && again) {
      again = false;
      good = open_again(r);
    } else
      good = put < 0 && errno == EINTR;
  }
  int cause = errno;
  if (!good) done = whole_rows(r, done);
  r->kept_bytes -= done;
  if (r->kept_bytes > 0) memmove(r->kept, r->kept + done, r->kept_bytes);
  errno = cause;
  return good;
}

ft_err ft_rows_add(ft_rows *r, const char *row) {
  ft_err err = keep(r, row);
  if (err != FT_OK) return err;
  bool good = write_kept(r);
  if (!good && !r->late)
    ft_log(FT_LOG_ERROR, "%s: cannot write: %s; rows are kept in memory until it can", r->path,
           strerror(errno));
  if (good && r->late) ft_log(FT_LOG_INFO, "%s: can be written again; no row is lost", r->path);
  r->late = !good;
  return FT_OK;
}

ft_err ft_rows_sync(ft_rows *r) {
  if (!write_kept(r)) return ft_fail(FT_ERR_IO, "%s: cannot write: %s", r->path, strerror(errno));
  bool synced = fdatasync(r->fd) == 0;
  if (!synced && errno == ESTALE) synced = open_again(r) && fdatasync(r->fd) == 0;
  if (!synced) return ft_fail(FT_ERR_IO, "%s: cannot fsync: %s", r->path, strerror(errno));
  return FT_OK;
}

const char *ft_rows_kept(const ft_rows *r, size_t *bytes) {
  *bytes = r->kept_bytes;
  return r->kept;
}

void ft_rows_close(ft_rows *r) {
  if (!r) return;
  if (r->fd >= 0) {
    if (r->kept_bytes > 0 && !write_kept(r))
      ft_log(FT_LOG_ERROR, "%s: its last %zu bytes could not be written: %s", r->path,
             r->kept_bytes, strerror(errno));
    close(r->fd);
  }
  ft_free(r->kept);
  ft_free(r->path);
  ft_free(r);
}
