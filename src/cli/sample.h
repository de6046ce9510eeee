/* Choosing the next token from logits, and printing tokens as whole characters. */
#ifndef FT_CLI_SAMPLE_H
#define FT_CLI_SAMPLE_H

#include "ft/tokenizer.h"

typedef struct ft_sampler {
  double temperature; /* 0: the most likely token */
  double top_p;       /* sample among the fewest tokens whose probability sums to at least this */
  uint64_t seed;
  int64_t vocab;
  struct ft_candidate *candidates; /* [vocab] scratch; NULL if greedy */
} ft_sampler;

ft_err ft_sampler_init(ft_sampler *s, int64_t vocab, double temperature, double top_p,
                       uint64_t seed);
void ft_sampler_fini(ft_sampler *s);
/* The token at `position`: a function of (logits, seed, position). Ties go to the lower id. */
uint32_t ft_sampler_choose(ft_sampler *s, const float *logits, int64_t position);

/* Writes bytes to stdout as whole UTF-8 characters: an unfinished one waits for its rest. */
typedef struct ft_printer {
  char pending[8];
  size_t num_pending;
} ft_printer;
void ft_printer_write(ft_printer *p, const char *bytes, size_t count);
/* What can never become a character is shown as U+FFFD. */
void ft_printer_end(ft_printer *p);

#endif
