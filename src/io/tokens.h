/* Inside io: what the reader and the writer of token shards share. */
#ifndef FT_IO_TOKENS_H
#define FT_IO_TOKENS_H

#include "chunks.h"
#include <time.h>

#include "h5_read.h"

#define FT_TOKENS_FORMAT "ftrun-tokens"
enum { FT_TOKENS_VERSION = 1 };

/* What has a hash for every FT_TOKENS_CHUNK elements, in the u64 dataset "NAME.xxh3"; the attribute
 * FT_TOKENS_CHUNK_NAME says how many. The first three are in every shard, one of the others in
 * those of some kinds. */
enum {
  FT_SET_IDS,
  FT_SET_MASK,
  FT_SET_OFFSETS,
  FT_SET_LABEL,   /* unpaired */
  FT_SET_CLASSES, /* classes */
  FT_SET_LABELS,  /* masked, where targets are given */
  FT_TOKENS_SETS
};
enum { FT_TOKENS_CHUNK = 4096, FT_TOKENS_MAX_CHUNK = 1 << 20 };
#define FT_TOKENS_CHUNK_NAME "chunk_elements"
typedef struct ft_tokens_set {
  const char *name;
  ft_h5_type type;
  int per_token; /* elements: 1 a token, 0 a document, -1 one more than documents */
} ft_tokens_set;
extern const ft_tokens_set ft_tokens_sets[FT_TOKENS_SETS];
/* The kind of that name, or of another program's word for it. False: there is none. */
bool ft_tokens_find_kind(const char *name, ft_tokens_kind *kind);
/* The dataset that a kind has beside those of every shard, or -1. */
int ft_tokens_extra_set(ft_tokens_kind kind);

/* Attributes of ft_tokens_preparation. */
#define FT_TOKENS_TEMPLATE "template"
#define FT_TOKENS_TEMPLATE_SHA256 "template_sha256"
#define FT_TOKENS_TEMPLATE_DATE "template_date"
#define FT_TOKENS_SYSTEM "system"
#define FT_TOKENS_END_OF_TURN "end_of_turn"
#define FT_TOKENS_MASK_TOKEN "mask_token"

/* An opened shard, beside what everybody sees. */
typedef struct ft_tokens_private {
  ft_chunks sets[FT_TOKENS_SETS];
  bool has[FT_TOKENS_SETS];
  void *scratch[FT_TOKENS_SETS];
  int64_t bytes; /* of the file, and its time of change, when it was opened */
  struct timespec modified;
} ft_tokens_private;

/* Elements start … of a dataset that the shard has. */
ft_err ft_tokens_read_set(ft_tokens_file *f, int set, int64_t start, int64_t count, void *out);

/* The dataset with the checksum, u64 [1], the last in the file: XXH3 of all bytes before it. */
#define FT_TOKENS_CHECKSUM "xxh3"
/* That hash of an open file. */
ft_err ft_tokens_hash(int fd, const char *path, int64_t bytes, uint64_t *out);

/* Nothing, or 64 hexadecimal digits. */
bool ft_tokens_is_sha256(const char *text);

#endif
