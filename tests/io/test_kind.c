/* Proves that what a path is gets found out by its bytes or names, and that a reader that is given
 * something else says what it is, what was expected and what to do.
 * Run alone: meson test -C build io-kind */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "ft/io_kind.h"
#include "ft_test.h"
#include "io_test.h"

static char *folder;

static int make_folder(void **state) {
  (void)state;
  char pattern[] = "/tmp/ft-kind-XXXXXX";
  if (!mkdtemp(pattern)) return 1;
  return ft_strdup(pattern, &folder) != FT_OK;
}

static int remove_folder(void **state) {
  (void)state;
  ft_err err = ft_remove_tree(folder);
  ft_free(folder);
  return err != FT_OK;
}

static char *put(const char *name, const void *data, size_t bytes) {
  char *path;
  assert_ok(ft_path_join(folder, name, &path));
  assert_ok(ft_write_file(path, data, bytes));
  return path;
}

typedef struct example {
  ft_kind kind;
  const char *name;
  size_t bytes; /* 0: the text's length */
  const char *data;
} example;

/* An archive whose first member has this name, of so many bytes. */
#define ZIP_HEADER                                                                                 \
  "PK\3\4"                                                                                         \
  "\1\1\1\1\1\1\1\1\1\1\1"                                                                         \
  "\1\1\1\1\1\1\1\1\1\1\1"
#define ZIP_OF(kind, file, length, member)                                                         \
  { kind, file, 29 + sizeof member, ZIP_HEADER length "\0\1\1" member }

static const char zeros[100] = {0};

