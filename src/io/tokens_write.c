/* Writing token shards. The numbers of tokens and documents are known only at the end, and the
 * datasets have to be contiguous: each is streamed to a file of its own beside the target and
 * copied to its place in the HDF5 file when the shard is closed. */
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "h5_write.h"
#include "tokens.h"

enum { BUFFER_BYTES = 1 << 20 };

/* A dataset that grows: a file with a buffer before it. */
typedef struct spill {
  char *path;
  int fd;
  char *buffer; /* [BUFFER_BYTES] */
  size_t used;
  int64_t at; /* bytes in the file */
} spill;

/* The datasets, then the hashes of their chunks in the same order. */
enum { TOKENS = FT_TOKENS_IDS, MASK = FT_TOKENS_MASK, OFFSETS = FT_TOKENS_OFFSETS };
enum { NUM_SPILLS = 2 * FT_TOKENS_SETS };
static const char *const names[NUM_SPILLS] = {"tokens",      "loss_mask",      "offsets",
                                              "tokens.xxh3", "loss_mask.xxh3", "offsets.xxh3"};
static const size_t widths[NUM_SPILLS] = {4, 1, 8, 8, 8, 8};

struct ft_tokens_writer {
  char *path, *temporary;
  ft_tokens_kind kind;
  uint32_t vocab_size;
  char tokenizer_sha256[65];
  spill spills[NUM_SPILLS];
  ft_chunk_stream streams[FT_TOKENS_SETS];
  uint64_t num_tokens;
  ft_err failed; /* of an earlier write: the shard cannot be committed */
};

/* ---------------------------------------------------------------- spills */

static ft_err spill_open(spill *s, const char *path, const char *name) {
  ft_err err = FT_OK;
  void *buffer;
  FT_TRY(ft_format(&s->path, "%s.%s.tmp", path, name));
  FT_TRY(ft_alloc(FT_MEM_IO, BUFFER_BYTES, &buffer));
  s->buffer = buffer;
  FT_TRY(ft_file_create(s->path, &s->fd));
out:
  return err;
}

static ft_err spill_flush(spill *s) {
  ft_err err = ft_file_pwrite(s->fd, s->path, s->buffer, s->used, s->at);
  s->at += (int64_t)s->used;
  s->used = 0;
  return err;
}

static ft_err spill_write(spill *s, const void *data, size_t bytes) {
  ft_err err = FT_OK;
  const char *from = data;
  while (bytes > 0) {
    size_t piece = FT_MIN(bytes, BUFFER_BYTES - s->used);
    memcpy(s->buffer + s->used, from, piece);
    s->used += piece;
    from += piece;
    bytes -= piece;
    if (s->used == BUFFER_BYTES) FT_TRY(spill_flush(s));
  }
out:
  return err;
}

static void spill_fini(spill *s) {
  if (s->fd >= 0) unlink(s->path);
  ft_file_close(&s->fd);
  ft_free(s->buffer);
  ft_free(s->path);
}

/* Writes data of a dataset, and the hash of each chunk that they complete. */
static ft_err write_hashed(ft_tokens_writer *w, int set, const void *data, size_t bytes) {
  ft_err err = FT_OK;
  uint64_t hash;
  FT_TRY(spill_write(&w->spills[set], data, bytes));
  while (bytes > 0)
    if (ft_chunk_stream_add(&w->streams[set], &data, &bytes, &hash))
      FT_TRY(spill_write(&w->spills[FT_TOKENS_SETS + set], &hash, sizeof hash));
out:
  return err;
}

/* The hashes of the last chunks; nothing more can be written then. */
static ft_err end_hashes(ft_tokens_writer *w) {
  ft_err err = FT_OK;
  uint64_t hash;
  for (int set = 0; set < FT_TOKENS_SETS; set++)
    if (ft_chunk_stream_end(&w->streams[set], &hash))
      FT_TRY(spill_write(&w->spills[FT_TOKENS_SETS + set], &hash, sizeof hash));
out:
  return err;
}

/* ---------------------------------------------------------------- the shard */

ft_err ft_tokens_writer_new(const char *path, ft_tokens_kind kind, uint32_t vocab_size,
                            const char *tokenizer_sha256, ft_tokens_writer **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  uint64_t zero = 0;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_tokens_writer), &memory));
  ft_tokens_writer *w = memory;
  for (int i = 0; i < NUM_SPILLS; i++)
    w->spills[i].fd = -1;
  w->kind = kind;
  w->vocab_size = vocab_size;
  FT_CHECK(ft_tokens_is_sha256(tokenizer_sha256), FT_ERR_INTERNAL,
           "%s: \"%s\" is not a SHA-256 in hexadecimal digits", path, tokenizer_sha256);
  strcpy(w->tokenizer_sha256, tokenizer_sha256);
  FT_TRY(ft_strdup(path, &w->path));
  FT_TRY(ft_file_temporary(path, &w->temporary));
  for (int i = 0; i < NUM_SPILLS; i++)
    FT_TRY(spill_open(&w->spills[i], path, names[i]));
  for (int i = 0; i < FT_TOKENS_SETS; i++)
    FT_TRY(ft_chunk_stream_init(&w->streams[i], (int64_t)widths[i] * FT_TOKENS_CHUNK));
  FT_TRY(write_hashed(w, OFFSETS, &zero, sizeof zero));
  *out = w;
  memory = NULL;
