/* ftrun generate --model DIR [--adapter DIR] --prompt TEXT|--prompts FILE [--chat] … */
#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/hf_adapter.h"
#include "ft/model_generate.h"
#include "ft/prep_prompts.h"
#include "printer.h"

typedef struct arguments {
  const char *model, *adapter, *prompt, *prompts, *template_name, *system;
  bool chat, json, logits, has_precision;
  int64_t max_tokens, seed, batch;
  double temperature, top_p;
  ft_dtype precision;
} arguments;

enum {
  OPTION_JSON = 256,
  OPTION_LOGITS,
  OPTION_SYSTEM,
  OPTION_TEMPLATE,
  OPTION_TOP_P,
  OPTION_PRECISION,
  OPTION_PROMPTS
};

static const struct argp_option options[] = {
    {"model", 'm', "DIR", 0, "The model directory", 0},
    {"adapter", 'a', "DIR", 0, "Lay an adapter directory over it", 0},
    {"prompt", 'p', "TEXT", 0, "What to continue; special tokens written in it count as such", 0},
    {"prompts", OPTION_PROMPTS, "FILE", 0,
     "Many of them, one JSON object {\"prompt\": TEXT} a line (\"stream\": N draws other tokens); "
     "each answer is printed as with --json, in their order",
     0},
    {"batch", 'b', "N", 0, "With --prompts: answers that are made together (32)", 0},
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
  case OPTION_PROMPTS:
    a->prompts = argument;
    return 0;
  case 'b':
    a->batch = ft_cli_int(state, "--batch", argument, 1, 4096);
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
    if (!a->prompt && !a->prompts) argp_error(state, "--prompt is missing");
    if (a->prompt && a->prompts) argp_error(state, "--prompt and --prompts exclude each other");
    if (a->batch && !a->prompts) argp_error(state, "--batch needs --prompts");
    if (a->logits && (!a->json || a->prompts))
      argp_error(state, "--logits needs --prompt and --json");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* The answer to a prompt. */
typedef struct answer {
  ft_ids ids; /* the last is the one that ended it, if `ended` */
  bool complete, ended;
} answer;

typedef struct generator {
  const arguments *arguments;
  ft_hf_config hf;
  ft_hf_adapter *adapter; /* NULL: none */
  ft_tokenizer *tokenizer;
  ft_render_options render;
  int64_t end_of_turn; /* -1: none */
  ft_comm *comm;
  ft_shard *shard;
  ft_model *model;
  ft_generator *room;
  ft_prompt_list prompts;
  answer *answers;     /* [prompts.num] */
  int64_t printed;     /* answers of --prompts */
  ft_printer printer;  /* of the only answer */
  float *first_logits; /* [vocab] after the prompt, for --logits; else NULL */
} generator;

/* ---------------------------------------------------------------- prompts */

static ft_err read_prompts(generator *g) {
  ft_err err = FT_OK;
  const arguments *a = g->arguments;
  const ft_prompt_rules rules = {.model_dir = a->model,
                                 .tokenizer = g->tokenizer,
                                 .render = a->chat ? &g->render : NULL,
                                 .max_tokens = ft_layout_max_tokens(g->hf.layout),
                                 .has_virtual_rows =
                                     ft_layout_max_tokens(g->hf.layout) < g->hf.arch.max_positions,
                                 .vocab = g->hf.arch.vocab};
  void *p;
  if (a->prompts)
    FT_TRY(ft_prompt_list_read(&g->prompts, &rules, a->prompts));
  else
    FT_TRY(ft_prompt_list_add(&g->prompts, &rules, a->prompt, 0));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, g->prompts.num, sizeof *g->answers, &p));
  g->answers = p;
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
    g->render.eos = ft_hf_eos(&g->hf);
  }
  g->end_of_turn = ft_template_end_of_turn(g->tokenizer, &g->render);
  FT_TRY(read_prompts(g));
out:
  return err;
}

/* ---------------------------------------------------------------- model */

static int64_t longest_prompt(const generator *g) {
  int64_t most = 0;
  for (int64_t i = 0; i < g->prompts.num; i++)
    most = FT_MAX(most, g->prompts.items[i].ids.count);
  return most;
}

static int64_t at_once(const generator *g) {
  int64_t wanted = g->arguments->batch > 0 ? g->arguments->batch : 32;
  return FT_MIN(wanted, g->prompts.num);
}

static ft_err open_model(generator *g) {
  ft_err err = FT_OK;
  const arguments *a = g->arguments;
  ft_dtype own = g->hf.dtype == FT_F32 ? FT_F32 : FT_BF16;
  ft_dtype type = a->has_precision ? a->precision : own;
  int64_t longest = longest_prompt(g) + ft_method_virtual_rows(&g->hf.layout->method);
  int64_t rows = FT_MAX(FT_MIN(longest, 2048), at_once(g));
  ft_shard_options shard = {.stage = 2, .training = false, .compute = type};
  ft_model_options model = {.compute = type, .max_tokens = rows};
  ft_generator_options room = {
      .at_once = at_once(g),
      .max_tokens = FT_MIN(longest_prompt(g) + a->max_tokens, ft_layout_max_tokens(g->hf.layout)),
      .draws = a->temperature > 0};
  void *p;
  FT_TRY(ft_hf_check_weights(a->model, &g->hf));
  FT_TRY(ft_shard_new(g->comm, g->hf.layout, &shard, &g->shard));
  FT_TRY(ft_model_new(g->shard, &model, &g->model));
  FT_TRY(ft_generator_new(g->model, &room, &g->room));
  if (a->logits) {
    FT_TRY(ft_alloc_array(FT_MEM_WORKSPACE, g->hf.arch.vocab, sizeof(float), &p));
    g->first_logits = p;
  }
  FT_TRY(ft_hf_import(a->model, &g->hf, g->shard, g->comm));
  if (g->adapter) FT_TRY(ft_hf_adapter_import(g->adapter, g->shard, g->comm));
out:
  return err;
}

