/* HDF5 files of others, read by HDF5's library. Runs in a process of its own: see pretokenized.c.
 */
#include "h5_foreign.h"

#include <hdf5.h>
#include <string.h>

enum { WINDOW = 1 << 18 }; /* elements that are read at once */

/* A dataset of integers, and a part of it that is in memory. */
typedef struct column {
  const char *name; /* NULL: the file has none */
  hid_t id, type;   /* of the file; type: what is read into */
  int rank;
  hsize_t dims[2];
  bool bytes;      /* values of one byte that are no integers to HDF5 (truth values) */
  int64_t *values; /* [count] from element `first` on */
  int64_t first, count, capacity;
} column;

typedef struct foreign {
  const char *path;
  hid_t file;
  int64_t pad;
  FILE *out;
  column ids, attention, labels, mask, offsets, lengths;
  uint32_t *document; /* [capacity] */
  uint8_t *learnt;    /* [capacity] */
  int64_t capacity;
} foreign;

/* ---------------------------------------------------------------- HDF5 */

static herr_t keep_description(unsigned n, const H5E_error2_t *error, void *arg) {
  (void)n;
  snprintf(arg, 256, "%s", error->desc);
  return 0;
}

static ft_err hdf5_failed(const foreign *f, const char *what) {
  char why[256] = "no reason given";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_description, why);
  return ft_fail(FT_ERR_DATA, "%s: HDF5 cannot read %s: %s", f->path, what, why);
}

/* Refuses by name what the library here cannot unpack: filters come as plugins, too. */
static ft_err check_filters(const foreign *f, const column *c) {
  ft_err err = FT_OK;
  hid_t made = H5Dget_create_plist(c->id);
  int count = made < 0 ? 0 : H5Pget_nfilters(made);
  for (int i = 0; i < count; i++) {
    char name[64] = "";
    unsigned flags, config;
    size_t num = 0;
    H5Z_filter_t filter =
        H5Pget_filter2(made, (unsigned)i, &flags, &num, NULL, sizeof name, name, &config);
    FT_CHECK(
        filter < 0 || H5Zfilter_avail(filter) > 0, FT_ERR_DATA,
        "%s: dataset \"%s\" is packed with the filter %d%s%s%s, which HDF5 does not have here: "
        "pack it with GZIP where the filter is there (h5repack -f GZIP=4 %s OUT.h5)",
        f->path, c->name, (int)filter, name[0] ? " (" : "", name, name[0] ? ")" : "", f->path);
  }
out:
  if (made >= 0) H5Pclose(made);
  return err;
}

/* Opens the first dataset of these names that there is. */
static ft_err open_column(foreign *f, const char *const *names, column *c) {
  static const char *const groups[] = {"", "train/", "data/"};
  ft_err err = FT_OK;
  char path[64];
  for (size_t g = 0; g < FT_ARRAY_SIZE(groups) && !c->name; g++)
    for (const char *const *name = names; *name && !c->name; name++) {
      snprintf(path, sizeof path, "%s%s", groups[g], *name);
      if (groups[g][0]) {
        char group[16];
        snprintf(group, sizeof group, "%.*s", (int)strlen(groups[g]) - 1, groups[g]);
        if (H5Lexists(f->file, group, H5P_DEFAULT) <= 0) continue;
      }
      if (H5Lexists(f->file, path, H5P_DEFAULT) > 0) c->name = *name;
    }
  if (!c->name) return FT_OK;
  c->id = H5Dopen2(f->file, path, H5P_DEFAULT);
  if (c->id < 0) return hdf5_failed(f, c->name);
  hid_t space = H5Dget_space(c->id), type = H5Dget_type(c->id);
  c->rank = H5Sget_simple_extent_ndims(space);
  H5T_class_t class = H5Tget_class(type);
  c->bytes = class != H5T_INTEGER && H5Tget_size(type) == 1 &&
             (class == H5T_ENUM || class == H5T_BITFIELD);
  FT_CHECK(class == H5T_INTEGER || c->bytes, FT_ERR_DATA,
           "%s: dataset \"%s\" does not hold integers", f->path, c->name);
  FT_CHECK(c->rank == 1 || c->rank == 2, FT_ERR_DATA,
           "%s: dataset \"%s\" has %d dimensions, 1 or 2 were expected", f->path, c->name, c->rank);
  FT_TRY(check_filters(f, c));
  H5Sget_simple_extent_dims(space, c->dims, NULL);
  c->type = c->bytes ? type : H5T_NATIVE_INT64;
out:
  H5Sclose(space);
  return err;
}

