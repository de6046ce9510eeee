/* A thread that gives signs of life for the lock, and looks whether a file asks the run to stop. */
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "ft/run.h"

#define LOOK_S 1 /* between two looks for the file */

struct ft_run_watch {
  const char *run_dir; /* not owned, nor the lock */
  ft_run_lock *lock;
  pthread_t thread;
  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t wake;
  bool ending;
  void (*asked)(void *arg);
  void *arg;
};

bool ft_run_asked_to_stop(const char *dir) {
  return ft_path_has(dir, "stop");
}

/* The mutex is held. */
static void look_for_stop(ft_run_watch *w) {
  if (!w->asked || !ft_run_asked_to_stop(w->run_dir)) return;
  w->asked(w->arg);
  w->asked = NULL;
}

static void *watch(void *arg) {
  ft_run_watch *w = arg;
  double beat_s = ft_now_s();
  pthread_mutex_lock(&w->mutex);
  while (!w->ending) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_S;
    if (pthread_cond_timedwait(&w->wake, &w->mutex, &until) == 0) continue;
    look_for_stop(w);
    if (ft_now_s() - beat_s < FT_LOCK_BEAT_S) continue;
    ft_run_lock_renew(w->lock);
    beat_s = ft_now_s();
  }
  pthread_mutex_unlock(&w->mutex);
  return NULL;
}

/* Signals are the main thread's. */
static int start(ft_run_watch *w) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  int failed = pthread_create(&w->thread, NULL, watch, w);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return failed;
}

ft_err ft_run_watch_begin(const char *run_dir, ft_run_lock *lock, ft_run_watch **out) {
  void *memory = NULL;
  pthread_condattr_t monotonic; /* a clock that nobody sets */
  *out = NULL;
  ft_err err = ft_alloc(FT_MEM_OTHER, sizeof(ft_run_watch), &memory);
  if (err != FT_OK) return err;
  ft_run_watch *w = memory;
  w->run_dir = run_dir;
  w->lock = lock;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&w->mutex, NULL);
  pthread_cond_init(&w->wake, &monotonic);
  pthread_condattr_destroy(&monotonic);
  int failed = start(w);
  if (failed) {
    ft_free(w);
    return ft_fail(FT_ERR_INTERNAL, "cannot start a thread: %s", strerror(failed));
  }
  *out = w;
  return FT_OK;
}

void ft_run_watch_stop(ft_run_watch *w, void (*asked)(void *arg), void *arg) {
  pthread_mutex_lock(&w->mutex);
  w->asked = asked;
  w->arg = arg;
  pthread_mutex_unlock(&w->mutex);
}

void ft_run_watch_end(ft_run_watch *w) {
  if (!w) return;
  pthread_mutex_lock(&w->mutex);
  w->ending = true;
  pthread_cond_signal(&w->wake);
  pthread_mutex_unlock(&w->mutex);
  pthread_join(w->thread, NULL);
  pthread_cond_destroy(&w->wake);
  pthread_mutex_destroy(&w->mutex);
  ft_free(w);
}
