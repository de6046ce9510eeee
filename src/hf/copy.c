/* The files of a model directory that training leaves alone and an export carries along. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hf_internal.h"

static bool starts_with(const char *name, const char *start) {
  return strncmp(name, start, strlen(start)) == 0;
}

/* Tokenizers in all their formats, chat templates, how to generate, and under which terms. What
 * tells of the original's training (README.md) is not true of the export. */
static bool is_companion(const char *name) {
  static const char *const exact[] = {"generation_config.json",
                                      "special_tokens_map.json",
                                      "added_tokens.json",
                                      "vocab.json",
                                      "vocab.txt",
                                      "merges.txt",
                                      "tekken.json",
                                      "spiece.model"};
  static const char *const starts[] = {"tokenizer", "chat_template", "LICENSE", "NOTICE",
                                       "USE_POLICY"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(exact); i++)
    if (strcmp(name, exact[i]) == 0) return true;
  for (size_t i = 0; i < FT_ARRAY_SIZE(starts); i++)
    if (starts_with(name, starts[i])) return true;
  size_t length = strlen(name);
  return length > 9 && strcmp(name + length - 9, ".tiktoken") == 0;
}

static bool is_file(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Says where a link out of the directory led: its content becomes part of what is passed on. Links
 * of a model cache lead to ../../blobs, which is the model's own. */
static void tell_of_link(const char *dir, const char *path) {
  struct stat info;
  char real_dir[PATH_MAX], real[PATH_MAX], blobs[PATH_MAX + 16], cache[PATH_MAX];
  if (lstat(path, &info) != 0 || !S_ISLNK(info.st_mode)) return;
  if (!realpath(dir, real_dir) || !realpath(path, real)) return;
  snprintf(blobs, sizeof blobs, "%s/../../blobs", real_dir);
  const char *const homes[] = {real_dir, realpath(blobs, cache) ? cache : real_dir};
  for (size_t i = 0; i < FT_ARRAY_SIZE(homes); i++)
    if (starts_with(real, homes[i]) && real[strlen(homes[i])] == '/') return;
  ft_log(FT_LOG_WARNING, "%s is a link to %s, which is copied", path, real);
}

/* Copies the plain files of a folder that `wanted` takes (NULL: all). */
static ft_err copy_files(const char *from_dir, const char *to_dir, bool (*wanted)(const char *)) {
  ft_err err = FT_OK;
  char **names = NULL, *from = NULL, *to = NULL;
  int64_t num_names = 0;
  FT_TRY(ft_list_dir(from_dir, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++) {
    if (wanted && !wanted(names[i])) continue;
    FT_TRY(ft_path_join(from_dir, names[i], &from));
    FT_TRY(ft_path_join(to_dir, names[i], &to));
    if (is_file(from)) {
      tell_of_link(from_dir, from);
      FT_TRY(ft_copy_file(from, to));
    }
    ft_free(from);
    ft_free(to);
    from = to = NULL;
  }
out:
  ft_free(from);
  ft_free(to);
  ft_free_names(names, num_names);
  return err;
}

ft_err ft_hf_copy_companions(const char *from_dir, const char *to_dir) {
  static const char templates[] = "additional_chat_templates";
  ft_err err = FT_OK;
  char *from = NULL, *to = NULL;
  FT_TRY(copy_files(from_dir, to_dir, is_companion));
  FT_TRY(ft_path_join(from_dir, templates, &from));
  if (!ft_path_is_dir(from)) goto out;
  FT_TRY(ft_path_join(to_dir, templates, &to));
  FT_TRY(ft_make_dirs(to));
  FT_TRY(copy_files(from, to, NULL));
out:
  ft_free(from);
  ft_free(to);
  return err;
}
