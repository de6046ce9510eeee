/* run: a run's configuration: its keys, their defaults and limits, and what may change when a run
 * goes on. docs/configuration.md has every key. Not collective, all of it. */
#ifndef FT_RUN_CONFIG_H
#define FT_RUN_CONFIG_H

#include "ft/io.h"

typedef struct ft_config_source {
  const char *path; /* a token shard, or a folder of them */
  bool has_weight;  /* one was given */
  double weight;    /* share of rows, relative to the other sources' weights; 1 if none was given */
} ft_config_source;

/* How several training sets become one stream of rows. */
typedef enum ft_mix {
  FT_MIX_CONCATENATE, /* each pass has every row of every set once */
  FT_MIX_WEIGHTS      /* weights are shares of rows */
} ft_mix;

/* How rows are filled with documents. */
typedef enum ft_fit { FT_FIT_NEXT, FT_FIT_BEST } ft_fit;

/* Name of the validation set of data.replay. */
#define FT_REPLAY_SET "replay"

typedef struct ft_validation_set {
  const char *name, *path;
} ft_validation_set;

/* Of compute weights from master weights, where the compute type is bf16. */
typedef enum ft_rounding { FT_ROUND_NEAREST, FT_ROUND_STOCHASTIC } ft_rounding;

/* What happens to a step whose loss or gradients are not finite. */
typedef enum ft_not_finite { FT_NOT_FINITE_STOP, FT_NOT_FINITE_SKIP } ft_not_finite;

typedef enum ft_resume { FT_RESUME_AUTO, FT_RESUME_NEVER } ft_resume;

/* How the learning rate goes on after warm-up. */
typedef enum ft_rate_course {
  FT_RATE_CONSTANT,
  FT_RATE_LINEAR,
  FT_RATE_COSINE,
  FT_RATE_WSD /* constant, then linear over the last steps */
} ft_rate_course;

typedef struct ft_config_schedule {
  ft_rate_course name;
  int64_t warmup_steps; /* see ft_config_settle */
  int64_t steps;        /* where the course ends; 0: with the run */
  int64_t decay_steps;  /* FT_RATE_WSD; 0: a tenth of the steps */
  double min_lr_ratio;
} ft_config_schedule;

/* Numbers of the objectives over pairs and rated documents. One that is left out is null in `json`:
 * the objective's own. */
typedef struct ft_config_preference {
  double beta, gamma, nll, desirable_weight, undesirable_weight, centre;
} ft_config_preference;

/* A list of texts; owned, the texts are borrowed. */
typedef struct ft_strings {
  const char **texts; /* [num] */
  int64_t num;
} ft_strings;

/* Numbers by name, in their order; owned, the names are borrowed. */
typedef struct ft_named_number {
  const char *name;
  double value;
} ft_named_number;
typedef struct ft_named_numbers {
  ft_named_number *items; /* [num] */
  int64_t num;
} ft_named_numbers;

/* What is trained beside a frozen model. */
typedef struct ft_config_method {
  int name; /* ft_hf_method_kind, as the next two ft_hf_bias and whether it is Houlsby's */
  int bias, placement;
  int activation; /* of "relu", "silu", "gelu" */
  ft_strings targets, save_modules;
  int64_t rank;
  double alpha; /* 0: the rank */
  bool rslora, dora, ensure_weight_tying;
  ft_named_numbers rank_pattern, alpha_pattern;
  double dropout;
  int64_t virtual_tokens, reduction;
  const char *init; /* of prompts: "random", "vocabulary" or "text:…" */
} ft_config_method;

/* Tensors with a rate or a decay of their own; negative: the run's. The pattern is borrowed. */
typedef struct ft_config_group {
  const char *pattern;
  double lr, weight_decay;
} ft_config_group;

/* A resolved configuration. Strings are borrowed from `json`. docs/configuration.md has every key.
 */
