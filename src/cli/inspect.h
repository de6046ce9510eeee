/* What the files of `ftrun inspect` share: each prints what a path is, verifies it, and returns the
 * first error, whose message names the file. */
#ifndef FT_CLI_INSPECT_H
#define FT_CLI_INSPECT_H

#include "ft/hf.h"

/* "  LABEL  TEXT…" on standard output. */
void ft_inspect_line(const char *label, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

ft_err ft_inspect_model(const char *dir);
/* model_dir: the model that it has to fit; NULL: any. */
ft_err ft_inspect_adapter(const char *dir, const char *model_dir);
/* Texts beside weights, which have a list of checksums or none. */
ft_err ft_inspect_texts(const char *dir);
/* Weights alone. config: what the tensors have to be; NULL: anything. */
ft_err ft_inspect_weights(const char *path, const ft_hf_config *config);
ft_err ft_inspect_safetensors(const char *path);
ft_err ft_inspect_shard(const char *path);
/* All *.h5 of a folder. */
ft_err ft_inspect_shards(const char *dir);
ft_err ft_inspect_checkpoint(const char *dir);
ft_err ft_inspect_run(const char *dir);
/* Prints "STEP FINISHED ATTEMPT" of a run directory, which need not exist yet. */
ft_err ft_inspect_latest(const char *dir);

#endif
