/* RUN/reference.h5: what the reference model says of documents, by their hashes. A slice file
 * (docs/formats.md) of three columns, so every byte of it that is read is under a checksum. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preference.h"

enum { COLUMNS = 4, CHUNK = 4096 };
static const char *const columns[COLUMNS] = {"/reference/model", "/reference/hash",
                                             "/reference/logp", "/reference/targets"};

void ft_reference_fini(ft_reference *r) {
  ft_free(r->rows);
  *r = (ft_reference){0};
}

const ft_reference_row *ft_reference_find(const ft_reference *r, uint64_t hash) {
  int64_t low = 0,
          high = r->num; /* rows before low have smaller hashes, from high on larger ones */
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (r->rows[middle].hash == hash) return &r->rows[middle];
    if (r->rows[middle].hash < hash)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

/* ---------------------------------------------------------------- of which model */

/* Which of its weights are kept in codes, as copied from the run; 0: none. */
static uint64_t storage_digest(const trainer *t) {
  const ft_layout *l = t->hf.layout;
  uint64_t digest = 0;
  for (int64_t b = 0; b < l->num_blocks && !t->config->reference; b++)
    for (int i = 0; i < l->blocks[b].num_tensors; i++) {
      const ft_tensor *tensor = &l->blocks[b].tensors[i];
      const int64_t kept[] = {l->blocks[b].place, l->blocks[b].layer, tensor->role,
                              tensor->storage};
      if (tensor->storage != FT_CODE_NONE) digest += ft_hash64(kept, sizeof kept, 0);
    }
  return digest;
}

/* What the numbers depend on: the model's files, how its weights are kept and the type it computes
 * in. */
ft_err ft_reference_identify(const trainer *t, uint64_t *identity) {
  ft_err err = FT_OK;
  const char *dir = ft_plan_reference_path(t->config);
  char *path = NULL, *text = NULL;
  size_t bytes;
  FT_TRY(ft_hf_weights_digest(dir, identity));
  FT_TRY(ft_path_join(dir, "config.json", &path));
  FT_TRY(ft_read_file(path, (size_t)1 << 30, &text, &bytes));
  *identity =
      ft_hash64(text, bytes, *identity + (uint64_t)t->config->precision) + storage_digest(t);
out:
  ft_free(text);
  ft_free(path);
  return err;
}

/* ---------------------------------------------------------------- columns */

/* Value `column` of row i as the file has it: 8 bytes. */
static uint64_t *cell(ft_reference_row *row, int column) {
  void *cells[COLUMNS] = {NULL, &row->hash, &row->logp, &row->targets};
  return cells[column];
}

ft_err ft_reference_write(const char *dir, const ft_reference *r, uint64_t identity) {
  ft_err err = FT_OK;
  char *path = NULL;
  void *memory = NULL;
  ft_slice_file file;
  ft_slice_dataset datasets[COLUMNS];
  const int64_t start = 0, one = 1;
  FT_TRY(ft_path_join(dir, "reference.h5", &path));
  FT_TRY(ft_alloc_array(FT_MEM_IO, FT_MAX(COLUMNS * r->num, 1), sizeof(uint64_t), &memory));
  uint64_t *data = memory;
  for (int c = 0; c < COLUMNS; c++) {
    int64_t num = c == 0 ? 1 : r->num;
    for (int64_t i = 0; i < r->num && c > 0; i++)
      data[c * r->num + i] = *cell(&r->rows[i], c);
    datasets[c] = (ft_slice_dataset){.name = (char *)(uintptr_t)columns[c],
                                     .data = c == 0 ? &identity : data + c * r->num,
                                     .bytes = (size_t)num * sizeof(uint64_t),
                                     .element_bytes = sizeof(uint64_t),
                                     .group_elements = 1,
                                     .chunk_elements = CHUNK,
                                     .starts = &start,
                                     .counts = c == 0 ? &one : &r->num,
                                     .num_ranges = num > 0};
  }
  FT_TRY(ft_slices_write(path, datasets, COLUMNS, &file));
out:
  ft_free(memory);
  ft_free(path);
  return err;
}

/* ---------------------------------------------------------------- reading */

static ft_err damaged(const char *path, const char *what) {
  return ft_fail(FT_ERR_DATA, "%s: %s: the file is damaged; remove it, and it is computed again",
                 path, what);
}

