/* Paths and directories. */
#define _GNU_SOURCE /* nftw */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

ft_err ft_path_join(const char *dir, const char *name, char **out) {
  size_t length = strlen(dir);
  const char *slash = length > 0 && dir[length - 1] == '/' ? "" : "/";
  return ft_format(out, "%s%s%s", dir, slash, name);
}

bool ft_path_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0;
}

bool ft_path_is_dir(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool ft_path_has(const char *dir, const char *name) {
  char *path = NULL;
  bool has = ft_path_join(dir, name, &path) == FT_OK && ft_path_exists(path);
  ft_free(path);
  return has;
}

/* Whether what cannot be made because it is there is not seen yet: another host has just made it.
 */
static bool is_seen_late(const char *path) {
  struct stat info;
  bool leads_nowhere = lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
  return !leads_nowhere && stat(path, &info) != 0 && errno == ENOENT;
}

/* Makes one directory below an existing one; the parent is synced, so that the name survives. */
static ft_err make_dir(const char *path) {
  if (mkdir(path, 0777) != 0) {
    int reason = errno;
    if (reason == EEXIST && is_seen_late(path)) (void)ft_path_await(path, FT_PATH_PATIENCE_S);
    if (ft_path_is_dir(path)) return FT_OK; /* it was there, or another rank was faster */
    errno = reason == EEXIST ? ENOTDIR : reason;
    return ft_file_fail(FT_ERR_CREATE, path, "make the directory");
  }
  return ft_file_sync_parent(path);
}

ft_err ft_make_dirs(const char *path) {
  ft_err err = FT_OK;
  char *partial = NULL;
  FT_CHECK(path[0] != 0, FT_ERR_CREATE, "cannot make a directory without a name");
  FT_TRY(ft_strdup(path, &partial));
  for (char *p = partial + 1; *p; p++) {
    if (*p != '/') continue;
    *p = 0;
    FT_TRY(make_dir(partial));
    *p = '/';
  }
  FT_TRY(make_dir(partial));
out:
  ft_free(partial);
  return err;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *at) {
  (void)info;
  (void)type;
  (void)at;
  if (ft_fault("file.remove").fail)
    errno = EIO;
  else if (remove(path) == 0 || errno == ENOENT)
    return 0;
  ft_file_fail(FT_ERR_IO, path, "remove");
  return 1;
}

ft_err ft_remove_tree(const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return FT_OK;
    return ft_file_fail(FT_ERR_IO, path, "remove");
  }
  int result = nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  if (result == 1) return FT_ERR_IO; /* remove_entry has recorded why */
  if (result != 0 && errno != ENOENT) return ft_file_fail(FT_ERR_IO, path, "remove");
  return FT_OK;
}

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

ft_err ft_list_dir(const char *path, char ***names, int64_t *num_names) {
  ft_err err = FT_OK;
  void *list = NULL;
  int64_t count = 0, capacity = 0;
  *names = NULL;
  *num_names = 0;
  DIR *dir = opendir(path);
  if (!dir) {
    if (errno == ENOENT) FT_TRY(ft_fail(FT_ERR_NOINPUT, "%s: no such directory", path));
    if (errno == ENOTDIR) FT_TRY(ft_fail(FT_ERR_NOINPUT, "%s: is not a directory", path));
    FT_TRY(ft_file_fail(FT_ERR_IO, path, "open the directory"));
  }
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(dir);
    if (!entry && errno != 0) FT_TRY(ft_file_fail(FT_ERR_IO, path, "read the directory"));
    if (!entry) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    FT_TRY(ft_grow(FT_MEM_IO, count + 1, sizeof(char *), &capacity, &list));
    FT_TRY(ft_strdup(entry->d_name, &((char **)list)[count]));
    count++;
  }
  if (!list) FT_TRY(ft_alloc(FT_MEM_IO, 0, &list));
  if (count > 0) qsort(list, (size_t)count, sizeof(char *), by_bytes);
  *names = list;
  *num_names = count;
  list = NULL;
out:
  if (dir) closedir(dir);
  if (list) ft_free_names(list, count);
  return err;
}

void ft_free_names(char **names, int64_t num_names) {
  for (int64_t i = 0; names && i < num_names; i++)
    ft_free(names[i]);
  ft_free(names);
}

/* ---------------------------------------------------------------- late and new names */

/* Opening and reading the directory above makes a network file system ask its server again. */
static void refresh(const char *path) {
  char *parent = NULL, **names = NULL;
  int64_t num_names = 0;
  if (ft_strdup(path, &parent) != FT_OK) return;
  char *slash = strrchr(parent, '/');
  if (slash && slash > parent) *slash = 0;
  if (ft_list_dir(slash ? parent : ".", &names, &num_names) == FT_OK)
    ft_free_names(names, num_names);
  ft_free(parent);
}

ft_err ft_path_await(const char *path, double seconds) {
  double pause_s = 0.01;
  for (double end_s = ft_now_s() + seconds; !ft_path_exists(path);) {
    if (ft_now_s() > end_s)
      return ft_fail(FT_ERR_NOINPUT,
                     "%s is not to be seen here, %.0f s after it was made: is its directory on a "
                     "disk of one host, or mounted on some only?",
                     path, seconds);
    refresh(path);
    ft_sleep_s(pause_s);
    pause_s = FT_MIN(2 * pause_s, 0.5);
  }
  return FT_OK;
}

ft_err ft_path_rename(const char *from, const char *to) {
  if (rename(from, to) != 0) return ft_file_fail(FT_ERR_IO, from, "rename it");
  return ft_file_sync_parent(to);
}
