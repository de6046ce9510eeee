/* One run, one writer: RUN/lock.
 *
 * Rank 0 holds a lock (flock) on the file for as long as it lives; the kernel drops it however the
 * process ends, and network filesystems that know such locks do so for a dead client after a while.
 * The file says who holds it. Its modification time is the sign of life, renewed (watch.c) by the
 * filesystem's own clock, so hosts' clocks do not matter; where locks are each host's own
 * (NFS mounted with nolock or local_lock), the sign of life is all there is, so a fresh one counts
 * more than a lock that could be had. The file that is locked must be the one that has the name:
 * whoever takes over from a silent holder writes its name into the old file and makes a new one. A
 * holder that finds the name leading elsewhere has lost the lock only if another holder can be read
 * there: files are removed by hand, and handles of network filesystems go stale. A directory that
 * was renamed gets a link in its old place. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "holder.h"
#include "lock.h"

/* A holder that is about to end is waited for. */
#define PATIENCE_S 5.0
/* How long a lock that cannot be looked at is looked for again. */
#define LOOK_PATIENCE_S 30.0

struct ft_run_lock {
  char *dir, *path, *probe; /* probe: a file whose time is the filesystem's now */
  pthread_mutex_t mutex;    /* guards what follows */
  int fd;
  double beat_s;    /* when the last sign was given, by ft_now_s */
  ft_holder self;   /* as the file says */
  char moved[4096]; /* where the directory is now, while its name leads elsewhere */
  /* while another holder is waited for: its last sign of life, and since when that is the last */
  double seen_stamp_s, seen_s;
};

