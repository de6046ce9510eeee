/* Reading token shards (docs/formats.md): the metadata tell where the datasets lie, pread brings
 * them. */
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "ft/io_kind.h"
#include "h5_read.h"
#include "tokens.h"

bool ft_tokens_is_sha256(const char *text) {
  size_t length = strlen(text);
  return length == 0 || (length == 64 && strspn(text, "0123456789abcdef") == 64);
}

/* ---------------------------------------------------------------- opening */

/* Text that may be absent: *out stays as it is. */
static ft_err get_optional_text(ft_h5_reader *reader, const ft_h5_object *root, const char *name,
                                char *out, size_t size) {
  if (!ft_h5_has_attribute(root, name)) return FT_OK;
  return ft_h5_get_text(reader, root, name, out, size);
}

/* Each of these may be absent. */
static ft_err read_preparation(ft_h5_reader *reader, const ft_h5_object *root,
                               ft_tokens_preparation *p) {
  ft_err err = FT_OK;
  int64_t *ids = NULL, count = 0;
  uint64_t mask_token;
  void *system = NULL;
  FT_TRY(get_optional_text(reader, root, FT_TOKENS_TEMPLATE, p->template_name,
                           sizeof p->template_name));
  FT_TRY(get_optional_text(reader, root, FT_TOKENS_TEMPLATE_SHA256, p->template_sha256,
                           sizeof p->template_sha256));
  FT_TRY(get_optional_text(reader, root, FT_TOKENS_TEMPLATE_DATE, p->template_date,
                           sizeof p->template_date));
  if (ft_h5_has_attribute(root, FT_TOKENS_SYSTEM)) {
    FT_TRY(ft_alloc(FT_MEM_DATA, FT_TOKENS_MAX_SYSTEM + 1, &system));
    FT_TRY(ft_h5_get_text(reader, root, FT_TOKENS_SYSTEM, system, FT_TOKENS_MAX_SYSTEM + 1));
    FT_TRY(ft_strdup(system, &p->system));
  }
  if (ft_h5_has_attribute(root, FT_TOKENS_MASK_TOKEN)) {
    FT_TRY(ft_h5_get_number(reader, root, FT_TOKENS_MASK_TOKEN, UINT32_MAX, &mask_token));
    p->mask_token = (int64_t)mask_token;
  }
  if (!ft_h5_has_attribute(root, FT_TOKENS_END_OF_TURN)) goto out;
  FT_TRY(ft_h5_get_array(reader, root, FT_TOKENS_END_OF_TURN, &ids, &count));
  FT_CHECK(count <= FT_TOKENS_MAX_END_OF_TURN, FT_ERR_DATA,
           "%s: attribute \"%s\" has %lld ids, at most %d are read", reader->path,
           FT_TOKENS_END_OF_TURN, (long long)count, FT_TOKENS_MAX_END_OF_TURN);
  for (int64_t i = 0; i < count; i++) {
    FT_CHECK(ids[i] >= 0 && ids[i] <= UINT32_MAX, FT_ERR_DATA,
             "%s: attribute \"%s\" has the id %lld", reader->path, FT_TOKENS_END_OF_TURN,
             (long long)ids[i]);
    p->end_of_turn[p->num_end_of_turn++] = (uint32_t)ids[i];
  }
out:
  ft_free(ids);
  ft_free(system);
  return err;
}