/* Reads elements first … of a one-dimensional dataset, or rows of a two-dimensional one, so that
 * they are in c->values. */
static ft_err load(foreign *f, column *c, int64_t first, int64_t count) {
  ft_err err = FT_OK;
  int64_t width = c->rank == 2 ? (int64_t)c->dims[1] : 1;
  hsize_t start[2] = {(hsize_t)first, 0}, size[2] = {(hsize_t)count, c->dims[1]};
  hsize_t all = (hsize_t)(count * width);
  FT_TRY(ft_grow(FT_MEM_IO, count * width, sizeof *c->values, &c->capacity, (void **)&c->values));
  hid_t space = H5Dget_space(c->id), memory = H5Screate_simple(1, &all, NULL);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL);
  herr_t result = H5Dread(c->id, c->type, memory, space, H5P_DEFAULT, c->values);
  if (result < 0) err = hdf5_failed(f, c->name); /* before another call forgets why */
  H5Sclose(space);
  H5Sclose(memory);
  if (err != FT_OK) return err;
  for (int64_t i = count * width; c->bytes && i-- > 0;)
    c->values[i] = ((const uint8_t *)c->values)[i];
  c->first = first;
  c->count = count;
out:
  return err;
}

/* Values of elements (rows) first … first + count - 1. Windows go on from where the last ended. */
static ft_err values_of(foreign *f, column *c, int64_t first, int64_t count, const int64_t **out) {
  int64_t width = c->rank == 2 ? (int64_t)c->dims[1] : 1;
  if (first < c->first || first + count > c->first + c->count || !c->values) {
    int64_t more = FT_MAX(count, WINDOW / FT_MAX(width, 1));
    ft_err err = load(f, c, first, FT_MIN(more, (int64_t)c->dims[0] - first));
    if (err != FT_OK) return err;
  }
  *out = c->values + (first - c->first) * width;
  return FT_OK;
}

/* ---------------------------------------------------------------- documents */

static ft_err reserve(foreign *f, int64_t count) {
  ft_err err = FT_OK;
  FT_CHECK(count <= FT_H5_MAX_DOCUMENT, FT_ERR_DATA,
           "%s: a document has %lld tokens, at most %d are read", f->path, (long long)count,
           FT_H5_MAX_DOCUMENT);
  const ft_array arrays[] = {{(void **)&f->document, sizeof *f->document},
                             {(void **)&f->learnt, sizeof *f->learnt}};
  FT_TRY(ft_grow_all(FT_MEM_IO, count, &f->capacity, arrays, FT_ARRAY_SIZE(arrays)));
out:
  return err;
}

static void send(const foreign *f, int64_t count) {
  ft_h5_frame frame = {.count = count, .has_mask = f->labels.name || f->mask.name};
  fwrite(&frame, sizeof frame, 1, f->out);
  if (count <= 0) return;
  fwrite(f->document, sizeof *f->document, (size_t)count, f->out);
  fwrite(f->learnt, 1, (size_t)count, f->out);
}

/* Whether a token is learnt: labels repeat the ids there. */
static ft_err learnt(const foreign *f, int64_t id, const int64_t *label, const int64_t *mask,
                     int64_t document, uint8_t *out) {
  *out = 1;
  if (label) *out = *label != FT_TOKENS_NO_LABEL;
  if (mask) *out = *mask != 0;
  if (!label || !*out || *label == id) return FT_OK;
  return ft_fail(FT_ERR_DATA,
                 "%s: document %lld: a label is %lld where the id is %lld: labels that repeat the "
                 "ids (not shifted by one) or are -100 were expected",
                 f->path, (long long)document, (long long)*label, (long long)id);
}

