/* Checksums of a model directory's texts. JSON has no place for them, so they stand in a file of
 * their own, which sha256sum -c reads, too. Weights carry theirs themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hf_internal.h"

#define SUMS "ftrun.sha256"
#define FOLDER "additional_chat_templates/" /* the only folder whose files belong to a model */
enum { MAX_FILE_BYTES = 1 << 30, MAX_SUMS_BYTES = 1 << 20, DIGITS = 64 };

static ft_err hash_file(const char *path, char digits[DIGITS + 1]) {
  char *data = NULL;
  size_t bytes;
  ft_err err = ft_read_file(path, MAX_FILE_BYTES, &data, &bytes);
  if (err == FT_OK) ft_sha256_hex(data, bytes, digits);
  ft_free(data);
  return err;
}

static bool is_weights(const char *name) {
  size_t length = strlen(name);
  return length > 12 && strcmp(name + length - 12, ".safetensors") == 0;
}

/* ---------------------------------------------------------------- writing */

/* A line for each file of DIR/FOLDER ("": DIR itself). */
static ft_err put_folder(FILE *f, const char *dir, const char *folder) {
  ft_err err = FT_OK;
  char *path = NULL, *file = NULL, **names = NULL, digits[DIGITS + 1];
  int64_t num_names = 0;
  struct stat info;
  FT_TRY(ft_path_join(dir, folder, &path));
  if (!ft_path_is_dir(path)) goto out;
  FT_TRY(ft_list_dir(path, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++) {
    ft_free(file);
    FT_TRY(ft_path_join(path, names[i], &file));
    if (is_weights(names[i]) || strcmp(names[i], SUMS) == 0 || strchr(names[i], '\n')) continue;
    if (stat(file, &info) != 0 || !S_ISREG(info.st_mode)) continue;
    FT_TRY(hash_file(file, digits));
    fprintf(f, "%s  %s%s\n", digits, folder, names[i]);
  }
out:
  ft_free(path);
  ft_free(file);
  ft_free_names(names, num_names);
  return err;
}

ft_err ft_hf_write_sums(const char *dir) {
  ft_err err = FT_OK;
  char *path = NULL, *text = NULL;
  size_t bytes;
  FILE *f = open_memstream(&text, &bytes);
  FT_CHECK(f, FT_ERR_MEMORY, "%s: no memory for its checksums", dir);
  FT_TRY(put_folder(f, dir, ""));
  FT_TRY(put_folder(f, dir, FOLDER));
  bool good = !ferror(f) && fclose(f) == 0;
  f = NULL;
  FT_CHECK(good, FT_ERR_MEMORY, "%s: no memory for its checksums", dir);
  FT_TRY(ft_path_join(dir, SUMS, &path));
  FT_TRY(ft_write_file(path, text, bytes));
out:
  if (f) fclose(f);
  free(text);
  ft_free(path);
  return err;
}

/* ---------------------------------------------------------------- comparing */

/* "DIGITS  NAME", where the name stays in the directory. */
static bool split(char *line, const char **name) {
  if (strspn(line, "0123456789abcdef") != DIGITS || strncmp(line + DIGITS, "  ", 2) != 0)
    return false;
  line[DIGITS] = 0;
  *name = line + DIGITS + 2;
  const char *plain = strncmp(*name, FOLDER, strlen(FOLDER)) == 0 ? *name + strlen(FOLDER) : *name;
  return plain[0] && !strchr(plain, '/') && strcmp(plain, ".") != 0 && strcmp(plain, "..") != 0;
}

static ft_err compare(const char *dir, const char *sums, const char *name, const char *expected,
                      bool all) {
  ft_err err = FT_OK;
  char *path = NULL, found[DIGITS + 1];
  FT_TRY(ft_path_join(dir, name, &path));
  if (!all && !ft_path_exists(path)) goto out;
  err = hash_file(path, found);
  if (err == FT_ERR_NOINPUT) err = ft_fail(FT_ERR_DATA, "%s: is missing; %s has it", path, sums);
  if (err != FT_OK) goto out;
  FT_CHECK(strcmp(found, expected) == 0, FT_ERR_DATA,
           "%s: is not as %s has it: the file is damaged, or was changed after ftrun wrote it (if "
           "that was meant, remove " SUMS ")",
           path, sums);
out:
  ft_free(path);
  return err;
}

/* all: files that are missing are mistakes, too. */
static ft_err verify(const char *dir, bool all, int64_t *num_files) {
  ft_err err = FT_OK;
  char *path = NULL, *text = NULL;
  size_t bytes;
  *num_files = -1;
  FT_TRY(ft_path_join(dir, SUMS, &path));
  if (!ft_path_exists(path)) goto out;
  FT_TRY(ft_read_file(path, MAX_SUMS_BYTES, &text, &bytes));
  FT_CHECK(strlen(text) == bytes && bytes > 0 && text[bytes - 1] == '\n', FT_ERR_DATA,
           "%s: is not a list of checksums: the file is damaged", path);
  *num_files = 0;
  for (char *line = text, *end; *line; line = end + 1) {
    const char *name;
    end = strchr(line, '\n');
    *end = 0;
    ++*num_files;
    FT_CHECK(split(line, &name), FT_ERR_DATA,
             "%s: line %lld is not a checksum and the name of a file: the file is damaged", path,
             (long long)*num_files);
    FT_TRY(compare(dir, path, name, line, all));
  }
out:
  ft_free(text);
  ft_free(path);
  return err;
}

ft_err ft_hf_verify_sums(const char *dir, int64_t *num_files) {
  return verify(dir, true, num_files);
}

ft_err ft_hf_check_sums(const char *dir) {
  int64_t num_files;
  return verify(dir, false, &num_files);
}