static ft_err read_attributes(ft_h5_reader *reader, const ft_h5_object *root, ft_tokens_file *f) {
  ft_err err = FT_OK;
  char format[32], kind[32];
  uint64_t version, vocab_size;
  FT_TRY(ft_h5_get_text(reader, root, "format", format, sizeof format));
  FT_CHECK(strcmp(format, FT_TOKENS_FORMAT) == 0, FT_ERR_DATA,
           "%s: its format is \"%s\", \"%s\" was expected", f->path, format, FT_TOKENS_FORMAT);
  FT_TRY(ft_h5_get_number(reader, root, "version", UINT32_MAX, &version));
  FT_CHECK(version == FT_TOKENS_VERSION, FT_ERR_DATA,
           "%s: has version %llu of the format, this program reads version %d", f->path,
           (unsigned long long)version, FT_TOKENS_VERSION);
  FT_TRY(ft_h5_get_text(reader, root, "kind", kind, sizeof kind));
  FT_CHECK(
      ft_tokens_find_kind(kind, &f->kind), FT_ERR_DATA,
      "%s: its kind is \"%s\"; text, sft, preference, unpaired, masked or classes was expected",
      f->path, kind);
  FT_TRY(ft_h5_get_number(reader, root, "vocab_size", UINT32_MAX, &vocab_size));
  f->vocab_size = (uint32_t)vocab_size;
  /* absent: unknown, as when empty */
  FT_TRY(get_optional_text(reader, root, "tokenizer_sha256", f->tokenizer_sha256,
                           sizeof f->tokenizer_sha256));
  FT_CHECK(ft_tokens_is_sha256(f->tokenizer_sha256), FT_ERR_DATA,
           "%s: tokenizer_sha256 is \"%s\", 64 hexadecimal digits or nothing was expected", f->path,
           f->tokenizer_sha256);
  FT_TRY(read_preparation(reader, root, &f->preparation));
out:
  return err;
}

/* The link of this name, or NULL. */
static const ft_h5_link *find_link(const ft_h5_link *links, int64_t num_links, const char *name) {
  for (int64_t i = 0; i < num_links; i++)
    if (strcmp(links[i].name, name) == 0) return &links[i];
  return NULL;
}

/* Finds a dataset of integers of this type among the links. */
static ft_err find_dataset(ft_h5_reader *reader, const ft_h5_link *links, int64_t num_links,
                           const char *name, ft_h5_type wanted, ft_h5_place *place) {
  ft_err err = FT_OK;
  ft_h5_object dataset = {0};
  ft_h5_type type;
  const ft_h5_link *link = find_link(links, num_links, name);
  FT_CHECK(link, FT_ERR_DATA, "%s: has no dataset \"%s\"", reader->path, name);
  FT_CHECK(link->address != FT_H5_UNDEFINED, FT_ERR_DATA, "%s: \"%s\" is a link to somewhere else",
           reader->path, name);
  FT_TRY(ft_h5_object_init(reader, link->address, &dataset));
  FT_TRY(ft_h5_dataset_type(reader, &dataset, name, &type));
  FT_CHECK(wanted.is_signed || !type.is_signed, FT_ERR_DATA,
           "%s: dataset \"%s\" does not hold unsigned little-endian integers", reader->path, name);
  FT_CHECK(type.width == wanted.width && !type.is_float && type.is_signed == wanted.is_signed,
           FT_ERR_DATA, "%s: dataset \"%s\" holds %s%d, %s%d was expected", reader->path, name,
           type.is_float    ? "f"
           : type.is_signed ? "i"
                            : "u",
           (int)(8 * type.width), wanted.is_signed ? "i" : "u", (int)(8 * wanted.width));
  FT_TRY(ft_h5_dataset_place(reader, &dataset, name, wanted.width, place));
out:
  ft_h5_object_fini(&dataset);
  return err;
}

static const ft_h5_type hash_type = {.width = 8};

/* Only what ftrun wrote has it. */
static ft_err find_checksum(ft_h5_reader *reader, const ft_h5_link *links, int64_t num_links,
                            ft_tokens_file *f) {
  ft_err err = FT_OK;
  ft_h5_place place = {0};
  if (!find_link(links, num_links, FT_TOKENS_CHECKSUM)) goto out;
  FT_TRY(find_dataset(reader, links, num_links, FT_TOKENS_CHECKSUM, hash_type, &place));
  FT_CHECK(place.count == 1 && place.offset + 8 == reader->bytes, FT_ERR_DATA,
           "%s: dataset \"%s\" is not one number at the end of the file", f->path,
           FT_TOKENS_CHECKSUM);
  f->checksum_at = place.offset;
out:
  return err;
}

