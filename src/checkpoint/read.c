/* Reading slices from whatever files hold them; every chunk is compared with its hash. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

enum { MAX_OPEN_FILES = 256, BATCH_BYTES = 4 << 20 };

static ft_err open_file(ft_checkpoint *c, slice_file *f) {
  if (f->fd >= 0) return FT_OK;
  if (c->num_open >= MAX_OPEN_FILES) { /* rare: all are closed, those in use open again */
    for (int64_t i = 0; i < c->num_files; i++) {
      if (c->files[i].fd >= 0) close(c->files[i].fd);
      c->files[i].fd = -1;
    }
    c->num_open = 0;
  }
  f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (f->fd < 0)
    return ft_fail(errno == ENOENT ? FT_ERR_DATA : FT_ERR_IO, "%s: cannot open: %s", f->path,
                   strerror(errno));
  c->num_open++;
  return FT_OK;
}

static const saved_slice *slice_of(const ft_checkpoint *c, int64_t part_number, int state) {
  return &c->slices[part_number * c->num_states + state];
}

static ft_err wrong_checksum(const ft_checkpoint *c, int64_t part_number, int state,
                             const char *what) {
  const part *p = &c->parts[part_number];
  return ft_fail(FT_ERR_DATA,
                 "%s: dataset /%s/%s: the checksum of %s does not fit: the file is damaged; use an "
                 "earlier checkpoint",
                 c->files[p->file].path, c->blocks[p->block].name, c->states[state].name, what);
}

/* Brings the hashes of a dataset to its state's cache and compares them with its checksum. */
static ft_err load_hashes(ft_checkpoint *c, int64_t part_number, int state) {
  ft_err err = FT_OK;
  void *hashes = NULL;
  const part *p = &c->parts[part_number];
  slice_file *f = &c->files[p->file];
  const saved_slice *s = slice_of(c, part_number, state);
  hash_cache *cache = &c->caches[state];
  if (cache->hashes && cache->part == part_number) return FT_OK;
  ft_free(cache->hashes);
  cache->hashes = NULL;
  size_t bytes = (size_t)p->num_hashes * sizeof(uint64_t);
  FT_TRY(ft_alloc(FT_MEM_IO, bytes, &hashes));
  FT_TRY(open_file(c, f));
  FT_TRY(ft_pread_all(f->fd, f->path, hashes, bytes, s->hashes_offset));
  if (ft_hash64(hashes, bytes, 0) != s->checksum)
    FT_TRY(wrong_checksum(c, part_number, state, "its hashes"));
  *cache = (hash_cache){.hashes = hashes, .part = part_number};
  hashes = NULL;
out:
  ft_free(hashes);
  return err;
}

/* Reads elements of a range, `from` a multiple of the chunk, `count` up to a chunk's end or the
 * range's, and compares every chunk. */
static ft_err read_chunks(ft_checkpoint *c, const saved_range *r, int state, int64_t from,
                          int64_t count, char *out) {
  ft_err err = FT_OK;
  const saved_state *info = &c->states[state];
  slice_file *f = &c->files[c->parts[r->part].file];
  int64_t offset = slice_of(c, r->part, state)->offset + entry_bytes(info, r->position + from);
  FT_TRY(load_hashes(c, r->part, state));
  FT_TRY(open_file(c, f));
  FT_TRY(ft_pread_all(f->fd, f->path, out, (size_t)entry_bytes(info, count), offset));
  const uint64_t *hashes = c->caches[state].hashes + r->hash + from / c->chunk_elements;
  for (int64_t done = 0; done < count; done += c->chunk_elements) {
    int64_t bytes = entry_bytes(info, FT_MIN(c->chunk_elements, count - done));
    if (ft_hash64(out + entry_bytes(info, done), (size_t)bytes, 0) == *hashes++) continue;
    char what[100];
    snprintf(what, sizeof what, "elements %lld to %lld", (long long)(r->start + from + done),
             (long long)(r->start + FT_MIN(from + done + c->chunk_elements, r->count) - 1));
    FT_TRY(wrong_checksum(c, r->part, state, what));
  }
out:
  return err;
}

/* Elements from … end-1, counted in the range: whole chunks go straight to `out`, parts of one by
 * way of the scratch buffer. */
static ft_err read_range(ft_checkpoint *c, const saved_range *r, int state, int64_t from,
                         int64_t end, char *out) {
  ft_err err = FT_OK;
  const saved_state *info = &c->states[state];
  int64_t chunk = c->chunk_elements;
  int64_t batch = FT_MAX(1, BATCH_BYTES / FT_MAX(1, entry_bytes(info, chunk))) * chunk;
  while (from < end) {
    int64_t first = from / chunk * chunk;
    int64_t chunk_end = FT_MIN(first + chunk, r->count);
    int64_t count;
    if (first == from && chunk_end <= end) {
      int64_t whole = end == r->count ? end - from : (end - from) / chunk * chunk;
      count = FT_MIN(whole, batch);
      FT_TRY(read_chunks(c, r, state, from, count, out));
    } else {
      count = FT_MIN(end, chunk_end) - from;
      FT_TRY(read_chunks(c, r, state, first, chunk_end - first, c->scratch));
      memcpy(out, (char *)c->scratch + entry_bytes(info, from - first),
             (size_t)entry_bytes(info, count));
    }
    from += count;
    out += entry_bytes(info, count);
  }
out:
  return err;
}

/* The range of the block that holds an element. */
static const saved_range *find_range(const ft_checkpoint *c, const saved_block *b,
                                     int64_t element) {
  int64_t low = 0, high = b->num_ranges;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (c->ranges[b->ranges[middle]].start <= element)
      low = middle;
    else
      high = middle;
  }
  return &c->ranges[b->ranges[low]];
}

