/* ftrun COMMAND …: finds the command and runs it. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "common.h"

/* argv: all of the program's. */
static int run(const ft_command *c, int argc, char **argv) {
  char name[64];
  if (c->brief_waits) ft_cli_wait_briefly(argv);
  snprintf(name, sizeof name, "ftrun %s", c->name);
  argv[1] = name; /* what usage messages begin with */
  return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv) {
  ft_log_set_rank(ft_cli_launch_rank());
  bool speaks = ft_cli_launch_rank() == 0;
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    if (speaks) ft_cli_print_commands(stdout);
    return FT_OK;
  }
  if (strcmp(name, "--version") == 0) {
    if (speaks) printf("ftrun %s\n", FT_VERSION);
    return FT_OK;
  }
  const ft_command *command = ft_command_find(name);
  if (command) return run(command, argc, argv);
  if (speaks) {
    if (*name) fprintf(stderr, "ftrun: there is no command \"%s\"\n\n", name);
    ft_cli_print_commands(stderr);
  }
  return FT_ERR_USAGE;
}
