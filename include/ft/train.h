/* train: the one place that knows the order of a step; evaluation, saving, stopping, resuming,
 * benchmarks. */
#ifndef FT_TRAIN_H
#define FT_TRAIN_H

#include <stdatomic.h>

#include "ft/checkpoint.h"
#include "ft/data.h"
#include "ft/hf.h"
#include "ft/model.h"
#include "ft/objective.h"
#include "ft/optim.h"
#include "ft/plan.h"
#include "ft/run.h"

/* ---------------------------------------------------------------- a run */

typedef struct ft_train_options {
  bool check_only;    /* do all but the steps */
  char *const *allow; /* keys whose change is allowed on resume */
  int64_t num_allow;
  const char *version, *libraries, *command; /* for the run's history; may be NULL */
  int64_t step; /* to go on from, setting newer checkpoints aside; -1: from the newest whole one */
} ft_train_options;

/* Adds what the program is, its version and its bytes, to what all ranks must share. Not
 * collective. Errors: FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_train_add_program(ft_facts *facts);

/* Catches every signal that announces an end (SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGXCPU, SIGPWR,
 * and SIGHUP unless it is ignored, as by nohup): the run stops soon, with a checkpoint; a second
 * one ends the process at once. Messages that cannot be written (SIGPIPE) end nothing. Call before
 * ft_comm_new. Not collective. */
void ft_train_catch_signals(void);

/* Trains to the end, or until stopped. What is left open in *config is decided (ft_config_settle).
 * Collective over all ranks; errors are agreed. FT_ERR_STOPPED: stopped early with a committed
 * checkpoint. */
ft_err ft_train(ft_comm *comm, ft_config *config, const ft_train_options *options);

/* Looks at the paths of a configuration that has mistakes of its own, so that all are named at
 * once: what is missing or cannot be made is added. For one rank. Not collective. */
void ft_train_look(const ft_config *config, ft_mistakes *mistakes);

/* Makes hf->layout of what a configuration trains: method.*, model.adapter, train.freeze, and how
 * frozen weights are kept. Not collective. Errors: FT_ERR_CONFIG, FT_ERR_MEMORY, those of reading
 * an adapter. */
ft_err ft_train_lay_out(const ft_config *config, ft_hf_config *hf);

/* Where evaluation takes weights from. */
typedef struct ft_eval_options {
  const char *model_dir; /* a model directory, or NULL: */
  const char *adapter;   /* an adapter directory over that or over config->model_path; or NULL: */
  const char *step;      /* a checkpoint of config->run_dir: a number, "best" or "latest" (NULL) */
  bool average;          /* of it the average of the weights (train.ema) */
} ft_eval_options;

/* Evaluates all validation sets; on rank 0 *out is {"step":…,"validation":{…}} (cJSON_Delete),
 * elsewhere NULL. Collective over all ranks; errors are agreed. */
ft_err ft_evaluate(ft_comm *comm, const ft_config *config, const ft_eval_options *options,
                   cJSON **out);

/* Turns "best", "latest" (or NULL) or a number into a committed step of a run. Not collective.
 * Errors: FT_ERR_NOINPUT naming the steps there are. */
ft_err ft_train_find_step(const char *run_dir, const char *which, int64_t *step);

/* What an export is made of. */
typedef struct ft_export_options {
  const char *run_dir;
  const char *step; /* as of ft_train_find_step */
  const char *out_dir;
  bool average;            /* of the weights (train.ema), rather than the last ones */
  bool merge;              /* of a method: a whole model, not an adapter directory */
  const ft_dtype *dtype;   /* NULL: that of the model the run started from */
  const atomic_bool *stop; /* once true, nothing is left of the export; NULL: it is not looked at */
} ft_export_options;
/* Makes a model directory of a checkpoint (ft_hf_export), or of a run with a method an adapter
 * directory (ft_hf_export_adapter) or a merged model. *config: the run's, whatever was read of
 * it before an error; ft_config_fini. Not collective: one process. Errors: FT_ERR_STOPPED, those of
 * ft_hf_export and of reading a checkpoint. */
ft_err ft_train_export(const ft_export_options *options, ft_config *config);

/* Whether a run trains something beside a frozen model (method.name, model.adapter). */
bool ft_train_has_method(const ft_config *config);
/* The same of an adapter directory over a model directory: an adapter directory again, or a merged
 * model. Errors: those of hf. */
ft_err ft_train_export_adapter(const ft_export_options *options, const char *model_dir,
                               const char *adapter_dir);

/* ---------------------------------------------------------------- benchmark */

/* What is measured: training steps of a shape on random tokens, one document a row. */
typedef struct ft_bench_options {
  const ft_layout *layout; /* borrowed; what is trained of which model, and how the rest is kept */
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
  double step_flops;              /* model FLOPs of a step (ft_layout_training_flops) */
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
