/* model, generation: sequences that grow together. Keys and values of earlier tokens are kept, and
 * the weights are read once a step for all sequences; what a sequence becomes does not depend, in
 * any bit, on what grows beside it. */
#ifndef FT_MODEL_GENERATE_H
#define FT_MODEL_GENERATE_H

#include "ft/base_footprint.h"
#include "ft/model.h"

/* FT_OK for a model that generates text; else FT_ERR_DATA saying why it does not. */
ft_err ft_model_generates(const ft_arch *arch);

/* ---------------------------------------------------------------- keys and values */

typedef struct ft_cache ft_cache;

/* Room for sequences 0 … num_sequences-1, at most the model's max_tokens, of at most max_tokens
 * tokens each. The model is borrowed. Not collective. Errors: FT_ERR_MEMORY; FT_ERR_DATA for a
 * model that does not generate. */
ft_err ft_cache_new(ft_model *model, int64_t num_sequences, int64_t max_tokens, ft_cache **out);
void ft_cache_free(ft_cache *cache);
/* Adds what ft_cache_new will allocate for such a model. */
void ft_cache_footprint(const ft_layout *layout, const ft_model_options *model,
                        int64_t num_sequences, int64_t max_tokens, ft_footprint *out);
/* The sequence has no tokens any more. */
void ft_cache_clear(ft_cache *cache, int64_t sequence);
/* Appends tokens, which are computed by later passes. Errors: FT_ERR_DATA if there is no room. */
ft_err ft_cache_put(ft_cache *cache, int64_t sequence, const uint32_t *tokens, int64_t count);
/* Whether some token is still to be computed. */
bool ft_cache_waits(const ft_cache *cache);

/* One pass: a piece of the first sequence with several tokens to be computed, or one token of each
 * that has one. The *num sequences that are now complete are listed in `ready`, and logits
 * [*num, vocab] (f32) has what follows them; both have room for all sequences. A rank where nothing
 * waits only takes part. Also of a model that is trained, between its steps. Collective over all
 * ranks. Errors: FT_ERR_STOPPED. */
ft_err ft_model_advance(ft_model *model, ft_cache *cache, int64_t *ready, int64_t *num,
                        float *logits);

/* ---------------------------------------------------------------- choosing */

typedef struct ft_sampling {
  double temperature; /* 0: the most likely token */
  double top_p;       /* sample among the fewest tokens whose probability sums to at least this */
  uint64_t seed;
} ft_sampling;

typedef struct ft_candidate {
  double weight;
  uint32_t id;
} ft_candidate;

/* The token at `position` of a sequence: a function of (logits [vocab], seed, stream, position)
 * alone; `stream` numbers the sequence (FT_RANDOM_SAMPLE). Ties go to the lower id. scratch
 * [vocab]; NULL where temperature is 0. One thread. */
uint32_t ft_sample_token(const ft_sampling *sampling, const float *logits, int64_t vocab,
                         uint64_t stream, int64_t position, ft_candidate *scratch);

/* ---------------------------------------------------------------- many prompts */

typedef struct ft_prompt {
  const uint32_t *ids; /* [num] borrowed; at least one */
  int64_t num;
  uint64_t stream; /* names its random numbers */
} ft_prompt;

/* Room for answers that are made at once. */
typedef struct ft_generator_options {
  int64_t at_once;    /* at most the model's max_tokens */
  int64_t max_tokens; /* of a prompt with its answer */
  bool draws;         /* tokens may be drawn (temperature > 0) */
} ft_generator_options;
typedef struct ft_generator ft_generator;
/* The model is borrowed. Not collective. Errors: FT_ERR_MEMORY; FT_ERR_DATA for a model that does
 * not generate. */
ft_err ft_generator_new(ft_model *model, const ft_generator_options *options, ft_generator **out);
void ft_generator_free(ft_generator *generator);
/* What ft_generator_new will allocate for such a model. */
void ft_generator_footprint(const ft_layout *layout, const ft_model_options *model,
                            const ft_generator_options *options, ft_footprint *out);

typedef struct ft_generate_options {
  ft_sampling sampling;
  int64_t max_tokens; /* of an answer */
  void *context;      /* of the next two */
  bool (*ends)(void *context, uint32_t id);
  /* The next token of a prompt's answer; last: its answer is complete, and ended: with this token,
   * which is no part of its text. In the order of positions of each prompt. */
  ft_err (*take)(void *context, int64_t prompt, uint32_t id, bool last, bool ended);
} ft_generate_options;

/* Answers this rank's prompts, in their order as room comes free; of a prompt without room for an
 * answer nothing is said. first_logits: NULL, or [vocab] what follows the first prompt. Collective
 * over all ranks, of which each has prompts of its own, or none. Errors:
 * FT_ERR_STOPPED, and what `take` says, which is for one rank alone. */
ft_err ft_generate(ft_generator *generator, const ft_prompt *prompts, int64_t num_prompts,
                   const ft_generate_options *options, float *first_logits);

#endif
