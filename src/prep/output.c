/* Shards of a prep run: opened as they are needed, closed when large, put in place by renaming when
 * all of them are complete. One shard has one kind; a set with both kinds has both kinds of files.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "output.h"

/* Bounds what a reader has to index and a writer to remember (8 bytes a document). */
enum { SHARD_TOKENS = 1 << 30, SHARD_DOCUMENTS = 1 << 24 };

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
    FT_CHECK(ft_ends_with(names[i], ".h5") || ft_ends_with(names[i], ".h5.tmp"), FT_ERR_CREATE,
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

/* What says that sets of this preparation are being put into OUT: one that was killed then finds
 * its own there. */
static ft_err commit_mark(const ft_prep_output *o, char **out) {
  return ft_path_join(o->work, "committing", out);
}

ft_err ft_prep_output_check(const ft_prep_output *o, bool overwrite) {
  char *mark = NULL;
  ft_err found = commit_mark(o, &mark);
  if (found != FT_OK) return found;
  overwrite = overwrite || ft_path_exists(mark);
  ft_free(mark);
  if (ft_path_exists(o->out) && !ft_path_is_dir(o->out))
    return ft_fail(FT_ERR_CREATE, "%s: is not a folder, token shards go there", o->out);
  for (int set = 0; set < FT_NUM_SPLITS; set++) {
    char *dir = NULL;
    ft_err err = set_path(o->out, (ft_split)set, &dir);
    if (err == FT_OK) err = check_set(dir, overwrite);
    ft_free(dir);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

ft_err ft_prep_output_init(ft_prep_output *o, const char *out_dir) {
  ft_err err = FT_OK;
  if (o->shard_tokens == 0) o->shard_tokens = SHARD_TOKENS;
  if (o->shard_documents == 0) o->shard_documents = SHARD_DOCUMENTS;
  FT_TRY(ft_strdup(out_dir, &o->out));
  for (size_t n = strlen(o->out); n > 1 && o->out[n - 1] == '/'; n--)
    o->out[n - 1] = 0;
  o->inside = ft_path_is_dir(o->out);
  FT_TRY(ft_format(&o->work, o->inside ? "%s/.prep" : "%s.prep", o->out));
  FT_TRY(ft_path_join(o->work, "result", &o->result));
out:
  return err;
}

ft_err ft_prep_output_begin(ft_prep_output *o) {
  ft_err err = FT_OK;
  char *dir = NULL;
  FT_TRY(ft_remove_tree(o->result));
  for (int set = 0; set < FT_NUM_SPLITS; set++) {
    FT_TRY(set_path(o->result, (ft_split)set, &dir));
    FT_TRY(ft_make_dirs(dir));
    ft_free(dir);
    dir = NULL;
  }
out:
  ft_free(dir);
  return err;
}

/* ---------------------------------------------------------------- shards */

static bool has_turns(ft_tokens_kind kind) {
  return kind == FT_TOKENS_SFT || kind == FT_TOKENS_PREFERENCE || kind == FT_TOKENS_UNPAIRED;
}

/* Begins the set's next shard; it is this rank's or not. */
static ft_err open_shard(ft_prep_output *o, ft_split set, ft_tokens_kind kind) {
  ft_err err = FT_OK;
  char *path = NULL;
  int64_t number = 0;
  ft_prep_shard *shard = &o->shards[set][kind];
  for (int s = 0; s < FT_NUM_SPLITS; s++)
    number += o->num_shards[s];
  if (number % o->num_ranks == o->rank) {
    FT_TRY(ft_format(&path, "%s/%s/%05lld.h5", o->result, ft_split_name(set),
                     (long long)o->num_shards[set]));
    FT_TRY(ft_tokens_writer_new(path, kind, o->vocab_size, o->tokenizer, &shard->writer));
    if (has_turns(kind)) FT_TRY(ft_tokens_writer_prepared(shard->writer, &o->preparation));
  }
  shard->begun = true;
  o->num_shards[set]++;
out:
  ft_free(path);
  return err;
}

static ft_err close_shard(ft_prep_shard *shard, bool commit) {
  ft_err err = shard->writer ? ft_tokens_writer_close(shard->writer, commit) : FT_OK;
  *shard = (ft_prep_shard){0};
  return err;
}

static ft_err write_document(ft_tokens_writer *w, const ft_document *d) {
  const ft_ids *ids = &d->ids, *rejected = &d->rejected;
  if (d->kind == FT_TOKENS_UNPAIRED || d->kind == FT_TOKENS_CLASSES)
    return ft_tokens_write_value(w, ids->ids, ids->mask, ids->count, d->value);
  ft_err err = ft_tokens_write(w, ids->ids, ids->mask, ids->count);
  if (err == FT_OK && d->kind == FT_TOKENS_PREFERENCE)
    err = ft_tokens_write(w, rejected->ids, rejected->mask, rejected->count);
  return err;
}

ft_err ft_prep_output_add(ft_prep_output *o, ft_split set, ft_tokens_kind kind, int64_t num_tokens,
                          ft_err (*read)(void *arg, const ft_document **out), void *arg) {
  ft_err err = FT_OK;
  const ft_document *document;
  ft_prep_shard *shard = &o->shards[set][kind];
  if (shard->documents > 0 &&
      (shard->tokens + num_tokens > o->shard_tokens || shard->documents >= o->shard_documents))
    FT_TRY(close_shard(shard, true));
  if (!shard->begun) FT_TRY(open_shard(o, set, kind));
  if (shard->writer) {
    FT_TRY(read(arg, &document));
    FT_TRY(write_document(shard->writer, document));
  }
  shard->tokens += num_tokens;
  shard->documents += kind == FT_TOKENS_PREFERENCE ? 2 : 1;
out:
  return err;
}

ft_err ft_prep_output_close(ft_prep_output *o) {
  for (int set = 0; set < FT_NUM_SPLITS; set++)
    for (int kind = 0; kind < FT_TOKENS_NUM_KINDS; kind++) {
      ft_err err = close_shard(&o->shards[set][kind], true);
      if (err != FT_OK) return err;
    }
  return FT_OK;
}

/* ---------------------------------------------------------------- the end */

/* Moves a set's folder or a file into an OUT that exists, and what was there out of the way. */
static ft_err replace(ft_prep_output *o, const char *name) {
  ft_err err = FT_OK;
  char *from = NULL, *to = NULL, *old = NULL;
  FT_TRY(ft_path_join(o->result, name, &from));
  FT_TRY(ft_path_join(o->out, name, &to));
  FT_TRY(ft_format(&old, "%s/old-%s", o->work, name));
  FT_TRY(ft_remove_tree(old)); /* of an attempt that was killed here */
  FT_CHECK(rename(to, old) == 0 || errno == ENOENT, FT_ERR_IO, "%s: cannot be moved to %s: %s", to,
           old, strerror(errno));
  FT_TRY(ft_commit_file(from, to));
  (void)ft_fault("prep.commit");
out:
  ft_free(from);
  ft_free(to);
  ft_free(old);
  return err;
}

ft_err ft_prep_output_commit(ft_prep_output *o, const char *const *names, int64_t num_names) {
  ft_err err = FT_OK;
  char *mark = NULL;
  if (!o->inside) return ft_commit_file(o->result, o->out);
  FT_TRY(commit_mark(o, &mark));
  FT_TRY(ft_write_file(mark, "", 0));
  for (int64_t i = 0; i < num_names; i++)
    FT_TRY(replace(o, names[i]));
  /* train, without which nothing can be run, comes last */
  for (int set = FT_NUM_SPLITS; set-- > 0;)
    FT_TRY(replace(o, ft_split_name((ft_split)set)));
out:
  ft_free(mark);
  return err;
}

void ft_prep_output_fini(ft_prep_output *o) {
  for (int set = 0; set < FT_NUM_SPLITS; set++)
    for (int kind = 0; kind < FT_TOKENS_NUM_KINDS; kind++)
      (void)close_shard(&o->shards[set][kind], false);
  ft_free(o->result);
  ft_free(o->work);
  ft_free(o->out);
  *o = (ft_prep_output){0};
}
