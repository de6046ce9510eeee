#include "hdf5_checksums.h"

#include "h5_read.h"

static void fix(char *block, size_t bytes) {
  uint32_t sum = ft_h5_checksum((const uint8_t *)block, bytes - 4);
  memcpy(block + bytes - 4, &sum, 4);
}

/* The bytes of an object header with its checksum; more than `left` if it has no end there. */
static size_t header_bytes(const char *block, size_t left) {
  ft_span s = {.at = (const uint8_t *)block + 5, .left = left - 5};
  int flags = (int)ft_span_number(&s, 1);
  ft_span_take(&s, (flags & 0x20 ? 16u : 0u) + (flags & 0x10 ? 4u : 0u));
  uint64_t bytes = ft_span_number(&s, (size_t)1 << (flags & 3));
  return s.bad || bytes > s.left ? left + 1 : left - s.left + (size_t)bytes + 4;
}

void hdf5_fix_checksums(char *data, size_t bytes) {
  if (bytes >= 48 && data[8] >= 2) fix(data, 48);
  for (size_t at = 0; at + 16 <= bytes; at++) {
    const char *next = memchr(data + at, 'O', bytes - at - 15);
    if (!next) return;
    at = (size_t)(next - data);
    if (memcmp(next, "OHDR", 4) != 0) continue;
    size_t length = header_bytes(next, bytes - at);
    if (length <= bytes - at) fix(data + at, length);
  }
}
