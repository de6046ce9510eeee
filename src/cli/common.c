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

/* SLURM_STEP_NUM_TASKS is there only in what srun starts; SLURM_NTASKS and SLURM_PROCID are in a
 * batch script too, which is one process. What mpirun says counts more: srun starts its daemons. */
static const char srun_size[] = "SLURM_STEP_NUM_TASKS";

int ft_cli_launch_rank(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"};
  const char *step = getenv(srun_size);
  size_t count = FT_ARRAY_SIZE(names) - (step && *step ? 0 : 1);
  return from_environment(names, count, 0);
}

int ft_cli_launch_size(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", srun_size};
  return from_environment(names, FT_ARRAY_SIZE(names), 1);
}

void ft_cli_wait_briefly(char **argv) {
  static const char *const choices[] = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"};
  char path[4096];
  for (size_t i = 0; i < FT_ARRAY_SIZE(choices); i++)
    if (getenv(choices[i])) return;
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length <= 0 || setenv("GOMP_SPINCOUNT", "10000", 1) != 0) return;
  path[length] = 0;
  execv(path, argv); /* comes back only if that failed: then the waits are long */
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
  return ft_fail(FT_ERR_USAGE,
                 "%s works as one process, but %d were started: run it without mpirun or srun",
                 command, ft_cli_launch_size());
}

int ft_cli_end(ft_err err) {
  if (err == FT_ERR_STOPPED)
    ft_log(FT_LOG_INFO, "%s", ft_error_message());
  else if (err != FT_OK)
    ft_log(FT_LOG_ERROR, "%s", ft_error_message());
  ft_log_close();
  return (int)err;
}

/* Tasks of srun that MPI takes for so many jobs of one process would all train in one directory;
 * Open MPI notices most such cases itself, and says so in 20 lines a task. */
static ft_err fail_apart(void) {
  ft_log_set_rank(ft_cli_launch_rank());
  return ft_fail(FT_ERR_USAGE,
                 "%d processes were started together, but MPI cannot bring them together: give "
                 "srun --mpi=pmix (srun --mpi=list shows what there is), or use mpirun",
                 ft_cli_launch_size());
}

/* srun was told to connect its tasks by none of the ways there are. */
static bool srun_connects_nothing(void) {
  return ft_cli_launch_size() > 1 && !getenv("OMPI_COMM_WORLD_SIZE") && !getenv("PMIX_NAMESPACE") &&
         !getenv("PMI_RANK");
}

ft_err ft_cli_start(ft_comm **comm) {
  ft_err err = FT_OK;
  if (srun_connects_nothing()) return fail_apart();
  FT_TRY(ft_comm_new(comm));
  if (ft_comm_size(*comm) != ft_cli_launch_size()) FT_TRY(fail_apart());
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
