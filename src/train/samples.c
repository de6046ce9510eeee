/* Texts that evaluations generate, to be read beside the losses. Prompts are dealt to the ranks,
 * and an answer depends on its prompt and the weights alone (model_generate.h), so the texts are
 * the same on any number of ranks. */
#include <string.h>

#include "ft/prep_prompts.h"
#include "internal.h"

struct ft_samples {
  /* rank 0's */
  ft_tokenizer *tokenizer;
  ft_render_options render;
  ft_prompt_list list;
  /* the same on every rank */
  int64_t num, most; /* prompts; tokens of one and its answer */
  int64_t end_of_turn;
  /* this rank's: prompts rank, rank + size … */
  int64_t num_mine;
  ft_prompt *mine; /* [num_mine] */
  uint32_t *ids;   /* [num_mine, most] what they borrow */
  int64_t
      *answers; /* [num, 1 + most] number of tokens, and these; 0 where they are another rank's */
  const ft_hf_config *hf;
  int rank, size;
  ft_generator *generator;
};

/* ---------------------------------------------------------------- prompts */

static ft_err open_text(ft_samples *s, const trainer *t, const char *model_dir) {
  ft_err err = FT_OK;
  FT_TRY(ft_tokenizer_open(model_dir, &s->tokenizer));
  if (t->config->sample_chat) {
    FT_TRY(ft_render_options_init(model_dir, s->tokenizer, FT_TEMPLATE_AUTO, NULL, &s->render));
  } else {
    FT_TRY(ft_template_resolve(FT_TEMPLATE_AUTO, s->tokenizer, &s->render.template));
    s->render.eos = ft_hf_eos(&t->hf);
  }
  s->end_of_turn = ft_template_end_of_turn(s->tokenizer, &s->render);
out:
  return err;
}

static ft_err read_prompts(ft_samples *s, const trainer *t, const char *model_dir) {
  ft_err err = FT_OK;
  const ft_config *c = t->config;
  const ft_prompt_rules rules = {.model_dir = model_dir,
                                 .tokenizer = s->tokenizer,
                                 .render = c->sample_chat ? &s->render : NULL,
                                 .max_tokens = ft_layout_max_tokens(t->hf.layout),
                                 .vocab = t->hf.arch.vocab};
  FT_TRY(ft_prompt_list_read(&s->list, &rules, c->prompts));
  for (int64_t i = 0; i < s->list.num; i++)
    FT_CHECK(s->list.items[i].ids.count < c->sample_tokens, FT_ERR_DATA,
             "prompt %lld of %s has %lld tokens, which leaves no room for an answer: "
             "validation.sample_tokens (%lld) is for both together",
             (long long)i + 1, c->prompts, (long long)s->list.items[i].ids.count,
             (long long)c->sample_tokens);
out:
  return err;
}

ft_err ft_samples_read(trainer *t, const char *model_dir) {
  ft_err err = FT_OK;
  const ft_config *c = t->config;
  void *p;
  if (!c->prompts) return FT_OK;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *t->samples, &p));
  t->samples = p;
  FT_TRY(ft_model_generates(&t->hf.arch));
  FT_CHECK(c->sample_tokens <= ft_layout_max_tokens(t->hf.layout), FT_ERR_CONFIG,
           "validation.sample_tokens is %lld, but %s/config.json allows %lld positions%s",
           (long long)c->sample_tokens, model_dir, (long long)ft_layout_max_tokens(t->hf.layout),
           ft_layout_max_tokens(t->hf.layout) < t->hf.arch.max_positions ? " behind the method's"
                                                                         : "");
  FT_TRY(open_text(t->samples, t, model_dir));
  FT_TRY(read_prompts(t->samples, t, model_dir));
out:
  if (err != FT_OK) ft_fail_prefix(err, "validation.prompts");
  return err;
}

/* ---------------------------------------------------------------- sharing */

/* A prompt on its way to all ranks: number of tokens, stream, tokens. */
static void write_prompts(const ft_samples *s, int64_t *table) {
  for (int64_t i = 0; i < s->num; i++) {
    const ft_prompt_text *p = &s->list.items[i];
    int64_t *row = table + i * (2 + s->most);
    row[0] = p->ids.count;
    row[1] = (int64_t)p->stream;
    for (int64_t k = 0; k < p->ids.count; k++)
      row[2 + k] = (int64_t)p->ids.ids[k];
  }
}

static void take_mine(ft_samples *s, const int64_t *table) {
  for (int64_t i = 0; i < s->num_mine; i++) {
    const int64_t *row = table + (i * s->size + s->rank) * (2 + s->most);
    uint32_t *ids = s->ids + i * s->most;
    for (int64_t k = 0; k < row[0]; k++)
      ids[k] = (uint32_t)row[2 + k];
    s->mine[i] = (ft_prompt){.ids = ids, .num = row[0], .stream = (uint64_t)row[1]};
  }
}

