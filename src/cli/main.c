/* ftrun COMMAND …: finds the command and runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/kernels.h"
#include "revision.h"

/* What is said can fail without ending anything: a reader of it that has gone away, a file that may
 * not grow. Whoever wants to know looks at the writes. */
static void ignore_failing_output(void) {
  (void)signal(SIGPIPE, SIG_IGN);
  (void)signal(SIGXFSZ, SIG_IGN);
}

/* The status of a command that ended with this one, once all that it printed is written. */
static int end_output(int status, bool is_result) {
  bool written = fflush(stdout) == 0 && !ferror(stdout);
  if (written || status != FT_OK || !is_result) return status;
  return ft_cli_end(ft_fail(FT_ERR_IO, "standard output cannot be written to"));
}

/* argv: all of the program's. */
static int run(const ft_command *c, int argc, char **argv) {
  char name[64];
  if (c->brief_waits) ft_cli_wait_briefly(argv);
  snprintf(name, sizeof name, "ftrun %s", c->name);
  argv[1] = name; /* what usage messages begin with */
  return end_output(c->run(argc - 1, argv + 1), c->prints_result);
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

static void say_unknown(const char *name) {
  const ft_command *nearest = ft_command_nearest(name);
  fprintf(stderr, "ftrun: there is no command \"%s\"%s%s%s\n\n", name,
          nearest ? "; did you mean " : "", nearest ? nearest->name : "", nearest ? "?" : "");
}

int main(int argc, char **argv) {
  ignore_failing_output();
  ft_log_set_rank(ft_cli_launch_rank());
  ft_set_version(FT_VERSION " (" FT_REVISION ")");
  bool speaks = ft_cli_launch_rank() == 0;
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    if (speaks) ft_cli_print_commands(stdout);
    return end_output(FT_OK, true);
  }
  if (strcmp(name, "--version") == 0)
    return speaks ? end_output(ft_cli_end(print_version()), true) : FT_OK;
  const ft_command *command = ft_command_find(name);
  if (command) return run(command, argc, argv);
  if (speaks) {
    if (*name) say_unknown(name);
    ft_cli_print_commands(stderr);
  }
  return FT_ERR_USAGE;
}
