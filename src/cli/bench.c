/* ftrun bench CONFIG [KEY=VALUE …] | --shape D,FFN,LAYERS,HEADS,KV_HEADS,VOCAB [OPTIONS] */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_print.h"
#include "bench_tokenizer.h"
#include "commands.h"
#include "run_arguments.h"

/* Numbers are -1 where the option was not given. */
typedef struct arguments {
  run_arguments run;
  int64_t shape[6];
  bool has_shape, has_precision, json;
  ft_dtype precision;
  int64_t rows, seq_len, micro_batch, steps;
  int64_t stage, activation_checkpointing;
  int64_t lora;                         /* rank, of a shape */
  int master, state, gradient, storage; /* of ft_master, ft_moments, ft_dtype, ft_code */
  const char *disk;
  const char *calibrate;        /* file, or NULL */
  const char *tokenizer, *file; /* encoding instead of training */
} arguments;

enum {
  OPTION_SHAPE = 256,
  OPTION_JSON,
  OPTION_DISK,
  OPTION_CALIBRATE,
  OPTION_TOKENIZER,
  OPTION_CHECKPOINTING,
  OPTION_MASTER,
  OPTION_STATE,
  OPTION_GRADIENT,
  OPTION_LORA,
  OPTION_STORAGE
};

static const struct argp_option options[] = {
    {"shape", OPTION_SHAPE, "D,FFN,LAYERS,HEADS,KV_HEADS,VOCAB", 0,
     "The model's shape, instead of a configuration", 0},
    {"lora", OPTION_LORA, "RANK", 0,
     "With --shape: train low-rank parts of this rank beside all linear maps of layers, and "
     "nothing "
     "else",
     0},
    {"storage", OPTION_STORAGE, "bf16|int8|nf4", 0,
     "How frozen weights are kept (bf16; the configuration's)", 0},
    {"rows", 'r', "R", 0, "Rows of the global batch (4; the configuration's)", 0},
    {"seq-len", 's', "S", 0, "Tokens of a row (512; the configuration's)", 0},
    {"micro-batch", 'm', "M", 0,
     "Rows that a rank computes at once (R / ranks where that divides R, else 1; the "
     "configuration's)",
     0},
    {"precision", 'p', "bf16|fp32", 0, "Of weights and matmuls (bf16; the configuration's)", 0},
    {"stage", 'g', "N", 0, "Sharding, 0 to 3 (3; the configuration's)", 0},
    {"activation-checkpointing", OPTION_CHECKPOINTING, "on|off|K", 0,
     "Compute activations again in the backward pass, of every layer or every K-th (off; the "
     "configuration's)",
     0},
    {"master", OPTION_MASTER, "fp32|bf16+8|bf16", 0,
     "Of master weights (fp32; the configuration's)", 0},
    {"state", OPTION_STATE, "fp32|int8", 0, "Of AdamW's moments (fp32; the configuration's)", 0},
    {"gradient", OPTION_GRADIENT, "fp32|bf16", 0, "Of gradient sums (fp32; the configuration's)",
     0},
    {"steps", 'k', "K", 0, "Steps to measure, after one to warm up (5)", 0},
    {"disk", OPTION_DISK, "DIR|none", 0,
     "Directory whose write rate is measured (run.dir if it exists, else the working directory)",
     0},
    {"calibrate", OPTION_CALIBRATE, "FILE", 0,
     "Write what ftrun plan needs to know of this kind of node to FILE", 0},
    {"tokenizer", OPTION_TOKENIZER, "DIR", 0,
     "Time the encoding of FILE by DIR's tokenizer instead, on one thread", 0},
    {"json", OPTION_JSON, NULL, 0, "Print one JSON object", 0},
    {0}};

static int64_t every_layers(const struct argp_state *state, const char *text) {
  if (strcmp(text, "on") == 0 || strcmp(text, "off") == 0) return strcmp(text, "on") == 0;
  if (text[0] < '0' || text[0] > '9')
    argp_error(state, "--activation-checkpointing: expected on, off or a number of layers");
  return ft_cli_int(state, "--activation-checkpointing", text, 1, 1 << 20);
}

static int master_kind(const struct argp_state *state, const char *text) {
  for (int kind = 0; kind < FT_MASTER_NUM; kind++)
    if (strcmp(text, ft_master_name((ft_master)kind)) == 0) return kind;
  argp_error(state, "--master: expected fp32, bf16+8 or bf16");
  return 0;
}

