/* ftrun prep --model DIR --input FILE … --out DIR: files of records to token shards. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/hf.h"
#include "ft/train.h"
#include "prep_arguments.h"
#include "show_tokens.h"

static atomic_bool stop;

static void on_signal(int number) {
  (void)number;
  atomic_store(&stop, true);
}

/* ---------------------------------------------------------------- what is printed */

static ft_err show_first(void *arg, const ft_tokenizer *t, const ft_ids *ids) {
  const ft_prep_arguments *a = arg;
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

static void print_files(const cJSON *tree) {
  const cJSON *file, *form;
  cJSON_ArrayForEach(file, ft_json_get(tree, "files")) {
    printf("input       %s:", file->string);
    cJSON_ArrayForEach(form, file) printf("%s %lld %s", form == file->child ? "" : ",",
                                          (long long)form->valuedouble, form->string);
    putchar('\n');
  }
}

static long long number(const cJSON *rule, const char *name) {
  const cJSON *item = ft_json_get(rule, name);
  return cJSON_IsNumber(item) ? (long long)item->valuedouble : 0;
}

static void print_rules(const cJSON *tree) {
  const cJSON *rules = ft_json_get(tree, "rules"), *rule;
  cJSON_ArrayForEach(rule, rules)
      printf("rule        %s: %lld found, %lld dropped, %lld fixed\n", rule->string,
             number(rule, "found"), number(rule, "dropped"), number(rule, "fixed"));
}

static void print_report(const ft_prep_arguments *a, const ft_prep_report *r) {
  int64_t documents = 0, tokens = 0, targets = 0;
  for (int set = 0; set < FT_NUM_SPLITS; set++) {
    documents += r->documents[set];
    tokens += r->tokens[set];
    targets += r->targets[set];
  }
  print_files(r->tree);
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
  print_rules(r->tree);
  printf("lines       %lld, %lld bad, %lld without a target%s, %lld cut\n\n", (long long)r->lines,
         (long long)r->bad_lines, (long long)r->all_masked,
         r->bad_lines + r->all_masked > 0 ? " (left out)" : "", (long long)r->truncated);
  printf("%-12s%12s%14s%14s%11s\n", "set", "documents", "tokens", "targets", "share");
  for (int set = 0; set < FT_NUM_SPLITS; set++)
    print_set(ft_split_name((ft_split)set), r->documents[set], r->tokens[set], r->targets[set]);
  print_set("all", documents, tokens, targets);
  printf("\nreport      %s/report.html\n", a->prep.out_dir);
}

/* ---------------------------------------------------------------- the command */

static ft_err agree(void *arg, ft_err mine) {
  return ft_comm_agree(arg, mine);
}

/* Collective, as are both of what follows. */
static ft_err compare_programs(ft_comm *comm) {
  ft_err err = FT_OK;
  ft_facts *facts = NULL;
  FT_TRY(ft_facts_new(&facts));
  FT_TRY(ft_train_add_program(facts));
  FT_TRY(ft_comm_compare(comm, facts));
out:
  ft_facts_free(facts);
  return err;
}

static ft_err compare(void *arg, const ft_prep_fact *facts, int64_t count, bool *same) {
  ft_err err = FT_OK;
  ft_facts *all = NULL;
  uint64_t digest = 0;
  for (int64_t i = 0; i < count; i++)
    digest = ft_hash64(facts[i].value, strlen(facts[i].value),
                       ft_hash64(facts[i].name, strlen(facts[i].name), digest));
  if (same) return ft_comm_same(arg, digest, same);
  FT_TRY(ft_facts_new(&all));
  for (int64_t i = 0; i < count; i++)
    FT_TRY(ft_facts_add(all, FT_ERR_DATA, facts[i].name, facts[i].advice, "%s", facts[i].value));
  FT_TRY(ft_comm_compare(arg, all));
out:
  ft_facts_free(all);
  return err;
}

/* Ranks of a node share what cores they may use. */
static void share_out(ft_prep_arguments *a, ft_comm *comm) {
  int local = ft_comm_node_size(comm, ft_comm_node(comm));
  a->prep.rank = ft_comm_rank(comm);
  a->prep.num_ranks = ft_comm_size(comm);
  a->prep.agree = agree;
  a->prep.compare = compare;
  a->prep.agree_arg = comm;
  if (!getenv("OMP_NUM_THREADS")) a->prep.num_threads = FT_MAX(a->prep.num_threads / local, 1);
}

/* Names of classes by number, from id2label of config.json. Borrowed from it. */
static ft_err read_classes(const cJSON *config, ft_prep_arguments *a, const char ***out) {
  ft_err err = FT_OK;
  const cJSON *names = ft_json_get(config, "id2label"), *item;
  int64_t count = cJSON_IsObject(names) ? cJSON_GetArraySize(names) : 0;
  char number[24];
  *out = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, FT_MAX(count, 1), sizeof **out, (void **)out));
  for (int64_t i = 0; i < count; i++) {
    snprintf(number, sizeof number, "%lld", (long long)i);
    item = ft_json_get(names, number);
    if (!cJSON_IsString(item)) goto out; /* numbers with holes have no names */
    (*out)[i] = item->valuestring;
  }
  a->prep.records.classes = *out;
  a->prep.records.num_classes = count;
