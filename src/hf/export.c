/* A model directory from blocks of elements: everything is written into a directory of another
 * name beside OUT, which takes its name when it is complete. Memory is a few pieces. */
#include <string.h>
#include <unistd.h>

#include "ft/kernels.h"
#include "hf_internal.h"

enum { PIECE_ELEMENTS = 1 << 20 };
static const int64_t default_shard_bytes = 5000000000;

/* A tensor of the export: which elements, under which name, in which file. */
typedef struct item {
  int64_t block, offset; /* of its first element in the block's flat array */
  ft_safetensor tensor;  /* its name is in the exporter's `names` */
  int64_t file;          /* number of its safetensors file */
} item;

typedef struct exporter {
  const ft_hf_source *source;
  ft_dtype dtype;
  const char *dir; /* written into */
  item *items;     /* [num_items] in the order of Hugging Face's state dict */
  int64_t num_items, num_files, total_bytes;
  char (*names)[FT_HF_NAME_BYTES];
  float *values; /* [PIECE_ELEMENTS] */
  void *raw;     /* [PIECE_ELEMENTS] */
} exporter;

/* ---------------------------------------------------------------- what is written */

static void add_item(exporter *ex, const ft_layout *layout, int64_t block, const ft_tensor *t) {
  item *it = &ex->items[ex->num_items];
  char *name = ex->names[ex->num_items++];
  ft_hf_tensor_name(&layout->blocks[block], t->role, name, FT_HF_NAME_BYTES);
  *it = (item){.block = block, .offset = t->offset};
  it->tensor = (ft_safetensor){
      .name = name, .dtype = ex->dtype, .num_dims = t->num_dims, .elements = ft_tensor_elements(t)};
  it->tensor.dims[0] = t->num_dims == 2 ? t->rows : t->cols;
  if (t->num_dims == 2) it->tensor.dims[1] = t->cols;
}

/* Files are filled greedily; a tensor larger than a file may be is alone in its own. */
static void assign_files(exporter *ex, int64_t max_shard_bytes) {
  int64_t used = 0;
  for (int64_t i = 0; i < ex->num_items; i++) {
    int64_t bytes = ex->items[i].tensor.elements * (int64_t)ft_dtype_bytes(ex->dtype);
    if (ex->num_files == 0 || (used > 0 && bytes > max_shard_bytes - used)) {
      ex->num_files++;
      used = 0;
    }
    ex->items[i].file = ex->num_files - 1;
    used += bytes;
    ex->total_bytes += bytes;
  }
}

static ft_err list_items(exporter *ex, const ft_layout *layout, int64_t max_shard_bytes) {
  ft_err err = FT_OK;
  int64_t room = FT_MAX_BLOCK_TENSORS * layout->num_blocks;
  FT_TRY(ft_alloc_array(FT_MEM_IO, room, sizeof *ex->items, (void **)&ex->items));
  FT_TRY(ft_alloc_array(FT_MEM_IO, room, FT_HF_NAME_BYTES, (void **)&ex->names));
  for (int64_t block = 0; block < layout->num_blocks; block++) {
    for (int i = 0; i < FT_HF_NUM_ROLES; i++) {
      const ft_tensor *t = ft_block_tensor(&layout->blocks[block], ft_hf_state_order[i]);
      if (t) add_item(ex, layout, block, t);
    }
  }
  assign_files(ex, max_shard_bytes > 0 ? max_shard_bytes : default_shard_bytes);
out:
  return err;
}

/* ---------------------------------------------------------------- weights */

static ft_err file_name(const exporter *ex, int64_t file, char **out) {
  if (ex->num_files == 1) return ft_strdup("model.safetensors", out);
  return ft_format(out, "model-%05lld-of-%05lld.safetensors", (long long)file + 1,
                   (long long)ex->num_files);
}

/* Values must be finite, and stay so in the number format they are written in. */
static ft_err check_values(const exporter *ex, const item *it, int64_t first, int64_t count) {
  int64_t bad = ft_hf_first_not_finite(ex->values, count);
  if (bad >= 0)
    return ft_fail(FT_ERR_DATA, "element %lld of %s is %g: these weights cannot be used",
                   (long long)(first + bad), it->tensor.name, (double)ex->values[bad]);
  if (ex->dtype != FT_F16) return FT_OK;
  for (int64_t i = 0; i < count; i++)
    if (ex->values[i] >= 65520.0f || ex->values[i] <= -65520.0f)
      return ft_fail(FT_ERR_DATA,
                     "element %lld of %s is %g, which float16 cannot hold: export as bf16 or fp32",
                     (long long)(first + i), it->tensor.name, (double)ex->values[i]);
  return FT_OK;
}

static ft_err write_tensor(exporter *ex, const item *it, ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  for (int64_t first = 0; first < it->tensor.elements; first += PIECE_ELEMENTS) {
    int64_t n = FT_MIN((int64_t)PIECE_ELEMENTS, it->tensor.elements - first);
    FT_TRY(ex->source->read(ex->source->arg, it->block, it->offset + first, n, ex->values));
    FT_TRY(check_values(ex, it, first, n));
    ft_convert(ex->dtype, ex->raw, FT_F32, ex->values, n);
    FT_TRY(ft_safetensors_write(w, ex->raw, (size_t)n * ft_dtype_bytes(ex->dtype)));
  }
out:
  return err;
}