static int state_kind(const struct argp_state *state, const char *text) {
  for (int kind = 0; kind < FT_MOMENTS_NUM; kind++)
    if (strcmp(text, ft_moments_name((ft_moments)kind)) == 0) return kind;
  argp_error(state, "--state: expected fp32 or int8");
  return 0;
}

static int storage_kind(const struct argp_state *state, const char *text) {
  for (int kind = 0; kind < FT_CODE_NUM; kind++)
    if (strcmp(text, ft_code_name((ft_code)kind)) == 0) return kind;
  argp_error(state, "--storage: expected bf16, int8 or nf4");
  return 0;
}

static void take_shape(arguments *a, const struct argp_state *state, const char *text) {
  const char *at = text;
  char number[32];
  for (size_t i = 0; i < FT_ARRAY_SIZE(a->shape); i++) {
    bool last = i + 1 == FT_ARRAY_SIZE(a->shape);
    size_t length = strcspn(at, ",");
    if ((at[length] == 0) != last || length >= sizeof number)
      argp_error(state,
                 "--shape: found \"%s\", expected six numbers D,FFN,LAYERS,HEADS,KV_HEADS,VOCAB",
                 text);
    snprintf(number, sizeof number, "%.*s", (int)length, at);
    a->shape[i] = ft_cli_int(state, "--shape", number, 1, INT32_MAX);
    at += length + 1;
  }
  if (a->shape[0] % a->shape[3] != 0)
    argp_error(state, "--shape: the width (%lld) must be a multiple of the heads (%lld)",
               (long long)a->shape[0], (long long)a->shape[3]);
  a->has_shape = true;
}

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case OPTION_SHAPE:
    take_shape(a, state, argument);
    return 0;
  case OPTION_LORA:
    a->lora = ft_cli_int(state, "--lora", argument, 1, 65536);
    return 0;
  case OPTION_STORAGE:
    a->storage = storage_kind(state, argument);
    return 0;
  case 'r':
    a->rows = ft_cli_int(state, "--rows", argument, 1, INT32_MAX);
    return 0;
  case 's':
    a->seq_len = ft_cli_int(state, "--seq-len", argument, 1, 1 << 24);
    return 0;
  case 'm':
    a->micro_batch = ft_cli_int(state, "--micro-batch", argument, 1, INT32_MAX);
    return 0;
  case 'p':
    a->precision = ft_cli_dtype(state, "--precision", argument);
    a->has_precision = true;
    return 0;
  case 'g':
    a->stage = ft_cli_int(state, "--stage", argument, 0, 3);
    return 0;
  case OPTION_CHECKPOINTING:
    a->activation_checkpointing = every_layers(state, argument);
    return 0;
  case OPTION_MASTER:
    a->master = master_kind(state, argument);
    return 0;
  case OPTION_STATE:
    a->state = state_kind(state, argument);
    return 0;
  case OPTION_GRADIENT:
    a->gradient = (int)ft_cli_dtype(state, "--gradient", argument);
    return 0;
  case 'k':
    a->steps = ft_cli_int(state, "--steps", argument, 1, 100000);
    return 0;
  case OPTION_DISK:
    a->disk = argument;
    return 0;
  case OPTION_CALIBRATE:
    a->calibrate = argument;
    return 0;
  case OPTION_JSON:
    a->json = true;
    return 0;
  case OPTION_TOKENIZER:
    a->tokenizer = argument;
    return 0;
  case ARGP_KEY_ARG:
    if (a->tokenizer) {
      if (a->file) argp_error(state, "\"%s\" was not expected: one file at a time", argument);
      a->file = argument;
      return 0;
    }
    ft_cli_take_run_argument(&a->run, state, argument);
    return 0;
  case ARGP_KEY_END:
    if (a->tokenizer && (!a->file || a->has_shape || a->run.config))
      argp_error(state, "--tokenizer expects one file of text, and no configuration or shape");
    if (a->tokenizer) return 0;
    if (a->has_shape == (a->run.config != NULL))
      argp_error(state, "a configuration or --shape is expected, one of them");
    if (a->lora > 0 && !a->has_shape)
      argp_error(state, "--lora is for --shape; of a configuration method.* says what is trained");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* ---------------------------------------------------------------- what to measure */

/* The model that is measured, and what is trained of it. */
typedef struct subject {
  ft_hf_config hf;   /* of a configuration */
  ft_layout *layout; /* of a shape: owned */
} subject;

