/* The checksum of a whole safetensors file, in the header that it covers. */
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "safetensors.h"

/* Reads the header's text; *text has a zero at its end. */
static ft_err read_header(int fd, const char *path, int64_t file_bytes, char **text,
                          uint64_t *length) {
  ft_err err = FT_OK;
  void *memory = NULL;
  FT_CHECK(file_bytes >= 8, FT_ERR_DATA, "%s: has %lld bytes, too few for a safetensors file", path,
           (long long)file_bytes);
  FT_TRY(ft_pread_all(fd, path, length, 8, 0));
  FT_CHECK(*length <= FT_SAFETENSORS_MAX_HEADER && (int64_t)*length <= file_bytes - 8, FT_ERR_DATA,
           "%s: its header claims %llu bytes, the file has %lld", path, (unsigned long long)*length,
           (long long)file_bytes);
  FT_TRY(ft_alloc(FT_MEM_IO, (size_t)*length + 1, &memory));
  *text = memory;
  FT_TRY(ft_pread_all(fd, path, memory, (size_t)*length, 8));
out:
  return err;
}

/* Known by its name or by the form of its value, so that damage to either is seen. */
static const char *find_checksum(const cJSON *header) {
  const cJSON *metadata = ft_json_get(header, "__metadata__");
  for (const cJSON *item = metadata ? metadata->child : NULL; item; item = item->next) {
    const char *value = cJSON_IsString(item) ? item->valuestring : "";
    if (strcmp(item->string, FT_SAFETENSORS_CHECKSUM) == 0 ||
        strncmp(value, FT_SAFETENSORS_HASH, strlen(FT_SAFETENSORS_HASH)) == 0)
      return value;
  }
  return NULL;
}

/* The digits of the checksum inside the text; NULL if it has none. */
static ft_err find_digits(const char *path, char *text, uint64_t length, char **digits) {
  ft_err err = FT_OK;
  cJSON *header = NULL;
  const size_t prefix = strlen(FT_SAFETENSORS_HASH);
  *digits = NULL;
  FT_TRY(ft_json_parse(text, (size_t)length, path, &header));
  const char *value = find_checksum(header);
  if (!value) goto out;
  char *at = strstr(text, value);
  FT_CHECK(at && strncmp(value, FT_SAFETENSORS_HASH, prefix) == 0 &&
               strlen(value) == prefix + FT_SAFETENSORS_DIGITS &&
               strspn(value + prefix, "0123456789abcdef") == FT_SAFETENSORS_DIGITS,
           FT_ERR_DATA, "%s: its checksum is \"%.40s\", \"xxh3:\" and 16 digits were expected",
           path, value);
  *digits = at + prefix;
out:
  cJSON_Delete(header);
  return err;
}

ft_err ft_safetensors_verify(const char *path, bool *found) {
  ft_err err = FT_OK;
  int fd = -1;
  int64_t file_bytes;
  uint64_t length = 0;
  char *text = NULL, *digits = NULL;
  ft_hash *hash = NULL;
  *found = false;
  FT_TRY(ft_file_open(path, &fd, &file_bytes));
  FT_TRY(read_header(fd, path, file_bytes, &text, &length));
  FT_TRY(find_digits(path, text, length, &digits));
  if (!digits) goto out;
  uint64_t expected = strtoull(digits, NULL, 16); /* a quotation mark ends them */
  memset(digits, '0', FT_SAFETENSORS_DIGITS);
  FT_TRY(ft_hash_new(&hash));
  ft_hash_add(hash, &length, sizeof length);
  ft_hash_add(hash, text, (size_t)length);
  FT_TRY(ft_file_hash(fd, path, 8 + (int64_t)length, file_bytes, hash));
  FT_CHECK(ft_hash_value(hash) == expected, FT_ERR_DATA,
           "%s: its checksum does not fit: the file is damaged; get it again", path);
  *found = true;
out:
  ft_hash_free(hash);
  ft_free(text);
  ft_file_close(&fd);
  return err;
}