static ft_err allocate_prompts(ft_samples *s, int64_t **table) {
  ft_err err = FT_OK;
  void *p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->num * (2 + s->most), sizeof **table, &p));
  *table = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->num_mine, sizeof *s->mine, &p));
  s->mine = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->num_mine * s->most, sizeof *s->ids, &p));
  s->ids = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->num * (1 + s->most), sizeof *s->answers, &p));
  s->answers = p;
out:
  return err;
}

ft_err ft_samples_share(trainer *t) {
  ft_err err = FT_OK;
  void *p = NULL;
  int64_t *table = NULL;
  if (!t->config->prompts) return FT_OK;
  if (!t->samples) err = ft_alloc(FT_MEM_OTHER, sizeof *t->samples, &p);
  if (p) t->samples = p;
  FT_TRY(ft_comm_agree(t->comm, err));
  ft_samples *s = t->samples;
  int64_t facts[] = {s->list.num, s->end_of_turn};
  FT_TRY(ft_comm_broadcast(t->comm, 0, facts, sizeof facts));
  s->num = facts[0];
  s->end_of_turn = facts[1];
  s->most = t->config->sample_tokens;
  s->rank = t->rank;
  s->size = t->size;
  s->hf = &t->hf;
  s->num_mine = FT_MAX(ft_ceil_div(s->num - s->rank, (int64_t)s->size), (int64_t)0);
  FT_TRY(ft_comm_agree(t->comm, allocate_prompts(s, &table)));
  if (s->rank == 0) write_prompts(s, table);
  FT_TRY(ft_comm_broadcast(t->comm, 0, table, (size_t)(s->num * (2 + s->most)) * sizeof *table));
  take_mine(s, table);
out:
  ft_free(table);
  return err;
}

ft_err ft_samples_allocate(trainer *t, const ft_generator_options *room) {
  return ft_generator_new(t->model, room, &t->samples->generator);
}

/* ---------------------------------------------------------------- answers */

static bool ends(void *context, uint32_t id) {
  const ft_samples *s = context;
  return ft_hf_ends_text(s->hf, id) || (int64_t)id == s->end_of_turn;
}

static ft_err take(void *context, int64_t prompt, uint32_t id, bool last, bool ended) {
  ft_samples *s = context;
  int64_t *answer = s->answers + (prompt * s->size + s->rank) * (1 + s->most);
  (void)last;
  if (!ended) answer[1 + answer[0]++] = (int64_t)id;
  return FT_OK;
}

static ft_err add_sample(const ft_samples *s, int64_t i, uint32_t *ids, cJSON *out) {
  const int64_t *answer = s->answers + i * (1 + s->most);
  char *text = NULL;
  size_t bytes;
  for (int64_t k = 0; k < answer[0]; k++)
    ids[k] = (uint32_t)answer[1 + k];
  ft_err err = ft_tokenizer_decode(s->tokenizer, ids, answer[0], true, &text, &bytes);
  if (err != FT_OK) return err;
  cJSON *sample = cJSON_CreateObject();
  cJSON_AddStringToObject(sample, "prompt", s->list.items[i].text);
  cJSON_AddStringToObject(sample, "text", text);
  cJSON_AddItemToArray(out, sample);
  ft_free(text);
  return FT_OK;
}

/* Rank 0's. */
static ft_err read_answers(const ft_samples *s, cJSON **out) {
  ft_err err = FT_OK;
  cJSON *list = cJSON_CreateArray();
  void *ids = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, s->most, sizeof(uint32_t), &ids));
  for (int64_t i = 0; i < s->num; i++)
    FT_TRY(add_sample(s, i, ids, list));
  *out = list;
  list = NULL;
out:
  cJSON_Delete(list);
  ft_free(ids);
  return err;
}

ft_err ft_samples_make(trainer *t, cJSON **out) {
  ft_err err = FT_OK;
  ft_samples *s = t->samples;
  *out = NULL;
  if (!s) return FT_OK;
  const ft_generate_options o = {.sampling = {.temperature = t->config->sample_temperature,
                                              .top_p = 1,
                                              .seed = (uint64_t)t->config->seed},
                                 .max_tokens = s->most,
                                 .context = s,
                                 .ends = ends,
                                 .take = take};
  const int64_t count = s->num * (1 + s->most);
  const char *before = ft_comm_enter(t->comm, "generates samples");
  memset(s->answers, 0, (size_t)count * sizeof *s->answers);
  FT_TRY(ft_generate(s->generator, s->mine, s->num_mine, &o, NULL));
  FT_TRY(ft_comm_sum_i64(t->comm, s->answers, count));
  FT_TRY(ft_comm_agree(t->comm, s->rank == 0 ? read_answers(s, out) : FT_OK));
out:
  (void)ft_comm_enter(t->comm, before);
  return err;
}

void ft_samples_free(ft_samples *s) {
  if (!s) return;
  ft_generator_free(s->generator);
  ft_prompt_list_fini(&s->list);
  ft_render_options_fini(&s->render);
  ft_tokenizer_close(s->tokenizer);
  ft_free(s->mine);
  ft_free(s->ids);
  ft_free(s->answers);
  ft_free(s);
}
