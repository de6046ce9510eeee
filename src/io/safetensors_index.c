/* model.safetensors.index.json: which files a sharded model has, and which tensor lies where. As in
 * transformers, a model has what its files have; the map decides between several of one name. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"

static int by_string(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_tensor(const void *a, const void *b) {
  return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static ft_err list_files(const char *path, const cJSON *map, ft_safetensors_index *index) {
  ft_err err = FT_OK;
  int64_t count = 0, size = cJSON_GetArraySize(map);
  FT_TRY(ft_alloc_array(FT_MEM_IO, size, sizeof(char *), (void **)&index->files));
  FT_TRY(ft_alloc_array(FT_MEM_IO, size, sizeof(cJSON *), (void **)&index->items));
  for (const cJSON *item = map->child; item; item = item->next) {
    const char *name = cJSON_IsString(item) ? item->valuestring : "";
    FT_CHECK(name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0,
             FT_ERR_DATA,
             "%s: weight_map of tensor %s is \"%.100s\", the plain name of a file in the same "
             "directory was expected",
             path, item->string, name);
    index->items[count] = item;
    index->files[count++] = name;
  }
  FT_CHECK(count > 0, FT_ERR_DATA, "%s: weight_map is empty", path);
  index->num_items = count;
  qsort(index->items, (size_t)count, sizeof *index->items, by_tensor);
  qsort(index->files, (size_t)count, sizeof *index->files, by_string);
  for (int64_t i = 0; i < count; i++)
    if (i == 0 || strcmp(index->files[i], index->files[i - 1]) != 0)
      index->files[index->num_files++] = index->files[i];
out:
  return err;
}

ft_err ft_safetensors_index_read(const char *path, ft_safetensors_index *out) {
  ft_err err = FT_OK;
  *out = (ft_safetensors_index){0};
  FT_TRY(ft_json_read(path, &out->json));
  const cJSON *map = ft_json_get(out->json, "weight_map");
  FT_CHECK(cJSON_IsObject(map), FT_ERR_DATA, "%s: has no object \"weight_map\"", path);
  FT_TRY(list_files(path, map, out));
out:
  if (err != FT_OK) ft_safetensors_index_fini(out);
  return err;
}

void ft_safetensors_index_fini(ft_safetensors_index *index) {
  ft_free(index->files);
  ft_free(index->items);
  cJSON_Delete(index->json);
  *index = (ft_safetensors_index){0};
}

/* ---------------------------------------------------------------- where it differs */

enum { MAX_NAMED = 3, REMARK_BYTES = 360 };

/* Tensors of which the same is to be said, the first of them by name. */
typedef struct remark {
  int64_t count;
  size_t used;
  char names[REMARK_BYTES];
} remark;

static void __attribute__((format(printf, 2, 3))) note(remark *r, const char *format, ...) {
  va_list args;
  if (r->count++ >= MAX_NAMED || r->used >= sizeof r->names) return;
  va_start(args, format);
  if (r->used > 0) r->used += (size_t)snprintf(r->names + r->used, sizeof r->names - r->used, ", ");
  if (r->used < sizeof r->names)
    r->used += (size_t)vsnprintf(r->names + r->used, sizeof r->names - r->used, format, args);
  va_end(args);
}

static void add_remark(ft_safetensors *st, const remark *r, const char *what) {
  size_t used = strlen(st->remarks);
  char more[32] = "";
  if (r->count == 0) return;
  if (r->count > MAX_NAMED)
    snprintf(more, sizeof more, " and %lld more", (long long)r->count - MAX_NAMED);
  snprintf(st->remarks + used, sizeof st->remarks - used, "%s%s: %s%s", used > 0 ? "; " : "", what,
           r->names, more);
}

/* The name of the file that an entry lies in. */
static const char *file_of(const ft_safetensors_index *index, const ft_safetensors_entry *e) {
  return index->files[e->file];
}

/* Which of the entries first … end-1, all of one name, is meant: the one in the file that the map
 * names, or else the last. */
static int64_t choose(const ft_safetensors *st, const ft_safetensors_index *index, int64_t first,
                      int64_t end, remark *misplaced) {
  char *name = st->entries[first].tensor.name;
  const cJSON key = {.string = name}, *wanted = &key;
  const cJSON **found =
      bsearch(&wanted, index->items, (size_t)index->num_items, sizeof *index->items, by_tensor);
  const cJSON *named = found ? *found : NULL;
  for (int64_t i = first; named && i < end; i++)
    if (strcmp(file_of(index, &st->entries[i]), named->valuestring) == 0) return i;
  if (named)
    note(misplaced, "%.80s in %.60s instead of %.60s", name, file_of(index, &st->entries[end - 1]),
         named->valuestring);
  return end - 1;
}

static void note_absent(ft_safetensors *st, const ft_safetensors_index *index, remark *absent) {
  for (int64_t i = 0; i < index->num_items; i++)
    if (!ft_safetensors_find(st, index->items[i]->string))
      note(absent, "%.100s", index->items[i]->string);
}

void ft_safetensors_index_follow(ft_safetensors *st, const ft_safetensors_index *index) {
  remark misplaced = {0}, repeated = {0}, absent = {0};
  int64_t kept = 0;
  for (int64_t first = 0, end; first < st->count; first = end) {
    for (end = first + 1; end < st->count && strcmp(st->entries[end].tensor.name,
                                                    st->entries[first].tensor.name) == 0;)
      end++;
    int64_t chosen = choose(st, index, first, end, &misplaced);
    if (end - first > 1)
      note(&repeated, "%.100s, read from %.60s", st->entries[chosen].tensor.name,
           file_of(index, &st->entries[chosen]));
    for (int64_t i = first; i < end; i++)
      if (i != chosen) ft_free(st->entries[i].tensor.name);
    st->entries[kept++] = st->entries[chosen];
  }
  st->count = kept;
  note_absent(st, index, &absent);
  add_remark(st, &absent, "the index names tensors that no file has");
  add_remark(st, &misplaced, "tensors lie in other files than the index says");
  add_remark(st, &repeated, "tensors lie in several files");
}
