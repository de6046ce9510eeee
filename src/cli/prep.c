/* ftrun prep --model DIR --input FILE.jsonl … --out DIR: JSONL to token shards. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/hf.h"
#include "ft/prep.h"
#include "show_tokens.h"

typedef struct arguments {
  ft_prep_options prep;
  const char **inputs; /* [num_inputs]; owned */
  struct tm date;
  bool show, color;
} arguments;

enum {
  OPTION_TEMPLATE = 256,
  OPTION_SYSTEM,
  OPTION_SEQ_LEN,
  OPTION_TRUNCATE,
  OPTION_SKIP_BAD,
  OPTION_SKIP_MASKED,
  OPTION_VALIDATION,
  OPTION_TEST,
  OPTION_SEED,
  OPTION_OVERWRITE,
  OPTION_TRAIN_ON,
  OPTION_DATE,
  OPTION_SHOW,
  OPTION_COLOR,
  OPTION_THREADS
};

static const struct argp_option options[] = {
    {"model", 'm', "DIR", 0, "The model directory: its config.json and tokenizer files", 0},
    {"input", 'i', "FILE", 0,
     "A JSONL file (repeat for more, or name more after it); - is standard input", 0},
    {"out", 'o', "DIR", 0, "Where the folders train, validation and test are put", 0},
    {"template", OPTION_TEMPLATE, "NAME", 0,
     "model (its own), or a layout: chatml, llama2, llama3, alpaca, plain (auto: the model's own, "
     "or a layout by its special tokens if it has none)",
     0},
    {"system", OPTION_SYSTEM, "TEXT", 0, "System message of chats that have none", 0},
    {"train-on", OPTION_TRAIN_ON, "WHICH", 0,
     "Learn all messages of the assistant, the last, or those marked by a member (all)", 0},
    {"date", OPTION_DATE, "DATE", 0, "What chat templates take for today, YYYY-MM-DD (today)", 0},
    {"seq-len", OPTION_SEQ_LEN, "N", 0,
     "Longest chat in tokens (the model's longest position, at most 4096)", 0},
    {"truncate", OPTION_TRUNCATE, NULL, 0, "Cut longer chats instead of refusing them", 0},
    {"skip-bad-lines", OPTION_SKIP_BAD, NULL, 0,
     "Leave out lines that cannot be used, and chats that are too long", 0},
    {"skip-all-masked", OPTION_SKIP_MASKED, NULL, 0, "Leave out documents without any target", 0},
    {"validation", OPTION_VALIDATION, "SHARE", 0, "Share of documents for validation (0.05)", 0},
    {"test", OPTION_TEST, "SHARE", 0, "Share of documents for test (0.05)", 0},
    {"seed", OPTION_SEED, "N", 0, "Another number splits otherwise (1)", 0},
    {"overwrite", OPTION_OVERWRITE, NULL, 0, "Replace the token shards that --out holds", 0},
    {"show", OPTION_SHOW, NULL, 0, "Print the first document's tokens and targets", 0},
    {"color", OPTION_COLOR, "WHEN", 0, "auto, always or never (auto)", 0},
    {"threads", OPTION_THREADS, "N", 0, "Threads (OMP_NUM_THREADS, or all cores)", 0},
    {0}};

static atomic_bool stop;

static void on_signal(int number) {
  (void)number;
  atomic_store(&stop, true);
}

static void add_input(arguments *a, const char *path, struct argp_state *state) {
  const char **inputs = realloc(a->inputs, (size_t)(a->prep.num_inputs + 1) * sizeof *inputs);
  if (!inputs) argp_failure(state, FT_ERR_MEMORY, 0, "no memory");
  a->inputs = inputs;
  a->inputs[a->prep.num_inputs++] = path;
}

static error_t take_limits(int key, char *argument, struct argp_state *state) {
  ft_prep_options *o = &((arguments *)state->input)->prep;
  switch (key) {
  case OPTION_SEQ_LEN:
    o->seq_len = ft_cli_int(state, "--seq-len", argument, 2, INT32_MAX);
    return 0;
  case OPTION_TRUNCATE:
    o->truncate = true;
    return 0;
  case OPTION_SKIP_BAD:
    o->skip_bad_lines = true;
    return 0;
  case OPTION_SKIP_MASKED:
    o->skip_all_masked = true;
    return 0;
  case OPTION_VALIDATION:
    o->validation = ft_cli_number(state, "--validation", argument, 0, 1);
    return 0;
  case OPTION_TEST:
    o->test = ft_cli_number(state, "--test", argument, 0, 1);
    return 0;
  case OPTION_SEED:
    o->seed = (uint64_t)ft_cli_int(state, "--seed", argument, 0, INT64_MAX);
    return 0;
  case OPTION_THREADS:
    o->num_threads = (int)ft_cli_int(state, "--threads", argument, 1, 256);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'm':
    a->prep.model_dir = argument;
    return 0;
  case 'i':
  case ARGP_KEY_ARG:
    add_input(a, argument, state);
    return 0;
  case 'o':
    a->prep.out_dir = argument;
    return 0;
  case OPTION_TEMPLATE:
    if (ft_template_by_name(argument, &a->prep.template) != FT_OK)
      argp_error(state, "--template: %s", ft_error_message());
    return 0;
  case OPTION_SYSTEM:
    a->prep.system = argument;
    return 0;
  case OPTION_TRAIN_ON:
    if (ft_train_on_by_name(argument, &a->prep.train_on) != FT_OK)
      argp_error(state, "--train-on: %s", ft_error_message());
    return 0;
  case OPTION_DATE:
    if (ft_date_by_name(argument, &a->date) != FT_OK)
      argp_error(state, "--date: %s", ft_error_message());
    a->prep.date = &a->date;
    return 0;
  case OPTION_OVERWRITE:
    a->prep.overwrite = true;
    return 0;
  case OPTION_SHOW:
    a->show = true;
    return 0;
  case OPTION_COLOR:
    a->color = ft_cli_color(state, argument);
    return 0;
  case ARGP_KEY_END:
    if (!a->prep.model_dir) argp_error(state, "--model is missing");
    if (a->prep.num_inputs == 0) argp_error(state, "--input is missing");
    if (!a->prep.out_dir) argp_error(state, "--out is missing");
    return 0;
  default:
    return take_limits(key, argument, state);
  }
}