out:
  (void)ft_tokens_writer_close(memory, false);
  return err;
}

static ft_err check_document(const ft_tokens_writer *w, const uint32_t *tokens, const uint8_t *mask,
                             int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (tokens[i] >= w->vocab_size || mask[i] > 1)
      return ft_fail(
          FT_ERR_DATA,
          "%s: token %lld of a document has id %u and mask %u; an id below %u and a mask "
          "of 0 or 1 was expected",
          w->path, (long long)i, tokens[i], mask[i], w->vocab_size);
  return FT_OK;
}

ft_err ft_tokens_write(ft_tokens_writer *w, const uint32_t *tokens, const uint8_t *mask,
                       int64_t count) {
  ft_err err = w->failed;
  if (err != FT_OK) return err;
  FT_TRY(check_document(w, tokens, mask, count));
  FT_TRY(write_hashed(w, TOKENS, tokens, (size_t)count * 4));
  FT_TRY(write_hashed(w, MASK, mask, (size_t)count));
  w->num_tokens += (uint64_t)count;
  FT_TRY(write_hashed(w, OFFSETS, &w->num_tokens, 8));
out:
  w->failed = err;
  return err;
}

/* Lays the HDF5 file out around what was spilled. */
static ft_err lay_out(const ft_tokens_writer *w, ft_h5_dataset datasets[NUM_SPILLS + 1],
                      ft_h5_image *image) {
  uint32_t version = FT_TOKENS_VERSION, chunk = FT_TOKENS_CHUNK;
  const ft_h5_attribute attributes[] = {
      {.name = "format", .kind = FT_H5_TEXT, .values = FT_TOKENS_FORMAT, .count = -1},
      {.name = "version", .kind = FT_H5_U32, .values = &version, .count = -1},
      {.name = "kind", .kind = FT_H5_TEXT, .values = ft_tokens_kinds[w->kind], .count = -1},
      {.name = "vocab_size", .kind = FT_H5_U32, .values = &w->vocab_size, .count = -1},
      {.name = "tokenizer_sha256", .kind = FT_H5_TEXT, .values = w->tokenizer_sha256, .count = -1},
      {.name = FT_TOKENS_CHUNK_NAME, .kind = FT_H5_U32, .values = &chunk, .count = -1}};
  for (int i = 0; i < NUM_SPILLS; i++)
    datasets[i] = (ft_h5_dataset){.name = names[i],
                                  .type = {.width = widths[i]},
                                  .count = w->spills[i].at / (int64_t)widths[i]};
  datasets[NUM_SPILLS] =
      (ft_h5_dataset){.name = FT_TOKENS_CHECKSUM, .type = {.width = 8}, .count = 1};
  return ft_h5_layout(attributes, FT_ARRAY_SIZE(attributes), datasets, NUM_SPILLS + 1, image);
}

static ft_err commit(ft_tokens_writer *w) {
  ft_err err = FT_OK;
  ft_h5_dataset datasets[NUM_SPILLS + 1];
  uint64_t hash = 0;
  ft_h5_image image = {0};
  int fd = -1;
  FT_CHECK(w->failed == FT_OK, w->failed, "%s: an earlier write failed", w->path);
  FT_TRY(end_hashes(w));
  for (int i = 0; i < NUM_SPILLS; i++)
    FT_TRY(spill_flush(&w->spills[i]));
  FT_TRY(lay_out(w, datasets, &image));
  FT_TRY(ft_file_create(w->temporary, &fd));
  FT_TRY(ft_file_pwrite(fd, w->temporary, image.bytes, image.used, 0));
  for (int i = 0; i < NUM_SPILLS; i++)
    FT_TRY(ft_file_copy_range(w->spills[i].fd, w->spills[i].path, 0, fd, w->temporary,
                              datasets[i].offset, w->spills[i].at));
  int64_t checksum_at = datasets[NUM_SPILLS].offset;
  FT_TRY(ft_file_pwrite(fd, w->temporary, &hash, sizeof hash, checksum_at)); /* its size is final */
  FT_TRY(ft_tokens_hash(fd, w->temporary, checksum_at, &hash));
  FT_TRY(ft_file_pwrite(fd, w->temporary, &hash, sizeof hash, checksum_at));
  FT_TRY(ft_file_sync_close(&fd, w->temporary));
  FT_TRY(ft_commit_file(w->temporary, w->path));
out:
  ft_file_close(&fd);
  ft_free(image.bytes);
  if (err != FT_OK) unlink(w->temporary);
  return err;
}

ft_err ft_tokens_writer_close(ft_tokens_writer *w, bool do_commit) {
  if (!w) return FT_OK;
  ft_err err = do_commit ? commit(w) : FT_OK;
  for (int i = 0; i < NUM_SPILLS; i++)
    spill_fini(&w->spills[i]);
  for (int i = 0; i < FT_TOKENS_SETS; i++)
    ft_chunk_stream_fini(&w->streams[i]);
  ft_free(w->temporary);
  ft_free(w->path);
  ft_free(w);
  return err;
}
