/* The machine's memory and processor time as control groups leave them to this process. */
#include "ft/base_machine.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

/* ---------------------------------------------------------------- small files */

static FILE *open_file(const char *root, const char *dir, const char *name) {
  char path[PATH_BYTES];
  if (snprintf(path, sizeof path, "%s%s/%s", root, dir, name) >= (int)sizeof path) return NULL;
  return fopen(path, "re");
}

/* A file's first number; false: no such file, or it says "max". */
static bool read_number(const char *root, const char *dir, const char *name, double *value) {
  FILE *f = open_file(root, dir, name);
  if (!f) return false;
  bool found = fscanf(f, "%lf", value) == 1;
  fclose(f);
  return found;
}

/* The number after `key` at a line's begin; 0: none. */
static double read_keyed(const char *root, const char *dir, const char *name, const char *key) {
  char line[512];
  double value = 0;
  size_t length = strlen(key);
  FILE *f = open_file(root, dir, name);
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, key, length) == 0 && strchr(" :\t", line[length])) {
      value = strtod(line + length + 1, NULL);
      break;
    }
  if (f) fclose(f);
  return value;
}

/* ---------------------------------------------------------------- where the groups are */

/* A controller's tree of groups, and this process's place in it. */
typedef struct group_tree {
  bool v2;
  char mount[PATH_BYTES]; /* where its uppermost visible group lies */
  char dir[PATH_BYTES];   /* this process's; `mount` is its beginning */
} group_tree;

static bool in_list(const char *list, const char *word) {
  size_t length = strlen(word);
  for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
    if ((at == list || at[-1] == ',') && strchr(",\n", at[length])) return true;
  return false;
}

/* This process's group, as /proc/self/cgroup has it: "4:memory:/slurm/job_7", "0::/user.slice". */
static bool find_group(const char *root, const char *controller, bool v2, char *out, size_t size) {
  char line[PATH_BYTES];
  bool found = false;
  FILE *f = open_file(root, "/proc/self", "cgroup");
  while (f && !found && fgets(line, sizeof line, f)) {
    char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
    if (!path) continue;
    *path++ = 0;
    path[strcspn(path, "\n")] = 0;
    found = v2 ? list[1] == 0 : in_list(list + 1, controller);
    if (found) snprintf(out, size, "%s", path);
  }
  if (f) fclose(f);
  return found;
}

/* Looks for the mount of a tree in /proc/self/mountinfo: "31 23 0:28 ROOT MOUNT rw … - cgroup2
 * cgroup2 rw,…". *top: the group that lies at the mount. */
static bool find_mount(const char *root, const char *controller, bool v2, char *top, char *mount) {
  char line[PATH_BYTES];
  bool found = false;
  FILE *f = open_file(root, "/proc/self", "mountinfo");
  while (f && !found && fgets(line, sizeof line, f)) {
    char type[32], options[1024];
    const char *rest = strstr(line, " - ");
    if (!rest || sscanf(rest, " - %31s %*s %1023s", type, options) != 2) continue;
    found = v2 ? strcmp(type, "cgroup2") == 0
               : strcmp(type, "cgroup") == 0 && in_list(options, controller);
    found = found && sscanf(line, "%*s %*s %*s %4095s %4095s", top, mount) == 2;
  }
  if (f) fclose(f);
  return found;
}

/* Places the group below the mount. In a container the path may be one of the host's, of which only
 * the part below the mount's own group can be seen here. */
static bool find_tree(const char *root, const char *controller, bool v2, group_tree *t) {
  char top[PATH_BYTES], group[PATH_BYTES];
  struct stat s;
  char path[2 * PATH_BYTES];
  t->v2 = v2;
  if (!find_group(root, controller, v2, group, sizeof group)) return false;
  if (!find_mount(root, controller, v2, top, t->mount)) return false;
  size_t above = strcmp(top, "/") == 0 ? 0 : strlen(top);
  bool below = strncmp(group, top, above) == 0 && strchr("/", group[above]);
  const char *inside = below ? group + above : "";
  if (strcmp(inside, "/") == 0) inside = "";
  snprintf(t->dir, sizeof t->dir, "%.2047s%.2047s", t->mount, inside);
  snprintf(path, sizeof path, "%.4000s%.4000s", root, t->dir);
  if (stat(path, &s) != 0) snprintf(t->dir, sizeof t->dir, "%s", t->mount);
  return true;
}

/* The group above; false: `mount` was reached. */
static bool go_up(group_tree *t) {
  if (strlen(t->dir) <= strlen(t->mount)) return false;
  *strrchr(t->dir, '/') = 0;
  return true;
}

