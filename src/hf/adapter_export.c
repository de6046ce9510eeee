/* Writes an adapter directory as PEFT or the adapters library does. */
#include <string.h>

#include "export.h"
#include "ft/kernels.h"

enum { PIECE_ELEMENTS = 1 << 18 };

typedef struct writer {
  const char *base_dir;
  const ft_hf_config *config;
  const ft_hf_method *method;
  const ft_hf_source *source;
  ft_safetensors *base; /* the model's own, where something of it goes along */
  ft_hf_adapter_list list;
  ft_safetensors_writer *file;
  void *raw;           /* [PIECE_ELEMENTS] of any dtype */
  float *values, *run; /* [PIECE_ELEMENTS] */
} writer;

/* ---------------------------------------------------------------- elements */

/* The next `count` ≤ PIECE_ELEMENTS of the tensor. */
static ft_err put(writer *w, const ft_hf_adapter_tensor *t, const float *values, int64_t count) {
  int64_t bad = ft_hf_first_not_finite(values, count);
  if (bad >= 0)
    return ft_fail(FT_ERR_DATA, "an element of %s is %g: this adapter cannot be used", t->name,
                   (double)values[bad]);
  ft_convert(t->dtype, w->raw, FT_F32, values, count);
  return ft_safetensors_write(w->file, w->raw, (size_t)count * ft_dtype_bytes(t->dtype));
}

static ft_err read(const writer *w, const ft_hf_part *part, int64_t first, int64_t count,
                   float *out) {
  return w->source->read(w->source->arg, part->block, part->tensor.offset + first, count, out);
}

/* Elements first … of a part, which are the next of the tensor. */
static ft_err write_run(writer *w, const ft_hf_adapter_tensor *t, const ft_hf_part *part,
                        int64_t first, int64_t count) {
  ft_err err = FT_OK;
  for (int64_t at = 0; at < count; at += PIECE_ELEMENTS) {
    int64_t n = FT_MIN((int64_t)PIECE_ELEMENTS, count - at);
    FT_TRY(read(w, part, first + at, n, w->values));
    FT_TRY(put(w, t, w->values, n));
  }
out:
  return err;
}

/* Rows row … row+count-1 of the tensor, which are columns of ours, to w->values. */
static ft_err turn(writer *w, const ft_hf_adapter_tensor *t, int64_t row, int64_t count) {
  ft_err err = FT_OK;
  for (int64_t i = 0; i < t->num_parts; i++) {
    const ft_hf_part *part = &w->list.parts[t->first_part + i];
    for (int64_t r = 0; r < part->tensor.rows; r++) {
      FT_TRY(read(w, part, r * part->tensor.cols + row, count, w->run));
      for (int64_t k = 0; k < count; k++)
        w->values[k * t->dims[1] + part->first + r] = w->run[k];
    }
  }
out:
  return err;
}

static ft_err write_turned(writer *w, const ft_hf_adapter_tensor *t) {
  ft_err err = FT_OK;
  int64_t at_once = (int64_t)PIECE_ELEMENTS / t->dims[1];
  FT_CHECK(at_once > 0, FT_ERR_DATA, "%s has %lld columns; at most %d are supported", t->name,
           (long long)t->dims[1], PIECE_ELEMENTS);
  for (int64_t row = 0; row < t->dims[0]; row += at_once) {
    int64_t count = FT_MIN(at_once, t->dims[0] - row);
    FT_TRY(turn(w, t, row, count));
    FT_TRY(put(w, t, w->values, count * t->dims[1]));
  }
out:
  return err;
}

/* The model's own tensor. */
static ft_err write_base(writer *w, const ft_hf_adapter_tensor *t) {
  ft_err err = FT_OK;
  const ft_safetensor *from = ft_safetensors_find(w->base, t->base_name);
  FT_CHECK(from != NULL, FT_ERR_NOINPUT, "%s has no %s", w->base_dir, t->base_name);
  for (int64_t at = 0; at < from->elements; at += PIECE_ELEMENTS) {
    int64_t n = FT_MIN((int64_t)PIECE_ELEMENTS, from->elements - at);
    FT_TRY(ft_safetensors_read(w->base, from, at, n, w->raw));
    ft_convert(FT_F32, w->values, from->dtype, w->raw, n);
    FT_TRY(put(w, t, w->values, n));
  }
out:
  return err;
}

