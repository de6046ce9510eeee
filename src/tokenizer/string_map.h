/* Inside tokenizer: a hash table from strings to numbers, filled once and then only read. */
#ifndef FT_TOKENIZER_STRING_MAP_H
#define FT_TOKENIZER_STRING_MAP_H

#include "ft/base.h"

typedef struct ft_string_entry {
  const char *text; /* [bytes] not owned */
  uint32_t bytes, value;
} ft_string_entry;

/* Starts zeroed. */
typedef struct ft_string_map {
  ft_string_entry *entries; /* [count] in the order added */
  int64_t count, capacity;
  struct ft_string_slot {
    uint32_t entry; /* index + 1; 0: free */
    uint32_t tag;   /* part of the hash */
  } * slots;        /* [mask + 1] */
  uint64_t mask;
} ft_string_map;

/* Room for `capacity` strings. Errors: FT_ERR_MEMORY. */
ft_err ft_string_map_init(ft_string_map *map, int64_t capacity);
void ft_string_map_fini(ft_string_map *map);
/* Adds a string that is not in the map. */
void ft_string_map_add(ft_string_map *map, const char *text, size_t bytes, uint32_t value);
/* A string's hash, having asked for the memory that looking it up begins with. */
uint64_t ft_string_map_look_ahead(const ft_string_map *map, const char *text, size_t bytes);
/* As ft_string_map_get, with the string's hash. */
int64_t ft_string_map_get_hashed(const ft_string_map *map, const char *text, size_t bytes,
                                 uint64_t hash);
/* The string's value, or -1. */
int64_t ft_string_map_get(const ft_string_map *map, const char *text, size_t bytes);

#endif