/* The hashes of each dataset's chunks: for all of them or for none. */
static ft_err find_hashes(ft_h5_reader *reader, const ft_h5_object *root, const ft_h5_link *links,
                          int64_t num_links, ft_tokens_private *own) {
  ft_err err = FT_OK;
  uint64_t chunk;
  bool any = ft_h5_has_attribute(root, FT_TOKENS_CHUNK_NAME);
  char name[32];
  for (int i = 0; i < FT_TOKENS_SETS && !any; i++) {
    snprintf(name, sizeof name, "%s." FT_TOKENS_CHECKSUM, ft_tokens_sets[i].name);
    any = find_link(links, num_links, name);
  }
  if (!any) goto out;
  FT_TRY(ft_h5_get_number(reader, root, FT_TOKENS_CHUNK_NAME, FT_TOKENS_MAX_CHUNK, &chunk));
  FT_CHECK(chunk > 0, FT_ERR_DATA, "%s: chunk_elements is 0", reader->path);
  for (int i = 0; i < FT_TOKENS_SETS; i++) {
    if (!own->has[i]) continue;
    ft_h5_place place = {0};
    ft_chunks *c = &own->sets[i];
    c->chunk_bytes = (int64_t)(chunk * ft_tokens_sets[i].type.width);
    snprintf(name, sizeof name, "%s." FT_TOKENS_CHECKSUM, ft_tokens_sets[i].name);
    FT_TRY(find_dataset(reader, links, num_links, name, hash_type, &place));
    FT_CHECK(place.count == ft_chunks_count(c->bytes, c->chunk_bytes), FT_ERR_DATA,
             "%s: dataset \"%s\" has %lld elements, %lld were expected", reader->path, name,
             (long long)place.count, (long long)ft_chunks_count(c->bytes, c->chunk_bytes));
    c->hashes_at = place.offset;
  }
out:
  return err;
}

/* Something else says what is to be predicted. */
static bool needs_no_mask(ft_tokens_kind kind, const ft_h5_link *links, int64_t num_links) {
  const char *labels = ft_tokens_sets[FT_SET_LABELS].name;
  return kind == FT_TOKENS_CLASSES ||
         (kind == FT_TOKENS_MASKED && find_link(links, num_links, labels));
}

/* Which datasets a shard of its kind has, and where they lie. */
static ft_err find_sets(ft_h5_reader *reader, const ft_h5_link *links, int64_t num_links,
                        ft_tokens_file *f, ft_h5_place places[FT_TOKENS_SETS]) {
  ft_err err = FT_OK;
  int extra = ft_tokens_extra_set(f->kind);
  for (int i = 0; i < FT_TOKENS_SETS; i++) {
    const ft_tokens_set *set = &ft_tokens_sets[i];
    bool *has = &f->private->has[i];
    *has = i <= FT_SET_OFFSETS || i == extra;
    /* the masks of such documents may be drawn while training */
    if (i == FT_SET_LABELS && !find_link(links, num_links, set->name)) *has = false;
    if (i == FT_SET_MASK && needs_no_mask(f->kind, links, num_links) &&
        !find_link(links, num_links, set->name))
      *has = false;
    if (!*has) continue;
    FT_TRY(find_dataset(reader, links, num_links, set->name, set->type, &places[i]));
    f->private->sets[i] =
        (ft_chunks){.at = places[i].offset, .bytes = places[i].count * (int64_t)set->type.width};
  }
  f->has_mask = f->private->has[FT_SET_MASK];
  f->has_labels = f->private->has[FT_SET_LABELS];
out:
  return err;
}

/* Numbers of elements that fit each other. */
static ft_err check_counts(ft_tokens_file *f, const ft_h5_place places[FT_TOKENS_SETS]) {
  ft_err err = FT_OK;
  f->num_tokens = places[FT_SET_IDS].count;
  FT_CHECK(places[FT_SET_OFFSETS].count >= 1, FT_ERR_DATA,
           "%s: offsets is empty, one more than documents was expected", f->path);
  f->num_documents = places[FT_SET_OFFSETS].count - 1;
  for (int i = 0; i < FT_TOKENS_SETS; i++) {
    const ft_tokens_set *set = &ft_tokens_sets[i];
    if (!f->private->has[i] || set->per_token < 0) continue;
    int64_t expected = set->per_token ? f->num_tokens : f->num_documents;
    FT_CHECK(places[i].count == expected, FT_ERR_DATA,
             "%s: %s has %lld elements and %s %lld, the same number was expected", f->path,
             set->name, (long long)places[i].count, set->per_token ? "tokens" : "documents",
             (long long)expected);
  }
  FT_CHECK(f->kind != FT_TOKENS_PREFERENCE || f->num_documents % 2 == 0, FT_ERR_DATA,
           "%s: holds %lld documents, pairs of them were expected", f->path,
           (long long)f->num_documents);
out:
  return err;
}

