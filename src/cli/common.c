/* What the commands share. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft/kernels.h"

static int from_environment(const char *const *names, size_t count, int otherwise) {
  for (size_t i = 0; i < count; i++) {
    const char *text = getenv(names[i]);
    if (text && *text) return (int)strtol(text, NULL, 10);
  }
  return otherwise;
}

int ft_cli_launch_rank(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK"};
  return from_environment(names, FT_ARRAY_SIZE(names), 0);
}

int ft_cli_launch_size(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE"};
  return from_environment(names, FT_ARRAY_SIZE(names), 1);
}

void ft_cli_parse(const struct argp *argp, int argc, char **argv, void *input) {
  if (ft_cli_launch_rank() != 0) { /* the same words on every rank: once is enough */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(STDERR_FILENO),
        out = dup(STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    dup2(null, STDOUT_FILENO);
    argp_parse(argp, argc, argv, 0, NULL, input);
    fflush(NULL);
    dup2(saved, STDERR_FILENO);
    dup2(out, STDOUT_FILENO);
    close(saved);
    close(out);
    close(null);
    return;
  }
  argp_parse(argp, argc, argv, 0, NULL, input);
}

int64_t ft_cli_int(const struct argp_state *state, const char *option, const char *text,
                   int64_t min, int64_t max) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno || !*text || *end || value < min || value > max)
    argp_error(state, "%s: found \"%s\", expected a whole number between %lld and %lld", option,
               text, (long long)min, (long long)max);
  return value;
}

double ft_cli_number(const struct argp_state *state, const char *option, const char *text,
                     double min, double max) {
  char *end;
  double value = strtod(text, &end);
  if (!*text || *end || !(value >= min && value <= max))
    argp_error(state, "%s: found \"%s\", expected a number between %g and %g", option, text, min,
               max);
  return value;
}

ft_dtype ft_cli_dtype(const struct argp_state *state, const char *option, const char *text) {
  if (strcmp(text, "bf16") == 0) return FT_BF16;
  if (strcmp(text, "fp32") != 0)
    argp_error(state, "%s: found \"%s\", expected bf16 or fp32", option, text);
  return FT_F32;
}

ft_err ft_cli_alone(const char *command) {
  if (ft_cli_launch_size() == 1) return FT_OK;
  return ft_fail(FT_ERR_USAGE, "%s works as one process: run it without mpirun", command);
}

int ft_cli_end(ft_err err) {
  if (err == FT_ERR_STOPPED)
    ft_log(FT_LOG_INFO, "%s", ft_error_message());
  else if (err != FT_OK)
    ft_log(FT_LOG_ERROR, "%s", ft_error_message());
  ft_log_close();
  return (int)err;
}

ft_err ft_cli_start(ft_comm **comm) {
  ft_err err = FT_OK;
  FT_TRY(ft_comm_new(comm));
  ft_log_set_rank(ft_comm_rank(*comm));
  ft_comm_setup_threads(*comm);
  FT_TRY(ft_comm_agree(*comm, ft_kernels_init()));
out:
  return err;
}

void ft_cli_stop(ft_comm *comm) {
  ft_kernels_fini();
  if (comm) ft_comm_free(comm);
}
