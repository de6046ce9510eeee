/* Reading token shards (docs/formats.md): the metadata tell where the datasets lie, pread brings
 * them. */
#include <string.h>

#include "file.h"
#include "ft/io_kind.h"
#include "h5_read.h"
#include "tokens.h"

const char *const ft_tokens_kinds[FT_TOKENS_NUM_KINDS] = {
    [FT_TOKENS_TEXT] = "text", [FT_TOKENS_SFT] = "sft", [FT_TOKENS_PREFERENCE] = "preference"};

const char *const ft_tokens_sets[FT_TOKENS_SETS] = {"tokens", "loss_mask", "offsets"};
const size_t ft_tokens_widths[FT_TOKENS_SETS] = {4, 1, 8};

bool ft_tokens_is_sha256(const char *text) {
  size_t length = strlen(text);
  return length == 0 || (length == 64 && strspn(text, "0123456789abcdef") == 64);
}

/* ---------------------------------------------------------------- opening */

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
  int number = 0;
  while (number < FT_TOKENS_NUM_KINDS && strcmp(kind, ft_tokens_kinds[number]) != 0)
    number++;
  FT_CHECK(number < FT_TOKENS_NUM_KINDS, FT_ERR_DATA,
           "%s: its kind is \"%s\"; text, sft or preference was expected", f->path, kind);
  f->kind = (ft_tokens_kind)number;
  FT_TRY(ft_h5_get_number(reader, root, "vocab_size", UINT32_MAX, &vocab_size));
  f->vocab_size = (uint32_t)vocab_size;
  if (ft_h5_has_attribute(root, "tokenizer_sha256")) /* absent: unknown, as when empty */
    FT_TRY(ft_h5_get_text(reader, root, "tokenizer_sha256", f->tokenizer_sha256,
                          sizeof f->tokenizer_sha256));
  FT_CHECK(ft_tokens_is_sha256(f->tokenizer_sha256), FT_ERR_DATA,
           "%s: tokenizer_sha256 is \"%s\", 64 hexadecimal digits or nothing was expected", f->path,
           f->tokenizer_sha256);
out:
  return err;
}

/* Finds a dataset of unsigned integers of `width` bytes among the links. */
static ft_err find_dataset(ft_h5_reader *reader, const ft_h5_link *links, int64_t num_links,
                           const char *name, size_t width, ft_h5_place *place) {
  ft_err err = FT_OK;
  ft_h5_object dataset = {0};
  ft_h5_type type;
  int64_t i = 0;
  while (i < num_links && strcmp(links[i].name, name) != 0)
    i++;
  FT_CHECK(i < num_links, FT_ERR_DATA, "%s: has no dataset \"%s\"", reader->path, name);
  FT_CHECK(links[i].address != FT_H5_UNDEFINED, FT_ERR_DATA,
           "%s: \"%s\" is a link to somewhere else", reader->path, name);
  FT_TRY(ft_h5_object_init(reader, links[i].address, &dataset));
  FT_TRY(ft_h5_dataset_type(reader, &dataset, name, &type));
  FT_CHECK(type.width == width && !type.is_float, FT_ERR_DATA,
           "%s: dataset \"%s\" holds %s%d, u%d was expected", reader->path, name,
           type.is_float ? "f" : "u", (int)(8 * type.width), (int)(8 * width));
  FT_TRY(ft_h5_dataset_place(reader, &dataset, name, width, place));
out:
  ft_h5_object_fini(&dataset);
  return err;
}

static bool has_link(const ft_h5_link *links, int64_t num_links, const char *name) {
  for (int64_t i = 0; i < num_links; i++)
    if (strcmp(links[i].name, name) == 0) return true;
  return false;
}

