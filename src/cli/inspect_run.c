/* ftrun inspect: checkpoints and run directories. */
#include <string.h>

#include "ft/checkpoint.h"
#include "ft/prep.h"
#include "ft/train.h"
#include "inspect.h"

/* ---------------------------------------------------------------- a checkpoint */

static void describe(const ft_checkpoint *c) {
  const ft_checkpoint_meta *meta = ft_checkpoint_meta_of(c);
  ft_inspect_line("step", "%lld, after %lld tokens", (long long)meta->step,
                  (long long)meta->tokens);
  ft_inspect_line("ranks", "%d, one file each", ft_checkpoint_world_size(c));
  for (int s = 0; s < ft_checkpoint_num_states(c); s++) {
    int64_t bytes;
    const char *name = ft_checkpoint_state(c, s, &bytes);
    ft_inspect_line(s == 0 ? "states" : "", "%s: %lld bytes", name, (long long)bytes);
  }
}

ft_err ft_inspect_checkpoint(const char *dir) {
  ft_err err = FT_OK;
  ft_checkpoint *c = NULL;
  printf("%s: checkpoint\n", dir);
  FT_TRY(ft_checkpoint_open_dir(dir, &c));
  describe(c);
  FT_TRY(ft_checkpoint_verify(c));
  ft_inspect_line("checksums", "all bytes verified");
out:
  ft_checkpoint_close(c);
  return err;
}

/* ---------------------------------------------------------------- a run */

/* Reads every row; *step: of the last one about a step, -1 if there is none. */
static ft_err read_metrics(const char *path, int64_t *rows, int64_t *step) {
  ft_err err = FT_OK;
  ft_lines *lines = NULL;
  cJSON *row = NULL;
  const char *text;
  size_t bytes;
  bool too_long;
  *rows = 0;
  *step = -1;
  FT_TRY(ft_lines_open(path, &lines));
  for (;; ++*rows) {
    int64_t found;
    FT_TRY(ft_lines_next(lines, &text, &bytes, &too_long));
    if (!text) break;
    cJSON_Delete(row);
    row = NULL;
    err = ft_line_parse(text, bytes, &row);
    if (err == FT_OK && (too_long || !ft_json_i64(ft_json_get(row, "step"), &found)))
      err = ft_fail(FT_ERR_DATA, "is no row of metrics");
    if (err != FT_OK) {
      ft_fail_prefix(err, "%s:%lld", path, (long long)ft_lines_number(lines));
      goto out;
    }
    if (!ft_json_get(row, "validation")) *step = found;
  }
out:
  cJSON_Delete(row);
  ft_lines_close(lines);
  return err;
}

static ft_err inspect_metrics(const char *dir) {
  ft_err err = FT_OK;
  char *path = NULL;
  int64_t rows, step;
  FT_TRY(ft_path_join(dir, "metrics.jsonl", &path));
  if (!ft_path_exists(path)) {
    ft_inspect_line("metrics", "none");
    goto out;
  }
  FT_TRY(read_metrics(path, &rows, &step));
  if (step < 0)
    ft_inspect_line("metrics", "%lld rows, no step finished", (long long)rows);
  else
    ft_inspect_line("metrics", "%lld rows, to step %lld", (long long)rows, (long long)step);
out:
  ft_free(path);
  return err;
}

static ft_err inspect_config(const char *dir) {
  ft_err err = FT_OK;
  char *path = NULL;
  cJSON *json = NULL;
  ft_config config = {0};
  FT_TRY(ft_path_join(dir, "config.json", &path));
  FT_TRY(ft_json_read(path, &json));
  err = ft_config_from_json(json, path, &config);
  if (err == FT_ERR_CONFIG) err = FT_ERR_DATA; /* it is no longer something that a user writes */
  if (err != FT_OK) goto out;
  ft_inspect_line("model", "%s", config.model_path);
  ft_inspect_line("seed", "%lld", (long long)config.seed);
out:
  ft_config_fini(&config);
  cJSON_Delete(json);
  ft_free(path);
  return err;
}

/* Verifies every checkpoint, also behind a damaged one: who comes here wants to know what is left.
 * Returns the first error. */
static ft_err inspect_checkpoints(const char *dir) {
  ft_err err = FT_OK, first = FT_OK;
  int64_t *steps = NULL, num_steps = 0, best;
  char *path = NULL, *message = NULL;
  FT_TRY(ft_checkpoint_list(dir, &steps, &num_steps));
  if (num_steps == 0) ft_inspect_line("checkpoints", "none");
  if (ft_path_has(dir, "best")) {
    FT_TRY(ft_train_find_step(dir, "best", &best));
    ft_inspect_line("best", "step %lld", (long long)best);
  }
  for (int64_t i = 0; i < num_steps; i++) {
    ft_free(path);
    FT_TRY(ft_checkpoint_path(dir, steps[i], &path));
    err = ft_inspect_checkpoint(path);
    if (err == FT_OK) continue;
    ft_inspect_line("damaged", "%s", ft_error_message());
    if (first != FT_OK) continue;
    first = err;
    FT_TRY(ft_strdup(ft_error_message(), &message));
  }
  err = first == FT_OK ? FT_OK : ft_fail(first, "%s", message);
out:
  ft_free(message);
  ft_free(path);
  ft_free(steps);
  return err;
}

ft_err ft_inspect_run(const char *dir) {
  ft_err err = FT_OK;
  printf("%s: run directory\n", dir);
  FT_TRY(inspect_config(dir));
  FT_TRY(inspect_metrics(dir));
  FT_TRY(inspect_checkpoints(dir));
out:
  return err;
}

/* ---------------------------------------------------------------- for scripts */

/* Whether the run's newest checkpoint is the last one by the plan of its newest configuration. */
static bool is_finished(const char *dir, const ft_checkpoint_meta *meta) {
  char *path = NULL;
  cJSON *json = NULL, *plan = NULL;
  bool finished = false;
  if (ft_path_join(dir, "config.json", &path) == FT_OK && ft_json_read(path, &json) == FT_OK) {
    plan = ft_config_plan(json);
    finished = cJSON_Compare(ft_json_get(meta->extra, "finished"), plan, true);
  }
  cJSON_Delete(plan);
  cJSON_Delete(json);
  ft_free(path);
  return finished;
}

ft_err ft_inspect_latest(const char *dir) {
  ft_err err = FT_OK;
  int64_t *steps = NULL, num_steps = 0;
  ft_checkpoint *c = NULL;
  FT_TRY(ft_checkpoint_list(dir, &steps, &num_steps));
  while (num_steps > 0 && ft_checkpoint_open(dir, steps[num_steps - 1], &c) != FT_OK)
    num_steps--; /* the run would not go on from that either */
  if (num_steps == 0) {
    printf("-1 no -\n");
    goto out;
  }
  const ft_checkpoint_meta *meta = ft_checkpoint_meta_of(c);
  const cJSON *attempt = ft_json_get(ft_json_get(meta->config, "run"), "attempt");
  bool named = cJSON_IsString(attempt) && *attempt->valuestring;
  printf("%lld %s %s\n", (long long)meta->step, is_finished(dir, meta) ? "yes" : "no",
         named ? attempt->valuestring : "-");
out:
  ft_checkpoint_close(c);
  ft_free(steps);
  return err;
}
