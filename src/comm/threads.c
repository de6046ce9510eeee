/* Compute threads: how many, and on which cores.
 *
 * A rank's usable cores are those of its affinity mask (launcher, Slurm, taskset). Ranks with the
 * same mask share it evenly, in order; where all their threads fit, each thread gets a core of its
 * own. The communication thread may run on any core of its rank. */
#include "comm_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hwloc.h>
#include <hwloc/glibc-sched.h>
#include <omp.h>

#include "ft/base_machine.h"

static bool is_set(const char *name) {
  const char *value = getenv(name);
  return value && *value;
}

/* ---------------------------------------------------------------- usable cores */

/* Open MPI's mpirun binds up to two ranks to one core each unless told otherwise, whatever the
 * number of threads: a default that nobody chose. A choice shows in the environment. */
static bool chosen_in_environment(void) {
  static const char *const choices[] = {
      "OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_hwloc_base_cpu_set",
      "OMPI_MCA_hwloc_base_cpu_list",       "OMPI_MCA_orte_rankfile",
      "OMPI_MCA_rmaps_rank_file_path",      "PRTE_MCA_hwloc_default_binding_policy",
      "PRTE_MCA_hwloc_default_cpu_list",    "PRTE_MCA_rmaps_rank_file_path"};
  static const char *const mappings[] = {"OMPI_MCA_rmaps_base_mapping_policy",
                                         "PRTE_MCA_rmaps_default_mapping_policy"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(choices); i++)
    if (is_set(choices[i])) return true;
  for (size_t i = 0; i < FT_ARRAY_SIZE(mappings); i++) {
    const char *mapping = getenv(mappings[i]);
    if (mapping && strcasestr(mapping, "pe=")) return true;
  }
  return false;
}

/* Open MPI 5 passes no choice on; where the ranks are children of mpirun itself, its command line
 * tells. */
static bool chosen_on_command_line(void) {
  static const char *const options[] = {"bind-to", "cpu-set", "cpu-list", "rankfile"};
  char path[64], words[16384];
  snprintf(path, sizeof path, "/proc/%d/cmdline", (int)getppid());
  FILE *f = fopen(path, "r");
  if (!f) return false;
  size_t length = fread(words, 1, sizeof words - 1, f);
  fclose(f);
  words[length] = 0;
  bool maps = false; /* the word before was --map-by */
  for (const char *word = words; word < words + length; word += strlen(word) + 1) {
    if (maps && strcasestr(word, "pe=")) return true;
    maps = *word == '-' && strstr(word, "map-by");
    for (size_t i = 0; i < FT_ARRAY_SIZE(options); i++)
      if (*word == '-' && strstr(word, options[i])) return true;
  }
  return false;
}

/* Whether this process was started by mpirun itself or by its daemon on this machine. */
static bool started_by_mpirun(void) {
  char path[64], name[64] = "";
  snprintf(path, sizeof path, "/proc/%d/comm", (int)getppid());
  FILE *f = fopen(path, "r");
  if (!f) return false;
  bool known = fgets(name, sizeof name, f) != NULL;
  fclose(f);
  name[strcspn(name, "\n")] = 0;
  static const char *const launchers[] = {"mpirun", "mpiexec", "orterun",
                                          "orted",  "prterun", "prted"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(launchers); i++)
    if (known && strcmp(name, launchers[i]) == 0) return true;
  return false;
}

void ft_usable_cpus(ft_rank_cpus *out) {
  CPU_ZERO(&out->cores);
  if (sched_getaffinity(0, sizeof out->cores, &out->cores) != 0) CPU_ZERO(&out->cores);
  out->quota = ft_machine_cpus("", &out->quota_group);
  cpu_set_t launcher;
  if (!started_by_mpirun() || chosen_in_environment() || chosen_on_command_line()) return;
  if (sched_getaffinity(getppid(), sizeof launcher, &launcher) != 0) return;
  int bound = CPU_COUNT(&out->cores);
  if (bound > 0 && bound < CPU_COUNT(&launcher)) out->bound_before = bound;
  out->cores = launcher;
}

/* The cores inside a mask, each with the hardware threads that the mask leaves it. Returns how
 * many there are, 0 if it cannot be told. *cores: ft_free. */
static int64_t list_cores(const cpu_set_t *mask, cpu_set_t **cores) {
  hwloc_topology_t topology = NULL;
  hwloc_bitmap_t usable = hwloc_bitmap_alloc(), part = hwloc_bitmap_alloc();
  int64_t count = 0;
  *cores = NULL;
  if (!usable || !part || hwloc_topology_init(&topology) != 0) goto out;
  hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  if (hwloc_topology_load(topology) != 0) goto out;
  hwloc_cpuset_from_glibc_sched_affinity(topology, usable, mask, sizeof *mask);
  hwloc_obj_type_t type =
      hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  int all = hwloc_get_nbobjs_by_type(topology, type);
  if (all <= 0 || ft_alloc_array(FT_MEM_OTHER, all, sizeof(cpu_set_t), (void **)cores) != FT_OK)
    goto out;
  for (int i = 0; i < all; i++) {
    hwloc_obj_t core = hwloc_get_obj_by_type(topology, type, (unsigned)i);
    hwloc_bitmap_and(part, core->cpuset, usable);
    if (hwloc_bitmap_iszero(part)) continue;
    hwloc_cpuset_to_glibc_sched_affinity(topology, part, &(*cores)[count++], sizeof(cpu_set_t));
  }
out:
  if (topology) hwloc_topology_destroy(topology);
  hwloc_bitmap_free(usable);
  hwloc_bitmap_free(part);
  return count;
}

