/* A run directory from taking it to giving it up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

static const char *const folders[] = {"log", "checkpoints", "tensorboard"};

/* How many levels of a path are missing. */
static int missing_levels(const char *dir) {
  char path[4096];
  int missing = 0;
  snprintf(path, sizeof path, "%s", dir);
  while (*path && !ft_path_exists(path)) {
    missing++;
    char *slash = strrchr(path, '/');
    if (!slash) break;
    while (slash > path && slash[-1] == '/')
      slash--;
    *slash = 0;
  }
  return missing;
}

/* Removes that many levels from the end of a path, as long as they are empty; the last ones may not
 * have been made. */
static void remove_levels(const char *dir, int levels) {
  char path[4096];
  snprintf(path, sizeof path, "%s", dir);
  for (; levels > 0 && (rmdir(path) == 0 || errno == ENOENT); levels--) {
    char *slash = strrchr(path, '/');
    if (!slash) break;
    *slash = 0;
  }
}

/* What a run writes to is of the right kind and lets itself be written to, before any of it is. */
static ft_err look_at_parts(const char *dir) {
  static const char *const files[] = {"config.json", "history.jsonl", "metrics.jsonl", "best",
                                      "usage.json"};
  ft_err err = FT_OK;
  char path[4096];
  for (size_t i = 0; i < FT_ARRAY_SIZE(files); i++) {
    snprintf(path, sizeof path, "%s/%s", dir, files[i]);
    FT_CHECK(!ft_path_is_dir(path), FT_ERR_CREATE, "%s: is a directory, a file was expected", path);
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(folders); i++) {
    snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
    FT_CHECK(ft_path_is_dir(path) || !ft_path_exists(path), FT_ERR_CREATE,
             "%s: is a file, a directory was expected", path);
    FT_CHECK(access(path, W_OK) == 0 || errno == ENOENT, FT_ERR_CREATE,
             "%s: cannot be written to: %s", path, strerror(errno));
  }
out:
  return err;
}

ft_err ft_run_open(const char *dir, const ft_run_asked *asked, ft_run **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(ft_run), &memory));
  ft_run *run = memory;
  FT_TRY(ft_strdup(dir, &run->dir));
  run->made = missing_levels(dir);
  FT_TRY(ft_make_dirs(dir));
  FT_TRY(ft_run_lock_take(dir, asked, &run->lock));
  FT_TRY(look_at_parts(dir));
  FT_TRY(ft_run_watch_begin(run->dir, run->lock, &run->watch));
  *out = run;
  memory = NULL;
out:
  if (err != FT_OK) ft_fail_prefix(err, "run.dir");
  ft_run_close(memory);
  return err;
}

ft_err ft_run_check(const ft_run *run) {
  return run ? ft_run_lock_check(run->lock) : FT_OK;
}

void ft_run_on_stop(ft_run *run, void (*asked)(void *arg), void *arg) {
  ft_run_watch_stop(run->watch, asked, arg);
}

ft_err ft_run_prepare(ft_run *run) {
  ft_err err = FT_OK;
  char *path = NULL;
  for (size_t i = 0; i < FT_ARRAY_SIZE(folders); i++) {
    FT_TRY(ft_path_join(run->dir, folders[i], &path));
    FT_TRY(ft_make_dirs(path));
    ft_free(path);
    path = NULL;
  }
  run->prepared = true;
out:
  ft_free(path);
  return err;
}

void ft_run_give_up(ft_run *run) {
  if (!run) return;
  ft_run_watch_end(run->watch);
  run->watch = NULL;
  ft_run_lock_release(run->lock);
  run->lock = NULL;
}

void ft_run_close(ft_run *run) {
  if (!run) return;
  ft_rows_close(run->rows);
  ft_tensorboard_close(run->curves);
  ft_run_give_up(run);
  if (run->dir && !run->prepared) remove_levels(run->dir, run->made);
  ft_free(run->dir);
  ft_free(run);
}

/* ---------------------------------------------------------------- how a part of the run began */

/* A line is added to what is there: the file is written anew, so that it is never torn. */
static ft_err append_history(const ft_run *run, const cJSON *start) {
  ft_err err = FT_OK;
  char *path = NULL, *line = NULL, *old = NULL, *text = NULL;
  size_t bytes = 0;
  FT_TRY(ft_path_join(run->dir, "history.jsonl", &path));
  FT_TRY(ft_json_print(start, false, &line));
  if (ft_path_exists(path)) FT_TRY(ft_read_file(path, (size_t)1 << 30, &old, &bytes));
  FT_TRY(ft_format(&text, "%.*s%s\n", (int)bytes, old ? old : "", line));
  FT_TRY(ft_write_file(path, text, strlen(text)));
out:
  ft_free(path);
  ft_free(line);
  ft_free(old);
  ft_free(text);
  return err;
}

ft_err ft_run_begin(ft_run *run, const cJSON *config, cJSON *start) {
  ft_err err = FT_OK;
  char *path = NULL, stamp[32];
  time_t now = time(NULL);
  struct tm parts;
  gmtime_r(&now, &parts);
  strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &parts);
  cJSON_AddStringToObject(start, "time", stamp);
  FT_TRY(ft_path_join(run->dir, "config.json", &path));
  FT_TRY(ft_json_write(path, config));
  FT_TRY(append_history(run, start));
out:
  cJSON_Delete(start);
  ft_free(path);
  return err;
}

/* ---------------------------------------------------------------- the best step */

ft_err ft_run_write_best(const char *dir, int64_t step) {
  ft_err err = FT_OK;
  char *path = NULL, number[32];
  FT_TRY(ft_path_join(dir, "best", &path));
  snprintf(number, sizeof number, "%lld\n", (long long)step);
  FT_TRY(ft_write_file(path, number, strlen(number)));
out:
  ft_free(path);
  return err;
}

ft_err ft_run_read_best(const char *dir, int64_t *step) {
  ft_err err = FT_OK;
  char *path = NULL, *text = NULL;
  size_t bytes;
  FT_TRY(ft_path_join(dir, "best", &path));
  FT_TRY(ft_read_file(path, 64, &text, &bytes));
  *step = strtoll(text, NULL, 10);
out:
  ft_free(path);
  ft_free(text);
  return err;
}

ft_err ft_run_forget_best(const char *dir) {
  char *path = NULL;
  ft_err err = ft_path_join(dir, "best", &path);
  if (err == FT_OK) err = ft_remove_tree(path);
  ft_free(path);
  return err;
}
