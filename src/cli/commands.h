/* The commands of ftrun: each takes its own argv (argv[0] is "ftrun COMMAND") and returns the
 * process's exit status. */
#ifndef FT_CLI_COMMANDS_H
#define FT_CLI_COMMANDS_H

int ft_cli_train(int argc, char **argv);
int ft_cli_eval(int argc, char **argv);
int ft_cli_prep(int argc, char **argv);
int ft_cli_tokenize(int argc, char **argv);
int ft_cli_generate(int argc, char **argv);
int ft_cli_export(int argc, char **argv);
int ft_cli_init(int argc, char **argv);
int ft_cli_inspect(int argc, char **argv);
int ft_cli_bench(int argc, char **argv);

#endif
