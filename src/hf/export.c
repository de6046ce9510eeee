/* A model directory from blocks of elements: everything is written into a directory of another
 * name beside OUT, which takes its name when it is complete. */
#include "export.h"

#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------- config.json */

/* Replaces a member in its place, or adds it. The value (NULL: no memory) is taken over. */
static bool set(cJSON *object, const char *name, cJSON *value) {
  bool there = ft_json_get(object, name) != NULL;
  bool done = value && (there ? cJSON_ReplaceItemInObjectCaseSensitive(object, name, value)
                              : cJSON_AddItemToObject(object, name, value));
  if (!done) cJSON_Delete(value);
  return done;
}

/* Sets the number format in whichever field an object has (both, if it has both). `always`: also
 * where it has none, in the one that both versions of transformers read. */
static bool set_dtype(cJSON *object, const char *name, bool always) {
  bool has_new = ft_json_get(object, "dtype"), has_old = ft_json_get(object, "torch_dtype");
  if (has_new && !set(object, "dtype", cJSON_CreateString(name))) return false;
  if (!has_old && (has_new || !always)) return true;
  return set(object, "torch_dtype", cJSON_CreateString(name));
}

/* The head has a matrix of its own now. */
static bool untie(cJSON *object) {
  return set(object, "tie_word_embeddings", cJSON_CreateFalse());
}

/* The input's config with the number format of the weights; of a composite also in its text part.
 */
static ft_err write_config(const char *dir, const cJSON *input, ft_dtype dtype, bool untied) {
  static const char *const dtype_names[] = {
      [FT_F32] = "float32", [FT_BF16] = "bfloat16", [FT_F16] = "float16"};
  ft_err err = FT_OK;
  char *path = NULL;
  cJSON *json = cJSON_Duplicate(input, true);
  cJSON *text = json ? ft_json_get(json, "text_config") : NULL;
  FT_CHECK(json && set_dtype(json, dtype_names[dtype], true) &&
               (!cJSON_IsObject(text) || set_dtype(text, dtype_names[dtype], false)) &&
               (!untied || untie(json)) && (!untied || !cJSON_IsObject(text) || untie(text)),
           FT_ERR_MEMORY, "no memory for the config of %s", dir);
  FT_TRY(ft_path_join(dir, "config.json", &path));
  FT_TRY(ft_json_write(path, json));
out:
  ft_free(path);
  cJSON_Delete(json);
  return err;
}

/* ---------------------------------------------------------------- the directory */

/* OUT without slashes at its end (which would put the partial directory inside it). */
static ft_err clean_path(const char *path, char **out) {
  ft_err err = ft_strdup(path, out);
  if (err != FT_OK) return err;
  size_t length = strlen(*out);
  while (length > 1 && (*out)[length - 1] == '/')
    (*out)[--length] = 0;
  return FT_OK;
}

/* OUT must be new, or an empty directory. */
static ft_err check_out(const char *out_dir) {
  ft_err err = FT_OK;
  char **names = NULL;
  int64_t num_names = 0;
  if (!ft_path_exists(out_dir)) return FT_OK;
  FT_CHECK(ft_path_is_dir(out_dir), FT_ERR_CREATE, "%s exists and is not a directory", out_dir);
  FT_TRY(ft_list_dir(out_dir, &names, &num_names));
  FT_CHECK(num_names == 0, FT_ERR_CREATE,
           "%s exists and is not empty: choose another directory, or remove it first", out_dir);
out:
  ft_free_names(names, num_names);
  return err;
}

/* Removes what a failed export left, keeping the message of the failure. */
static void remove_partial(const char *partial, ft_err failure) {
  char *message = NULL;
  (void)ft_strdup(ft_error_message(), &message);
  (void)ft_remove_tree(partial);
  if (message) (void)ft_fail(failure, "%s", message);
  ft_free(message);
}

ft_err ft_hf_make_directory(const char *out_dir, ft_err (*write)(void *arg, const char *dir),
                            void *arg) {
  ft_err err = FT_OK;
  char *target = NULL, *partial = NULL;
  bool made = false;
  FT_TRY(clean_path(out_dir, &target));
  FT_TRY(check_out(target));
  FT_TRY(ft_format(&partial, "%s.partial-%ld", target, (long)getpid()));
  FT_TRY(ft_remove_tree(partial));
  made = true;
  FT_TRY(ft_make_dirs(partial));
  FT_TRY(write(arg, partial));
  FT_TRY(ft_commit_file(partial, target)); /* a directory is fsynced and renamed like a file */
  made = false;
out:
  if (made && err != FT_OK) remove_partial(partial, err);
  ft_free(target);
  ft_free(partial);
  return err;
}

/* ---------------------------------------------------------------- a model */

static ft_err write_model(void *arg, const char *dir) {
  ft_err err = FT_OK;
  const ft_hf_weights *w = arg;
  FT_TRY(write_config(dir, w->config->json, w->dtype, w->untied));
  if (w->model_dir) FT_TRY(ft_hf_copy_companions(w->model_dir, dir));
  FT_TRY(ft_hf_write_weights(w, dir));
  FT_TRY(ft_hf_write_sums(dir));
out:
  return err;
}

ft_err ft_hf_export(const char *model_dir, const ft_hf_config *config, const ft_hf_source *source,
                    ft_dtype dtype, int64_t max_shard_bytes, const char *out_dir) {
  ft_hf_weights w = {.config = config,
                     .model_dir = model_dir,
                     .source = source,
                     .dtype = dtype,
                     .max_shard_bytes = max_shard_bytes};
  return ft_hf_make_directory(out_dir, write_model, &w);
}

ft_err ft_hf_export_merged(const char *base_dir, const ft_hf_config *config,
                           const ft_hf_method *method, const ft_hf_source *source, ft_dtype dtype,
                           const char *out_dir) {
  ft_err err = FT_OK;
  ft_hf_weights w = {
      .config = config, .model_dir = base_dir, .source = source, .dtype = dtype, .merges = true};
  FT_TRY(ft_hf_check_merge(config, method));
  ft_hf_find_head(config, &w);
  FT_TRY(ft_hf_make_directory(out_dir, write_model, &w));
out:
  return err;
}
