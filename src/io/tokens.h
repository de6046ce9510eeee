/* Inside io: what the reader and the writer of token shards share. */
#ifndef FT_IO_TOKENS_H
#define FT_IO_TOKENS_H

#include "ft/io.h"

#define FT_TOKENS_FORMAT "ftrun-tokens"
enum { FT_TOKENS_VERSION = 1, FT_TOKENS_NUM_KINDS = 3 };
extern const char *const ft_tokens_kinds[FT_TOKENS_NUM_KINDS];

/* The dataset with the checksum, u64 [1], the last in the file: XXH3 of all bytes before it. */
#define FT_TOKENS_CHECKSUM "xxh3"
/* That hash of an open file. */
ft_err ft_tokens_hash(int fd, const char *path, int64_t bytes, uint64_t *out);

/* Nothing, or 64 hexadecimal digits. */
bool ft_tokens_is_sha256(const char *text);

#endif
