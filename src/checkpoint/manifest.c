/* Reading a manifest: its checksum, its tables, and whether they fit each other and the files. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

static ft_err damaged(const ft_checkpoint *c, const char *what) {
  return ft_fail(FT_ERR_DATA, "%s: %s", c->manifest, what);
}

/* ---------------------------------------------------------------- pieces of text */

/* A number of decimal digits, followed by `end`, that is skipped too unless it is 0. */
static bool take_number(const char **text, char end, int64_t *value) {
  const char *p = *text;
  *value = 0;
  while (*p >= '0' && *p <= '9' && p - *text < 18)
    *value = *value * 10 + (*p++ - '0');
  if (p == *text || (end && *p != end)) return false;
  *text = p + (end ? 1 : 0);
  return true;
}

/* Sixteen hexadecimal digits. */
static bool take_hash(const char **text, uint64_t *value) {
  *value = 0;
  if (strspn(*text, "0123456789abcdef") != 16) return false;
  for (int i = 0; i < 16; i++, (*text)++) {
    char digit = **text;
    *value = *value << 4 | (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
  }
  return true;
}

/* ---------------------------------------------------------------- tables */

static ft_err read_states(ft_checkpoint *c, const cJSON *json) {
  ft_err err = FT_OK;
  const cJSON *list = ft_json_get(json, "states");
  int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
  void *states;
  if (count < 1 || count > FT_CHECKPOINT_MAX_STATES) FT_TRY(damaged(c, "has no list of states"));
  FT_TRY(ft_alloc_array(FT_MEM_IO, count, sizeof(saved_state), &states));
  c->states = states;
  for (const cJSON *item = list->child; item; item = item->next, c->num_states++) {
    const cJSON *name = ft_json_get(item, "name");
    saved_state *s = &c->states[c->num_states];
    int64_t bytes;
    if (!cJSON_IsString(name) || !ft_json_i64(ft_json_get(item, "entry_bytes"), &bytes) ||
        !ft_json_i64(ft_json_get(item, "entry_elements"), &s->group_elements) || bytes < 1 ||
        bytes > 1 << 20 || s->group_elements < 1 || c->chunk_elements % s->group_elements != 0)
      FT_TRY(damaged(c, "a state whose entries are impossible"));
    s->group_bytes = (size_t)bytes;
    FT_TRY(ft_strdup(name->valuestring, &s->name));
  }
out:
  return err;
}

static ft_err read_blocks(ft_checkpoint *c, const cJSON *json) {
  ft_err err = FT_OK;
  const cJSON *list = ft_json_get(json, "blocks");
  void *blocks;
  if (!cJSON_IsArray(list)) FT_TRY(damaged(c, "has no list of blocks"));
  FT_TRY(ft_alloc_array(FT_MEM_IO, cJSON_GetArraySize(list), sizeof(saved_block), &blocks));
  c->blocks = blocks;
  for (const cJSON *item = list->child; item; item = item->next, c->num_blocks++) {
    const cJSON *name = ft_json_get(item, "name");
    saved_block *b = &c->blocks[c->num_blocks];
    if (!cJSON_IsString(name) || !ft_json_i64(ft_json_get(item, "elements"), &b->elements) ||
        b->elements < 0)
      FT_TRY(damaged(c, "a block without name or elements"));
    FT_TRY(ft_strdup(name->valuestring, &b->name));
  }
out:
  return err;
}

/* "START+COUNT,START+COUNT": adds the ranges of a part; ends at the character after them. */
static ft_err read_ranges(ft_checkpoint *c, part *p, int64_t number, const char **text) {
  ft_err err = FT_OK;
  p->first_range = c->num_ranges;
  for (bool more = true; more; more = **text == ',') {
    FT_TRY(ft_grow(FT_MEM_IO, c->num_ranges + 1, sizeof *c->ranges, &c->ranges_capacity,
                   (void **)&c->ranges));
    saved_range *r = &c->ranges[c->num_ranges];
    *text += p->num_ranges > 0; /* the comma */
    bool good = take_number(text, '+', &r->start) && take_number(text, 0, &r->count) &&
                r->count > 0 && r->start <= c->blocks[p->block].elements - r->count;
    for (int s = 0; good && s < c->num_states; s++)
      good = r->start % c->states[s].group_elements == 0 &&
             r->count % c->states[s].group_elements == 0;
    if (!good) FT_TRY(damaged(c, "a range that is impossible"));
    r->position = p->elements;
    r->hash = p->num_hashes;
    r->part = number;
    p->elements += r->count;
    if (p->elements > c->blocks[p->block].elements) FT_TRY(damaged(c, "ranges that overlap"));
    p->num_hashes += ft_ceil_div(r->count, c->chunk_elements);
    p->num_ranges++;
    c->num_ranges++;
  }
out:
  return err;
}

/* " OFFSET/HASHES/XXH3" of one state. */
static bool read_slice(const ft_checkpoint *c, const part *p, const saved_state *state,
                       const char **text, saved_slice *s) {
  int64_t file_bytes = c->files[p->file].bytes, bytes;
  if (*(*text)++ != ' ') return false;
  if (!take_number(text, '/', &s->offset) || !take_number(text, '/', &s->hashes_offset) ||
      !take_hash(text, &s->checksum))
    return false;
  return !__builtin_mul_overflow(p->elements / state->group_elements, (int64_t)state->group_bytes,
                                 &bytes) &&
         bytes <= file_bytes && s->offset <= file_bytes - bytes &&
         p->num_hashes <= file_bytes / 8 && s->hashes_offset <= file_bytes - 8 * p->num_hashes;
}

/* "BLOCK RANGES SLICE SLICE …": what a file has of a block. *block: where the search for the name
 * begins, since files list blocks in order. */
static ft_err read_part(ft_checkpoint *c, int64_t file, const cJSON *item, int64_t *block) {
  ft_err err = FT_OK;
  const char *text = cJSON_IsString(item) ? item->valuestring : "";
  size_t length = strcspn(text, " ");
  FT_TRY(ft_grow(FT_MEM_IO, c->num_parts + 1, sizeof *c->parts, &c->parts_capacity,
                 (void **)&c->parts));
  FT_TRY(ft_grow(FT_MEM_IO, (c->num_parts + 1) * c->num_states, sizeof *c->slices,
                 &c->slices_capacity, (void **)&c->slices));
  while (*block < c->num_blocks && (strncmp(c->blocks[*block].name, text, length) != 0 ||
                                    strlen(c->blocks[*block].name) != length))
    ++*block;
  if (*block == c->num_blocks || text[length] != ' ')
    FT_TRY(damaged(c, "slices of a block that is not in its list, or not in order"));
  part *p = &c->parts[c->num_parts];
  *p = (part){.file = (int32_t)file, .block = (int32_t)(*block)++};
  text += length + 1;
  FT_TRY(read_ranges(c, p, c->num_parts, &text));
  for (int s = 0; s < c->num_states; s++)
    if (!read_slice(c, p, &c->states[s], &text, &c->slices[c->num_parts * c->num_states + s]))
      FT_TRY(damaged(c, "a slice that does not lie inside its file"));
  if (*text != 0) FT_TRY(damaged(c, "more slices than states"));
  c->num_parts++;
out:
  return err;
}

static ft_err read_file_entry(ft_checkpoint *c, int64_t number, const cJSON *item) {
  ft_err err = FT_OK;
  const cJSON *name = ft_json_get(item, "name"), *hash = ft_json_get(item, "metadata_xxh3");
  const cJSON *slices = ft_json_get(item, "slices");
  slice_file *f = &c->files[number];
  const char *digits = cJSON_IsString(hash) ? hash->valuestring : "";
  int64_t block = 0;
  char expected[CHECKPOINT_NAME_BYTES];
  ft_checkpoint_rank_name((int)number, c->world_size, expected);
  FT_CHECK(cJSON_IsString(name) && strcmp(name->valuestring, expected) == 0, FT_ERR_DATA,
           "%s: names file %lld \"%.100s\", \"%s\" was expected", c->manifest, (long long)number,
           cJSON_IsString(name) ? name->valuestring : "", expected);
  if (!cJSON_IsArray(slices) || !ft_json_i64(ft_json_get(item, "bytes"), &f->bytes) ||
      f->bytes < 0 || !take_hash(&digits, &f->metadata_hash) || *digits)
    FT_TRY(damaged(c, "an entry of its files is impossible"));
  FT_TRY(ft_path_join(c->dir, name->valuestring, &f->path));
  for (const cJSON *slice = slices->child; slice; slice = slice->next)
    FT_TRY(read_part(c, number, slice, &block));
out:
  return err;
}

static ft_err read_files(ft_checkpoint *c, const cJSON *json) {
  ft_err err = FT_OK;
  const cJSON *list = ft_json_get(json, "files");
  int64_t count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1, number = 0;
  void *files;
  if (count != c->world_size) FT_TRY(damaged(c, "does not list one file for each rank"));
  FT_TRY(ft_alloc_array(FT_MEM_IO, count, sizeof(slice_file), &files));
  c->files = files;
  for (int64_t i = 0; i < count; i++)
    c->files[i].fd = -1;
  c->num_files = count;
  for (const cJSON *item = list->child; item; item = item->next)
    FT_TRY(read_file_entry(c, number++, item));
out:
  return err;
}

/* ---------------------------------------------------------------- ranges by block */

typedef struct placed_range {
  int64_t block, start, number;
} placed_range;

static int by_place(const void *a, const void *b) {
  const placed_range *x = a, *y = b;
  if (x->block != y->block) return x->block < y->block ? -1 : 1;
  return (x->start > y->start) - (x->start < y->start);
}

/* Sorts the ranges by block and start, and sees that they cover every block exactly. */
static ft_err sort_ranges(ft_checkpoint *c) {
  ft_err err = FT_OK;
  void *memory = NULL, *sorted = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_IO, c->num_ranges, sizeof(placed_range), &memory));
  FT_TRY(ft_alloc_array(FT_MEM_IO, c->num_ranges, sizeof(int64_t), &sorted));
  c->sorted = sorted;
  placed_range *list = memory;
  for (int64_t i = 0; i < c->num_ranges; i++) {
    const saved_range *r = &c->ranges[i];
    list[i] = (placed_range){.block = c->parts[r->part].block, .start = r->start, .number = i};
  }
  if (c->num_ranges > 1) qsort(list, (size_t)c->num_ranges, sizeof *list, by_place);
  int64_t next = 0;
  for (int64_t b = 0; b < c->num_blocks; b++) {
    saved_block *block = &c->blocks[b];
    int64_t end = 0;
    block->ranges = c->sorted + next;
    for (; next < c->num_ranges && list[next].block == b && list[next].start == end; next++) {
      c->sorted[next] = list[next].number;
      end += c->ranges[list[next].number].count;
      block->num_ranges++;
    }
    FT_CHECK(end == block->elements, FT_ERR_DATA,
             "%s: the files do not hold element %lld of block %s exactly once", c->manifest,
             (long long)end, block->name);
  }
  if (next != c->num_ranges) FT_TRY(damaged(c, "has ranges of unknown blocks"));
