/* One safetensors file: its header, the ends of every tensor, its checksums. The checksum of the
 * header is made to fit, so that what lies behind it is reached. */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>

#include "fuzz.h"
#include "safetensors.h"

#define FILE_PATH MEMORY_ROOT "model.safetensors"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return 0;
}

/* Makes the header's own checksum fit, if it has one. */
static void fix_checksum(char *data, size_t bytes) {
  static const char name[] = "\"" FT_SAFETENSORS_HEADER_HASH "\":\"";
  uint64_t length;
  if (bytes < 8) return;
  memcpy(&length, data, 8);
  if (length > bytes - 8) return;
  char *digits = memmem(data + 8, length, name, sizeof name - 1), text[FT_SAFETENSORS_DIGITS + 1];
  if (!digits) return;
  digits += sizeof name - 1;
  if (data + 8 + length - digits < FT_SAFETENSORS_DIGITS) return;
  memset(digits, '0', FT_SAFETENSORS_DIGITS);
  snprintf(text, sizeof text, "%016llx", (unsigned long long)ft_hash64(data, 8 + length, 0));
  memcpy(digits, text, FT_SAFETENSORS_DIGITS);
}

static ft_err read_ends(ft_safetensors *st) {
  ft_err err = FT_OK;
  uint8_t element[4];
  for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    fuzz_demand(strcmp(ft_safetensors_find(st, t->name)->name, t->name) == 0, "names are found");
    if (!t->supported || t->elements == 0) continue;
    FT_TRY(ft_safetensors_read(st, t, 0, 1, element));
    FT_TRY(ft_safetensors_read(st, t, t->elements - 1, 1, element));
  }
out:
  return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ft_safetensors *st = NULL;
  bool found;
  char *copy = fuzz_copy(data, bytes);
  fix_checksum(copy, bytes);
  memory_file(FILE_PATH, copy, bytes);
  fuzz_begin();
  ft_err err = ft_safetensors_open(FILE_PATH, &st);
  if (err == FT_OK) err = read_ends(st);
  if (err == FT_OK) err = ft_safetensors_verify(st, 0, &found);
  ft_safetensors_close(st);
  fuzz_end(err, FT_ERR_DATA);
  free(copy);
  return 0;
}
