/* ftrun COMMAND …: finds the command and runs it. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/kernels.h"
#include "revision.h"

/* argv: all of the program's. */
static int run(const ft_command *c, int argc, char **argv) {
  char name[64];
  if (c->brief_waits) ft_cli_wait_briefly(argv);
  snprintf(name, sizeof name, "ftrun %s", c->name);
  argv[1] = name; /* what usage messages begin with */
  return c->run(argc - 1, argv + 1);
}

/* Who made a result: program, libraries, and which of their ways this CPU takes. */
static ft_err print_version(void) {
  ft_err err = ft_kernels_init();
  if (err != FT_OK) return err;
  printf("ftrun %s\n", ft_version());
  printf("libraries  %s\n", ft_cli_libraries());
  printf("computes   %s\n", ft_kernels_describe());
  ft_kernels_fini();
  return FT_OK;
}

int main(int argc, char **argv) {
  ft_log_set_rank(ft_cli_launch_rank());
  ft_set_version(FT_VERSION " (" FT_REVISION ")");
  bool speaks = ft_cli_launch_rank() == 0;
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    if (speaks) ft_cli_print_commands(stdout);
    return FT_OK;
  }
  if (strcmp(name, "--version") == 0) return speaks ? ft_cli_end(print_version()) : FT_OK;
  const ft_command *command = ft_command_find(name);
  if (command) return run(command, argc, argv);
  if (speaks) {
    if (*name) fprintf(stderr, "ftrun: there is no command \"%s\"\n\n", name);
    ft_cli_print_commands(stderr);
  }
  return FT_ERR_USAGE;
}
