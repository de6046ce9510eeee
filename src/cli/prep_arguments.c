/* Options of `ftrun prep`: the table, and what each of them does. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "prep_arguments.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "show_tokens.h"

enum {
  MODEL = 'm',
  INPUT = 'i',
  OUT = 'o',
  FORM = 256,
  FIELD,
  TEMPLATE,
  SYSTEM,
  TRAIN_ON,
  DATE,
  CONTROL_TOKENS,
  SEQ_LEN,
  TRUNCATE,
  SKIP_BAD,
  SKIP_MASKED,
  VALIDATION,
  TEST,
  SEED,
  CLEAN,
  RULE,
  MIN_TOKENS,
  MAX_TOKENS,
  NEAR_THRESHOLD,
  NEAR_SHINGLE,
  NEAR_UNIT,
  NGRAM,
  AGAINST,
  SORT_MEMORY,
  OVERWRITE,
  SHOW,
  COLOR,
  THREADS
};

const struct argp_option ft_prep_argp_options[] = {
    {"model", MODEL, "DIR", 0, "The model directory: its config.json and tokenizer files", 0},
    {"input", INPUT, "FILE", 0,
     "JSON lines (plain, .gz, .zst), HDF5 with tokens, a folder or a pattern (repeat for more, or "
     "name more after it); - is standard input",
     0},
    {"out", OUT, "DIR", 0, "Where the folders train, validation and test are put", 0},
    {"form", FORM, "NAME", 0,
     "auto, text, classes, messages, conversations, alpaca, prompt/completion, preference or "
     "tokens (auto)",
     0},
    {"field", FIELD, "OURS=THEIRS", 0,
     "A member's name in the files: messages=dialog (repeat for more)", 0},
    {"template", TEMPLATE, "NAME", 0,
     "model (its own), or a layout: chatml, llama2, llama3, alpaca, plain (auto: the model's own, "
     "or a layout by its special tokens if it has none)",
     0},
    {"system", SYSTEM, "TEXT", 0, "System message of chats that have none", 0},
    {"train-on", TRAIN_ON, "WHICH", 0,
     "Learn all messages of the assistant, the last, or those marked by a member (all)", 0},
    {"date", DATE, "DATE", 0, "What chat templates take for today, YYYY-MM-DD (today)", 0},
    {"control-tokens", CONTROL_TOKENS, NULL, 0,
     "Control tokens that texts, prompts and completions spell out are tokens, not letters", 0},
    {"seq-len", SEQ_LEN, "N", 0,
     "Longest chat in tokens (the model's longest position, at most 4096)", 0},
    {"truncate", TRUNCATE, NULL, 0, "Cut longer chats instead of refusing them", 0},
    {"skip-bad-lines", SKIP_BAD, NULL, 0,
     "Leave out lines that cannot be used, and chats that are too long", 0},
    {"skip-all-masked", SKIP_MASKED, NULL, 0, "Leave out documents without any target", 0},
    {"validation", VALIDATION, "SHARE", 0, "Share of documents for validation (0.05)", 0},
    {"test", TEST, "SHARE", 0, "Share of documents for test (0.05)", 0},
    {"seed", SEED, "N", 0, "Another number splits otherwise (1)", 0},
    {"clean", CLEAN, NULL, 0,
     "Every rule drops, or fixes what can be fixed, but those of personal data", 0},
    {"rule", RULE, "NAME=ACTION", 0,
     "What a cleaning rule does: off, flag, drop, fix or refuse (docs/data.md; repeat for more)",
     0},
    {"min-tokens", MIN_TOKENS, "N", 0, "What the rule too_short takes as short (0: nothing)", 0},
    {"max-tokens", MAX_TOKENS, "N", 0, "What the rule too_long takes as long (0: nothing)", 0},
    {"near-threshold", NEAR_THRESHOLD, "SHARE", 0,
     "Similarity from which documents are near duplicates (0.7)", 0},
    {"near-shingle", NEAR_SHINGLE, "N", 0, "Words, or characters, that are compared as one (3)", 0},
    {"near-unit", NEAR_UNIT, "UNIT", 0, "words or characters (words)", 0},
    {"ngram", NGRAM, "N", 0, "Words in a row that contaminate (13)", 0},
    {"against", AGAINST, "FILE", 0,
     "Records that train may not share such words with, beside validation and test (repeat for "
     "more)",
     0},
    {"sort-memory", SORT_MEMORY, "MIB", 0, "Memory of sorting before it goes to the disk (256)", 0},
    {"overwrite", OVERWRITE, NULL, 0, "Replace the token shards that --out holds", 0},
    {"show", SHOW, NULL, 0, "Print the first document's tokens and targets", 0},
    {"color", COLOR, "WHEN", 0, "auto, always or never (auto)", 0},
    {"threads", THREADS, "N", 0, "Threads (OMP_NUM_THREADS, or all cores)", 0},
    {0}};

/* ---------------------------------------------------------------- values */

