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

ft_safetensors_source *ft_safetensors_source_at(ft_safetensors *st, int64_t i);

/* Takes the checksums from a header, if it has them, and compares the header's own. text: the
 * header's, which is changed. Errors: FT_ERR_DATA, FT_ERR_MEMORY. */
ft_err ft_safetensors_take_hashes(ft_safetensors_source *f, const cJSON *header, char *text,
                                  uint64_t length, int64_t file_bytes);

#endif
