/* An adapter directory as a source of values: opened, laid over a model, read. */
#include <string.h>

#include "adapter.h"
#include "ft/kernels.h"
#include "hf_internal.h"

enum { PIECE_ELEMENTS = 1 << 18 };

struct ft_hf_adapter {
  char *dir;
  ft_hf_adapter_config config;
  ft_safetensors *st; /* once it is laid over a model, as what follows */
  const ft_hf_config *base;
  ft_hf_adapter_list list;
  void *raw;   /* [PIECE_ELEMENTS] of any dtype */
  float *room; /* [PIECE_ELEMENTS] */
};

/* ---------------------------------------------------------------- opening */

ft_err ft_hf_adapter_open(const char *dir, ft_hf_adapter **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_hf_adapter), &memory));
  ft_hf_adapter *a = memory;
  FT_TRY(ft_hf_read_adapter_config(dir, &a->config));
  FT_TRY(ft_strdup(dir, &a->dir));
  *out = a;
out:
  if (err != FT_OK) ft_hf_adapter_close(memory);
  return err;
}

void ft_hf_adapter_close(ft_hf_adapter *a) {
  if (!a) return;
  ft_hf_adapter_list_fini(&a->list);
  ft_hf_adapter_config_fini(&a->config);
  ft_safetensors_close(a->st);
  ft_free(a->raw);
  ft_free(a->room);
  ft_free(a->dir);
  ft_free(a);
}

const ft_hf_method *ft_hf_adapter_method(const ft_hf_adapter *a) {
  return &a->config.method;
}

const char *ft_hf_adapter_type(const ft_hf_adapter *a) {
  return a->config.type;
}

const char *ft_hf_adapter_file(const ft_hf_method *method) {
  return method->kind == FT_METHOD_BOTTLENECK ? "adapter.safetensors" : "adapter_model.safetensors";
}

/* ---------------------------------------------------------------- laying it over a model */

/* base_model_name_or_path, as it is or beside the adapter's directory; NULL: not at hand. */
static ft_err find_base(const ft_hf_adapter *a, char **out) {
  ft_err err = FT_OK;
  char *beside = NULL;
  *out = NULL;
  if (!a->config.base || !a->config.base[0]) return FT_OK;
  FT_TRY(ft_format(&beside, "%s/../../%s", a->dir, a->config.base));
  if (ft_path_is_dir(a->config.base))
    FT_TRY(ft_strdup(a->config.base, out));
  else if (a->config.base[0] != '/' && ft_path_is_dir(beside))
    FT_TRY(ft_strdup(beside, out));
out:
  ft_free(beside);
  return err;
}

/* An adapter says which model it was made for. Where that is at hand, it is this one; where it is
 * not, shapes have to do. */
static ft_err check_base(const ft_hf_adapter *a, const char *base_dir) {
  ft_err err = FT_OK;
  char *named = NULL;
  uint64_t meant, given;
  FT_TRY(find_base(a, &named));
  if (!named || ft_hf_weights_digest(named, &meant) != FT_OK) goto out;
  FT_TRY(ft_hf_weights_digest(base_dir, &given));
  FT_CHECK(meant == given, FT_ERR_DATA,
           "%s is an adapter of another model than %s: base_model_name_or_path is \"%s\", whose "
           "weights are others (if this is meant, change it in %s/adapter_config.json)",
           a->dir, base_dir, a->config.base, a->dir);
out:
  ft_free(named);
  return err;
}

static ft_err open_file(ft_hf_adapter *a) {
  ft_err err = FT_OK;
  char *path = NULL;
  FT_TRY(ft_path_join(a->dir, ft_hf_adapter_file(&a->config.method), &path));
  FT_TRY(ft_safetensors_open(path, &a->st));
out:
  ft_free(path);
  return err;
}

ft_err ft_hf_adapter_put(ft_hf_adapter *a, const char *base_dir, ft_hf_config *base) {
  ft_err err = ft_hf_put_method(base, &a->config.method);
  if (err == FT_OK) return ft_hf_adapter_fit(a, base_dir, base);
  return ft_fail_prefix(err, "%s does not fit %s", a->dir, base_dir);
}

ft_err ft_hf_adapter_fit(ft_hf_adapter *a, const char *base_dir, const ft_hf_config *base) {
  ft_err err = FT_OK;
  void *p;
  FT_ASSERT(!a->st);
  FT_TRY(open_file(a));
  FT_TRY(ft_hf_list_adapter(base, &a->config.method, &a->list));
  FT_TRY(ft_hf_check_adapter(a->st, a->dir, base_dir, &a->list));
  FT_TRY(check_base(a, base_dir));
  FT_TRY(ft_alloc(FT_MEM_IO, PIECE_ELEMENTS * sizeof(float), &a->raw));
  FT_TRY(ft_alloc(FT_MEM_IO, PIECE_ELEMENTS * sizeof(float), &p));
  a->room = p;
  a->base = base;
out:
  return err;
}

/* ---------------------------------------------------------------- reading */

/* The tensor of the file that holds flat element `start` of a block. */
static const ft_hf_adapter_tensor *find(const ft_hf_adapter *a, int64_t block, int64_t start,
                                        const ft_hf_part **part) {
  for (int64_t i = 0; i < a->list.num; i++) {
    const ft_hf_adapter_tensor *t = &a->list.tensors[i];
    for (int64_t k = 0; !t->is_copy && k < t->num_parts; k++) {
      *part = &a->list.parts[t->first_part + k];
      int64_t begin = (*part)->tensor.offset;
      if ((*part)->block == block && start >= begin &&
          start < begin + ft_tensor_elements(&(*part)->tensor))
        return t;
    }
  }
  return NULL;
}

