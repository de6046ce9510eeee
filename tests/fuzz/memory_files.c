/* Files in memory, behind the linker's --wrap. The names of the calls are those that glibc gives
 * them for files of any size (_FILE_OFFSET_BITS=64, which meson sets). */
#include "memory_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { MAX_FILES = 16, MAX_OPEN = 64, FIRST_FD = 100000 };

typedef struct stored {
  const char *path;
  const char *data;
  size_t bytes;
} stored;

typedef struct handle {
  const stored *file; /* NULL: free */
  size_t at;
} handle;

static stored files[MAX_FILES];
static handle handles[MAX_OPEN];
static int num_files, num_open, only_memory;
static const char *missing;

void memory_file(const char *path, const void *data, size_t bytes) {
  int i = 0;
  while (i < num_files && strcmp(files[i].path, path) != 0)
    i++;
  if (i == MAX_FILES) abort();
  if (i == num_files) num_files++;
  files[i] = (stored){.path = path, .data = data, .bytes = bytes};
}

int memory_files_open(void) {
  return num_open;
}

void memory_files_only(int only) {
  only_memory = only;
}

void memory_files_missing(const char *name) {
  missing = name;
}

/* ---------------------------------------------------------------- finding */

static int is_missing(const char *path) {
  const char *slash = strrchr(path, '/');
  return missing && slash && strcmp(slash + 1, missing) == 0;
}

static int in_memory(const char *path) {
  if (strncmp(path, MEMORY_ROOT, strlen(MEMORY_ROOT)) == 0) {
    if (!strstr(path, "/../")) return 1;
    fprintf(stderr, "a reader leaves its directory: %s\n", path);
    abort();
  }
  if (!only_memory) return 0;
  if (is_missing(path)) return 1; /* nobody has put it there */
  fprintf(stderr, "a reader opens %s\n", path);
  abort();
}

static const stored *find(const char *path) {
  for (int i = 0; i < num_files; i++)
    if (files[i].data && strcmp(files[i].path, path) == 0) return &files[i];
  return NULL;
}

/* Whether a file lies below the path. */
static int is_directory(const char *path) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/')
    length--;
  for (int i = 0; i < num_files; i++)
    if (files[i].data && strncmp(files[i].path, path, length) == 0 && files[i].path[length] == '/')
      return 1;
  return 0;
}

static int describe(const char *path, struct stat *info) {
  const stored *file = find(path);
  memset(info, 0, sizeof *info);
  if (file) {
    info->st_mode = S_IFREG | 0600;
    info->st_size = (off_t)file->bytes;
    return 0;
  }
  if (is_directory(path)) {
    info->st_mode = S_IFDIR | 0700;
    return 0;
  }
  errno = ENOENT;
  return -1;
}

static handle *handle_of(int fd) {
  if (fd < FIRST_FD || fd >= FIRST_FD + MAX_OPEN) return NULL;
  handle *h = &handles[fd - FIRST_FD];
  if (h->file) return h;
  fprintf(stderr, "a reader uses a file that it has closed\n");
  abort();
}

static ssize_t copy(const stored *file, void *out, size_t bytes, off_t at) {
  if (at < 0) abort();
  if ((size_t)at >= file->bytes) return 0;
  size_t left = file->bytes - (size_t)at, now = bytes < left ? bytes : left;
  memcpy(out, file->data + at, now);
  return (ssize_t)now;
}

/* ---------------------------------------------------------------- the calls */

int __real_open64(const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_read(int fd, void *out, size_t bytes);
ssize_t __real_pread64(int fd, void *out, size_t bytes, off_t at);
int __real_fstat64(int fd, struct stat *info);
int __real_stat64(const char *path, struct stat *info);
int __real_lstat64(const char *path, struct stat *info);

int __wrap_open64(const char *path, int flags, ...);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *out, size_t bytes);
ssize_t __wrap_pread64(int fd, void *out, size_t bytes, off_t at);
int __wrap_fstat64(int fd, struct stat *info);
int __wrap_stat64(const char *path, struct stat *info);
int __wrap_lstat64(const char *path, struct stat *info);

int __wrap_open64(const char *path, int flags, ...) {
  if (!in_memory(path)) {
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    return __real_open64(path, flags, mode);
  }
  const stored *file = find(path);
  for (int i = 0; file && i < MAX_OPEN; i++) {
    if (handles[i].file) continue;
    handles[i] = (handle){.file = file};
    num_open++;
    return FIRST_FD + i;
  }
  errno = file ? EMFILE : is_directory(path) ? EISDIR : ENOENT;
  return -1;
}

int __wrap_close(int fd) {
  handle *h = handle_of(fd);
  if (!h) return __real_close(fd);
  h->file = NULL;
  num_open--;
  return 0;
}

ssize_t __wrap_read(int fd, void *out, size_t bytes) {
  handle *h = handle_of(fd);
  if (!h) return __real_read(fd, out, bytes);
  ssize_t got = copy(h->file, out, bytes, (off_t)h->at);
  h->at += (size_t)got;
  return got;
}

ssize_t __wrap_pread64(int fd, void *out, size_t bytes, off_t at) {
  const handle *h = handle_of(fd);
  return h ? copy(h->file, out, bytes, at) : __real_pread64(fd, out, bytes, at);
}

int __wrap_fstat64(int fd, struct stat *info) {
  const handle *h = handle_of(fd);
  return h ? describe(h->file->path, info) : __real_fstat64(fd, info);
}

int __wrap_stat64(const char *path, struct stat *info) {
  return in_memory(path) ? describe(path, info) : __real_stat64(path, info);
}

int __wrap_lstat64(const char *path, struct stat *info) {
  return in_memory(path) ? describe(path, info) : __real_lstat64(path, info);
}
