/* Inside io: what the reader and the writer of safetensors share. */
#ifndef FT_IO_SAFETENSORS_H
#define FT_IO_SAFETENSORS_H

#include <assert.h>

#include "chunks.h"

enum { FT_SAFETENSORS_MAX_HEADER = 100000000 };

/* Members of __metadata__ with the checksums that ftrun writes (docs/formats.md): of the header,
 * with zeros in place of these digits; and of the buffer's chunks, whose size is the third. */
#define FT_SAFETENSORS_HEADER_HASH "ftrun.xxh3"
#define FT_SAFETENSORS_HASHES "ftrun.chunks_xxh3"
#define FT_SAFETENSORS_CHUNK "ftrun.chunk_bytes"
/* … and of each tensor, by units of FT_SAFETENSORS_UNIT elements. */
#define FT_SAFETENSORS_SUMS "ftrun.tensors_xxh3"
enum { FT_SAFETENSORS_DIGITS = 16 };
enum { FT_SAFETENSORS_CHUNK_BYTES = 1 << 16, FT_SAFETENSORS_MAX_CHUNK = 1 << 24 };

/* One of the files that an opened model has. */
typedef struct ft_safetensors_source {
  char *path;
  int fd;
  ft_chunks chunks; /* of the buffer */
  uint64_t *hashes; /* owned, what chunks points to; NULL: the file has none */
  void *scratch;
} ft_safetensors_source;

/* A tensor of one of the files; `tensor` comes first, so that its address is the entry's. */
typedef struct ft_safetensors_entry {
  ft_safetensor tensor;
  int64_t end; /* file offset after its last byte */
  int64_t file;
} ft_safetensors_entry;

struct ft_safetensors {
  ft_safetensors_source *files;
  int64_t num_files;
  ft_safetensors_entry *entries; /* by name; while files are read, by name and file */
  int64_t count, capacity;
  char remarks[1200];
};

ft_safetensors_source *ft_safetensors_source_at(ft_safetensors *st, int64_t i);

/* Takes the checksums from a header, if it has them, and compares the header's own. text: the
 * header's, which is changed. Errors: FT_ERR_DATA, FT_ERR_MEMORY. */
ft_err ft_safetensors_take_hashes(ft_safetensors_source *f, const cJSON *header, char *text,
                                  uint64_t length, int64_t file_bytes);
/* FT_SAFETENSORS_DIGITS hexadecimal digits. False: they are not. */
bool ft_safetensors_read_hash(const char *digits, uint64_t *hash);

/* ---------------------------------------------------------------- a sharded model's index */

typedef struct ft_safetensors_index {
  cJSON *json;         /* owned */
  const cJSON **items; /* [num_items] of the weight_map, by tensor; the array is owned */
  const char **files;  /* [num_files] that it names, sorted; the array is owned */
  int64_t num_items, num_files;
} ft_safetensors_index;
/* Errors: FT_ERR_NOINPUT, FT_ERR_DATA, FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_safetensors_index_read(const char *path, ft_safetensors_index *out);
void ft_safetensors_index_fini(ft_safetensors_index *index);
/* Of tensors that several files have, keeps the one that the index means; notes where index and
 * files differ in st->remarks. Entries are sorted by name and file. */
void ft_safetensors_index_follow(ft_safetensors *st, const ft_safetensors_index *index);

/* ---------------------------------------------------------------- checksums of tensors */

/* *digits: those of the tensors' checksums, one after another in the order of the header, or NULL:
 * it has none. Call it after ft_safetensors_take_hashes, which verifies the header. Errors:
 * FT_ERR_DATA. */
ft_err ft_safetensors_sums(const ft_safetensors_source *f, const cJSON *header,
                           const char **digits);
/* Takes the first checksum of *digits, if there are any, and moves on. Errors: FT_ERR_DATA. */
ft_err ft_safetensors_take_sum(const ft_safetensors_source *f, const char **digits,
                               ft_safetensor *t);

/* A tensor of a type that is not read counts in bytes. */
typedef struct ft_summed {
  int64_t elements, width;
} ft_summed;
/* Sums tensors whose bytes are written as a stream, in order. */
typedef struct ft_sum_stream {
  ft_summed *tensors; /* [count] */
  int64_t count, at;  /* the tensor at hand, of which so much is complete: */
  int64_t done;       /* elements, summed */
  size_t used;        /* bytes of the next unit */
  uint64_t sum;
  char unit[FT_SAFETENSORS_UNIT * sizeof(float)];
} ft_sum_stream;
/* Of each tensor what the writer uses of it. Free with _fini. */
ft_err ft_sum_stream_init(ft_sum_stream *s, const ft_safetensor *tensors, int64_t count);
void ft_sum_stream_fini(ft_sum_stream *s);
/* Takes bytes from *data, at most those of one tensor, and moves *data and *bytes on. True: a
 * tensor is complete, *sum is its checksum. Call it until it is false; *bytes are then taken. */
bool ft_sum_stream_add(ft_sum_stream *s, const void **data, size_t *bytes, uint64_t *sum);

#endif
