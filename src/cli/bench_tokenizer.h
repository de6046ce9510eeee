/* ftrun bench --tokenizer: how fast text becomes ids. */
#ifndef FT_CLI_BENCH_TOKENIZER_H
#define FT_CLI_BENCH_TOKENIZER_H

#include "ft/base.h"

/* Encodes the texts of a file, one after the other on one thread, and prints how long that takes.
 * Reading the file does not count. json: one object instead of a line. Errors: FT_ERR_DATA,
 * FT_ERR_NOINPUT, FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_cli_bench_tokenizer(const char *model_dir, const char *file, bool json);

#endif
