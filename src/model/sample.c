/* Choosing the next token (top-p sampling: Holtzman et al. 2020). */
#include <math.h>

#include "ft/model_generate.h"

static uint32_t most_likely(const float *logits, int64_t vocab) {
  int64_t best = 0;
  for (int64_t i = 1; i < vocab; i++)
    if (logits[i] > logits[best]) best = i;
  return (uint32_t)best;
}

/* Most likely first, ties by id. */
static bool comes_before(const ft_candidate *a, const ft_candidate *b) {
  return a->weight != b->weight ? a->weight > b->weight : a->id < b->id;
}

/* heap [count] is a heap but for its element i: what comes first is above. */
static void sink(ft_candidate *heap, int64_t count, int64_t i) {
  ft_candidate moved = heap[i];
  for (int64_t child; (child = 2 * i + 1) < count; i = child) {
    if (child + 1 < count && comes_before(&heap[child + 1], &heap[child])) child++;
    if (!comes_before(&heap[child], &moved)) break;
    heap[i] = heap[child];
  }
  heap[i] = moved;
}

/* Takes the first of a heap: it goes behind the rest. */
static const ft_candidate *pop(ft_candidate *heap, int64_t *count) {
  ft_candidate first = heap[0];
  heap[0] = heap[--*count];
  heap[*count] = first;
  sink(heap, *count, 0);
  return &heap[*count];
}

/* Few tokens have nearly all the weight: these are sorted, and no others. */
uint32_t ft_sample_token(const ft_sampling *s, const float *logits, int64_t vocab, uint64_t stream,
                         int64_t position, ft_candidate *heap) {
  uint32_t top = most_likely(logits, vocab);
  if (s->temperature == 0) return top;
  double sum = 0, kept = 0;
  for (int64_t i = 0; i < vocab; i++) {
    double weight = exp(((double)logits[i] - (double)logits[top]) / s->temperature);
    heap[i] = (ft_candidate){.weight = weight, .id = (uint32_t)i};
    sum += weight;
  }
  for (int64_t i = vocab / 2; i-- > 0;)
    sink(heap, vocab, i);
  int64_t rest = vocab, chosen = vocab;
  if (s->top_p >= 1) kept = sum;
  while (s->top_p < 1 && rest > 0 && (rest == vocab || kept < s->top_p * sum))
    kept += pop(heap, &rest)->weight;
  int64_t first = s->top_p < 1 ? rest : 0;
  double at = kept * ft_random_uniform(s->seed, FT_RANDOM_SAMPLE, stream, (uint64_t)position);
  while (chosen > first) {
    if (s->top_p >= 1)
      (void)pop(heap, &chosen);
    else
      chosen--;
    at -= heap[chosen].weight;
    if (at < 0) break;
  }
  return heap[chosen].id;
}
