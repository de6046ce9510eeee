/* ftrun export RUN --out DIR [--step N|best|latest] [--dtype bf16|fp32] */
#include <signal.h>
#include <stdatomic.h>

#include "commands.h"
#include "common.h"
#include "export_chat.h"
#include "ft/train.h"

typedef struct arguments {
  const char *run, *out, *step;
  bool has_dtype;
  ft_dtype dtype;
} arguments;

static const struct argp_option options[] = {
    {"out", 'o', "DIR", 0, "The model directory to write; new or empty", 0},
    {"step", 's', "N|best|latest", 0, "Which checkpoint (latest)", 0},
    {"dtype", 'd', "bf16|fp32", 0, "Type of the weights (that of the model it was trained from)",
     0},
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
  case 'd':
    a->dtype = ft_cli_dtype(state, "--dtype", argument);
    a->has_dtype = true;
    return 0;
  case ARGP_KEY_ARG:
    if (a->run) argp_error(state, "one run is expected; \"%s\" is a second", argument);
    a->run = argument;
    return 0;
  case ARGP_KEY_END:
    if (!a->run) argp_error(state, "the run directory is missing");
    if (!a->out) argp_error(state, "--out is missing");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

typedef struct reader {
  ft_checkpoint *checkpoint;
  const ft_layout *layout;
  int64_t updates;
  bool round; /* to bf16, as the run's own compute weights of that step */
  ft_shard_options rounding;
} reader;

/* Values become what the run computed with: a validation of the export is the run's own. */
static void round_as_trained(const reader *r, int64_t block, int64_t start, int64_t count,
                             float *values) {
  uint16_t rounded[FT_CHUNK];
  for (int64_t at = 0; at < count; at += FT_CHUNK) {
    int64_t n = FT_MIN((int64_t)FT_CHUNK, count - at);
    ft_shard_round_weights(&r->rounding, r->updates, block, start + at, n, values + at, rounded);
    for (int64_t i = 0; i < n; i++)
      values[at + i] = ft_f32_from_bf16(rounded[i]);
  }
}

static atomic_bool stop;

static void on_signal(int number) {
  (void)number;
  atomic_store(&stop, true);
}

/* Master weights of a block, for the exporter, which removes what it has written if they fail. */
static ft_err read_master(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  reader *r = arg;
  if (atomic_load(&stop))
    return ft_fail(FT_ERR_STOPPED, "export was interrupted: nothing is left of it; run it again");
  const char *name = r->layout->blocks[block].name;
  ft_err err = ft_checkpoint_read_weights(r->checkpoint, name, start, count, out);
  if (err == FT_OK && r->round) round_as_trained(r, block, start, count, out);
  return err;
}

/* Which step is taken, and whether another one is the best. */
static void say_step(const arguments *a, int64_t step) {
  int64_t best;
  bool has_best = ft_run_read_best(a->run, &best) == FT_OK;
  if (has_best && best != step)
    ft_log(FT_LOG_INFO,
           "taking step %lld of %s; by the first validation set, step %lld is the best "
           "(--step best)",
           (long long)step, a->run, (long long)best);
  else
    ft_log(FT_LOG_INFO, "taking step %lld of %s%s", (long long)step, a->run,
           has_best ? ", which is the best by the first validation set" : "");
}

static ft_err export_run(const arguments *a) {
  ft_err err = FT_OK;
  int64_t step;
  reader r = {0};
  ft_hf_config hf = {0};
  ft_config config = {0};
  FT_TRY(ft_train_find_step(a->run, a->step, &step));
  say_step(a, step);
  FT_TRY(ft_checkpoint_open(a->run, step, &r.checkpoint));
  FT_TRY(ft_config_from_json(ft_checkpoint_meta_of(r.checkpoint)->config, a->run, &config));
  FT_TRY(ft_hf_check_sums(config.model_path)); /* its texts are copied */
  FT_TRY(ft_hf_config_read(config.model_path, &hf));
  if (config.freeze.num > 0) FT_TRY(ft_hf_freeze(&hf, config.freeze.texts, config.freeze.num));
  ft_dtype dtype = a->has_dtype ? a->dtype : hf.dtype;
  r.layout = hf.layout;
  r.updates = ft_checkpoint_meta_of(r.checkpoint)->updates;
  r.round = dtype == FT_BF16 && config.rounding == FT_ROUND_STOCHASTIC;
  r.rounding = (ft_shard_options){
      .compute = FT_BF16, .stochastic_rounding = true, .seed = (uint64_t)config.seed};
  ft_hf_source source = {.read = read_master, .arg = &r};
  FT_TRY(ft_hf_export(config.model_path, &hf, &source, dtype, 0, a->out));
  FT_TRY(ft_export_chat(&config, a->out));
  ft_log(FT_LOG_INFO, "step %lld of %s exported to %s", (long long)step, a->run, a->out);
out:
  ft_checkpoint_close(r.checkpoint);
  ft_hf_config_fini(&hf);
  ft_config_fini(&config);
  return err;
}

const struct argp ft_cli_export_argp = {
    .options = options,
    .parser = take,
    .args_doc = "RUN --out DIR",
    .doc = "Gathers a checkpoint of a run directory into a Hugging Face model directory that "
           "transformers, vLLM "
           "and llama.cpp's converter read. Needs no more memory than a few buffers."};

int ft_cli_export(int argc, char **argv) {
  /* a second signal ends at once */
  static const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction now;
  arguments a = {0};
  ft_cli_parse(&ft_cli_export_argp, argc, argv, &a);
  for (size_t i = 0; i < FT_ARRAY_SIZE(signals); i++)
    if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) /* nohup */
      sigaction(signals[i], &action, NULL);
  ft_err err = ft_cli_alone("export");
  return ft_cli_end(err == FT_OK ? export_run(&a) : err);
}
