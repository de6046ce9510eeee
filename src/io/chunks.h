/* Inside io: data that are read in any pieces and verified all the same. They are cut into chunks,
 * each with a hash (XXH3, seed 0) that was taken when it was written; who wants a part of a chunk
 * reads and compares all of it, unless each byte is to be read once only. */
#ifndef FT_IO_CHUNKS_H
#define FT_IO_CHUNKS_H

#include "ft/io.h"

typedef struct ft_chunks {
  int64_t at, bytes;      /* where the data lie in the file */
  int64_t chunk_bytes;    /* of a chunk; the last may be shorter. 0: there are no hashes */
  const uint64_t *hashes; /* [chunks], in memory, or NULL: */
  int64_t hashes_at;      /* where they lie in the file */
  bool whole_only;        /* a part of a chunk is read without the rest, and not compared */
} ft_chunks;

static inline int64_t ft_chunks_count(int64_t bytes, int64_t chunk_bytes) {
  return bytes / chunk_bytes + (bytes % chunk_bytes != 0);
}

/* Reads bytes start … of the data, by way of *scratch where parts of chunks are wanted (allocated
 * when needed; free with ft_free; not for chunks of another size). Errors: FT_ERR_DATA naming the
 * bytes of the file that are damaged, FT_ERR_IO. */
ft_err ft_chunks_read(const ft_chunks *c, int fd, const char *path, int64_t start, int64_t bytes,
                      void *out, void **scratch);

/* Hashes chunks of data that are written as a stream. */
typedef struct ft_chunk_stream {
  char *chunk; /* [chunk_bytes] */
  int64_t chunk_bytes, used;
} ft_chunk_stream;
ft_err ft_chunk_stream_init(ft_chunk_stream *s, int64_t chunk_bytes);
void ft_chunk_stream_fini(ft_chunk_stream *s);
/* Takes from *data what the chunk at hand has room for, and moves *data and *bytes on. True: the
 * chunk is complete, *hash is its hash, and the next one begins. */
bool ft_chunk_stream_add(ft_chunk_stream *s, const void **data, size_t *bytes, uint64_t *hash);
/* True: there was a chunk that is not full; *hash is its hash. */
bool ft_chunk_stream_end(ft_chunk_stream *s, uint64_t *hash);

#endif
