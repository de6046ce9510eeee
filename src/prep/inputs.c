/* Input files: folders and patterns expanded, kinds looked at, cut into pieces. */
#include "inputs.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Names that are taken from a folder. */
static bool is_data_name(const char *name) {
  static const char *const ends[] = {".jsonl",     ".ndjson",     ".jsonl.gz", ".jsonl.zst",
                                     ".ndjson.gz", ".ndjson.zst", ".h5",       ".hdf5"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(ends); i++)
    if (name[0] != '.' && ft_ends_with(name, ends[i])) return true;
  return false;
}

static ft_err add_file(ft_prep_inputs *in, const char *path) {
  ft_err err = FT_OK;
  struct stat info;
  FT_TRY(ft_grow_one(FT_MEM_PREP, in->num_files, sizeof *in->files, (void **)&in->files));
  ft_prep_file *f = &in->files[in->num_files];
  *f = (ft_prep_file){.kind = FT_KIND_STREAM};
  if (strcmp(path, "-") != 0) {
    f->kind = ft_kind_of(path);
    FT_TRY(ft_kind_check(path, FT_WANT_RECORDS));
    FT_CHECK(stat(path, &info) == 0, FT_ERR_IO, "%s: cannot be looked at", path);
    f->bytes = f->kind == FT_KIND_STREAM ? 0 : info.st_size;
    f->change = (uint64_t)info.st_mtim.tv_sec * 1000000000u + (uint64_t)info.st_mtim.tv_nsec;
  }
  FT_TRY(ft_strdup(path, &f->path));
  in->num_files++;
out:
  return err;
}

/* Folders of ours have files that look like data and are not. */
static ft_err refuse_own(const char *path) {
  ft_err err = FT_OK;
  char *train = NULL;
  ft_kind kind = ft_kind_of(path);
  if (kind == FT_KIND_RUN || kind == FT_KIND_CHECKPOINT || kind == FT_KIND_CHECKPOINT_UNFINISHED)
    FT_TRY(ft_kind_check(path, FT_WANT_RECORDS));
  FT_TRY(ft_path_join(path, "train", &train));
  if (kind == FT_KIND_PREPARED && ft_kind_of(train) == FT_KIND_SHARDS)
    FT_TRY(ft_kind_check(path, FT_WANT_RECORDS));
out:
  ft_free(train);
  return err;
}