/* Elements of the file's tensor from flat number `first` on, to `out`; count ≤ PIECE_ELEMENTS. */
static ft_err read_run(ft_hf_adapter *a, const ft_safetensor *source, int64_t first, int64_t count,
                       float *out) {
  ft_err err = FT_OK;
  FT_TRY(ft_safetensors_read(a->st, source, first, count, a->raw));
  ft_convert(FT_F32, out, source->dtype, a->raw, count);
  int64_t bad = ft_hf_first_not_finite(out, count);
  FT_CHECK(bad < 0, FT_ERR_DATA, "%s: element %lld of %s is %g: the adapter is damaged",
           ft_safetensors_file(a->st, source), (long long)(first + bad), source->name,
           (double)out[bad]);
out:
  return err;
}

/* Elements first … of a part, row by row. */
static ft_err read_rows(ft_hf_adapter *a, const ft_safetensor *source,
                        const ft_hf_adapter_tensor *t, const ft_hf_part *part, int64_t first,
                        int64_t count, float *out) {
  ft_err err = FT_OK;
  int64_t cols = part->tensor.cols, width = t->num_dims == 2 ? t->dims[1] : 1;
  while (count > 0) {
    int64_t row = first / cols, col = first % cols, n = FT_MIN(count, (int64_t)PIECE_ELEMENTS);
    int64_t at = (part->first + row) * width + col;
    if (t->lay == FT_LAY_FLAT) at = part->first + first;
    if (t->lay == FT_LAY_COLUMNS) {
      at = row * width + part->first + col;
      n = FT_MIN(n, cols - col);
    }
    FT_TRY(read_run(a, source, at, n, out));
    first += n;
    out += n;
    count -= n;
  }
out:
  return err;
}

/* The same of a part whose rows are columns of the file's. */
static ft_err read_turned(ft_hf_adapter *a, const ft_safetensor *source,
                          const ft_hf_adapter_tensor *t, const ft_hf_part *part, int64_t first,
                          int64_t count, float *out) {
  ft_err err = FT_OK;
  int64_t cols = part->tensor.cols, begin = first / cols, end = ft_ceil_div(first + count, cols);
  for (int64_t row = begin; row < end; row += PIECE_ELEMENTS)
    for (int64_t col = 0; col < cols; col++) {
      int64_t n = FT_MIN(end - row, (int64_t)PIECE_ELEMENTS);
      FT_TRY(read_run(a, source, col * t->dims[1] + part->first + row, n, a->room));
      for (int64_t i = 0; i < n; i++) {
        int64_t to = (row + i) * cols + col - first;
        if (to >= 0 && to < count) out[to] = a->room[i];
      }
    }
out:
  return err;
}

static ft_err read_values(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  ft_hf_adapter *a = arg;
  const ft_hf_part *part;
  const ft_hf_adapter_tensor *t = find(a, block, start, &part);
  FT_ASSERT(t != NULL);
  const ft_safetensor *source = ft_safetensors_find(a->st, t->name);
  int64_t first = start - part->tensor.offset;
  FT_ASSERT(source && first + count <= ft_tensor_elements(&part->tensor));
  if (t->lay == FT_LAY_TURNED) return read_turned(a, source, t, part, first, count, out);
  return read_rows(a, source, t, part, first, count, out);
}

void ft_hf_adapter_source(ft_hf_adapter *a, ft_hf_source *out) {
  FT_ASSERT(a->st != NULL);
  *out = (ft_hf_source){.read = read_values, .arg = a};
}

/* ---------------------------------------------------------------- to a shard */

/* What this rank owns of a part. */
static ft_err import_part(ft_hf_adapter *a, const ft_hf_part *part, ft_shard *shard,
                          float *values) {
  ft_err err = FT_OK;
  int64_t num, begin = part->tensor.offset, end = begin + ft_tensor_elements(&part->tensor);
  const ft_range *ranges = ft_shard_ranges(shard, part->block, &num);
  for (int64_t i = 0; i < num; i++) {
    int64_t stop = FT_MIN(ranges[i].start + ranges[i].count, end), n;
    for (int64_t at = FT_MAX(ranges[i].start, begin); at < stop; at += n) {
      n = FT_MIN(stop - at, (int64_t)PIECE_ELEMENTS);
      FT_TRY(ft_shard_check(shard));
      FT_TRY(read_values(a, part->block, at, n, values));
      ft_shard_set_weights(shard, part->block, at, n, values);
    }
  }
out:
  return err;
}

static ft_err import_all(ft_hf_adapter *a, ft_shard *shard, ft_comm *comm) {
  ft_err err = FT_OK;
  void *values = NULL;
  bool summed;
  /* ranks read parts of tensors only: one of them looks at the file's checksums */
  if (ft_comm_rank(comm) == 0) FT_TRY(ft_safetensors_verify(a->st, 0, &summed));
  FT_TRY(ft_alloc(FT_MEM_IO, PIECE_ELEMENTS * sizeof(float), &values));
  for (int64_t i = 0; i < a->list.num; i++) {
    const ft_hf_adapter_tensor *t = &a->list.tensors[i];
    for (int64_t k = 0; !t->is_copy && k < t->num_parts; k++)
      FT_TRY(import_part(a, &a->list.parts[t->first_part + k], shard, values));
  }
out:
  ft_free(values);
  return err;
}

ft_err ft_hf_adapter_import(ft_hf_adapter *a, ft_shard *shard, ft_comm *comm) {
  ft_err err = FT_OK;
  FT_ASSERT(a->base && ft_shard_layout(shard) == a->base->layout);
  FT_TRY(ft_comm_agree(comm, import_all(a, shard, comm)));
  FT_TRY(ft_shard_spread(shard));
  FT_TRY(ft_shard_weights_changed(shard));
out:
  return err;
}
