/* What a file or directory is: the first row of a table of marks that fits. */
#include "kind.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ft/io_input.h"

enum { LOOK_BYTES = 4 << 10, HDF5_BLOCK = 512 };

/* ---------------------------------------------------------------- files */

typedef struct mark {
  ft_kind kind;
  size_t at, bytes;
  const char *text;
} mark;

static const mark marks[] = {
    {FT_KIND_LFS_POINTER, 0, 24, "version https://git-lfs."},
    {FT_KIND_LFS_POINTER, 0, 23, "version https://hawser."}, /* its name until 2014 */
    {FT_KIND_ANNEX_POINTER, 0, 15, "/annex/objects/"},
    {FT_KIND_GZIP, 0, 2, "\x1f\x8b"},
    {FT_KIND_ZSTD, 0, 4, "\x28\xb5\x2f\xfd"},
    {FT_KIND_BZIP2, 0, 3, "BZh"},
    {FT_KIND_XZ, 0, 6, "\xfd\x37\x7a\x58\x5a\x00"},
    {FT_KIND_LZ4, 0, 4, "\x04\x22\x4d\x18"},
    {FT_KIND_ZIP, 0, 4, "PK\5\6"}, /* one without members */
    {FT_KIND_7ZIP, 0, 6, "7z\xbc\xaf\x27\x1c"},
    {FT_KIND_NUMPY, 0, 6, "\x93NUMPY"},
    {FT_KIND_GGUF, 0, 4, "GGUF"},
    {FT_KIND_PARQUET, 0, 4, "PAR1"},
    {FT_KIND_PARQUET, 0, 4, "PARE"},
    {FT_KIND_ARROW, 0, 6, "ARROW1"},
    {FT_KIND_ARROW, 0, 4, "\xff\xff\xff\xff"}, /* a stream, as `datasets` caches */
    {FT_KIND_AVRO, 0, 4, "Obj\1"},
    {FT_KIND_ORC, 0, 3, "ORC"},
    {FT_KIND_SQLITE, 0, 16, "SQLite format 3\0"},
    {FT_KIND_PDF, 0, 5, "%PDF-"},
    {FT_KIND_OFFICE, 0, 5, "{\\rtf"},
    {FT_KIND_OFFICE, 0, 8, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"}, /* before 2007 */
    {FT_KIND_UTF32, 0, 4, "\xff\xfe\0\0"},
    {FT_KIND_UTF32, 0, 4, "\0\0\xfe\xff"},
    {FT_KIND_UTF32, 0, 4, "{\0\0\0"},
    {FT_KIND_UTF32, 0, 4, "\0\0\0{"},
    {FT_KIND_PICKLE, 0, 2, "\x80\x02"},
    {FT_KIND_PICKLE, 0, 2, "\x80\x03"},
    {FT_KIND_PICKLE, 0, 2, "\x80\x04"},
    {FT_KIND_PICKLE, 0, 2, "\x80\x05"},
};

static bool has_at(const ft_kind_head *h, size_t at, const char *text, size_t bytes) {
  return h->bytes >= at + bytes && memcmp(h->data + at, text, bytes) == 0;
}

/* The signature lies at 0 or, behind a user block, at 512, 1024, 2048 … */
static bool is_hdf5(const ft_kind_head *h) {
  if (has_at(h, 0, "\x89HDF\r\n\x1a\n", 8)) return true;
  for (size_t at = HDF5_BLOCK; at < h->bytes; at *= 2)
    if (has_at(h, at, "\x89HDF\r\n\x1a\n", 8)) return true;
  return false;
}

/* A length of eight bytes, and the JSON object of that length. One whose length is damaged is known
 * by its object, and by a length that is no text. */
static bool is_safetensors(const ft_kind_head *h) {
  bool is_small = true, is_text = true;
  if (h->bytes < 10 || (h->data[8] != '{' && h->data[8] != ' ')) return false;
  for (int i = 0; i < 8; i++) {
    is_small &= i < 4 || h->data[i] == 0;
    is_text &= h->data[i] >= ' ' && h->data[i] < 0x7f;
  }
  return is_small || (!is_text && (h->data[9] == '"' || h->data[9] == '}'));
}

/* One half of what begins a text is zero, with a byte order mark before it or not. */
static bool is_utf16(const ft_kind_head *h) {
  const unsigned char *d = h->data;
  if (h->bytes < 4) return false;
  if (d[0] == 0xff && d[1] == 0xfe) return d[2] && !d[3];
  if (d[0] == 0xfe && d[1] == 0xff) return !d[2] && d[3];
  return (d[0] | d[1]) < 0x80 &&
         ((d[0] && !d[1] && d[2] && !d[3]) || (!d[0] && d[1] && !d[2] && d[3]));
}

/* The checksum in a header of 512 bytes, which takes its own eight for blanks: older archives have
 * no mark. */
static bool is_tar(const ft_kind_head *h) {
  enum { HEADER = 512, SUM_AT = 148, SUM_BYTES = 8 };
  unsigned long sum = 0;
  if (h->bytes < HEADER || h->data[0] == 0) return false;
  for (size_t i = 0; i < HEADER; i++)
    sum += i >= SUM_AT && i < SUM_AT + SUM_BYTES ? ' ' : h->data[i];
  return strtoul((const char *)h->data + SUM_AT, NULL, 8) == sum;
}

/* An archive by the name of its first member. */
static ft_kind kind_of_zip(const ft_kind_head *h) {
  enum { LENGTH_AT = 26, NAME_AT = 30 };
  char name[256] = "";
  size_t bytes = h->bytes > NAME_AT ? h->data[LENGTH_AT] + 256u * h->data[LENGTH_AT + 1] : 0;
  if (bytes < sizeof name && NAME_AT + bytes <= h->bytes) memcpy(name, h->data + NAME_AT, bytes);
  if (ft_ends_with(name, ".npy")) return FT_KIND_NUMPY;
  if (ft_ends_with(name, "/data.pkl")) return FT_KIND_PICKLE;
  bool office = strcmp(name, "[Content_Types].xml") == 0 || strcmp(name, "mimetype") == 0;
  return office ? FT_KIND_OFFICE : FT_KIND_ZIP;
}

static bool only_zeros(const ft_kind_head *h) {
  for (size_t i = 0; i < h->bytes; i++)
    if (h->data[i]) return false;
  return true;
}

static ft_kind kind_of_head(const ft_kind_head *h) {
  if (h->bytes == 0) return FT_KIND_EMPTY;
  /* first, since its length may look like any short mark */
  if (is_safetensors(h)) return FT_KIND_SAFETENSORS;
  for (size_t i = 0; i < FT_ARRAY_SIZE(marks); i++)
    if (has_at(h, marks[i].at, marks[i].text, marks[i].bytes)) return marks[i].kind;
  if (has_at(h, 0, "PK\3\4", 4)) return kind_of_zip(h);
  if (is_hdf5(h)) return FT_KIND_HDF5;
  if (is_tar(h)) return FT_KIND_TAR;
  if (is_utf16(h)) return FT_KIND_UTF16;
  return only_zeros(h) ? FT_KIND_ZEROS : ft_kind_of_text(h);
}

static ft_kind kind_of_file(const char *path) {
  unsigned char data[LOOK_BYTES + 16] = {0};
  ft_kind_head h = {.data = data, .path = path};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ssize_t got = -1;
  while (fd >= 0 && h.bytes < LOOK_BYTES &&
         (got = read(fd, data + h.bytes, LOOK_BYTES - h.bytes)) > 0)
    h.bytes += (size_t)got;
  if (fd >= 0) close(fd);
  h.whole = h.bytes < LOOK_BYTES;
  return got < 0 ? FT_KIND_UNREADABLE : kind_of_head(&h);
}

ft_kind ft_kind_of_packed(const char *path) {
  unsigned char data[LOOK_BYTES + 16] = {0};
  ft_kind_head h = {.data = data, .path = path};
  ft_input *input = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ft_err err = fd >= 0 ? ft_input_new(fd, path, &input) : FT_ERR_IO;
  if (fd >= 0 && err != FT_OK) close(fd);
  for (size_t got = 1; err == FT_OK && got > 0 && h.bytes < LOOK_BYTES; h.bytes += got)
    err = ft_input_read(input, data + h.bytes, LOOK_BYTES - h.bytes, &got);
  ft_input_free(input);
  h.whole = h.bytes < LOOK_BYTES;
  return err == FT_OK ? kind_of_head(&h) : FT_KIND_UNREADABLE;
}

/* ---------------------------------------------------------------- directories */

/* What the names in a directory say. */
typedef struct names_found {
  bool config, tokenizer, adapter, manifest, run, index, safetensors, numbered, pickle, gguf;
  bool shards, slices, steps, sets;
} names_found;

static void look_at_name(const char *name, names_found *f) {
  static const char *const sets[] = {"train", "validation", "test"};
  f->config |= strcmp(name, "config.json") == 0;
  f->tokenizer |= strcmp(name, "tokenizer.json") == 0;
  f->adapter |= strcmp(name, "adapter_config.json") == 0;
  f->manifest |= strcmp(name, "manifest.json") == 0;
  f->run |= strcmp(name, "checkpoints") == 0 || strcmp(name, "metrics.jsonl") == 0 ||
            strcmp(name, "history.jsonl") == 0;
  f->steps |= strncmp(name, "step-", 5) == 0;
  f->index |= strcmp(name, "model.safetensors.index.json") == 0;
  f->safetensors |= strcmp(name, "model.safetensors") == 0;
  f->numbered |= strncmp(name, "model-", 6) == 0 && ft_ends_with(name, ".safetensors");
  f->pickle |= strncmp(name, "pytorch_model", 13) == 0 && ft_ends_with(name, ".bin");
  f->gguf |= ft_ends_with(name, ".gguf");
  bool is_slice = strncmp(name, "rank-", 5) == 0 && ft_ends_with(name, ".h5");
  f->slices |= is_slice;
  f->shards |= ft_tokens_is_shard_name(name);
  for (size_t i = 0; i < FT_ARRAY_SIZE(sets); i++)
    f->sets |= strcmp(name, sets[i]) == 0;
}

static ft_kind kind_of_directory(const char *path) {
  char **names = NULL;
  int64_t num_names = 0;
  names_found f = {0};
  if (ft_list_dir(path, &names, &num_names) != FT_OK) return FT_KIND_DIRECTORY;
  for (int64_t i = 0; i < num_names; i++)
    look_at_name(names[i], &f);
  ft_free_names(names, num_names);
  if (f.manifest) return FT_KIND_CHECKPOINT;
  if (f.run) return FT_KIND_RUN;
  if (f.adapter && !f.config) return FT_KIND_ADAPTER;
  if (f.numbered && !f.index && !f.safetensors) return FT_KIND_MODEL_NO_INDEX;
  if (f.pickle && !f.index && !f.safetensors) return FT_KIND_MODEL_PICKLES;
  if (f.config || f.tokenizer || f.index || f.safetensors) return FT_KIND_MODEL;
  if (f.slices) return FT_KIND_CHECKPOINT_UNFINISHED;
  if (f.steps) return FT_KIND_CHECKPOINTS;
  if (f.gguf) return FT_KIND_MODEL_GGUF;
  if (f.shards) return FT_KIND_SHARDS;
  return f.sets ? FT_KIND_PREPARED : FT_KIND_DIRECTORY;
}

ft_kind ft_kind_of(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return FT_KIND_ABSENT;
  if (S_ISDIR(info.st_mode)) return kind_of_directory(path);
  return S_ISREG(info.st_mode) ? kind_of_file(path) : FT_KIND_STREAM;
}
