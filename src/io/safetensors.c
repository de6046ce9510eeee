/* Reading safetensors: headers, the index of a sharded model, and elements by pread.
 * Format: u64 N, N bytes of JSON, then the buffer that data_offsets count in; all little-endian. */
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "ft/io_kind.h"
#include "safetensors.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read as they lie");

typedef ft_safetensors_source file;
typedef ft_safetensors_entry entry;

static const struct {
  const char *name;
  int bits;
} dtypes[] = {{"F32", 32},        {"BF16", 16},       {"F16", 16},    {"BOOL", 8},
              {"U8", 8},          {"I8", 8},          {"I16", 16},    {"U16", 16},
              {"I32", 32},        {"U32", 32},        {"I64", 64},    {"U64", 64},
              {"F64", 64},        {"C64", 64},        {"F8_E4M3", 8}, {"F8_E5M2", 8},
              {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6},
              {"F6_E3M2", 6},     {"F4", 4}};
enum { NUM_SUPPORTED = 3 }; /* the first of them, in the order of ft_dtype */

/* ---------------------------------------------------------------- one tensor of a header */

/* Multiplies without overflow; false if the product does not fit. */
static bool multiply(int64_t *product, int64_t factor) {
  return !__builtin_mul_overflow(*product, factor, product);
}

static ft_err read_dtype(const char *path, const cJSON *json, entry *e, int *bits) {
  const cJSON *dtype = ft_json_get(json, "dtype");
  if (!cJSON_IsString(dtype))
    return ft_fail(FT_ERR_DATA, "%s: tensor %s has no dtype", path, e->tensor.name);
  for (size_t i = 0; i < FT_ARRAY_SIZE(dtypes); i++) {
    if (strcmp(dtype->valuestring, dtypes[i].name) != 0) continue;
    strcpy(e->tensor.dtype_name, dtypes[i].name);
    e->tensor.supported = i < NUM_SUPPORTED;
    e->tensor.dtype = e->tensor.supported ? (ft_dtype)i : FT_F32;
    *bits = dtypes[i].bits;
    return FT_OK;
  }
  return ft_fail(FT_ERR_DATA,
                 "%s: tensor %s has the dtype \"%.40s\", which safetensors does not know", path,
                 e->tensor.name, dtype->valuestring);
}

static ft_err read_shape(const char *path, const cJSON *json, entry *e) {
  ft_safetensor *t = &e->tensor;
  const cJSON *shape = ft_json_get(json, "shape");
  if (!cJSON_IsArray(shape))
    return ft_fail(FT_ERR_DATA, "%s: tensor %s has no shape", path, t->name);
  t->elements = 1;
  for (const cJSON *item = shape->child; item; item = item->next, t->num_dims++) {
    int64_t dim;
    if (!ft_json_i64(item, &dim) || dim < 0)
      return ft_fail(FT_ERR_DATA,
                     "%s: dimension %d of tensor %s is not a whole number from 0 to 2^53-1", path,
                     t->num_dims, t->name);
    if (!multiply(&t->elements, dim))
      return ft_fail(FT_ERR_DATA, "%s: the shape of tensor %s has more than 2^63 elements", path,
                     t->name);
    if (t->num_dims < FT_SAFETENSORS_DIMS) t->dims[t->num_dims] = dim;
  }
  if (t->num_dims > 4) t->supported = false;
  return FT_OK;
}

/* Reads data_offsets and compares them with the shape; buffer: file offset of the buffer. */
static ft_err read_offsets(const char *path, const cJSON *json, int64_t buffer, int bits,
                           entry *e) {
  ft_safetensor *t = &e->tensor;
  const cJSON *offsets = ft_json_get(json, "data_offsets");
  const cJSON *first = cJSON_IsArray(offsets) ? offsets->child : NULL;
  int64_t begin, end, size_bits = t->elements;
  if (!first || !ft_json_i64(first, &begin) || !ft_json_i64(first->next, &end) ||
      first->next->next || begin < 0 || end < begin)
    return ft_fail(FT_ERR_DATA, "%s: data_offsets of tensor %s are not two ascending offsets", path,
                   t->name);
  if (!multiply(&size_bits, bits) || size_bits % 8 != 0 || end - begin != size_bits / 8)
    return ft_fail(
        FT_ERR_DATA,
        "%s: tensor %s has %lld bytes by its data_offsets, and %lld elements of %s by its "
        "shape",
        path, t->name, (long long)(end - begin), (long long)t->elements, t->dtype_name);
  t->begin = buffer + begin;
  t->bytes = end - begin;
  e->end = buffer + end;
  return FT_OK;
}

