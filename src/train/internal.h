/* What the files of this module share: a run's parts and the steps of its life. */
#ifndef FT_TRAIN_INTERNAL_H
#define FT_TRAIN_INTERNAL_H

#include <stdatomic.h>

#include "ft/kernels.h"
#include "ft/objective_preference.h"
#include "ft/train.h"
#include "method.h"

/* ---- finite.c: what the losses so far tell about the next */

/* Mean and variance of the last losses. */
typedef struct ft_spike {
  int64_t count;
  double mean, variance;
} ft_spike;

/* ---- evaluation.c: what the evaluations of a run have found */

/* A step that has a checkpoint, with its monitored loss (validation.monitor). */
typedef struct ft_scored {
  bool exists;
  int64_t step;
  double loss;
} ft_scored;

typedef struct ft_evaluation {
  bool made;            /* one counts in all of the following: */
  int64_t step;         /* the last one that does */
  double lowest;        /* monitored loss; infinite: none was finite */
  double yardstick;     /* what the next must be validation.min_delta below, for patience */
  int64_t without_gain; /* evaluations since the one that set it */
  bool to_be_saved;     /* it is the best so far, and its step gets a checkpoint */
  ft_scored best;       /* among steps with a checkpoint */
  double replay_loss;   /* of the set of data.replay at step 0; NaN: not known. Rank 0's */
} ft_evaluation;

/* ---- saving.c: checkpoints of a run */

typedef struct ft_saving {
  /* the one begun last */
  ft_checkpoint_writer *writer; /* NULL: it is not being written any more */
  int64_t step;
  uint64_t checksum;     /* of its weights */
  bool knows_evaluation; /* of its own step */
  bool knows_end;        /* it says that the run is finished, by this plan */
  /* the newest committed one */
  bool committed;
  int64_t committed_step;
  ft_scored noted; /* what the file `best` names */
  double seconds;  /* that writing one takes: measured, or an estimate; 0: not known yet */
  bool measured;
} ft_saving;

/* ---- stop.c: how a run ends */

typedef struct ft_stopping {
  double started_s;       /* clock when the process began */
  double slurm_end_s;     /* when Slurm ends the job; 0: not known */
  double shortest_step_s; /* wall time; 0: none yet */
  atomic_bool by_file;    /* rank 0: a file `stop` was found, by another thread */
  bool finished;          /* nothing is left to do */
  bool keep_last; /* the run ends with an error, and the last finished step is worth keeping */
} ft_stopping;

/* ---- room.c: what there was before the large memory was taken */

typedef struct ft_before {
  int64_t accounted_bytes, resident_bytes;
  int64_t shm_bytes; /* free in /dev/shm; -1: not known */
} ft_before;

/* ---- progress.c: what was shown, and how long the last steps took with all between them */

enum { FT_WINDOW = 32 };
typedef struct ft_progress {
  double last_line_s;        /* when the last line was shown */
  double ended_s[FT_WINDOW]; /* when step s ended, at s mod FT_WINDOW */
  int64_t first;             /* the first step that did in this process; 0: none yet */
} ft_progress;

/* ---- candidates.c: the checkpoints that a run may go on from, the same on every rank */

enum { FT_CANDIDATES = 64 };
typedef struct ft_candidates {
  bool chosen; /* by the user: there is one */
  int64_t count, next, num_newer;
  int64_t steps[FT_CANDIDATES]; /* newest first; `next` is to be tried next */
  int64_t newer[FT_CANDIDATES]; /* than that which is taken: not whole, or not asked for */
} ft_candidates;

/* ---- a run's parts */

typedef struct ft_preference ft_preference;
typedef struct ft_samples ft_samples;

