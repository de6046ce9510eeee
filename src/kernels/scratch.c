/* Scratch memory: it grows to what the largest kernel asked for and is kept. One thread at a time
 * (the one that starts the team) may use these functions; ft_scratch is for all. */
#include <stdlib.h>

#include "internal.h"

enum { MAX_THREADS = 1024 };

typedef struct buffer {
  void *memory;
  size_t bytes;
} buffer;

static buffer of_thread[MAX_THREADS], shared, documents;

/* The old content is of no use: it is given back first. */
static ft_err grow(buffer *b, size_t bytes) {
  if (b->memory && b->bytes >= bytes) return FT_OK;
  ft_free(b->memory);
  *b = (buffer){0};
  ft_err err = ft_alloc(FT_MEM_WORKSPACE, bytes, &b->memory);
  if (err == FT_OK) b->bytes = bytes;
  return err;
}

ft_err ft_scratch_reserve(size_t bytes) {
  int threads = omp_get_max_threads();
  if (threads > MAX_THREADS)
    return ft_fail(FT_ERR_CONFIG, "%d compute threads were asked for, a rank may have at most %d",
                   threads, (int)MAX_THREADS);
  for (int t = 0; t < threads; t++) {
    ft_err err = grow(&of_thread[t], bytes);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

void *ft_scratch(void) {
  void *memory = of_thread[omp_get_thread_num()].memory;
  FT_ASSERT(memory != NULL);
  return memory;
}

ft_err ft_scratch_shared(size_t bytes, void **out) {
  ft_err err = grow(&shared, bytes);
  *out = shared.memory;
  return err;
}

void *ft_scratch_needed(size_t bytes) {
  void *memory;
  if (ft_scratch_shared(bytes, &memory) != FT_OK) {
    ft_log(FT_LOG_ERROR, "%s", ft_error_message());
    abort();
  }
  return memory;
}

ft_err ft_scratch_documents(int64_t count, int64_t **out) {
  ft_err err = grow(&documents, (size_t)count * sizeof **out);
  *out = documents.memory;
  return err;
}

void ft_scratch_fini(void) {
  for (int t = 0; t < MAX_THREADS; t++) {
    ft_free(of_thread[t].memory);
    of_thread[t] = (buffer){0};
  }
  ft_free(shared.memory);
  ft_free(documents.memory);
  shared = documents = (buffer){0};
}
