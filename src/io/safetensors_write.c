/* Writing one safetensors file as a stream. */
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "safetensors.h"

struct ft_safetensors_writer {
  char *path, *temporary;
  int fd;
  bool created;
  int64_t at, end; /* file offsets: next byte to write, and the finished file's size */
  char *header;    /* [header_bytes + 1]; its checksums are filled in at the end */
  uint64_t header_bytes;
  char *hashes_at; /* in the header: where the digits of the next chunk go */
  char *sums_at;   /* … and those of the next tensor */
  ft_chunk_stream stream;
  ft_sum_stream sums;
  ft_err failed; /* of an earlier write: the file cannot be committed */
};

/* Bytes of a tensor's data; -1: its shape is impossible. */
static int64_t bytes_of(const ft_safetensor *t) {
  int64_t bytes = (int64_t)ft_dtype_bytes(t->dtype);
  if (t->dtype_name[0]) return t->bytes;
  for (int d = 0; d < FT_MIN(t->num_dims, FT_SAFETENSORS_DIMS); d++)
    if (t->dims[d] < 0 || __builtin_mul_overflow(bytes, t->dims[d], &bytes)) return -1;
  return bytes;
}

/* Adds a tensor's entry to the header; *end grows by its bytes. */
static ft_err add_tensor(cJSON *header, const char *path, const ft_safetensor *t, int64_t *end) {
  ft_err err = FT_OK;
  int64_t bytes = bytes_of(t), begin = *end;
  cJSON *entry = cJSON_AddObjectToObject(header, t->name);
  FT_CHECK(t->num_dims >= 0 && t->num_dims <= FT_SAFETENSORS_DIMS, FT_ERR_DATA,
           "%s: tensor %s has %d dimensions, at most %d can be written", path, t->name, t->num_dims,
           FT_SAFETENSORS_DIMS);
  FT_CHECK(bytes >= 0, FT_ERR_INTERNAL, "%s: tensor %s has an impossible shape", path, t->name);
  bool made = cJSON_AddStringToObject(entry, "dtype",
                                      t->dtype_name[0] ? t->dtype_name : ft_dtype_name(t->dtype));
  cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
  for (int i = 0; i < t->num_dims; i++)
    made = made && cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->dims[i]));
  FT_CHECK(!__builtin_add_overflow(*end, bytes, end) && *end < (int64_t)1 << 53, FT_ERR_INTERNAL,
           "%s: too many bytes for one file", path);
  cJSON *offsets = cJSON_AddArrayToObject(entry, "data_offsets");
  made = made && cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin));
  made = made && cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)*end));
  FT_CHECK(made, FT_ERR_MEMORY, "%s: no memory for its header", path);
out:
  return err;
}

/* *zeros = digits of `count` checksums that are not known yet. */
static ft_err make_zeros(int64_t count, void **zeros) {
  size_t digits = (size_t)count * FT_SAFETENSORS_DIGITS;
  ft_err err = ft_alloc(FT_MEM_IO, digits + 1, zeros); /* with a zero at the end */
  if (err == FT_OK) memset(*zeros, '0', digits);
  return err;
}

/* Adds __metadata__ with zeros in place of all checksums, of which there are some for `bytes` of
 * data in `count` tensors. */
static ft_err add_metadata(cJSON *header, const char *path, int64_t bytes, int64_t count) {
  ft_err err = FT_OK;
  void *zeros = NULL, *sums = NULL;
  char size[24];
  FT_TRY(make_zeros(ft_chunks_count(bytes, FT_SAFETENSORS_CHUNK_BYTES), &zeros));
  FT_TRY(make_zeros(count, &sums));
  snprintf(size, sizeof size, "%d", FT_SAFETENSORS_CHUNK_BYTES);
  cJSON *metadata = cJSON_AddObjectToObject(header, "__metadata__");
  FT_CHECK(cJSON_AddStringToObject(metadata, FT_SAFETENSORS_HEADER_HASH, "0000000000000000") &&
               cJSON_AddStringToObject(metadata, FT_SAFETENSORS_CHUNK, size) &&
               cJSON_AddStringToObject(metadata, FT_SAFETENSORS_HASHES, zeros) &&
               cJSON_AddStringToObject(metadata, FT_SAFETENSORS_SUMS, sums) &&
               cJSON_AddStringToObject(metadata, "format", "pt"),
           FT_ERR_MEMORY, "%s: no memory for its header", path);
out:
  ft_free(zeros);
  ft_free(sums);
  return err;
}

/* Bytes of the tensors' data. */
static int64_t data_bytes(const ft_safetensor *tensors, int64_t count) {
  int64_t total = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t bytes = bytes_of(&tensors[i]);
    if (bytes < 0 || __builtin_add_overflow(total, bytes, &total)) return -1;
  }
  return total;
}

/* *text = the header, padded with spaces so that the buffer starts at a multiple of 8. */
static ft_err make_header(const char *path, const ft_safetensor *tensors, int64_t count,
                          void **text, size_t *length, int64_t *buffer_bytes) {
  ft_err err = FT_OK;
  char *plain = NULL;
  *buffer_bytes = 0;
  cJSON *header = cJSON_CreateObject();
  int64_t bytes = data_bytes(tensors, count);
  FT_CHECK(bytes >= 0 && bytes < (int64_t)1 << 53, FT_ERR_INTERNAL,
           "%s: a tensor has an impossible shape", path);
  FT_TRY(add_metadata(header, path, bytes, count));
  for (int64_t i = 0; i < count; i++)
    FT_TRY(add_tensor(header, path, &tensors[i], buffer_bytes));
  FT_TRY(ft_json_print(header, false, &plain));
  size_t used = strlen(plain);
  *length = (size_t)ft_round_up((int64_t)used, 8);
  FT_CHECK(*length <= FT_SAFETENSORS_MAX_HEADER, FT_ERR_INTERNAL,
           "%s: a header of %zu bytes, at most %d are allowed", path, *length,
           FT_SAFETENSORS_MAX_HEADER);
  FT_TRY(ft_alloc(FT_MEM_IO, *length + 1, text)); /* with a zero at the end */
  memset(*text, ' ', *length);
  memcpy(*text, plain, used);
out:
  cJSON_Delete(header);
  ft_free(plain);
  return err;
}