/* Only what ftrun wrote has it. */
static ft_err find_checksum(ft_h5_reader *reader, const ft_h5_link *links, int64_t num_links,
                            ft_tokens_file *f) {
  ft_err err = FT_OK;
  ft_h5_place place = {0};
  if (!has_link(links, num_links, FT_TOKENS_CHECKSUM)) goto out;
  FT_TRY(find_dataset(reader, links, num_links, FT_TOKENS_CHECKSUM, 8, &place));
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
    snprintf(name, sizeof name, "%s." FT_TOKENS_CHECKSUM, ft_tokens_sets[i]);
    any = has_link(links, num_links, name);
  }
  if (!any) goto out;
  FT_TRY(ft_h5_get_number(reader, root, FT_TOKENS_CHUNK_NAME, FT_TOKENS_MAX_CHUNK, &chunk));
  FT_CHECK(chunk > 0, FT_ERR_DATA, "%s: chunk_elements is 0", reader->path);
  for (int i = 0; i < FT_TOKENS_SETS; i++) {
    ft_h5_place place = {0};
    ft_chunks *c = &own->sets[i];
    c->chunk_bytes = (int64_t)(chunk * ft_tokens_widths[i]);
    snprintf(name, sizeof name, "%s." FT_TOKENS_CHECKSUM, ft_tokens_sets[i]);
    FT_TRY(find_dataset(reader, links, num_links, name, 8, &place));
    FT_CHECK(place.count == ft_chunks_count(c->bytes, c->chunk_bytes), FT_ERR_DATA,
             "%s: dataset \"%s\" has %lld elements, %lld were expected", reader->path, name,
             (long long)place.count, (long long)ft_chunks_count(c->bytes, c->chunk_bytes));
    c->hashes_at = place.offset;
  }
out:
  return err;
}

static ft_err read_layout(ft_h5_reader *reader, ft_tokens_file *f) {
  ft_err err = FT_OK;
  ft_h5_object root = {0};
  ft_h5_link *links = NULL;
  int64_t num_links = 0;
  ft_h5_place places[FT_TOKENS_SETS];
  FT_TRY(ft_h5_object_init(reader, reader->root, &root));
  FT_TRY(read_attributes(reader, &root, f));
  FT_TRY(ft_h5_links(reader, &root, &links, &num_links));
  for (int i = 0; i < FT_TOKENS_SETS; i++) {
    size_t width = ft_tokens_widths[i];
    FT_TRY(find_dataset(reader, links, num_links, ft_tokens_sets[i], width, &places[i]));
    f->private->sets[i] =
        (ft_chunks){.at = places[i].offset, .bytes = places[i].count * (int64_t)width};
  }
  f->num_tokens = places[FT_TOKENS_IDS].count;
  FT_CHECK(places[FT_TOKENS_MASK].count == f->num_tokens, FT_ERR_DATA,
           "%s: loss_mask has %lld elements and tokens %lld, the same number was expected", f->path,
           (long long)places[FT_TOKENS_MASK].count, (long long)f->num_tokens);
  FT_CHECK(places[FT_TOKENS_OFFSETS].count >= 1, FT_ERR_DATA,
           "%s: offsets is empty, one more than documents was expected", f->path);
  f->num_documents = places[FT_TOKENS_OFFSETS].count - 1;
  f->tokens_at = places[FT_TOKENS_IDS].offset;
  f->mask_at = places[FT_TOKENS_MASK].offset;
  f->offsets_at = places[FT_TOKENS_OFFSETS].offset;
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
  ft_free(f->path);
  ft_free(f);
}

/* ---------------------------------------------------------------- reading */

/* Elements of a dataset. */
static ft_err read_set(ft_tokens_file *f, int set, int64_t start, int64_t count, void *out) {
  int64_t width = (int64_t)ft_tokens_widths[set];
  return ft_chunks_read(&f->private->sets[set], f->fd, f->path, start * width, count * width, out,
                        &f->private->scratch[set]);
}

ft_err ft_tokens_offsets(ft_tokens_file *f, int64_t **offsets) {
  ft_err err = FT_OK;
  void *memory = NULL;
  int64_t count = f->num_documents + 1;
  *offsets = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, count, sizeof(int64_t), &memory));
  FT_TRY(read_set(f, FT_TOKENS_OFFSETS, 0, count, memory));
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
    FT_TRY(read_set(f, FT_TOKENS_IDS, start, count, tokens));
    FT_TRY(check_tokens(f, start, count, tokens));
  }
  if (mask) {
    FT_TRY(read_set(f, FT_TOKENS_MASK, start, count, mask));
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