static ft_err from_config(ft_config *c, subject *model, ft_bench_options *o) {
  ft_err err = FT_OK;
  err = ft_hf_config_read(c->model_path, &model->hf);
  if (err != FT_OK)
    return ft_fail_prefix(err, "bench reads the shape in model.path (--shape needs no model)");
  FT_TRY(ft_train_lay_out(c, &model->hf));
  ft_config_settle(c, -1, NULL);
  *o = (ft_bench_options){.layout = model->hf.layout,
                          .rows = c->global_batch,
                          .micro_batch = c->micro_batch,
                          .seq_len = c->seq_len,
                          .precision = c->precision,
                          .stage = (int)c->stage,
                          .activation_checkpointing = c->activation_checkpointing,
                          .master = c->master,
                          .state = c->state,
                          .gradient = c->gradient,
                          .rounding = c->rounding};
out:
  return err;
}

static bool is_frozen(const void *arg, ft_place place, int64_t layer, ft_role role) {
  (void)arg, (void)place, (void)layer, (void)role;
  return true;
}
static ft_beside beside(const void *arg, ft_place place, int64_t layer, ft_role role) {
  const arguments *a = arg;
  (void)place, (void)layer;
  return (ft_beside){.rank = ft_role_is_layer_map(role) ? a->lora : 0, .scale = 1};
}

static ft_err from_shape(const arguments *a, subject *model, ft_bench_options *o) {
  ft_err err = FT_OK;
  const int64_t *s = a->shape;
  const ft_method method = {.dropout = 0};
  const ft_choice choice = {.frozen = is_frozen, .beside = beside, .arg = a};
  ft_arch arch =
      FT_ARCH_LLAMA(.hidden = s[0], .ffn = s[1], .layers = s[2], .heads = s[3], .kv_heads = s[4],
                    .vocab = s[5], .head_dim = s[0] / s[3], .max_positions = 1 << 24,
                    .norm.eps = 1e-5f, .ropes[0].theta = 10000);
  ft_arch_complete(&arch);
  if (ft_arch_check(&arch) != FT_OK)
    return ft_fail(FT_ERR_USAGE, "the shape is impossible: %s", ft_error_message());
  if (a->lora > 0)
    FT_TRY(ft_layout_new(&arch, &method, &choice, &model->layout));
  else
    FT_TRY(ft_layout_new(&arch, NULL, NULL, &model->layout));
  *o = (ft_bench_options){.layout = model->layout,
                          .rows = 4,
                          .seq_len = 512,
                          .precision = FT_BF16,
                          .stage = 3,
                          .rounding = FT_ROUND_STOCHASTIC};
out:
  return err;
}

static void close_subject(subject *model) {
  ft_layout_free(model->layout);
  ft_hf_config_fini(&model->hf);
}

/* Options stand above the configuration; then the whole is checked. */
static ft_err apply(const arguments *a, int ranks, ft_layout *layout, ft_bench_options *o) {
  ft_err err = FT_OK;
  const ft_arch *arch = &layout->arch;
  if (a->rows > 0) o->rows = a->rows;
  if (a->seq_len > 0) o->seq_len = a->seq_len;
  if (a->micro_batch > 0) o->micro_batch = a->micro_batch;
  if (o->micro_batch == 0) o->micro_batch = o->rows % ranks == 0 ? o->rows / ranks : 1;
  if (a->has_precision) o->precision = a->precision;
  if (a->stage >= 0) o->stage = (int)a->stage;
  if (a->activation_checkpointing >= 0) o->activation_checkpointing = a->activation_checkpointing;
  if (a->master >= 0) o->master = (ft_master)a->master;
  if (a->state >= 0) o->state = (ft_moments)a->state;
  if (a->gradient >= 0) o->gradient = (ft_dtype)a->gradient;
  o->steps = a->steps;
  FT_CHECK(o->rows % o->micro_batch == 0, FT_ERR_USAGE,
           "%lld rows are no multiple of a micro-batch of %lld: change --rows or --micro-batch",
           (long long)o->rows, (long long)o->micro_batch);
  FT_CHECK(o->seq_len <= arch->max_positions, FT_ERR_USAGE,
           "rows of %lld tokens were asked for, but the model allows %lld positions "
           "(max_position_embeddings)",
           (long long)o->seq_len, (long long)arch->max_positions);
  FT_CHECK(ft_arch_check(arch) == FT_OK, FT_ERR_DATA, "the shape is impossible: %s",
           ft_error_message());
  if (a->storage >= 0) FT_TRY(ft_layout_set_storage(layout, (ft_code)a->storage));
out:
  return err;
}

