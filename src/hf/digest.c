/* A digest of a directory's weights that is quick to take: enough to tell copies apart that are not
 * of the same revision. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hf_internal.h"

/* Of each file: its beginning, with the names and shapes of tensors, its end, and pages evenly in
 * between. Revisions of a model differ in nearly every page. */
enum { PAGE_BYTES = 4096, NUM_PAGES = 32, CHUNK_BYTES = 8 << 20 };

static bool is_weights(const char *name) {
  size_t length = strlen(name);
  return length > 12 && strcmp(name + length - 12, ".safetensors") == 0;
}

/* One file. *out: what it adds, or the digest so far, which is changed. */
typedef ft_err visit(int fd, const char *path, const struct stat *s, void *out);

/* Calls `one` with every file of weights of a directory, in order of names. */
static ft_err visit_weights(const char *dir, visit *one, void *out) {
  ft_err err = FT_OK;
  char **names = NULL, *path = NULL;
  int64_t num_names = 0;
  int fd = -1;
  struct stat s;
  FT_TRY(ft_list_dir(dir, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++) {
    if (!is_weights(names[i])) continue;
    ft_free(path);
    FT_TRY(ft_path_join(dir, names[i], &path));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    FT_CHECK(fd >= 0 && fstat(fd, &s) == 0, FT_ERR_NOINPUT, "%s: cannot be opened", path);
    FT_TRY(one(fd, path, &s, out));
    close(fd);
    fd = -1;
  }
out:
  if (fd >= 0) close(fd);
  ft_free(path);
  ft_free_names(names, num_names);
  return err;
}

static const char *name_of(const char *path) {
  return strrchr(path, '/') + 1;
}

/* ---------------------------------------------------------------- some pages */

static ft_err add_pages(int fd, const char *path, const struct stat *s, void *out) {
  ft_err err = FT_OK;
  uint64_t *digest = out;
  char page[PAGE_BYTES];
  int64_t bytes = (int64_t)s->st_size, last = FT_MAX(bytes - PAGE_BYTES, 0);
  *digest = ft_hash64(name_of(path), strlen(name_of(path)), *digest);
  *digest = ft_hash64(&bytes, sizeof bytes, *digest);
  for (int64_t i = 0; i <= NUM_PAGES; i++) {
    size_t count = (size_t)FT_MIN(bytes, (int64_t)PAGE_BYTES);
    FT_TRY(ft_pread_all(fd, path, page, count,
                        last / NUM_PAGES * i + last % NUM_PAGES * i / NUM_PAGES));
    *digest = ft_hash64(page, count, *digest);
  }
out:
  return err;
}

ft_err ft_hf_weights_digest(const char *dir, uint64_t *digest) {
  *digest = 0;
  return visit_weights(dir, add_pages, digest);
}

/* ---------------------------------------------------------------- names, sizes, times */

static ft_err add_stamp(int fd, const char *path, const struct stat *s, void *out) {
  uint64_t *stamp = out;
  int64_t facts[3] = {(int64_t)s->st_size, (int64_t)s->st_mtim.tv_sec, s->st_mtim.tv_nsec};
  (void)fd;
  *stamp = ft_hash64(name_of(path), strlen(name_of(path)), *stamp);
  *stamp = ft_hash64(facts, sizeof facts, *stamp);
  return FT_OK;
}

ft_err ft_hf_weights_stamp(const char *dir, uint64_t *stamp) {
  *stamp = 0;
  return visit_weights(dir, add_stamp, stamp);
}

/* ---------------------------------------------------------------- every byte */

typedef struct content {
  int part, parts;
  void *chunk; /* [CHUNK_BYTES] */
  uint64_t sum;
} content;

static ft_err add_content(int fd, const char *path, const struct stat *s, void *out) {
  ft_err err = FT_OK;
  content *c = out;
  uint64_t name = ft_hash64(name_of(path), strlen(name_of(path)), 0);
  for (int64_t i = 0; i * CHUNK_BYTES < (int64_t)s->st_size; i++) {
    if (i % c->parts != c->part) continue;
    size_t count = (size_t)FT_MIN((int64_t)s->st_size - i * CHUNK_BYTES, (int64_t)CHUNK_BYTES);
    FT_TRY(ft_pread_all(fd, path, c->chunk, count, i * CHUNK_BYTES));
    c->sum += ft_hash64(c->chunk, count, name + (uint64_t)i);
  }
out:
  return err;
}

ft_err ft_hf_weights_content(const char *dir, int part, int parts, uint64_t *digest) {
  content c = {.part = part, .parts = parts};
  ft_err err = ft_alloc(FT_MEM_IO, CHUNK_BYTES, &c.chunk);
  if (err == FT_OK) err = visit_weights(dir, add_content, &c);
  ft_free(c.chunk);
  *digest = c.sum;
  return err;
}