typedef struct trainer {
  ft_comm *comm;
  const ft_config *config;
  bool is_plain;       /* the model is a directory as it is, without the run's method … */
  const char *adapter; /* … but for this adapter laid over it; NULL: none */
  int rank, size;
  ft_run *run;               /* rank 0's, once it is taken */
  ft_checkpoint *checkpoint; /* that the run goes on from; NULL: it begins */
  ft_candidates candidates;
  cJSON *inputs;  /* rank 0: what it learns from (inputs.c) */
  cJSON *changes; /* rank 0: of the configuration and inputs, since the checkpoint */

  ft_objective objective;
  ft_preference *preference; /* where it weighs whole documents (preference.h); else NULL */
  ft_hf_config hf;
  char tokenizer_sha256[65]; /* of the model directory; "": it has none */
  uint32_t *prompt;          /* rank 0: the tokens that a new prompt begins with, or NULL */
  ft_data *train;            /* NULL when only evaluating */
  ft_data **validation;      /* [config->num_validation] */
  ft_samples *samples;       /* what evaluations generate (samples.c); NULL: nothing */
  ft_batch batch;
  ft_shard *shard;
  ft_optim *optim; /* NULL when only evaluating */
  ft_model *model;

  int64_t steps;   /* of the whole run */
  int64_t step;    /* last finished one */
  int64_t updates; /* the last step that changed the weights */
  int64_t tokens;  /* trained on so far, all ranks */
  int64_t skipped; /* steps left out because their numbers were not finite */
  ft_spike spike;  /* the losses so far */

  ft_evaluation evaluation;
  ft_saving saving;
  ft_stopping stopping;
  ft_before before;
  double peak_flops; /* of all ranks together, measured at the start */
  ft_progress progress;
} trainer;

/* ---- agree.c: collective over all ranks, errors agreed: they name who differs from whom. */
/* Program, environment, model and data, once they are open. */
ft_err ft_trainer_agree(trainer *t, const char *model_dir);
/* Whether every rank sees what rank 0 writes to the run directory, with patience. */
ft_err ft_trainer_share_run_dir(trainer *t);
/* Seconds for which what one rank has just made may not be seen by others. Not collective. */
double ft_trainer_patience_s(void);

/* ---- setup.c: collective over all ranks, errors agreed */
/* Opens config.json, tokenizer and data; for a training run checks the weights' headers too. */
ft_err ft_trainer_open(trainer *t, ft_comm *comm, const ft_config *config, const char *model_dir,
                       bool training);
void ft_trainer_close(trainer *t);
/* What was read last, as the model takes it. Borrowed. Not collective. */
ft_model_batch ft_trainer_batch(const trainer *t);

/* ---- allocate.c: collective over all ranks, errors agreed */
typedef enum ft_purpose_of_run {
  FT_FOR_TRAINING,
  FT_FOR_EVALUATION,
  FT_FOR_AVERAGE /* evaluation of averaged weights: rounded to nearest, whatever train.rounding says
                  */
} ft_purpose_of_run;
/* Allocates shard and model, and to train the optimizer. */
ft_err ft_trainer_allocate(trainer *t, ft_purpose_of_run purpose);
/* Frees them again. */
void ft_trainer_release(trainer *t);

/* ---- peak.c: FLOP/s of dot products in registers, on all ranks at once and together. Collective
 * over all ranks. */
ft_err ft_measure_peak(ft_comm *comm, ft_dtype type, double *flops);
/* Sets peak_flops. Collective over all ranks. */
ft_err ft_trainer_measure_peak(trainer *t);

/* ---- bench_machine.c: rates of all ranks at once and together. Collective over all ranks; errors
 * are agreed. */
ft_err ft_bench_memory(ft_comm *comm, double *bytes_per_s);
ft_err ft_bench_disk(ft_comm *comm, const char *dir, double *bytes_per_s);
/* FLOP/s of one micro-batch's matmuls, one after the other, several times. */
enum { FT_BENCH_MATMUL_RUNS = 3 };
ft_err ft_bench_matmuls(ft_comm *comm, const ft_bench_options *options,
                        double flops_per_s[FT_BENCH_MATMUL_RUNS]);

/* ---- passes.c: the order of a step, of a run as of a benchmark */

/* What passes go over, and where micro-batches come from. Number i of them is computed by rank
 * i mod N as its ⌊i/N⌋-th. */
typedef struct ft_passes {
  ft_comm *comm;
  ft_shard *shard;
  ft_optim *optim;
  ft_model *model;
  int64_t num_micro_batches;
  ft_loss loss; /* of each row */
  const ft_weigher
      *weigher;      /* of whole micro-batches instead, whose losses `done` gives; or NULL */
  bool look_for_bad; /* for the first number that is not finite */
  void *context;     /* of the next two */
  /* Micro-batch i, which is this rank's; *loss may be changed for it. What it points to is valid
   * until the next call. */
  ft_model_batch (*read)(void *context, int64_t i, ft_loss *loss);
  /* After i's passes: its loss, which may be changed, and where a number was not finite, if that
   * was looked for. NULL: not wanted. */
  void (*done)(void *context, int64_t i, double *loss, const ft_bad_number *number);
} ft_passes;
/* sums[width] = the sum over micro-batches, in their order, of values [rounds, width] of each rank,
 * the same on every rank. Collective over all ranks. Errors: FT_ERR_STOPPED, FT_ERR_MEMORY. */