/* Sends tokens [begin, end) of arrays that begin at the same place. */
static ft_err send_tokens(foreign *f, const int64_t *ids, const int64_t *labels,
                          const int64_t *mask, int64_t begin, int64_t end, int64_t document) {
  ft_err err = FT_OK;
  FT_TRY(reserve(f, end - begin));
  for (int64_t i = begin; i < end; i++) {
    FT_CHECK(ids[i] >= 0 && ids[i] <= UINT32_MAX, FT_ERR_DATA, "%s: document %lld has the id %lld",
             f->path, (long long)document, (long long)ids[i]);
    f->document[i - begin] = (uint32_t)ids[i];
    FT_TRY(learnt(f, ids[i], labels ? labels + i : NULL, mask ? mask + i : NULL, document,
                  &f->learnt[i - begin]));
  }
  send(f, end - begin);
out:
  return err;
}

static bool is_padding(const foreign *f, const int64_t *ids, const int64_t *attention, int64_t i) {
  return attention ? attention[i] == 0 : ids[i] < 0 || ids[i] == f->pad;
}

/* Rows of two dimensions without what fills them up. Where the padding id also ends texts, the
 * first one after a text belongs to it. */
static ft_err send_rows(foreign *f) {
  ft_err err = FT_OK;
  int64_t width = (int64_t)f->ids.dims[1];
  for (int64_t row = 0; row < (int64_t)f->ids.dims[0]; row++) {
    const int64_t *ids, *attention = NULL, *labels = NULL, *mask = NULL;
    int64_t begin = 0, end = width;
    FT_TRY(values_of(f, &f->ids, row, 1, &ids));
    if (f->attention.name) FT_TRY(values_of(f, &f->attention, row, 1, &attention));
    if (f->labels.name) FT_TRY(values_of(f, &f->labels, row, 1, &labels));
    if (f->mask.name) FT_TRY(values_of(f, &f->mask, row, 1, &mask));
    while (end > 0 && is_padding(f, ids, attention, end - 1))
      end--;
    while (begin < end && is_padding(f, ids, attention, begin))
      begin++;
    bool learnt_end = labels ? end < width && labels[end] != FT_TOKENS_NO_LABEL
                             : mask && end < width && mask[end] != 0;
    if (!attention && end < width && ids[end] == f->pad && learnt_end) end++;
    FT_TRY(send_tokens(f, ids, labels, mask, begin, end, row));
  }
out:
  return err;
}

/* Where document d of one dimension begins. */
static ft_err start_of(foreign *f, int64_t d, int64_t before, int64_t *out) {
  const int64_t *value;
  ft_err err = FT_OK;
  int64_t all = (int64_t)f->ids.dims[0];
  *out = all;
  if (f->offsets.name && d < (int64_t)f->offsets.dims[0]) {
    FT_TRY(values_of(f, &f->offsets, d, 1, &value));
    *out = *value;
  } else if (f->lengths.name && d > 0) {
    FT_TRY(values_of(f, &f->lengths, d - 1, 1, &value));
    *out = before + *value;
  } else if (d == 0) {
    *out = 0;
  }
  FT_CHECK(*out >= before && *out <= all, FT_ERR_DATA,
           "%s: document %lld begins at %lld, %lld to %lld was expected", f->path, (long long)d,
           (long long)*out, (long long)before, (long long)all);
out:
  return err;
}

static ft_err count_documents(foreign *f, int64_t *out) {
  ft_err err = FT_OK;
  const int64_t *last;
  *out = f->lengths.name ? (int64_t)f->lengths.dims[0] : 1;
  if (f->offsets.name) {
    int64_t count = (int64_t)f->offsets.dims[0];
    FT_CHECK(count > 0, FT_ERR_DATA, "%s: \"%s\" is empty", f->path, f->offsets.name);
    FT_TRY(values_of(f, &f->offsets, count - 1, 1, &last));
    *out = *last == (int64_t)f->ids.dims[0] ? count - 1 : count; /* with the end or without */
  }
out:
  return err;
}

