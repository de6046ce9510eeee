/* A run directory from taking it to giving it up. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

ft_err ft_run_open(const char *dir, ft_run **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(ft_run), &memory));
  ft_run *run = memory;
  FT_TRY(ft_strdup(dir, &run->dir));
  FT_TRY(ft_make_dirs(dir));
  FT_TRY(ft_run_lock_take(dir, &run->lock));
  *out = run;
  memory = NULL;
out:
  ft_run_close(memory);
  return err;
}

ft_err ft_run_check(const ft_run *run) {
  return run ? ft_run_lock_check(run->lock) : FT_OK;
}

ft_err ft_run_prepare(ft_run *run, const cJSON *config) {
  static const char *const parts[] = {"log", "checkpoints", "tensorboard"};
  ft_err err = FT_OK;
  char *path = NULL;
  for (size_t i = 0; i < FT_ARRAY_SIZE(parts); i++) {
    FT_TRY(ft_path_join(run->dir, parts[i], &path));
    FT_TRY(ft_make_dirs(path));
    ft_free(path);
    path = NULL;
  }
  FT_TRY(ft_path_join(run->dir, "config.json", &path));
  FT_TRY(ft_json_write(path, config));
out:
  ft_free(path);
  return err;
}

void ft_run_give_up(ft_run *run) {
  if (!run) return;
  ft_run_lock_release(run->lock);
  run->lock = NULL;
}

void ft_run_close(ft_run *run) {
  if (!run) return;
  ft_rows_close(run->rows);
  ft_tensorboard_close(run->curves);
  ft_run_give_up(run);
  ft_free(run->dir);
  ft_free(run);
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
