/* Inside hf: the parts of an export. */
#ifndef FT_HF_EXPORT_H
#define FT_HF_EXPORT_H

#include "hf_internal.h"

/* Writes the weights into out_dir in the form of model_dir's (NULL: there is none): its files, or
 * where these are not at hand, were not there when the config was read, or max_shard_bytes is not
 * 0, files of at most that size (0: 5e9). Errors: FT_ERR_DATA, FT_ERR_CREATE, FT_ERR_IO, and those
 * of the source. */
ft_err ft_hf_write_weights(const ft_hf_config *config, const char *model_dir,
                           const ft_hf_source *source, ft_dtype dtype, int64_t max_shard_bytes,
                           const char *out_dir);

#endif