static const example examples[] = {
    {FT_KIND_EMPTY, "empty", 0, ""},
    {FT_KIND_EMPTY, "blank", 0, " \n\n"},
    {FT_KIND_LFS_POINTER, "model.safetensors", 0,
     "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"},
    {FT_KIND_ANNEX_POINTER, "annex", 0, "/annex/objects/SHA256E-s5--00\n"},
    {FT_KIND_GZIP, "a.gz", 4, "\x1f\x8b\x08\0"},
    {FT_KIND_ZSTD, "a.zst", 5, "\x28\xb5\x2f\xfd\0"},
    {FT_KIND_BZIP2, "a.bz2", 0, "BZh91AY"},
    {FT_KIND_XZ, "a.xz", 6, "\xfd\x37\x7a\x58\x5a\0"},
    ZIP_OF(FT_KIND_PICKLE, "pytorch_model.bin", "\x12", "pytorch_m/data.pkl"),
    {FT_KIND_PICKLE, "old.bin", 4, "\x80\x02\x8a\x0a"},
    {FT_KIND_NUMPY, "a.npy", 0, "\x93NUMPY"},
    {FT_KIND_GGUF, "a.gguf", 8, "GGUF\3\0\0\0"},
    {FT_KIND_SAFETENSORS, "b.safetensors", 10, "\2\0\0\0\0\0\0\0{}"},
    {FT_KIND_SAFETENSORS, "c.safetensors", 16, "\x80\2\0\0\0\0\0\0{      }"}, /* 640 */
    {FT_KIND_SAFETENSORS, "d.safetensors", 16, "\x1f\x8b\0\0\0\0\0\0{      }"},
    {FT_KIND_HDF5, "a.h5", 8, "\x89HDF\r\n\x1a\n"},
    {FT_KIND_PARQUET, "a.parquet", 0, "PAR1...."},
    {FT_KIND_ARROW, "a.arrow", 8, "ARROW1\0\0"},
    {FT_KIND_ARROW, "b.arrow", 8, "\xff\xff\xff\xff\x10\0\0\0"},
    {FT_KIND_SQLITE, "a.db", 17, "SQLite format 3\0\1"},
    {FT_KIND_PDF, "a.pdf", 0, "%PDF-1.7"},
    {FT_KIND_UTF16, "a.utf16", 4, "\xff\xfe{\0"},
    {FT_KIND_UTF16, "b.utf16", 4, "\xfe\xff\0{"},
    {FT_KIND_UTF16, "c.utf16", 6, "{\0\"\0a\0"},
    {FT_KIND_UTF32, "a.utf32", 8, "\xff\xfe\0\0{\0\0\0"},
    {FT_KIND_HTML, "a.html", 0, "\n<!DOCTYPE html>\n<html>"},
    {FT_KIND_HTML, "page.jsonl", 0, "<HTML><body>"},
    {FT_KIND_XML, "a.xml", 0, "<?xml version=\"1.0\"?>"},
    {FT_KIND_JSON_ARRAY, "a.json", 0, "[\n {\"text\": 1}\n]"},
    {FT_KIND_JSON_ARRAY, "b.json", 0, "\xEF\xBB\xBF[{\"text\": 1}]"},
    {FT_KIND_JSON_OBJECT, "c.json", 0, "{\n  \"data\": []\n}\n"},
    {FT_KIND_JSON_LINES, "a.jsonl", 0, "{\"text\": \"a { b\"}\n{\"text\": \"c\"}\n"},
    {FT_KIND_JSON_LINES, "b.jsonl", 0, "{\"text\": \"\\\"}\"}"},
    {FT_KIND_JSON_LINES, "c.jsonl", 0, "{\"text\": \"cut\n{\"text\": \"c\"}\n"},
    {FT_KIND_JSON_LINES, "d.jsonl", 0, "[1, 2]\n{\"text\": \"c\"}\n"},
    {FT_KIND_JSON_LINES, "e.jsonl", 0, "{\"text\":"},
    {FT_KIND_JSON_LINES, "f.jsonl", 0, "a,b\n{\"x\": 1, \"y\": 2}\n"},
    {FT_KIND_JSON_LINES, "g.jsonl", 0, "[1, 2]\n[3, 4]\n"},
    {FT_KIND_JSON_LINES, "h.jsonl", 0, "\"one, two\"\n\"three, four\"\n"},
    {FT_KIND_JSON_LINES, "latin1.jsonl", 0, "{\"text\": \"gr\xfc\xdf\"}\n"},
    {FT_KIND_CR_LINES, "mac.jsonl", 0, "{\"text\": \"a\"}\r{\"text\": \"b\"}\r"},
    {FT_KIND_TABLE, "a.csv", 0, "text\nhello"},
    {FT_KIND_TABLE, "table", 0, "question,answer\nwhat,that\n"},
    {FT_KIND_TABLE, "latin1.csv", 0, "text\ngr\xfc\xdf\n"},
    {FT_KIND_TABLE_TABS, "a.tab", 0, "question\tanswer\nwhat\tthat\n"},
    {FT_KIND_TEXT, "a.toml", 0, "[train]\nsteps = 3\n"},
    {FT_KIND_TEXT, "cut.txt", 0, "gr\xc3\xbc\xc3\x9f"},
    {FT_KIND_TEXT, "a.txt", 0, "Call me Ishmael.\nSome years ago\n"},
    {FT_KIND_BINARY, "a.bin", 4, "\1\2\0\3"},
    {FT_KIND_BINARY, "a.msgpack", 0, "\x81\xa4text\xa5hello"},
    {FT_KIND_BINARY, "a.png", 8, "\x89PNG\r\n\x1a\n"},
    {FT_KIND_BINARY, "a.onnx", 12, "\x08\x0a\x12\x07pytorch\0"},
    {FT_KIND_ZEROS, "hole.h5", 100, zeros},
    {FT_KIND_LFS_POINTER, "old.bin", 0, "version https://hawser.github.com/spec/v1\n"},
    {FT_KIND_UTF32, "b.utf32", 8, "{\0\0\0\"\0\0\0"},
    {FT_KIND_OFFICE, "a.rtf", 0, "{\\rtf1\\ansi}"},
    ZIP_OF(FT_KIND_NUMPY, "a.npz", "\7", "ids.npy"),
    ZIP_OF(FT_KIND_OFFICE, "a.xlsx", "\x13", "[Content_Types].xml"),
    ZIP_OF(FT_KIND_PICKLE, "weights.pt", "\x10", "archive/data.pkl"),
    ZIP_OF(FT_KIND_ZIP, "a.zip", "\7", "a.jsonl"),
};