static ft_err whole(const char *text, int64_t least, int64_t most, int64_t *out) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (end == text || *end || errno || value < least || value > most)
    return ft_fail(FT_ERR_USAGE, "\"%.40s\": a whole number from %lld to %lld was expected", text,
                   (long long)least, (long long)most);
  *out = value;
  return FT_OK;
}

static ft_err share(const char *text, double *out) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || !(value >= 0 && value <= 1))
    return ft_fail(FT_ERR_USAGE, "\"%.40s\": a number from 0 to 1 was expected", text);
  *out = value;
  return FT_OK;
}

static ft_err add_to(const char ***list, int64_t *count, const char *text) {
  ft_err err = ft_grow_one(FT_MEM_OTHER, *count, sizeof **list, (void **)list);
  if (err == FT_OK) (*list)[(*count)++] = text;
  return err;
}

ft_err ft_prep_add_input(ft_prep_arguments *a, const char *path) {
  ft_err err = add_to(&a->inputs, &a->prep.num_inputs, path);
  a->prep.inputs = a->inputs;
  return err;
}

/* "NAME=VALUE" in two. The first half is kept for good. */
static ft_err split(const char *text, char **name, const char **value) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text || !equals[1])
    return ft_fail(FT_ERR_USAGE, "\"%.60s\": NAME=VALUE was expected", text);
  *value = equals + 1;
  return ft_format(name, "%.*s", (int)(equals - text), text);
}

static ft_err set_field(ft_prep_arguments *a, const char *text) {
  ft_record_rules *r = &a->prep.records;
  char *name;
  const char *value = NULL;
  if (r->num_fields == FT_PREP_MAX_FIELDS)
    return ft_fail(FT_ERR_USAGE, "more than %d fields", FT_PREP_MAX_FIELDS);
  ft_err err = split(text, &name, &value);
  if (err != FT_OK) return err;
  a->fields[r->num_fields++] = (ft_field){name, value};
  r->fields = a->fields;
  return FT_OK;
}

static ft_err set_rule(ft_prep_arguments *a, const char *text) {
  char *name;
  const char *value = NULL;
  ft_err err = split(text, &name, &value);
  if (err != FT_OK) return err;
  err = ft_clean_set(&a->prep.clean, name, value);
  ft_free(name);
  return err;
}

static ft_err set_unit(ft_clean_options *clean, const char *text) {
  clean->near_characters = strcmp(text, "characters") == 0;
  if (clean->near_characters || strcmp(text, "words") == 0) return FT_OK;
  return ft_fail(FT_ERR_USAGE, "\"%.40s\": words or characters was expected", text);
}

static ft_err set_color(ft_prep_arguments *a, const char *text) {
  bool always = strcmp(text, "always") == 0, automatic = strcmp(text, "auto") == 0;
  a->color = always || (automatic && ft_cli_color_auto());
  if (always || automatic || strcmp(text, "never") == 0) return FT_OK;
  return ft_fail(FT_ERR_USAGE, "\"%.40s\": auto, always or never was expected", text);
}

/* ---------------------------------------------------------------- options */

