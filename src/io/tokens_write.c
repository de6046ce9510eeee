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
enum { NUM_SPILLS = 2 * FT_TOKENS_SETS };

struct ft_tokens_writer {
  char *path, *temporary;
  ft_tokens_kind kind;
  uint32_t vocab_size;
  char tokenizer_sha256[65];
  ft_tokens_preparation preparation;
  uint32_t mask_token;      /* of the preparation, as it is written */
  bool has[FT_TOKENS_SETS]; /* which datasets this kind has */
  spill spills[NUM_SPILLS];
  ft_chunk_stream streams[FT_TOKENS_SETS];
  char hash_names[FT_TOKENS_SETS][32];
  uint64_t num_tokens, num_documents;
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
  if (s->fd < 0) return FT_OK; /* not of this kind */
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
    if (w->has[set] && ft_chunk_stream_end(&w->streams[set], &hash))
      FT_TRY(spill_write(&w->spills[FT_TOKENS_SETS + set], &hash, sizeof hash));
out:
  return err;
}

/* ---------------------------------------------------------------- the shard */

/* Opens what one dataset needs. */
static ft_err open_set(ft_tokens_writer *w, int set) {
  ft_err err = FT_OK;
  const ft_tokens_set *s = &ft_tokens_sets[set];
  snprintf(w->hash_names[set], sizeof w->hash_names[set], "%s." FT_TOKENS_CHECKSUM, s->name);
  FT_TRY(spill_open(&w->spills[set], w->path, s->name));
  FT_TRY(spill_open(&w->spills[FT_TOKENS_SETS + set], w->path, w->hash_names[set]));
  FT_TRY(ft_chunk_stream_init(&w->streams[set], (int64_t)s->type.width * FT_TOKENS_CHUNK));
  w->has[set] = true;
out:
  return err;
}

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
  for (int i = 0; i <= FT_SET_OFFSETS; i++)
    FT_TRY(open_set(w, i));
  /* labels of masked documents are opened with the first that has them */
  int extra = ft_tokens_extra_set(kind);
  if (extra >= 0 && extra != FT_SET_LABELS) FT_TRY(open_set(w, extra));
  FT_TRY(write_hashed(w, FT_SET_OFFSETS, &zero, sizeof zero));
  *out = w;
  memory = NULL;
out:
  (void)ft_tokens_writer_close(memory, false);
  return err;
}

