/* The checksums of a safetensors file: in its header, of the header and of each chunk of the buffer
 * behind it, so that any part can be read and verified. */
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "safetensors.h"

enum { PIECE_BYTES = 1 << 22 };

static const char *const members[] = {FT_SAFETENSORS_HEADER_HASH, FT_SAFETENSORS_CHUNK,
                                      FT_SAFETENSORS_HASHES};
enum { HEADER_HASH, CHUNK, HASHES, NUM_MEMBERS };

/* Their texts; *any: at least one is there. Damage to the name of one leaves the others. */
static void find_members(const cJSON *header, const char *values[NUM_MEMBERS], bool *any) {
  const cJSON *metadata = ft_json_get(header, "__metadata__");
  *any = false;
  for (int i = 0; i < NUM_MEMBERS; i++) {
    const cJSON *item = metadata ? ft_json_get(metadata, members[i]) : NULL;
    values[i] = cJSON_IsString(item) ? item->valuestring : NULL;
    *any = *any || item;
  }
}

static ft_err check_header(const ft_safetensors_source *f, const char *digits, char *text,
                           uint64_t length) {
  ft_err err = FT_OK;
  ft_hash *hash = NULL;
  uint64_t expected = 0;
  char *at = digits ? strstr(text, digits) : NULL;
  FT_CHECK(at && strlen(digits) == FT_SAFETENSORS_DIGITS &&
               ft_safetensors_read_hash(digits, &expected),
           FT_ERR_DATA, "%s: the checksum of its header is \"%.40s\", 16 digits were expected",
           f->path, digits ? digits : "");
  memset(at, '0', FT_SAFETENSORS_DIGITS);
  FT_TRY(ft_hash_new(&hash));
  ft_hash_add(hash, &length, sizeof length);
  ft_hash_add(hash, text, (size_t)length);
  FT_CHECK(ft_hash_value(hash) == expected, FT_ERR_DATA,
           "%s: the checksum of its header does not fit: the file is damaged; make or get it again",
           f->path);
out:
  ft_hash_free(hash);
  return err;
}

static ft_err read_hashes(ft_safetensors_source *f, const char *digits, int64_t count) {
  ft_err err = FT_OK;
  void *memory;
  FT_CHECK(
      strlen(digits) / FT_SAFETENSORS_DIGITS == (size_t)count &&
          strlen(digits) % FT_SAFETENSORS_DIGITS == 0,
      FT_ERR_DATA,
      "%s: was written with %.0f chunks of data and has %lld: the file is cut off, or has more "
      "than was written; make or get it again",
      f->path, (double)strlen(digits) / FT_SAFETENSORS_DIGITS, (long long)count);
  FT_TRY(ft_alloc_array(FT_MEM_IO, count, sizeof(uint64_t), &memory));
  f->hashes = memory;
  for (int64_t i = 0; i < count; i++)
    FT_CHECK(ft_safetensors_read_hash(digits + i * FT_SAFETENSORS_DIGITS, &f->hashes[i]),
             FT_ERR_DATA, "%s: the checksum of chunk %lld is not written in hexadecimal digits",
             f->path, (long long)i);
out:
  return err;
}

ft_err ft_safetensors_take_hashes(ft_safetensors_source *f, const cJSON *header, char *text,
                                  uint64_t length, int64_t file_bytes) {
  ft_err err = FT_OK;
  const char *values[NUM_MEMBERS];
  bool any;
  int64_t buffer = 8 + (int64_t)length;
  /* ranks read parts that meet anywhere: no byte is read twice for it */
  f->chunks = (ft_chunks){.at = buffer, .bytes = file_bytes - buffer, .whole_only = true};
  find_members(header, values, &any);
  if (!any) goto out;
  FT_TRY(check_header(f, values[HEADER_HASH], text, length));
  char *end = NULL;
  long long size = values[CHUNK] ? strtoll(values[CHUNK], &end, 10) : 0;
  FT_CHECK(
      size > 0 && size <= FT_SAFETENSORS_MAX_CHUNK && *end == 0 && values[HASHES], FT_ERR_DATA,
      "%s: has a checksum of its header, and none of its data, or chunks of an impossible size",
      f->path);
  FT_TRY(read_hashes(f, values[HASHES], ft_chunks_count(f->chunks.bytes, size)));
  f->chunks.chunk_bytes = size;
  f->chunks.hashes = f->hashes;
out:
  return err;
}

ft_err ft_safetensors_verify(ft_safetensors *st, int64_t i, bool *found) {
  ft_err err = FT_OK;
  void *buffer = NULL;
  ft_safetensors_source *f = ft_safetensors_source_at(st, i);
  *found = f->hashes != NULL;
  if (!*found) goto out;
  FT_TRY(ft_alloc(FT_MEM_IO, PIECE_BYTES, &buffer));
  for (int64_t at = 0; at < f->chunks.bytes; at += PIECE_BYTES)
    FT_TRY(ft_chunks_read(&f->chunks, f->fd, f->path, at, FT_MIN(PIECE_BYTES, f->chunks.bytes - at),
                          buffer, &f->scratch));
out:
  ft_free(buffer);
  return err;
}
