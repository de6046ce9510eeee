/* plan: what a run will take, before any rank of it exists: memory by owner, disk, network, work
 * and, where a node was measured, time. Needs neither MPI nor weights: of a model config.json is
 * read, of data what is there. Sizes are those that the modules state of themselves
 * (ft_shard_footprint, ft_model_footprint, ft_generator_footprint). Not collective, all of it. */
#ifndef FT_PLAN_H
#define FT_PLAN_H

#include "ft/data.h"
#include "ft/hf.h"
#include "ft/model_generate.h"
#include "ft/optim.h"
#include "ft/run.h"

/* What a configuration asks the modules for; training, planning and checking read this one. */
typedef struct ft_plan_modules {
  ft_shard_options shard;
  ft_model_options model;
  ft_optim_options optim;
  ft_generator_options generator; /* of samples; at_once 0: none are made */
} ft_plan_modules;

/* max_tokens: of a micro-batch. */
ft_plan_modules ft_plan_modules_of(const ft_config *config, int64_t max_tokens);

/* Whether data.seq_len tokens, and what a method puts before them, fit the positions of the model
 * of MODEL_DIR. Errors: FT_ERR_CONFIG. */
ft_err ft_plan_check_positions(const ft_config *config, const char *model_dir,
                               const ft_hf_config *hf);
/* Bytes of a checkpoint of what the layout trains, of all ranks together. */
int64_t ft_plan_checkpoint_bytes(const ft_config *config, const ft_layout *layout);

/* Opens a set of a configuration for a model: its validation set of that number, or
 * FT_PLAN_TRAINING, all of data.train together. tokenizer_sha256: of the model's tokenizer, ""
 * where nobody asks. Errors: as ft_data_open. */
enum { FT_PLAN_TRAINING = -1 };
ft_err ft_plan_open_set(const ft_config *config, const ft_layout *layout, int64_t set,
                        const char *tokenizer_sha256, ft_data **out);

/* The directory of the reference model that answers are compared with; NULL: the objective has
 * none. Borrowed from the configuration. */
const char *ft_plan_reference_path(const ft_config *config);
/* Reads its config.json; `run` is the layout of the model that is trained, whose storage the
 * reference has too where it is the same directory by default. Errors: as ft_hf_config_read. */
ft_err ft_plan_open_reference(const ft_config *config, const ft_layout *run, ft_hf_config *out);
/* What it is asked with. */
ft_plan_modules ft_plan_reference_modules(const ft_config *config, int64_t max_tokens);
/* Bytes of a document in memory, and in reference.h5. */
enum { FT_PLAN_REFERENCE_ROW_BYTES = 24 };

/* One measured node (ftrun bench --calibrate); 0: not measured. */
typedef struct ft_calibration {
  double rank_flops;          /* FLOP/s of a rank, recomputation counted, optimizer not */
  double optimizer_element_s; /* of the update, an element that a rank keeps */
  double disk_bytes_per_s;    /* written with fsync, by the node */
  double network_bytes_per_s; /* into a node; nobody measures it on one */
  int64_t process_bytes;      /* of a rank beside what is accounted: program, libraries, MPI */
} ft_calibration;
/* A calibration's file. Errors: FT_ERR_NOINPUT, FT_ERR_DATA. */
ft_err ft_calibration_read(const char *path, ft_calibration *out);
ft_err ft_calibration_write(const char *path, const ft_calibration *calibration);

typedef struct ft_plan_cluster {
  int ranks, ranks_per_node;
  int64_t node_memory;
  ft_calibration calibration; /* zeroed: none */
} ft_plan_cluster;

/* When a node's memory is touched: what is allocated, but not yet used, is not there. */
typedef enum ft_plan_moment {
  FT_PLAN_REFERENCE, /* the reference model is asked, before anything of the run is there */
  FT_PLAN_LOAD,      /* weights are read */
  FT_PLAN_STEP,
  FT_PLAN_SAVE, /* a step during which a checkpoint is written */
  FT_PLAN_NUM_MOMENTS
} ft_plan_moment;
const char *ft_plan_moment_name(ft_plan_moment moment);