static int default_threads(void) {
  cpu_set_t cores;
  const char *text = getenv("OMP_NUM_THREADS");
  long told = text ? strtol(text, NULL, 10) : 0;
  if (told > 0) return (int)FT_MIN(told, 256);
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

static ft_err show_first(void *arg, const ft_tokenizer *t, const ft_ids *ids) {
  const arguments *a = arg;
  ft_show_tokens(stdout, "first document: ", t, ids, a->color);
  return FT_OK;
}

static void print_set(const char *name, int64_t documents, int64_t tokens, int64_t targets) {
  printf("%-12s%12lld%14lld%14lld", name, (long long)documents, (long long)tokens,
         (long long)targets);
  if (tokens > 0)
    printf("%9.1f %%\n", 100 * (double)targets / (double)tokens);
  else
    printf("%11s\n", "-");
}

static void print_report(const arguments *a, const ft_prep_report *r) {
  int64_t documents = 0, tokens = 0, targets = 0;
  for (int set = 0; set < FT_NUM_SPLITS; set++) {
    documents += r->documents[set];
    tokens += r->tokens[set];
    targets += r->targets[set];
  }
  if (r->text_documents < documents) {
    printf("template    %s%s\n", ft_template_name(r->template),
           a->prep.template != FT_TEMPLATE_AUTO ? ""
           : r->template == FT_TEMPLATE_MODEL   ? " (the model's own)"
                                                : " (a layout by the tokenizer's special tokens: "
                                                  "the model has no template of its own)");
    if (r->system[0])
      printf("system      \"%s%s\" where a chat has none\n", r->system,
             strlen(r->system) == sizeof r->system - 1 ? "…" : "");
    printf("seq_len     %lld\n", (long long)r->seq_len);
  }
  printf("lines       %lld, %lld bad, %lld without a target%s, %lld cut\n\n", (long long)r->lines,
         (long long)r->bad_lines, (long long)r->all_masked,
         r->bad_lines + r->all_masked > 0 ? " (left out)" : "", (long long)r->truncated);
  printf("%-12s%12s%14s%14s%11s\n", "set", "documents", "tokens", "targets", "share");
  for (int set = 0; set < FT_NUM_SPLITS; set++)
    print_set(ft_split_name((ft_split)set), r->documents[set], r->tokens[set], r->targets[set]);
  print_set("all", documents, tokens, targets);
}

static ft_err prep(arguments *a) {
  ft_err err = FT_OK;
  ft_hf_config config = {0};
  ft_prep_report report = {0};
  FT_TRY(ft_cli_alone("prep"));
  FT_TRY(ft_hf_check_sums(a->prep.model_dir));
  FT_TRY(ft_hf_config_read(a->prep.model_dir, &config));
  a->prep.inputs = a->inputs;
  a->prep.max_positions = config.arch.max_positions;
  a->prep.model_vocab = config.arch.vocab;
  a->prep.bos = -1; /* as the tokenizer has it, so that `tokenize --chat` shows the same */
  a->prep.eos = config.num_eos_tokens > 0 ? config.eos_tokens[0] : -1;
  a->prep.stop = &stop;
  if (a->show) a->prep.show_first = show_first;
  a->prep.show_arg = a;
  FT_TRY(ft_prep(&a->prep, &report));
  print_report(a, &report);
  FT_CHECK(fflush(stdout) == 0, FT_ERR_IO, "the report cannot be written to standard output");
out:
  ft_hf_config_fini(&config);
  return err;
}

const struct argp ft_cli_prep_argp = {
    .options = options,
    .parser = take,
    .args_doc = "--model DIR --input FILE.jsonl … --out DIR",
    .doc = "Reads JSONL records, applies the model's chat template, tokenizes, splits by content "
           "into train, validation and test, and writes token shards. Nothing is written unless "
           "every line can be used, or --skip-bad-lines is given."};

int ft_cli_prep(int argc, char **argv) {
  /* a second signal ends a run that waits for a pipe */
  static const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  arguments a = {.prep = {.validation = 0.05, .test = 0.05, .seed = 1}};
  a.color = ft_cli_color_auto();
  a.prep.num_threads = default_threads();
  ft_cli_parse(&ft_cli_prep_argp, argc, argv, &a);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  ft_err err = prep(&a);
  free(a.inputs);
  return ft_cli_end(err);
}
