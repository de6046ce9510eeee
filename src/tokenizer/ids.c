/* A growing list of ids, each with a mark in a mask. */
#include <string.h>

#include "internal.h"

ft_err ft_ids_reserve(ft_ids *ids, int64_t more) {
  const ft_array arrays[] = {{(void **)&ids->ids, sizeof *ids->ids},
                             {(void **)&ids->mask, sizeof *ids->mask}};
  return ft_grow_all(FT_MEM_TOKENIZER, ids->count + more, &ids->capacity, arrays,
                     FT_ARRAY_SIZE(arrays));
}

ft_err ft_ids_append(ft_ids *ids, const uint32_t *values, int64_t count, uint8_t mask) {
  if (count <= 0) return FT_OK;
  ft_err err = ft_ids_reserve(ids, count);
  if (err != FT_OK) return err;
  memcpy(ids->ids + ids->count, values, (size_t)count * sizeof *values);
  memset(ids->mask + ids->count, mask, (size_t)count);
  ids->count += count;
  return FT_OK;
}

void ft_ids_fini(ft_ids *ids) {
  ft_free(ids->ids);
  ft_free(ids->mask);
  *ids = (ft_ids){0};
}
