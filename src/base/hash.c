/* Hashes, by xxHash and libmd. */
#include <sha2.h>
#define XXH_STATIC_LINKING_ONLY /* XXH3_state_t whole; ft_alloc aligns it */
#include <xxhash.h>

#include "ft/base.h"

uint64_t ft_hash64(const void *data, size_t bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(data, bytes, seed);
}

struct ft_hash {
  XXH3_state_t state;
};

ft_err ft_hash_new(ft_hash **out) {
  void *memory;
  ft_err err = ft_alloc(FT_MEM_OTHER, sizeof(ft_hash), &memory);
  *out = err == FT_OK ? memory : NULL;
  if (err == FT_OK) XXH3_64bits_reset(&(*out)->state);
  return err;
}

void ft_hash_free(ft_hash *hash) {
  ft_free(hash);
}

void ft_hash_add(ft_hash *hash, const void *data, size_t bytes) {
  XXH3_64bits_update(&hash->state, data, bytes);
}

uint64_t ft_hash_value(const ft_hash *hash) {
  return XXH3_64bits_digest(&hash->state);
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
