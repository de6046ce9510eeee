/* A hash table from strings to numbers: open addressing, at most half full. */
#include "string_map.h"

#include <string.h>

ft_err ft_string_map_init(ft_string_map *map, int64_t capacity) {
  ft_err err = FT_OK;
  void *entries = NULL, *slots = NULL;
  uint64_t num_slots = 16;
  while (num_slots < 2 * (uint64_t)capacity)
    num_slots *= 2;
  FT_CHECK(capacity < INT32_MAX, FT_ERR_DATA, "a table of %lld strings", (long long)capacity);
  FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, capacity, sizeof *map->entries, &entries));
  FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, (int64_t)num_slots, sizeof *map->slots, &slots));
  *map = (ft_string_map){
      .entries = entries, .capacity = capacity, .slots = slots, .mask = num_slots - 1};
  entries = slots = NULL;
out:
  ft_free(entries);
  ft_free(slots);
  return err;
}

void ft_string_map_fini(ft_string_map *map) {
  ft_free(map->entries);
  ft_free(map->slots);
  *map = (ft_string_map){0};
}

void ft_string_map_add(ft_string_map *map, const char *text, size_t bytes, uint32_t value) {
  FT_ASSERT(map->count < map->capacity && bytes <= UINT32_MAX);
  uint64_t hash = ft_hash64(text, bytes, 0), i = hash & map->mask;
  while (map->slots[i].entry)
    i = (i + 1) & map->mask;
  map->entries[map->count++] =
      (ft_string_entry){.text = text, .bytes = (uint32_t)bytes, .value = value};
  map->slots[i].entry = (uint32_t)map->count;
  map->slots[i].tag = (uint32_t)(hash >> 32);
}

uint64_t ft_string_map_look_ahead(const ft_string_map *map, const char *text, size_t bytes) {
  uint64_t hash = ft_hash64(text, bytes, 0);
  if (map->count > 0) __builtin_prefetch(&map->slots[hash & map->mask]);
  return hash;
}

int64_t ft_string_map_get(const ft_string_map *map, const char *text, size_t bytes) {
  return map->count > 0 ? ft_string_map_get_hashed(map, text, bytes, ft_hash64(text, bytes, 0))
                        : -1;
}

int64_t ft_string_map_get_hashed(const ft_string_map *map, const char *text, size_t bytes,
                                 uint64_t hash) {
  if (map->count == 0) return -1;
  for (uint64_t i = hash & map->mask; map->slots[i].entry; i = (i + 1) & map->mask) {
    if (map->slots[i].tag != (uint32_t)(hash >> 32)) continue;
    const ft_string_entry *e = &map->entries[map->slots[i].entry - 1];
    if (e->bytes == bytes && memcmp(e->text, text, bytes) == 0) return e->value;
  }
  return -1;
}
