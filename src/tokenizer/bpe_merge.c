/* Merging the symbols of a word: the pair of lowest rank first, of equal ranks the leftmost. */
#include "bpe.h"

#include <assert.h>

/* ---------------------------------------------------------------- few symbols
 * Looking at all pairs each time is faster than a queue then. */

enum { PLACE_BITS = 6, NO_PAIR = INT32_MAX };
static_assert(FT_BPE_FEW < 1 << PLACE_BITS && FT_BPE_MAX_MERGES - 1 <= INT32_MAX >> PLACE_BITS,
              "a rank and a place fit into 31 bits");

static inline void set_pair(ft_bpe_word *w, int64_t place, bool merges, uint32_t rank,
                            uint32_t id) {
  w->order[place] = merges ? (int32_t)(rank << PLACE_BITS | (uint32_t)place) : NO_PAIR;
  w->made[place] = id;
}

static inline void find_pair(const ft_bpe *bpe, ft_bpe_word *w, int64_t place, uint32_t left,
                             uint32_t right) {
  const ft_bpe_merge *m = ft_bpe_find(bpe, left, right);
  set_pair(w, place, m, m ? m->rank : 0, m ? m->id : 0);
}

void ft_bpe_begin(const ft_bpe *bpe, const char *bytes, ft_bpe_word *w) {
  int64_t last = w->count - 1;
  for (int64_t i = 0; i < w->count; i++) {
    w->next[i] = (uint8_t)(i + 1);
    w->previous[i] = (uint8_t)(i - 1);
  }
  for (int64_t i = 0; !bytes && i < last; i++)
    find_pair(bpe, w, i, w->symbols[i], w->symbols[i + 1]);
  for (int64_t i = 0; bytes && i < last; i++) {
    const struct ft_bpe_byte_pair *pair =
        &bpe->byte_pairs[(uint8_t)bytes[i] << 8 | (uint8_t)bytes[i + 1]];
    set_pair(w, i, pair->id != FT_BPE_NO_ID, pair->rank, pair->id);
  }
  for (int64_t i = FT_MAX(last, 0); i < (w->count + 7) / 8 * 8; i++)
    w->order[i] = NO_PAIR;
  w->waits = false;
}

/* Merges the next pair: its left symbol grows, and has new neighbours. False: none is left. */
static inline bool merge_next(const ft_bpe *bpe, ft_bpe_word *w) {
  int32_t best = NO_PAIR;
  for (int64_t i = 0; i < (w->count + 7) / 8 * 8; i++)
    best = w->order[i] < best ? w->order[i] : best;
  if (best == NO_PAIR) return false;
  uint8_t left = best & ((1 << PLACE_BITS) - 1), right = w->next[left], behind = w->next[right];
  uint32_t made = w->made[left];
  if (behind < w->count) ft_bpe_look_ahead(bpe, made, w->symbols[behind]);
  if (left > 0) ft_bpe_look_ahead(bpe, w->symbols[w->previous[left]], made);
  w->symbols[left] = made;
  w->order[left] = w->order[right] = NO_PAIR;
  w->next[left] = behind;
  w->previous[behind] = left;
  w->grown = left;
  return true;
}

/* Looks up the pairs of the symbol that has grown. */
static inline void find_neighbours(const ft_bpe *bpe, ft_bpe_word *w) {
  uint8_t at = w->grown, behind = w->next[at], before = w->previous[at];
  if (behind < w->count) find_pair(bpe, w, at, w->symbols[at], w->symbols[behind]);
  if (at > 0) find_pair(bpe, w, before, w->symbols[before], w->symbols[at]);
}

static void close_holes(ft_bpe_word *w) {
  int64_t kept = 0;
  for (int64_t i = 0; i < w->count; i = w->next[i])
    w->symbols[kept++] = w->symbols[i];
  w->count = kept;
}

void ft_bpe_merge_words(const ft_bpe *bpe, ft_bpe_word *words, int64_t num_words) {
  bool merged = true;
  for (int64_t i = 0; i < num_words; i++)
    words[i].waits = merge_next(bpe, &words[i]);
  while (merged) {
    merged = false;
    for (int64_t i = 0; i < num_words; i++) {
      ft_bpe_word *w = &words[i];
      if (!w->waits) continue;
      find_neighbours(bpe, w);
      w->waits = merge_next(bpe, w);
      merged = merged || w->waits;
    }
  }
  for (int64_t i = 0; i < num_words; i++)
    close_holes(&words[i]);
}

/* ---------------------------------------------------------------- long words: a queue */

