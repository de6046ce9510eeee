/* Reading the tables of slice files, and the hash of what is not data. */
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "h5_read.h"
#include "slices.h"

typedef struct table {
  ft_h5_reader reader;
  ft_slice_dataset *list;
  int64_t count, capacity;
} table;

/* ---------------------------------------------------------------- one dataset */

static ft_err read_numbers(ft_h5_reader *reader, const ft_h5_object *object, ft_slice_dataset *d) {
  ft_err err = FT_OK;
  uint64_t value;
  FT_TRY(ft_h5_get_number(reader, object, "entry_bytes", 1 << 20, &value));
  d->element_bytes = (size_t)value;
  FT_TRY(ft_h5_get_number(reader, object, "entry_elements", 1 << 30, &value));
  d->group_elements = (int64_t)value;
  FT_TRY(ft_h5_get_number(reader, object, "chunk_elements", 1 << 30, &value));
  d->chunk_elements = (int64_t)value;
  FT_TRY(ft_h5_get_number(reader, object, "xxh3", UINT64_MAX, &d->checksum));
  FT_CHECK(d->element_bytes > 0 && d->group_elements > 0 && d->chunk_elements > 0 &&
               d->chunk_elements % d->group_elements == 0,
           FT_ERR_DATA, "%s: %s: entries and chunks of impossible sizes", reader->path, d->name);
out:
  return err;
}

/* Ranges ascend, do not overlap, are whole entries and fill the data. */
static ft_err check_ranges(const ft_h5_reader *reader, const ft_slice_dataset *d) {
  ft_err err = FT_OK;
  int64_t end = 0, elements = 0, total;
  for (int64_t r = 0; r < d->num_ranges; r++) {
    FT_CHECK(d->starts[r] >= end && d->counts[r] > 0 && d->counts[r] % d->group_elements == 0 &&
                 !__builtin_add_overflow(d->starts[r], d->counts[r], &end) &&
                 !__builtin_add_overflow(elements, d->counts[r], &elements),
             FT_ERR_DATA, "%s: %s: range %lld (%lld elements from %lld) is impossible",
             reader->path, d->name, (long long)r, (long long)d->counts[r], (long long)d->starts[r]);
  }
  bool fits =
      !__builtin_mul_overflow(elements / d->group_elements, (int64_t)d->element_bytes, &total) &&
      (size_t)total == d->bytes;
  FT_CHECK(fits, FT_ERR_DATA, "%s: %s: its ranges have %lld elements, its data %zu bytes",
           reader->path, d->name, (long long)elements, d->bytes);
out:
  return err;
}

/* Reads a dataset of data into *d, whose name is set. */
static ft_err read_data(ft_h5_reader *reader, const ft_h5_object *object, ft_slice_dataset *d) {
  ft_err err = FT_OK;
  int64_t *starts = NULL, *counts = NULL, num_counts;
  ft_h5_type type;
  ft_h5_place place;
  FT_TRY(ft_h5_dataset_type(reader, object, d->name, &type));
  FT_CHECK(!type.is_signed, FT_ERR_DATA, "%s: %s: holds signed integers", reader->path, d->name);
  FT_TRY(ft_h5_dataset_place(reader, object, d->name, type.width, &place));
  d->bytes = (size_t)place.count * type.width;
  d->file_offset = place.offset;
  FT_TRY(read_numbers(reader, object, d));
  FT_TRY(ft_h5_get_array(reader, object, "start", &starts, &d->num_ranges));
  d->starts = starts;
  FT_TRY(ft_h5_get_array(reader, object, "length", &counts, &num_counts));
  d->counts = counts;
  FT_CHECK(num_counts == d->num_ranges, FT_ERR_DATA, "%s: %s: %lld starts and %lld lengths",
           reader->path, d->name, (long long)d->num_ranges, (long long)num_counts);
  FT_TRY(check_ranges(reader, d));
  d->num_hashes = ft_slices_num_hashes(d->counts, d->num_ranges, d->chunk_elements);
out:
  return err;
}