/* ---------------------------------------------------------------- by name */

static ft_err find_block(const ft_checkpoint *c, const char *name, const saved_block **out) {
  for (int64_t b = 0; b < c->num_blocks; b++) {
    *out = &c->blocks[b];
    if (strcmp((*out)->name, name) == 0) return FT_OK;
  }
  return ft_fail(FT_ERR_DATA, "%s: has no block %s: it is of another model", c->dir, name);
}

static ft_err find_state(const ft_checkpoint *c, const char *name, int64_t group_elements,
                         size_t group_bytes, int *out) {
  char known[200] = "";
  size_t used = 0;
  for (int s = 0; s < c->num_states; s++) {
    const saved_state *info = &c->states[s];
    if (used < sizeof known)
      used += (size_t)snprintf(known + used, sizeof known - used, " %s", info->name);
    if (strcmp(info->name, name) != 0) continue;
    *out = s;
    if (info->group_elements == group_elements && info->group_bytes == group_bytes) return FT_OK;
    return ft_fail(FT_ERR_DATA,
                   "%s: its state %s has %zu bytes for %lld elements, %zu bytes for %lld were "
                   "expected",
                   c->dir, name, info->group_bytes, (long long)info->group_elements, group_bytes,
                   (long long)group_elements);
  }
  return ft_fail(FT_ERR_DATA, "%s: has no state %s (it has:%s)", c->dir, name, known);
}

ft_err ft_checkpoint_read(ft_checkpoint *c, const char *block, const char *state, int64_t start,
                          int64_t count, int64_t group_elements, size_t group_bytes, void *out) {
  ft_err err = FT_OK;
  const saved_block *b = NULL;
  int s = 0;
  char *to = out;
  FT_TRY(find_block(c, block, &b));
  FT_TRY(find_state(c, state, group_elements, group_bytes, &s));
  FT_CHECK(start >= 0 && count >= 0 && start <= b->elements && count <= b->elements - start &&
               start % group_elements == 0 && count % group_elements == 0,
           FT_ERR_INTERNAL, "%s: elements %lld … +%lld of block %s, which has %lld", c->dir,
           (long long)start, (long long)count, block, (long long)b->elements);
  while (count > 0) {
    const saved_range *r = find_range(c, b, start);
    int64_t from = start - r->start, now = FT_MIN(count, r->count - from);
    FT_TRY(read_range(c, r, s, from, from + now, to));
    to += entry_bytes(&c->states[s], now);
    start += now;
    count -= now;
  }
out:
  return err;
}

/* ---------------------------------------------------------------- verification */

/* What no dataset holds: HDF5's metadata and the gaps. */
static ft_err verify_metadata(const ft_checkpoint *c, int64_t file, int64_t first_part,
                              int64_t end_part) {
  ft_err err = FT_OK;
  void *memory = NULL;
  uint64_t hash;
  const slice_file *f = &c->files[file];
  int64_t count = 0;
  FT_TRY(ft_alloc_array(FT_MEM_IO, (end_part - first_part) * c->num_states,
                        sizeof(ft_slice_dataset), &memory));
  ft_slice_dataset *datasets = memory;
  for (int64_t p = first_part; p < end_part; p++)
    for (int s = 0; s < c->num_states; s++)
      datasets[count++] =
          (ft_slice_dataset){.bytes = (size_t)entry_bytes(&c->states[s], c->parts[p].elements),
                             .num_hashes = c->parts[p].num_hashes,
                             .file_offset = slice_of(c, p, s)->offset,
                             .hashes_offset = slice_of(c, p, s)->hashes_offset};
  FT_TRY(ft_slices_metadata_hash(f->path, datasets, count, &hash));
  FT_CHECK(hash == f->metadata_hash, FT_ERR_DATA,
           "%s: the checksum of its metadata does not fit: the file is damaged; use an earlier "
           "checkpoint",
           f->path);
out:
  ft_free(memory);
  return err;
}

static ft_err verify_part(ft_checkpoint *c, int64_t number, void *buffer, int64_t batch) {
  ft_err err = FT_OK;
  const part *p = &c->parts[number];
  for (int s = 0; s < c->num_states; s++)
    for (int64_t i = 0; i < p->num_ranges; i++) {
      const saved_range *r = &c->ranges[p->first_range + i];
      for (int64_t at = 0; at < r->count; at += batch)
        FT_TRY(read_chunks(c, r, s, at, FT_MIN(batch, r->count - at), buffer));
    }
out:
  return err;
}

ft_err ft_checkpoint_verify(ft_checkpoint *c) {
  ft_err err = FT_OK;
  void *buffer = NULL;
  int64_t most = 1, next = 0;
  for (int s = 0; s < c->num_states; s++)
    most = FT_MAX(most, entry_bytes(&c->states[s], c->chunk_elements));
  int64_t chunks = FT_MAX(1, BATCH_BYTES / most);
  FT_TRY(ft_alloc(FT_MEM_IO, (size_t)(chunks * most), &buffer));
  for (int64_t file = 0; file < c->num_files; file++) { /* parts are in the order of files */
    int64_t first = next;
    while (next < c->num_parts && c->parts[next].file == file)
      next++;
    FT_TRY(verify_metadata(c, file, first, next));
    for (int64_t p = first; p < next; p++)
      FT_TRY(verify_part(c, p, buffer, chunks * c->chunk_elements));
  }
out:
  ft_free(buffer);
  return err;
}