ft_err ft_sum_in_order(ft_comm *comm, int64_t num_micro_batches, const double *values,
                       int64_t width, double *sums);
/* Micro-batches that a rank has at most. */
int64_t ft_passes_rounds(const ft_passes *passes);
/* Forward and backward: losses [rounds] of this rank's micro-batches and the norm of the step's
 * gradient. Collective over all ranks. Errors: FT_ERR_STOPPED. */
ft_err ft_passes_gradients(const ft_passes *passes, double *losses, double *norm);
/* The weights' update number `step`. Collective over all ranks. Errors: FT_ERR_STOPPED. */
ft_err ft_passes_update(const ft_passes *passes, int64_t step, const ft_rate *rate, double norm);

/* ---- gradients.c: what a step learns from its rows. Collective over all ranks. */
typedef struct step_result {
  bool has_targets;
  bool skipped; /* not finite, and left out */
  double loss, grad_norm, lr;
  int64_t targets, tokens; /* of the global batch */
  double flops;            /* model FLOPs of the global batch */
  double seconds;
  ft_preference_sums sums; /* where the objective weighs whole documents, as the next */
  double kl;
} step_result;
/* `mfu`: the step's model FLOP/s by the peak of all ranks together; NaN where one is not known. */
double ft_share_of_peak(const step_result *r, double peak_flops);
/* Where a number was not finite first: of a rank's micro-batches, then of all. */
typedef struct ft_bad_report {
  bool found, is_loss;
  int rank;
  char host[64];
  int64_t micro_batch, first_row, block;
  int tensor; /* -1: the block's output */
  int64_t element;
  double value;
} ft_bad_report;
/* What the global batch of a step holds. Errors are agreed. */
ft_err ft_trainer_count(trainer *t, int64_t step, ft_data_counts *counts);
/* A run's passes, but for what a step is to learn from. Not collective. */
ft_passes ft_trainer_passes(const trainer *t);
/* Forward and backward passes of a step that has targets: its loss, gradients and their norm. bad
 * (NULL: not wanted) gets the first number of this rank that is not finite. Collective over all
 * ranks. Errors: FT_ERR_STOPPED. */
ft_err ft_trainer_gradients(trainer *t, int64_t step, step_result *r, ft_bad_report *bad);

/* ---- step.c */
/* The next optimizer step: t->step counts on, and metrics.jsonl has its row. Collective over all
 * ranks. Errors: FT_ERR_STOPPED; then all ranks have finished it or none. */
ft_err ft_trainer_step(trainer *t);
/* Learning rate of an update, from 1, of a run of `steps`. */
double ft_lr_at(const ft_config *config, int64_t steps, int64_t step);

/* ---- finite.c */
bool ft_step_is_finite(const step_result *r);
/* After a step whose numbers are not finite: computes it again, says where they come from, and does
 * what train.not_finite says: r->skipped, or FT_ERR_DATA. Collective over all ranks. */
ft_err ft_trainer_look_again(trainer *t, int64_t step, step_result *r);
/* Counts a loss; true if it lies far above those before it. */
bool ft_spike_note(ft_spike *spike, double loss);
/* After a step: points out a loss spike. The same on every rank. */
void ft_trainer_watch_loss(trainer *t, const step_result *r);

/* ---- evaluate.c */
/* Rows of a validation set that are used: validation.max_rows. */
static inline int64_t ft_trainer_validation_rows(const trainer *t, const ft_data *data) {
  int64_t rows = ft_data_num_rows(data);
  return t->config->max_rows > 0 ? FT_MIN(rows, t->config->max_rows) : rows;
}
/* *out on rank 0, NULL elsewhere; the monitored loss everywhere (NaN without sets or targets).
 * Collective over all ranks. Errors: FT_ERR_STOPPED. */
ft_err ft_trainer_evaluate(trainer *t, cJSON **out, double *monitored);
/* Evaluates inside a run: its row in metrics.jsonl and what it changes in t->evaluation, on all
 * ranks or on none. Collective over all ranks. Errors: FT_ERR_STOPPED and those of writing rows. */
ft_err ft_trainer_evaluate_now(trainer *t);

