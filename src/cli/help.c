/* ftrun help [COMMAND|KEY] [--man] [--completion bash|zsh] */
#include <string.h>

#include "common.h"
#include "ft/train.h"
#include "generated.h"

typedef struct arguments {
  const char *topic; /* NULL: all commands */
  bool manual;
  const char *completion; /* of which shell; NULL: none */
} arguments;

static const struct argp_option options[] = {
    {"man", 'm', NULL, 0, "Print the manual page instead, for man: of the program, or of COMMAND",
     0},
    {"completion", 'c', "bash|zsh", 0, "Print a script that completes ftrun's words in that shell",
     0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'm':
    a->manual = true;
    return 0;
  case 'c':
    if (strcmp(argument, "bash") != 0 && strcmp(argument, "zsh") != 0)
      argp_error(state, "--completion: found \"%s\", expected bash or zsh", argument);
    a->completion = argument;
    return 0;
  case ARGP_KEY_ARG:
    if (a->topic) argp_error(state, "one topic is expected; \"%s\" is a second", argument);
    a->topic = argument;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

const struct argp ft_cli_help_argp = {
    .options = options,
    .parser = take,
    .args_doc = "[COMMAND|KEY]",
    .doc =
        "Explains a command, as its --help does, or a key of the configuration (train.steps), or "
        "all keys of a section (schedule). Without a topic it lists the commands."};

void ft_cli_print_commands(FILE *to) {
  fprintf(to, "Usage: ftrun COMMAND [ARGUMENTS]\n"
              "Fine-tunes decoder language models on CPU clusters; runs under mpirun or srun, or "
              "alone.\n\n");
  for (int64_t i = 0; i < ft_num_commands; i++)
    fprintf(to, "  %-10s %s\n", ft_commands[i].name, ft_commands[i].summary);
  fprintf(to, "\nftrun help COMMAND tells more, ftrun help KEY of a key of the configuration. "
              "ftrun --version prints the version.\n");
}

/* ---------------------------------------------------------------- keys */

static void print_key(const ft_config_key *k) {
  printf("%s\n  meaning   %s\n  type      %s\n  allowed   %s\n  default   %s\n  resume    %s\n",
         k->path, k->meaning, k->type, k->allowed, k->initial,
         k->resumable ? "may change when a run goes on" : "may not change when a run goes on");
}

/* Prints the key TOPIC, or those of the section TOPIC. False: there is neither. */
static bool print_keys(const char *topic) {
  int64_t count;
  const ft_config_key *keys = ft_config_keys(&count);
  size_t length = strlen(topic);
  bool found = false;
  for (int64_t i = 0; i < count; i++) {
    bool is_it = strcmp(keys[i].path, topic) == 0;
    bool inside = strncmp(keys[i].path, topic, length) == 0 && keys[i].path[length] == '.';
    if (is_it || inside) print_key(&keys[i]);
    found |= is_it || inside;
  }
  return found;
}

/* ---------------------------------------------------------------- the command */

/* Does not return: argp ends the process after --help. */
static int print_command(const ft_command *c) {
  char name[64], option[] = "--help", *words[] = {name, option, NULL};
  snprintf(name, sizeof name, "ftrun %s", c->name);
  return c->run(2, words);
}

static ft_err explain_key(const char *topic) {
  if (print_keys(topic)) return FT_OK;
  const ft_command *command = ft_command_nearest(topic);
  const char *nearest = command ? command->name : ft_config_nearest_key(topic);
  return ft_fail(
      FT_ERR_USAGE,
      "help: there is no command and no key of the configuration \"%s\"%s%s%s (ftrun help "
      "lists the commands, ftrun help train the keys)",
      topic, nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static ft_err print_manual(const char *topic) {
  const ft_command *command = topic ? ft_command_find(topic) : NULL;
  if (topic && !command)
    return ft_fail(FT_ERR_USAGE, "help --man: there is no command \"%s\"", topic);
  ft_print_manual(stdout, command);
  return FT_OK;
}

int ft_cli_help(int argc, char **argv) {
  arguments a = {0};
  ft_cli_parse(&ft_cli_help_argp, argc, argv, &a);
  if (ft_cli_launch_rank() != 0) return FT_OK;
  const ft_command *command = a.topic ? ft_command_find(a.topic) : NULL;
  if (a.manual) return ft_cli_end(print_manual(a.topic));
  if (a.completion) {
    (strcmp(a.completion, "bash") == 0 ? ft_print_bash_completion
                                       : ft_print_zsh_completion)(stdout);
    return FT_OK;
  }
  if (command) return print_command(command);
  if (a.topic) return ft_cli_end(explain_key(a.topic));
  ft_cli_print_commands(stdout);
  return FT_OK;
}