static ft_err send_pieces(foreign *f) {
  ft_err err = FT_OK;
  int64_t documents, begin = 0, end;
  FT_TRY(count_documents(f, &documents));
  FT_TRY(start_of(f, 0, 0, &begin));
  for (int64_t d = 0; d < documents; d++, begin = end) {
    const int64_t *ids, *labels = NULL, *mask = NULL;
    FT_TRY(start_of(f, d + 1, begin, &end));
    FT_CHECK(end - begin <= FT_H5_MAX_DOCUMENT, FT_ERR_DATA,
             "%s: document %lld has %lld tokens, at most %d are read", f->path, (long long)d,
             (long long)(end - begin), FT_H5_MAX_DOCUMENT);
    FT_TRY(values_of(f, &f->ids, begin, end - begin, &ids));
    if (f->labels.name) FT_TRY(values_of(f, &f->labels, begin, end - begin, &labels));
    if (f->mask.name) FT_TRY(values_of(f, &f->mask, begin, end - begin, &mask));
    FT_TRY(send_tokens(f, ids, labels, mask, 0, end - begin, d));
  }
out:
  return err;
}

/* ---------------------------------------------------------------- the file */

static ft_err same_shape(const foreign *f, const column *c) {
  if (!c->name) return FT_OK;
  bool same = c->rank == f->ids.rank && c->dims[0] == f->ids.dims[0] &&
              (c->rank == 1 || c->dims[1] == f->ids.dims[1]);
  if (same) return FT_OK;
  return ft_fail(FT_ERR_DATA, "%s: \"%s\" and \"%s\" are not of the same shape", f->path, c->name,
                 f->ids.name);
}

static ft_err open_columns(foreign *f) {
  static const char *const ids[] = {"input_ids", "tokens", "ids", "token_ids", NULL};
  static const char *const attention[] = {"attention_mask", NULL}, *const labels[] = {"labels",
                                                                                      NULL};
  static const char *const mask[] = {"loss_mask", "assistant_masks", NULL};
  static const char *const offsets[] = {"offsets", "cu_seqlens", "indptr", NULL};
  static const char *const lengths[] = {"lengths", "length", NULL};
  ft_err err = FT_OK;
  FT_TRY(open_column(f, ids, &f->ids));
  FT_CHECK(f->ids.name, FT_ERR_DATA,
           "%s: has none of the datasets \"input_ids\", \"tokens\", \"ids\" and \"token_ids\"",
           f->path);
  FT_TRY(open_column(f, attention, &f->attention));
  FT_TRY(open_column(f, labels, &f->labels));
  FT_TRY(open_column(f, mask, &f->mask));
  FT_TRY(open_column(f, offsets, &f->offsets));
  FT_TRY(open_column(f, lengths, &f->lengths));
  FT_TRY(same_shape(f, &f->attention));
  FT_TRY(same_shape(f, &f->labels));
  FT_TRY(same_shape(f, &f->mask));
out:
  return err;
}

static ft_err read_all(foreign *f) {
  ft_err err = FT_OK;
  f->file = H5Fopen(f->path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (f->file < 0) return hdf5_failed(f, "the file");
  FT_TRY(open_columns(f));
  FT_TRY(f->ids.rank == 2 ? send_rows(f) : send_pieces(f));
out:
  return err;
}

void ft_h5_read_foreign(const char *path, int64_t pad, FILE *out) {
  foreign f = {.path = path, .pad = pad, .out = out};
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  ft_err err = read_all(&f);
  if (err == FT_OK) {
    send(&f, -1);
    return;
  }
  const char *message = ft_error_message();
  ft_h5_frame frame = {.count = -2, .bytes = (int32_t)strlen(message)};
  fwrite(&frame, sizeof frame, 1, out);
  fwrite(message, 1, strlen(message), out);
}
