/* ftrun inspect PATH: what a file or directory is, and whether it is whole. */
#include "inspect.h"

#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/io_kind.h"

static bool is_slice_name(const char *name) {
  return strncmp(name, "rank-", 5) == 0 && ft_ends_with(name, ".h5");
}

/* ---------------------------------------------------------------- what prep leaves */

static const char *const sets[] = {"train", "validation", "test"};

/* What report.json of a preparation says in short. */
static ft_err inspect_report(const char *dir) {
  static const char *const numbers[] = {"lines", "bad", "all_masked", "dropped", "truncated"};
  ft_err err = FT_OK;
  char *path = NULL;
  cJSON *json = NULL;
  const cJSON *item;
  FT_TRY(ft_path_join(dir, "report.json", &path));
  if (!ft_path_exists(path)) goto out; /* older than reports */
  FT_TRY(ft_json_read(path, &json));
  printf("%s: data prepared by ftrun\n", dir);
  for (size_t i = 0; i < FT_ARRAY_SIZE(numbers); i++)
    if (cJSON_IsNumber(item = ft_json_get(json, numbers[i])))
      ft_inspect_line(numbers[i], "%.0f", item->valuedouble);
  cJSON_ArrayForEach(item, ft_json_get(json, "documents"))
      ft_inspect_line(item->string, "%.0f documents", item->valuedouble);
  cJSON_ArrayForEach(item, ft_json_get(json, "rules")) {
    const cJSON *found = ft_json_get(item, "found"), *dropped = ft_json_get(item, "dropped");
    ft_inspect_line(item->string, "%.0f found, %.0f dropped", found ? found->valuedouble : 0,
                    dropped ? dropped->valuedouble : 0);
  }
  cJSON_ArrayForEach(item, ft_json_get(json, "spelled"))
      ft_inspect_line("spelled out", "%s, %.0f times", item->string, item->valuedouble);
  cJSON_ArrayForEach(item, ft_json_get(json, "unread"))
      ft_inspect_line("not read", "\"%s\" of %.0f records", item->string, item->valuedouble);
out:
  cJSON_Delete(json);
  ft_free(path);
  return err;
}

static ft_err inspect_prepared(const char *path) {
  ft_err err = FT_OK;
  char *set = NULL;
  FT_TRY(inspect_report(path));
  for (size_t i = 0; i < FT_ARRAY_SIZE(sets); i++) {
    ft_free(set);
    FT_TRY(ft_path_join(path, sets[i], &set));
    if (ft_path_exists(set)) FT_TRY(ft_inspect_shards(set));
  }
out:
  ft_free(set);
  return err;
}

/* ---------------------------------------------------------------- dispatch */

static ft_err unfinished(const char *path) {
  return ft_fail(FT_ERR_DATA,
                 "%s: holds slices of a checkpoint and no manifest.json, so it was never finished; "
                 "use an earlier checkpoint (--step N)",
                 path);
}

static ft_err inspect_directory(const char *path) {
  switch (ft_kind_of(path)) {
  case FT_KIND_CHECKPOINT:
    return ft_inspect_checkpoint(path);
  case FT_KIND_RUN:
    return ft_inspect_run(path);
  case FT_KIND_MODEL:
  case FT_KIND_MODEL_NO_INDEX:
  case FT_KIND_MODEL_PICKLES:
    return ft_inspect_model(path);
  case FT_KIND_ADAPTER:
    return ft_inspect_adapter(path, NULL);
  case FT_KIND_CHECKPOINT_UNFINISHED:
    return unfinished(path);
  case FT_KIND_SHARDS:
    return ft_inspect_shards(path);
  case FT_KIND_PREPARED:
    return inspect_prepared(path);
  default:
    return ft_fail(FT_ERR_DATA,
                   "%s: is neither a model directory, nor an adapter's, nor a folder of token "
                   "shards (*.h5), nor a "
                   "run, nor a checkpoint",
                   path);
  }
}

/* Files that mean nothing without those beside them stand for their directory. */
static bool stands_for_directory(const char *name) {
  static const char *const names[] = {"config.json",        "generation_config.json",
                                      "tokenizer.json",     "tokenizer_config.json",
                                      "ftrun.sha256",       "manifest.json",
                                      "metrics.jsonl",      "model.safetensors.index.json",
                                      "adapter_config.json"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++)
    if (strcmp(name, names[i]) == 0) return true;
  return is_slice_name(name);
}

static ft_err inspect_file(const char *path) {
  ft_err err = FT_OK;
  char *dir = NULL;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  if (stands_for_directory(name)) {
    FT_TRY(ft_format(&dir, "%.*s", slash ? (int)FT_MAX(slash - path, 1) : 1, slash ? path : "."));
    FT_TRY(inspect_directory(dir));
  } else if (ft_ends_with(name, ".safetensors")) {
    FT_TRY(ft_inspect_safetensors(path));
  } else if (ft_ends_with(name, ".h5")) {
    FT_TRY(ft_inspect_shard(path));
  } else {
    FT_TRY(ft_fail(FT_ERR_DATA, "%s: is %s; *.safetensors, *.h5, or a directory was expected", path,
                   ft_kind_name(ft_kind_of(path))));
  }
out:
  ft_free(dir);
  return err;
}

static ft_err inspect(const char *path) {
  ft_err err = FT_OK;
  FT_TRY(ft_cli_alone("inspect"));
  FT_CHECK(ft_path_exists(path), FT_ERR_NOINPUT, "%s: no such file or directory", path);
  FT_TRY(ft_path_is_dir(path) ? inspect_directory(path) : inspect_file(path));
out:
  return err;
}

/* ---------------------------------------------------------------- command line */

typedef struct arguments {
  const char *path, *adapter;
  bool latest;
} arguments;

static const struct argp_option options[] = {
    {"latest", 'l', NULL, 0,
     "Of a run, for scripts: only its newest committed step (-1: none), whether the run is "
     "finished "
     "(yes, no), and the run.attempt that wrote the checkpoint (-: none), on one line",
     0},
    {"adapter", 'a', "DIR", 0, "Inspect this adapter directory, and whether it fits the model PATH",
     0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'l':
    a->latest = true;
    return 0;
  case 'a':
    a->adapter = argument;
    return 0;
  case ARGP_KEY_ARG:
    if (a->path) argp_error(state, "\"%s\" was not expected: one path at a time", argument);
    a->path = argument;
    return 0;
  case ARGP_KEY_END:
    if (!a->path) argp_error(state, "PATH is missing");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

const struct argp ft_cli_inspect_argp = {
    .options = options,
    .parser = take,
    .args_doc = "PATH",
    .doc = "Says what PATH is (a model or adapter directory, a .safetensors file, a token shard or "
           "a folder "
           "of them, a checkpoint, a run), reads all of it and verifies its checksums. What is "
           "damaged is named, with exit status 65."};

int ft_cli_inspect(int argc, char **argv) {
  arguments a = {0};
  ft_cli_parse(&ft_cli_inspect_argp, argc, argv, &a);
  ft_err err = a.latest    ? ft_inspect_latest(a.path)
               : a.adapter ? ft_inspect_adapter(a.adapter, a.path)
                           : inspect(a.path);
  return ft_cli_end(err);
}