out:
  ft_free(memory);
  return err;
}

/* Fills the tables from the manifest's tree. Errors: FT_ERR_DATA. */
static ft_err read_tables(ft_checkpoint *c, cJSON *json) {
  ft_err err = FT_OK;
  int64_t world_size, version;
  const cJSON *format = ft_json_get(json, "format");
  if (!cJSON_IsString(format) || strcmp(format->valuestring, FT_CHECKPOINT_FORMAT) != 0)
    FT_TRY(damaged(c, "is not the manifest of a checkpoint"));
  if (!ft_json_i64(ft_json_get(json, "version"), &version)) version = -1;
  FT_CHECK(version == FT_CHECKPOINT_VERSION, FT_ERR_DATA,
           "%s: has version %lld of the format, this program reads version %d", c->manifest,
           (long long)version, FT_CHECKPOINT_VERSION);
  if (!ft_json_i64(ft_json_get(json, "step"), &c->meta.step) ||
      !ft_json_i64(ft_json_get(json, "tokens"), &c->meta.tokens) ||
      !ft_json_i64(ft_json_get(json, "world_size"), &world_size) || world_size < 1 ||
      world_size > INT32_MAX ||
      !ft_json_i64(ft_json_get(json, "chunk_elements"), &c->chunk_elements) ||
      c->chunk_elements < 1 || c->chunk_elements > 1 << 20)
    FT_TRY(damaged(c, "lacks step, tokens, world_size or chunk_elements"));
  const cJSON *updates = ft_json_get(json, "updates"); /* earlier ones lack it */
  c->meta.updates = c->meta.step;
  if (updates && !ft_json_i64(updates, &c->meta.updates))
    FT_TRY(damaged(c, "has updates that are no number"));
  c->world_size = (int)world_size;
  FT_TRY(read_states(c, json));
  FT_TRY(read_blocks(c, json));
  FT_TRY(read_files(c, json));
  FT_TRY(sort_ranges(c));
  c->config = cJSON_DetachItemFromObjectCaseSensitive(json, "config");
  c->meta.config = c->config;
  c->meta.extra = cJSON_DetachItemFromObjectCaseSensitive(json, "extra");
out:
  return err;
}