static void files(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(examples); i++) {
    const example *e = &examples[i];
    char *path = put(e->name, e->data, e->bytes ? e->bytes : strlen(e->data));
    ft_kind kind = ft_kind_of(path);
    if (kind != e->kind)
      fail_msg("%s: is %s, not %s", e->name, ft_kind_name(kind), ft_kind_name(e->kind));
    ft_free(path);
  }
}

/* An HDF5 file behind a user block, a line longer than what is looked at, nothing, and a pipe. */
static void less_usual_files(void **state) {
  (void)state;
  size_t bytes = 200000;
  char *data = calloc(1, bytes), *path;
  assert_non_null(data);
  memcpy(data + 1024, "\x89HDF\r\n\x1a\n", 8);
  path = put("block.h5", data, bytes);
  assert_int_equal(ft_kind_of(path), FT_KIND_HDF5);
  ft_free(path);
  memset(data, 'x', bytes);
  memcpy(data, "{\"text\": \"", 10);
  path = put("long.jsonl", data, bytes);
  assert_int_equal(ft_kind_of(path), FT_KIND_JSON_LINES);
  ft_free(path);
  memset(data, 0, bytes);
  memcpy(data, "a.jsonl", 8);
  memset(data + 148, ' ', 8);
  unsigned sum = 0;
  for (int i = 0; i < 512; i++)
    sum += (unsigned char)data[i];
  snprintf(data + 148, 8, "%06o", sum);
  path = put("v7.tar", data, 1024);
  assert_int_equal(ft_kind_of(path), FT_KIND_TAR);
  ft_free(path);
  free(data);
  assert_ok(ft_path_join(folder, "pipe", &path));
  assert_int_equal(ft_kind_of(path), FT_KIND_ABSENT);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(ft_kind_of(path), FT_KIND_STREAM);
  ft_free(path);
}

static char *directory(const char *name, const char *const *files) {
  char *path, *file, *parent;
  assert_ok(ft_path_join(folder, name, &path));
  assert_ok(ft_make_dirs(path));
  for (; *files; files++) {
    assert_ok(ft_path_join(path, *files, &file));
    assert_ok(ft_strdup(file, &parent));
    *strrchr(parent, '/') = 0;
    assert_ok(ft_make_dirs(parent));
    assert_ok(ft_write_file(file, "x", 1));
    ft_free(file);
    ft_free(parent);
  }
  return path;
}

