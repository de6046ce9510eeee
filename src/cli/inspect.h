/* What the files of `ftrun inspect` share: each prints what a path is, verifies it, and returns the
 * first error, whose message names the file. */
#ifndef FT_CLI_INSPECT_H
#define FT_CLI_INSPECT_H

#include "ft/base.h"

/* "  LABEL  TEXT…" on standard output. */
void ft_inspect_line(const char *label, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Whether DIR holds a file or directory of that name. */
bool ft_inspect_has(const char *dir, const char *name);

ft_err ft_inspect_model(const char *dir);
ft_err ft_inspect_safetensors(const char *path);
ft_err ft_inspect_shard(const char *path);
/* All *.h5 of a folder. */
ft_err ft_inspect_shards(const char *dir);
ft_err ft_inspect_checkpoint(const char *dir);
ft_err ft_inspect_run(const char *dir);
/* Prints "STEP FINISHED ATTEMPT" of a run directory, which need not exist yet. */
ft_err ft_inspect_latest(const char *dir);

#endif
