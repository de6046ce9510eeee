/* Merging the symbols of a word: the pair of lowest rank first, of equal ranks the leftmost. */
#include "bpe.h"

#include <string.h>

/* Up to this many symbols, looking at all pairs each time is faster than a queue. */
enum { FEW = 40 };

/* Reference: one pass over all pairs for each merge. */
static int64_t merge_few(const ft_bpe *bpe, uint32_t *symbols, int64_t count) {
  uint32_t ranks[FEW], ids[FEW]; /* of the pair (i, i + 1); UINT32_MAX: does not merge */
  for (int64_t i = 0; i + 1 < count; i++) {
    const ft_bpe_merge *m = ft_bpe_find(bpe, symbols[i], symbols[i + 1]);
    ranks[i] = m ? m->rank : UINT32_MAX;
    ids[i] = m ? m->id : 0;
  }
  while (count > 1) {
    int64_t best = 0;
    for (int64_t i = 1; i + 1 < count; i++)
      if (ranks[i] < ranks[best]) best = i;
    if (ranks[best] == UINT32_MAX) break;
    symbols[best] = ids[best];
    size_t behind = (size_t)(count - best - 2);
    memmove(symbols + best + 1, symbols + best + 2, behind * sizeof *symbols);
    if (behind > 0) {
      memmove(ranks + best + 1, ranks + best + 2, (behind - 1) * sizeof *ranks);
      memmove(ids + best + 1, ids + best + 2, (behind - 1) * sizeof *ids);
    }
    count--;
    for (int64_t i = best > 0 ? best - 1 : 0; i <= best && i + 1 < count; i++) {
      const ft_bpe_merge *m = ft_bpe_find(bpe, symbols[i], symbols[i + 1]);
      ranks[i] = m ? m->rank : UINT32_MAX;
      ids[i] = m ? m->id : 0;
    }
  }
  return count;
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
  ft_err err = FT_OK;
  if (count <= s->capacity) return FT_OK;
  void *links = s->links, *queue = s->queue;
  FT_TRY(ft_realloc(FT_MEM_TOKENIZER, (size_t)count * sizeof *s->links, &links));
  s->links = links;
  FT_TRY(ft_realloc(FT_MEM_TOKENIZER, 3 * (size_t)count * sizeof *s->queue, &queue));
  s->queue = queue;
  s->capacity = count;
out:
  return err;
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

static ft_err merge_many(const ft_bpe *bpe, ft_bpe_scratch *s, uint32_t *symbols, int64_t *count) {
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

ft_err ft_bpe_merge_all(const ft_bpe *bpe, ft_bpe_scratch *s, uint32_t *symbols, int64_t *count) {
  if (*count > FEW) return merge_many(bpe, s, symbols, count);
  *count = merge_few(bpe, symbols, *count);
  return FT_OK;
}
