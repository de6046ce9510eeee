/* Compute threads: how many, and on which cores.
 *
 * A rank's usable cores are those of its affinity mask (launcher, Slurm, taskset). Ranks with the
 * same mask share it evenly, in order; where all their threads fit, each thread gets a core of its
 * own. The communication thread may run on any core of its rank. */
#include "comm_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hwloc.h>
#include <hwloc/glibc-sched.h>
#include <omp.h>

static bool is_set(const char *name) {
  const char *value = getenv(name);
  return value && *value;
}

/* ---------------------------------------------------------------- usable cores */

/* Open MPI's mpirun binds up to two ranks to one core each unless told otherwise, whatever the
 * number of threads: a default that nobody chose. A choice shows in the environment. */
static bool chosen_by_user(void) {
  static const char *const choices[] = {
      "OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_hwloc_base_cpu_set",
      "OMPI_MCA_hwloc_base_cpu_list", "OMPI_MCA_orte_rankfile", "OMPI_MCA_rmaps_rank_file_path"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(choices); i++)
    if (is_set(choices[i])) return true;
  const char *mapping = getenv("OMPI_MCA_rmaps_base_mapping_policy");
  return mapping && strcasestr(mapping, "pe=");
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
  static const char *const launchers[] = {"mpirun", "mpiexec", "orterun", "orted", "prted"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(launchers); i++)
    if (known && strcmp(name, launchers[i]) == 0) return true;
  return false;
}

void ft_usable_cpus(cpu_set_t *out) {
  CPU_ZERO(out);
  if (sched_getaffinity(0, sizeof *out, out) != 0) CPU_ZERO(out);
  cpu_set_t launcher;
  if (started_by_mpirun() && !chosen_by_user() &&
      sched_getaffinity(getppid(), sizeof launcher, &launcher) == 0)
    *out = launcher;
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

/* ---------------------------------------------------------------- binding */

typedef struct share {
  int64_t ranks, mine; /* ranks with this rank's mask, and its place among them */
} share;

static share find_share(const ft_comm *comm) {
  share s = {0};
  for (int r = 0; r < comm->machine_size; r++) {
    if (!CPU_EQUAL(&comm->machine_cpus[r], &comm->own_cpus)) continue;
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
  int threads =
      is_set("OMP_NUM_THREADS") ? omp_get_max_threads() : (int)FT_MAX(num_cores / s.ranks, 1);
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
  ft_free(cores);
  return threads;
}

void ft_comm_float_thread(const ft_comm *comm) {
  if (CPU_COUNT(&comm->own_cpus) > 0)
    (void)sched_setaffinity(0, sizeof comm->own_cpus, &comm->own_cpus);
}
