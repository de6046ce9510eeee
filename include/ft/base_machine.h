/* What this machine lets its processes use: memory and processor time, by what the kernel has and
 * by the control groups (cgroup v1 and v2) that this process is in: Slurm, containers and systemd
 * set limits there. The one place that reads /proc and /sys/fs/cgroup for it.
 *
 * `root` is put before every path that is read: "" for this machine, a folder with a copy of
 * another machine's files in tests. Nothing here fails: what cannot be read bounds nothing. */
#ifndef FT_BASE_MACHINE_H
#define FT_BASE_MACHINE_H

#include "ft/base.h"

/* A bound on the memory of the processes in one control group, or on the whole machine. */
typedef struct ft_memory_bound {
  uint64_t group;          /* device and inode of the group's directory; 0: the whole machine */
  int64_t limit_bytes;     /* what its processes may have altogether; the machine: all it has */
  int64_t available_bytes; /* what is left of it, with what the kernel would give back */
  char name[232];          /* "memory.max of /sys/fs/cgroup/…", "MemAvailable" */
} ft_memory_bound;

enum { FT_MEMORY_BOUNDS = 12 };

typedef struct ft_memory_bounds {
  int64_t count;                            /* may be 0 */
  ft_memory_bound bounds[FT_MEMORY_BOUNDS]; /* the machine's first, then groups from this up */
} ft_memory_bounds;

/* All bounds on this process's memory. A group's memory.max and memory.high (v2) or
 * memory.limit_in_bytes (v1) counts, and those of all groups above it; file pages that the kernel
 * would drop count as available. */
void ft_machine_memory(const char *root, ft_memory_bounds *out);

/* How many processors' time this process's control groups allow (cpu.max, cpu.cfs_quota_us; the
 * smallest on the way up), and which group says so. HUGE_VAL, 0: no limit. */
double ft_machine_cpus(const char *root, uint64_t *group);

/* Memory that this process has, each page that several share divided among them (Pss). 0: unknown.
 */
int64_t ft_machine_resident(const char *root);

/* Bytes of address space that this process may still take (ulimit -v); INT64_MAX: no limit. */
int64_t ft_machine_address_space(int64_t *limit_bytes);

#endif