out:
  return err;
}

/* The id that batches are filled up with: config.json's, else that of tokenizer_config.json's
 * pad_token. */
static ft_err find_pad(const char *dir, const cJSON *config, int64_t *out) {
  ft_err err = FT_OK;
  char *path = NULL;
  cJSON *json = NULL;
  ft_tokenizer *tokenizer = NULL;
  *out = -1;
  if (ft_json_i64(ft_json_get(config, "pad_token_id"), out)) return FT_OK;
  FT_TRY(ft_path_join(dir, "tokenizer_config.json", &path));
  if (!ft_path_exists(path)) goto out;
  FT_TRY(ft_json_read(path, &json));
  const cJSON *token = ft_json_get(json, "pad_token");
  if (cJSON_IsObject(token)) token = ft_json_get(token, "content");
  if (!cJSON_IsString(token)) goto out;
  FT_TRY(ft_tokenizer_open(dir, &tokenizer));
  *out = ft_tokenizer_id(tokenizer, token->valuestring);
out:
  ft_tokenizer_close(tokenizer);
  cJSON_Delete(json);
  ft_free(path);
  return err;
}

static ft_err prep(ft_prep_arguments *a, ft_comm *comm) {
  ft_err err = FT_OK;
  ft_hf_config config = {0};
  ft_prep_report report = {0};
  const char **classes = NULL;
  FT_TRY(ft_hf_check_sums(a->prep.model_dir));
  FT_TRY(ft_hf_config_read(a->prep.model_dir, &config));
  FT_TRY(read_classes(config.json, a, &classes));
  a->prep.max_positions = config.arch.max_positions;
  a->prep.model_vocab = config.arch.vocab;
  a->prep.eos = ft_hf_eos(&config);
  FT_TRY(find_pad(a->prep.model_dir, config.json, &a->prep.pad));
  a->prep.stop = &stop;
  if (a->show) a->prep.show_first = show_first;
  a->prep.show_arg = a;
  if (comm) share_out(a, comm);
  FT_TRY(ft_prep(&a->prep, &report));
  if (a->prep.rank == 0) print_report(a, &report);
out:
  ft_prep_report_fini(&report);
  ft_free(classes);
  ft_hf_config_fini(&config);
  return err;
}

/* ---------------------------------------------------------------- command line */

static error_t take(int key, char *argument, struct argp_state *state) {
  ft_prep_arguments *a = state->input;
  switch (key) {
  case ARGP_KEY_ARG:
    if (!a->config_path && ft_prep_is_config(argument))
      a->config_path = argument;
    else if (!a->config || strcmp(argument, a->config_path) != 0)
      if (ft_prep_add_input(a, argument) != FT_OK) argp_error(state, "%s", ft_error_message());
    return 0;
  case ARGP_KEY_END:
    if (a->config_path && !a->config) return 0; /* it may say what is missing */
    if (!a->prep.model_dir) argp_error(state, "--model is missing");
    if (a->prep.num_inputs == 0) argp_error(state, "--input is missing");
    if (!a->prep.out_dir) argp_error(state, "--out is missing");
    return 0;
  default:
    break;
  }
  for (const struct argp_option *o = ft_prep_argp_options; o->name; o++) {
    if (o->key != key) continue;
    if (ft_prep_set(a, key, argument) != FT_OK)
      argp_error(state, "--%s: %s", o->name, ft_error_message());
    return 0;
  }
  return ARGP_ERR_UNKNOWN;
}

const struct argp ft_cli_prep_argp = {
    .options = ft_prep_argp_options,
    .parser = take,
    .args_doc = "--model DIR --input FILE … --out DIR\nPREP.json",
    .doc =
        "Reads records, cleans them, applies the model's chat template, tokenizes, splits by what "
        "was asked into train, validation and test, and writes token shards and a report; under "
        "mpirun on any number of ranks, with the same bytes. Nothing is written unless every "
        "line can be used, or --skip-bad-lines is given. PREP.json has the options as members."};

/* The command line; where it names a file of options, that first and then the line again, which
 * overrides it. */
static ft_err parse(ft_prep_arguments *a, int argc, char **argv) {
  ft_prep_arguments_init(a);
  ft_cli_parse(&ft_cli_prep_argp, argc, argv, a);
  if (!a->config_path) return FT_OK;
  const char *path = a->config_path;
  ft_prep_arguments_fini(a);
  ft_prep_arguments_init(a);
  a->config_path = path;
  ft_err err = ft_prep_read_config(a, path);
  if (err == FT_OK) ft_cli_parse(&ft_cli_prep_argp, argc, argv, a);
  return err;
}

int ft_cli_prep(int argc, char **argv) {
  ft_err err = FT_OK;
  ft_prep_arguments a;
  ft_comm *comm = NULL;
  FT_TRY(parse(&a, argc, argv));
  ft_cli_catch_signals(on_signal); /* a second one ends a run that waits for a pipe */
  if (ft_cli_launch_size() > 1) FT_TRY(ft_cli_connect(&comm));
  if (comm) FT_TRY(compare_programs(comm));
  err = prep(&a, comm);
out:
  ft_prep_arguments_fini(&a);
  int status = ft_cli_end(err);
  if (comm) ft_comm_free(comm);
  return status;
}
