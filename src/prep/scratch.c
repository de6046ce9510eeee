/* Arrays in files. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

ft_err ft_scratch_new(const char *path, int64_t count, size_t size, ft_scratch *out) {
  ft_err err = FT_OK;
  *out = (ft_scratch){.bytes = (size_t)count * size};
  if (out->bytes == 0) return FT_OK;
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  FT_CHECK(fd >= 0, FT_ERR_CREATE, "%s: cannot be made: %s", path, strerror(errno));
  (void)unlink(path);
  int failed = posix_fallocate(fd, 0, (off_t)out->bytes);
  FT_CHECK(failed == 0, FT_ERR_IO, "%s: no room for its %zu bytes: %s", path, out->bytes,
           strerror(failed));
  void *data = mmap(NULL, out->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  FT_CHECK(data != MAP_FAILED, FT_ERR_IO, "%s: cannot be mapped: %s", path, strerror(errno));
  out->data = data;
out:
  if (fd >= 0) close(fd);
  return err;
}

void ft_scratch_free(ft_scratch *scratch) {
  if (scratch->data) munmap(scratch->data, scratch->bytes);
  *scratch = (ft_scratch){0};
}
