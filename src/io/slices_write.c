/* Writing slice files. HDF5 lays the file out (datasets allocated, nothing filled); the data are
 * hashed and written to their places by pwrite, then HDF5 adds the checksums and closes. */
#define _GNU_SOURCE /* sync_file_range */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "hdf5.h"
#include "slices.h"

/* Data go in pieces that stay in the processor's cache between hashing and writing. Each window is
 * sent to the disk while the next is filled: the disk never waits for the final fsync, and no more
 * than two windows of page cache are taken from the run. */
enum { PIECE_BYTES = 1 << 20, WINDOW_BYTES = 32 << 20 };

typedef struct writer {
  const char *temporary;
  ft_slice_dataset *datasets;
  int64_t count;
  hid_t file;
  hid_t *sets;                          /* [count] open datasets, for their checksums */
  int fd;                               /* the same file, for the data */
  int64_t window_start, previous_start; /* of what was written last; -1: nothing yet */
} writer;

int64_t ft_slices_num_hashes(const int64_t *counts, int64_t num_ranges, int64_t chunk_elements) {
  int64_t hashes = 0;
  for (int64_t r = 0; r < num_ranges; r++)
    hashes += ft_ceil_div(counts[r], chunk_elements);
  return hashes;
}

/* ---------------------------------------------------------------- layout, by HDF5 */

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

/* Makes the group of "/GROUP/NAME" if it is not there. All its links stay in its object header. */
static ft_err make_group(hid_t file, const char *path, const char *name) {
  ft_err err = FT_OK;
  hid_t properties = -1, group = -1;
  char parent[200];
  const char *slash = strrchr(name, '/');
  size_t length = (size_t)(slash - name);
  FT_CHECK(length < sizeof parent, FT_ERR_INTERNAL, "%s: the name %s is too long", path, name);
  if (length == 0) return FT_OK;
  memcpy(parent, name, length);
  parent[length] = 0;
  if (H5Lexists(file, parent, H5P_DEFAULT) > 0) return FT_OK;
  properties = H5Pcreate(H5P_GROUP_CREATE);
  if (properties < 0 || H5Pset_link_phase_change(properties, 65535, 0) < 0 ||
      (group = H5Gcreate2(file, parent, H5P_DEFAULT, properties, H5P_DEFAULT)) < 0)
    err = ft_h5_fail(FT_ERR_IO, path, "make a group");
out:
  if (group >= 0) H5Gclose(group);
  if (properties >= 0) H5Pclose(properties);
  return err;
}

static ft_err make_dataset(writer *w, int64_t i) {
  ft_err err = FT_OK;
  ft_slice_dataset *d = &w->datasets[i];
  ft_h5_place data, hashes;
  char *hashes_name = NULL;
  uint64_t zero = 0;
  hid_t type = d->element_bytes == 2   ? H5T_STD_U16LE
               : d->element_bytes == 4 ? H5T_IEEE_F32LE
               : d->element_bytes == 8 ? H5T_STD_U64LE
                                       : H5T_STD_U8LE;
  int64_t entries = (int64_t)(d->bytes / H5Tget_size(type));
  FT_TRY(make_group(w->file, w->temporary, d->name));
  FT_TRY(ft_format(&hashes_name, "%s" FT_SLICES_HASHES, d->name));
  FT_TRY(ft_h5_new_dataset(w->file, w->temporary, d->name, type, entries, &data, &w->sets[i]));
  FT_TRY(ft_h5_new_dataset(w->file, w->temporary, hashes_name, H5T_STD_U64LE, d->num_hashes,
                           &hashes, NULL));
  hid_t set = w->sets[i];
  const char *path = w->temporary;
  FT_TRY(ft_h5_set_array(set, path, "start", H5T_STD_I64LE, d->num_ranges, d->starts));
  FT_TRY(ft_h5_set_array(set, path, "length", H5T_STD_I64LE, d->num_ranges, d->counts));
  FT_TRY(
      ft_h5_set_array(set, path, "entry_bytes", H5T_STD_U64LE, -1, &(uint64_t){d->element_bytes}));
  FT_TRY(ft_h5_set_array(set, path, "entry_elements", H5T_STD_I64LE, -1, &d->group_elements));
  FT_TRY(ft_h5_set_array(set, path, "chunk_elements", H5T_STD_I64LE, -1, &d->chunk_elements));
  FT_TRY(ft_h5_set_array(set, path, "xxh3", H5T_STD_U64LE, -1, &zero)); /* its place */
  d->file_offset = data.offset;
  d->hashes_offset = hashes.offset;
out:
  ft_free(hashes_name);
  return err;
}

