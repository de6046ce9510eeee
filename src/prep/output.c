/* Shards of a prep run: opened as they are needed, closed when large, put in place by renaming when
 * all of them are complete. One shard has one kind; a set with both kinds has both kinds of files.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

/* Bounds what a reader has to index and a writer to remember (8 bytes a document). */
enum { SHARD_TOKENS = 1 << 30, SHARD_DOCUMENTS = 1 << 24 };

static bool ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* A set's folder in OUT: absent or empty is fine; shards are if they may be replaced; anything else
 * is somebody else's. */
static ft_err check_set(const char *dir, bool overwrite) {
  ft_err err = FT_OK;
  char **names = NULL;
  int64_t num_names = 0;
  if (!ft_path_exists(dir)) return FT_OK;
  FT_CHECK(ft_path_is_dir(dir), FT_ERR_CREATE, "%s: is not a folder, token shards go there", dir);
  FT_TRY(ft_list_dir(dir, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++)
    FT_CHECK(ends_with(names[i], ".h5") || ends_with(names[i], ".h5.tmp"), FT_ERR_CREATE,
             "%s: holds %s, which is no token shard: choose another --out", dir, names[i]);
  FT_CHECK(num_names == 0 || overwrite, FT_ERR_CREATE,
           "%s: holds token shards already: choose another --out, or replace them with --overwrite",
           dir);
out:
  ft_free_names(names, num_names);
  return err;
}

static ft_err set_path(const char *dir, ft_split set, char **out) {
  return ft_path_join(dir, ft_split_name(set), out);
}

static ft_err check_out(const char *out_dir, bool overwrite) {
  if (ft_path_exists(out_dir) && !ft_path_is_dir(out_dir))
    return ft_fail(FT_ERR_CREATE, "%s: is not a folder, token shards go there", out_dir);
  for (int set = 0; set < FT_NUM_SPLITS; set++) {
    char *dir = NULL;
    ft_err err = set_path(out_dir, (ft_split)set, &dir);
    if (err == FT_OK) err = check_set(dir, overwrite);
    ft_free(dir);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

ft_err ft_prep_output_begin(ft_prep_output *o, const char *out_dir, bool overwrite) {
  ft_err err = FT_OK;
  char *dir = NULL;
  if (o->shard_tokens == 0) o->shard_tokens = SHARD_TOKENS;
  if (o->shard_documents == 0) o->shard_documents = SHARD_DOCUMENTS;
  FT_TRY(ft_strdup(out_dir, &o->out));
  for (size_t n = strlen(o->out); n > 1 && o->out[n - 1] == '/'; n--)
    o->out[n - 1] = 0;
  FT_TRY(check_out(o->out, overwrite));
  o->inside = ft_path_is_dir(o->out);
  if (o->inside)
    FT_TRY(ft_format(&o->temporary, "%s/.prep-%ld", o->out, (long)getpid()));
  else
    FT_TRY(ft_format(&o->temporary, "%s.tmp-%ld", o->out, (long)getpid()));
  for (int set = 0; set < FT_NUM_SPLITS; set++) {
    FT_TRY(set_path(o->temporary, (ft_split)set, &dir));
    FT_TRY(ft_make_dirs(dir));
    ft_free(dir);
    dir = NULL;
  }
out:
  ft_free(dir);
  return err;
}

/* ---------------------------------------------------------------- shards */

static ft_err open_shard(ft_prep_output *o, ft_split set, ft_tokens_kind kind) {
  char *path = NULL;
  ft_err err = ft_format(&path, "%s/%s/%05lld.h5", o->temporary, ft_split_name(set),
                         (long long)o->num_shards[set]);
  ft_prep_shard *shard = &o->shards[set][kind];
  if (err == FT_OK)
    err = ft_tokens_writer_new(path, kind, o->vocab_size, o->tokenizer, &shard->writer);
  if (err == FT_OK) o->num_shards[set]++;
  ft_free(path);
  return err;
}

static ft_err close_shard(ft_prep_shard *shard, bool commit) {
  ft_err err = shard->writer ? ft_tokens_writer_close(shard->writer, commit) : FT_OK;
  *shard = (ft_prep_shard){0};
  return err;
}

ft_err ft_prep_output_add(ft_prep_output *o, ft_split set, ft_tokens_kind kind,
                          const ft_ids *document) {
  ft_err err = FT_OK;
  FT_ASSERT(kind == FT_TOKENS_TEXT || kind == FT_TOKENS_SFT);
  ft_prep_shard *shard = &o->shards[set][kind];
  if (shard->documents > 0 &&
      (shard->tokens + document->count > o->shard_tokens || shard->documents >= o->shard_documents))
    FT_TRY(close_shard(shard, true));
  if (!shard->writer) FT_TRY(open_shard(o, set, kind));
  FT_TRY(ft_tokens_write(shard->writer, document->ids, document->mask, document->count));
  shard->tokens += document->count;
  shard->documents++;
out:
  return err;
}

/* ---------------------------------------------------------------- the end */

/* Moves one set's folder into an OUT that exists, and what was there out of the way. */
static ft_err replace_set(ft_prep_output *o, ft_split set) {
  ft_err err = FT_OK;
  char *from = NULL, *to = NULL, *old = NULL;
  FT_TRY(set_path(o->temporary, set, &from));
  FT_TRY(set_path(o->out, set, &to));
  FT_TRY(ft_format(&old, "%s/old-%s", o->temporary, ft_split_name(set)));
  FT_CHECK(rename(to, old) == 0 || errno == ENOENT, FT_ERR_IO, "%s: cannot be moved to %s: %s", to,
           old, strerror(errno));
  FT_TRY(ft_commit_file(from, to));
out:
  ft_free(from);
  ft_free(to);
  ft_free(old);
  return err;
}

ft_err ft_prep_output_commit(ft_prep_output *o) {
  ft_err err = FT_OK;
  for (int set = 0; set < FT_NUM_SPLITS; set++)
    for (int kind = 0; kind < 2; kind++)
      FT_TRY(close_shard(&o->shards[set][kind], true));
  if (o->inside) {
    /* train, without which nothing can be run, comes last */
    for (int set = FT_NUM_SPLITS; set-- > 0;)
      FT_TRY(replace_set(o, (ft_split)set));
  } else {
    FT_TRY(ft_commit_file(o->temporary, o->out));
  }
out:
  return err;
}

void ft_prep_output_fini(ft_prep_output *o) {
  /* a failure to tidy up must not hide the error that led here */
  char message[4096];
  snprintf(message, sizeof message, "%s", ft_error_message());
  for (int set = 0; set < FT_NUM_SPLITS; set++)
    for (int kind = 0; kind < 2; kind++)
      (void)close_shard(&o->shards[set][kind], false);
  if (o->temporary && ft_path_exists(o->temporary) && ft_remove_tree(o->temporary) != FT_OK)
    ft_log(FT_LOG_WARNING, "%s is left behind and may be removed", o->temporary);
  ft_free(o->temporary);
  ft_free(o->out);
  *o = (ft_prep_output){0};
  (void)ft_fail(FT_ERR_INTERNAL, "%s", message);
}
