/* Who holds a run directory, as RUN/lock says, and whether that one is gone. */
#include "holder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "ft/run_read.h"

/* ---------------------------------------------------------------- who */

static const char *environment(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

static void read_boot(char *out, size_t size) {
  FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
  *out = 0;
  if (f && !fgets(out, (int)size, f)) *out = 0;
  if (f) fclose(f);
  out[strcspn(out, "\n")] = 0;
}

void ft_holder_self(ft_holder *out) {
  char host[sizeof out->host] = "";
  *out = (ft_holder){.pid = getpid(), .started = (double)time(NULL)};
  if (gethostname(host, sizeof host - 1) != 0) strcpy(host, "unknown");
  memcpy(out->host, host, sizeof host);
  snprintf(out->job, sizeof out->job, "%.63s", environment("SLURM_JOB_ID"));
  snprintf(out->restart, sizeof out->restart, "%.31s", environment("SLURM_RESTART_COUNT"));
  read_boot(out->machine, sizeof out->machine);
  ssize_t length = readlink("/proc/self/ns/pid", out->processes, sizeof out->processes - 1);
  out->processes[FT_MAX(length, 0)] = 0;
}

/* ---------------------------------------------------------------- the file */

static void take_text(const cJSON *json, const char *name, char *out, size_t size) {
  const cJSON *value = ft_json_get(json, name);
  snprintf(out, size, "%s", cJSON_IsString(value) ? value->valuestring : "");
}

static double take_number(const cJSON *json, const char *name) {
  const cJSON *value = ft_json_get(json, name);
  return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

bool ft_holder_read(int fd, double now, ft_holder *h) {
  char text[2048];
  struct stat s;
  *h = (ft_holder){0};
  ssize_t bytes = pread(fd, text, sizeof text - 1, 0);
  if (bytes <= 0 || fstat(fd, &s) != 0) return false;
  h->stamp_s = (double)s.st_mtim.tv_sec + 1e-9 * (double)s.st_mtim.tv_nsec;
  h->silence_s = FT_MAX(now - h->stamp_s, 0);
  cJSON *json = cJSON_ParseWithLength(text, (size_t)bytes);
  if (!json) return false;
  take_text(json, "host", h->host, sizeof h->host);
  take_text(json, "machine", h->machine, sizeof h->machine);
  take_text(json, "processes", h->processes, sizeof h->processes);
  take_text(json, "job", h->job, sizeof h->job);
  take_text(json, "restart", h->restart, sizeof h->restart);
  h->pid = (long)take_number(json, "pid");
  h->started = take_number(json, "started");
  cJSON_Delete(json);
  return *h->host != 0;
}

ft_err ft_holder_print(const ft_holder *h, char **text) {
  cJSON *json = cJSON_CreateObject();
  cJSON_AddStringToObject(json, "host", h->host);
  cJSON_AddStringToObject(json, "machine", h->machine);
  cJSON_AddNumberToObject(json, "pid", (double)h->pid);
  cJSON_AddStringToObject(json, "processes", h->processes);
  cJSON_AddStringToObject(json, "job", h->job);
  cJSON_AddStringToObject(json, "restart", h->restart);
  cJSON_AddNumberToObject(json, "started", h->started);
  ft_err err = ft_json_print(json, false, text);
  cJSON_Delete(json);
  return err;
}

/* ---------------------------------------------------------------- gone or not */

static bool same(const char *a, const char *b) {
  return strcmp(a, b) == 0;
}

bool ft_holder_is(const ft_holder *a, const ft_holder *b) {
  return a->pid == b->pid && a->started == b->started && same(a->host, b->host) &&
         same(a->machine, b->machine) && same(a->processes, b->processes);
}

bool ft_holder_was_restarted(const ft_holder *h) {
  ft_holder self;
  ft_holder_self(&self);
  return *self.job && same(self.job, h->job) && !same(self.restart, h->restart);
}

bool ft_holder_trusts_locks(int fd) {
  static const long trusted[] = {0xEF53 /* ext4 */,
                                 0x58465342 /* xfs */,
                                 0x01021994 /* tmpfs */,
                                 0x794c7630 /* overlayfs */,
                                 0x9123683E /* btrfs */,
                                 0x2FC12FC1 /* zfs */,
                                 0x6969 /* nfs */};
  struct statfs s;
  if (fstatfs(fd, &s) != 0) return false;
  for (size_t i = 0; i < FT_ARRAY_SIZE(trusted); i++)
    if ((long)s.f_type == trusted[i]) return true;
  return false;
}

/* Hosts may share a name: containers do, and machines that were set up from one image. */
bool ft_holder_is_gone(int fd, const ft_holder *h, bool locked) {
  ft_holder self;
  ft_holder_self(&self);
  bool same_machine = same(h->host, self.host) && same(h->machine, self.machine);
  bool same_processes = same_machine && same(h->processes, self.processes);
  if (locked && same_machine) return true;
  if (same_processes && h->pid > 0 && kill((pid_t)h->pid, 0) != 0 && errno == ESRCH) return true;
  if (ft_holder_was_restarted(h)) return true;
  return h->silence_s >
         (locked && ft_holder_trusts_locks(fd) ? FT_HOLDER_BEAT_S : FT_HOLDER_SILENCE_S);
}

/* ---------------------------------------------------------------- looking at it */

/* Whether somebody else has it locked; *known: this filesystem says. A shared lock, held for as
 * long as it takes to give it up again. */
static bool is_locked(int fd, bool *known) {
  bool free = flock(fd, LOCK_SH | LOCK_NB) == 0;
  *known = free || errno == EWOULDBLOCK;
  if (free) (void)flock(fd, LOCK_UN);
  return !free && *known;
}

ft_err ft_run_look_at_holder(const char *run_dir, ft_run_holder *out) {
  ft_err err = FT_OK;
  char *path = NULL;
  int fd = -1;
  ft_holder h;
  bool known;
  double now = (double)time(NULL);
  *out = (ft_run_holder){0};
  FT_TRY(ft_path_join(run_dir, "lock", &path));
  fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) goto out;
  FT_CHECK(fd >= 0, FT_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
  bool locked = is_locked(fd, &known);
  bool written = ft_holder_read(fd, now, &h);
  *out = (ft_run_holder){.found = true,
                         .alive = locked || !written || !ft_holder_is_gone(fd, &h, known),
                         .pid = h.pid,
                         .held_s = h.started > 0 ? FT_MAX(0, now - h.started) : 0,
                         .silence_s = h.silence_s};
  snprintf(out->host, sizeof out->host, "%s", h.host);
  snprintf(out->job, sizeof out->job, "%s", h.job);
out:
  if (fd >= 0) close(fd);
  ft_free(path);
  return err;
}
