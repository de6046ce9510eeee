/* Reading a model's tokens. */
#include "vocabulary.h"

#include <string.h>

/* Ids may leave holes, but not claim memory out of proportion to the file. */
enum { MAX_HOLES = 1 << 20 };

/* Room for `count` contents of `bytes` together, zeros included, and ids below num_ids. */
static ft_err reserve(ft_vocabulary *v, int64_t count, size_t bytes) {
  ft_err err = FT_OK;
  void *memory;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, bytes, &memory));
  v->arena = memory;
  FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, v->num_ids, sizeof *v->contents, &memory));
  v->contents = memory;
  FT_TRY(ft_string_map_init(&v->map, count));
out:
  return err;
}

/* Puts a token at *at in the arena. */
static void add(ft_vocabulary *v, char **at, const char *content, int64_t id) {
  size_t length = strlen(content);
  memcpy(*at, content, length + 1);
  v->contents[id] = *at;
  ft_string_map_add(&v->map, *at, length, (uint32_t)id);
  *at += length + 1;
}

ft_err ft_vocabulary_load(const cJSON *object, ft_vocabulary *v) {
  ft_err err = FT_OK;
  int64_t count = 0, largest = -1, id;
  size_t bytes = 0;
  for (const cJSON *item = object->child; item; item = item->next, count++)
    bytes += strlen(item->string) + 1;
  int64_t limit = FT_MIN(8 * count + MAX_HOLES, FT_MAX_IDS);
  for (const cJSON *item = object->child; item; item = item->next) {
    FT_CHECK(ft_json_i64(item, &id) && id >= 0 && id < limit, FT_ERR_DATA,
             "\"vocab\": the id of \"%s\" is not a whole number from 0 to %lld (8 × its %lld "
             "entries + %d, and at most %lld)",
             item->string, (long long)(limit - 1), (long long)count, MAX_HOLES,
             (long long)FT_MAX_IDS - 1);
    largest = FT_MAX(largest, id);
  }
  v->num_ids = largest + 1;
  FT_TRY(reserve(v, count, bytes));
  char *at = v->arena;
  for (const cJSON *item = object->child; item; item = item->next) {
    ft_json_i64(item, &id);
    FT_CHECK(!v->contents[id], FT_ERR_DATA, "\"vocab\": \"%s\" and \"%s\" have the same id %lld",
             v->contents[id], item->string, (long long)id);
    add(v, &at, item->string, id);
  }
out:
  return err;
}

void ft_vocabulary_fini(ft_vocabulary *v) {
  ft_string_map_fini(&v->map);
  ft_free(v->arena);
  ft_free(v->contents);
  *v = (ft_vocabulary){0};
}
