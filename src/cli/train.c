/* ftrun train CONFIG [KEY=VALUE …] [--check] [--allow KEY] */
#include "commands.h"
#include "run_arguments.h"

typedef struct arguments {
  run_arguments run;
  bool check;
  char *allow[32];
  int64_t num_allow;
} arguments;

static const struct argp_option options[] = {
    {"check", 'c', NULL, 0, "Do all but the steps: read, allocate, say what would happen", 0},
    {"allow", 'a', "KEY", 0, "Resume although KEY differs from how the run was started", 0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'c':
    a->check = true;
    return 0;
  case 'a':
    if (a->num_allow == (int64_t)FT_ARRAY_SIZE(a->allow)) argp_error(state, "too many --allow");
    a->allow[a->num_allow++] = argument;
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

int ft_cli_train(int argc, char **argv) {
  static const struct argp argp = {
      .options = options,
      .parser = take,
      .args_doc = "CONFIG.json [KEY=VALUE …]",
      .doc =
          "Trains a model as the configuration says; a run directory that holds a checkpoint is "
          "resumed, on "
          "any number of ranks. KEY=VALUE overrides a key of the configuration (train.steps=10).\v"
          "Exit status: 0 finished, 75 stopped early (run again to go on), others: "
          "docs/configuration.md.",
      .help_filter = ft_cli_config_help};
  ft_err err = FT_OK;
  arguments a = {0};
  ft_config config = {0};
  ft_comm *comm = NULL;
  ft_cli_parse(&argp, argc, argv, &a);
  ft_train_catch_signals();
  FT_TRY(ft_cli_start(&comm));
  FT_TRY(ft_cli_load_config(comm, &a.run, &config));
  ft_train_options train = {.check_only = a.check, .allow = a.allow, .num_allow = a.num_allow};
  FT_TRY(ft_train(comm, &config, &train));
out:
  ft_config_fini(&config);
  ft_free(a.run.overrides);
  int status = ft_cli_end(err);
  if (comm && ft_comm_check(comm) != FT_OK) ft_comm_leave(comm, status);
  ft_cli_stop(comm);
  return status;
}