static ft_err add_folder(ft_prep_inputs *in, const char *path) {
  ft_err err = FT_OK;
  char **names = NULL, *file = NULL;
  int64_t num_names = 0, before = in->num_files;
  FT_TRY(refuse_own(path));
  FT_TRY(ft_list_dir(path, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++) {
    ft_free(file);
    FT_TRY(ft_path_join(path, names[i], &file));
    if (is_data_name(names[i]) && !ft_path_is_dir(file)) FT_TRY(add_file(in, file));
  }
  /* what it holds instead gets its own message */
  for (int64_t i = 0; i < num_names && in->num_files == before; i++) {
    ft_free(file);
    FT_TRY(ft_path_join(path, names[i], &file));
    if (!ft_path_is_dir(file)) FT_TRY(ft_kind_check(file, FT_WANT_RECORDS));
  }
  FT_CHECK(in->num_files > before, FT_ERR_NOINPUT,
           "%s: is a directory without data (*.jsonl, *.ndjson, also .gz and .zst, *.h5)", path);
out:
  ft_free(file);
  ft_free_names(names, num_names);
  return err;
}

static ft_err add_path(ft_prep_inputs *in, const char *path) {
  ft_err err = FT_OK;
  glob_t found = {0};
  if (strcmp(path, "-") != 0 && ft_path_is_dir(path)) return add_folder(in, path);
  bool is_pattern = strpbrk(path, "*?[") && !ft_path_exists(path);
  if (!is_pattern) return add_file(in, path);
  int result = glob(path, 0, NULL, &found);
  FT_CHECK(result != GLOB_NOSPACE, FT_ERR_MEMORY, "%s: too many files", path);
  FT_CHECK(result == 0, FT_ERR_NOINPUT, "%s: no file fits this pattern", path);
  for (size_t i = 0; i < found.gl_pathc; i++)
    FT_TRY(ft_path_is_dir(found.gl_pathv[i]) ? add_folder(in, found.gl_pathv[i])
                                             : add_file(in, found.gl_pathv[i]));
out:
  globfree(&found);
  return err;
}

static ft_err cut(ft_prep_inputs *in, int64_t piece_bytes) {
  ft_err err = FT_OK;
  int64_t capacity = 0;
  for (int64_t i = 0; i < in->num_files; i++) {
    const ft_prep_file *f = &in->files[i];
    bool whole = f->kind == FT_KIND_STREAM || f->kind == FT_KIND_GZIP || f->kind == FT_KIND_ZSTD ||
                 f->kind == FT_KIND_HDF5;
    for (int64_t at = 0; at == 0 || (!whole && at < f->bytes); at += piece_bytes) {
      FT_TRY(ft_grow(FT_MEM_PREP, in->num_pieces + 1, sizeof *in->pieces, &capacity,
                     (void **)&in->pieces));
      bool last = whole || at + piece_bytes >= f->bytes;
      in->pieces[in->num_pieces++] =
          (ft_prep_piece){.file = i, .begin = at, .end = last ? INT64_MAX : at + piece_bytes};
    }
  }
out:
  return err;
}

/* So many bytes that any usual number of ranks gets about as many pieces each, and few that are
 * begun, written and read again for little. A function of the files alone: another number of ranks
 * can go on with what was made. */
static int64_t choose_piece_bytes(const ft_prep_inputs *in) {
  enum { LEAST = 2 << 20, MOST = 16 << 20, PIECES = 64 };
  int64_t all = 0;
  for (int64_t i = 0; i < in->num_files; i++)
    all += in->files[i].bytes;
  return FT_MIN(FT_MAX(all / PIECES, LEAST), MOST);
}

/* Files by path; a stream is what it was named as, and stays in its order. */
static int by_path(const void *a, const void *b) {
  return strcmp(((const ft_prep_file *)a)->path, ((const ft_prep_file *)b)->path);
}

static ft_err sort_files(ft_prep_inputs *in) {
  ft_err err = FT_OK;
  ft_prep_file *sorted = NULL;
  int64_t count = 0;
  FT_TRY(ft_alloc_array(FT_MEM_PREP, in->num_files, sizeof *sorted, (void **)&sorted));
  for (int64_t i = 0; i < in->num_files; i++)
    if (in->files[i].kind != FT_KIND_STREAM) sorted[count++] = in->files[i];
  if (count > 0) qsort(sorted, (size_t)count, sizeof *sorted, by_path);
  for (int64_t i = 0; i < in->num_files; i++)
    if (in->files[i].kind == FT_KIND_STREAM) sorted[count++] = in->files[i];
  ft_free(in->files);
  in->files = sorted;
out:
  return err;
}

ft_err ft_prep_inputs_init(const char *const *paths, int64_t num_paths, int64_t piece_bytes,
                           ft_prep_inputs *out) {
  ft_err err = FT_OK;
  *out = (ft_prep_inputs){0};
  for (int64_t i = 0; i < num_paths; i++)
    FT_TRY(add_path(out, paths[i]));
  FT_TRY(sort_files(out));
  FT_TRY(cut(out, piece_bytes > 0 ? piece_bytes : choose_piece_bytes(out)));
out:
  if (err != FT_OK) ft_prep_inputs_fini(out);
  return err;
}

void ft_prep_inputs_fini(ft_prep_inputs *inputs) {
  for (int64_t i = 0; i < inputs->num_files; i++)
    ft_free(inputs->files[i].path);
  ft_free(inputs->files);
  ft_free(inputs->pieces);
  *inputs = (ft_prep_inputs){0};
}
