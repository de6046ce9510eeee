/* Documents of pieces in the work folder. */
#include "store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IDS, INDEX, SIGNATURES, GRAMS, NUM_STREAMS };
static const char *const ends[NUM_STREAMS] = {"ids", "index", "signatures", "grams"};

struct ft_store {
  char *report; /* path of what makes the piece complete */
  FILE *streams[NUM_STREAMS];
  int64_t ids_at, num_signatures, grams_at;
  bool failed;
};

static ft_err path_of(const char *folder, int64_t piece, const char *end, char **out) {
  return ft_format(out, "%s/piece-%06lld.%s", folder, (long long)piece, end);
}

static ft_err open_stream(const char *folder, int64_t piece, int stream, const char *mode,
                          FILE **out) {
  ft_err err = FT_OK;
  char *path = NULL;
  FT_TRY(path_of(folder, piece, ends[stream], &path));
  *out = fopen(path, mode);
  FT_CHECK(*out, mode[0] == 'w' ? FT_ERR_CREATE : FT_ERR_IO, "%s: cannot be opened: %s", path,
           strerror(errno));
out:
  ft_free(path);
  return err;
}

/* ---------------------------------------------------------------- writing */

ft_err ft_store_new(const char *folder, int64_t piece, ft_store **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_PREP, sizeof(ft_store), &memory));
  ft_store *s = memory;
  FT_TRY(path_of(folder, piece, "json", &s->report));
  for (int i = 0; i < NUM_STREAMS; i++)
    FT_TRY(open_stream(folder, piece, i, "wb", &s->streams[i]));
  *out = s;
  memory = NULL;
out:
  (void)ft_store_close(memory, NULL);
  return err;
}

static void put(ft_store *s, int stream, const void *data, size_t bytes) {
  if (bytes > 0 && fwrite(data, 1, bytes, s->streams[stream]) != bytes) s->failed = true;
}

static void put_ids(ft_store *s, const ft_ids *ids) {
  put(s, IDS, ids->ids, (size_t)ids->count * sizeof *ids->ids);
  put(s, IDS, ids->mask, (size_t)ids->count);
  s->ids_at += ids->count * 5;
}

ft_err ft_store_add(ft_store *s, const ft_entry *facts, const ft_document *document,
                    const ft_signature *signature, const ft_grams *grams) {
  ft_entry e = *facts;
  e.at = s->ids_at;
  e.num_ids = document->ids.count;
  e.num_rejected = document->rejected.count;
  e.value = document->value;
  e.kind = (uint8_t)document->kind;
  e.form = (uint8_t)document->form;
  e.signature = signature ? s->num_signatures++ : -1;
  e.grams_at = s->grams_at;
  e.num_grams = grams->count;
  put(s, INDEX, &e, sizeof e);
  put_ids(s, &document->ids);
  put_ids(s, &document->rejected);
  if (signature) put(s, SIGNATURES, signature, sizeof *signature);
  put(s, GRAMS, grams->hashes, (size_t)grams->count * sizeof *grams->hashes);
  s->grams_at += grams->count;
  return s->failed ? ft_fail(FT_ERR_IO, "%s: its documents cannot be written: %s", s->report,
                             strerror(errno))
                   : FT_OK;
}

ft_err ft_store_close(ft_store *s, const cJSON *report) {
  if (!s) return FT_OK;
  ft_err err = FT_OK;
  for (int i = 0; i < NUM_STREAMS; i++) {
    FILE *stream = s->streams[i];
    /* a report that survives a power cut has to find its documents */
    if (report && ftello(stream) > 0 && (fflush(stream) != 0 || fsync(fileno(stream)) != 0))
      s->failed = true;
    if (stream && fclose(stream) != 0) s->failed = true;
  }
  if (report && s->failed)
    err = ft_fail(FT_ERR_IO, "%s: its documents cannot be written: %s", s->report, strerror(errno));
  else if (report)
    err = ft_json_write(s->report, report);
  ft_free(s->report);
  ft_free(s);
  return err;
}

/* ---------------------------------------------------------------- reading */

bool ft_store_is_complete(const char *folder, int64_t piece) {
  char *path = NULL;
  bool complete = path_of(folder, piece, "json", &path) == FT_OK && ft_path_exists(path);
  ft_free(path);
  return complete;
}

