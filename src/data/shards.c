/* A source's token shards: opening, checking and finding documents. Mistakes are gathered, so that
 * a user sees all of them at once. */
#include <string.h>

#include "data_internal.h"
#include "ft/io_kind.h"

/* ---------------------------------------------------------------- checks of one shard */

static void check_against_model(ft_tokens_file *file, const ft_data_options *options,
                                ft_mistakes *mistakes) {
  ft_data_check_target(file, options, mistakes);
  if (file->vocab_size > options->model_vocab)
    ft_mistakes_add(mistakes, FT_ERR_DATA,
                    "%s has a vocabulary of %u tokens, the model %s only %u: prepare the data with "
                    "this model's tokenizer",
                    file->path, file->vocab_size, options->model_path, options->model_vocab);
  if (file->tokenizer_sha256[0] && options->tokenizer_sha256[0] &&
      strcmp(file->tokenizer_sha256, options->tokenizer_sha256) != 0)
    ft_mistakes_add(mistakes, FT_ERR_DATA,
                    "%s was made with another tokenizer (sha256 %.12s…) than %s/tokenizer.json "
                    "(sha256 %.12s…): prepare the data with this model's tokenizer",
                    file->path, file->tokenizer_sha256, options->model_path,
                    options->tokenizer_sha256);
}

static void check_lengths(const ft_tokens_file *file, const int64_t *offsets, int64_t seq_len,
                          ft_mistakes *mistakes) {
  int64_t first = -1, too_long = 0, longest = 0;
  for (int64_t d = 0; d < file->num_documents; d++) {
    int64_t length = offsets[d + 1] - offsets[d];
    if (length <= seq_len) continue;
    if (too_long++ == 0) first = d;
    longest = FT_MAX(longest, length);
  }
  if (too_long)
    ft_mistakes_add(mistakes, FT_ERR_DATA,
                    "%s: document %lld has %lld tokens, more than data.seq_len %lld (%lld such "
                    "documents, the longest %lld): prepare the data with a smaller --seq-len, or "
                    "raise data.seq_len",
                    file->path, (long long)first, (long long)(offsets[first + 1] - offsets[first]),
                    (long long)seq_len, (long long)too_long, (long long)longest);
}

/* ---------------------------------------------------------------- documents */

/* Appends the documents of a shard that begins at `base`; empty ones leave no trace. Text is cut
 * at multiples of seq_len (sft documents are no longer than that). */
static ft_err append_documents(ft_data_shards *shards, const int64_t *offsets, int64_t count,
                               int64_t base, int64_t seq_len, int64_t *capacity) {
  int64_t parts = 0;
  for (int64_t d = 0; d < count; d++)
    parts += ft_ceil_div(offsets[d + 1] - offsets[d], seq_len);
  ft_err err = ft_grow(FT_MEM_DATA, shards->num_documents + parts + 1, sizeof *shards->starts,
                       capacity, (void **)&shards->starts);
  if (err != FT_OK) return err;
  for (int64_t d = 0; d < count; d++)
    for (int64_t at = offsets[d]; at < offsets[d + 1]; at += FT_MIN(seq_len, offsets[d + 1] - at))
      shards->starts[shards->num_documents++] = base + at;
  shards->starts[shards->num_documents] = base + offsets[count];
  return FT_OK;
}

/* ---------------------------------------------------------------- opening */

static ft_err open_shard(ft_data_shards *shards, const char *path, const ft_data_options *options,
                         int64_t *capacity, ft_mistakes *mistakes) {
  ft_err err = FT_OK;
  int64_t *offsets = NULL, i = shards->num_files;
  shards->bases[i + 1] = shards->bases[i];
  err = ft_tokens_open(path, &shards->files[i]);
  if (err == FT_OK) {
    shards->num_files++;
    err = ft_tokens_offsets(shards->files[i], &offsets);
  }
  if (err == FT_ERR_MEMORY) goto out;
  if (err != FT_OK) {
    ft_mistakes_note(mistakes, err);
    err = FT_OK;
    goto out;
  }
  ft_tokens_file *file = shards->files[i];
  shards->first_documents[i] = shards->num_documents;
  check_against_model(file, options, mistakes);
  if (file->kind != FT_TOKENS_TEXT) check_lengths(file, offsets, options->seq_len, mistakes);
  FT_TRY(append_documents(shards, offsets, file->num_documents, shards->bases[i], options->seq_len,
                          capacity));
  shards->bases[i + 1] = shards->bases[i] + file->num_tokens;
  int64_t found = shards->num_documents - shards->first_documents[i];
  bool as_a_whole = file->kind != FT_TOKENS_TEXT && options->target != FT_TARGET_NEXT &&
                    options->target != FT_TARGET_MASKED;
  if (as_a_whole && found != file->num_documents)
    ft_mistakes_add(mistakes, FT_ERR_DATA, "%s: %lld of its %lld documents of kind %s are empty",
                    file->path, (long long)(file->num_documents - found),
                    (long long)file->num_documents, ft_tokens_kind_name(file->kind));
out:
  ft_free(offsets);
  return err;
}