static ft_err read_tensor(const char *path, const cJSON *json, int64_t buffer, entry *e) {
  ft_err err = FT_OK;
  int bits = 0;
  FT_CHECK(cJSON_IsObject(json), FT_ERR_DATA, "%s: the header's entry %s is not an object", path,
           e->tensor.name);
  FT_TRY(read_dtype(path, json, e, &bits));
  FT_TRY(read_shape(path, json, e));
  FT_TRY(read_offsets(path, json, buffer, bits, e));
out:
  return err;
}

/* ---------------------------------------------------------------- one file */

static ft_err check_metadata(const char *path, const cJSON *json) {
  bool good = cJSON_IsObject(json) || cJSON_IsNull(json); /* null: as if it were not there */
  for (const cJSON *item = json->child; good && item; item = item->next)
    good = good && cJSON_IsString(item);
  if (good) return FT_OK;
  return ft_fail(FT_ERR_DATA, "%s: __metadata__ is not an object of strings", path);
}

static int by_place(const void *a, const void *b) {
  const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
  if (x->tensor.begin != y->tensor.begin) return x->tensor.begin < y->tensor.begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

/* The intervals of a file's tensors must fill the buffer without holes and overlaps. */
static ft_err check_tiling(const char *path, entry *entries, int64_t count, int64_t at,
                           int64_t file_bytes) {
  ft_err err = FT_OK;
  void *list = NULL;
  int64_t buffer = at;
  FT_TRY(ft_alloc_array(FT_MEM_IO, count, sizeof(entry *), &list));
  entry **order = list;
  for (int64_t i = 0; i < count; i++)
    order[i] = &entries[i];
  if (count > 0) qsort(order, (size_t)count, sizeof *order, by_place);
  for (int64_t i = 0; i < count; i++) {
    FT_CHECK(order[i]->tensor.begin == at, FT_ERR_DATA,
             "%s: tensor %s begins at byte %lld of the buffer, where byte %lld was expected: there "
             "is %s before it",
             path, order[i]->tensor.name, (long long)(order[i]->tensor.begin - buffer),
             (long long)(at - buffer), order[i]->tensor.begin > at ? "a hole" : "an overlap");
    at = order[i]->end;
  }
  FT_CHECK(at == file_bytes, FT_ERR_DATA,
           "%s: has %lld bytes, its header describes %lld: the file is %s", path,
           (long long)file_bytes, (long long)at, at > file_bytes ? "cut off" : "too long");
out:
  ft_free(list);
  return err;
}

/* Reads the header text of an open file. *buffer: file offset of the byte after it. */
static ft_err read_header(file *f, int64_t file_bytes, cJSON **header, int64_t *buffer) {
  ft_err err = FT_OK;
  uint64_t length = 0;
  void *text = NULL;
  char *where = NULL;
  FT_CHECK(file_bytes >= 8, FT_ERR_DATA, "%s: has %lld bytes, too few for a safetensors file",
           f->path, (long long)file_bytes);
  FT_TRY(ft_pread_all(f->fd, f->path, &length, 8, 0));
  FT_CHECK(length <= FT_SAFETENSORS_MAX_HEADER, FT_ERR_DATA,
           "%s: its header claims %llu bytes, a safetensors header has at most %d", f->path,
           (unsigned long long)length, FT_SAFETENSORS_MAX_HEADER);
  FT_CHECK((int64_t)length <= file_bytes - 8, FT_ERR_DATA,
           "%s: its header claims %llu bytes, the file has %lld: the file is cut off", f->path,
           (unsigned long long)length, (long long)file_bytes);
  FT_TRY(ft_alloc(FT_MEM_IO, (size_t)length + 1, &text));
  FT_TRY(ft_pread_all(f->fd, f->path, text, (size_t)length, 8));
  FT_CHECK(((char *)text)[0] == '{', FT_ERR_DATA, "%s: its header does not begin with '{'",
           f->path);
  FT_TRY(ft_format(&where, "%s: header", f->path));
  FT_TRY(ft_json_parse(text, (size_t)length, where, header));
  FT_TRY(ft_safetensors_take_hashes(f, *header, text, length, file_bytes));
  *buffer = 8 + (int64_t)length;
out:
  ft_free(text);
  ft_free(where);
  return err;
}

static ft_err add_entry(ft_safetensors *st, const char *name, entry **out) {
  ft_err err = FT_OK;
  FT_TRY(
      ft_grow(FT_MEM_IO, st->count + 1, sizeof *st->entries, &st->capacity, (void **)&st->entries));
  *out = &st->entries[st->count];
  memset(*out, 0, sizeof **out);
  FT_TRY(ft_strdup(name, &(*out)->tensor.name));
  st->count++;
out:
  return err;
}

/* Opens file number `index`, whose path is set, and adds its tensors. */
static ft_err read_file(ft_safetensors *st, int64_t index) {
  ft_err err = FT_OK;
  file *f = &st->files[index];
  int64_t file_bytes, buffer = 0, first = st->count;
  cJSON *header = NULL;
  const char *digits;
  FT_TRY(ft_file_open(f->path, &f->fd, &file_bytes));
  err = read_header(f, file_bytes, &header, &buffer);
  if (err == FT_ERR_DATA && ft_kind_check(f->path, FT_WANT_SAFETENSORS) != FT_OK) goto out;
  FT_TRY(err);
  FT_TRY(ft_safetensors_sums(f, header, &digits));
  for (const cJSON *item = header->child; item; item = item->next) {
    if (strcmp(item->string, "__metadata__") == 0) {
      FT_TRY(check_metadata(f->path, item));
      continue;
    }
    entry *e;
    FT_TRY(add_entry(st, item->string, &e));
    e->file = index;
    FT_TRY(read_tensor(f->path, item, buffer, e));
    FT_TRY(ft_safetensors_take_sum(f, &digits, &e->tensor));
  }
  entry *added = st->entries ? st->entries + first : NULL; /* a file may have no tensors */
  FT_TRY(check_tiling(f->path, added, st->count - first, buffer, file_bytes));
out:
  cJSON_Delete(header);
  return err;
}

static int by_name_and_file(const void *a, const void *b) {
  const entry *x = a, *y = b;
  int order = strcmp(x->tensor.name, y->tensor.name);
  return order ? order : (x->file > y->file) - (x->file < y->file);
}

static void sort_entries(ft_safetensors *st) {
  if (st->count > 0) qsort(st->entries, (size_t)st->count, sizeof(entry), by_name_and_file);
}

static ft_err set_num_files(ft_safetensors *st, int64_t num_files) {
  void *files;
  ft_err err = ft_alloc_array(FT_MEM_IO, num_files, sizeof(file), &files);
  if (err != FT_OK) return err;
  st->files = files;
  st->num_files = num_files;
  for (int64_t i = 0; i < num_files; i++)
    st->files[i].fd = -1;
  return FT_OK;
}

/* ---------------------------------------------------------------- the module's functions */

static ft_err open_index(ft_safetensors *st, const char *dir, const char *path) {
  ft_err err = FT_OK;
  ft_safetensors_index index = {0};
  FT_TRY(ft_safetensors_index_read(path, &index));
  FT_TRY(set_num_files(st, index.num_files));
  for (int64_t i = 0; i < index.num_files; i++) {
    FT_TRY(ft_path_join(dir, index.files[i], &st->files[i].path));
    err = read_file(st, i);
    if (err == FT_ERR_NOINPUT)
      err =
          ft_fail(FT_ERR_DATA, "%s: names the file %s, which does not exist", path, index.files[i]);
    if (err != FT_OK) goto out;
  }
  sort_entries(st);
  ft_safetensors_index_follow(st, &index);
out:
  ft_safetensors_index_fini(&index);
  return err;
}

/* A directory that was saved into twice may have both forms. */
static void note_other_form(ft_safetensors *st, const char *path) {
  ft_safetensors_index index = {0};
  if (!ft_path_exists(path)) return;
  bool same = ft_safetensors_index_read(path, &index) == FT_OK && index.num_files == 1 &&
              strcmp(index.files[0], "model.safetensors") == 0;
  ft_safetensors_index_fini(&index);
  if (!same)
    snprintf(st->remarks, sizeof st->remarks,
             "model.safetensors is read, not what model.safetensors.index.json beside it names: "
             "remove the one that is out of date");
}

static ft_err open_directory(ft_safetensors *st, const char *dir) {
  ft_err err = FT_OK;
  char *single = NULL, *index = NULL;
  FT_TRY(ft_path_join(dir, "model.safetensors", &single));
  FT_TRY(ft_path_join(dir, "model.safetensors.index.json", &index));
  if (ft_path_exists(single)) {
    FT_TRY(set_num_files(st, 1));
    st->files[0].path = single;
    single = NULL;
    FT_TRY(read_file(st, 0));
    sort_entries(st);
    note_other_form(st, index);
  } else {
    FT_TRY(ft_kind_check(dir, FT_WANT_WEIGHTS));
    FT_CHECK(ft_path_exists(index), FT_ERR_NOINPUT,
             "%s: has neither model.safetensors nor model.safetensors.index.json", dir);
    FT_TRY(open_index(st, dir, index));
  }
out:
  ft_free(single);
  ft_free(index);
  return err;
}

ft_err ft_safetensors_open(const char *path, ft_safetensors **out) {
  ft_err err = FT_OK;
  void *st = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_safetensors), &st));
  if (ft_path_is_dir(path)) {
    FT_TRY(open_directory(st, path));
  } else {
    FT_TRY(set_num_files(st, 1));
    FT_TRY(ft_strdup(path, &((ft_safetensors *)st)->files[0].path));
    FT_TRY(read_file(st, 0));
    sort_entries(st);
  }
  *out = st;
  st = NULL;