ft_err ft_store_report(const char *folder, int64_t piece, cJSON **out) {
  char *path = NULL;
  ft_err err = path_of(folder, piece, "json", &path);
  if (err == FT_OK) err = ft_json_read(path, out);
  ft_free(path);
  return err;
}

ft_err ft_store_count(const char *folder, int64_t piece, int64_t *count) {
  ft_err err = FT_OK;
  char *path = NULL;
  struct stat facts;
  FT_TRY(path_of(folder, piece, ends[INDEX], &path));
  FT_CHECK(stat(path, &facts) == 0, FT_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  FT_CHECK(facts.st_size % (off_t)sizeof(ft_entry) == 0, FT_ERR_DATA,
           "%s: is damaged: remove its folder", path);
  *count = facts.st_size / (off_t)sizeof(ft_entry);
out:
  ft_free(path);
  return err;
}

ft_err ft_store_reader_open(ft_store_reader *r, const char *folder, int64_t piece) {
  ft_err err = FT_OK;
  if (r->piece == piece && r->ids) return FT_OK;
  ft_store_reader_close(r);
  FT_TRY(open_stream(folder, piece, IDS, "rb", &r->ids));
  FT_TRY(open_stream(folder, piece, INDEX, "rb", &r->index));
  FT_TRY(open_stream(folder, piece, SIGNATURES, "rb", &r->signatures));
  FT_TRY(open_stream(folder, piece, GRAMS, "rb", &r->grams));
  r->piece = piece;
out:
  return err;
}

void ft_store_reader_close(ft_store_reader *r) {
  FILE *files[] = {r->ids, r->index, r->signatures, r->grams};
  for (size_t i = 0; i < FT_ARRAY_SIZE(files); i++)
    if (files[i]) fclose(files[i]);
  *r = (ft_store_reader){.piece = -1};
}

static ft_err get(FILE *file, int64_t at, void *data, size_t bytes) {
  if (at >= 0 && ftello(file) != at && fseeko(file, at, SEEK_SET) != 0)
    return ft_fail(FT_ERR_IO, "the work folder cannot be read: %s", strerror(errno));
  if (fread(data, 1, bytes, file) == bytes) return FT_OK;
  return ft_fail(FT_ERR_IO, "the work folder cannot be read: %s",
                 ferror(file) ? strerror(errno) : "a file in it ends early");
}

static ft_err get_ids(FILE *file, int64_t at, int64_t count, ft_ids *out) {
  ft_err err = FT_OK;
  out->count = 0;
  FT_TRY(ft_ids_reserve(out, count));
  if (count > 0) {
    FT_TRY(get(file, at, out->ids, (size_t)count * sizeof *out->ids));
    FT_TRY(get(file, -1, out->mask, (size_t)count));
  }
  out->count = count;
out:
  return err;
}

ft_err ft_store_read_entry(ft_store_reader *r, int64_t number, ft_entry *out) {
  return get(r->index, number * (int64_t)sizeof *out, out, sizeof *out);
}

ft_err ft_store_read_document(ft_store_reader *r, const ft_entry *e, ft_document *out) {
  ft_err err = FT_OK;
  out->kind = (ft_tokens_kind)e->kind;
  out->form = (ft_form)e->form;
  out->value = e->value;
  FT_TRY(get_ids(r->ids, e->at, e->num_ids, &out->ids));
  FT_TRY(get_ids(r->ids, e->at + 5 * e->num_ids, e->num_rejected, &out->rejected));
out:
  return err;
}

ft_err ft_store_read_signature(ft_store_reader *r, int64_t number, ft_signature *out) {
  return get(r->signatures, number * (int64_t)sizeof *out, out, sizeof *out);
}

ft_err ft_store_read_grams(ft_store_reader *r, const ft_entry *e, ft_grams *out) {
  ft_err err = FT_OK;
  out->count = 0;
  FT_TRY(ft_grow(FT_MEM_PREP, e->num_grams, sizeof *out->hashes, &out->capacity,
                 (void **)&out->hashes));
  if (e->num_grams > 0)
    FT_TRY(get(r->grams, e->grams_at * (int64_t)sizeof *out->hashes, out->hashes,
               (size_t)e->num_grams * sizeof *out->hashes));
  out->count = e->num_grams;
out:
  return err;
}
