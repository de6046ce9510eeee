/* What the commands share. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft/io.h"
#include "ft/kernels.h"
#include "ft/tokenizer.h"

int ft_cli_launch_rank(void) {
  return ft_comm_launch().rank;
}

int ft_cli_launch_size(void) {
  return ft_comm_launch().size;
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

/* Other trainers set keys by options: --optimizer.lr 1e-4. No option of ours has a dot. */
static void refuse_dashed_keys(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *word = argv[i];
    size_t length = strcspn(word, "=");
    if (strncmp(word, "--", 2) != 0 || !memchr(word, '.', length)) continue;
    const char *value = word[length] ? word + length + 1 : i + 1 < argc ? argv[i + 1] : "VALUE";
    if (ft_cli_launch_rank() == 0)
      fprintf(stderr,
              "%s: %s is no option; a key of the configuration is set without dashes: %.*s=%s\n",
              argv[0], word, (int)length - 2, word + 2, value);
    exit(FT_ERR_USAGE);
  }
}

/* No command has an option -h of its own. */
static void take_help(int argc, char **argv) {
  static char help[] = "--help";
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "-h") == 0) argv[i] = help;
}

void ft_cli_parse(const struct argp *argp, int argc, char **argv, void *input) {
  refuse_dashed_keys(argc, argv);
  take_help(argc, argv);
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

const char *ft_cli_libraries(void) {
  static char text[1024];
  snprintf(text, sizeof text, "%s, %s, %s, %s, %s", ft_comm_libraries(), ft_kernels_libraries(),
           ft_io_libraries(), ft_tokenizer_libraries(), ft_base_libraries());
  return text;
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

void ft_cli_catch_signals(void (*handler)(int number)) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGPWR};
  struct sigaction now, action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND};
  for (size_t i = 0; i < FT_ARRAY_SIZE(numbers); i++) {
    bool ignored = sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_IGN;
    if (!(ignored && numbers[i] == SIGHUP)) sigaction(numbers[i], &action, NULL);
  }
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

/* Processes that MPI takes for so many jobs of one process would all train in one directory. Open
 * MPI notices some such cases itself, and says so in 20 lines a task. */
static ft_err fail_apart(ft_launch launch) {
  ft_log_set_rank(launch.rank);
  return ft_fail(
      FT_ERR_USAGE,
      "%s started %d processes together, but this program's MPI does not see them as one "
      "job: use the mpirun of the Open MPI that ftrun was built with, or srun "
      "--mpi=pmix (srun --mpi=list shows what there is)",
      launch.launcher, launch.size);
}

ft_err ft_cli_connect(ft_comm **comm) {
  ft_err err = FT_OK;
  ft_launch launch = ft_comm_launch();
  if (launch.apart) return fail_apart(launch);
  FT_TRY(ft_comm_new(comm));
  if (ft_comm_size(*comm) < launch.size) FT_TRY(fail_apart(launch));
  ft_log_set_rank(ft_comm_rank(*comm));
out:
  return err;
}

ft_err ft_cli_start(ft_comm **comm) {
  ft_err err = FT_OK;
  FT_TRY(ft_cli_connect(comm));
  ft_comm_setup_threads(*comm);
  FT_TRY(ft_comm_agree(*comm, ft_kernels_init()));
out:
  return err;
}

void ft_cli_stop(ft_comm *comm) {
  ft_kernels_fini();
  if (comm) ft_comm_free(comm);
}
