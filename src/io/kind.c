/* What a file or directory is: the first row of a table of marks that fits. */
#include "ft/io_kind.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_BYTES = 4 << 10, HDF5_BLOCK = 512 };

/* ---------------------------------------------------------------- files */

/* What is looked at: the file's first bytes, followed by a zero. */
typedef struct head {
  const unsigned char *data;
  size_t bytes;
  bool whole; /* the file has no more */
  const char *path;
} head;

typedef struct mark {
  ft_kind kind;
  size_t at, bytes;
  const char *text;
} mark;

static const mark marks[] = {
    {FT_KIND_LFS_POINTER, 0, 24, "version https://git-lfs."},
    {FT_KIND_ANNEX_POINTER, 0, 15, "/annex/objects/"},
    {FT_KIND_GZIP, 0, 2, "\x1f\x8b"},
    {FT_KIND_ZSTD, 0, 4, "\x28\xb5\x2f\xfd"},
    {FT_KIND_BZIP2, 0, 3, "BZh"},
    {FT_KIND_XZ, 0, 6, "\xfd\x37\x7a\x58\x5a\x00"},
    {FT_KIND_LZ4, 0, 4, "\x04\x22\x4d\x18"},
    {FT_KIND_ZIP, 0, 4, "PK\3\4"},
    {FT_KIND_ZIP, 0, 4, "PK\5\6"},
    {FT_KIND_7ZIP, 0, 6, "7z\xbc\xaf\x27\x1c"},
    {FT_KIND_TAR, 257, 5, "ustar"},
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
    {FT_KIND_UTF32, 0, 4, "\xff\xfe\0\0"},
    {FT_KIND_UTF32, 0, 4, "\0\0\xfe\xff"},
    {FT_KIND_PICKLE, 0, 2, "\x80\x02"},
    {FT_KIND_PICKLE, 0, 2, "\x80\x03"},
    {FT_KIND_PICKLE, 0, 2, "\x80\x04"},
    {FT_KIND_PICKLE, 0, 2, "\x80\x05"},
};

static bool has_at(const head *h, size_t at, const char *text, size_t bytes) {
  return h->bytes >= at + bytes && memcmp(h->data + at, text, bytes) == 0;
}

/* The signature lies at 0 or, behind a user block, at 512, 1024, 2048 … */
static bool is_hdf5(const head *h) {
  if (has_at(h, 0, "\x89HDF\r\n\x1a\n", 8)) return true;
  for (size_t at = HDF5_BLOCK; at < h->bytes; at *= 2)
    if (has_at(h, at, "\x89HDF\r\n\x1a\n", 8)) return true;
  return false;
}

/* A length of eight bytes, and the JSON object of that length. */
static bool is_safetensors(const head *h) {
  if (h->bytes < 10 || h->data[8] != '{') return false;
  for (int i = 4; i < 8; i++)
    if (h->data[i] != 0) return false;
  return true;
}

