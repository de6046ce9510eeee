/* Inside tokenizer: growing bytes. */
#ifndef FT_TOKENIZER_BUFFER_H
#define FT_TOKENIZER_BUFFER_H

#include <string.h>

#include "ft/base.h"

/* Starts zeroed. */
typedef struct ft_buffer {
  char *data; /* [capacity] */
  size_t bytes, capacity;
} ft_buffer;

static inline void ft_buffer_fini(ft_buffer *b) {
  ft_free(b->data);
  *b = (ft_buffer){0};
}

/* Makes room for `more` bytes. Errors: FT_ERR_MEMORY. */
static inline ft_err ft_buffer_reserve(ft_buffer *b, size_t more) {
  if (more <= b->capacity - b->bytes) return FT_OK;
  return ft_grow_bytes(FT_MEM_TOKENIZER, b->bytes + more, &b->capacity, (void **)&b->data);
}

static inline ft_err ft_buffer_put(ft_buffer *b, const char *data, size_t bytes) {
  ft_err err = ft_buffer_reserve(b, bytes);
  if (err != FT_OK) return err;
  if (bytes > 0) memcpy(b->data + b->bytes, data, bytes);
  b->bytes += bytes;
  return FT_OK;
}

#endif