out:
  ft_safetensors_close(st);
  return err;
}

void ft_safetensors_close(ft_safetensors *st) {
  if (!st) return;
  for (int64_t i = 0; i < st->count; i++)
    ft_free(st->entries[i].tensor.name);
  for (int64_t i = 0; i < st->num_files; i++) {
    ft_file_close(&st->files[i].fd);
    ft_free(st->files[i].path);
    ft_free(st->files[i].hashes);
    ft_free(st->files[i].scratch);
  }
  ft_free(st->entries);
  ft_free(st->files);
  ft_free(st);
}

int64_t ft_safetensors_count(const ft_safetensors *st) {
  return st->count;
}

const ft_safetensor *ft_safetensors_at(const ft_safetensors *st, int64_t i) {
  FT_ASSERT(i >= 0 && i < st->count);
  return &st->entries[i].tensor;
}

const char *ft_safetensors_remarks(const ft_safetensors *st) {
  return st->remarks;
}

const char *ft_safetensors_file(const ft_safetensors *st, const ft_safetensor *t) {
  return st->files[((const entry *)(const void *)t)->file].path;
}

int64_t ft_safetensors_num_files(const ft_safetensors *st) {
  return st->num_files;
}

const char *ft_safetensors_file_at(const ft_safetensors *st, int64_t i) {
  FT_ASSERT(i >= 0 && i < st->num_files);
  return st->files[i].path;
}