/* ---------------------------------------------------------------- answers */

static cJSON *id_list(const uint32_t *ids, int64_t count) {
  cJSON *list = cJSON_CreateArray();
  for (int64_t i = 0; i < count; i++)
    cJSON_AddItemToArray(list, cJSON_CreateNumber((double)ids[i]));
  return list;
}

static ft_err print_json(const generator *g, int64_t i) {
  ft_err err = FT_OK;
  char *text = NULL, *printed = NULL;
  size_t bytes;
  const ft_ids *prompt = &g->prompts.items[i].ids;
  const answer *x = &g->answers[i];
  cJSON *object = cJSON_CreateObject();
  cJSON_AddItemToObject(object, "prompt_ids", id_list(prompt->ids, prompt->count));
  cJSON_AddItemToObject(object, "ids", id_list(x->ids.ids, x->ids.count));
  FT_TRY(
      ft_tokenizer_decode(g->tokenizer, x->ids.ids, x->ids.count - x->ended, true, &text, &bytes));
  cJSON_AddStringToObject(object, "text", text);
  if (g->first_logits) {
    cJSON *list = cJSON_AddArrayToObject(object, "logits");
    for (int64_t k = 0; k < g->hf.arch.vocab; k++)
      cJSON_AddItemToArray(list, cJSON_CreateNumber((double)g->first_logits[k]));
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

/* What is complete, as far as the answers before it are; its memory is given back. */
static ft_err print_answers(generator *g, bool all) {
  ft_err err = FT_OK;
  while (g->printed < g->prompts.num && (all || g->answers[g->printed].complete)) {
    FT_TRY(print_json(g, g->printed));
    ft_ids_fini(&g->answers[g->printed++].ids);
  }
  fflush(stdout);
out:
  return err;
}

static bool ends(void *context, uint32_t id) {
  const generator *g = context;
  return ft_hf_ends_text(&g->hf, id) || (int64_t)id == g->end_of_turn;
}

static void print_token(generator *g, uint32_t id) {
  char piece[1024];
  if (ft_tokenizer_is_special(g->tokenizer, id)) return;
  bool first = g->arguments->chat && g->answers[0].ids.count == 1;
  size_t n = ft_tokenizer_piece(g->tokenizer, id, first, piece, sizeof piece);
  ft_printer_write(&g->printer, piece, n);
}

static ft_err take_token(void *context, int64_t prompt, uint32_t id, bool last, bool ended) {
  ft_err err = FT_OK;
  generator *g = context;
  answer *x = &g->answers[prompt];
  const arguments *a = g->arguments;
  FT_TRY(ft_ids_append(&x->ids, &id, 1, 0));
  x->complete = last;
  x->ended = ended;
  if (a->prompts)
    FT_TRY(print_answers(g, false));
  else if (!a->json && !ended)
    print_token(g, id);
  FT_CHECK(!ferror(stdout), FT_ERR_IO, "standard output cannot be written to");
out:
  return err;
}

static ft_err generate(generator *g) {
  ft_err err = FT_OK;
  const arguments *a = g->arguments;
  ft_prompt *prompts;
  void *memory = NULL;
  const ft_generate_options o = {
      .sampling = {.temperature = a->temperature, .top_p = a->top_p, .seed = (uint64_t)a->seed},
      .max_tokens = a->max_tokens,
      .context = g,
      .ends = ends,
      .take = take_token};
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, g->prompts.num, sizeof *prompts, &memory));
  prompts = memory;
  for (int64_t i = 0; i < g->prompts.num; i++) {
    const ft_prompt_text *p = &g->prompts.items[i];
    prompts[i] = (ft_prompt){.ids = p->ids.ids, .num = p->ids.count, .stream = p->stream};
  }
  FT_TRY(ft_generate(g->room, prompts, g->prompts.num, &o, g->first_logits));
  if (a->prompts || a->json) FT_TRY(print_answers(g, true));
  ft_printer_end(&g->printer);
  if (!a->prompts && !a->json) printf("\n");
out:
  ft_free(memory);
  return err;
}

static void close_generator(generator *g) {
  for (int64_t i = 0; g->answers && i < g->prompts.num; i++)
    ft_ids_fini(&g->answers[i].ids);
  ft_free(g->answers);
  ft_free(g->first_logits);
  ft_prompt_list_fini(&g->prompts);
  ft_generator_free(g->room);
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
    .args_doc = "--model DIR --prompt TEXT|--prompts FILE",
    .doc =
        "Prints the model's continuation of a prompt as it is made, until it ends its turn or "
        "text, or after "
        "--max-tokens. Positions of earlier tokens are kept, so each new token costs one row. Of "
        "many prompts, answers are made together; none depends on what is made beside it."};

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
out:
  close_generator(&g);
  int status = ft_cli_end(err);
  ft_cli_stop(g.comm);
  return status;
}
