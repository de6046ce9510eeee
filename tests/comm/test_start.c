/* Proves what is found out before MPI starts: who started this process and how many with it, which
 * networks lead to no other host, and that MPI does not take the program's signals.
 * Run alone: meson test "comm start" */
#include "ft_test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "comm_internal.h"

/* ---------------------------------------------------------------- launchers */

static const char *const *variables; /* name, value … NULL */

static const char *variable(const char *name) {
  for (const char *const *v = variables; *v; v += 2)
    if (strcmp(*v, name) == 0) return v[1];
  return NULL;
}

static ft_launch launch(const char *const *environment, int srun_distance) {
  variables = environment;
  return ft_launch_of(variable, srun_distance);
}

static void launchers_are_told_apart(void **state) {
  (void)state;
  static const char *const none[] = {NULL};
  static const char *const mpirun[] = {"OMPI_COMM_WORLD_RANK",
                                       "2",
                                       "OMPI_COMM_WORLD_SIZE",
                                       "4",
                                       "SLURM_STEP_NUM_TASKS",
                                       "2",
                                       "SLURM_PROCID",
                                       "1",
                                       NULL};
  static const char *const hydra[] = {"PMI_RANK", "3", "PMI_SIZE", "5", NULL};
  static const char *const pmix[] = {
      "SLURM_PROCID", "1", "SLURM_STEP_NUM_TASKS", "2", "PMIX_NAMESPACE", "slurm.pmix.1.0", NULL};
  static const char *const unconnected[] = {"SLURM_PROCID", "1", "SLURM_STEP_NUM_TASKS", "2", NULL};
  static const char *const batch[] = {"SLURM_PROCID", "0", "SLURM_NTASKS", "8", NULL};
  ft_launch l = launch(none, 0);
  assert_true(l.size == 1 && l.rank == 0 && !l.apart && !l.by_hand);
  l = launch(mpirun, 2);
  assert_true(l.size == 4 && l.rank == 2 && !l.apart);
  l = launch(hydra, 0);
  assert_true(l.size == 5 && l.rank == 3 && !l.apart);
  l = launch(pmix, 1);
  assert_true(l.size == 2 && l.rank == 1 && !l.apart);
  l = launch(unconnected, 2); /* a script that srun started */
  assert_true(l.size == 2 && l.rank == 1 && l.apart);
  l = launch(batch, 2);
  assert_true(l.size == 1 && l.rank == 0 && !l.apart);
}

static void a_shell_of_srun_starts_one_process(void **state) {
  (void)state;
  static const char *const shell[] = {"SLURM_PROCID",
                                      "0",
                                      "SLURM_STEP_NUM_TASKS",
                                      "4",
                                      "SLURM_PTY_PORT",
                                      "41723",
                                      "PMIX_NAMESPACE",
                                      "x",
                                      "PMIX_RANK",
                                      "0",
                                      NULL};
  ft_launch l = launch(shell, 2);
  assert_true(l.size == 1 && l.rank == 0 && l.by_hand && !l.apart);
  l = launch(shell, 1); /* srun --pty ftrun … */
  assert_true(l.size == 4 && !l.by_hand);

  /* a step's variables, long after the step */
  static const char *const left[] = {"SLURM_PROCID", "0", "SLURM_STEP_NUM_TASKS", "4", NULL};
  l = launch(left, 0);
  assert_true(l.size == 1 && l.by_hand && !l.apart);
  /* tasks in containers, where processes outside cannot be seen */
  static const char *const other[] = {"SLURM_PROCID", "1", "SLURM_STEP_NUM_TASKS", "4", NULL};
  assert_true(launch(other, 0).size == 4);
  static const char *const first[] = {
      "SLURM_PROCID", "0", "SLURM_STEP_NUM_TASKS", "4", "PMIX_NAMESPACE", "x", NULL};
  assert_true(launch(first, 0).size == 4);
}

/* ---------------------------------------------------------------- networks */

static void networks_that_lead_nowhere_are_avoided(void **state) {
  (void)state;
  static const ft_network many[] = {{"docker0", false},        {"eth0", true},    {"virbr0", true},
                                    {"br-0a1b2c3d4e5f", true}, {"br-site", true}, {"ib0", false}};
  static const ft_network alone[] = {{"docker0", true}}, plain[] = {{"eth0", true}};
  char names[1024];
  assert_true(ft_networks_to_avoid(many, FT_ARRAY_SIZE(many), names, sizeof names));
  assert_string_equal(names, "docker0,virbr0,br-0a1b2c3d4e5f,ib0");
  assert_false(ft_networks_to_avoid(alone, 1, names, sizeof names)); /* there is no other */
  assert_false(ft_networks_to_avoid(plain, 1, names, sizeof names));
  assert_false(ft_networks_to_avoid(NULL, 0, names, sizeof names));
}

/* ---------------------------------------------------------------- signals */

/* An MPI that takes signals for itself, as some do. */
int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
  int result = PMPI_Init_thread(argc, argv, required, provided);
  signal(SIGUSR1, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  return result;
}

static void the_programs_handlers_stay(void **state) {
  (void)state;
  ft_comm *comm;
  signal(SIGUSR1, ft_comm_request_stop);
  signal(SIGPIPE, SIG_IGN);
  setenv("OMPI_MCA_btl_tcp_if_exclude", "virbr7", 1);
  assert_ok(ft_comm_new(&comm));
  assert_string_equal(getenv("OMPI_MCA_btl_tcp_if_exclude"), "virbr7"); /* the user's */
  raise(SIGPIPE);
  raise(SIGUSR1);
  assert_true(ft_comm_stop_requested());
  ft_comm_leave(comm, 0);
}

/* A process that may read itself, but nobody of its kind: one that may not be traced, without the
 * right to trace all. */
static void memory_of_others_is_tried_on_another(void **state) {
  (void)state;
  int status;
  pid_t child = fork();
  if (child == 0) {
    if (getuid() == 0 && setuid(65534) != 0) _exit(2);
    prctl(PR_SET_DUMPABLE, 0);
    unsetenv("OMPI_MCA_btl_vader_single_copy_mechanism");
    ft_set_environment();
    _exit(getenv("OMPI_MCA_btl_vader_single_copy_mechanism") == NULL);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == 2) skip();
  assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(launchers_are_told_apart),
      cmocka_unit_test(a_shell_of_srun_starts_one_process),
      cmocka_unit_test(memory_of_others_is_tried_on_another),
      cmocka_unit_test(networks_that_lead_nowhere_are_avoided),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  if (failures > 0) return failures;
  the_programs_handlers_stay(NULL); /* ends the process */
}
