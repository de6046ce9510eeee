/* ftrun train CONFIG [KEY=VALUE …] [--check] [--allow KEY] [--step N] */
#include "commands.h"
#include "run_arguments.h"

typedef struct arguments {
  run_arguments run;
  bool check;
  const char *print; /* a key, or NULL */
  char *allow[32];
  int64_t num_allow;
  int64_t step; /* -1: the newest checkpoint that is whole */
} arguments;

static const struct argp_option options[] = {
    {"check", 'c', NULL, 0, "Do all but the steps: read, allocate, say what would happen", 0},
    {"print", 'p', "KEY", 0, "Only print the value that KEY has here, for scripts (run.dir)", 0},
    {"allow", 'a', "KEY", 0, "Resume although KEY differs from how the run was started", 0},
    {"step", 's', "N", 0, "Resume from this checkpoint; newer ones are set aside", 0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'c':
    a->check = true;
    return 0;
  case 'p':
    a->print = argument;
    return 0;
  case 'a':
    if (a->num_allow == (int64_t)FT_ARRAY_SIZE(a->allow)) argp_error(state, "too many --allow");
    a->allow[a->num_allow++] = argument;
    return 0;
  case 's':
    a->step = ft_cli_int(state, "--step", argument, 1, INT64_MAX);
    return 0;
  case ARGP_KEY_ARG:
    ft_cli_take_run_argument(&a->run, state, argument);
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "the configuration is missing");
    return EINVAL;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* --print: a value of the resolved configuration, a string as it is, anything else as JSON. */
static ft_err print_value(const arguments *a, ft_config *config) {
  ft_err err = FT_OK;
  char *text = NULL;
  FT_TRY(ft_cli_alone("train --print"));
  FT_TRY(ft_config_load(a->run.config, a->run.overrides, a->run.num_overrides, config));
  const cJSON *value = ft_config_value(config, a->print);
  FT_CHECK(value, FT_ERR_USAGE, "--print: there is no key \"%s\" (ftrun train --help lists them)",
           a->print);
  if (!cJSON_IsString(value)) FT_TRY(ft_json_print(value, false, &text));
  printf("%s\n", text ? text : value->valuestring);
out:
  ft_free(text);
  return err;
}

const struct argp ft_cli_train_argp = {
    .options = options,
    .parser = take,
    .args_doc = "CONFIG.json [KEY=VALUE …]",
    .doc = "Trains a model as the configuration says; a run directory that holds a checkpoint is "
           "resumed, on "
           "any number of ranks. KEY=VALUE overrides a key of the configuration (train.steps=10).\v"
           "Exit status: 0 finished, 75 stopped early (run again to go on), others: "
           "docs/configuration.md.",
    .help_filter = ft_cli_config_help};

/* A configuration with mistakes has paths, too: all that is wrong is told at once. */
static ft_err load_config(ft_comm *comm, const arguments *a, ft_config *config) {
  ft_mistakes m = {0};
  ft_err err = FT_OK;
  if (ft_comm_rank(comm) == 0) {
    err = ft_config_read(a->run.config, a->run.overrides, a->run.num_overrides, &m, config);
    if (err == FT_OK && m.count > 0) ft_train_look(config, &m);
    if (err == FT_OK) err = ft_config_fail(&m, a->run.config, a->run.num_overrides);
  }
  err = ft_comm_agree(comm, err);
  return err == FT_OK ? ft_cli_share_config(comm, config) : err;
}

/* The words that the program was called with, for the run's history. */
static ft_err join_words(int argc, char **argv, char **out) {
  ft_err err = ft_strdup(argv[0], out); /* "ftrun train" */
  for (int i = 1; i < argc && err == FT_OK; i++) {
    char *longer = NULL;
    err = ft_format(&longer, "%s %s", *out, argv[i]);
    ft_free(*out);
    *out = longer;
  }
  return err;
}

int ft_cli_train(int argc, char **argv) {
  ft_err err = FT_OK;
  char *command = NULL;
  arguments a = {.step = -1};
  ft_config config = {0};
  ft_comm *comm = NULL;
  ft_cli_parse(&ft_cli_train_argp, argc, argv, &a);
  if (a.print) {
    err = print_value(&a, &config);
    goto out;
  }
  ft_train_catch_signals();
  FT_TRY(ft_cli_start(&comm));
  FT_TRY(load_config(comm, &a, &config));
  FT_TRY(join_words(argc, argv, &command));
  ft_train_options train = {.check_only = a.check,
                            .allow = a.allow,
                            .num_allow = a.num_allow,
                            .step = a.step,
                            .version = ft_version(),
                            .libraries = ft_cli_libraries(),
                            .command = command};
  FT_TRY(ft_train(comm, &config, &train));
out:
  ft_config_fini(&config);
  ft_free(a.run.overrides);
  ft_free(command);
  int status = ft_cli_end(err);
  if (comm && ft_comm_check(comm) != FT_OK) ft_comm_leave(comm, status);
  if (!a.print) ft_cli_stop(comm);
  return status;
}
