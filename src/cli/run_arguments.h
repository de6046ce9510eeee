/* CONFIG.json [KEY=VALUE …], as train and eval take them. */
#ifndef FT_CLI_RUN_ARGUMENTS_H
#define FT_CLI_RUN_ARGUMENTS_H

#include "common.h"
#include "ft/train.h"

typedef struct run_arguments {
  const char *config;
  char **overrides; /* [num_overrides] point into argv */
  int64_t num_overrides;
} run_arguments;

/* Takes one positional argument. */
void ft_cli_take_run_argument(run_arguments *r, struct argp_state *state, char *argument);
/* Reads and checks the configuration on every rank. Collective over all ranks; errors are agreed.
 */
ft_err ft_cli_load_config(ft_comm *comm, const run_arguments *r, ft_config *out);
/* Gives all ranks rank 0's configuration: a file may be another one on another host. Collective
 * over all ranks; errors are agreed. */
ft_err ft_cli_share_config(ft_comm *comm, ft_config *config);
/* argp's help_filter: the table of configuration keys after the options. */
char *ft_cli_config_help(int key, const char *text, void *input);

#endif
