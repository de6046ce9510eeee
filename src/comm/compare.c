/* What every rank finds out by itself and all must share is compared: whoever differs is named. */
#include "comm_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 8, HOST_BYTES = 64, NAME_BYTES = 160, VALUE_BYTES = 320, ADVICE_BYTES = 240 };

typedef struct fact {
  char name[NAME_BYTES], value[VALUE_BYTES], advice[ADVICE_BYTES], host[HOST_BYTES];
  int32_t code;
} fact;

struct ft_facts {
  fact *all;
  int64_t count, room;
};

/* ---------------------------------------------------------------- collecting */

ft_err ft_facts_new(ft_facts **out) {
  void *p = NULL;
  ft_err err = ft_alloc(FT_MEM_OTHER, sizeof **out, &p);
  *out = p;
  return err;
}

void ft_facts_free(ft_facts *facts) {
  if (!facts) return;
  ft_free(facts->all);
  ft_free(facts);
}

ft_err ft_facts_add(ft_facts *facts, ft_err code, const char *name, const char *advice,
                    const char *format, ...) {
  ft_err err = ft_grow(FT_MEM_OTHER, facts->count + 1, sizeof *facts->all, &facts->room,
                       (void **)&facts->all);
  if (err != FT_OK) return err;
  fact *f = &facts->all[facts->count++];
  *f = (fact){.code = (int32_t)code};
  snprintf(f->name, sizeof f->name, "%s", name);
  snprintf(f->advice, sizeof f->advice, "%s", advice);
  va_list args;
  va_start(args, format);
  vsnprintf(f->value, sizeof f->value, format, args);
  va_end(args);
  return FT_OK;
}

/* ---------------------------------------------------------------- comparing, on rank 0 */

/* All ranks' facts, rank after rank. */
typedef struct gathered {
  const fact *all;
  const size_t *sizes; /* [size] bytes of each rank's */
  int size;
} gathered;

static const fact *first_of(const gathered *g, int rank, int64_t *count) {
  size_t before = 0;
  for (int r = 0; r < rank; r++)
    before += g->sizes[r];
  *count = (int64_t)(g->sizes[rank] / sizeof(fact));
  return g->all + before / sizeof(fact);
}

/* A rank's value of a fact; NULL: it has no such fact. */
static const char *value_of(const gathered *g, int rank, const char *name) {
  int64_t count;
  const fact *facts = first_of(g, rank, &count);
  for (int64_t i = 0; i < count; i++)
    if (strcmp(facts[i].name, name) == 0) return facts[i].value;
  return NULL;
}

static bool same(const char *a, const char *b) {
  return a == b || (a && b && strcmp(a, b) == 0);
}

/* Appends "; HOST (rank 3 and 2 more): VALUE" for each value that is not rank 0's. */
static void list_others(const gathered *g, const char *name, FILE *to) {
  for (int r = 1; r < g->size; r++) {
    const char *value = value_of(g, r, name);
    bool told = false;
    int more = 0;
    int64_t count;
    for (int s = 0; s < r && !told; s++)
      told = same(value, value_of(g, s, name));
    if (told) continue;
    for (int s = r + 1; s < g->size; s++)
      more += same(value, value_of(g, s, name));
    const fact *facts = first_of(g, r, &count);
    fprintf(to, "; host %s (rank %d", count > 0 ? facts->host : "?", r);
    if (more > 0) fprintf(to, " and %d more", more);
    fprintf(to, "): %s", value ? value : "none");
  }
}

static bool differs(const gathered *g, const char *name) {
  const char *first = value_of(g, 0, name);
  for (int r = 1; r < g->size; r++)
    if (!same(first, value_of(g, r, name))) return true;
  return false;
}

/* Whether a rank before this one has the fact: then it was compared. */
static bool is_known(const gathered *g, int rank, const char *name) {
  for (int r = 0; r < rank; r++)
    if (value_of(g, r, name)) return true;
  return false;
}

static ft_err fail_for(const gathered *g, FILE *to) {
  ft_err code = FT_OK;
  int lines = 0;
  for (int r = 0; r < g->size; r++) {
    int64_t count;
    const fact *facts = first_of(g, r, &count);
    for (int64_t i = 0; i < count; i++) {
      const fact *f = &facts[i];
      if (is_known(g, r, f->name) || !differs(g, f->name) || ++lines > MOST_LINES) continue;
      if (code == FT_OK) code = (ft_err)f->code;
      const char *first = value_of(g, 0, f->name);
      fprintf(to, "%s%s is not the same on all ranks: host %s (rank 0): %s",
              lines > 1 ? "\n  " : "", f->name, g->all[0].host, first ? first : "none");
      list_others(g, f->name, to);
      fprintf(to, ": %s", f->advice);
    }
  }
  if (lines > MOST_LINES) fprintf(to, "\n  and %d more", lines - MOST_LINES);
  return code;
}

static ft_err compare_all(const gathered *g) {
  char *text = NULL;
  size_t bytes;
  FILE *f = open_memstream(&text, &bytes);
  if (!f) return ft_fail(FT_ERR_MEMORY, "no memory to compare the ranks");
  ft_err code = fail_for(g, f);
  if (fclose(f) != 0) code = FT_ERR_MEMORY;
  if (code != FT_OK) (void)ft_fail(code, "%s", text);
  free(text);
  return code;
}

/* ---------------------------------------------------------------- together */

ft_err ft_comm_same(ft_comm *comm, uint64_t value, bool *same) {
  int64_t most[2] = {(int64_t)(value >> 1), -(int64_t)(value >> 1)}; /* the other way, the least */
  ft_err err = ft_comm_max_i64(comm, most, 2);
  *same = err == FT_OK && most[0] == -most[1];
  return err;
}

ft_err ft_comm_compare(ft_comm *comm, ft_facts *facts) {
  ft_err err = FT_OK;
  void *all = NULL, *sizes = NULL;
  for (int64_t i = 0; i < facts->count; i++)
    snprintf(facts->all[i].host, sizeof facts->all[i].host, "%.63s", comm->host);
  size_t bytes = (size_t)facts->count * sizeof(fact);
  err = ft_alloc_array(FT_MEM_OTHER, comm->size, sizeof(size_t), &sizes);
  FT_TRY(ft_comm_agree(comm, err));
  FT_TRY(ft_comm_gather(comm, 0, facts->all, bytes, &all, sizes));
  gathered g = {.all = all, .sizes = sizes, .size = comm->size};
  if (comm->rank == 0) err = compare_all(&g);
  err = ft_comm_agree(comm, err);
out:
  ft_free(all);
  ft_free(sizes);
  return err;
}
