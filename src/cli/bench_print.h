/* What ftrun bench prints. */
#ifndef FT_CLI_BENCH_PRINT_H
#define FT_CLI_BENCH_PRINT_H

#include "ft/train.h"

/* To standard output; not collective. */
void ft_cli_bench_text(const ft_comm *comm, const ft_bench_options *o, const ft_bench_result *r);
/* One object. Errors: FT_ERR_MEMORY. */
ft_err ft_cli_bench_json(const ft_comm *comm, const ft_bench_options *o, const ft_bench_result *r);

#endif