static uint64_t group_id(const char *root, const char *dir) {
  char path[2 * PATH_BYTES];
  struct stat s;
  snprintf(path, sizeof path, "%.4000s%.4000s", root, dir);
  if (stat(path, &s) != 0) return 1;
  return ((uint64_t)s.st_dev << 40) ^ (uint64_t)s.st_ino;
}

/* ---------------------------------------------------------------- memory */

/* v1 says "no limit" by a number near 2^63. */
#define NO_LIMIT 0x1p62

static void add_bound(ft_memory_bounds *out, uint64_t group, double limit, double available,
                      const char *what, const char *dir) {
  if (out->count == FT_MEMORY_BOUNDS) return;
  ft_memory_bound *b = &out->bounds[out->count++];
  b->group = group;
  b->limit_bytes = (int64_t)limit;
  b->available_bytes = (int64_t)fmax(available, 0);
  snprintf(b->name, sizeof b->name, "%s%s%.200s", what, *dir ? " of " : "", dir);
}

static void add_group(const char *root, const group_tree *t, ft_memory_bounds *out) {
  static const char *const v1[] = {"memory.limit_in_bytes"}, *const v2[] = {"memory.max",
                                                                            "memory.high"};
  const char *const *names = t->v2 ? v2 : v1, *lowest = NULL;
  double limit = NO_LIMIT, value, used = 0;
  for (size_t i = 0; i < (t->v2 ? FT_ARRAY_SIZE(v2) : FT_ARRAY_SIZE(v1)); i++)
    if (read_number(root, t->dir, names[i], &value) && value < limit) {
      limit = value;
      lowest = names[i];
    }
  if (!lowest) return;
  (void)read_number(root, t->dir, t->v2 ? "memory.current" : "memory.usage_in_bytes", &used);
  const char *total = t->v2 ? "" : "total_"; /* v1: with the groups below */
  char active[32], inactive[32];
  snprintf(active, sizeof active, "%sactive_file", total);
  snprintf(inactive, sizeof inactive, "%sinactive_file", total);
  double files = read_keyed(root, t->dir, "memory.stat", active) +
                 read_keyed(root, t->dir, "memory.stat", inactive);
  add_bound(out, group_id(root, t->dir), limit, limit - fmax(used - files, 0), lowest, t->dir);
}

void ft_machine_memory(const char *root, ft_memory_bounds *out) {
  group_tree t;
  out->count = 0;
  double all = read_keyed(root, "/proc", "meminfo", "MemTotal") * 1024;
  double available = read_keyed(root, "/proc", "meminfo", "MemAvailable") * 1024;
  if (all > 0) add_bound(out, 0, all, available, "MemAvailable", "");
  for (int v2 = 0; v2 <= 1; v2++) {
    if (!find_tree(root, "memory", v2, &t)) continue;
    do
      add_group(root, &t, out);
    while (go_up(&t));
  }
}

int64_t ft_machine_resident(const char *root) {
  return (int64_t)(read_keyed(root, "/proc/self", "smaps_rollup", "Pss") * 1024);
}

int64_t ft_machine_address_space(int64_t *limit_bytes) {
  struct rlimit limit;
  *limit_bytes = INT64_MAX;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT64_MAX;
  *limit_bytes = (int64_t)FT_MIN(limit.rlim_cur, (rlim_t)INT64_MAX);
  double used = read_keyed("", "/proc/self", "status", "VmSize") * 1024;
  return FT_MAX(*limit_bytes - (int64_t)used, 0);
}

/* ---------------------------------------------------------------- processor time */

/* Processors of one group; HUGE_VAL: no limit. */
static double group_cpus(const char *root, const group_tree *t) {
  double quota = -1, period = 0;
  if (t->v2) {
    FILE *f = open_file(root, t->dir, "cpu.max"); /* "50000 100000", "max 100000" */
    bool found = f && fscanf(f, "%lf %lf", &quota, &period) == 2;
    if (f) fclose(f);
    if (!found) return HUGE_VAL;
  } else if (!read_number(root, t->dir, "cpu.cfs_quota_us", &quota) ||
             !read_number(root, t->dir, "cpu.cfs_period_us", &period)) {
    return HUGE_VAL;
  }
  return quota > 0 && period > 0 ? quota / period : HUGE_VAL;
}

double ft_machine_cpus(const char *root, uint64_t *group) {
  group_tree t;
  double least = HUGE_VAL;
  *group = 0;
  for (int v2 = 0; v2 <= 1; v2++) {
    if (!find_tree(root, "cpu", v2, &t)) continue;
    do {
      double cpus = group_cpus(root, &t);
      if (cpus < least) {
        least = cpus;
        *group = group_id(root, t.dir);
      }
    } while (go_up(&t));
  }
  return least;
}