static ft_err write_header(ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  FT_TRY(ft_file_pwrite(w->fd, w->temporary, &w->header_bytes, 8, 0));
  FT_TRY(ft_file_pwrite(w->fd, w->temporary, w->header, w->header_bytes, 8));
out:
  return err;
}

/* Where a member's digits begin in the header. */
static char *digits_of(const ft_safetensors_writer *w, const char *member) {
  return strstr(w->header, member) + strlen(member);
}

ft_err ft_safetensors_writer_new(const char *path, const ft_safetensor *tensors, int64_t count,
                                 ft_safetensors_writer **out) {
  ft_err err = FT_OK;
  void *memory = NULL, *header = NULL;
  size_t length = 0;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_safetensors_writer), &memory));
  ft_safetensors_writer *w = memory;
  w->fd = -1;
  FT_TRY(ft_strdup(path, &w->path));
  FT_TRY(ft_file_temporary(path, &w->temporary));
  err = make_header(path, tensors, count, &header, &length, &w->end);
  w->header = header;
  if (err != FT_OK) goto out;
  FT_TRY(ft_file_create(w->temporary, &w->fd));
  w->created = true;
  w->header_bytes = length;
  w->hashes_at = digits_of(w, "\"" FT_SAFETENSORS_HASHES "\":\"");
  w->sums_at = digits_of(w, "\"" FT_SAFETENSORS_SUMS "\":\"");
  FT_TRY(ft_chunk_stream_init(&w->stream, FT_SAFETENSORS_CHUNK_BYTES));
  FT_TRY(ft_sum_stream_init(&w->sums, tensors, count));
  FT_TRY(write_header(w));
  w->at = 8 + (int64_t)length;
  w->end += w->at;
  *out = w;
  memory = NULL;
out:
  if (memory) (void)ft_safetensors_writer_close(memory, false);
  return err;
}

/* Writes the digits of a hash over zeros of the header, and moves on. */
static void put_hash(char **at, uint64_t hash) {
  char digits[FT_SAFETENSORS_DIGITS + 1];
  snprintf(digits, sizeof digits, "%016llx", (unsigned long long)hash);
  memcpy(*at, digits, FT_SAFETENSORS_DIGITS);
  *at += FT_SAFETENSORS_DIGITS;
}

static void add_sums(ft_safetensors_writer *w, const void *data, size_t bytes) {
  uint64_t sum;
  while (ft_sum_stream_add(&w->sums, &data, &bytes, &sum))
    put_hash(&w->sums_at, sum);
}

/* The last chunk's hash, then the header's own. */
static ft_err complete_header(ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  uint64_t hash;
  ft_hash *sum = NULL;
  char *own = digits_of(w, "\"" FT_SAFETENSORS_HEADER_HASH "\":\"");
  add_sums(w, NULL, 0); /* of empty tensors at the end */
  if (ft_chunk_stream_end(&w->stream, &hash)) put_hash(&w->hashes_at, hash);
  FT_TRY(ft_hash_new(&sum));
  ft_hash_add(sum, &w->header_bytes, sizeof w->header_bytes);
  ft_hash_add(sum, w->header, w->header_bytes);
  put_hash(&own, ft_hash_value(sum));
  FT_TRY(write_header(w));
out:
  ft_hash_free(sum);
  return err;
}

ft_err ft_safetensors_write(ft_safetensors_writer *w, const void *data, size_t bytes) {
  if (w->failed != FT_OK) return w->failed;
  if (bytes > (size_t)(w->end - w->at))
    return w->failed = ft_fail(FT_ERR_INTERNAL, "%s: more bytes than its %lld were written",
                               w->path, (long long)w->end);
  w->failed = ft_file_pwrite(w->fd, w->temporary, data, bytes, w->at);
  w->at += (int64_t)bytes;
  add_sums(w, data, bytes);
  while (bytes > 0) {
    uint64_t hash;
    if (ft_chunk_stream_add(&w->stream, &data, &bytes, &hash)) put_hash(&w->hashes_at, hash);
  }
  return w->failed;
}

static ft_err commit(ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  FT_CHECK(w->failed == FT_OK, w->failed, "%s: an earlier write failed", w->path);
  FT_CHECK(w->at == w->end, FT_ERR_INTERNAL, "%s: %lld of %lld bytes were written", w->path,
           (long long)w->at, (long long)w->end);
  FT_TRY(complete_header(w));
  FT_TRY(ft_file_sync_close(&w->fd, w->temporary));
  FT_TRY(ft_commit_file(w->temporary, w->path));
  w->created = false;
out:
  return err;
}

ft_err ft_safetensors_writer_close(ft_safetensors_writer *w, bool do_commit) {
  if (!w) return FT_OK;
  ft_err err = do_commit ? commit(w) : FT_OK;
  ft_file_close(&w->fd);
  if (w->created) unlink(w->temporary);
  ft_chunk_stream_fini(&w->stream);
  ft_sum_stream_fini(&w->sums);
  ft_free(w->header);
  ft_free(w->temporary);
  ft_free(w->path);
  ft_free(w);
  return err;
}