static ft_err read_hashes(ft_h5_reader *reader, uint64_t address, ft_slice_dataset *d) {
  ft_err err = FT_OK;
  ft_h5_object object = {0};
  ft_h5_type type;
  ft_h5_place place;
  FT_CHECK(address != FT_H5_UNDEFINED, FT_ERR_DATA, "%s: %s: has no hashes", reader->path, d->name);
  FT_TRY(ft_h5_object_init(reader, address, &object));
  FT_TRY(ft_h5_dataset_type(reader, &object, d->name, &type));
  FT_TRY(ft_h5_dataset_place(reader, &object, d->name, 8, &place));
  FT_CHECK(type.width == 8 && place.count == d->num_hashes, FT_ERR_DATA,
           "%s: %s: has %lld hashes, %lld were expected", reader->path, d->name,
           (long long)place.count, (long long)d->num_hashes);
  d->hashes_offset = place.offset;
out:
  ft_h5_object_fini(&object);
  return err;
}

/* ---------------------------------------------------------------- the file */

static int by_name(const void *a, const void *b) {
  return strcmp(((const ft_h5_link *)a)->name, ((const ft_h5_link *)b)->name);
}

static ft_err new_dataset(table *t, const char *group, const char *name, ft_slice_dataset **out) {
  ft_err err = FT_OK;
  FT_TRY(ft_grow(FT_MEM_IO, t->count + 1, sizeof *t->list, &t->capacity, (void **)&t->list));
  *out = &t->list[t->count];
  **out = (ft_slice_dataset){0};
  FT_TRY(ft_format(&(*out)->name, "/%s/%s", group, name));
  t->count++;
out:
  return err;
}

/* Reads one dataset and the one with its hashes; links are sorted by name. */
static ft_err read_pair(table *t, const char *group, ft_h5_link *links, int64_t num_links,
                        int64_t i) {
  ft_err err = FT_OK;
  ft_h5_object object = {0};
  ft_slice_dataset *d;
  ft_h5_link wanted = {0}, *found;
  if (ft_ends_with(links[i].name, FT_SLICES_HASHES)) return FT_OK;
  FT_TRY(new_dataset(t, group, links[i].name, &d));
  FT_CHECK(links[i].address != FT_H5_UNDEFINED, FT_ERR_DATA, "%s: %s: is a link elsewhere",
           t->reader.path, d->name);
  FT_TRY(ft_h5_object_init(&t->reader, links[i].address, &object));
  FT_TRY(read_data(&t->reader, &object, d));
  FT_TRY(ft_format(&wanted.name, "%s" FT_SLICES_HASHES, links[i].name));
  found = bsearch(&wanted, links, (size_t)num_links, sizeof *links, by_name);
  FT_TRY(read_hashes(&t->reader, found ? found->address : FT_H5_UNDEFINED, d));
out:
  ft_free(wanted.name);
  ft_h5_object_fini(&object);
  return err;
}

static ft_err read_group(table *t, const ft_h5_link *link) {
  ft_err err = FT_OK;
  ft_h5_object group = {0};
  ft_h5_link *links = NULL;
  int64_t num_links = 0;
  FT_CHECK(link->address != FT_H5_UNDEFINED, FT_ERR_DATA, "%s: /%s: is a link elsewhere",
           t->reader.path, link->name);
  FT_TRY(ft_h5_object_init(&t->reader, link->address, &group));
  FT_TRY(ft_h5_links(&t->reader, &group, &links, &num_links));
  if (num_links > 1) qsort(links, (size_t)num_links, sizeof *links, by_name);
  for (int64_t i = 0; i < num_links; i++)
    FT_TRY(read_pair(t, link->name, links, num_links, i));
out:
  ft_h5_links_free(links, num_links);
  ft_h5_object_fini(&group);
  return err;
}

static ft_err read_root(table *t) {
  ft_err err = FT_OK;
  ft_h5_object root = {0};
  ft_h5_link *links = NULL;
  int64_t num_links = 0;
  char format[32];
  uint64_t version;
  FT_TRY(ft_h5_object_init(&t->reader, t->reader.root, &root));
  FT_TRY(ft_h5_get_text(&t->reader, &root, "format", format, sizeof format));
  FT_CHECK(strcmp(format, FT_SLICES_FORMAT) == 0, FT_ERR_DATA,
           "%s: its format is \"%s\", \"%s\" was expected", t->reader.path, format,
           FT_SLICES_FORMAT);
  FT_TRY(ft_h5_get_number(&t->reader, &root, "version", UINT32_MAX, &version));
  FT_CHECK(version == FT_SLICES_VERSION, FT_ERR_DATA,
           "%s: has version %llu of the format, this program reads version %d", t->reader.path,
           (unsigned long long)version, FT_SLICES_VERSION);
  FT_TRY(ft_h5_links(&t->reader, &root, &links, &num_links));
  for (int64_t i = 0; i < num_links; i++)
    FT_TRY(read_group(t, &links[i]));
out:
  ft_h5_links_free(links, num_links);
  ft_h5_object_fini(&root);
  return err;
}

