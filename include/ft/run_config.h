/* run: a run's configuration: its keys, their defaults and limits, and what may change when a run
 * goes on. docs/configuration.md has every key. Not collective, all of it. */
#ifndef FT_RUN_CONFIG_H
#define FT_RUN_CONFIG_H

#include "ft/io.h"

typedef struct ft_config_source {
  const char *path; /* a token shard, or a folder of them */
  double weight;    /* share of rows, relative to the other sources' weights */
} ft_config_source;

typedef struct ft_validation_set {
  const char *name, *path;
} ft_validation_set;

/* Of compute weights from master weights, where the compute type is bf16. */
typedef enum ft_rounding { FT_ROUND_NEAREST, FT_ROUND_STOCHASTIC } ft_rounding;

/* What happens to a step whose loss or gradients are not finite. */
typedef enum ft_not_finite { FT_NOT_FINITE_STOP, FT_NOT_FINITE_SKIP } ft_not_finite;

typedef enum ft_resume { FT_RESUME_AUTO, FT_RESUME_NEVER } ft_resume;

/* How the learning rate goes on after warm-up. */
typedef enum ft_rate_course { FT_RATE_CONSTANT, FT_RATE_LINEAR, FT_RATE_COSINE } ft_rate_course;

typedef struct ft_config_schedule {
  ft_rate_course name;
  int64_t warmup_steps;
  double min_lr_ratio;
} ft_config_schedule;

/* A resolved configuration. Strings are borrowed from `json`. docs/configuration.md has every key.
 */
typedef struct ft_config {
  const char *model_path;
  ft_config_source *train; /* [num_train] */
  int64_t num_train;
  ft_validation_set *validation; /* [num_validation] */
  int64_t num_validation;
  int64_t seq_len;
  bool packing, shuffle;
  int64_t global_batch, micro_batch; /* rows */
  int64_t steps;                     /* 0: by epochs */
  double epochs;                     /* 0: by steps */
  ft_dtype precision;
  ft_rounding rounding;
  ft_dtype gradient;                /* of the accumulator */
  double grad_clip;                 /* 0: none */
  int64_t activation_checkpointing; /* of every so many layers; 0: none */
  ft_not_finite not_finite;
  int64_t max_skipped; /* steps */
  ft_master master;
  ft_moments state;
  double lr, betas[2], eps, weight_decay;
  ft_config_schedule schedule;
  int64_t stage;
  int64_t validation_every, patience, max_rows; /* patience, max_rows 0: none */
  int64_t checkpoint_every, keep;
  const char *run_dir;
  int64_t seed;
  ft_resume resume;
  double time_limit_s, stall_timeout_s; /* 0: none */
  cJSON *json;                          /* every default written out; owned */
} ft_config;

/* One key of the configuration, for help texts and the check of the documentation. */
typedef struct ft_config_key {
  const char *path, *type, *initial,
      *meaning;   /* initial: as JSON; "required" where there is none */
  bool resumable; /* may change between the parts of a resumed run */
} ft_config_key;
const ft_config_key *ft_config_keys(int64_t *count);

/* Reads PATH, applies overrides "a.b=value" (value as JSON, else as a string) and checks
 * everything: all mistakes come in one message, each with its path, what was found and what is
 * allowed. Not collective. Errors: FT_ERR_CONFIG, FT_ERR_NOINPUT, FT_ERR_USAGE. */
ft_err ft_config_load(const char *path, char *const *overrides, int64_t num_overrides,
                      ft_config *out);
void ft_config_fini(ft_config *config);
/* The value of a key ("run.dir"), resolved; NULL: there is no such key. Borrowed. */
const cJSON *ft_config_value(const ft_config *config, const char *path);
/* From an already resolved object (a run's config.json, a checkpoint's). json is copied. */
ft_err ft_config_from_json(const cJSON *json, const char *where, ft_config *out);

/* Compares a run's earlier configuration with the new one. What the result depends on may not
 * differ, unless listed in allow[]. Errors: FT_ERR_CONFIG naming every such key and both values. */
ft_err ft_config_check_resume(const cJSON *earlier, const ft_config *now, char *const *allow,
                              int64_t num_allow);

#endif