/* Of one column, compared with its checksums; *out: ft_free. */
static ft_err read_column(const char *path, int fd, const ft_slice_dataset *d, uint64_t **out) {
  ft_err err = FT_OK;
  void *data = NULL, *hashes = NULL;
  size_t of_hashes = (size_t)d->num_hashes * sizeof(uint64_t);
  FT_TRY(ft_alloc(FT_MEM_IO, FT_MAX(d->bytes, 1), &data));
  FT_TRY(ft_alloc(FT_MEM_IO, FT_MAX(of_hashes, 1), &hashes));
  FT_TRY(ft_pread_all(fd, path, data, d->bytes, d->file_offset));
  FT_TRY(ft_pread_all(fd, path, hashes, of_hashes, d->hashes_offset));
  bool same = ft_hash64(hashes, of_hashes, 0) == d->checksum;
  size_t chunk = (size_t)d->chunk_elements * sizeof(uint64_t);
  for (int64_t i = 0; i < d->num_hashes && same; i++) {
    size_t at = (size_t)i * chunk;
    same = at < d->bytes && ft_hash64((char *)data + at, FT_MIN(chunk, d->bytes - at), 0) ==
                                ((const uint64_t *)hashes)[i];
  }
  if (!same) FT_TRY(damaged(path, d->name));
  *out = data;
  data = NULL;
out:
  ft_free(data);
  ft_free(hashes);
  return err;
}

/* The columns by name, all as long as they have to be; *num: rows. */
static ft_err find_columns(const char *path, const ft_slice_dataset *datasets, int64_t count,
                           const ft_slice_dataset *found[COLUMNS], int64_t *num) {
  for (int c = 0; c < COLUMNS; c++)
    for (int64_t i = 0; i < count; i++)
      if (strcmp(datasets[i].name, columns[c]) == 0) found[c] = &datasets[i];
  for (int c = 0; c < COLUMNS; c++) {
    if (!found[c] || found[c]->element_bytes != sizeof(uint64_t)) return damaged(path, columns[c]);
    size_t expected = c == 0 ? sizeof(uint64_t) : found[1]->bytes;
    if (found[c]->bytes != expected) return damaged(path, columns[c]);
  }
  *num = (int64_t)(found[1]->bytes / sizeof(uint64_t));
  return FT_OK;
}

static ft_err read_rows(const char *path, int fd, const ft_slice_dataset *found[COLUMNS],
                        ft_reference *out, uint64_t *identity) {
  ft_err err = FT_OK;
  uint64_t *values = NULL;
  for (int c = 0; c < COLUMNS; c++) {
    FT_TRY(read_column(path, fd, found[c], &values));
    if (c == 0) *identity = values[0];
    for (int64_t i = 0; i < out->num && c > 0; i++)
      *cell(&out->rows[i], c) = values[i];
    ft_free(values);
    values = NULL;
  }
  for (int64_t i = 1; i < out->num; i++)
    if (out->rows[i - 1].hash >= out->rows[i].hash) FT_TRY(damaged(path, "its order"));
out:
  ft_free(values);
  return err;
}

ft_err ft_reference_read(const char *dir, ft_reference *out, uint64_t *identity) {
  ft_err err = FT_OK;
  char *path = NULL;
  int fd = -1;
  int64_t count = 0;
  ft_slice_dataset *datasets = NULL;
  const ft_slice_dataset *found[COLUMNS] = {NULL};
  void *memory = NULL;
  *out = (ft_reference){0};
  *identity = 0;
  FT_TRY(ft_path_join(dir, "reference.h5", &path));
  if (!ft_path_exists(path)) goto out;
  err = ft_slices_open(path, &datasets, &count);
  if (err == FT_ERR_DATA) err = ft_fail_prefix(err, "removing the file has it computed again");
  if (err != FT_OK) goto out;
  FT_TRY(find_columns(path, datasets, count, found, &out->num));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, FT_MAX(out->num, 1), sizeof *out->rows, &memory));
  out->rows = memory;
  fd = open(path, O_RDONLY | O_CLOEXEC);
  FT_CHECK(fd >= 0, FT_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  FT_TRY(read_rows(path, fd, found, out, identity));
out:
  if (fd >= 0) close(fd);
  ft_slices_free(datasets, count);
  ft_free(path);
  if (err != FT_OK) ft_reference_fini(out);
  return err;
}
