/* Inside io: what the reader and the writer of token shards share. */
#ifndef FT_IO_TOKENS_H
#define FT_IO_TOKENS_H

#include "chunks.h"

#define FT_TOKENS_FORMAT "ftrun-tokens"
enum { FT_TOKENS_VERSION = 1, FT_TOKENS_NUM_KINDS = 3 };
extern const char *const ft_tokens_kinds[FT_TOKENS_NUM_KINDS];

/* What has a hash for every FT_TOKENS_CHUNK elements, in the u64 dataset "NAME.xxh3"; the attribute
 * FT_TOKENS_CHUNK_NAME says how many. */
enum { FT_TOKENS_SETS = 3, FT_TOKENS_CHUNK = 4096, FT_TOKENS_MAX_CHUNK = 1 << 20 };
#define FT_TOKENS_CHUNK_NAME "chunk_elements"
extern const char *const ft_tokens_sets[FT_TOKENS_SETS];
extern const size_t ft_tokens_widths[FT_TOKENS_SETS]; /* bytes of an element */
enum { FT_TOKENS_IDS, FT_TOKENS_MASK, FT_TOKENS_OFFSETS };

/* An opened shard, beside what everybody sees. */
typedef struct ft_tokens_private {
  ft_chunks sets[FT_TOKENS_SETS];
  void *scratch[FT_TOKENS_SETS];
} ft_tokens_private;

/* The dataset with the checksum, u64 [1], the last in the file: XXH3 of all bytes before it. */
#define FT_TOKENS_CHECKSUM "xxh3"
/* That hash of an open file. */
ft_err ft_tokens_hash(int fd, const char *path, int64_t bytes, uint64_t *out);

/* Nothing, or 64 hexadecimal digits. */
bool ft_tokens_is_sha256(const char *text);

#endif