/* ---------------------------------------------------------------- opening */

/* Compares the text with the hash at its end; *length becomes the bytes before that. */
static ft_err check_hash(const ft_checkpoint *c, const char *text, size_t length) {
  char tail[FT_CHECKPOINT_TAIL_BYTES + 1];
  size_t tail_bytes = FT_CHECKPOINT_TAIL_BYTES;
  if (length <= tail_bytes) return damaged(c, "is cut off");
  uint64_t hash = ft_hash64(text, length - tail_bytes, 0);
  snprintf(tail, sizeof tail, FT_CHECKPOINT_TAIL, (unsigned long long)hash);
  if (memcmp(text + length - tail_bytes, tail, tail_bytes) != 0)
    return damaged(
        c, "its checksum does not fit: the file is damaged; use an earlier checkpoint (--step N)");
  return FT_OK;
}

static ft_err read_manifest(const ft_checkpoint *c, char **text, size_t *length) {
  if (!ft_path_exists(c->manifest))
    return ft_fail(FT_ERR_NOINPUT, "%s: %s", c->dir,
                   ft_path_exists(c->dir) ? "has no manifest.json, so it was never finished"
                                          : "no such checkpoint");
  return ft_read_file(c->manifest, MAX_MANIFEST_BYTES, text, length);
}