static bool is_space(unsigned char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool begins(const char *text, const char *word) {
  size_t length = strlen(word);
  for (size_t i = 0; i < length; i++)
    if ((text[i] | 0x20) != (word[i] | 0x20)) return false;
  return true;
}

/* The first line is an object by itself: braces and brackets close where it ends. */
static bool closes_in_line(const char *text) {
  int depth = 0;
  bool quoted = false;
  for (const char *c = text; *c && *c != '\n'; c++) {
    if (quoted && *c == '\\' && c[1])
      c++;
    else if (*c == '"')
      quoted = !quoted;
    else if (!quoted && (*c == '{' || *c == '['))
      depth++;
    else if (!quoted && (*c == '}' || *c == ']') && --depth == 0)
      return true;
  }
  return false;
}

static size_t count_in_line(const char *line, char separator) {
  size_t count = 0;
  for (; *line && *line != '\n'; line++)
    count += *line == separator;
  return count;
}

/* Two lines with the same number of separators, or a name that says so. */
static bool is_table(const char *path, const char *text) {
  const char *second = strchr(text, '\n');
  if (ft_ends_with(path, ".csv") || ft_ends_with(path, ".tsv")) return true;
  for (const char *separator = ",\t"; *separator; separator++) {
    size_t count = count_in_line(text, *separator);
    if (count > 0 && second && second[1] && second[1] != '{' &&
        count_in_line(second + 1, *separator) == count)
      return true;
  }
  return false;
}

/* One half of what begins a text is zero, with a byte order mark before it or not. */
static bool is_utf16(const head *h) {
  const unsigned char *d = h->data;
  if (h->bytes < 4) return false;
  if (d[0] == 0xff && d[1] == 0xfe) return d[2] && !d[3];
  if (d[0] == 0xfe && d[1] == 0xff) return !d[2] && d[3];
  return (d[0] | d[1]) < 0x80 &&
         ((d[0] && !d[1] && d[2] && !d[3]) || (!d[0] && d[1] && !d[2] && d[3]));
}

/* One value over several lines, or a line that is a value by itself. Where the next line begins an
 * object, these are lines, and the first is a bad one or not. */
static ft_kind kind_of_json(const char *text, bool whole) {
  const char *next = strchr(text, '\n');
  /* a line that is longer than what was looked at may be one of many */
  if (!next && !whole) return FT_KIND_JSON_LINES;
  while (next && is_space((unsigned char)*next))
    next++;
  bool more_lines = next && *next == '{' && (*text == '{' || closes_in_line(text));
  if (more_lines) return FT_KIND_JSON_LINES;
  if (*text == '[') return FT_KIND_JSON_ARRAY;
  return closes_in_line(text) || !next ? FT_KIND_JSON_LINES : FT_KIND_JSON_OBJECT;
}

static ft_kind kind_of_text(const head *h) {
  const char *text = (const char *)h->data;
  if (memcmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3;
  while (is_space((unsigned char)*text))
    text++;
  if (!*text) return h->whole ? FT_KIND_EMPTY : FT_KIND_TEXT;
  if (*text == '[' || *text == '{') return kind_of_json(text, h->whole);
  if (begins(text, "<!doctype html") || begins(text, "<html") || begins(text, "<head"))
    return FT_KIND_HTML;
  if (begins(text, "<?xml")) return FT_KIND_XML;
  return is_table(h->path, text) ? FT_KIND_TABLE : FT_KIND_TEXT;
}

static ft_kind kind_of_head(const head *h) {
  if (h->bytes == 0) return FT_KIND_EMPTY;
  /* first, since its length may look like any short mark */
  if (is_safetensors(h)) return FT_KIND_SAFETENSORS;
  for (size_t i = 0; i < FT_ARRAY_SIZE(marks); i++)
    if (has_at(h, marks[i].at, marks[i].text, marks[i].bytes)) return marks[i].kind;
  if (is_hdf5(h)) return FT_KIND_HDF5;
  if (is_utf16(h)) return FT_KIND_UTF16;
  if (memchr(h->data, 0, h->bytes)) return FT_KIND_BINARY;
  return kind_of_text(h);
}

static ft_kind kind_of_file(const char *path) {
  void *memory = NULL;
  ft_kind kind = FT_KIND_BINARY;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0 && ft_alloc(FT_MEM_IO, LOOK_BYTES + 16, &memory) == FT_OK) {
    size_t used = 0;
    ssize_t got;
    while (used < LOOK_BYTES && (got = read(fd, (char *)memory + used, LOOK_BYTES - used)) > 0)
      used += (size_t)got;
    head h = {.data = memory, .bytes = used, .whole = used < LOOK_BYTES, .path = path};
    kind = kind_of_head(&h);
  }
  if (fd >= 0) close(fd);
  ft_free(memory);
  return kind;
}

/* ---------------------------------------------------------------- directories */

/* What the names in a directory say. */
typedef struct names_found {
  bool config, tokenizer, adapter, manifest, run, index, safetensors, numbered, pickle, gguf;
  bool shards, slices, sets;
} names_found;

static void look_at_name(const char *name, names_found *f) {
  static const char *const sets[] = {"train", "validation", "test"};
  f->config |= strcmp(name, "config.json") == 0;
  f->tokenizer |= strcmp(name, "tokenizer.json") == 0;
  f->adapter |= strcmp(name, "adapter_config.json") == 0;
  f->manifest |= strcmp(name, "manifest.json") == 0;
  f->run |= strcmp(name, "checkpoints") == 0 || strcmp(name, "metrics.jsonl") == 0;
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