/* ---- evaluation.c: what evaluations have found, and what follows. Not collective. */
bool ft_trainer_evaluation_due(const trainer *t, int64_t step);
/* Whether a step that is the best so far gets a checkpoint that is not due, of so many bytes: by
 * the steps since the last one that was to be written, the best's before it among them (0: none).
 */
bool ft_best_is_worth_saving(int64_t step, int64_t every, int64_t best_step, int64_t bytes);
/* Whether the step that is done gets a checkpoint: it is its turn, or the best so far. The last
 * step's is written at the end. */
bool ft_trainer_checkpoint_due(const trainer *t);
/* It is the step's turn, or it is the last. */
bool ft_trainer_checkpoint_is_regular(const trainer *t);
/* No gain for validation.patience evaluations. */
bool ft_trainer_patience_over(const trainer *t);
/* What a checkpoint carries of it. */
void ft_evaluation_write(const ft_evaluation *e, cJSON *extra);
void ft_evaluation_read(ft_evaluation *e, const cJSON *extra);
/* The best step turns out to have no checkpoint: `before` is the best again. */
void ft_evaluation_forget(ft_evaluation *e, int64_t step, const ft_scored *before);

/* ---- saving.c: checkpoints and the file `best` */
ft_err ft_trainer_begin_checkpoint(trainer *t);
/* Errors: FT_ERR_STOPPED; then it can be finished later. Others: the checkpoint does not exist, and
 * is not the best one any more. */
ft_err ft_trainer_finish_checkpoint(trainer *t);
/* The last step's checkpoint, unless it is there already. */
ft_err ft_trainer_leave_checkpoint(trainer *t);
/* Says that the checkpoint begun last could not be written, and why: the calling thread's message.
 */
void ft_trainer_say_unsaved(const trainer *t);
/* `best` names the newest checkpoint if it is the best; where that cannot be written, it is not.
 * Errors: FT_ERR_STOPPED. */
ft_err ft_trainer_note_best(trainer *t);

/* ---- extra.c: what a checkpoint carries beside the shard's state */
/* A checksum as 16 hexadecimal digits. */
enum { FT_CHECKSUM_BYTES = 17 };
void ft_print_checksum(uint64_t checksum, char out[FT_CHECKSUM_BYTES]);
/* A number among what a checkpoint carries; where it is missing, another. */
double ft_extra_number(const cJSON *extra, const char *name, double otherwise);

/* ---- export.c: the state of a checkpoint that stands for the weights: with `average` that of
 * train.ema; NULL: the master weights. Errors: FT_ERR_USAGE where it has no such. Not collective.
 */
ft_err ft_train_average_state(const ft_checkpoint *checkpoint, const char *run_dir, bool average,
                              const char **state);

/* ---- inputs.c: what the run learns from, known by content. Rank 0's, not collective. */
/* {"model": {digests}, "train": [{"path", "identity", "documents", "tokens"}], "validation": […]}.
 */
ft_err ft_inputs_describe(const trainer *t, cJSON **out);
/* What is the same as when the checkpoint was written goes to *rules; what is not, and is not
 * allowed, to *mistakes; what may be otherwise, to changes. */
void ft_inputs_compare(const trainer *t, const ft_checkpoint_meta *meta, const cJSON *now,
                       ft_resume_rules *rules, ft_mistakes *mistakes, cJSON *changes);

/* ---- candidates.c: which checkpoints a run may go on from. Collective over all ranks, errors
 * agreed. */
/* Lists them (asked: the only one; -1: all), newest first. Errors: FT_ERR_NOINPUT, FT_ERR_CONFIG
 * (run.resume). */
ft_err ft_candidates_find(trainer *t, int64_t asked);
/* Opens the next that can be opened, in t->checkpoint (NULL: there never was any), and says which
 * are passed over. Errors: FT_ERR_DATA (none is left). */
ft_err ft_candidates_open(trainer *t);
/* The one that is open turns out not to be whole: the calling thread's message says why. It is
 * closed. */
void ft_candidates_pass_over(trainer *t);
/* Sets aside what is newer than where the run goes on. The file `best` follows. */
ft_err ft_candidates_set_aside(trainer *t);

/* ---- resume.c: where the run begins or goes on. Collective over all ranks, errors agreed. */
/* Opens the checkpoint to go on from, if there is one; settles the configuration; refuses what has
 * changed and may not. Writes nothing. */