/* The filesystem's own time. */
static double filesystem_now(const ft_run_lock *l) {
  struct stat s;
  int fd = open(l->probe, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  bool known = fd >= 0 && futimens(fd, NULL) == 0 && fstat(fd, &s) == 0;
  if (fd >= 0) close(fd);
  (void)unlink(l->probe);
  return known ? (double)s.st_mtim.tv_sec + 1e-9 * (double)s.st_mtim.tv_nsec : (double)time(NULL);
}

static ft_err write_self(ft_run_lock *l) {
  ft_err err = FT_OK;
  char *text = NULL;
  ft_holder_self(&l->self);
  l->beat_s = ft_now_s();
  FT_TRY(ft_holder_print(&l->self, &text));
  size_t bytes = strlen(text);
  bool good = ftruncate(l->fd, 0) == 0 && pwrite(l->fd, text, bytes, 0) == (ssize_t)bytes &&
              fsync(l->fd) == 0;
  FT_CHECK(good, FT_ERR_IO, "%s: cannot write: %s", l->path, strerror(errno));
out:
  ft_free(text);
  return err;
}

/* ---------------------------------------------------------------- taking it */

/* Whether the name still leads to the file that is open. */
static bool is_named(const ft_run_lock *l) {
  struct stat named, opened;
  return stat(l->path, &named) == 0 && fstat(l->fd, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

typedef enum attempt { ATTEMPT_TAKEN, ATTEMPT_HELD, ATTEMPT_AGAIN } attempt;

static void say_taken_over(const ft_run_lock *l, const ft_holder *h) {
  ft_log(
      FT_LOG_WARNING,
      "%s was left by process %ld on %s%s%s, which gave its last sign of life %.0f s ago: taking "
      "over",
      l->path, h->pid, h->host, *h->job ? ", job " : "", h->job, h->silence_s);
}

/* A filesystem's clock may be set back, which makes signs of life come from the future: what was
 * seen here, by a clock that is not set, counts as well. */
static void count_silence(ft_run_lock *l, ft_holder *h) {
  double now_s = ft_now_s();
  if (h->stamp_s != l->seen_stamp_s) l->seen_s = now_s;
  l->seen_stamp_s = h->stamp_s;
  h->silence_s = FT_MAX(h->silence_s, now_s - l->seen_s);
}

/* One try; *h says who holds it if it is held. The file stays open unless it is to be tried again.
 */
static ft_err try_once(ft_run_lock *l, attempt *result, ft_holder *h) {
  ft_err err = FT_OK;
  *result = ATTEMPT_AGAIN;
  l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  FT_CHECK(l->fd >= 0, FT_ERR_CREATE, "%s: cannot create: %s", l->path, strerror(errno));
  bool locked = flock(l->fd, LOCK_EX | LOCK_NB) == 0;
  bool elsewhere = !locked && errno == EWOULDBLOCK;
  if (!is_named(l)) goto out; /* it was removed meanwhile */
  bool known = ft_holder_read(l->fd, filesystem_now(l), h);
  count_silence(l, h);
  h->locked = elsewhere;
  h->trusted = ft_holder_trusts_locks(l->fd);
  if (elsewhere && (h->silence_s > FT_HOLDER_SILENCE_S || (known && ft_holder_was_restarted(h)))) {
    if (known) say_taken_over(l, h);
    (void)write_self(l); /* the old holder finds it in what it has open */
    if (unlink(l->path) == 0 || errno == ENOENT) goto out;
  }
  if (elsewhere || (known && !ft_holder_is_gone(l->fd, h, locked))) {
    *result = ATTEMPT_HELD;
    goto out;
  }
  if (known) say_taken_over(l, h);
  err = write_self(l);
  if (err != FT_OK && is_named(l)) (void)unlink(l->path); /* one that names nobody is no lock */
  FT_TRY(err);
  *result = ATTEMPT_TAKEN;
out:
  if (l->fd >= 0 && *result != ATTEMPT_TAKEN) {
    close(l->fd);
    l->fd = -1;
  }
  return err;
}

/* Whether a holder may turn out to be gone: it gives no sign of life, and none was seen to come. */
static bool may_be_gone(const ft_holder *h, double first_stamp_s) {
  if (h->stamp_s != first_stamp_s) return false;
  return !h->locked || h->silence_s > FT_HOLDER_BEAT_S;
}

static void say_waiting(const ft_run_lock *l, const ft_holder *h) {
  ft_log(
      FT_LOG_WARNING,
      "%s is held by process %ld on %s%s%s, whose last sign of life is %.0f s old: waiting for the "
      "next, until it has been silent for %.0f s",
      l->path, h->pid, h->host, *h->job ? ", job " : "", h->job, h->silence_s,
      h->locked || !h->trusted ? FT_HOLDER_SILENCE_S : FT_HOLDER_BEAT_S);
}

static ft_err take(ft_run_lock *l, const char *run_dir, const ft_run_asked *asked) {
  ft_holder h = {0};
  attempt result = ATTEMPT_AGAIN;
  double begin_s = ft_now_s(), first_stamp_s = 0;
  bool said = false;
  for (;;) {
    ft_err err = try_once(l, &result, &h);
    if (err != FT_OK || result == ATTEMPT_TAKEN) return err;
    if (asked && asked->to_stop(asked->arg))
      return ft_fail(FT_ERR_STOPPED, "stopped while %s was held by another job", l->path);
    if (first_stamp_s == 0) first_stamp_s = h.stamp_s;
    bool held = result == ATTEMPT_HELD;
    if (ft_now_s() - begin_s > PATIENCE_S && !(held && may_be_gone(&h, first_stamp_s))) break;
    if (held && !said && ft_now_s() - begin_s > 1) {
      if (may_be_gone(&h, first_stamp_s)) say_waiting(l, &h);
      said = true;
    }
    ft_sleep_s(held ? 0.25 : 0.01);
  }
  return ft_fail(FT_ERR_CREATE,
                 "%s is in use: process %ld on host %s%s%s trains there since %.0f s and gave its "
                 "last sign of life %.0f s ago. Wait until it ends, stop it, or choose another "
                 "run.dir",
                 run_dir, h.pid, *h.host ? h.host : "(unknown)", *h.job ? ", job " : "", h.job,
                 h.started > 0 ? (double)time(NULL) - h.started : 0.0, h.silence_s);
}

/* ---------------------------------------------------------------- keeping it */

/* What can be seen of the lock: it is this job's, another's, or neither can be told now. */
typedef enum hold { HOLD_MINE, HOLD_LOST, HOLD_UNKNOWN } hold;

/* The name is gone. Whoever takes over writes into the old file first; where that cannot be read
 * any more, nobody takes over from a holder that gives signs of life. */
static hold take_back(ft_run_lock *l) {
  ft_holder h;
  bool known = l->fd >= 0 && ft_holder_read(l->fd, 0, &h);
  if (known && !ft_holder_is(&h, &l->self)) return HOLD_LOST;
  if (!known && ft_now_s() - l->beat_s > FT_HOLDER_BEAT_S) return HOLD_LOST;
  int fd = open(l->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return HOLD_UNKNOWN;
  if (l->fd >= 0) close(l->fd);
  l->fd = fd;
  (void)flock(fd, LOCK_EX | LOCK_NB);
  ft_log(FT_LOG_WARNING, "%s was removed while this job held it: it is taken again", l->path);
  return write_self(l) == FT_OK ? HOLD_MINE : HOLD_UNKNOWN;
}

/* Whether the file that is open lies in another directory than before, by the kernel's knowledge:
 * the run directory, or one above it, was renamed. Sets l->moved. */
static bool find_moved(ft_run_lock *l) {
  char link[64];
  struct stat opened, there;
  snprintf(link, sizeof link, "/proc/self/fd/%d", l->fd);
  ssize_t length = l->fd >= 0 ? readlink(link, l->moved, sizeof l->moved - 1) : -1;
  l->moved[FT_MAX(length, 0)] = 0;
  bool moved = ft_ends_with(l->moved, "/lock") && fstat(l->fd, &opened) == 0 &&
               stat(l->moved, &there) == 0 && opened.st_ino == there.st_ino &&
               opened.st_dev == there.st_dev;
  l->moved[moved ? length - 5 : 0] = 0;
  return moved;
}

/* The run goes on by a link in the directory's old place, which leads all ranks there, and whoever
 * starts the run again. */
static hold follow(ft_run_lock *l) {
  struct stat old;
  char parent[4096];
  if (lstat(l->dir, &old) == 0) return HOLD_LOST; /* another has the name */
  snprintf(parent, sizeof parent, "%s", l->dir);
  char *slash = strrchr(parent, '/');
  if (slash && slash > parent) {
    *slash = 0;
    if (ft_make_dirs(parent) != FT_OK) return HOLD_UNKNOWN;
  }
  if (symlink(l->moved, l->dir) != 0 || !is_named(l)) return HOLD_UNKNOWN;
  ft_log(FT_LOG_WARNING,
         "the run directory %s was renamed to %s: a link is left in its old place, by which the "
         "run goes on",
         l->dir, l->moved);
  *l->moved = 0;
  return HOLD_MINE;
}

/* The mutex is held. */
static hold look(ft_run_lock *l) {
  struct stat named;
  ft_holder h;
  if (is_named(l)) return HOLD_MINE;
  if (stat(l->path, &named) != 0) {
    if (errno != ENOENT) return HOLD_UNKNOWN;
    return find_moved(l) ? follow(l) : take_back(l);
  }
  int fd = open(l->path, O_RDWR | O_CLOEXEC);
  bool known = fd >= 0 && ft_holder_read(fd, 0, &h);
  if (known && ft_holder_is(&h, &l->self)) { /* a stale handle, or a directory that was copied */
    if (l->fd >= 0) close(l->fd);
    l->fd = fd;
    (void)flock(fd, LOCK_EX | LOCK_NB);
    return HOLD_MINE;
  }
  if (fd >= 0) close(fd);
  return known ? HOLD_LOST : HOLD_UNKNOWN;
}

void ft_run_lock_renew(ft_run_lock *l) {
  pthread_mutex_lock(&l->mutex);
  (void)look(l);
  if (futimens(l->fd, NULL) == 0) l->beat_s = ft_now_s();
  pthread_mutex_unlock(&l->mutex);
}

ft_err ft_run_lock_take(const char *run_dir, const ft_run_asked *asked, ft_run_lock **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(ft_run_lock), &memory));
  ft_run_lock *l = memory;
  l->fd = -1;
  pthread_mutex_init(&l->mutex, NULL);
  FT_TRY(ft_strdup(run_dir, &l->dir));
  for (char *end = l->dir + strlen(l->dir); end > l->dir + 1 && end[-1] == '/';)
    *--end = 0; /* a link's name has none */
  FT_TRY(ft_path_join(run_dir, "lock", &l->path));
  FT_TRY(ft_format(&l->probe, "%s.now-%d", l->path, (int)getpid()));
  FT_TRY(take(l, run_dir, asked));
  *out = l;
  memory = NULL;
out:
  ft_run_lock_release(memory);
  return err;
}

ft_err ft_run_lock_check(ft_run_lock *l) {
  if (!l) return FT_OK;
  hold found = HOLD_UNKNOWN;
  for (double end_s = ft_now_s() + LOOK_PATIENCE_S; found == HOLD_UNKNOWN && ft_now_s() < end_s;) {
    pthread_mutex_lock(&l->mutex);
    found = look(l);
    pthread_mutex_unlock(&l->mutex);
    if (found == HOLD_UNKNOWN) ft_sleep_s(0.2);
  }
  if (found == HOLD_MINE) return FT_OK;
  if (found == HOLD_UNKNOWN)
    return ft_fail(FT_ERR_IO, "%s: cannot be looked at for %.0f s: %s", l->path, LOOK_PATIENCE_S,
                   strerror(errno));
  if (*l->moved)
    return ft_fail(FT_ERR_CREATE,
                   "the run directory was renamed to %s, and %s is another one now: this run ends "
                   "and writes nothing; go on with run.dir=%s",
                   l->moved, l->dir, l->moved);
  return ft_fail(FT_ERR_CREATE,
                 "another job has taken over the run directory (%s is not this job's any more, "
                 "which was silent for too long): this one ends and writes nothing",
                 l->path);
}

void ft_run_lock_release(ft_run_lock *l) {
  if (!l) return;
  if (l->fd >= 0) {
    if (is_named(l)) (void)unlink(l->path);
    close(l->fd);
  }
  pthread_mutex_destroy(&l->mutex);
  ft_free(l->dir);
  ft_free(l->path);
  ft_free(l->probe);
  ft_free(l);
}
