/* What a run set out to do, from its directory. */
#include "internal.h"

#include "ft/io_kind.h"

ft_err ft_report_read_config(const char *dir, cJSON **out) {
  ft_err err = FT_OK;
  char *path = NULL;
  *out = NULL;
  FT_CHECK(ft_path_exists(dir), FT_ERR_NOINPUT, "%s: there is no such run directory", dir);
  FT_TRY(ft_kind_check(dir, FT_WANT_RUN));
  FT_TRY(ft_path_join(dir, "config.json", &path));
  FT_CHECK(ft_path_exists(path), FT_ERR_DATA,
           "%s: is no run directory: it has no config.json, which every run begins with", dir);
  FT_TRY(ft_json_read(path, out));
out:
  ft_free(path);
  return err;
}

int64_t ft_report_planned_steps(const cJSON *config, const cJSON *starts) {
  int64_t steps, count = cJSON_GetArraySize(starts);
  const cJSON *last = count ? cJSON_GetArrayItem(starts, (int)count - 1) : NULL;
  if (ft_json_i64(ft_json_get(last, "steps"), &steps)) return steps;
  return ft_json_i64(ft_json_get(ft_json_get(config, "train"), "steps"), &steps) ? steps : -1;
}
