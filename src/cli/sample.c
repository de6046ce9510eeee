/* Choosing the next token (top-p sampling: Holtzman et al. 2020), and printing tokens as
 * characters. */
#include "sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ft_candidate {
  double weight;
  uint32_t id;
} ft_candidate;

ft_err ft_sampler_init(ft_sampler *s, int64_t vocab, double temperature, double top_p,
                       uint64_t seed) {
  *s = (ft_sampler){.temperature = temperature, .top_p = top_p, .seed = seed, .vocab = vocab};
  if (temperature == 0) return FT_OK;
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_WORKSPACE, vocab, sizeof *s->candidates, &p);
  s->candidates = p;
  return err;
}

void ft_sampler_fini(ft_sampler *s) {
  ft_free(s->candidates);
  s->candidates = NULL;
}

static uint32_t most_likely(const float *logits, int64_t vocab) {
  int64_t best = 0;
  for (int64_t i = 1; i < vocab; i++)
    if (logits[i] > logits[best]) best = i;
  return (uint32_t)best;
}

/* Most likely first, ties by id. */
static int compare(const void *a, const void *b) {
  const ft_candidate *x = a, *y = b;
  if (x->weight != y->weight) return x->weight < y->weight ? 1 : -1;
  return x->id < y->id ? -1 : x->id > y->id;
}

uint32_t ft_sampler_choose(ft_sampler *s, const float *logits, int64_t position) {
  uint32_t top = most_likely(logits, s->vocab);
  if (s->temperature == 0) return top;
  double sum = 0, kept = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < s->vocab; i++) {
    double weight = exp(((double)logits[i] - (double)logits[top]) / s->temperature);
    s->candidates[i] = (ft_candidate){.weight = weight, .id = (uint32_t)i};
    sum += weight;
  }
  qsort(s->candidates, (size_t)s->vocab, sizeof *s->candidates, compare);
  while (count < s->vocab && (count == 0 || kept < s->top_p * sum))
    kept += s->candidates[count++].weight;
  double at = kept * ft_random_uniform(s->seed, FT_RANDOM_SAMPLE, 0, (uint64_t)position);
  for (int64_t i = 0; i < count; i++) {
    at -= s->candidates[i].weight;
    if (at < 0) return s->candidates[i].id;
  }
  return s->candidates[count - 1].id;
}

/* ---------------------------------------------------------------- printing */

/* Length of the character that this byte begins; 0 if no character begins so. */
static size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

static void replacement(void) {
  fputs("\xef\xbf\xbd", stdout);
}

static void put(ft_printer *p, char byte) {
  bool continues = ((unsigned char)byte & 0xc0) == 0x80;
  if (p->num_pending > 0 && !continues) { /* the character before was cut short */
    replacement();
    p->num_pending = 0;
  }
  p->pending[p->num_pending++] = byte;
  size_t wanted = sequence_length((unsigned char)p->pending[0]);
  if (wanted == 0) {
    replacement();
    p->num_pending = 0;
  } else if (p->num_pending == wanted) {
    fwrite(p->pending, 1, wanted, stdout);
    p->num_pending = 0;
  }
}

void ft_printer_write(ft_printer *p, const char *bytes, size_t count) {
  for (size_t i = 0; i < count; i++)
    put(p, bytes[i]);
  fflush(stdout);
}

void ft_printer_end(ft_printer *p) {
  if (p->num_pending > 0) replacement();
  p->num_pending = 0;
}
