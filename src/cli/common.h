/* What the commands share: one rank speaks, numbers are parsed strictly, an error becomes an exit
 * status. */
#ifndef FT_CLI_COMMON_H
#define FT_CLI_COMMON_H

#include <argp.h>

#include "ft/base.h"
#include "ft/comm.h"

/* This process's rank before MPI is up, from the launcher's environment; 0 without one. */
int ft_cli_launch_rank(void);
/* Number of processes the launcher (mpirun, srun) started; 1 without one. */
int ft_cli_launch_size(void);

/* Starts this program again, with the same arguments, so that compute threads which wait for each
 * other sleep after a fraction of a millisecond instead of several: on a machine that others use
 * too, a thread that spins takes the core from the one it waits for. libgomp reads its settings
 * before main, hence the second start. Does nothing where the user has chosen (OMP_WAIT_POLICY,
 * GOMP_SPINCOUNT). */
void ft_cli_wait_briefly(char **argv);

/* argp_parse that only rank 0 hears: others parse the same words silently. Exits with 64 on wrong
 * ones. */
void ft_cli_parse(const struct argp *argp, int argc, char **argv, void *input);

/* The list of commands, as `ftrun --help` has it. */
void ft_cli_print_commands(FILE *to);

/* All libraries with their versions. */
const char *ft_cli_libraries(void);

/* Parse TEXT of an option as a number in [min, max], or end with a usage error that names the
 * option. */
int64_t ft_cli_int(const struct argp_state *state, const char *option, const char *text,
                   int64_t min, int64_t max);
double ft_cli_number(const struct argp_state *state, const char *option, const char *text,
                     double min, double max);
/* "bf16" or "fp32". */
ft_dtype ft_cli_dtype(const struct argp_state *state, const char *option, const char *text);

/* Every signal that announces an end calls `handler`, once: a second one ends the process at once.
 * What nohup and its like let the program ignore (SIGHUP) stays ignored. */
void ft_cli_catch_signals(void (*handler)(int number));

/* Refuses to run as one of several ranks (commands that work alone). */
ft_err ft_cli_alone(const char *command);

/* Prints err's message once (rank 0) and returns the exit status. */
int ft_cli_end(ft_err err);

/* Starts MPI alone, for commands that do not compute. Collective over all ranks, errors as
 * ft_cli_start; free with ft_comm_free. */
ft_err ft_cli_connect(ft_comm **comm);
/* Starts MPI, compute threads and kernels. Collective over all ranks. Refuses processes that the
 * launcher started together and MPI does not know as one job. */
ft_err ft_cli_start(ft_comm **comm);
void ft_cli_stop(ft_comm *comm);

#endif