typedef struct ft_plan {
  int nodes;
  int64_t parameters, trained;          /* numbers of them */
  int64_t max_tokens;                   /* of a micro-batch */
  bool data_is_there;                   /* max_tokens and steps are the data's */
  int64_t bytes[FT_MEM_NUM_OWNERS];     /* of the fullest node, by owner */
  int64_t process_bytes;                /* of its ranks, beside these */
  int64_t moments[FT_PLAN_NUM_MOMENTS]; /* of that node */
  ft_plan_moment peak;                  /* the largest of them */
  int64_t node_bytes;                   /* the peak */
  int64_t rank_bytes;                   /* of its fullest rank, what the node has once shared out */
  int64_t shared_bytes;                 /* in /dev/shm of a node; 0: its one rank allocates */
  int64_t checkpoint_bytes, disk_bytes; /* one; all that lie there at once, and reference.h5 */
  int64_t reference_documents;          /* of reference.h5 at most; 0: none, or not known */
  double network_bytes;                 /* a step, that cross between nodes, all of them */
  double step_flops;                    /* as ft_layout_training_flops */
  int64_t rounds;                       /* micro-batches of the busiest rank */
  int64_t steps;                        /* 0: not known (epochs, and no data) */
  double step_s, save_s;                /* 0: not known */
  bool fits;
} ft_plan;

/* What a configuration trains (method, frozen parts, storage) put into hf->layout: the business of
 * who trains. */
typedef ft_err ft_plan_lay_out(const ft_config *config, ft_hf_config *hf);

/* What a run is planned from. */
typedef struct ft_plan_input {
  ft_config *config; /* borrowed; settled */
  ft_plan_lay_out *lay_out;
  ft_hf_config hf;
  ft_hf_config reference; /* zeroed: the objective has none */
  ft_data_shape shape;    /* of micro-batches */
  int64_t documents;      /* of a pass of training */
  int64_t validation_documents;
  int64_t rows;       /* of a pass; -1: not known */
  int64_t data_bytes; /* of a rank */
  bool data_is_there;
} ft_plan_input;
/* Reads the model's config.json and the data that is there, and settles *config (borrowed). Errors:
 * FT_ERR_NOINPUT, FT_ERR_DATA, FT_ERR_CONFIG. */
ft_err ft_plan_open(ft_config *config, ft_plan_lay_out *lay_out, ft_plan_input *out);
void ft_plan_close(ft_plan_input *input);

/* The run as the configuration says, on that cluster. Errors: FT_ERR_MEMORY, FT_ERR_USAGE. */
ft_err ft_plan_make(const ft_plan_input *input, const ft_plan_cluster *cluster, ft_plan *out);

/* ft_plan.fits alone, known as soon as one node has too little. Errors: as ft_plan_make. */
ft_err ft_plan_fits(const ft_plan_input *input, const ft_plan_cluster *cluster, bool *fits);

/* Settings that need less, from the least costly on. */
typedef struct ft_plan_proposal {
  char settings[256]; /* "KEY=VALUE …"; "" : as configured */
  int nodes;          /* the fewest it fits on; 0: on none up to FT_PLAN_MOST_NODES */
  bool fits;          /* on the cluster that was asked about */
} ft_plan_proposal;
enum { FT_PLAN_MOST_NODES = 4096, FT_PLAN_PROPOSALS = 6 };
/* Tries them; of `num` ≤ FT_PLAN_PROPOSALS. The configuration is left as it was. Errors: as
 * ft_plan_make, as ft_plan_open. */
ft_err ft_plan_propose(ft_plan_input *input, const ft_plan_cluster *cluster,
                       ft_plan_proposal proposals[FT_PLAN_PROPOSALS], int *num);

#endif
