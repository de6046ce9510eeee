/* A digest of a directory's weights that is quick to take: enough to tell copies apart that are not
 * of the same revision. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hf_internal.h"

/* Of each file: its beginning, with the names and shapes of tensors, its end, and pages evenly in
 * between. Revisions of a model differ in nearly every page. */
enum { PAGE_BYTES = 4096, NUM_PAGES = 32 };

static bool is_weights(const char *name) {
  size_t length = strlen(name);
  return length > 12 && strcmp(name + length - 12, ".safetensors") == 0;
}

static ft_err add_file(const char *dir, const char *name, uint64_t *digest) {
  ft_err err = FT_OK;
  char *path = NULL, page[PAGE_BYTES];
  int fd = -1;
  struct stat s;
  FT_TRY(ft_path_join(dir, name, &path));
  fd = open(path, O_RDONLY | O_CLOEXEC);
  FT_CHECK(fd >= 0 && fstat(fd, &s) == 0, FT_ERR_NOINPUT, "%s: cannot be opened", path);
  int64_t bytes = (int64_t)s.st_size, last = FT_MAX(bytes - PAGE_BYTES, 0);
  *digest = ft_hash64(name, strlen(name), *digest);
  *digest = ft_hash64(&bytes, sizeof bytes, *digest);
  for (int64_t i = 0; i <= NUM_PAGES; i++) {
    size_t count = (size_t)FT_MIN(bytes, (int64_t)PAGE_BYTES);
    FT_TRY(ft_pread_all(fd, path, page, count,
                        last / NUM_PAGES * i + last % NUM_PAGES * i / NUM_PAGES));
    *digest = ft_hash64(page, count, *digest);
  }
out:
  if (fd >= 0) close(fd);
  ft_free(path);
  return err;
}

ft_err ft_hf_weights_digest(const char *dir, uint64_t *digest) {
  ft_err err = FT_OK;
  char **names = NULL;
  int64_t num_names = 0;
  *digest = 0;
  FT_TRY(ft_list_dir(dir, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++)
    if (is_weights(names[i])) FT_TRY(add_file(dir, names[i], digest));
out:
  ft_free_names(names, num_names);
  return err;
}
