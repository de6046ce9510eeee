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
  ft_hash *hash;
  int64_t digits_at; /* file offset of the checksum's digits */
  ft_err failed;     /* of an earlier write: the file cannot be committed */
};

/* Adds a tensor's entry to the header; *end grows by its bytes. */
static ft_err add_tensor(cJSON *header, const char *path, const ft_safetensor *t, int64_t *end) {
  ft_err err = FT_OK;
  int64_t bytes = (int64_t)ft_dtype_bytes(t->dtype), begin = *end;
  cJSON *entry = cJSON_AddObjectToObject(header, t->name);
  FT_CHECK(t->num_dims >= 0 && t->num_dims <= 4, FT_ERR_INTERNAL, "%s: tensor %s has %d dimensions",
           path, t->name, t->num_dims);
  bool made = cJSON_AddStringToObject(entry, "dtype", ft_dtype_name(t->dtype));
  cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
  for (int i = 0; i < t->num_dims; i++) {
    FT_CHECK(t->dims[i] >= 0 && !__builtin_mul_overflow(bytes, t->dims[i], &bytes), FT_ERR_INTERNAL,
             "%s: tensor %s has an impossible shape", path, t->name);
    made = made && cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->dims[i]));
  }
  FT_CHECK(!__builtin_add_overflow(*end, bytes, end) && *end < (int64_t)1 << 53, FT_ERR_INTERNAL,
           "%s: too many bytes for one file", path);
  cJSON *offsets = cJSON_AddArrayToObject(entry, "data_offsets");
  made = made && cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin));
  made = made && cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)*end));
  FT_CHECK(made, FT_ERR_MEMORY, "%s: no memory for its header", path);
out:
  return err;
}

/* *text = the header, padded with spaces so that the buffer starts at a multiple of 8. The digits
 * of the checksum are zeros; they are the first such in it. */
static ft_err make_header(const char *path, const ft_safetensor *tensors, int64_t count,
                          void **text, size_t *length, int64_t *buffer_bytes) {
  ft_err err = FT_OK;
  char *plain = NULL;
  *buffer_bytes = 0;
  cJSON *header = cJSON_CreateObject();
  cJSON *metadata = cJSON_AddObjectToObject(header, "__metadata__");
  bool made = cJSON_AddStringToObject(metadata, FT_SAFETENSORS_CHECKSUM,
                                      FT_SAFETENSORS_HASH FT_SAFETENSORS_NO_DIGITS);
  made = made && cJSON_AddStringToObject(metadata, "format", "pt");
  FT_CHECK(made, FT_ERR_MEMORY, "%s: no memory for its header", path);
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
  FT_TRY(make_header(path, tensors, count, &header, &length, &w->end));
  FT_TRY(ft_file_create(w->temporary, &w->fd));
  w->created = true;
  FT_TRY(ft_hash_new(&w->hash));
  uint64_t prefix = length;
  ft_hash_add(w->hash, &prefix, sizeof prefix);
  ft_hash_add(w->hash, header, length);
  w->digits_at = 8 + (strstr(header, FT_SAFETENSORS_NO_DIGITS) - (const char *)header);
  FT_TRY(ft_file_pwrite(w->fd, w->temporary, &prefix, 8, 0));
  FT_TRY(ft_file_pwrite(w->fd, w->temporary, header, length, 8));
  w->at = 8 + (int64_t)length;
  w->end += w->at;
  *out = w;
  memory = NULL;
out:
  ft_free(header);
  if (memory) (void)ft_safetensors_writer_close(memory, false);
  return err;
}

ft_err ft_safetensors_write(ft_safetensors_writer *w, const void *data, size_t bytes) {
  if (w->failed != FT_OK) return w->failed;
  if (bytes > (size_t)(w->end - w->at))
    return w->failed = ft_fail(FT_ERR_INTERNAL, "%s: more bytes than its %lld were written",
                               w->path, (long long)w->end);
  ft_hash_add(w->hash, data, bytes);
  w->failed = ft_file_pwrite(w->fd, w->temporary, data, bytes, w->at);
  w->at += (int64_t)bytes;
  return w->failed;
}

static ft_err commit(ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  char digits[FT_SAFETENSORS_DIGITS + 1];
  FT_CHECK(w->failed == FT_OK, w->failed, "%s: an earlier write failed", w->path);
  FT_CHECK(w->at == w->end, FT_ERR_INTERNAL, "%s: %lld of %lld bytes were written", w->path,
           (long long)w->at, (long long)w->end);
  snprintf(digits, sizeof digits, "%016llx", (unsigned long long)ft_hash_value(w->hash));
  FT_TRY(ft_file_pwrite(w->fd, w->temporary, digits, FT_SAFETENSORS_DIGITS, w->digits_at));
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
  ft_hash_free(w->hash);
  ft_free(w->temporary);
  ft_free(w->path);
  ft_free(w);
  return err;
}