/* Why a folder has no shards: what it is, or what it holds instead. */
static ft_err fail_without_shards(const char *path, char *const *names, int64_t num_names) {
  ft_err err = FT_OK;
  char *file = NULL;
  FT_TRY(ft_kind_check(path, FT_WANT_TOKENS));
  for (int64_t i = 0; i < num_names; i++) {
    ft_free(file);
    FT_TRY(ft_path_join(path, names[i], &file));
    if (!ft_path_is_dir(file)) FT_TRY(ft_kind_check(file, FT_WANT_TOKENS));
  }
  err = ft_fail(FT_ERR_DATA, "%s is a folder without token shards (*.h5), as ftrun prep makes them",
                path);
out:
  ft_free(file);
  return err;
}

/* The shards' paths of a source: the file itself, or the *.h5 of a folder in name order. */
static ft_err list_shards(const char *path, char ***paths, int64_t *count) {
  ft_err err = FT_OK;
  char **names = NULL;
  int64_t num_names = 0;
  bool folder = ft_path_is_dir(path);
  ft_kind kind = ft_kind_of(path);
  if (kind == FT_KIND_CHECKPOINT || kind == FT_KIND_CHECKPOINT_UNFINISHED)
    FT_TRY(ft_kind_check(path, FT_WANT_TOKENS));
  if (folder) FT_TRY(ft_list_dir(path, &names, &num_names));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, FT_MAX(num_names, 1), sizeof **paths, (void **)paths));
  if (!folder) FT_TRY(ft_strdup(path, &(*paths)[(*count)++]));
  for (int64_t i = 0; i < num_names; i++) {
    if (!ft_tokens_is_shard_name(names[i])) continue;
    FT_TRY(ft_path_join(path, names[i], &(*paths)[*count]));
    (*count)++;
  }
  if (*count == 0) FT_TRY(fail_without_shards(path, names, num_names));
out:
  ft_free_names(names, num_names);
  return err;
}

ft_err ft_data_shards_open(ft_data_shards *shards, const ft_data_options *options, int64_t index,
                           ft_mistakes *mistakes) {
  ft_err err = FT_OK;
  char **paths = NULL;
  int64_t num_paths = 0, capacity = 0, before = mistakes->count;
  shards->path = options->sources[index].path;
  shards->index = index;
  shards->per_item = options->target == FT_TARGET_PAIR ? 2 : 1;
  err = list_shards(shards->path, &paths, &num_paths);
  if (err == FT_ERR_MEMORY) goto out;
  if (err != FT_OK) {
    ft_mistakes_note(mistakes, err);
    err = FT_OK;
    goto out;
  }
  FT_TRY(ft_alloc_array(FT_MEM_DATA, num_paths, sizeof *shards->files, (void **)&shards->files));
  FT_TRY(
      ft_alloc_array(FT_MEM_DATA, num_paths + 1, sizeof *shards->bases, (void **)&shards->bases));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, num_paths, sizeof *shards->first_documents,
                        (void **)&shards->first_documents));
  for (int64_t i = 0; i < num_paths; i++)
    FT_TRY(open_shard(shards, paths[i], options, &capacity, mistakes));
  if (shards->num_documents == 0 && mistakes->count == before)
    ft_mistakes_add(mistakes, FT_ERR_DATA, "%s holds no tokens", shards->path);
  if (shards->starts)
    FT_TRY(ft_realloc(FT_MEM_DATA, (size_t)(shards->num_documents + 1) * sizeof *shards->starts,
                      (void **)&shards->starts));
out:
  for (int64_t i = 0; i < num_paths; i++)
    ft_free(paths[i]);
  ft_free(paths);
  return err;
}

void ft_data_shards_fini(ft_data_shards *shards) {
  for (int64_t i = 0; i < shards->num_files; i++)
    ft_tokens_close(shards->files[i]);
  ft_free(shards->files);
  ft_free(shards->bases);
  ft_free(shards->first_documents);
  ft_free(shards->starts);
  ft_free(shards->packing_order);
  ft_free(shards->row_starts);
  ft_free(shards->orders[0].rows);
  ft_free(shards->orders[1].rows);
}
