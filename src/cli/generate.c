/* ftrun generate --model DIR [--adapter DIR] --prompt TEXT [--chat] … */
#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/hf_adapter.h"
#include "ft/model.h"
#include "ft/prep.h"
#include "sample.h"

typedef struct arguments {
  const char *model, *adapter, *prompt, *template_name, *system;
  bool chat, json, logits, has_precision;
  int64_t max_tokens, seed;
  double temperature, top_p;
  ft_dtype precision;
} arguments;

enum {
  OPTION_JSON = 256,
  OPTION_LOGITS,
  OPTION_SYSTEM,
  OPTION_TEMPLATE,
  OPTION_TOP_P,
  OPTION_PRECISION
};

static const struct argp_option options[] = {
    {"model", 'm', "DIR", 0, "The model directory", 0},
    {"adapter", 'a', "DIR", 0, "Lay an adapter directory over it", 0},
    {"prompt", 'p', "TEXT", 0, "What to continue; special tokens written in it count as such", 0},
    {"chat", 'c', NULL, 0, "TEXT is a user's message: wrap it in the model's chat template", 0},
    {"template", OPTION_TEMPLATE, "NAME", 0,
     "model (its own), or a layout: chatml, llama2, llama3, alpaca, plain (auto: the model's own, "
     "or a layout by its special tokens if it has none)",
     0},
    {"system", OPTION_SYSTEM, "TEXT", 0, "With --chat: the system message", 0},
    {"max-tokens", 'n', "N", 0, "Stop after N tokens (256)", 0},
    {"temperature", 't', "T", 0, "0: the most likely token each time (0); otherwise sample", 0},
    {"top-p", OPTION_TOP_P, "P", 0, "Sample among the likeliest tokens that make up P (1)", 0},
    {"seed", 's', "N", 0, "Seed of the sampling (1)", 0},
    {"precision", OPTION_PRECISION, "bf16|fp32", 0, "Compute type (the model's)", 0},
    {"json", OPTION_JSON, NULL, 0, "Print one JSON object with prompt_ids, ids and text instead",
     0},
    {"logits", OPTION_LOGITS, NULL, 0, "With --json: also the logits after the prompt's last token",
     0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'm':
    a->model = argument;
    return 0;
  case 'a':
    a->adapter = argument;
    return 0;
  case 'p':
    a->prompt = argument;
    return 0;
  case 'c':
    a->chat = true;
    return 0;
  case 'n':
    a->max_tokens = ft_cli_int(state, "--max-tokens", argument, 0, INT32_MAX);
    return 0;
  case 's':
    a->seed = ft_cli_int(state, "--seed", argument, 0, INT64_MAX);
    return 0;
  case 't':
    a->temperature = ft_cli_number(state, "--temperature", argument, 0, 1e6);
    return 0;
  case OPTION_TOP_P:
    a->top_p = ft_cli_number(state, "--top-p", argument, 1e-9, 1);
    return 0;
  case OPTION_TEMPLATE:
    a->template_name = argument;
    return 0;
  case OPTION_SYSTEM:
    a->system = argument;
    return 0;
  case OPTION_JSON:
    a->json = true;
    return 0;
  case OPTION_LOGITS:
    a->logits = true;
    return 0;
  case OPTION_PRECISION:
    a->precision = ft_cli_dtype(state, "--precision", argument);
    a->has_precision = true;
    return 0;
  case ARGP_KEY_ARG:
    argp_error(state, "\"%s\" was not expected; put the prompt in quotes after --prompt", argument);
    return EINVAL;
  case ARGP_KEY_END:
    if (!a->model) argp_error(state, "--model is missing");
    if (!a->prompt) argp_error(state, "--prompt is missing");
    if (a->logits && !a->json) argp_error(state, "--logits needs --json");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

typedef struct generator {
  const arguments *arguments;
  ft_hf_config hf;
  ft_hf_adapter *adapter; /* NULL: none */
  ft_tokenizer *tokenizer;
  ft_render_options render;
  ft_comm *comm;
  ft_shard *shard;
  ft_model *model;
  ft_cache *cache;
  ft_sampler sampler;
  ft_ids prompt, answer; /* the answer's last token is the one that ended it, if `ended` */
  bool ended;
  float *logits;       /* [vocab] after the newest token */
  float *first_logits; /* [vocab] after the prompt, kept for --logits */
} generator;

/* ---------------------------------------------------------------- prompt */

/* What the post-processor adds in front, unless the prompt begins with it. */
static ft_err add_prefix(generator *g, ft_ids *ids) {
  ft_err err = FT_OK;
  const uint32_t *before, *after;
  int64_t num_before, num_after;
  ft_ids whole = {0};
  ft_tokenizer_post_processor(g->tokenizer, &before, &num_before, &after, &num_after);
  if (num_before == 0 || (ids->count >= num_before &&
                          memcmp(ids->ids, before, (size_t)num_before * sizeof *before) == 0))
    return FT_OK;
  FT_TRY(ft_ids_append(&whole, before, num_before, 0));
  FT_TRY(ft_ids_append(&whole, ids->ids, ids->count, 0));
  ft_ids_fini(ids);
  *ids = whole;
  whole = (ft_ids){0};
out:
  ft_ids_fini(&whole);
  return err;
}

/* Positions that a method leaves to tokens. */
static int64_t max_tokens(const generator *g) {
  return g->hf.arch.max_positions - ft_method_virtual_rows(&g->hf.layout->method);
}

static ft_err make_prompt(generator *g) {
  ft_err err = FT_OK;
  const arguments *a = g->arguments;
  if (a->chat)
    FT_TRY(ft_render_prompt(g->tokenizer, &g->render, a->prompt, &g->prompt));
  else {
    FT_TRY(ft_tokenizer_encode(g->tokenizer, a->prompt, strlen(a->prompt), true, 0, &g->prompt));
    FT_TRY(add_prefix(g, &g->prompt));
  }
  FT_CHECK(g->prompt.count > 0, FT_ERR_USAGE,
           "the prompt is empty, and this tokenizer adds no first token");
  FT_CHECK(g->prompt.count <= max_tokens(g), FT_ERR_DATA,
           "the prompt has %lld tokens; %s allows %lld positions%s", (long long)g->prompt.count,
           a->model, (long long)max_tokens(g), a->adapter ? " behind the adapter's" : "");
  for (int64_t i = 0; i < g->prompt.count; i++)
    FT_CHECK(g->prompt.ids[i] < g->hf.arch.vocab, FT_ERR_DATA,
             "token %u of %s/tokenizer.json is beyond the vocabulary of %s/config.json (%lld)",
             g->prompt.ids[i], a->model, a->model, (long long)g->hf.arch.vocab);
out:
  return err;
}

static ft_err lay_adapter(generator *g) {
  ft_err err = FT_OK;
  const char *dir = g->arguments->adapter;
  FT_TRY(ft_hf_adapter_open(dir, &g->adapter));
  FT_TRY(ft_hf_adapter_put(g->adapter, g->arguments->model, &g->hf));
out:
  return err;
}

static ft_err open_text(generator *g) {
  ft_err err = FT_OK;
  ft_template wanted = FT_TEMPLATE_AUTO;
  if (g->arguments->template_name)
    FT_TRY(ft_template_by_name(g->arguments->template_name, &wanted));
  FT_TRY(ft_hf_check_sums(g->arguments->model));
  FT_TRY(ft_hf_config_read(g->arguments->model, &g->hf));
  if (g->arguments->adapter) FT_TRY(lay_adapter(g));
  FT_TRY(ft_tokenizer_open(g->arguments->model, &g->tokenizer));
  if (g->arguments->chat) {
    FT_TRY(ft_render_options_init(g->arguments->model, g->tokenizer, wanted, g->arguments->system,
                                  &g->render));
  } else {
    FT_TRY(ft_template_resolve(wanted, g->tokenizer, &g->render.template));
    g->render.eos = g->hf.num_eos_tokens > 0 ? g->hf.eos_tokens[0] : -1;
  }
  FT_TRY(make_prompt(g));
out:
  return err;
}

/* ---------------------------------------------------------------- model */

static ft_err open_model(generator *g) {
  ft_err err = FT_OK;
  const arguments *a = g->arguments;
  const ft_arch *arch = &g->hf.arch;
  ft_dtype own = g->hf.dtype == FT_F32 ? FT_F32 : FT_BF16;
  ft_dtype type = a->has_precision ? a->precision : own;
  int64_t rows = g->prompt.count + ft_method_virtual_rows(&g->hf.layout->method);
  ft_shard_options shard = {.stage = 2, .training = false, .compute = type};
  ft_model_options model = {.compute = type, .max_tokens = FT_MIN(rows, 2048)};
  void *p;
  FT_TRY(ft_hf_check_weights(a->model, &g->hf));
  FT_TRY(ft_shard_new(g->comm, g->hf.layout, &shard, &g->shard));
  FT_TRY(ft_model_new(g->shard, &model, &g->model));
  FT_TRY(ft_cache_new(g->model, FT_MIN(g->prompt.count + a->max_tokens, max_tokens(g)), &g->cache));
  FT_TRY(ft_sampler_init(&g->sampler, arch->vocab, a->temperature, a->top_p, (uint64_t)a->seed));
  FT_TRY(ft_alloc_array(FT_MEM_WORKSPACE, arch->vocab, sizeof(float), &p));
  g->logits = p;
  FT_TRY(ft_hf_import(a->model, &g->hf, g->shard, g->comm));
  if (g->adapter) FT_TRY(ft_hf_adapter_import(g->adapter, g->shard, g->comm));
out:
  return err;
}

static bool ends(const generator *g, uint32_t id) {
  for (int64_t i = 0; i < g->hf.num_eos_tokens; i++)
    if (g->hf.eos_tokens[i] == (int64_t)id) return true;
  return (int64_t)id == ft_template_end_of_turn(g->tokenizer, &g->render);
}

static void print_token(const generator *g, ft_printer *printer, uint32_t id) {
  char piece[1024];
  if (g->arguments->json || ft_tokenizer_is_special(g->tokenizer, id)) return;
  bool first = g->arguments->chat && g->answer.count == 1;
  size_t n = ft_tokenizer_piece(g->tokenizer, id, first, piece, sizeof piece);
  ft_printer_write(printer, piece, n);
}

static ft_err generate(generator *g) {
  ft_err err = FT_OK;
  ft_printer printer = {0};
  int64_t room = max_tokens(g) - g->prompt.count;
  int64_t limit = FT_MIN(g->arguments->max_tokens, room);
  size_t logits_bytes = (size_t)g->hf.arch.vocab * sizeof(float);
  FT_TRY(ft_model_extend(g->model, g->cache, g->prompt.ids, g->prompt.count, g->logits));
  if (g->arguments->logits) {
    void *p;
    FT_TRY(ft_alloc(FT_MEM_WORKSPACE, logits_bytes, &p));
    g->first_logits = memcpy(p, g->logits, logits_bytes);
  }
  while (g->answer.count < limit) {
    uint32_t id = ft_sampler_choose(&g->sampler, g->logits, g->prompt.count + g->answer.count);
    FT_TRY(ft_ids_append(&g->answer, &id, 1, 0));
    g->ended = ends(g, id);
    if (g->ended) break;
    print_token(g, &printer, id);
    if (ferror(stdout)) break; /* nobody reads on, which the status will say */
    if (g->answer.count < limit) FT_TRY(ft_model_extend(g->model, g->cache, &id, 1, g->logits));
  }
  ft_printer_end(&printer);
  if (!g->arguments->json) printf("\n");
out:
  return err;
}

/* ---------------------------------------------------------------- JSON */

static cJSON *id_list(const ft_ids *ids) {
  cJSON *list = cJSON_CreateArray();
  for (int64_t i = 0; i < ids->count; i++)
    cJSON_AddItemToArray(list, cJSON_CreateNumber((double)ids->ids[i]));
  return list;
}

static ft_err print_json(generator *g) {
  ft_err err = FT_OK;
  char *text = NULL, *printed = NULL;
  size_t bytes;
  cJSON *object = cJSON_CreateObject();
  cJSON_AddItemToObject(object, "prompt_ids", id_list(&g->prompt));
  cJSON_AddItemToObject(object, "ids", id_list(&g->answer));
  FT_TRY(ft_tokenizer_decode(g->tokenizer, g->answer.ids, g->answer.count - g->ended, true, &text,
                             &bytes));
  cJSON_AddStringToObject(object, "text", text);
  if (g->first_logits) {
    cJSON *list = cJSON_AddArrayToObject(object, "logits");
    for (int64_t i = 0; i < g->hf.arch.vocab; i++)
      cJSON_AddItemToArray(list, cJSON_CreateNumber((double)g->first_logits[i]));
  }
  printed = cJSON_PrintUnformatted(object);
  FT_CHECK(printed, FT_ERR_MEMORY, "no memory for the output");
  printf("%s\n", printed);
out:
  cJSON_free(printed);
  cJSON_Delete(object);
  ft_free(text);
  return err;
}

static void close_generator(generator *g) {
  ft_free(g->logits);
  ft_free(g->first_logits);
  ft_ids_fini(&g->prompt);
  ft_ids_fini(&g->answer);
  ft_sampler_fini(&g->sampler);
  ft_cache_free(g->cache);
  ft_model_free(g->model);
  ft_shard_free(g->shard);
  ft_render_options_fini(&g->render);
  ft_tokenizer_close(g->tokenizer);
  ft_hf_adapter_close(g->adapter);
  ft_hf_config_fini(&g->hf);
}

const struct argp ft_cli_generate_argp = {
    .options = options,
    .parser = take,
    .args_doc = "--model DIR --prompt TEXT",
    .doc = "Prints the model's continuation of a prompt as it is made, until it ends its turn or "
           "text, or after "
           "--max-tokens. Positions of earlier tokens are kept, so each new token costs one row."};

int ft_cli_generate(int argc, char **argv) {
  ft_err err = FT_OK;
  arguments a = {.max_tokens = 256, .seed = 1, .top_p = 1};
  generator g = {.arguments = &a};
  ft_cli_parse(&ft_cli_generate_argp, argc, argv, &a);
  FT_TRY(ft_cli_alone("generate"));
  FT_TRY(open_text(&g));
  FT_TRY(ft_cli_start(&g.comm));
  FT_TRY(open_model(&g));
  FT_TRY(generate(&g));
  if (a.json) FT_TRY(print_json(&g));
out:
  close_generator(&g);
  int status = ft_cli_end(err);
  ft_cli_stop(g.comm);
  return status;
}