/* Fills the tables and makes room for reading. */
static ft_err take_manifest(ft_checkpoint *c, const char *text, size_t length) {
  ft_err err = FT_OK;
  cJSON *json = NULL;
  void *scratch;
  size_t entry = 0;
  FT_TRY(check_hash(c, text, length));
  FT_TRY(ft_json_parse(text, length, c->manifest, &json));
  FT_TRY(read_tables(c, json));
  FT_TRY(ft_alloc_array(FT_MEM_IO, c->num_states, sizeof(hash_cache), (void **)&c->caches));
  for (int s = 0; s < c->num_states; s++)
    entry = FT_MAX(entry, (size_t)entry_bytes(&c->states[s], c->chunk_elements));
  FT_TRY(ft_alloc(FT_MEM_IO, entry, &scratch));
  c->scratch = scratch;
out:
  cJSON_Delete(json);
  return err;
}

static ft_err check_sizes(const ft_checkpoint *c) {
  ft_err err = FT_OK;
  struct stat info;
  for (int64_t i = 0; i < c->num_files; i++) {
    const slice_file *f = &c->files[i];
    FT_CHECK(lstat(f->path, &info) == 0, FT_ERR_DATA, "%s: is missing from the checkpoint",
             f->path);
    FT_CHECK(S_ISREG(info.st_mode), FT_ERR_DATA,
             "%s: is %s; a checkpoint's files are regular files of its own directory", f->path,
             S_ISLNK(info.st_mode) ? "a link" : "no file");
    FT_CHECK(info.st_size == f->bytes, FT_ERR_DATA,
             "%s: has %lld bytes, %lld were written: the file is %s; use an earlier checkpoint "
             "(--step N)",
             f->path, (long long)info.st_size, (long long)f->bytes,
             info.st_size < f->bytes ? "cut off" : "damaged");
  }
out:
  return err;
}

/* Nothing but its names. */
static ft_err new_checkpoint(const char *dir, ft_checkpoint **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_checkpoint), &memory));
  ft_checkpoint *c = *out = memory;
  FT_TRY(ft_strdup(dir, &c->dir));
  FT_TRY(ft_path_join(c->dir, FT_CHECKPOINT_MANIFEST, &c->manifest));
out:
  return err;
}

ft_err ft_checkpoint_open_dir(const char *dir, ft_checkpoint **out) {
  ft_err err = FT_OK;
  char *text = NULL;
  size_t length;
  FT_TRY(new_checkpoint(dir, out));
  FT_TRY(read_manifest(*out, &text, &length));
  FT_TRY(take_manifest(*out, text, length));
  FT_TRY(check_sizes(*out));
out:
  ft_free(text);
  if (err != FT_OK) {
    ft_checkpoint_close(*out);
    *out = NULL;
  }
  return err;
}

