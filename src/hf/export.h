/* Inside hf: the parts of an export. */
#ifndef FT_HF_EXPORT_H
#define FT_HF_EXPORT_H

#include "adapter.h"
#include "hf_internal.h"

/* Makes directory OUT, which is new or empty, by writing into another beside it, which takes its
 * name when it is complete. Errors: FT_ERR_CREATE, FT_ERR_IO, those of `write`. */
ft_err ft_hf_make_directory(const char *out_dir, ft_err (*write)(void *arg, const char *dir),
                            void *arg);

/* Weights to be written. Everything borrowed. */
typedef struct ft_hf_weights {
  const ft_hf_config *config;
  const char *model_dir; /* NULL: there is none */
  const ft_hf_source *source;
  ft_dtype dtype;
  int64_t max_shard_bytes; /* 0: 5e9 where files are not those of model_dir */
  bool merges;             /* what a method has added is worked into the model's own weights */
  bool untied;             /* the head of a tied model has become a matrix of its own … */
  bool adds_head;          /* … which the layout does not have: it is the embedding as it was */
} ft_hf_weights;
/* Writes them into out_dir in the form of model_dir's: its files, or where these are not at hand,
 * were not there when the config was read, or max_shard_bytes is not 0, files of at most that size.
 * Errors: FT_ERR_DATA, FT_ERR_CREATE, FT_ERR_IO, and those of the source. */
ft_err ft_hf_write_weights(const ft_hf_weights *weights, const char *out_dir);

/* ---- merge.c: what a method has added, worked into one tensor of the model's files after the
 * other, in f32 */
typedef struct ft_hf_merger ft_hf_merger;
/* Refuses methods that no weights can stand for. Errors: FT_ERR_CONFIG. */
ft_err ft_hf_check_merge(const ft_hf_config *config, const ft_hf_method *method);
/* Decides what becomes of a tied head. */
void ft_hf_find_head(const ft_hf_config *config, ft_hf_weights *out);
/* Whether something stands beside a map that this tensor holds, or scales it. */
bool ft_hf_is_merged(const ft_hf_config *config, const ft_hf_file_tensor *t);
/* Reads what is to be worked into the tensor t, which is `base` in `input`. Errors: FT_ERR_MEMORY,
 * those of the source and of reading. */
ft_err ft_hf_merger_new(const ft_hf_config *config, const ft_hf_source *source,
                        const ft_hf_file_tensor *t, ft_safetensors *input,
                        const ft_safetensor *base, ft_hf_merger **out);
void ft_hf_merger_free(ft_hf_merger *merger);
/* values [count, columns of the file's tensor] of its rows row … become what they are merged. */
void ft_hf_merge_rows(const ft_hf_merger *merger, int64_t row, int64_t count, float *values);

#endif