struct ft_bpe_link {
  int32_t previous, next; /* symbols beside this one; -1: none */
};

/* A pair that might merge. */
struct ft_bpe_candidate {
  uint64_t order; /* rank << 32 | position of the left symbol */
  uint32_t id;    /* what it merges to */
};
typedef struct ft_bpe_candidate candidate;

static void sift_down(candidate *queue, int64_t count, int64_t at) {
  candidate moved = queue[at];
  for (;;) {
    int64_t child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && queue[child + 1].order < queue[child].order) child++;
    if (moved.order <= queue[child].order) break;
    queue[at] = queue[child];
    at = child;
  }
  queue[at] = moved;
}

static void sift_up(candidate *queue, int64_t at) {
  candidate moved = queue[at];
  while (at > 0 && moved.order < queue[(at - 1) / 2].order) {
    queue[at] = queue[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  queue[at] = moved;
}

/* Every merge takes one symbol away and adds at most two candidates: 3 a symbol are enough. */
static ft_err make_room(ft_bpe_scratch *s, int64_t count) {
  const ft_array arrays[] = {{(void **)&s->links, sizeof *s->links},
                             {(void **)&s->queue, 3 * sizeof *s->queue}};
  return ft_grow_all(FT_MEM_TOKENIZER, count, &s->capacity, arrays, FT_ARRAY_SIZE(arrays));
}

void ft_bpe_scratch_fini(ft_bpe_scratch *s) {
  ft_free(s->links);
  ft_free(s->queue);
  *s = (ft_bpe_scratch){0};
}

/* A word whose symbols merge by a queue. */
typedef struct merging {
  const ft_bpe *bpe;
  uint32_t *symbols; /* a symbol that was merged into the one before it is FT_BPE_NO_ID */
  struct ft_bpe_link *links;
  candidate *queue;
  int64_t queued;
} merging;

/* Adds the pair at `left` and the symbol behind it, if it merges. */
static void add_candidate(merging *m, int32_t left, bool sorted) {
  int32_t right = m->links[left].next;
  if (right < 0) return;
  const ft_bpe_merge *found = ft_bpe_find(m->bpe, m->symbols[left], m->symbols[right]);
  if (!found) return;
  m->queue[m->queued] =
      (candidate){.order = (uint64_t)found->rank << 32 | (uint32_t)left, .id = found->id};
  if (sorted) sift_up(m->queue, m->queued);
  m->queued++;
}

static candidate take_best(merging *m) {
  candidate best = m->queue[0];
  m->queue[0] = m->queue[--m->queued];
  if (m->queued > 0) sift_down(m->queue, m->queued, 0);
  return best;
}

/* Merges the candidate, unless its symbols have changed since it was queued. */
static void merge_candidate(merging *m, const candidate *best) {
  int32_t left = (int32_t)(best->order & UINT32_MAX), right = m->links[left].next;
  if (m->symbols[left] == FT_BPE_NO_ID || right < 0) return;
  const ft_bpe_merge *found = ft_bpe_find(m->bpe, m->symbols[left], m->symbols[right]);
  if (!found || found->id != best->id) return;
  m->symbols[left] = best->id;
  m->symbols[right] = FT_BPE_NO_ID;
  int32_t next = m->links[right].next, previous = m->links[left].previous;
  m->links[left].next = next;
  if (next >= 0) m->links[next].previous = left;
  if (previous >= 0) add_candidate(m, previous, true);
  add_candidate(m, left, true);
}

ft_err ft_bpe_merge_many(const ft_bpe *bpe, ft_bpe_scratch *s, uint32_t *symbols, int64_t *count) {
  if (*count == 0) return FT_OK; /* of characters that have no token, and no unknown token either */
  ft_err err = make_room(s, *count);
  if (err != FT_OK) return err;
  merging m = {.bpe = bpe, .symbols = symbols, .links = s->links, .queue = s->queue};
  for (int64_t i = 0; i < *count; i++)
    m.links[i] = (struct ft_bpe_link){(int32_t)(i - 1), (int32_t)(i + 1 < *count ? i + 1 : -1)};
  for (int64_t i = 0; i + 1 < *count; i++)
    add_candidate(&m, (int32_t)i, false);
  for (int64_t i = m.queued / 2 - 1; i >= 0; i--)
    sift_down(m.queue, m.queued, i);
  while (m.queued > 0) {
    candidate best = take_best(&m);
    merge_candidate(&m, &best);
  }
  *count = 0;
  for (int32_t i = 0; i >= 0; i = m.links[i].next)
    symbols[(*count)++] = symbols[i];
  return FT_OK;
}