static void directories(void **state) {
  (void)state;
  static const struct {
    ft_kind kind;
    const char *files[5];
  } trees[] = {
      {FT_KIND_DIRECTORY, {NULL}},
      {FT_KIND_DIRECTORY, {"notes.txt"}},
      {FT_KIND_RUN, {"config.json", "metrics.jsonl"}},
      {FT_KIND_RUN, {"config.json", "checkpoints/step-00000001/manifest.json"}},
      {FT_KIND_CHECKPOINT, {"manifest.json", "rank-00000.h5"}},
      {FT_KIND_CHECKPOINT_UNFINISHED, {"rank-00000.h5"}},
      {FT_KIND_ADAPTER, {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"}},
      {FT_KIND_MODEL, {"config.json", "model.safetensors"}},
      {FT_KIND_MODEL, {"tokenizer.json"}},
      {FT_KIND_MODEL,
       {"config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"}},
      {FT_KIND_MODEL_NO_INDEX, {"config.json", "model-00001-of-00002.safetensors"}},
      {FT_KIND_MODEL_PICKLES, {"config.json", "pytorch_model-00001-of-00002.bin"}},
      {FT_KIND_MODEL, {"config.json", "pytorch_model.bin", "model.safetensors"}},
      {FT_KIND_MODEL_GGUF, {"model.Q4_K_M.gguf"}},
      {FT_KIND_SHARDS, {"00000.h5"}},
      {FT_KIND_RUN, {"config.json", "history.jsonl"}},
      {FT_KIND_CHECKPOINTS, {"step-00000001/manifest.json"}},
      {FT_KIND_PREPARED, {"train/00000.h5", "validation/00000.h5"}},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(trees); i++) {
    char name[32];
    snprintf(name, sizeof name, "tree-%zu", i);
    char *path = directory(name, trees[i].files);
    ft_kind kind = ft_kind_of(path);
    if (kind != trees[i].kind)
      fail_msg("%s: is %s, not %s", name, ft_kind_name(kind), ft_kind_name(trees[i].kind));
    ft_free(path);
  }
}

/* A file that is compressed is what it holds. */
static void packed(void **state) {
  (void)state;
  static const struct {
    const char *held;
    ft_want want;
    const char *words; /* NULL: usable */
  } cases[] = {
      {"{\"text\": \"a\"}\n", FT_WANT_RECORDS, NULL},
      {"", FT_WANT_RECORDS, NULL},
      {"[\n{\"text\": \"a\"}]\n", FT_WANT_RECORDS, "what it holds is one JSON array"},
      {"a,b\n1,2\n", FT_WANT_RECORDS, "what it holds is a table of comma"},
      {"BZh91AY", FT_WANT_RECORDS, "what it holds is compressed with bzip2"},
      {"\x89HDF\r\n\x1a\n", FT_WANT_RECORDS, "what it holds is an HDF5 file"},
      {"\x89HDF\r\n\x1a\n", FT_WANT_TOKENS, "unpack it with gunzip"},
      {"{\"text\": \"a\"}\n", FT_WANT_TOKENS, "ftrun prep --model DIR --input"},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    unsigned char out[200];
    z_stream z = {.next_out = out, .avail_out = sizeof out};
    z.next_in = (unsigned char *)(uintptr_t)cases[i].held;
    z.avail_in = (unsigned)strlen(cases[i].held);
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    char *path = put("packed", out, sizeof out - z.avail_out);
    (void)deflateEnd(&z);
    if (!cases[i].words)
      assert_ok(ft_kind_check(path, cases[i].want));
    else
      assert_fails(ft_kind_check(path, cases[i].want), FT_ERR_DATA, cases[i].words);
    ft_free(path);
  }
}

/* What is usable passes; what is not gets its sentence. */
static void advice(void **state) {
  (void)state;
  static const struct {
    const char *name;
    ft_want want;
    const char *words; /* NULL: usable */
  } cases[] = {
      {"a.gz", FT_WANT_RECORDS, NULL},
      {"a.zst", FT_WANT_RECORDS, NULL},
      {"a.jsonl", FT_WANT_RECORDS, NULL},
      {"a.h5", FT_WANT_RECORDS, NULL},
      {"a.h5", FT_WANT_TOKENS, NULL},
      {"b.safetensors", FT_WANT_SAFETENSORS, NULL},
      {"c.json", FT_WANT_JSON, NULL},
      {"a.json", FT_WANT_RECORDS, "jq -c '.[]'"},
      {"c.json", FT_WANT_RECORDS, "jq -c ."},
      {"a.utf16", FT_WANT_RECORDS, "iconv -f UTF-16"},
      {"a.utf16", FT_WANT_JSON, "iconv -f UTF-16"},
      {"a.parquet", FT_WANT_RECORDS, "load('parquet'"},
      {"a.arrow", FT_WANT_RECORDS, "load('arrow'"},
      {"a.csv", FT_WANT_RECORDS, "load('csv'"},
      {"a.tab", FT_WANT_RECORDS, "delimiter='\\t'"},
      {"a.csv", FT_WANT_SAFETENSORS, "(CSV); a safetensors file was expected"},
      {"a.txt", FT_WANT_RECORDS, "is plain text; JSON lines"},
      {"a.txt", FT_WANT_TOKENS, "is plain text; a token shard"},
      {"a.txt", FT_WANT_SAFETENSORS, "is plain text; a safetensors file was expected"},
      {"a.txt", FT_WANT_JSON, NULL},
      {"a.msgpack", FT_WANT_RECORDS, "is neither text in UTF-8 nor"},
      {"a.onnx", FT_WANT_TOKENS, "is neither text in UTF-8 nor"},
      {"a.onnx", FT_WANT_SAFETENSORS, "get the file again"},
      {"empty", FT_WANT_TOKENS, "is empty; a token shard"},
      {"hole.h5", FT_WANT_TOKENS, "nothing but zeros"},
      {"pytorch_model.bin", FT_WANT_TOKENS, "write its records as JSON lines"},
      {"a.html", FT_WANT_RECORDS, "download the file again"},
      {"a.jsonl", FT_WANT_TOKENS, "ftrun prep --model DIR"},
      {"model.safetensors", FT_WANT_SAFETENSORS, "git lfs pull"},
      {"model.safetensors", FT_WANT_JSON, "git lfs pull"},
      {"pytorch_model.bin", FT_WANT_SAFETENSORS, "save_pretrained"},
      {"a.gguf", FT_WANT_MODEL, "GGUF"},
      {"a.h5", FT_WANT_MODEL, "data.train"},
      {"absent", FT_WANT_MODEL, "no such file"},
      {"tree-2", FT_WANT_RUN, NULL},
      {"tree-2", FT_WANT_MODEL, "ftrun export"},
      {"tree-4", FT_WANT_RUN, "checkpoint of a run"},
      {"tree-6", FT_WANT_MODEL, "model.adapter"},
      {"tree-7", FT_WANT_RUN, "run.dir"},
      {"tree-10", FT_WANT_MODEL, NULL},
      {"tree-10", FT_WANT_WEIGHTS, "it has model-00001-of-00002.safetensors; copy the index"},
      {"tree-11", FT_WANT_WEIGHTS, "save_pretrained"},
      {"tree-14", FT_WANT_TOKENS, NULL},
      {"tree-17", FT_WANT_TOKENS, "tree-17/train"},
      {"tree-17", FT_WANT_MODEL, "token shards are data: name one of its sets in data.train"},
      {"tree-2", FT_WANT_TOKENS, "names the data it learns from"},
      {"tree-2", FT_WANT_JSON, "give "},
      {"tree-16", FT_WANT_RUN, "one level up"},
      {"tree-4", FT_WANT_TOKENS, "a run is no data"},
      {"tree-7", FT_WANT_RECORDS, "data in its place"},
      {"tree-7/config.json", FT_WANT_MODEL, "give the directory, "},
      {"tree-3/checkpoints/step-00000001", FT_WANT_RUN, "tree-3, with --step N"},
      {"tree-3/checkpoints/step-00000001", FT_WANT_MODEL, "tree-3 --step N --out OUT"},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    char *path;
    assert_ok(ft_path_join(folder, cases[i].name, &path));
    ft_err err = ft_kind_check(path, cases[i].want);
    if (!cases[i].words && err != FT_OK) fail_msg("%s", ft_error_message());
    if (cases[i].words && (err == FT_OK || !strstr(ft_error_message(), cases[i].words)))
      fail_msg("%s: no \"%s\" in: %s", cases[i].name, cases[i].words, ft_error_message());
    ft_free(path);
  }
}

/* The readers use it. */
static void readers(void **state) {
  (void)state;
  char *lfs, *lines;
  cJSON *json;
  ft_safetensors *st;
  ft_tokens_file *tokens;
  assert_ok(ft_path_join(folder, "model.safetensors", &lfs));
  assert_ok(ft_path_join(folder, "a.jsonl", &lines));
  assert_fails(ft_json_read(lfs, &json), FT_ERR_DATA, "is a Git LFS pointer");
  assert_fails(ft_safetensors_open(lfs, &st), FT_ERR_DATA, "is a Git LFS pointer");
  assert_fails(ft_tokens_open(lines, &tokens), FT_ERR_DATA, "make token shards of it");
  ft_free(lfs);
  ft_free(lines);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files),  cmocka_unit_test(less_usual_files), cmocka_unit_test(directories),
      cmocka_unit_test(packed), cmocka_unit_test(advice),           cmocka_unit_test(readers),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
