/* Who started this process, and how many with it: what a launcher's environment says. No MPI. */
#include "comm_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A launcher's words for a process's rank and their number. Open MPI's mpirun comes first: srun
 * starts its daemons, whose environment its ranks inherit. */
static const struct {
  const char *name, *rank, *size, *local_rank;
} launchers[] = {{"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                  "OMPI_COMM_WORLD_LOCAL_RANK"},
                 {"mpiexec of MPICH or Intel MPI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
                 /* a batch script has SLURM_PROCID and SLURM_NTASKS, but not this size */
                 {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"}};

static int number(const char *text, int otherwise) {
  return text && *text ? (int)strtol(text, NULL, 10) : otherwise;
}

/* Whether the environment is only that of the shell this process was started from: it was started
 * by hand, and alone. A shell in a terminal of srun (--pty) has a step's environment, and hands it
 * on to screens and jobs that outlive the step; tasks of a step are seen by other signs. */
static bool is_by_hand(ft_environment *get, int srun_distance) {
  if (get("SLURM_PTY_PORT")) return srun_distance != 1;
  return srun_distance == 0 && number(get("SLURM_PROCID"), 0) == 0 && !get("PMIX_NAMESPACE") &&
         !get("PMI_RANK");
}

ft_launch ft_launch_of(ft_environment *get, int srun_distance) {
  bool by_hand = false;
  for (size_t i = 0; i < FT_ARRAY_SIZE(launchers); i++) {
    bool srun = i == FT_ARRAY_SIZE(launchers) - 1;
    int size = number(get(launchers[i].size), 0);
    if (size < 1) continue;
    by_hand = srun && is_by_hand(get, srun_distance);
    if (by_hand) break;
    return (ft_launch){.launcher = launchers[i].name,
                       .rank = number(get(launchers[i].rank), 0),
                       .size = size,
                       .local_rank = number(get(launchers[i].local_rank), 0),
                       /* pmix, or pmi2, connects the tasks of a step; otherwise nothing does */
                       .apart = srun && size > 1 && !get("PMIX_NAMESPACE") && !get("PMI_RANK")};
  }
  return (ft_launch){.launcher = "nobody",
                     .rank = by_hand ? 0 : number(get("PMIX_RANK"), 0), /* of an unknown launcher */
                     .size = 1,
                     .by_hand = by_hand};
}

/* A process's name and parent, from /proc/PID/stat: "17 (slurmstepd) S 16 …". */
static bool look_up(int process, char name[64], int *parent) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", process);
  FILE *f = fopen(path, "re");
  if (!f) return false;
  size_t length = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[length] = 0;
  char *begin = strchr(text, '('), *end = strrchr(text, ')');
  if (!begin || !end || sscanf(end, ") %*c %d", parent) != 1) return false;
  snprintf(name, 64, "%.*s", (int)(end - begin - 1), begin + 1);
  return true;
}

/* How far above this process Slurm's daemon of a step is: 1 its parent, 0 nowhere. */
static int find_srun(void) {
  char name[64];
  int process = (int)getppid(), parent = 0;
  for (int distance = 1; process > 0 && look_up(process, name, &parent); distance++) {
    if (strcmp(name, "slurmstepd") == 0) return distance;
    process = parent;
  }
  return 0;
}

static const char *environment(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

ft_launch ft_comm_launch(void) {
  return ft_launch_of(environment, find_srun());
}