typedef struct ft_config {
  const char *model_path;
  const char *adapter;     /* NULL: none */
  ft_code storage;         /* of what is frozen */
  ft_config_source *train; /* [num_train] the last of them data.replay's, if there is one */
  int64_t num_train;
  ft_validation_set *validation; /* [num_validation] likewise */
  int64_t num_validation;
  double replay_share; /* of rows; 0: nothing is replayed */
  int64_t replay_set;  /* the validation set of what is replayed; -1: none */
  int64_t seq_len;
  ft_mix mix;
  bool packing, shuffle;
  ft_fit fit;
  int64_t global_batch, micro_batch; /* rows; global_batch: see ft_config_settle */
  int64_t steps;                     /* 0: by epochs */
  double epochs;                     /* 0: by steps */
  ft_config_method method;
  ft_strings freeze; /* shell patterns over names of tensors */
  ft_dtype precision;
  ft_rounding rounding;
  ft_dtype gradient; /* of the accumulator */
  int objective;     /* ft_objective_kind */
  int pair_loss;     /* ft_pair_loss */
  double label_smoothing, z_loss;
  ft_config_preference preference;
  const char *reference;            /* model directory; NULL: model_path */
  double grad_clip;                 /* 0: none */
  double neftune_alpha;             /* of noise on embeddings; 0: none */
  double ema;                       /* decay of the average of the weights; 0: none */
  int64_t activation_checkpointing; /* of every so many layers; 0: none */
  ft_not_finite not_finite;
  int64_t max_skipped; /* steps */
  ft_master master;
  ft_moments state;
  double lr, betas[2], eps, weight_decay;
  double layer_decay;      /* a layer's rate over that of the next one */
  ft_config_group *groups; /* [num_groups] */
  int64_t num_groups;
  ft_config_schedule schedule;
  int64_t stage;
  int64_t validation_every, patience, max_rows; /* patience, max_rows 0: none */
  const char *prompts;                          /* file of what samples continue; NULL: none */
  bool sample_chat;                             /* they are users' messages */
  int64_t sample_tokens;                        /* of a prompt and its answer together */
  double sample_temperature;
  double *monitor; /* [num_validation] weights of the sets' losses in what is to become lower */
  double min_delta;
  int64_t checkpoint_every, keep;
  const char *run_dir;
  int64_t seed;
  ft_resume resume;
  const char *attempt;
  double time_limit_s, stall_timeout_s; /* 0: none */
  cJSON *json;                          /* every default written out; owned */
} ft_config;

/* One key of the configuration, for help texts and the check of the documentation. */
typedef struct ft_config_key {
  const char *path, *type, *initial,
      *meaning,   /* initial: as JSON; "required" where there is none */
      *allowed;   /* in words */
  bool resumable; /* may change between the parts of a resumed run */
} ft_config_key;
const ft_config_key *ft_config_keys(int64_t *count);
/* The key that was probably meant by this one, which is none; NULL where none is near. */
const char *ft_config_nearest_key(const char *path);

/* Reads PATH, applies overrides "a.b=value" (value as JSON, else as a string) and checks
 * everything: all mistakes come in one message, each with its path, what was found and what is
 * allowed. Not collective. Errors: FT_ERR_CONFIG, FT_ERR_NOINPUT, FT_ERR_USAGE. */
ft_err ft_config_load(const char *path, char *const *overrides, int64_t num_overrides,
                      ft_config *out);
/* The same for who wants to look further in spite of mistakes: they go to *mistakes, and *out has
 * the values that are right (NULL, 0 where there is none). Errors: what makes all of it unreadable.
 */
ft_err ft_config_read(const char *path, char *const *overrides, int64_t num_overrides,
                      ft_mistakes *mistakes, ft_config *out);
/* FT_OK, or all mistakes with where they were found: in PATH, or in it and the command line. */
ft_err ft_config_fail(const ft_mistakes *mistakes, const char *path, int64_t num_overrides);
void ft_config_fini(ft_config *config);
/* The value of a key ("run.dir"), resolved; NULL: there is no such key. Borrowed. */
const cJSON *ft_config_value(const ft_config *config, const char *path);
/* What decides when a run is finished (steps, epochs, patience), of a resolved configuration as
 * JSON: a checkpoint that is the last says by which plan. cJSON_Delete. */
cJSON *ft_config_plan(const cJSON *json);
/* From an already resolved object (a run's config.json, a checkpoint's). json is copied. */
ft_err ft_config_from_json(const cJSON *json, const char *where, ft_config *out);

/* Decides what was left to the program, once the rows of a pass over the training sets are known
 * (-1: not known), and writes it to config->json: train.global_batch (64, but so that a pass has at
 * least 16 steps) and schedule.warmup_steps (100, but at most a tenth of the steps). Where
 * `earlier`, the configuration of a run that goes on, has a value, that one stays. NULL: none. */
void ft_config_settle(ft_config *config, int64_t rows, const cJSON *earlier);
/* Optimizer steps of the whole run: train.steps, or what train.epochs comes to. */
int64_t ft_config_num_steps(const ft_config *config, int64_t rows);

/* How a run's earlier configuration is compared with the new one. */
typedef struct ft_resume_rules {
  char *const *allow; /* keys that may differ */
  int64_t num_allow;
  bool same_model, same_data; /* known by content: then paths may differ */
} ft_resume_rules;
/* What the result depends on may not differ, unless allowed: every such key is a mistake that names
 * both values. All that differs and is not refused is appended to `changes` (NULL: not wanted), an
 * array of {"key", "from", "to", "allowed"}. */
void ft_config_compare(const cJSON *earlier, const ft_config *now, const ft_resume_rules *rules,
                       ft_mistakes *mistakes, cJSON *changes);

#endif
