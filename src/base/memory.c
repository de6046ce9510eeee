/* Accounted, aligned memory. Each block is preceded by a header that says whose and how large it
 * is. */
#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ft/base.h"

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

typedef struct header {
  void *start; /* what the C library gave; NULL: mapped */
  size_t bytes;
  ft_owner owner;
} header;
static_assert(sizeof(header) <= ALIGNMENT, "the header must fit before the data");

static atomic_int_fast64_t current[FT_MEM_NUM_OWNERS], peak[FT_MEM_NUM_OWNERS];
static atomic_int_fast64_t total_current, total_peak;
static atomic_bool keeping;

const char *ft_owner_name(ft_owner owner) {
  static const char *const names[FT_MEM_NUM_OWNERS] = {[FT_MEM_OTHER] = "other",
                                                       [FT_MEM_MASTER] = "master weights",
                                                       [FT_MEM_STATE] = "optimizer state",
                                                       [FT_MEM_GRADIENT] = "gradients",
                                                       [FT_MEM_FROZEN] = "frozen weights",
                                                       [FT_MEM_WEIGHTS] = "gathered weights",
                                                       [FT_MEM_EXCHANGE] = "exchange buffers",
                                                       [FT_MEM_ACTIVATIONS] = "activations",
                                                       [FT_MEM_WORKSPACE] = "workspace",
                                                       [FT_MEM_DATA] = "data",
                                                       [FT_MEM_TOKENIZER] = "tokenizer",
                                                       [FT_MEM_PREP] = "preparation",
                                                       [FT_MEM_IO] = "files"};
  FT_ASSERT(owner < FT_MEM_NUM_OWNERS);
  return names[owner];
}

static void raise_to(atomic_int_fast64_t *top, int_fast64_t value) {
  int_fast64_t seen = atomic_load(top);
  while (seen < value && !atomic_compare_exchange_weak(top, &seen, value)) {
  }
}

void ft_mem_account(ft_owner owner, int64_t bytes) {
  FT_ASSERT(owner < FT_MEM_NUM_OWNERS);
  raise_to(&peak[owner], atomic_fetch_add(&current[owner], bytes) + bytes);
  raise_to(&total_peak, atomic_fetch_add(&total_current, bytes) + bytes);
}

/* A block with room for the header, aligned. Large ones are mapped on their own: they come zeroed,
 * go back whole and may use huge pages. Small ones are aligned here: the C library cuts what it
 * aligns out of a larger block, which costs several times as much as malloc. */