static ft_err write_tensor(writer *w, const ft_hf_adapter_tensor *t) {
  ft_err err = FT_OK;
  const ft_hf_part *parts = w->list.parts + t->first_part;
  if (t->base_name[0]) return write_base(w, t);
  if (t->lay == FT_LAY_TURNED) return write_turned(w, t);
  int64_t rows = t->lay == FT_LAY_COLUMNS ? t->dims[0] : 1;
  for (int64_t row = 0; row < rows; row++) /* of all parts, or all of each part */
    for (int64_t i = 0; i < t->num_parts; i++) {
      int64_t count = ft_tensor_elements(&parts[i].tensor) / rows;
      FT_TRY(write_run(w, t, &parts[i], row * count, count));
    }
out:
  return err;
}

/* ---------------------------------------------------------------- files */

static ft_err write_tensors(writer *w, const char *path) {
  ft_err err = FT_OK;
  void *p;
  ft_safetensor *tensors = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_IO, w->list.num, sizeof *tensors, &p));
  tensors = p;
  for (int64_t i = 0; i < w->list.num; i++) {
    ft_hf_adapter_tensor *t = &w->list.tensors[i];
    tensors[i] = (ft_safetensor){.name = t->name,
                                 .dtype = t->dtype,
                                 .num_dims = t->num_dims,
                                 .dims = {t->dims[0], t->dims[1]}};
  }
  FT_TRY(ft_safetensors_writer_new(path, tensors, w->list.num, &w->file));
  for (int64_t i = 0; i < w->list.num; i++)
    FT_TRY(write_tensor(w, &w->list.tensors[i]));
  err = ft_safetensors_writer_close(w->file, true);
  w->file = NULL;
out:
  if (w->file) (void)ft_safetensors_writer_close(w->file, false);
  w->file = NULL;
  ft_free(tensors);
  return err;
}

static ft_err allocate(writer *w) {
  ft_err err = FT_OK;
  void *p;
  FT_TRY(ft_alloc(FT_MEM_IO, PIECE_ELEMENTS * sizeof(float), &w->raw));
  FT_TRY(ft_alloc(FT_MEM_IO, PIECE_ELEMENTS * sizeof(float), &p));
  w->values = p;
  FT_TRY(ft_alloc(FT_MEM_IO, PIECE_ELEMENTS * sizeof(float), &p));
  w->run = p;
  for (int64_t i = 0; i < w->list.num && !w->base; i++)
    if (w->list.tensors[i].base_name[0]) FT_TRY(ft_safetensors_open(w->base_dir, &w->base));
out:
  return err;
}

static ft_err write_all(void *arg, const char *dir) {
  ft_err err = FT_OK;
  writer *w = arg;
  char *path = NULL;
  cJSON *json = NULL;
  FT_TRY(ft_hf_list_adapter(w->config, w->method, &w->list));
  FT_TRY(allocate(w));
  FT_TRY(ft_hf_adapter_json(w->base_dir, w->config, w->method, &json));
  FT_TRY(ft_path_join(dir, "adapter_config.json", &path));
  FT_TRY(ft_json_write(path, json));
  ft_free(path);
  path = NULL;
  FT_TRY(ft_path_join(dir, ft_hf_adapter_file(w->method), &path));
  FT_TRY(write_tensors(w, path));
  FT_TRY(ft_hf_write_sums(dir));
out:
  ft_free(path);
  cJSON_Delete(json);
  return err;
}

ft_err ft_hf_export_adapter(const char *base_dir, const ft_hf_config *config,
                            const ft_hf_method *method, const ft_hf_source *source,
                            const char *out_dir) {
  writer w = {.base_dir = base_dir, .config = config, .method = method, .source = source};
  ft_err err = ft_hf_make_directory(out_dir, write_all, &w);
  ft_hf_adapter_list_fini(&w.list);
  ft_safetensors_close(w.base);
  ft_free(w.raw);
  ft_free(w.values);
  ft_free(w.run);
  return err;
}