/* Items first … end-1 into one file. */
static ft_err write_weights_file(exporter *ex, int64_t first, int64_t end) {
  ft_err err = FT_OK;
  char *name = NULL, *path = NULL;
  ft_safetensor *tensors = NULL;
  ft_safetensors_writer *w = NULL;
  FT_TRY(file_name(ex, ex->items[first].file, &name));
  FT_TRY(ft_path_join(ex->dir, name, &path));
  FT_TRY(ft_alloc_array(FT_MEM_IO, end - first, sizeof *tensors, (void **)&tensors));
  for (int64_t i = first; i < end; i++)
    tensors[i - first] = ex->items[i].tensor;
  FT_TRY(ft_safetensors_writer_new(path, tensors, end - first, &w));
  for (int64_t i = first; i < end; i++)
    FT_TRY(write_tensor(ex, &ex->items[i], w));
  err = ft_safetensors_writer_close(w, true);
  w = NULL;
out:
  if (w) (void)ft_safetensors_writer_close(w, false);
  ft_free(tensors);
  ft_free(name);
  ft_free(path);
  return err;
}

static ft_err write_index(const exporter *ex) {
  ft_err err = FT_OK;
  char *path = NULL, *name = NULL;
  cJSON *index = cJSON_CreateObject();
  cJSON *metadata = cJSON_AddObjectToObject(index, "metadata");
  cJSON *map = cJSON_AddObjectToObject(index, "weight_map");
  bool complete =
      metadata && map && cJSON_AddNumberToObject(metadata, "total_size", (double)ex->total_bytes);
  for (int64_t i = 0; complete && i < ex->num_items; i++) {
    FT_TRY(file_name(ex, ex->items[i].file, &name));
    complete = cJSON_AddStringToObject(map, ex->items[i].tensor.name, name) != NULL;
    ft_free(name);
    name = NULL;
  }
  FT_CHECK(complete, FT_ERR_MEMORY, "no memory for the index of %s", ex->dir);
  FT_TRY(ft_path_join(ex->dir, "model.safetensors.index.json", &path));
  FT_TRY(ft_json_write(path, index));
out:
  ft_free(name);
  ft_free(path);
  cJSON_Delete(index);
  return err;
}

static ft_err write_weights(exporter *ex) {
  ft_err err = FT_OK;
  FT_TRY(ft_alloc_array(FT_MEM_IO, PIECE_ELEMENTS, sizeof(float), (void **)&ex->values));
  FT_TRY(ft_alloc_array(FT_MEM_IO, PIECE_ELEMENTS, sizeof(float), &ex->raw));
  for (int64_t first = 0, end; first < ex->num_items; first = end) {
    for (end = first + 1; end < ex->num_items && ex->items[end].file == ex->items[first].file;)
      end++;
    FT_TRY(write_weights_file(ex, first, end));
  }
  if (ex->num_files > 1) FT_TRY(write_index(ex));
out:
  return err;
}

/* ---------------------------------------------------------------- config.json */

static bool set_string(cJSON *object, const char *name, const char *value) {
  cJSON *string = cJSON_CreateString(value);
  bool there = ft_json_get(object, name) != NULL;
  bool done = string && (there ? cJSON_ReplaceItemInObjectCaseSensitive(object, name, string)
                               : cJSON_AddItemToObject(object, name, string));
  if (!done) cJSON_Delete(string);
  return done;
}

/* The input's config with the number format in whichever field it has (both, if it has both). */
static ft_err write_config(const exporter *ex, const cJSON *input) {
  static const char *const dtype_names[] = {
      [FT_F32] = "float32", [FT_BF16] = "bfloat16", [FT_F16] = "float16"};
  ft_err err = FT_OK;
  char *path = NULL;
  cJSON *json = cJSON_Duplicate(input, true);
  const char *name = dtype_names[ex->dtype];
  bool has_new = json && ft_json_get(json, "dtype");
  bool has_old = json && ft_json_get(json, "torch_dtype");
  FT_CHECK(json && (!has_new || set_string(json, "dtype", name)) &&
               ((has_new && !has_old) || set_string(json, "torch_dtype", name)),
           FT_ERR_MEMORY, "no memory for the config of %s", ex->dir);
  FT_TRY(ft_path_join(ex->dir, "config.json", &path));
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

static ft_err write_all(exporter *ex, const char *model_dir, const ft_hf_config *config,
                        int64_t max_shard_bytes) {
  ft_err err = FT_OK;
  FT_TRY(list_items(ex, config->layout, max_shard_bytes));
  FT_TRY(write_config(ex, config->json));
  if (model_dir) FT_TRY(ft_hf_copy_companions(model_dir, ex->dir));
  FT_TRY(write_weights(ex));
  FT_TRY(ft_hf_write_sums(ex->dir));
out:
  ft_free(ex->items);
  ft_free(ex->names);
  ft_free(ex->values);
  ft_free(ex->raw);
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

ft_err ft_hf_export(const char *model_dir, const ft_hf_config *config, const ft_hf_source *source,
                    ft_dtype dtype, int64_t max_shard_bytes, const char *out_dir) {
  ft_err err = FT_OK;
  char *target = NULL, *partial = NULL;
  bool made = false;
  FT_TRY(clean_path(out_dir, &target));
  FT_TRY(check_out(target));
  FT_TRY(ft_format(&partial, "%s.partial-%ld", target, (long)getpid()));
  FT_TRY(ft_remove_tree(partial));
  made = true;
  FT_TRY(ft_make_dirs(partial));
  exporter ex = {.source = source, .dtype = dtype, .dir = partial};
  FT_TRY(write_all(&ex, model_dir, config, max_shard_bytes));
  FT_TRY(ft_commit_file(partial, target)); /* a directory is fsynced and renamed like a file */
  made = false;
out:
  if (made && err != FT_OK) remove_partial(partial, err);
  ft_free(target);
  ft_free(partial);
  return err;
}
