/* Hashes, by xxHash and libmd. */
#include <sha2.h>
#include <xxhash.h>

#include "ft/base.h"

uint64_t ft_hash64(const void *data, size_t bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(data, bytes, seed);
}

void ft_sha256_hex(const void *data, size_t bytes, char out[65]) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA2_CTX context;
  SHA256Init(&context);
  SHA256Update(&context, data, bytes);
  SHA256Final(digest, &context);
  for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
    snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
