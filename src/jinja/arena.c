/* Memory of a template or of a rendering: taken in pieces, given back at once. */
#include "value.h"

enum { ALIGNMENT = 16, FIRST_BLOCK_BYTES = 32 << 10, MAX_BLOCK_BYTES = 4 << 20 };

static ft_err add_block(ft_jinja_arena *a, size_t at_least) {
  size_t bytes = a->blocks ? FT_MIN(2 * a->blocks->capacity, (size_t)MAX_BLOCK_BYTES)
                           : (size_t)FIRST_BLOCK_BYTES;
  bytes = FT_MAX(bytes, at_least);
  void *memory;
  if (a->limit_bytes && a->total_bytes + bytes > a->limit_bytes)
    return ft_fail(FT_ERR_DATA,
                   "the template needs more than the %zu MiB that a rendering may take: it builds "
                   "longer and longer texts or lists",
                   a->limit_bytes >> 20);
  ft_err err = ft_alloc(FT_MEM_PREP, sizeof(struct ft_jinja_block) + bytes, &memory);
  if (err != FT_OK) return err;
  struct ft_jinja_block *block = memory;
  block->capacity = bytes;
  block->next = a->blocks;
  a->blocks = block;
  a->total_bytes += bytes;
  return FT_OK;
}

void *ft_jinja_alloc(ft_jinja_arena *a, size_t bytes) {
  bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (a->failed != FT_OK) return NULL;
  if (!a->blocks || bytes > a->blocks->capacity - a->blocks->used) {
    a->failed = add_block(a, bytes);
    if (a->failed != FT_OK) return NULL;
  }
  char *p = a->blocks->data + a->blocks->used;
  a->blocks->used += bytes;
  return p;
}

void *ft_jinja_grow(ft_jinja_arena *a, void *items, int64_t count, size_t size, int64_t first,
                    int64_t *capacity) {
  if (count < *capacity) return items;
  int64_t wider = 2 * *capacity + first;
  void *grown = ft_jinja_alloc(a, (size_t)wider * size);
  if (!grown) return NULL;
  if (count > 0) memcpy(grown, items, (size_t)count * size);
  *capacity = wider;
  return grown;
}

void ft_jinja_arena_reset(ft_jinja_arena *a) {
  struct ft_jinja_block *keep = a->blocks;
  if (!keep) return;
  for (struct ft_jinja_block *block = keep->next, *next; block; block = next) {
    next = block->next;
    a->total_bytes -= block->capacity;
    ft_free(block);
  }
  keep->next = NULL;
  memset(keep->data, 0, keep->used); /* what is given out is zero */
  keep->used = 0;
  a->failed = FT_OK;
}

void ft_jinja_arena_fini(ft_jinja_arena *a) {
  ft_jinja_arena_reset(a);
  ft_free(a->blocks);
  *a = (ft_jinja_arena){0};
}