static ft_err read_layout(ft_h5_reader *reader, ft_tokens_file *f) {
  ft_err err = FT_OK;
  ft_h5_object root = {0};
  ft_h5_link *links = NULL;
  int64_t num_links = 0;
  ft_h5_place places[FT_TOKENS_SETS] = {{0}};
  FT_TRY(ft_h5_object_init(reader, reader->root, &root));
  FT_TRY(read_attributes(reader, &root, f));
  FT_TRY(ft_h5_links(reader, &root, &links, &num_links));
  FT_TRY(find_sets(reader, links, num_links, f, places));
  FT_TRY(check_counts(f, places));
  f->tokens_at = places[FT_SET_IDS].offset;
  f->mask_at = places[FT_SET_MASK].offset;
  f->offsets_at = places[FT_SET_OFFSETS].offset;
  FT_TRY(find_hashes(reader, &root, links, num_links, f->private));
  FT_TRY(find_checksum(reader, links, num_links, f));
out:
  ft_h5_links_free(links, num_links);
  ft_h5_object_fini(&root);
  return err;
}

ft_err ft_tokens_open(const char *path, ft_tokens_file **out) {
  ft_err err = FT_OK;
  void *memory = NULL, *own;
  ft_h5_reader reader = {.fd = -1};
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_DATA, sizeof(ft_tokens_file), &memory));
  ft_tokens_file *f = memory;
  f->fd = -1;
  FT_TRY(ft_alloc(FT_MEM_DATA, sizeof(ft_tokens_private), &own));
  f->private = own;
  FT_TRY(ft_strdup(path, &f->path));
  FT_TRY(ft_kind_check(path, FT_WANT_TOKENS));
  FT_TRY(ft_h5_reader_init(path, &reader));
  FT_TRY(read_layout(&reader, f));
  struct stat s;
  FT_CHECK(fstat(reader.fd, &s) == 0, FT_ERR_IO, "%s: cannot be looked at", path);
  f->private->bytes = (int64_t)s.st_size;
  f->private->modified = s.st_mtim;
  f->fd = reader.fd; /* which stays open for the reads */
  reader.fd = -1;
  *out = f;
  memory = NULL;
out:
  ft_h5_reader_fini(&reader);
  ft_tokens_close(memory);
  return err;
}

void ft_tokens_close(ft_tokens_file *f) {
  if (!f) return;
  ft_file_close(&f->fd);
  for (int i = 0; f->private && i < FT_TOKENS_SETS; i++)
    ft_free(f->private->scratch[i]);
  ft_free(f->private);
  ft_free(f->preparation.system);
  ft_free(f->path);
  ft_free(f);
}

/* ---------------------------------------------------------------- reading */

/* A shard that has no checksums is what it was when it was opened, or nobody knows what is read. */
static ft_err check_unchanged(const ft_tokens_file *f) {
  ft_err err = FT_OK;
  struct stat s;
  const ft_tokens_private *p = f->private;
  FT_CHECK(fstat(f->fd, &s) == 0, FT_ERR_IO, "%s: cannot be looked at", f->path);
  FT_CHECK(s.st_size >= p->bytes, FT_ERR_DATA,
           "%s: has become shorter while it is used (%lld bytes, %lld before): it is being written "
           "again",
           f->path, (long long)s.st_size, (long long)p->bytes);
  FT_CHECK(
      f->checksum_at > 0 ||
          (s.st_mtim.tv_sec == p->modified.tv_sec && s.st_mtim.tv_nsec == p->modified.tv_nsec),
      FT_ERR_DATA,
      "%s: was changed while it is used, and has no checksums to tell what is still as it was: "
      "begin again",
      f->path);
out:
  return err;
}

ft_err ft_tokens_read_set(ft_tokens_file *f, int set, int64_t start, int64_t count, void *out) {
  int64_t width = (int64_t)ft_tokens_sets[set].type.width;
  ft_err err = check_unchanged(f);
  if (err != FT_OK) return err;
  return ft_chunks_read(&f->private->sets[set], f->fd, f->path, start * width, count * width, out,
                        &f->private->scratch[set]);
}

