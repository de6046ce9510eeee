/* The weights of an export: streamed from where they are to files in the form of those that were
 * read: the same names and, where the input is at hand, the same tensors in the same files. Memory
 * is a few pieces. */
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "ft/kernels.h"
#include "names.h"

enum { PIECE_ELEMENTS = 1 << 20, BAND_ELEMENTS = 1 << 24 };
static const int64_t default_shard_bytes = 5000000000;

/* A tensor of the export. */
typedef struct item {
  const ft_hf_file_tensor *ours; /* made of tensors of ours, or … */
  const ft_safetensor *foreign;  /* … copied from the input as it is, or … */
  const ft_safetensor *frozen;   /* … copied from it in the export's dtype: nobody trained it */
  int64_t file, number;          /* in which file, and its place among all */
  ft_safetensor tensor;
} item;

typedef struct exporter {
  const ft_hf_config *config;
  const ft_hf_source *source;
  ft_dtype dtype;
  const char *dir; /* written into */
  const ft_hf_weights *weights;
  ft_safetensors *input;      /* the files that were read; NULL: not at hand */
  ft_hf_file_tensor *tensors; /* [num_tensors] */
  int64_t num_tensors;
  item *items; /* [num_items] by file */
  int64_t num_items, num_files, total_bytes;
  bool as_input;               /* files are those of the input */
  char head[FT_HF_NAME_BYTES]; /* name of a head that the layout does not have */
  float *values;               /* [PIECE_ELEMENTS] */
  float *band;                 /* [BAND_ELEMENTS] of transposed tensors; NULL until there is one */
  void *raw;                   /* [PIECE_ELEMENTS] */
} exporter;

/* ---------------------------------------------------------------- what is written */

static ft_err add_ours(exporter *ex, ft_hf_file_tensor *t) {
  bool trained = ex->config->layout->blocks[t->parts[0].block].trained;
  item *it = &ex->items[ex->num_items];
  *it = (item){.ours = t, .number = ex->num_items};
  it->tensor = (ft_safetensor){.name = t->name,
                               .dtype = ex->dtype,
                               .num_dims = t->num_dims,
                               .dims = {t->dims[0], t->dims[1]},
                               .elements = t->elements,
                               .bytes = t->elements * (int64_t)ft_dtype_bytes(ex->dtype)};
  if (!trained && ex->input) it->frozen = ft_hf_find_source(ex->input, ex->config->naming, t);
  if (!trained && !it->frozen)
    return ft_fail(FT_ERR_NOINPUT,
                   "%s was frozen and is not in the checkpoint: the model directory that the run "
                   "began with is needed, and is not there or has no such tensor",
                   t->name);
  ex->num_items++;
  return FT_OK;
}

