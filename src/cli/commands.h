/* The commands of ftrun, and what help texts, manual pages and completions are made of. */
#ifndef FT_CLI_COMMANDS_H
#define FT_CLI_COMMANDS_H

#include <argp.h>

#include "ft/base.h"

typedef struct ft_command {
  const char *name, *summary;
  const struct argp *argp;           /* its arguments, options and texts */
  int (*run)(int argc, char **argv); /* argv[0] is "ftrun COMMAND"; returns the exit status */
  bool brief_waits;   /* someone sits in front of it, on a machine that others may use */
  bool prints_result; /* what it prints on standard output is what it is run for */
} ft_command;

extern const ft_command ft_commands[];
extern const int64_t ft_num_commands;
/* NULL: there is none. */
const ft_command *ft_command_find(const char *name);
/* The command that was probably meant by this name, which is none's; NULL where none is near. */
const ft_command *ft_command_nearest(const char *name);

extern const struct argp ft_cli_train_argp, ft_cli_eval_argp, ft_cli_prep_argp,
    ft_cli_tokenize_argp, ft_cli_generate_argp, ft_cli_export_argp, ft_cli_init_argp,
    ft_cli_inspect_argp, ft_cli_status_argp, ft_cli_report_argp, ft_cli_gate_argp, ft_cli_plan_argp,
    ft_cli_bench_argp, ft_cli_help_argp;

int ft_cli_train(int argc, char **argv);
int ft_cli_eval(int argc, char **argv);
int ft_cli_prep(int argc, char **argv);
int ft_cli_tokenize(int argc, char **argv);
int ft_cli_generate(int argc, char **argv);
int ft_cli_export(int argc, char **argv);
int ft_cli_init(int argc, char **argv);
int ft_cli_inspect(int argc, char **argv);
int ft_cli_status(int argc, char **argv);
int ft_cli_report(int argc, char **argv);
int ft_cli_gate(int argc, char **argv);
int ft_cli_plan(int argc, char **argv);
int ft_cli_bench(int argc, char **argv);
int ft_cli_help(int argc, char **argv);

#endif
