/* Answers to many prompts: each takes a sequence's place in the cache when one comes free. */
#include <omp.h>
#include <string.h>

#include "ft/model_generate.h"
#include "internal.h"

/* A place in the cache, and whose it is. */
typedef struct place {
  int64_t prompt; /* -1: free */
  int64_t said;   /* tokens of its answer */
} place;

struct ft_generator {
  ft_model *model; /* borrowed */
  ft_generator_options options;
  ft_cache *cache;
  place *places; /* [at_once], as the next two */
  int64_t *ready;
  uint32_t *chosen;
  float *logits;            /* [at_once, V] */
  ft_candidate *candidates; /* [threads, V]; NULL where nothing is drawn */
};

/* What is being generated. */
typedef struct generation {
  ft_generator *room;
  const ft_prompt *prompts;
  int64_t num_prompts, next; /* prompt that gets a place next */
  const ft_generate_options *options;
  float *first_logits; /* borrowed, or NULL */
} generation;

/* ---------------------------------------------------------------- room */

static int64_t num_logits(const ft_arch *arch, const ft_generator_options *o) {
  return o->at_once * arch->vocab;
}

static int64_t num_candidates(const ft_arch *arch, const ft_generator_options *o) {
  return o->draws ? omp_get_max_threads() * arch->vocab : 0;
}

void ft_generator_footprint(const ft_layout *layout, const ft_model_options *model,
                            const ft_generator_options *o, ft_footprint *out) {
  const ft_arch *arch = &layout->arch;
  *out = (ft_footprint){0};
  ft_cache_footprint(layout, model, o->at_once, o->max_tokens, out);
  out->rank[FT_MEM_WORKSPACE] += num_logits(arch, o) * (int64_t)sizeof(float) +
                                 num_candidates(arch, o) * (int64_t)sizeof(ft_candidate);
}

static ft_err allocate(ft_generator *g) {
  ft_err err = FT_OK;
  const ft_generator_options *o = &g->options;
  const ft_arch *arch = &g->model->arch;
  void *p;
  FT_TRY(ft_cache_new(g->model, o->at_once, o->max_tokens, &g->cache));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, o->at_once, sizeof *g->places, &p));
  g->places = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, o->at_once, sizeof *g->ready, &p));
  g->ready = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, o->at_once, sizeof *g->chosen, &p));
  g->chosen = p;
  FT_TRY(ft_alloc_array(FT_MEM_WORKSPACE, num_logits(arch, o), sizeof *g->logits, &p));
  g->logits = p;
  if (!o->draws) goto out;
  FT_TRY(ft_alloc_array(FT_MEM_WORKSPACE, num_candidates(arch, o), sizeof *g->candidates, &p));
  g->candidates = p;
out:
  return err;
}

ft_err ft_generator_new(ft_model *model, const ft_generator_options *options, ft_generator **out) {
  ft_err err = FT_OK;
  ft_generator *g = NULL;
  void *p;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *g, &p));
  g = p;
  *g = (ft_generator){.model = model, .options = *options};
  FT_TRY(allocate(g));
  *out = g;
  g = NULL;
out:
  ft_generator_free(g);
  return err;
}

void ft_generator_free(ft_generator *g) {
  if (!g) return;
  ft_cache_free(g->cache);
  ft_free(g->places);
  ft_free(g->ready);
  ft_free(g->chosen);
  ft_free(g->logits);
  ft_free(g->candidates);
  ft_free(g);
}

/* ---------------------------------------------------------------- prompts and their answers */

/* Tokens that the answer to a prompt may have. */
static int64_t room_for(const generation *g, int64_t prompt) {
  return FT_MIN(g->options->max_tokens, g->room->options.max_tokens - g->prompts[prompt].num);
}

static bool is_wanted(const generation *g, int64_t prompt) {
  return room_for(g, prompt) > 0 || (g->first_logits && prompt == 0);
}

/* Prompts without room are passed over. */
static ft_err fill_places(generation *g) {
  ft_err err = FT_OK;
  ft_generator *room = g->room;
  for (int64_t i = 0; i < room->options.at_once; i++) {
    while (g->next < g->num_prompts && !is_wanted(g, g->next))
      g->next++;
    if (room->places[i].prompt >= 0 || g->next == g->num_prompts) continue;
    const ft_prompt *p = &g->prompts[g->next];
    room->places[i] = (place){.prompt = g->next++};
    ft_cache_clear(room->cache, i);
    FT_TRY(ft_cache_put(room->cache, i, p->ids, p->num));
  }
out:
  return err;
}

/* The next token of every sequence that is ready. */
static void choose(const generation *g, int64_t num) {
  ft_generator *room = g->room;
  const int64_t vocab = room->model->arch.vocab;
#pragma omp parallel for schedule(dynamic, 1) if (num > 1)
  for (int64_t i = 0; i < num; i++) {
    const place *at = &room->places[room->ready[i]];
    const ft_prompt *p = &g->prompts[at->prompt];
    ft_candidate *scratch =
        room->candidates ? room->candidates + omp_get_thread_num() * vocab : NULL;
    room->chosen[i] = ft_sample_token(&g->options->sampling, room->logits + i * vocab, vocab,
                                      p->stream, p->num + at->said, scratch);
  }
}

static ft_err say(generation *g, int64_t i) {
  ft_err err = FT_OK;
  const ft_generate_options *o = g->options;
  ft_generator *room = g->room;
  const int64_t s = room->ready[i], vocab = room->model->arch.vocab;
  const uint32_t id = room->chosen[i];
  place *at = &room->places[s];
  if (g->first_logits && at->prompt == 0 && at->said == 0)
    memcpy(g->first_logits, room->logits + i * vocab, (size_t)vocab * sizeof *room->logits);
  if (room_for(g, at->prompt) <= 0) {
    at->prompt = -1;
    return FT_OK;
  }
  bool ended = o->ends(o->context, id);
  bool last = ended || at->said + 1 == room_for(g, at->prompt);
  FT_TRY(o->take(o->context, at->prompt, id, last, ended));
  at->said++;
  if (last)
    at->prompt = -1;
  else
    FT_TRY(ft_cache_put(room->cache, s, &id, 1));
out:
  return err;
}

/* Whether any rank has something to compute. */
static ft_err look_for_work(const ft_generator *room, bool *more) {
  int64_t waits = ft_cache_waits(room->cache);
  ft_err err = ft_comm_max_i64(ft_shard_comm(room->model->shard), &waits, 1);
  *more = waits != 0;
  return err;
}

ft_err ft_generate(ft_generator *room, const ft_prompt *prompts, int64_t num_prompts,
                   const ft_generate_options *options, float *first_logits) {
  ft_err err = FT_OK;
  generation g = {.room = room,
                  .prompts = prompts,
                  .num_prompts = num_prompts,
                  .options = options,
                  .first_logits = first_logits};
  FT_ASSERT(options->sampling.temperature == 0 || room->candidates);
  for (int64_t i = 0; i < room->options.at_once; i++) {
    room->places[i].prompt = -1;
    ft_cache_clear(room->cache, i);
  }
  for (bool more;;) {
    int64_t num;
    FT_TRY(fill_places(&g));
    FT_TRY(look_for_work(room, &more));
    if (!more) break;
    FT_TRY(ft_model_advance(room->model, room->cache, room->ready, &num, room->logits));
    choose(&g, num);
    for (int64_t i = 0; i < num; i++)
      FT_TRY(say(&g, i));
  }
out:
  return err;
}
