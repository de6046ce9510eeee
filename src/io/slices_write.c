/* Writing slice files: laid out first, then the data are hashed and written to their places, then
 * the metadata with their checksums to the file's start. */
#include <string.h>
#include <unistd.h>

#include "h5_write.h"
#include "slices.h"
#include "stream.h"

/* Data go in pieces that stay in the processor's cache between hashing and writing. */
enum { PIECE_BYTES = 1 << 20 };

enum { NUM_ATTRIBUTES = 6 };

typedef struct writer {
  const char *temporary;
  ft_stream stream;
  ft_slice_dataset *datasets;
  int64_t count;
  ft_h5_dataset *stored; /* [2 count] data and hashes of each */
  char **hash_names;     /* [count] */
} writer;

/* ---------------------------------------------------------------- layout */

/* Checks what a caller got wrong, and fills num_hashes. */
static ft_err check_dataset(ft_slice_dataset *d) {
  int64_t bytes = 0;
  bool good = d->group_elements > 0 && d->chunk_elements > 0 && d->element_bytes > 0 &&
              d->chunk_elements % d->group_elements == 0 && d->name[0] == '/' &&
              d->num_ranges <= FT_SLICES_MAX_RANGES;
  for (int64_t r = 0; good && r < d->num_ranges; r++) {
    good = d->starts[r] >= 0 && d->counts[r] > 0 && d->counts[r] % d->group_elements == 0;
    bytes += good ? ft_slices_range_bytes(d, d->counts[r]) : 0;
  }
  if (!good || (size_t)bytes != d->bytes)
    return ft_fail(FT_ERR_INTERNAL, "slices %s: %lld ranges of %zu bytes do not fit together",
                   d->name, (long long)d->num_ranges, d->bytes);
  d->num_hashes = ft_slices_num_hashes(d->counts, d->num_ranges, d->chunk_elements);
  return FT_OK;
}

/* As the file stores entries: of a width that HDF5 has a type for. */
static ft_h5_type stored_type(const ft_slice_dataset *d) {
  size_t width = d->element_bytes;
  bool plain = width == 2 || width == 4 || width == 8;
  return (ft_h5_type){.is_float = width == 4, .width = plain ? width : 1};
}

static void describe(const ft_slice_dataset *d, ft_h5_attribute out[NUM_ATTRIBUTES]) {
  const ft_h5_attribute all[NUM_ATTRIBUTES] = {
      {.name = "start", .kind = FT_H5_I64, .values = d->starts, .count = d->num_ranges},
      {.name = "length", .kind = FT_H5_I64, .values = d->counts, .count = d->num_ranges},
      {.name = "entry_bytes", .kind = FT_H5_U64, .values = &d->element_bytes, .count = -1},
      {.name = "entry_elements", .kind = FT_H5_I64, .values = &d->group_elements, .count = -1},
      {.name = "chunk_elements", .kind = FT_H5_I64, .values = &d->chunk_elements, .count = -1},
      {.name = "xxh3", .kind = FT_H5_U64, .values = &d->checksum, .count = -1}};
  memcpy(out, all, sizeof all);
}

/* Lays the file out with the checksums as they are known by now. */
static ft_err lay_out(writer *w, ft_h5_image *image) {
  ft_err err = FT_OK;
  void *memory = NULL;
  uint32_t version = FT_SLICES_VERSION;
  const ft_h5_attribute root[] = {
      {.name = "format", .kind = FT_H5_TEXT, .values = FT_SLICES_FORMAT, .count = -1},
      {.name = "version", .kind = FT_H5_U32, .values = &version, .count = -1}};
  FT_TRY(ft_alloc_array(FT_MEM_IO, w->count, NUM_ATTRIBUTES * sizeof(ft_h5_attribute), &memory));
  ft_h5_attribute *attributes = memory;
  for (int64_t i = 0; i < w->count; i++) {
    ft_slice_dataset *d = &w->datasets[i];
    ft_h5_type type = stored_type(d);
    ft_h5_attribute *mine = attributes + i * NUM_ATTRIBUTES;
    describe(d, mine);
    w->stored[2 * i] = (ft_h5_dataset){.name = d->name,
                                       .type = type,
                                       .count = (int64_t)(d->bytes / type.width),
                                       .attributes = mine,
                                       .num_attributes = NUM_ATTRIBUTES};
    w->stored[2 * i + 1] =
        (ft_h5_dataset){.name = w->hash_names[i], .type = {.width = 8}, .count = d->num_hashes};
  }
  FT_TRY(ft_h5_layout(root, FT_ARRAY_SIZE(root), w->stored, 2 * w->count, image));
  for (int64_t i = 0; i < w->count; i++) {
    w->datasets[i].file_offset = w->stored[2 * i].offset;
    w->datasets[i].hashes_offset = w->stored[2 * i + 1].offset;
  }
out:
  ft_free(memory);
  return err;
}

