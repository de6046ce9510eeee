/* ftrun export RUN --out DIR [--step N|best|latest] [--ema] [--dtype bf16|fp32] [--merge], or of an
 * adapter made elsewhere ftrun export --model DIR --adapter DIR --out DIR [--merge] */
#include <stdatomic.h>

#include "commands.h"
#include "common.h"
#include "export_chat.h"
#include "ft/train.h"

typedef struct arguments {
  const char *run, *out, *step, *model, *adapter;
  bool ema, merge, has_dtype;
  ft_dtype dtype;
} arguments;

static const struct argp_option options[] = {
    {"out", 'o', "DIR", 0, "The model directory to write; new or empty", 0},
    {"step", 's', "N|best|latest", 0, "Which checkpoint (latest)", 0},
    {"ema", 'e', NULL, 0, "The average of the weights (train.ema) instead of the last ones", 0},
    {"dtype", 'd', "bf16|fp32", 0, "Type of the weights (that of the model it was trained from)",
     0},
    {"merge", 'M', NULL, 0,
     "Of a run with a method: a whole model, what was added worked into its weights", 0},
    {"model", 'm', "DIR", 0, "Instead of a run: the model of an adapter directory", 0},
    {"adapter", 'a', "DIR", 0, "… and the adapter directory", 0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'o':
    a->out = argument;
    return 0;
  case 's':
    a->step = argument;
    return 0;
  case 'e':
    a->ema = true;
    return 0;
  case 'd':
    a->dtype = ft_cli_dtype(state, "--dtype", argument);
    a->has_dtype = true;
    return 0;
  case 'M':
    a->merge = true;
    return 0;
  case 'm':
    a->model = argument;
    return 0;
  case 'a':
    a->adapter = argument;
    return 0;
  case ARGP_KEY_ARG:
    if (a->run) argp_error(state, "one run is expected; \"%s\" is a second", argument);
    a->run = argument;
    return 0;
  case ARGP_KEY_END:
    if (!a->model != !a->adapter) argp_error(state, "--model and --adapter go together");
    if (a->adapter && (a->run || a->step))
      argp_error(state, "--adapter is instead of a run directory and its steps");
    if (a->adapter && a->ema)
      argp_error(state, "--model and --adapter exclude --ema: a checkpoint has an average");
    if (!a->run && !a->adapter) argp_error(state, "the run directory is missing");
    if (!a->out) argp_error(state, "--out is missing");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static atomic_bool stop;

static void on_signal(int number) {
  (void)number;
  atomic_store(&stop, true);
}

static ft_err export_run(const arguments *a) {
  ft_err err = FT_OK;
  ft_config config = {0};
  const ft_export_options export = {.run_dir = a->run,
                                    .step = a->step,
                                    .out_dir = a->out,
                                    .average = a->ema,
                                    .merge = a->merge,
                                    .dtype = a->has_dtype ? &a->dtype : NULL,
                                    .stop = &stop};
  if (a->adapter) return ft_train_export_adapter(&export, a->model, a->adapter);
  FT_TRY(ft_train_export(&export, &config));
  if (a->merge || !ft_train_has_method(&config)) FT_TRY(ft_export_chat(&config, a->out));
out:
  ft_config_fini(&config);
  return err;
}

const struct argp ft_cli_export_argp = {
    .options = options,
    .parser = take,
    .args_doc = "RUN --out DIR\n--model DIR --adapter DIR --out DIR",
    .doc =
        "Gathers a checkpoint of a run directory into a Hugging Face model directory that "
        "transformers, vLLM "
        "and llama.cpp's converter read; of a run with a method into an adapter directory that "
        "PEFT (bottlenecks: the adapters library) reads. Needs no more memory than a few buffers."};

int ft_cli_export(int argc, char **argv) {
  arguments a = {0};
  ft_cli_parse(&ft_cli_export_argp, argc, argv, &a);
  ft_cli_catch_signals(on_signal);
  ft_err err = ft_cli_alone("export");
  return ft_cli_end(err == FT_OK ? export_run(&a) : err);
}