ft_err ft_trainer_find_start(trainer *t, ft_config *config, const ft_train_options *options);
/* The model's weights, or all that the checkpoint has; its weights must have the checksum that they
 * had when they were saved. Each byte is read by one rank. Of a checkpoint that is not whole, the
 * one before is taken, under the same conditions. */
ft_err ft_trainer_load(trainer *t, ft_config *config, const ft_train_options *options);
/* The first that is written to the run directory: its configuration, how this part began, and
 * metrics without what comes after the checkpoint. *evaluate: an evaluation is due now. */
ft_err ft_trainer_begin(trainer *t, const ft_train_options *options, bool *evaluate);

/* ---- samples.c: texts that evaluations generate (validation.prompts), the same on any number of
 * ranks. */
/* Reads the prompts, if the configuration has any. Rank 0's. Errors: FT_ERR_DATA, FT_ERR_CONFIG,
 * those of reading. */
ft_err ft_samples_read(trainer *t, const char *model_dir);
/* All ranks know them from here on. Collective over all ranks. */
ft_err ft_samples_share(trainer *t);
/* Before the first step. Not collective. Errors: FT_ERR_MEMORY. */
ft_err ft_samples_allocate(trainer *t, const ft_generator_options *room);
/* *out, on rank 0: [{"prompt", "text"}], in the file's order; NULL without prompts. Collective over
 * all ranks. Errors: FT_ERR_STOPPED. */
ft_err ft_samples_make(trainer *t, cJSON **out);
void ft_samples_free(ft_samples *samples);

/* ---- room.c: whether memory and disk have room for the run, once everything is allocated. The
 * disk is looked at where there are no mistakes yet, for which checkpoints must be known to come.
 * Collective over all ranks. Errors: all mistakes, those found before too. */
ft_err ft_trainer_check_room(trainer *t, ft_mistakes *mistakes);
/* What there is now, for ft_trainer_check_room to look at what was taken since. Not collective. */
void ft_before_note(ft_before *before);
/* Bytes of a checkpoint, of all ranks together. Not collective. */
int64_t ft_trainer_checkpoint_bytes(const trainer *t);

/* ---- outlook.c: what will come of the run, for people, before the first step */
void ft_outlook_say(const trainer *t);

/* ---- usage.c: peaks of memory by owner, and where the time went, since this process began. A run
 * does not fail for it. Not collective: rank 0's. */
void ft_trainer_note_usage(const trainer *t);

/* ---- deadline.c: when to stop */
/* Before the first step: says how long the run may last. Not collective, as the next. */
void ft_trainer_prepare_stop(trainer *t);
/* After each step and each checkpoint: when to stop, so that a checkpoint still fits the limit, and
 * what a signal would be answered with. */
void ft_trainer_plan_stop(trainer *t);

/* ---- stop.c: the end before the end */
/* After FT_ERR_STOPPED: commits the last finished step. Returns FT_ERR_STOPPED with what to tell
 * the user, why there is no checkpoint, or FT_OK where nothing was left to do. Collective over all
 * ranks.
 */
ft_err ft_trainer_commit_stop(trainer *t);

/* ---- signals.c */
/* What a signal is answered with on stderr, at once, and what a second one, which ends the process:
 * one line each. From one thread. */
void ft_signals_answer(const char *first, const char *second);
/* When the process began: the first call says. */
double ft_process_started_s(void);

/* ---- progress.c: lines for people, on rank 0 */
/* Seconds that the steps to come will take, evaluations and checkpoints between them included, if
 * they take as long as the last FT_WINDOW ones; of the first step only its own time, step_s, is
 * known. To be called at the end of each step. */
double ft_time_left(ft_progress *p, double now_s, int64_t step, int64_t steps, double step_s);
void ft_progress_step(trainer *t, int64_t step, const step_result *r);
void ft_progress_validation(int64_t step, const cJSON *validation);
/* Peak memory by owner, and the memory of the node that has most. Collective over all ranks. */
void ft_progress_memory(trainer *t);
/* What has come of the run, in five lines. Rank 0's. */
void ft_progress_end(const trainer *t);

/* Resident memory of this process in bytes. */
int64_t ft_rss_bytes(void);
/* The same with each page that several processes share divided among them, so that the sum over a
 * node's ranks is what they take of its memory. 0: the system does not say. */
int64_t ft_pss_bytes(void);
/* Bytes that this process has read from files so far; 0 where the kernel does not say. */
int64_t ft_read_bytes(void);

#endif
