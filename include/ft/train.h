/* train: the run's configuration, and the one place that knows the order of a step; evaluation,
 * stopping, metrics, signals. */
#ifndef FT_TRAIN_H
#define FT_TRAIN_H

#include "ft/checkpoint.h"
#include "ft/data.h"
#include "ft/hf.h"
#include "ft/model.h"
#include "ft/optim.h"

/* ---------------------------------------------------------------- configuration */

typedef struct ft_validation_set {
  const char *name, *path;
} ft_validation_set;

/* Of compute weights from master weights, where the compute type is bf16. */
typedef enum ft_rounding { FT_ROUND_NEAREST, FT_ROUND_STOCHASTIC } ft_rounding;

/* What happens to a step whose loss or gradients are not finite. */
typedef enum ft_not_finite { FT_NOT_FINITE_STOP, FT_NOT_FINITE_SKIP } ft_not_finite;

typedef enum ft_resume { FT_RESUME_AUTO, FT_RESUME_NEVER } ft_resume;

/* A resolved configuration. Strings are borrowed from `json`. docs/configuration.md has every key.
 */
typedef struct ft_config {
  const char *model_path;
  ft_data_source *train; /* [num_train] */
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
  ft_schedule schedule;
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

/* ---------------------------------------------------------------- a run */

typedef struct ft_train_options {
  bool check_only;    /* do all but the steps */
  char *const *allow; /* keys whose change is allowed on resume */
  int64_t num_allow;
} ft_train_options;

/* Catches SIGTERM, SIGINT, SIGUSR1 and SIGUSR2: the run stops soon, with a checkpoint; a second one
 * ends the process at once. Call before ft_comm_new. Not collective. */
void ft_train_catch_signals(void);

/* Trains to the end, or until stopped. Collective over all ranks; errors are agreed.
 * FT_ERR_STOPPED: stopped early with a committed checkpoint. */
ft_err ft_train(ft_comm *comm, const ft_config *config, const ft_train_options *options);

/* Where evaluation takes weights from. */
typedef struct ft_eval_options {
  const char *model_dir; /* a model directory, or NULL: */
  const char *step;      /* a checkpoint of config->run_dir: a number, "best" or "latest" (NULL) */
} ft_eval_options;

/* Evaluates all validation sets; on rank 0 *out is {"step":…,"validation":{…}} (cJSON_Delete),
 * elsewhere NULL. Collective over all ranks; errors are agreed. */
ft_err ft_evaluate(ft_comm *comm, const ft_config *config, const ft_eval_options *options,
                   cJSON **out);

/* {"step":…,"validation":{…}} as metrics.jsonl has it, with 17 significant digits; *out: ft_free.
 */
ft_err ft_metrics_text(int64_t step, const cJSON *validation, char **out);

/* Turns "best", "latest" (or NULL) or a number into a committed step of a run. Not collective.
 * Errors: FT_ERR_NOINPUT naming the steps there are. */
ft_err ft_run_find_step(const char *run_dir, const char *which, int64_t *step);

/* ---------------------------------------------------------------- benchmark */

/* What is measured: training steps of a shape on random tokens, one document a row. */
typedef struct ft_bench_options {
  ft_arch arch;
  int64_t rows, micro_batch; /* of the global batch; micro_batch divides rows */
  int64_t seq_len;           /* tokens of every row */
  int64_t steps;             /* measured, after one to warm up */
  ft_dtype precision;
  int stage;
  int64_t activation_checkpointing; /* of every so many layers; 0: none */
  ft_master master;
  ft_moments state;
  ft_dtype gradient;
  ft_rounding rounding;
  const char *disk; /* directory whose write rate is measured; NULL: none */
} ft_bench_options;

/* Rates of all ranks together; the same on every rank. */
typedef struct ft_bench_result {
  double peak_bf16_flops, peak_fp32_flops; /* FLOP/s of dot products in registers */
  double memory_bandwidth;                 /* bytes/s of c = a + b on large arrays */
  double disk_write_rate;                  /* bytes/s with fsync; NaN: not measured */
  double step_seconds;                     /* of the median step */
  double tokens_per_second;
  double step_flops;              /* model FLOPs of a step (ft_arch_training_flops) */
  double model_flops;             /* step_flops / step_seconds */
  double share_of_peak;           /* of the peak of `precision` */
  double matmuls_alone_flops;     /* FLOP/s of the step's matmuls, run one after the other */
  double matmuls_alone_share;     /* model_flops / matmuls_alone_flops */
  double exposed_communication;   /* share of the step spent waiting for communication */
  double time[FT_TIME_NUM_PARTS]; /* seconds of the median step, mean of the ranks */
  int64_t memory_bytes;           /* accounted memory of the rank that has most */
  /* Of all ranks together: accounted, by owner, and resident (each shared page once). */
  int64_t memory_total, memory[FT_MEM_NUM_OWNERS], resident_bytes;
} ft_bench_result;

/* Measures this machine and training on it. Needs no model files and no data. Collective over all
 * ranks; errors are agreed. Errors: FT_ERR_MEMORY, FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_bench(ft_comm *comm, const ft_bench_options *options, ft_bench_result *result);

#endif