static ft_err set_clean(ft_prep_arguments *a, int key, const char *argument) {
  ft_clean_options *clean = &a->prep.clean;
  int64_t value = 0;
  ft_err err = FT_OK;
  switch (key) {
  case CLEAN:
    ft_clean_all(clean);
    return FT_OK;
  case RULE:
    return set_rule(a, argument);
  case MIN_TOKENS:
    return whole(argument, 0, INT32_MAX, &clean->min_tokens);
  case MAX_TOKENS:
    return whole(argument, 0, INT32_MAX, &clean->max_tokens);
  case NEAR_THRESHOLD:
    return share(argument, &clean->near_threshold);
  case NEAR_SHINGLE:
    return whole(argument, 1, 32, &clean->near_shingle);
  case NEAR_UNIT:
    return set_unit(clean, argument);
  case NGRAM:
    return whole(argument, 1, 1000, &clean->ngram);
  case AGAINST:
    err = add_to(&a->against, &clean->num_against, argument);
    clean->against = a->against;
    return err;
  case SORT_MEMORY:
    err = whole(argument, 0, 1 << 20, &value);
    clean->sort_bytes = (size_t)value << 20;
    return err;
  default:
    return ft_fail(FT_ERR_INTERNAL, "option %d", key);
  }
}

static ft_err set_number(ft_prep_options *o, int key, const char *argument) {
  int64_t value = 0;
  ft_err err = FT_OK;
  switch (key) {
  case SEQ_LEN:
    return whole(argument, 2, INT32_MAX, &o->seq_len);
  case VALIDATION:
    return share(argument, &o->validation);
  case TEST:
    return share(argument, &o->test);
  case SEED:
    err = whole(argument, 0, INT64_MAX, &value);
    o->seed = (uint64_t)value;
    return err;
  default: /* THREADS */
    err = whole(argument, 1, 256, &value);
    o->num_threads = (int)value;
    return err;
  }
}

ft_err ft_prep_set(ft_prep_arguments *a, int key, const char *argument) {
  ft_prep_options *o = &a->prep;
  switch (key) {
  case MODEL:
    o->model_dir = argument;
    return FT_OK;
  case INPUT:
    return ft_prep_add_input(a, argument);
  case OUT:
    o->out_dir = argument;
    return FT_OK;
  case FORM:
    return ft_form_by_name(argument, &o->records.form);
  case FIELD:
    return set_field(a, argument);
  case TEMPLATE:
    return ft_template_by_name(argument, &o->template);
  case SYSTEM:
    o->system = argument;
    return FT_OK;
  case TRAIN_ON:
    return ft_train_on_by_name(argument, &o->train_on);
  case DATE:
    o->date = &a->date;
    return ft_date_by_name(argument, &a->date);
  case CONTROL_TOKENS:
    o->control_tokens = true;
    return FT_OK;
  case TRUNCATE:
    o->truncate = true;
    return FT_OK;
  case SKIP_BAD:
    o->skip_bad_lines = true;
    return FT_OK;
  case SKIP_MASKED:
    o->skip_all_masked = true;
    return FT_OK;
  case OVERWRITE:
    o->overwrite = true;
    return FT_OK;
  case SHOW:
    a->show = true;
    return FT_OK;
  case COLOR:
    return set_color(a, argument);
  case SEQ_LEN:
  case VALIDATION:
  case TEST:
  case SEED:
  case THREADS:
    return set_number(o, key, argument);
  default:
    return set_clean(a, key, argument);
  }
}

/* ---------------------------------------------------------------- all of it */

static int default_threads(void) {
  cpu_set_t cores;
  const char *text = getenv("OMP_NUM_THREADS");
  long told = text ? strtol(text, NULL, 10) : 0;
  if (told > 0) return (int)FT_MIN(told, 256);
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

void ft_prep_arguments_init(ft_prep_arguments *a) {
  *a = (ft_prep_arguments){
      .prep = {.validation = 0.05, .test = 0.05, .seed = 1, .bos = -1, .num_ranks = 1}};
  ft_clean_defaults(&a->prep.clean);
  a->color = ft_cli_color_auto();
  a->prep.num_threads = default_threads();
}

void ft_prep_arguments_fini(ft_prep_arguments *a) {
  for (int64_t i = 0; i < a->prep.records.num_fields; i++)
    ft_free((void *)(uintptr_t)a->fields[i].name);
  ft_free(a->inputs);
  ft_free(a->against);
  cJSON_Delete(a->config);
  *a = (ft_prep_arguments){0};
}