/* ---------------------------------------------------------------- data */

/* Hashes and writes one range of a dataset. *at: file offset, moves on; returns by *hashes the next
 * free place. */
static ft_err write_range(writer *w, const ft_slice_dataset *d, const char *data, int64_t elements,
                          int64_t *at, uint64_t **hashes) {
  ft_err err = FT_OK;
  int64_t bytes = ft_slices_range_bytes(d, elements);
  int64_t chunk = ft_slices_range_bytes(d, d->chunk_elements);
  int64_t piece = FT_MAX(1, PIECE_BYTES / chunk) * chunk;
  for (int64_t done = 0; done < bytes; done += piece) {
    int64_t now = FT_MIN(piece, bytes - done);
    for (int64_t c = 0; c < now; c += chunk)
      *(*hashes)++ = ft_hash64(data + done + c, (size_t)FT_MIN(chunk, now - c), 0);
    FT_TRY(ft_stream_write(&w->stream, data + done, (size_t)now, *at));
    *at += now;
  }
out:
  return err;
}

static ft_err write_dataset(writer *w, ft_slice_dataset *d) {
  ft_err err = FT_OK;
  void *hashes = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_IO, d->num_hashes, sizeof(uint64_t), &hashes));
  uint64_t *next = hashes;
  int64_t at = d->file_offset, local = 0;
  for (int64_t r = 0; r < d->num_ranges; r++) {
    if (d->locals) local = d->locals[r];
    const char *data = (const char *)d->data + ft_slices_range_bytes(d, local);
    FT_TRY(write_range(w, d, data, d->counts[r], &at, &next));
    local += d->counts[r];
  }
  size_t bytes = (size_t)d->num_hashes * sizeof(uint64_t);
  d->checksum = ft_hash64(hashes, bytes, 0);
  if (bytes > 0) FT_TRY(ft_stream_write(&w->stream, hashes, bytes, d->hashes_offset));
out:
  ft_free(hashes);
  return err;
}

/* ---------------------------------------------------------------- the whole file */

static ft_err prepare(writer *w) {
  ft_err err = FT_OK;
  void *stored, *names;
  FT_TRY(ft_alloc_array(FT_MEM_IO, 2 * w->count, sizeof(ft_h5_dataset), &stored));
  w->stored = stored;
  FT_TRY(ft_alloc_array(FT_MEM_IO, w->count, sizeof(char *), &names));
  w->hash_names = names;
  for (int64_t i = 0; i < w->count; i++) {
    FT_TRY(check_dataset(&w->datasets[i]));
    FT_TRY(ft_format(&w->hash_names[i], "%s" FT_SLICES_HASHES, w->datasets[i].name));
  }
out:
  return err;
}

static ft_err write_all(writer *w, const char *path, ft_slice_file *file) {
  ft_err err = FT_OK;
  ft_h5_image image = {0};
  FT_TRY(prepare(w));
  FT_TRY(lay_out(w, &image));
  ft_free(image.bytes);
  image.bytes = NULL;
  FT_TRY(ft_stream_open(&w->stream, w->temporary));
  for (int64_t i = 0; i < w->count; i++)
    FT_TRY(write_dataset(w, &w->datasets[i]));
  FT_TRY(ft_stream_flush(&w->stream));
  FT_TRY(lay_out(w, &image)); /* now with checksums */
  int fd = w->stream.fd;
  FT_TRY(ft_file_pwrite(fd, w->temporary, image.bytes, image.used, 0));
  if (ftruncate(fd, image.file_bytes) != 0)
    FT_TRY(ft_file_fail(FT_ERR_IO, w->temporary, "set the size"));
  file->bytes = image.file_bytes;
  FT_TRY(ft_slices_hash_metadata(fd, w->temporary, file->bytes, w->datasets, w->count,
                                 &file->metadata_hash));
  FT_TRY(ft_file_sync_close(&w->stream.fd, w->temporary));
  FT_TRY(ft_commit_file(w->temporary, path));
out:
  ft_free(image.bytes);
  return err;
}

ft_err ft_slices_write(const char *path, ft_slice_dataset *datasets, int64_t count,
                       ft_slice_file *file) {
  ft_err err = FT_OK;
  char *temporary = NULL;
  writer w = {.datasets = datasets, .count = count, .stream = {.fd = -1}};
  FT_TRY(ft_file_temporary(path, &temporary));
  w.temporary = temporary;
  FT_TRY(write_all(&w, path, file));
out:
  ft_stream_close(&w.stream);
  if (err != FT_OK && temporary) unlink(temporary);
  for (int64_t i = 0; w.hash_names && i < count; i++)
    ft_free(w.hash_names[i]);
  ft_free(w.hash_names);
  ft_free(w.stored);
  ft_free(temporary);
  return err;
}
