/* What the tests of io share: a scratch directory, and files made from text. */
#ifndef FT_IO_TEST_H
#define FT_IO_TEST_H

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ft/io.h"
#include "ft_test.h"

/* A new directory for each test (cmocka setup and teardown). */
static char scratch[64];

static inline int make_scratch(void **state) {
  (void)state;
  strcpy(scratch, "/tmp/ft-io-XXXXXX");
  return mkdtemp(scratch) ? 0 : -1;
}

static inline int remove_scratch(void **state) {
  (void)state;
  return ft_remove_tree(scratch) == FT_OK ? 0 : -1;
}

/* Path of a file in the scratch directory; four of them are valid at once. */
static inline const char *in_scratch(const char *name) {
  static char paths[4][256];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
  return path;
}

static inline void write_bytes(const char *path, const void *data, size_t bytes) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, bytes, f), bytes);
  assert_int_equal(fclose(f), 0);
}

static inline int64_t file_size(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 ? info.st_size : -1;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_scratch, remove_scratch)

#endif