ft_err ft_safetensors_read(ft_safetensors *st, const ft_safetensor *t, int64_t start, int64_t count,
                           void *out) {
  file *f = &st->files[((const entry *)(const void *)t)->file];
  if (!t->supported)
    return ft_fail(
        FT_ERR_DATA,
        "%s: tensor %s is %s with %d dimensions; F32, BF16 and F16 with at most 4 can be "
        "read",
        f->path, t->name, t->dtype_name, t->num_dims);
  if (start < 0 || count < 0 || start > t->elements || count > t->elements - start)
    return ft_fail(FT_ERR_INTERNAL, "%s: elements %lld … +%lld of tensor %s, which has %lld",
                   f->path, (long long)start, (long long)count, t->name, (long long)t->elements);
  int64_t width = (int64_t)ft_dtype_bytes(t->dtype);
  return ft_chunks_read(&f->chunks, f->fd, f->path, t->begin - f->chunks.at + start * width,
                        count * width, out, &f->scratch);
}

ft_err ft_safetensors_read_bytes(ft_safetensors *st, const ft_safetensor *t, int64_t start,
                                 int64_t count, void *out) {
  file *f = &st->files[((const entry *)(const void *)t)->file];
  if (start < 0 || count < 0 || start > t->bytes || count > t->bytes - start)
    return ft_fail(FT_ERR_INTERNAL, "%s: bytes %lld … +%lld of tensor %s, which has %lld", f->path,
                   (long long)start, (long long)count, t->name, (long long)t->bytes);
  return ft_chunks_read(&f->chunks, f->fd, f->path, t->begin - f->chunks.at + start, count, out,
                        &f->scratch);
}
