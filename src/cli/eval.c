/* ftrun eval CONFIG [KEY=VALUE …] [--model DIR] [--adapter DIR] [--step N|best|latest] [--ema] */
#include "commands.h"
#include "run_arguments.h"

typedef struct arguments {
  run_arguments run;
  ft_eval_options eval;
} arguments;

static const struct argp_option options[] = {
    {"model", 'm', "DIR", 0, "Evaluate a model directory instead of a checkpoint", 0},
    {"adapter", 'a', "DIR", 0, "Lay an adapter directory over the model (model.path, or --model)",
     0},
    {"step", 's', "N|best|latest", 0, "Which checkpoint of run.dir (latest)", 0},
    {"ema", 'e', NULL, 0, "The average of the checkpoint's weights (train.ema)", 0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'm':
    a->eval.model_dir = argument;
    return 0;
  case 'a':
    a->eval.adapter = argument;
    return 0;
  case 's':
    a->eval.step = argument;
    return 0;
  case 'e':
    a->eval.average = true;
    return 0;
  case ARGP_KEY_ARG:
    ft_cli_take_run_argument(&a->run, state, argument);
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "the configuration is missing");
    return EINVAL;
  case ARGP_KEY_END:
    if ((a->eval.model_dir || a->eval.adapter) && a->eval.step)
      argp_error(state, "--model and --adapter exclude --step: a directory has no steps");
    if ((a->eval.model_dir || a->eval.adapter) && a->eval.average)
      argp_error(state, "--model and --adapter exclude --ema: a checkpoint has an average");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static void print(const cJSON *row) {
  char *text = NULL;
  const cJSON *step = ft_json_get(row, "step");
  if (ft_metrics_text((int64_t)step->valuedouble, ft_json_get(row, "validation"), NULL, &text) ==
      FT_OK)
    printf("%s\n", text);
  ft_free(text);
}

const struct argp ft_cli_eval_argp = {
    .options = options,
    .parser = take,
    .args_doc = "CONFIG.json [KEY=VALUE …]",
    .doc = "Prints the losses on the configuration's validation sets, as a row of metrics.jsonl.\v",
    .help_filter = ft_cli_config_help};

int ft_cli_eval(int argc, char **argv) {
  ft_err err = FT_OK;
  arguments a = {0};
  ft_config config = {0};
  ft_comm *comm = NULL;
  cJSON *row = NULL;
  ft_cli_parse(&ft_cli_eval_argp, argc, argv, &a);
  FT_TRY(ft_cli_start(&comm));
  FT_TRY(ft_cli_load_config(comm, &a.run, &config));
  FT_TRY(ft_evaluate(comm, &config, &a.eval, &row));
  if (row) print(row);
out:
  cJSON_Delete(row);
  ft_config_fini(&config);
  ft_free(a.run.overrides);
  int status = ft_cli_end(err);
  ft_cli_stop(comm);
  return status;
}
