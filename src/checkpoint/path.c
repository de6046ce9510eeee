/* Where checkpoints lie, which there are, and how one is removed or set aside. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

ft_err ft_checkpoint_path(const char *run_dir, int64_t step, char **out) {
  return ft_format(out, "%s/checkpoints/step-%08lld", run_dir, (long long)step);
}

ft_err ft_checkpoint_file(const char *run_dir, int64_t step, const char *name, char **out) {
  char *dir = NULL;
  *out = NULL;
  ft_err err = ft_checkpoint_path(run_dir, step, &dir);
  if (err == FT_OK) err = ft_path_join(dir, name, out);
  ft_free(dir);
  return err;
}

void ft_checkpoint_rank_name(int rank, int size, char out[CHECKPOINT_NAME_BYTES]) {
  snprintf(out, CHECKPOINT_NAME_BYTES, "rank-%05d-of-%05d.h5", rank, size);
}

/* The step a directory's name stands for, or -1. */
static int64_t step_of(const char *name) {
  char again[40];
  if (strncmp(name, "step-", 5) != 0 || strlen(name) > 5 + 18) return -1;
  for (const char *p = name + 5; *p; p++)
    if (*p < '0' || *p > '9') return -1;
  int64_t step = strtoll(name + 5, NULL, 10);
  snprintf(again, sizeof again, "step-%08lld", (long long)step);
  return strcmp(name, again) == 0 ? step : -1;
}

static int by_number(const void *a, const void *b) {
  const int64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

ft_err ft_checkpoint_list_steps(const char *run_dir, bool committed, int64_t **steps,
                                int64_t *num_steps) {
  ft_err err = FT_OK;
  char *dir = NULL, *manifest = NULL, **names = NULL;
  int64_t num_names = 0, num = 0;
  void *list = NULL;
  *steps = NULL;
  *num_steps = 0;
  FT_TRY(ft_path_join(run_dir, "checkpoints", &dir));
  if (ft_path_is_dir(dir)) FT_TRY(ft_list_dir(dir, &names, &num_names));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, num_names, sizeof(int64_t), &list));
  for (int64_t i = 0; i < num_names; i++) {
    int64_t step = step_of(names[i]);
    if (step < 0) continue;
    ft_free(manifest);
    FT_TRY(ft_checkpoint_file(run_dir, step, FT_CHECKPOINT_MANIFEST, &manifest));
    if (!committed || ft_path_exists(manifest)) ((int64_t *)list)[num++] = step;
  }
  if (num > 1) qsort(list, (size_t)num, sizeof(int64_t), by_number);
  *steps = list;
  *num_steps = num;
  list = NULL;
out:
  ft_free(list);
  ft_free(manifest);
  ft_free(dir);
  ft_free_names(names, num_names);
  return err;
}

ft_err ft_checkpoint_list(const char *run_dir, int64_t **steps, int64_t *num_steps) {
  return ft_checkpoint_list_steps(run_dir, true, steps, num_steps);
}

ft_err ft_checkpoint_remove(const char *run_dir, int64_t step) {
  ft_err err = FT_OK;
  char *dir = NULL, *manifest = NULL;
  FT_TRY(ft_checkpoint_path(run_dir, step, &dir));
  FT_TRY(ft_checkpoint_file(run_dir, step, FT_CHECKPOINT_MANIFEST, &manifest));
  FT_TRY(ft_remove_tree(manifest));
  FT_TRY(ft_remove_tree(dir));
out:
  ft_free(manifest);
  ft_free(dir);
  return err;
}

ft_err ft_checkpoint_set_aside(const char *run_dir, int64_t step, char **to) {
  ft_err err = FT_OK;
  char *dir = NULL;
  *to = NULL;
  FT_TRY(ft_checkpoint_path(run_dir, step, &dir));
  FT_TRY(ft_format(to, "%s.set-aside", dir));
  for (int number = 2; ft_path_exists(*to); number++) {
    ft_free(*to);
    FT_TRY(ft_format(to, "%s.set-aside-%d", dir, number));
  }
  FT_TRY(ft_path_rename(dir, *to));
out:
  if (err != FT_OK) {
    ft_free(*to);
    *to = NULL;
  }
  ft_free(dir);
  return err;
}
