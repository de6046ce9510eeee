/* Best-fit decreasing (Johnson 1973): documents from the longest to the shortest, each into the
 * fullest row that has room for it. Only where rows end is decided here: within a row documents
 * keep their order, and rows that of their first documents. */
#include "data_internal.h"

/* A set of whole numbers below 64^LEVELS: bit i of a level says that word i below it is not zero.
 */
enum { LEVELS = 5 };
typedef struct number_set {
  uint64_t *words[LEVELS];
} number_set;

static ft_err set_init(number_set *s, int64_t size) {
  ft_err err = FT_OK;
  for (int level = 0; level < LEVELS; level++) {
    size = size / 64 + 1;
    FT_TRY(ft_alloc_array(FT_MEM_DATA, size, sizeof(uint64_t), (void **)&s->words[level]));
  }
out:
  return err;
}

static void set_fini(number_set *s) {
  for (int level = 0; level < LEVELS; level++)
    ft_free(s->words[level]);
}

static void set_add(number_set *s, int64_t number) {
  for (int level = 0; level < LEVELS; level++, number /= 64)
    s->words[level][number / 64] |= (uint64_t)1 << number % 64;
}

static void set_remove(number_set *s, int64_t number) {
  for (int level = 0; level < LEVELS; level++, number /= 64) {
    s->words[level][number / 64] &= ~((uint64_t)1 << number % 64);
    if (s->words[level][number / 64]) return;
  }
}

/* The least number of at least `from` that is below `size`, or -1. */
static int64_t set_next(const number_set *s, int64_t from, int64_t size) {
  for (int level = 0; level < LEVELS; level++, from = from / 64 + 1, size = size / 64 + 1) {
    if (from >= size) return -1;
    uint64_t word = s->words[level][from / 64] >> from % 64;
    if (!word) continue;
    int64_t found = from + __builtin_ctzll(word);
    while (level-- > 0)
      found = found * 64 + __builtin_ctzll(s->words[level][found]);
    return found;
  }
  return -1;
}

/* ---------------------------------------------------------------- rows */

typedef struct packer {
  int64_t count, seq_len;
  const int64_t *lengths; /* [count] of documents by their place */
  int64_t *sorted;        /* [count] places, longest first */
  int64_t *rows;          /* [count] row of each place */
  int64_t *heads;         /* [seq_len + 1] 1 + the last row with this much room; 0: none */
  int64_t *nexts;         /* [count] the one before it, likewise */
  int64_t num_rows;
  number_set room; /* which amounts of room there are */
} packer;

/* Counting sort, longest first, equal ones in order of their places. */
static ft_err sort_places(packer *p) {
  ft_err err = FT_OK;
  int64_t *starts = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, p->seq_len + 2, sizeof *starts, (void **)&starts));
  for (int64_t i = 0; i < p->count; i++)
    starts[p->seq_len - p->lengths[i] + 1]++;
  for (int64_t i = 0; i <= p->seq_len; i++)
    starts[i + 1] += starts[i];
  for (int64_t i = 0; i < p->count; i++)
    p->sorted[starts[p->seq_len - p->lengths[i]]++] = i;
out:
  ft_free(starts);
  return err;
}

static void put_row(packer *p, int64_t row, int64_t room) {
  p->nexts[row] = p->heads[room];
  p->heads[room] = row + 1;
  set_add(&p->room, room);
}

static int64_t take_row(packer *p, int64_t room) {
  int64_t row = p->heads[room] - 1;
  p->heads[room] = p->nexts[row];
  if (p->heads[room] == 0) set_remove(&p->room, room);
  return row;
}

static void fill_rows(packer *p) {
  for (int64_t i = 0; i < p->count; i++) {
    int64_t place = p->sorted[i], length = p->lengths[place];
    int64_t room = set_next(&p->room, length, p->seq_len + 1);
    int64_t row = room < 0 ? p->num_rows++ : take_row(p, room);
    p->rows[place] = row;
    put_row(p, row, (room < 0 ? p->seq_len : room) - length);
  }
}

/* Numbers rows by their first documents. Afterwards nexts[row] is the number of its documents. */
static void number_rows(packer *p) {
  int64_t *numbers = p->sorted; /* its work is done */
  for (int64_t i = 0; i < p->num_rows; i++)
    numbers[i] = -1;
  for (int64_t i = 0; i < p->count; i++)
    p->nexts[i] = 0;
  int64_t used = 0;
  for (int64_t i = 0; i < p->count; i++) {
    int64_t *number = &numbers[p->rows[i]];
    if (*number < 0) *number = used++;
    p->rows[i] = *number;
    p->nexts[*number]++;
  }
}

static ft_err packer_init(packer *p) {
  ft_err err = FT_OK;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, p->count, sizeof *p->sorted, (void **)&p->sorted));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, p->count, sizeof *p->rows, (void **)&p->rows));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, p->count, sizeof *p->nexts, (void **)&p->nexts));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, p->seq_len + 1, sizeof *p->heads, (void **)&p->heads));
  FT_TRY(set_init(&p->room, p->seq_len + 1));
out:
  return err;
}

ft_err ft_data_best_fit(const int64_t *lengths, int64_t count, int64_t seq_len, int64_t *order,
                        int64_t *row_starts, int64_t *num_rows) {
  ft_err err = FT_OK;
  packer p = {.count = count, .seq_len = seq_len, .lengths = lengths};
  FT_TRY(packer_init(&p));
  FT_TRY(sort_places(&p));
  fill_rows(&p);
  number_rows(&p);
  row_starts[0] = 0;
  for (int64_t r = 0; r < p.num_rows; r++)
    row_starts[r + 1] = row_starts[r] + p.nexts[r];
  int64_t *at = p.sorted;
  for (int64_t r = 0; r < p.num_rows; r++)
    at[r] = row_starts[r];
  for (int64_t i = 0; i < count; i++)
    order[at[p.rows[i]]++] = i;
  *num_rows = p.num_rows;
out:
  ft_free(p.sorted);
  ft_free(p.rows);
  ft_free(p.nexts);
  ft_free(p.heads);
  set_fini(&p.room);
  return err;
}
