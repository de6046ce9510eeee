/* checkpoint: saves and restores the state registered in shard, on any number of ranks. Knows
 * neither model nor optimizer. Format: docs/formats.md. */
#ifndef FT_CHECKPOINT_H
#define FT_CHECKPOINT_H

#include "ft/io.h"
#include "ft/shard.h"

typedef struct ft_checkpoint_meta {
  int64_t step;
  int64_t updates; /* the last step that changed the weights: names their rounding (shard.h) */
  int64_t tokens;  /* trained on so far */
  const cJSON
      *config;  /* the resolved config; borrowed when saving, owned by the manifest when loaded */
  cJSON *extra; /* whatever train wants to find again (best validation …); may be NULL */
} ft_checkpoint_meta;

/* RUN/checkpoints/step-%08d */
ft_err ft_checkpoint_path(const char *run_dir, int64_t step, char **out);

/* The committed checkpoints of a run, ascending; free with ft_free. A directory without
 * manifest.json is not one. No run directory: zero of them. Not collective. */
ft_err ft_checkpoint_list(const char *run_dir, int64_t **steps, int64_t *num_steps);

/* Takes a checkpoint out of the list by giving its directory another name: step-00000020.set-aside,
 * or with a number behind it. *to: its new path (ft_free). Not collective. Errors: FT_ERR_IO. */
ft_err ft_checkpoint_set_aside(const char *run_dir, int64_t step, char **to);

typedef struct ft_checkpoint_writer ft_checkpoint_writer;

/* Starts writing the current state; the I/O thread does it while training goes on. Nothing the
 * shard keeps may change until ft_checkpoint_finish. What meta points to is copied. A directory of
 * the same step is replaced. The disk must have room for all ranks' files. Collective over all
 * ranks; errors are agreed. Errors: FT_ERR_CREATE, FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_checkpoint_begin(ft_comm *comm, ft_shard *shard, const char *run_dir,
                           const ft_checkpoint_meta *meta, ft_checkpoint_writer **out);
/* True once this rank's part is on disk. */
bool ft_checkpoint_written(const ft_checkpoint_writer *writer);
/* Waits for this rank's part, whose error is for ft_checkpoint_finish. Not collective. */
void ft_checkpoint_wait(ft_checkpoint_writer *writer);
/* What a checkpoint was and took, of all ranks together. */
typedef struct ft_checkpoint_report {
  int64_t bytes;
  double seconds;     /* the slowest rank's writing */
  double cpu_seconds; /* of the I/O threads */
} ft_checkpoint_report;
/* Waits for every rank's part; rank 0 writes manifest.json, which makes it a checkpoint. Frees the
 * writer. Collective over all ranks; errors are agreed, remove what was written of this checkpoint
 * and leave earlier ones whole. *report may be NULL. A NULL writer is FT_OK. After FT_ERR_STOPPED
 * (the job stops; ft_comm.h) the writer is not freed: call again once collectives work again. */
ft_err ft_checkpoint_finish(ft_checkpoint_writer *writer, ft_checkpoint_report *report);

/* Gives members of a committed checkpoint's meta.extra other values. Its manifest is replaced as a
 * whole; interrupted or failing, it stays as it was. Rank 0 works. Collective over all ranks;
 * errors are agreed. Errors: as ft_checkpoint_open and ft_write_file. */
ft_err ft_checkpoint_amend(ft_comm *comm, const char *run_dir, int64_t step, const cJSON *members);

/* Keeps the newest `keep` (at least one) and `best` (-1: none), removes other checkpoints and what
 * was never committed and is older than the newest. Rank 0 works. Collective over all ranks; errors
 * are agreed. */
ft_err ft_checkpoint_prune(ft_comm *comm, const char *run_dir, int64_t keep, int64_t best);

/* A checkpoint opened for reading, for any number of ranks and any layout. */
typedef struct ft_checkpoint ft_checkpoint;
/* Reads the manifest, which has every file's table, and compares the files' sizes. Not collective;
 * what follows is for one thread at a time. Errors: FT_ERR_DATA, FT_ERR_NOINPUT. */
ft_err ft_checkpoint_open(const char *run_dir, int64_t step, ft_checkpoint **out);
/* The same on every rank: rank 0 reads the manifest and looks at the files. Collective over all
 * ranks; errors are agreed. */
ft_err ft_checkpoint_open_together(ft_comm *comm, const char *run_dir, int64_t step,
                                   ft_checkpoint **out);
/* The same, of a checkpoint's own directory, wherever it lies and whatever it is called. */
ft_err ft_checkpoint_open_dir(const char *dir, ft_checkpoint **out);
void ft_checkpoint_close(ft_checkpoint *checkpoint);
const ft_checkpoint_meta *ft_checkpoint_meta_of(const ft_checkpoint *checkpoint);
int ft_checkpoint_world_size(const ft_checkpoint *checkpoint);
int ft_checkpoint_num_states(const ft_checkpoint *checkpoint);
/* Name of a state, and the bytes that it has over all files. Borrowed. */
const char *ft_checkpoint_state(const ft_checkpoint *checkpoint, int index, int64_t *bytes);
/* Raw entries of a state covering flat elements start … start+count-1 of a block (multiples of the
 * state's group). For export and for loading into a shard. Verified against checksums as it is
 * read. */
ft_err ft_checkpoint_read(ft_checkpoint *checkpoint, const char *block, const char *state,
                          int64_t start, int64_t count, int64_t group_elements, size_t group_bytes,
                          void *out);
/* Whether there is a state of that name. */
bool ft_checkpoint_has(const ft_checkpoint *checkpoint, const char *state);
/* Values of the master weights, in whatever form they were saved (state NULL), or of a state in f32
 * that stands for them. Verified as it is read. */
ft_err ft_checkpoint_read_weights(ft_checkpoint *checkpoint, const char *block, const char *state,
                                  int64_t start, int64_t count, float *out);
/* Reads every byte of every file and compares checksums; names the file and dataset of the first
 * difference. Not collective. */
ft_err ft_checkpoint_verify(ft_checkpoint *checkpoint);

/* Whether a checkpoint's blocks and states are those of the shard: what ft_checkpoint_restore asks
 * first, so that its FT_ERR_DATA means damage. Not collective. Errors: FT_ERR_DATA. */
ft_err ft_checkpoint_fits(const ft_checkpoint *checkpoint, const ft_shard *shard, bool states_too);
/* Restores every registered state (kept ranges) and calls ft_shard_weights_changed; a state that
 * only one of both has, or that they keep in another form, is an error. states_too = false: weights
 * only (evaluation), also into a shard without training. Each rank reads what it owns. Collective
 * over all ranks; errors are agreed. */
ft_err ft_checkpoint_restore(ft_comm *comm, ft_checkpoint *checkpoint, ft_shard *shard,
                             bool states_too);
/* Sets the weights of a shard without training from a state in f32 (NULL: the master weights).
 * Otherwise as above. */
ft_err ft_checkpoint_restore_weights(ft_comm *comm, ft_checkpoint *checkpoint, ft_shard *shard,
                                     const char *state);

#endif