ft_err ft_tokens_offsets(ft_tokens_file *f, int64_t **offsets) {
  ft_err err = FT_OK;
  void *memory = NULL;
  int64_t count = f->num_documents + 1;
  *offsets = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, count, sizeof(int64_t), &memory));
  FT_TRY(ft_tokens_read_set(f, FT_SET_OFFSETS, 0, count, memory));
  int64_t *o = memory;
  FT_CHECK(o[0] == 0, FT_ERR_DATA, "%s: offsets begin at %llu, 0 was expected", f->path,
           (unsigned long long)o[0]);
  for (int64_t i = 1; i < count; i++)
    FT_CHECK(o[i] >= o[i - 1] && o[i] <= f->num_tokens, FT_ERR_DATA,
             "%s: offset %lld is %llu, %lld to %lld was expected", f->path, (long long)i,
             (unsigned long long)o[i], (long long)o[i - 1], (long long)f->num_tokens);
  FT_CHECK(o[count - 1] == f->num_tokens, FT_ERR_DATA,
           "%s: the last offset is %lld, and there are %lld tokens", f->path,
           (long long)o[count - 1], (long long)f->num_tokens);
  *offsets = memory;
  memory = NULL;
out:
  ft_free(memory);
  return err;
}

static ft_err check_tokens(const ft_tokens_file *f, int64_t start, int64_t count,
                           const uint32_t *tokens) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; i++)
    largest = FT_MAX(largest, tokens[i]);
  if (count == 0 || largest < f->vocab_size) return FT_OK;
  int64_t at = 0;
  while (tokens[at] < f->vocab_size)
    at++;
  return ft_fail(FT_ERR_DATA, "%s: token %lld has id %u, and the vocabulary has %u", f->path,
                 (long long)(start + at), tokens[at], f->vocab_size);
}

static ft_err check_mask(const ft_tokens_file *f, int64_t start, int64_t count,
                         const uint8_t *mask) {
  uint8_t all = 0;
  for (int64_t i = 0; i < count; i++)
    all |= mask[i];
  if (all <= 1) return FT_OK;
  int64_t at = 0;
  while (mask[at] <= 1)
    at++;
  return ft_fail(FT_ERR_DATA, "%s: loss_mask of token %lld is %u, 0 or 1 was expected", f->path,
                 (long long)(start + at), mask[at]);
}

ft_err ft_tokens_read(ft_tokens_file *f, int64_t start, int64_t count, uint32_t *tokens,
                      uint8_t *mask) {
  ft_err err = FT_OK;
  FT_CHECK(start >= 0 && count >= 0 && start <= f->num_tokens && count <= f->num_tokens - start,
           FT_ERR_INTERNAL, "%s: tokens %lld … +%lld of %lld", f->path, (long long)start,
           (long long)count, (long long)f->num_tokens);
  if (tokens) {
    FT_TRY(ft_tokens_read_set(f, FT_SET_IDS, start, count, tokens));
    FT_TRY(check_tokens(f, start, count, tokens));
  }
  if (mask && !f->has_mask) memset(mask, 0, (size_t)count);
  if (mask && f->has_mask) {
    FT_TRY(ft_tokens_read_set(f, FT_SET_MASK, start, count, mask));
    FT_TRY(check_mask(f, start, count, mask));
  }
out:
  return err;
}

/* ---------------------------------------------------------------- checksum */

ft_err ft_tokens_hash(int fd, const char *path, int64_t bytes, uint64_t *out) {
  ft_err err = FT_OK;
  ft_hash *hash = NULL;
  FT_TRY(ft_hash_new(&hash));
  FT_TRY(ft_file_hash(fd, path, 0, bytes, hash));
  *out = ft_hash_value(hash);
out:
  ft_hash_free(hash);
  return err;
}

ft_err ft_tokens_verify(ft_tokens_file *f, bool *found) {
  ft_err err = FT_OK;
  uint64_t written, hash;
  *found = f->checksum_at > 0;
  if (!*found) goto out;
  FT_TRY(ft_pread_all(f->fd, f->path, &written, sizeof written, f->checksum_at));
  FT_TRY(ft_tokens_hash(f->fd, f->path, f->checksum_at, &hash));
  FT_CHECK(hash == written, FT_ERR_DATA,
           "%s: its checksum does not fit: the file is damaged; prepare the data again", f->path);
out:
  return err;
}
