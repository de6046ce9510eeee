/* ftrun init --config config.json --seed N --out DIR [--tokenizer DIR] [--dtype bf16|fp32] */
#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/hf.h"
#include "ft/tokenizer.h"

typedef struct arguments {
  const char *config, *out, *tokenizer;
  int64_t seed;
  bool has_dtype;
  ft_dtype dtype;
} arguments;

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "A Hugging Face config.json: the model's shape", 0},
    {"seed", 's', "N", 0, "Seed of the random weights (1)", 0},
    {"out", 'o', "DIR", 0, "The model directory to write; new or empty", 0},
    {"tokenizer", 't', "DIR", 0,
     "Copy tokenizer files from here (else from beside the config; else a byte-level one is "
     "written)",
     0},
    {"dtype", 'd', "bf16|fp32", 0, "Type of the weights (the config's)", 0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'c':
    a->config = argument;
    return 0;
  case 'o':
    a->out = argument;
    return 0;
  case 't':
    a->tokenizer = argument;
    return 0;
  case 's':
    a->seed = ft_cli_int(state, "--seed", argument, 0, INT64_MAX);
    return 0;
  case 'd':
    a->dtype = ft_cli_dtype(state, "--dtype", argument);
    a->has_dtype = true;
    return 0;
  case ARGP_KEY_ARG:
    argp_error(state, "\"%s\" was not expected", argument);
    return EINVAL;
  case ARGP_KEY_END:
    if (!a->config) argp_error(state, "--config is missing");
    if (!a->out) argp_error(state, "--out is missing");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* The directory to copy tokenizer files from, or NULL if there are none. */
static ft_err find_tokenizer(const arguments *a, char **dir) {
  ft_err err = FT_OK;
  char *file = NULL;
  const char *slash = strrchr(a->config, '/');
  *dir = NULL;
  if (a->tokenizer)
    FT_TRY(ft_strdup(a->tokenizer, dir));
  else if (slash)
    FT_TRY(ft_format(dir, "%.*s", (int)(slash - a->config), a->config));
  else
    FT_TRY(ft_strdup(".", dir));
  FT_TRY(ft_path_join(*dir, "tokenizer.json", &file));
  if (ft_path_exists(file)) goto out;
  FT_CHECK(!a->tokenizer, FT_ERR_NOINPUT, "%s: no such file (--tokenizer names its directory)",
           file);
  ft_free(*dir);
  *dir = NULL;
out:
  ft_free(file);
  return err;
}

static ft_err check_tokenizer(const char *dir, const ft_hf_config *config,
                              const char *config_path) {
  ft_err err = FT_OK;
  ft_tokenizer *t = NULL;
  FT_TRY(ft_tokenizer_open(dir, &t));
  FT_CHECK(ft_tokenizer_vocab_size(t) <= config->arch.vocab, FT_ERR_DATA,
           "%s/tokenizer.json has ids up to %lld, but vocab_size in %s is %lld: raise vocab_size "
           "or take another "
           "tokenizer",
           dir, (long long)ft_tokenizer_vocab_size(t) - 1, config_path,
           (long long)config->arch.vocab);
out:
  ft_tokenizer_close(t);
  return err;
}

/* Found out before anything is written. */
static ft_err check_byte_level(const ft_hf_config *config, const char *config_path) {
  ft_err err = ft_tokenizer_check_bytes(config->arch.vocab);
  if (err == FT_OK) return FT_OK;
  return ft_fail_prefix(err, "%s: without a --tokenizer directory, vocab_size has to suit",
                        config_path);
}

static ft_err init(const arguments *a) {
  ft_err err = FT_OK;
  ft_hf_config config = {0};
  ft_hf_source source = {0};
  char *tokenizer = NULL;
  FT_TRY(ft_hf_config_read_file(a->config, &config));
  FT_TRY(find_tokenizer(a, &tokenizer));
  if (tokenizer)
    FT_TRY(check_tokenizer(tokenizer, &config, a->config));
  else
    FT_TRY(check_byte_level(&config, a->config));
  FT_TRY(ft_hf_random_source(&config, (uint64_t)a->seed, &source));
  FT_TRY(
      ft_hf_export(tokenizer, &config, &source, a->has_dtype ? a->dtype : config.dtype, 0, a->out));
  if (!tokenizer) {
    FT_TRY(ft_tokenizer_write_bytes(a->out, config.arch.vocab));
    FT_TRY(ft_hf_write_sums(a->out));
  }
  ft_log(FT_LOG_INFO, "%s: %s, %.2f M parameters, seed %lld, %s tokenizer", a->out,
         config.model_type, (double)ft_arch_num_parameters(&config.arch) / 1e6, (long long)a->seed,
         tokenizer ? "copied" : "byte-level");
out:
  ft_free(tokenizer);
  ft_hf_random_source_free(&source);
  ft_hf_config_fini(&config);
  return err;
}

const struct argp ft_cli_init_argp = {.options = options,
                                      .parser = take,
                                      .args_doc = "--config FILE --out DIR",
                                      .doc =
                                          "Makes a model directory with random weights: a function "
                                          "of the config and the seed only."};

int ft_cli_init(int argc, char **argv) {
  arguments a = {.seed = 1};
  ft_cli_parse(&ft_cli_init_argp, argc, argv, &a);
  ft_err err = ft_cli_alone("init");
  return ft_cli_end(err == FT_OK ? init(&a) : err);
}