static ft_err make_layout(writer *w) {
  ft_err err = FT_OK;
  uint32_t version = FT_SLICES_VERSION;
  ft_h5_lock();
  FT_TRY(ft_h5_create(w->temporary, true, &w->file));
  FT_TRY(ft_h5_set_text(w->file, w->temporary, "format", FT_SLICES_FORMAT));
  FT_TRY(ft_h5_set_array(w->file, w->temporary, "version", H5T_STD_U32LE, -1, &version));
  for (int64_t i = 0; i < w->count; i++)
    FT_TRY(make_dataset(w, i));
  if (H5Fflush(w->file, H5F_SCOPE_LOCAL) < 0)
    FT_TRY(ft_h5_fail(FT_ERR_IO, w->temporary, "write the file's layout"));
out:
  ft_h5_unlock();
  return err;
}

static ft_err finish_layout(writer *w) {
  ft_err err = FT_OK;
  ft_h5_lock();
  for (int64_t i = 0; i < w->count; i++) {
    hid_t attribute = H5Aopen(w->sets[i], "xxh3", H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, H5T_STD_U64LE, &w->datasets[i].checksum) < 0)
      err = ft_h5_fail(FT_ERR_IO, w->temporary, "write a checksum");
    if (attribute >= 0) H5Aclose(attribute);
    if (err != FT_OK) goto out;
  }
  FT_TRY(ft_h5_close(&w->file, w->temporary));
out:
  ft_h5_unlock();
  return err;
}

/* ---------------------------------------------------------------- data, by pwrite */

/* Starts writing a window back when it is full, and waits for the one before. Where the filesystem
 * cannot, the fsync at the end does all. */
static void pace(writer *w, int64_t from, int64_t to) {
  if (w->window_start < 0 || from < w->window_start) w->window_start = from;
  if (to - w->window_start < WINDOW_BYTES) return;
  (void)sync_file_range(w->fd, w->window_start, to - w->window_start, SYNC_FILE_RANGE_WRITE);
  if (w->previous_start >= 0) {
    int64_t bytes = w->window_start - w->previous_start;
    (void)sync_file_range(w->fd, w->previous_start, bytes,
                          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                              SYNC_FILE_RANGE_WAIT_AFTER);
    (void)posix_fadvise(w->fd, w->previous_start, bytes, POSIX_FADV_DONTNEED);
  }
  w->previous_start = w->window_start;
  w->window_start = to;
}

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
    FT_TRY(ft_file_pwrite(w->fd, w->temporary, data + done, (size_t)now, *at));
    pace(w, *at, *at + now);
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
  FT_TRY(ft_file_pwrite(w->fd, w->temporary, hashes, bytes, d->hashes_offset));
out:
  ft_free(hashes);
  return err;
}

/* ---------------------------------------------------------------- the whole file */

static ft_err write_all(writer *w, const char *path, ft_slice_file *file) {
  ft_err err = FT_OK;
  struct stat info;
  for (int64_t i = 0; i < w->count; i++)
    FT_TRY(check_dataset(&w->datasets[i]));
  FT_TRY(make_layout(w));
  FT_TRY(ft_file_reopen(w->temporary, &w->fd));
  for (int64_t i = 0; i < w->count; i++)
    FT_TRY(write_dataset(w, &w->datasets[i]));
  FT_TRY(finish_layout(w));
  if (fstat(w->fd, &info) != 0) FT_TRY(ft_file_fail(FT_ERR_IO, w->temporary, "stat"));
  file->bytes = info.st_size;
  FT_TRY(ft_slices_hash_metadata(w->fd, w->temporary, file->bytes, w->datasets, w->count,
                                 &file->metadata_hash));
  FT_TRY(ft_file_sync_close(&w->fd, w->temporary));
  FT_TRY(ft_commit_file(w->temporary, path));
out:
  return err;
}

ft_err ft_slices_write(const char *path, ft_slice_dataset *datasets, int64_t count,
                       ft_slice_file *file) {
  ft_err err = FT_OK;
  char *temporary = NULL;
  void *sets = NULL;
  writer w = {.datasets = datasets,
              .count = count,
              .file = -1,
              .fd = -1,
              .window_start = -1,
              .previous_start = -1};
  FT_TRY(ft_file_temporary(path, &temporary));
  w.temporary = temporary;
  FT_TRY(ft_alloc_array(FT_MEM_IO, count, sizeof(hid_t), &sets));
  w.sets = sets;
  FT_TRY(write_all(&w, path, file));
out:
  ft_file_close(&w.fd);
  if (w.file >= 0) { /* after an error, whose message stays */
    ft_h5_lock();
    (void)H5Fclose(w.file);
    ft_h5_unlock();
  }
  if (err != FT_OK && temporary) unlink(temporary);
  ft_free(sets);
  ft_free(temporary);
  return err;
}