ft_err ft_checkpoint_open(const char *run_dir, int64_t step, ft_checkpoint **out) {
  ft_err err = FT_OK;
  char *dir = NULL;
  *out = NULL;
  FT_TRY(ft_checkpoint_path(run_dir, step, &dir));
  FT_TRY(ft_checkpoint_open_dir(dir, out));
  if ((*out)->meta.step != step) FT_TRY(damaged(*out, "is of another step"));
out:
  if (err != FT_OK) {
    ft_checkpoint_close(*out);
    *out = NULL;
  }
  ft_free(dir);
  return err;
}

/* The manifest's text on every rank, read by rank 0. */
static ft_err share_manifest(ft_comm *comm, const ft_checkpoint *c, char **text, size_t *length) {
  ft_err err = FT_OK;
  void *memory = NULL;
  int64_t bytes = 0;
  bool reader = ft_comm_rank(comm) == 0;
  FT_TRY(ft_comm_agree(comm, reader ? read_manifest(c, text, length) : FT_OK));
  if (reader) bytes = (int64_t)*length;
  FT_TRY(ft_comm_broadcast(comm, 0, &bytes, sizeof bytes));
  *length = (size_t)bytes;
  if (!reader) {
    err = ft_alloc(FT_MEM_IO, *length + 1, &memory);
    *text = memory;
  }
  FT_TRY(ft_comm_agree(comm, err));
  FT_TRY(ft_comm_broadcast(comm, 0, *text, *length));
out:
  return err;
}

ft_err ft_checkpoint_open_together(ft_comm *comm, const char *run_dir, int64_t step,
                                   ft_checkpoint **out) {
  ft_err err = FT_OK;
  char *dir = NULL, *text = NULL;
  size_t length = 0;
  *out = NULL;
  err = ft_checkpoint_path(run_dir, step, &dir);
  if (err == FT_OK) err = new_checkpoint(dir, out);
  FT_TRY(ft_comm_agree(comm, err));
  FT_TRY(share_manifest(comm, *out, &text, &length));
  err = take_manifest(*out, text, length);
  if (err == FT_OK && (*out)->meta.step != step) err = damaged(*out, "is of another step");
  if (err == FT_OK && ft_comm_rank(comm) == 0) err = check_sizes(*out);
  FT_TRY(ft_comm_agree(comm, err));
out:
  ft_free(text);
  ft_free(dir);
  if (err != FT_OK) {
    ft_checkpoint_close(*out);
    *out = NULL;
  }
  return err;
}

void ft_checkpoint_close(ft_checkpoint *c) {
  if (!c) return;
  for (int s = 0; c->states && s < c->num_states; s++) {
    ft_free(c->states[s].name);
    if (c->caches) ft_free(c->caches[s].hashes);
  }
  for (int64_t b = 0; c->blocks && b < c->num_blocks; b++)
    ft_free(c->blocks[b].name);
  for (int64_t i = 0; i < c->num_files; i++) {
    if (c->files[i].fd >= 0) close(c->files[i].fd);
    ft_free(c->files[i].path);
  }
  cJSON_Delete(c->config);
  cJSON_Delete(c->meta.extra);
  void *const owned[] = {c->states, c->blocks, c->files,   c->parts,    c->slices, c->ranges,
                         c->sorted, c->caches, c->scratch, c->manifest, c->dir,    c};
  for (size_t i = 0; i < FT_ARRAY_SIZE(owned); i++)
    ft_free(owned[i]);
}

const ft_checkpoint_meta *ft_checkpoint_meta_of(const ft_checkpoint *checkpoint) {
  return &checkpoint->meta;
}

int ft_checkpoint_world_size(const ft_checkpoint *checkpoint) {
  return checkpoint->world_size;
}

int ft_checkpoint_num_states(const ft_checkpoint *checkpoint) {
  return checkpoint->num_states;
}

const char *ft_checkpoint_state(const ft_checkpoint *c, int index, int64_t *bytes) {
  FT_ASSERT(index >= 0 && index < c->num_states);
  *bytes = 0;
  for (int64_t p = 0; p < c->num_parts; p++)
    *bytes += entry_bytes(&c->states[index], c->parts[p].elements);
  return c->states[index].name;
}