static void *new_block(size_t bytes, void **start) {
  *start = NULL;
  if (bytes < 4 * (size_t)HUGE_PAGE) {
    *start = malloc(bytes + ALIGNMENT - 1);
    if (!*start) return NULL;
    void *p = (void *)(((uintptr_t)*start + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    memset(p, 0, bytes);
    return p;
  }
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  (void)madvise(p, bytes, MADV_HUGEPAGE);
  return p;
}

ft_err ft_alloc(ft_owner owner, size_t bytes, void **out) {
  *out = NULL;
  if (bytes > SIZE_MAX / 2)
    return ft_fail(FT_ERR_MEMORY, "cannot allocate %zu bytes for %s", bytes, ft_owner_name(owner));
  void *start;
  char *p = new_block(bytes + ALIGNMENT, &start);
  if (!p)
    return ft_fail(FT_ERR_MEMORY,
                   "cannot allocate %.1f MiB for %s (%.1f MiB are in use by this rank): use more "
                   "ranks or nodes, or a smaller micro_batch or seq_len",
                   (double)bytes / 1048576.0, ft_owner_name(owner),
                   (double)atomic_load(&total_current) / 1048576.0);
  *(header *)(void *)p = (header){.start = start, .bytes = bytes, .owner = owner};
  ft_mem_account(owner, (int64_t)bytes);
  *out = p + ALIGNMENT;
  return FT_OK;
}

ft_err ft_alloc_array(ft_owner owner, int64_t count, size_t size, void **out) {
  *out = NULL;
  if (count < 0 || (size > 0 && (uint64_t)count > SIZE_MAX / 2 / size))
    return ft_fail(FT_ERR_MEMORY, "cannot allocate %lld x %zu bytes for %s", (long long)count, size,
                   ft_owner_name(owner));
  return ft_alloc(owner, (size_t)count * size, out);
}

ft_err ft_realloc(ft_owner owner, size_t bytes, void **p) {
  void *fresh;
  ft_err err = ft_alloc(owner, bytes, &fresh);
  if (err != FT_OK) return err;
  if (*p) {
    header *old = (header *)(void *)((char *)*p - ALIGNMENT);
    memcpy(fresh, *p, FT_MIN(old->bytes, bytes));
    ft_free(*p);
  }
  *p = fresh;
  return FT_OK;
}

/* Bytes of the first allocation at least: the smallest arrays grow once. */
enum { FIRST_BYTES = 256 };

ft_err ft_grow_all(ft_owner owner, int64_t needed, int64_t *capacity, const ft_array *arrays,
                   size_t count) {
  size_t largest = 1;
  if (needed <= *capacity) return FT_OK;
  for (size_t i = 0; i < count; i++)
    largest = FT_MAX(largest, arrays[i].size);
  int64_t grown = FT_MAX(FT_MAX(needed, 2 * *capacity), FIRST_BYTES / (int64_t)largest);
  for (size_t i = 0; i < count; i++) {
    ft_err err = ft_realloc(owner, (size_t)grown * arrays[i].size, arrays[i].at);
    if (err != FT_OK) return err;
  }
  *capacity = grown;
  return FT_OK;
}

ft_err ft_grow(ft_owner owner, int64_t needed, size_t size, int64_t *capacity, void **p) {
  return ft_grow_all(owner, needed, capacity, &(ft_array){p, size}, 1);
}

ft_err ft_grow_bytes(ft_owner owner, size_t needed, size_t *capacity, void **p) {
  if (needed <= *capacity) return FT_OK;
  size_t grown = FT_MAX(FT_MAX(needed, 2 * *capacity), FIRST_BYTES);
  ft_err err = ft_realloc(owner, grown, p);
  if (err == FT_OK) *capacity = grown;
  return err;
}

ft_err ft_grow_one(ft_owner owner, int64_t count, size_t size, void **p) {
  if ((count & (count - 1)) != 0) return FT_OK;
  return ft_realloc(owner, (size_t)FT_MAX(2 * count, 1) * size, p);
}

void ft_mem_keep(void) {
  atomic_store(&keeping, true);
}

void ft_free(void *p) {
  if (!p || atomic_load_explicit(&keeping, memory_order_acquire)) return;
  char *block = (char *)p - ALIGNMENT;
  header h = *(header *)(void *)block;
  ft_mem_account(h.owner, -(int64_t)h.bytes);
  if (h.start)
    free(h.start);
  else
    munmap(block, h.bytes + ALIGNMENT);
}

ft_mem_usage ft_mem_of(ft_owner owner) {
  FT_ASSERT(owner < FT_MEM_NUM_OWNERS);
  return (ft_mem_usage){.current_bytes = (size_t)atomic_load(&current[owner]),
                        .peak_bytes = (size_t)atomic_load(&peak[owner])};
}

ft_mem_usage ft_mem_total(void) {
  return (ft_mem_usage){.current_bytes = (size_t)atomic_load(&total_current),
                        .peak_bytes = (size_t)atomic_load(&total_peak)};
}

ft_err ft_strdup(const char *s, char **out) {
  size_t bytes = strlen(s) + 1;
  void *copy;
  ft_err err = ft_alloc(FT_MEM_OTHER, bytes, &copy);
  *out = copy;
  if (err == FT_OK) memcpy(copy, s, bytes);
  return err;
}

ft_err ft_format(char **out, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  void *text = NULL;
  ft_err err = length < 0 ? ft_fail(FT_ERR_INTERNAL, "cannot format \"%s\"", format)
                          : ft_alloc(FT_MEM_OTHER, (size_t)length + 1, &text);
  if (err == FT_OK) vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  *out = text;
  return err;
}