/* The head of a model that was tied: what the embedding was. */
static void add_head(exporter *ex) {
  item *it = &ex->items[ex->num_items++];
  const item *embedding = ex->items; /* listed first */
  FT_ASSERT(embedding->ours->parts[0].tensor.role == FT_ROLE_EMBEDDING && embedding->frozen);
  ft_hf_role_name(ex->config->naming, -1, FT_ROLE_HEAD, ex->head, sizeof ex->head);
  *it = *embedding;
  it->ours = NULL;
  it->number = ex->num_items - 1;
  it->tensor.name = ex->head;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of a composite directory, what is not of its text part and not of no use. */
static ft_err add_foreign(exporter *ex) {
  ft_err err = FT_OK;
  const char **ours = NULL;
  char head[FT_HF_NAME_BYTES];
  FT_TRY(ft_alloc_array(FT_MEM_IO, ex->num_tensors + 1, sizeof *ours, (void **)&ours));
  for (int64_t i = 0; i < ex->num_tensors; i++)
    ours[i] = ex->tensors[i].name;
  ft_hf_role_name(ex->config->naming, -1, FT_ROLE_HEAD, head, sizeof head);
  ours[ex->num_tensors] = head; /* of a tied model it is no other part either */
  qsort(ours, (size_t)ex->num_tensors + 1, sizeof *ours, by_name);
  for (int64_t i = 0; i < ft_safetensors_count(ex->input); i++) {
    const ft_safetensor *t = ft_safetensors_at(ex->input, i);
    const char *name = t->name;
    if (bsearch(&name, ours, (size_t)ex->num_tensors + 1, sizeof *ours, by_name)) continue;
    if (ft_hf_is_of_no_use(ex->config->naming, name)) continue;
    ex->items[ex->num_items] = (item){.foreign = t, .number = ex->num_items, .tensor = *t};
    ex->num_items++;
  }
out:
  ft_free(ours);
  return err;
}

/* Files are filled greedily; a tensor larger than a file may be is alone in its own. */
static void fill_files(exporter *ex, int64_t max_shard_bytes) {
  int64_t used = 0;
  for (int64_t i = 0; i < ex->num_items; i++) {
    int64_t bytes = ex->items[i].tensor.bytes;
    if (ex->num_files == 0 || (used > 0 && bytes > max_shard_bytes - used)) {
      ex->num_files++;
      used = 0;
    }
    ex->items[i].file = ex->num_files - 1;
    used += bytes;
  }
}

static int64_t file_of(const exporter *ex, const char *name) {
  const ft_safetensor *t = ft_safetensors_find(ex->input, name);
  const char *path = t ? ft_safetensors_file(ex->input, t) : NULL;
  for (int64_t i = 0; path && i < ft_safetensors_num_files(ex->input); i++)
    if (path == ft_safetensors_file_at(ex->input, i)) return i;
  return -1;
}

static int by_file(const void *a, const void *b) {
  const item *x = a, *y = b;
  if (x->file != y->file) return x->file < y->file ? -1 : 1;
  return x->number < y->number ? -1 : 1;
}

/* Each tensor goes to the file that it was read from; one that was not there to its neighbour's. */
static void follow_files(exporter *ex) {
  int64_t last = 0;
  ex->as_input = true;
  ex->num_files = ft_safetensors_num_files(ex->input);
  for (int64_t i = 0; i < ex->num_items; i++) {
    int64_t file = file_of(ex, ex->items[i].tensor.name);
    last = ex->items[i].file = file >= 0 ? file : last;
  }
  qsort(ex->items, (size_t)ex->num_items, sizeof(item), by_file);
}

static ft_err list_items(exporter *ex, int64_t max_shard_bytes) {
  ft_err err = FT_OK;
  const ft_hf_naming *naming = ex->config->naming;
  FT_TRY(ft_hf_list_tensors(naming, ex->config->layout, &ex->tensors, &ex->num_tensors));
  int64_t room = ex->num_tensors + 1 + (ex->input ? ft_safetensors_count(ex->input) : 0);
  FT_TRY(ft_alloc_array(FT_MEM_IO, room, sizeof *ex->items, (void **)&ex->items));
  for (int64_t i = 0; i < ex->num_tensors; i++)
    FT_TRY(add_ours(ex, &ex->tensors[i]));
  if (ex->weights->adds_head) add_head(ex);
  if (naming->composite) FT_TRY(add_foreign(ex));
  for (int64_t i = 0; i < ex->num_items; i++)
    ex->total_bytes += ex->items[i].tensor.bytes;
  if (ex->input && max_shard_bytes == 0)
    follow_files(ex);
  else
    fill_files(ex, max_shard_bytes > 0 ? max_shard_bytes : default_shard_bytes);
out:
  return err;
}

/* ---------------------------------------------------------------- one tensor */

/* Values must be finite, and stay so in the number format they are written in. */
static ft_err check_values(const exporter *ex, const item *it, const float *values, int64_t first,
                           int64_t count) {
  int64_t bad = ft_hf_first_not_finite(values, count);
  if (bad >= 0)
    return ft_fail(FT_ERR_DATA, "element %lld of %s is %g: these weights cannot be used",
                   (long long)(first + bad), it->tensor.name, (double)values[bad]);
  if (ex->dtype != FT_F16) return FT_OK;
  for (int64_t i = 0; i < count; i++)
    if (values[i] >= 65520.0f || values[i] <= -65520.0f)
      return ft_fail(FT_ERR_DATA,
                     "element %lld of %s is %g, which float16 cannot hold: export as bf16 or fp32",
                     (long long)(first + i), it->tensor.name, (double)values[i]);
  return FT_OK;
}

/* Elements first … first+count-1 of the file's tensor, which are in ex->values or the band. */
static ft_err put(exporter *ex, const item *it, const float *values, int64_t first, int64_t count,
                  ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  for (int64_t done = 0; done < count; done += PIECE_ELEMENTS) {
    int64_t n = FT_MIN((int64_t)PIECE_ELEMENTS, count - done);
    FT_TRY(check_values(ex, it, values + done, first + done, n));
    ft_convert(ex->dtype, ex->raw, FT_F32, values + done, n);
    FT_TRY(ft_safetensors_write(w, ex->raw, (size_t)n * ft_dtype_bytes(ex->dtype)));
  }
out:
  return err;
}

static ft_err write_part(exporter *ex, const item *it, const ft_hf_part *part, int64_t *at,
                         ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  int64_t elements = ft_tensor_elements(&part->tensor);
  for (int64_t first = 0; first < elements; first += PIECE_ELEMENTS) {
    int64_t n = FT_MIN((int64_t)PIECE_ELEMENTS, elements - first);
    FT_TRY(
        ex->source->read(ex->source->arg, part->block, part->tensor.offset + first, n, ex->values));
    FT_TRY(put(ex, it, ex->values, *at, n, w));
    *at += n;
  }
out:
  return err;
}

/* Rows row … row+count-1 of a part of a transposed tensor, which are columns of ours, to the band.
 */
static ft_err turn_part(exporter *ex, const item *it, const ft_hf_part *part, int64_t row,
                        int64_t count) {
  ft_err err = FT_OK;
  int64_t width = it->ours->dims[1];
  for (int64_t r = 0; r < part->tensor.rows; r++) {
    FT_TRY(ex->source->read(ex->source->arg, part->block,
                            part->tensor.offset + r * part->tensor.cols + row, count, ex->values));
    for (int64_t i = 0; i < count; i++)
      ex->band[i * width + part->first + r] = ex->values[i];
  }
out:
  return err;
}

static ft_err write_transposed(exporter *ex, const item *it, ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  int64_t rows = it->ours->dims[0], width = it->ours->dims[1];
  int64_t at_once = FT_MIN((int64_t)BAND_ELEMENTS / width, (int64_t)PIECE_ELEMENTS);
  FT_CHECK(at_once > 0, FT_ERR_DATA, "%s has %lld columns; at most %d are supported",
           it->tensor.name, (long long)width, BAND_ELEMENTS);
  if (!ex->band)
    FT_TRY(ft_alloc_array(FT_MEM_IO, BAND_ELEMENTS, sizeof(float), (void **)&ex->band));
  for (int64_t row = 0; row < rows; row += at_once) {
    int64_t count = FT_MIN(at_once, rows - row);
    for (int i = 0; i < it->ours->num_parts; i++)
      FT_TRY(turn_part(ex, it, &it->ours->parts[i], row, count));
    FT_TRY(put(ex, it, ex->band, row * width, count * width, w));
  }
out:
  return err;
}

static ft_err write_foreign(exporter *ex, const item *it, ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  const int64_t piece = PIECE_ELEMENTS * (int64_t)sizeof(float);
  for (int64_t at = 0; at < it->foreign->bytes; at += piece) {
    int64_t n = FT_MIN(piece, it->foreign->bytes - at);
    FT_TRY(ft_safetensors_read_bytes(ex->input, it->foreign, at, n, ex->raw));
    FT_TRY(ft_safetensors_write(w, ex->raw, (size_t)n));
  }
out:
  return err;
}

static ft_err write_frozen(exporter *ex, const item *it, ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  for (int64_t at = 0; at < it->frozen->elements; at += PIECE_ELEMENTS) {
    int64_t n = FT_MIN((int64_t)PIECE_ELEMENTS, it->frozen->elements - at);
    FT_TRY(ft_safetensors_read(ex->input, it->frozen, at, n, ex->raw));
    ft_convert(FT_F32, ex->values, it->frozen->dtype, ex->raw, n);
    FT_TRY(put(ex, it, ex->values, at, n, w));
  }
out:
  return err;
}

/* The same with what a method has added, whole rows at a time. */
static ft_err write_merged(exporter *ex, const item *it, ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  ft_hf_merger *merger = NULL;
  int64_t width = it->ours->num_dims == 2 ? it->ours->dims[1] : 1, rows = it->ours->dims[0];
  int64_t at_once = (int64_t)PIECE_ELEMENTS / width;
  FT_CHECK(at_once > 0, FT_ERR_DATA, "%s has %lld columns; at most %d are supported",
           it->tensor.name, (long long)width, PIECE_ELEMENTS);
  FT_TRY(ft_hf_merger_new(ex->config, ex->source, it->ours, ex->input, it->frozen, &merger));
  for (int64_t row = 0; row < rows; row += at_once) {
    int64_t n = FT_MIN(at_once, rows - row);
    FT_TRY(ft_safetensors_read(ex->input, it->frozen, row * width, n * width, ex->raw));
    ft_convert(FT_F32, ex->values, it->frozen->dtype, ex->raw, n * width);
    ft_hf_merge_rows(merger, row, n, ex->values);
    FT_TRY(put(ex, it, ex->values, row * width, n * width, w));
  }
out:
  ft_hf_merger_free(merger);
  return err;
}

static ft_err write_tensor(exporter *ex, const item *it, ft_safetensors_writer *w) {
  ft_err err = FT_OK;
  int64_t at = 0;
  if (it->foreign) return write_foreign(ex, it, w);
  if (it->frozen && it->ours && ex->weights->merges && ft_hf_is_merged(ex->config, it->ours))
    return write_merged(ex, it, w);
  if (it->frozen) return write_frozen(ex, it, w);
  if (it->ours->transposed) return write_transposed(ex, it, w);
  for (int i = 0; i < it->ours->num_parts; i++)
    FT_TRY(write_part(ex, it, &it->ours->parts[i], &at, w));
out:
  return err;
}

/* ---------------------------------------------------------------- files */

static ft_err file_name(const exporter *ex, int64_t file, char **out) {
  if (ex->num_files == 1) return ft_strdup("model.safetensors", out);
  if (!ex->as_input)
    return ft_format(out, "model-%05lld-of-%05lld.safetensors", (long long)file + 1,
                     (long long)ex->num_files);
  const char *path = ft_safetensors_file_at(ex->input, file), *slash = strrchr(path, '/');
  return ft_strdup(slash ? slash + 1 : path, out);
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

static ft_err write_files(exporter *ex) {
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

ft_err ft_hf_write_weights(const ft_hf_weights *weights, const char *out_dir) {
  ft_err err = FT_OK;
  const ft_hf_config *config = weights->config;
  const char *model_dir = weights->model_dir;
  exporter ex = {.config = config,
                 .source = weights->source,
                 .dtype = weights->dtype,
                 .dir = out_dir,
                 .weights = weights};
  /* Weights that are gone, or never were, leave the form open; but a composite's other parts come
   * from them. `init` takes nothing but texts from model_dir, whatever else is there. */
  bool at_hand =
      model_dir && config->naming->found && ft_safetensors_open(model_dir, &ex.input) == FT_OK;
  FT_CHECK(at_hand || !config->naming->composite, FT_ERR_DATA,
           "%s: the parts of such a model that are not trained are copied from the weights it "
           "began with, and there are none (a text model alone has the text_config as its "
           "config.json)",
           model_dir ? model_dir : out_dir);
  FT_TRY(list_items(&ex, weights->max_shard_bytes));
  FT_TRY(write_files(&ex));
out:
  ft_free(ex.items);
  ft_free(ex.tensors);
  ft_free(ex.values);
  ft_free(ex.band);
  ft_free(ex.raw);
  ft_safetensors_close(ex.input);
  return err;
}
