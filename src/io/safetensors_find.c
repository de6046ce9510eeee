/* Small things that all files of safetensors ask for: a tensor by its name, a file by its number,
 * the digits of a checksum. */
#include <string.h>

#include "safetensors.h"

const ft_safetensor *ft_safetensors_find(const ft_safetensors *st, const char *name) {
  int64_t low = 0, high = st->count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (strcmp(st->entries[middle].tensor.name, name) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  bool found = low < st->count && strcmp(st->entries[low].tensor.name, name) == 0;
  return found ? &st->entries[low].tensor : NULL;
}

ft_safetensors_source *ft_safetensors_source_at(ft_safetensors *st, int64_t i) {
  FT_ASSERT(i >= 0 && i < st->num_files);
  return &st->files[i];
}

bool ft_safetensors_read_hash(const char *text, uint64_t *hash) {
  *hash = 0;
  for (int i = 0; i < FT_SAFETENSORS_DIGITS; i++) {
    char c = text[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    *hash = *hash << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return true;
}