/* NULL: nowhere. Rank 0 decides for all, since every rank takes part or none. */
static ft_err choose_disk(ft_comm *comm, const arguments *a, const ft_config *config,
                          const char **dir) {
  *dir = a->disk;
  if (!*dir) *dir = config->run_dir && ft_path_is_dir(config->run_dir) ? config->run_dir : ".";
  int64_t skip = strcmp(*dir, "none") == 0 || (!a->disk && access(*dir, W_OK) != 0);
  ft_err err = ft_comm_broadcast(comm, 0, &skip, sizeof skip);
  if (skip) *dir = NULL;
  return err;
}

static ft_err resolve(ft_comm *comm, const arguments *a, ft_config *config, subject *model,
                      ft_bench_options *o) {
  ft_err err = FT_OK;
  if (a->has_shape) {
    FT_TRY(ft_comm_agree(comm, from_shape(a, model, o)));
  } else {
    FT_TRY(ft_cli_load_config(comm, &a->run, config));
    FT_TRY(ft_comm_agree(comm, from_config(config, model, o)));
  }
  ft_layout *layout = a->has_shape ? model->layout : model->hf.layout;
  FT_TRY(ft_comm_agree(comm, apply(a, ft_comm_size(comm), layout, o)));
  FT_TRY(choose_disk(comm, a, config, &o->disk));
out:
  return err;
}

/* ---------------------------------------------------------------- the command */

/* What a plan scales: the work of a rank and of its update, and what processes take beside what is
 * accounted. */
static ft_err calibrate(ft_comm *comm, const char *path, const ft_bench_options *o,
                        const ft_bench_result *r) {
  int ranks = ft_comm_size(comm);
  double every = (double)o->activation_checkpointing, share = every > 0 ? 1 / every : 0;
  double update_s = r->time[FT_TIME_OPTIMIZER];
  double kept = (double)ft_layout_num_trained(o->layout) / (o->stage == 0 ? 1 : ranks);
  ft_calibration c = {.rank_flops =
                          r->step_flops * (1 + share / 3) / (r->step_seconds - update_s) / ranks,
                      .optimizer_element_s = update_s / kept,
                      .process_bytes = (r->resident_bytes - r->memory_total) / ranks};
  if (isfinite(r->disk_write_rate)) c.disk_bytes_per_s = r->disk_write_rate;
  c.process_bytes = FT_MAX(c.process_bytes, 0);
  return ft_calibration_write(path, &c);
}

const struct argp ft_cli_bench_argp = {
    .options = options,
    .parser = take,
    .args_doc = "CONFIG.json [KEY=VALUE …]\n--shape D,FFN,LAYERS,HEADS,KV_HEADS,VOCAB\n"
                "--tokenizer DIR FILE",
    .doc = "Measures this machine (matmul peak, memory, disk) and real training steps on random "
           "tokens: tokens/s, the share of the peak, and where the time goes. Needs no data and "
           "no weights; of a configuration's model only config.json is read. Runs on any number "
           "of ranks.\vdocs/bench.md says what each number means."};

int ft_cli_bench(int argc, char **argv) {
  ft_err err = FT_OK;
  arguments a = {.rows = -1,
                 .seq_len = -1,
                 .micro_batch = -1,
                 .steps = 5,
                 .stage = -1,
                 .activation_checkpointing = -1,
                 .master = -1,
                 .state = -1,
                 .gradient = -1,
                 .storage = -1};
  subject model = {.layout = NULL};
  ft_config config = {0};
  ft_bench_options o;
  ft_bench_result r;
  ft_comm *comm = NULL;
  ft_cli_parse(&ft_cli_bench_argp, argc, argv, &a);
  if (a.tokenizer) return ft_cli_end(ft_cli_bench_tokenizer(a.tokenizer, a.file, a.json));
  FT_TRY(ft_cli_start(&comm));
  FT_TRY(resolve(comm, &a, &config, &model, &o));
  FT_TRY(ft_bench(comm, &o, &r));
  if (ft_comm_rank(comm) == 0) {
    if (a.json)
      err = ft_cli_bench_json(comm, &o, &r);
    else
      ft_cli_bench_text(comm, &o, &r);
    if (err == FT_OK && a.calibrate) err = calibrate(comm, a.calibrate, &o, &r);
  }
out:
  close_subject(&model);
  ft_config_fini(&config);
  ft_free(a.run.overrides);
  int status = ft_cli_end(err);
  ft_cli_stop(comm);
  return status;
}
