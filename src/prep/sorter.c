/* Sorting in bounded memory. */
#include "sorter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A run in the file, and the part of it that is in memory. */
typedef struct run {
  int64_t at, end; /* pairs of the file that are not in memory yet */
  ft_pair *pairs;  /* [count], of which `next` is the first to come; lent */
  int64_t next, count;
} run;

struct ft_sorter {
  char *path;
  FILE *file;
  ft_pair *pairs;                /* [capacity] */
  int64_t count, capacity, next; /* next: where all pairs stayed in memory, the one to come */
  run *runs;
  int64_t num_runs, runs_capacity;
  int64_t *heap; /* runs by their next pair */
  int64_t heap_count, in_file;
};

enum { LEAST_PAIRS = 1024 };

ft_err ft_sorter_new(const char *path, size_t bytes, ft_sorter **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_PREP, sizeof(ft_sorter), &memory));
  ft_sorter *s = memory;
  FT_TRY(ft_strdup(path, &s->path));
  s->capacity = FT_MAX((int64_t)(bytes / sizeof(ft_pair)), LEAST_PAIRS);
  *out = s;
  memory = NULL;
out:
  ft_sorter_free(memory);
  return err;
}

void ft_sorter_free(ft_sorter *s) {
  if (!s) return;
  if (s->file) {
    fclose(s->file);
    unlink(s->path);
  }
  ft_free(s->pairs);
  ft_free(s->runs);
  ft_free(s->heap);
  ft_free(s->path);
  ft_free(s);
}

static bool is_less(const ft_pair *a, const ft_pair *b) {
  return a->key != b->key ? a->key < b->key : a->value < b->value;
}

static int by_key(const void *a, const void *b) {
  return is_less(a, b) ? -1 : is_less(b, a);
}

static ft_err io_failed(const ft_sorter *s, const char *what) {
  return ft_fail(FT_ERR_IO, "%s: cannot be %s: %s", s->path, what, strerror(errno));
}

/* Writes what is in memory as a run. */
static ft_err spill(ft_sorter *s) {
  ft_err err = FT_OK;
  if (!s->file) {
    s->file = fopen(s->path, "w+b");
    FT_CHECK(s->file, FT_ERR_CREATE, "%s: cannot be made: %s", s->path, strerror(errno));
  }
  FT_TRY(
      ft_grow(FT_MEM_PREP, s->num_runs + 1, sizeof *s->runs, &s->runs_capacity, (void **)&s->runs));
  qsort(s->pairs, (size_t)s->count, sizeof *s->pairs, by_key);
  if (fwrite(s->pairs, sizeof *s->pairs, (size_t)s->count, s->file) != (size_t)s->count)
    FT_TRY(io_failed(s, "written"));
  s->runs[s->num_runs++] = (run){.at = s->in_file, .end = s->in_file + s->count};
  s->in_file += s->count;
  s->count = 0;
out:
  return err;
}

ft_err ft_sorter_add(ft_sorter *s, uint64_t key, uint64_t value) {
  ft_err err = FT_OK;
  if (!s->pairs)
    FT_TRY(ft_alloc_array(FT_MEM_PREP, s->capacity, sizeof *s->pairs, (void **)&s->pairs));
  if (s->count == s->capacity) FT_TRY(spill(s));
  s->pairs[s->count++] = (ft_pair){key, value};
out:
  return err;
}

/* ---------------------------------------------------------------- merging */

static ft_err refill(ft_sorter *s, run *r) {
  int64_t room = FT_MAX(s->capacity / s->num_runs, 1);
  r->next = 0;
  r->count = FT_MIN(room, r->end - r->at);
  if (r->count == 0) return FT_OK;
  if (fseeko(s->file, r->at * (int64_t)sizeof(ft_pair), SEEK_SET) != 0 ||
      fread(r->pairs, sizeof(ft_pair), (size_t)r->count, s->file) != (size_t)r->count)
    return io_failed(s, "read");
  r->at += r->count;
  return FT_OK;
}

static bool run_less(const ft_sorter *s, int64_t a, int64_t b) {
  const run *x = &s->runs[a], *y = &s->runs[b];
  return is_less(&x->pairs[x->next], &y->pairs[y->next]);
}

/* Moves the run at place i of the heap down to where it belongs. */
static void sink(ft_sorter *s, int64_t i) {
  for (;;) {
    int64_t least = i;
    for (int64_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->heap_count; child++)
      if (run_less(s, s->heap[child], s->heap[least])) least = child;
    if (least == i) return;
    int64_t moved = s->heap[i];
    s->heap[i] = s->heap[least];
    s->heap[least] = moved;
    i = least;
  }
}

ft_err ft_sorter_sort(ft_sorter *s) {
  ft_err err = FT_OK;
  if (s->num_runs == 0) {
    if (s->count > 0) qsort(s->pairs, (size_t)s->count, sizeof *s->pairs, by_key);
    s->next = 0;
    return FT_OK;
  }
  if (s->count > 0) FT_TRY(spill(s));
  FT_CHECK(s->num_runs <= s->capacity, FT_ERR_MEMORY,
           "%s: %lld sorted runs are more than can be merged: allow more memory", s->path,
           (long long)s->num_runs);
  FT_TRY(ft_alloc_array(FT_MEM_PREP, s->num_runs, sizeof *s->heap, (void **)&s->heap));
  for (int64_t i = 0; i < s->num_runs; i++) {
    s->runs[i].pairs = s->pairs + i * FT_MAX(s->capacity / s->num_runs, 1);
    FT_TRY(refill(s, &s->runs[i]));
    s->heap[s->heap_count++] = i;
  }
  for (int64_t i = s->heap_count; i-- > 0;)
    sink(s, i);
out:
  return err;
}

ft_err ft_sorter_next(ft_sorter *s, ft_pair *pair, bool *found) {
  if (s->num_runs == 0) {
    *found = s->next < s->count;
    if (*found) *pair = s->pairs[s->next++];
    return FT_OK;
  }
  *found = s->heap_count > 0;
  if (!*found) return FT_OK;
  run *r = &s->runs[s->heap[0]];
  *pair = r->pairs[r->next++];
  if (r->next == r->count) {
    ft_err err = refill(s, r);
    if (err != FT_OK) return err;
    if (r->count == 0) s->heap[0] = s->heap[--s->heap_count];
  }
  sink(s, 0);
  return FT_OK;
}
