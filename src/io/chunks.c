/* Data with a hash for each chunk. */
#include "chunks.h"

#include <string.h>

enum { MAX_RUN = 64 };

/* Compares chunks that were read with their hashes; `first`: the number of the first of them. */
static ft_err compare(const ft_chunks *c, const char *path, const uint64_t *hashes, int64_t first,
                      int64_t bytes, const char *data) {
  for (int64_t done = 0; done < bytes; done += c->chunk_bytes) {
    int64_t now = FT_MIN(c->chunk_bytes, bytes - done);
    if (ft_hash64(data + done, (size_t)now, 0) == *hashes++) continue;
    int64_t at = c->at + first * c->chunk_bytes + done;
    return ft_fail(FT_ERR_DATA,
                   "%s: the checksum of bytes %lld to %lld does not fit: the file is damaged; make "
                   "or get it again",
                   path, (long long)at, (long long)(at + now - 1));
  }
  return FT_OK;
}

/* Reads and compares `count` chunks, at most MAX_RUN. */
static ft_err read_run(const ft_chunks *c, int fd, const char *path, int64_t first, int64_t count,
                       void *out) {
  ft_err err = FT_OK;
  uint64_t found[MAX_RUN];
  const uint64_t *hashes = c->hashes ? c->hashes + first : found;
  int64_t start = first * c->chunk_bytes;
  int64_t bytes = FT_MIN(count * c->chunk_bytes, c->bytes - start);
  if (!c->hashes)
    FT_TRY(ft_pread_all(fd, path, found, (size_t)count * 8, c->hashes_at + 8 * first));
  FT_TRY(ft_pread_all(fd, path, out, (size_t)bytes, c->at + start));
  FT_TRY(compare(c, path, hashes, first, bytes, out));
out:
  return err;
}

ft_err ft_chunks_read(const ft_chunks *c, int fd, const char *path, int64_t start, int64_t bytes,
                      void *out, void **scratch) {
  ft_err err = FT_OK;
  char *to = out;
  int64_t size = c->chunk_bytes, now;
  if (size == 0) return ft_pread_all(fd, path, out, (size_t)bytes, c->at + start);
  for (; bytes > 0; start += now, bytes -= now, to += now) {
    int64_t number = start / size, begin = number * size, end = FT_MIN(begin + size, c->bytes);
    if (start == begin && bytes >= end - begin) {
      int64_t whole = start + bytes == c->bytes ? ft_chunks_count(bytes, size) : bytes / size;
      whole = FT_MIN(whole, MAX_RUN);
      now = FT_MIN(whole * size, bytes);
      FT_TRY(read_run(c, fd, path, number, whole, to));
      continue;
    }
    now = FT_MIN(bytes, end - start);
    if (c->whole_only) {
      FT_TRY(ft_pread_all(fd, path, to, (size_t)now, c->at + start));
      continue;
    }
    if (!*scratch) FT_TRY(ft_alloc(FT_MEM_IO, (size_t)size, scratch));
    FT_TRY(read_run(c, fd, path, number, 1, *scratch));
    memcpy(to, (char *)*scratch + (start - begin), (size_t)now);
  }
out:
  return err;
}

/* ---------------------------------------------------------------- writing */

ft_err ft_chunk_stream_init(ft_chunk_stream *s, int64_t chunk_bytes) {
  void *chunk;
  *s = (ft_chunk_stream){.chunk_bytes = chunk_bytes};
  ft_err err = ft_alloc(FT_MEM_IO, (size_t)chunk_bytes, &chunk);
  s->chunk = chunk;
  return err;
}

void ft_chunk_stream_fini(ft_chunk_stream *s) {
  ft_free(s->chunk);
  *s = (ft_chunk_stream){0};
}

bool ft_chunk_stream_add(ft_chunk_stream *s, const void **data, size_t *bytes, uint64_t *hash) {
  size_t now = FT_MIN(*bytes, (size_t)(s->chunk_bytes - s->used));
  if (now > 0) memcpy(s->chunk + s->used, *data, now);
  s->used += (int64_t)now;
  *data = (const char *)*data + now;
  *bytes -= now;
  return s->used == s->chunk_bytes && ft_chunk_stream_end(s, hash);
}

bool ft_chunk_stream_end(ft_chunk_stream *s, uint64_t *hash) {
  if (s->used == 0) return false;
  *hash = ft_hash64(s->chunk, (size_t)s->used, 0);
  s->used = 0;
  return true;
}