/* ---------------------------------------------------------------- processor time */

/* Whole processors that control groups allow this rank: its share of a limit that other ranks of
 * this machine are under as well. INT_MAX: no limit. */
static int allowed_threads(const ft_comm *comm) {
  const ft_rank_cpus *mine = &comm->machine_cpus[comm->machine_rank];
  int sharing = 0;
  if (mine->quota >= INT_MAX) return INT_MAX;
  for (int r = 0; r < comm->machine_size; r++)
    sharing += comm->machine_cpus[r].quota_group == mine->quota_group;
  return (int)FT_MAX(mine->quota / sharing, 1);
}

/* Threads that the kernel stops for part of each tenth of a second wait for each other. */
static void warn_of_quota(const ft_comm *comm, int threads) {
  if (threads <= allowed_threads(comm)) return;
  ft_log(FT_LOG_WARNING,
         "%d threads of this rank, but its control group on %s allows %.2f processors altogether: "
         "the kernel will stop them for part of the time; set OMP_NUM_THREADS=%d",
         threads, comm->host, comm->machine_cpus[comm->machine_rank].quota, allowed_threads(comm));
}

/* ---------------------------------------------------------------- binding */

typedef struct share {
  int64_t ranks, mine; /* ranks with this rank's mask, and its place among them */
} share;

static share find_share(const ft_comm *comm) {
  share s = {0};
  for (int r = 0; r < comm->machine_size; r++) {
    if (!CPU_EQUAL(&comm->machine_cpus[r].cores, &comm->own_cpus)) continue;
    if (r < comm->machine_rank) s.mine++;
    s.ranks++;
  }
  return s;
}

static void join(cpu_set_t *out, const cpu_set_t *sets, int64_t count) {
  CPU_ZERO(out);
  for (int64_t i = 0; i < count; i++)
    CPU_OR(out, out, &sets[i]);
}

/* Thread t of `threads` runs on core t·width/threads of the rank's `width` cores; width 0: on any
 * of own_cpus. */
static void place_threads(const ft_comm *comm, int threads, const cpu_set_t *cores, int64_t width) {
  int failed = 0;
#pragma omp parallel num_threads(threads) reduction(+ : failed)
  {
    const cpu_set_t *set =
        width > 0 ? &cores[omp_get_thread_num() * width / threads] : &comm->own_cpus;
    failed += sched_setaffinity(0, sizeof *set, set) != 0;
  }
  failed += pthread_setaffinity_np(comm->thread, sizeof(cpu_set_t), &comm->own_cpus) != 0;
  if (failed > 0)
    ft_log(FT_LOG_WARNING, "rank %d on %s: %d of its threads could not be bound to cores",
           comm->rank, comm->host, failed);
}

int ft_comm_setup_threads(ft_comm *comm) {
  cpu_set_t *cores;
  int64_t num_cores = list_cores(&comm->own_cpus, &cores);
  share s = find_share(comm);
  int threads = is_set("OMP_NUM_THREADS")
                    ? omp_get_max_threads()
                    : FT_MIN((int)FT_MAX(num_cores / s.ranks, 1), allowed_threads(comm));
  omp_set_dynamic(0);
  omp_set_num_threads(threads);

  int64_t begin = s.mine * num_cores / s.ranks, end = (s.mine + 1) * num_cores / s.ranks;
  bool user_binds = is_set("OMP_PROC_BIND") || is_set("OMP_PLACES") || is_set("GOMP_CPU_AFFINITY");
  if (num_cores > 0 && !user_binds) {
    bool fits = s.ranks * threads <= num_cores && threads <= end - begin;
    if (fits) join(&comm->own_cpus, &cores[begin], end - begin);
    place_threads(comm, threads, fits ? &cores[begin] : NULL, fits ? end - begin : 0);
  }
  if (num_cores > 0 && s.ranks * threads > num_cores &&
      comm->machine_size * threads <= sysconf(_SC_NPROCESSORS_ONLN))
    ft_log(FT_LOG_WARNING,
           "%lld ranks with %d threads each may use only %lld cores of %s: start them with "
           "--bind-to none, or with more cores a task",
           (long long)s.ranks, threads, (long long)num_cores, comm->host);
  int bound_before = comm->machine_cpus[comm->machine_rank].bound_before;
  if (bound_before > 0 && num_cores > 0)
    ft_log(FT_LOG_INFO,
           "mpirun bound this rank to %d processors of %s, which nobody asked for: it uses its "
           "share of %lld cores (--bind-to keeps a choice)",
           bound_before, comm->host, (long long)num_cores);
  warn_of_quota(comm, threads);
  ft_free(cores);
  return threads;
}

void ft_comm_float_thread(const ft_comm *comm) {
  if (CPU_COUNT(&comm->own_cpus) > 0)
    (void)sched_setaffinity(0, sizeof comm->own_cpus, &comm->own_cpus);
}