ft_err ft_tokens_writer_prepared(ft_tokens_writer *w, const ft_tokens_preparation *p) {
  ft_err err = FT_OK;
  char *system = NULL;
  if (p->system) {
    FT_CHECK(strlen(p->system) <= FT_TOKENS_MAX_SYSTEM, FT_ERR_DATA,
             "%s: the system message has %zu bytes, a shard takes %d", w->path, strlen(p->system),
             FT_TOKENS_MAX_SYSTEM);
    FT_TRY(ft_strdup(p->system, &system));
  }
  ft_free(w->preparation.system);
  w->preparation = *p;
  w->preparation.system = system;
  w->mask_token = (uint32_t)p->mask_token;
out:
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

static ft_err write_document(ft_tokens_writer *w, const uint32_t *tokens, const uint8_t *mask,
                             int64_t count) {
  ft_err err = FT_OK;
  FT_TRY(check_document(w, tokens, mask, count));
  FT_TRY(write_hashed(w, FT_SET_IDS, tokens, (size_t)count * 4));
  FT_TRY(write_hashed(w, FT_SET_MASK, mask, (size_t)count));
  w->num_tokens += (uint64_t)count;
  w->num_documents++;
  FT_TRY(write_hashed(w, FT_SET_OFFSETS, &w->num_tokens, 8));
out:
  return err;
}

ft_err ft_tokens_write(ft_tokens_writer *w, const uint32_t *tokens, const uint8_t *mask,
                       int64_t count) {
  if (w->failed == FT_OK) w->failed = write_document(w, tokens, mask, count);
  return w->failed;
}

static ft_err write_value(ft_tokens_writer *w, int32_t value) {
  ft_err err = FT_OK;
  uint8_t small = (uint8_t)value;
  bool is_label = w->kind == FT_TOKENS_UNPAIRED;
  FT_CHECK(is_label || w->kind == FT_TOKENS_CLASSES, FT_ERR_INTERNAL,
           "%s: documents of kind %s have no values", w->path, ft_tokens_kind_name(w->kind));
  FT_CHECK(value >= 0 && (!is_label || value <= 1), FT_ERR_DATA, "%s: a document has the %s %d",
           w->path, is_label ? "label" : "class", (int)value);
  if (is_label)
    FT_TRY(write_hashed(w, FT_SET_LABEL, &small, sizeof small));
  else
    FT_TRY(write_hashed(w, FT_SET_CLASSES, &value, sizeof value));
out:
  return err;
}

ft_err ft_tokens_write_value(ft_tokens_writer *w, const uint32_t *tokens, const uint8_t *mask,
                             int64_t count, int32_t value) {
  if (w->failed == FT_OK) w->failed = write_value(w, value);
  return w->failed == FT_OK ? ft_tokens_write(w, tokens, mask, count) : w->failed;
}

/* Bytes that a dataset has so far. */
static int64_t written(const spill *s) {
  return s->at + (int64_t)s->used;
}

static ft_err write_labels(ft_tokens_writer *w, const uint32_t *tokens, const int32_t *labels,
                           int64_t count) {
  ft_err err = FT_OK;
  void *mask = NULL;
  FT_CHECK(w->kind == FT_TOKENS_MASKED, FT_ERR_INTERNAL, "%s: documents of kind %s have no labels",
           w->path, ft_tokens_kind_name(w->kind));
  if (!w->has[FT_SET_LABELS]) FT_TRY(open_set(w, FT_SET_LABELS));
  FT_TRY(ft_alloc(FT_MEM_IO, (size_t)count + 1, &mask));
  for (int64_t i = 0; i < count; i++) {
    FT_CHECK(labels[i] == FT_TOKENS_NO_LABEL ||
                 (labels[i] >= 0 && (uint32_t)labels[i] < w->vocab_size),
             FT_ERR_DATA, "%s: the label of token %lld of a document is %d", w->path, (long long)i,
             (int)labels[i]);
    ((uint8_t *)mask)[i] = labels[i] != FT_TOKENS_NO_LABEL;
  }
  FT_TRY(write_hashed(w, FT_SET_LABELS, labels, (size_t)count * sizeof *labels));
  FT_TRY(write_document(w, tokens, mask, count));
out:
  ft_free(mask);
  return err;
}

ft_err ft_tokens_write_labels(ft_tokens_writer *w, const uint32_t *tokens, const int32_t *labels,
                              int64_t count) {
  if (w->failed == FT_OK) w->failed = write_labels(w, tokens, labels, count);
  return w->failed;
}

/* Every document has what its kind asks for. */
static ft_err check_complete(const ft_tokens_writer *w) {
  ft_err err = FT_OK;
  for (int set = FT_SET_LABEL; set < FT_TOKENS_SETS; set++) {
    if (!w->has[set]) continue;
    int64_t width = (int64_t)ft_tokens_sets[set].type.width;
    uint64_t expected = ft_tokens_sets[set].per_token ? w->num_tokens : w->num_documents;
    FT_CHECK((uint64_t)(written(&w->spills[set]) / width) == expected, FT_ERR_DATA,
             "%s: not every document has its %s", w->path, ft_tokens_sets[set].name);
  }
  FT_CHECK(w->kind != FT_TOKENS_PREFERENCE || w->num_documents % 2 == 0, FT_ERR_DATA,
           "%s: holds %llu documents, pairs of them were expected", w->path,
           (unsigned long long)w->num_documents);
out:
  return err;
}

/* ---------------------------------------------------------------- the file */

enum { MAX_ATTRIBUTES = 12 };

static int list_attributes(const ft_tokens_writer *w, const int64_t *end_of_turn,
                           ft_h5_attribute out[MAX_ATTRIBUTES]) {
  static const uint32_t version = FT_TOKENS_VERSION, chunk = FT_TOKENS_CHUNK;
  const ft_tokens_preparation *p = &w->preparation;
  const ft_h5_attribute always[] = {
      {.name = "format", .kind = FT_H5_TEXT, .values = FT_TOKENS_FORMAT, .count = -1},
      {.name = "version", .kind = FT_H5_U32, .values = &version, .count = -1},
      {.name = "kind", .kind = FT_H5_TEXT, .values = ft_tokens_kind_name(w->kind), .count = -1},
      {.name = "vocab_size", .kind = FT_H5_U32, .values = &w->vocab_size, .count = -1},
      {.name = "tokenizer_sha256", .kind = FT_H5_TEXT, .values = w->tokenizer_sha256, .count = -1},
      {.name = FT_TOKENS_CHUNK_NAME, .kind = FT_H5_U32, .values = &chunk, .count = -1}};
  const ft_h5_attribute known[] = {
      {.name = FT_TOKENS_TEMPLATE, .kind = FT_H5_TEXT, .values = p->template_name, .count = -1},
      {.name = FT_TOKENS_TEMPLATE_SHA256,
       .kind = FT_H5_TEXT,
       .values = p->template_sha256,
       .count = -1},
      {.name = FT_TOKENS_TEMPLATE_DATE,
       .kind = FT_H5_TEXT,
       .values = p->template_date,
       .count = -1},
      {.name = FT_TOKENS_SYSTEM,
       .kind = FT_H5_TEXT,
       .values = p->system ? p->system : "",
       .count = -1},
      {.name = FT_TOKENS_END_OF_TURN,
       .kind = FT_H5_I64,
       .values = end_of_turn,
       .count = p->num_end_of_turn}};
  const ft_h5_attribute mask = {
      .name = FT_TOKENS_MASK_TOKEN, .kind = FT_H5_U32, .values = &w->mask_token, .count = -1};
  int num = FT_ARRAY_SIZE(always);
  memcpy(out, always, sizeof always);
  if (p->template_name[0]) {
    memcpy(out + num, known, sizeof known);
    num += (int)FT_ARRAY_SIZE(known);
  }
  if (w->mask_token > 0) out[num++] = mask;
  return num;
}

/* Lays the HDF5 file out around what was spilled. spills[i]: where dataset i comes from; the last
 * dataset is the checksum. */
static ft_err lay_out(const ft_tokens_writer *w, ft_h5_dataset datasets[NUM_SPILLS + 1],
                      const spill *spills[NUM_SPILLS], int *num_datasets, ft_h5_image *image) {
  ft_h5_attribute attributes[MAX_ATTRIBUTES];
  int64_t end_of_turn[FT_TOKENS_MAX_END_OF_TURN];
  for (int64_t i = 0; i < w->preparation.num_end_of_turn; i++)
    end_of_turn[i] = w->preparation.end_of_turn[i];
  int num_attributes = list_attributes(w, end_of_turn, attributes), n = 0;
  for (int hashes = 0; hashes < 2; hashes++)
    for (int set = 0; set < FT_TOKENS_SETS; set++) {
      if (!w->has[set]) continue;
      ft_h5_type type = hashes ? (ft_h5_type){.width = 8} : ft_tokens_sets[set].type;
      spills[n] = &w->spills[hashes * FT_TOKENS_SETS + set];
      datasets[n] = (ft_h5_dataset){.name = hashes ? w->hash_names[set] : ft_tokens_sets[set].name,
                                    .type = type,
                                    .count = spills[n]->at / (int64_t)type.width};
      n++;
    }
  datasets[n] = (ft_h5_dataset){.name = FT_TOKENS_CHECKSUM, .type = {.width = 8}, .count = 1};
  *num_datasets = n;
  return ft_h5_layout(attributes, num_attributes, datasets, n + 1, image);
}

static ft_err commit(ft_tokens_writer *w) {
  ft_err err = FT_OK;
  ft_h5_dataset datasets[NUM_SPILLS + 1];
  const spill *spills[NUM_SPILLS];
  int num_datasets = 0;
  uint64_t hash = 0;
  ft_h5_image image = {0};
  int fd = -1;
  FT_CHECK(w->failed == FT_OK, w->failed, "%s: an earlier write failed", w->path);
  FT_TRY(check_complete(w));
  FT_TRY(end_hashes(w));
  for (int i = 0; i < NUM_SPILLS; i++)
    FT_TRY(spill_flush(&w->spills[i]));
  FT_TRY(lay_out(w, datasets, spills, &num_datasets, &image));
  FT_TRY(ft_file_create(w->temporary, &fd));
  FT_TRY(ft_file_pwrite(fd, w->temporary, image.bytes, image.used, 0));
  for (int i = 0; i < num_datasets; i++)
    FT_TRY(ft_file_copy_range(spills[i]->fd, spills[i]->path, 0, fd, w->temporary,
                              datasets[i].offset, spills[i]->at));
  int64_t checksum_at = datasets[num_datasets].offset;
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
  ft_free(w->preparation.system);
  ft_free(w->temporary);
  ft_free(w->path);
  ft_free(w);
  return err;
}
