/* What the fuzz targets share. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_BYTES = 32 << 20 };

static size_t first_bytes, held_bytes;
static bool keeps;

void fuzz_demand(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "not so: %s (last error: %s)\n", what, ft_error_message());
  abort();
}

void fuzz_keeps_memory(void) {
  keeps = true;
}

void fuzz_begin(void) {
  held_bytes = ft_mem_total().current_bytes;
  if (first_bytes == 0) first_bytes = held_bytes + 1;
  memory_files_only(1);
}

void fuzz_end(ft_err err, ft_err refusal) {
  memory_files_only(0);
  if (getenv("FUZZ_SAY")) fprintf(stderr, "%s\n", err ? ft_error_message() : "accepted");
  fuzz_demand(err == FT_OK || err == refusal, "input is accepted or refused as bad");
  fuzz_demand(err == FT_OK || ft_error_message()[0], "a refusal says why");
  fuzz_demand(memory_files_open() == 0, "every file is closed");
  fuzz_demand(keeps || ft_mem_total().current_bytes == held_bytes, "all memory is given back");
  fuzz_demand(ft_mem_total().peak_bytes <= first_bytes + MOST_BYTES, "memory stays small");
}

char *fuzz_copy(const uint8_t *data, size_t bytes) {
  char *copy = malloc(bytes + 1);
  if (!copy) abort();
  if (bytes > 0) memcpy(copy, data, bytes);
  copy[bytes] = 0;
  return copy;
}

void fuzz_file_of_part(const char *path, const uint8_t *data, size_t bytes, int i) {
  const uint8_t *at = data, *end = data + bytes;
  for (; i > 0 && at; i--) {
    const uint8_t *zero = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
    at = zero ? zero + 1 : NULL;
  }
  const uint8_t *zero = at && at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
  memory_file(path, at, at ? (size_t)((zero ? zero : end) - at) : 0);
}