static int by_offset(const void *a, const void *b) {
  const ft_slice_dataset *x = a, *y = b;
  if (x->file_offset != y->file_offset) return x->file_offset < y->file_offset ? -1 : 1;
  return strcmp(x->name, y->name);
}

ft_err ft_slices_open(const char *path, ft_slice_dataset **out, int64_t *count) {
  ft_err err = FT_OK;
  table t = {.reader = {.fd = -1}};
  *out = NULL;
  *count = 0;
  FT_TRY(ft_h5_reader_init(path, &t.reader));
  FT_TRY(read_root(&t));
  if (t.count > 1) qsort(t.list, (size_t)t.count, sizeof *t.list, by_offset);
  *out = t.list;
  *count = t.count;
  t.list = NULL;
out:
  ft_slices_free(t.list, t.count);
  ft_h5_reader_fini(&t.reader);
  return err;
}

void ft_slices_free(ft_slice_dataset *datasets, int64_t count) {
  for (int64_t i = 0; datasets && i < count; i++) {
    ft_free(datasets[i].name);
    ft_free((void *)(uintptr_t)datasets[i].starts);
    ft_free((void *)(uintptr_t)datasets[i].counts);
  }
  ft_free(datasets);
}

/* ---------------------------------------------------------------- what is not data */

typedef struct interval {
  int64_t start, end;
} interval;

static int by_start(const void *a, const void *b) {
  const interval *x = a, *y = b;
  return (x->start > y->start) - (x->start < y->start);
}

/* Goes on with *hash over the bytes from `at` to `end`. */
static ft_err hash_bytes(int fd, const char *path, int64_t at, int64_t end, void *buffer,
                         uint64_t *hash) {
  ft_err err = FT_OK;
  for (; at < end; at += 1 << 20) {
    size_t bytes = (size_t)FT_MIN(end - at, 1 << 20);
    FT_TRY(ft_pread_all(fd, path, buffer, bytes, at));
    *hash = ft_hash64(buffer, bytes, *hash);
  }
out:
  return err;
}

ft_err ft_slices_hash_metadata(int fd, const char *path, int64_t bytes,
                               const ft_slice_dataset *datasets, int64_t count, uint64_t *hash) {
  ft_err err = FT_OK;
  void *memory = NULL, *buffer = NULL;
  int64_t at = 0;
  *hash = 0;
  FT_TRY(ft_alloc_array(FT_MEM_IO, 2 * count, sizeof(interval), &memory));
  FT_TRY(ft_alloc(FT_MEM_IO, 1 << 20, &buffer));
  interval *data = memory;
  for (int64_t i = 0; i < count; i++) {
    const ft_slice_dataset *d = &datasets[i];
    data[2 * i] = (interval){d->file_offset, d->file_offset + (int64_t)d->bytes};
    data[2 * i + 1] = (interval){d->hashes_offset, d->hashes_offset + 8 * d->num_hashes};
  }
  if (count > 0) qsort(data, (size_t)(2 * count), sizeof *data, by_start);
  for (int64_t i = 0; i < 2 * count; i++) {
    if (data[i].end == data[i].start) continue;
    FT_CHECK(data[i].start >= at && data[i].end <= bytes, FT_ERR_DATA,
             "%s: two datasets overlap at byte %lld, or lie beyond the file's end", path,
             (long long)data[i].start);
    FT_TRY(hash_bytes(fd, path, at, data[i].start, buffer, hash));
    at = data[i].end;
  }
  FT_TRY(hash_bytes(fd, path, at, bytes, buffer, hash));
out:
  ft_free(memory);
  ft_free(buffer);
  return err;
}

ft_err ft_slices_metadata_hash(const char *path, const ft_slice_dataset *datasets, int64_t count,
                               uint64_t *hash) {
  int fd = -1;
  int64_t bytes;
  ft_err err = ft_file_open(path, &fd, &bytes);
  if (err == FT_OK) err = ft_slices_hash_metadata(fd, path, bytes, datasets, count, hash);
  ft_file_close(&fd);
  return err;
}

int64_t ft_slices_num_hashes(const int64_t *counts, int64_t num_ranges, int64_t chunk_elements) {
  int64_t hashes = 0;
  for (int64_t r = 0; r < num_ranges; r++)
    hashes += ft_ceil_div(counts[r], chunk_elements);
  return hashes;
}
