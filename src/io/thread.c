/* The I/O thread: jobs one after another, in order of submission. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ft/io.h"

struct ft_io_job {
  ft_err (*run)(void *arg);
  void *arg;
  ft_io_job *next;
  bool done; /* under the lock, as the two after it */
  ft_err err;
  char *message; /* of an error; from strdup, NULL if there was no memory for it */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t submitted = PTHREAD_COND_INITIALIZER, finished = PTHREAD_COND_INITIALIZER;
static ft_io_job *first, *last;
static bool running, stopping;
static pthread_t thread;

static void run_job(ft_io_job *job) {
  ft_err err = job->run(job->arg);
  char *message = err == FT_OK ? NULL : strdup(ft_error_message());
  pthread_mutex_lock(&lock);
  job->err = err;
  job->message = message;
  job->done = true;
  pthread_cond_broadcast(&finished);
  pthread_mutex_unlock(&lock);
}

static void *work(void *arg) {
  (void)arg;
  for (;;) {
    pthread_mutex_lock(&lock);
    while (!first && !stopping)
      pthread_cond_wait(&submitted, &lock);
    ft_io_job *job = first;
    if (job) first = job->next;
    if (!first) last = NULL;
    pthread_mutex_unlock(&lock);
    if (!job) return NULL;
    run_job(job);
  }
}

/* Starts the thread if it does not run; the lock is held. Signals are for other threads. */
static ft_err start(void) {
  if (running) return FT_OK;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  int status = pthread_create(&thread, NULL, work, NULL);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (status != 0)
    return ft_fail(FT_ERR_INTERNAL, "cannot start the I/O thread: %s", strerror(status));
  running = true;
  return FT_OK;
}

ft_err ft_io_submit(ft_err (*job)(void *arg), void *arg, ft_io_job **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_io_job), &memory));
  ft_io_job *fresh = memory;
  *fresh = (ft_io_job){.run = job, .arg = arg};
  pthread_mutex_lock(&lock);
  err = start();
  if (err == FT_OK) {
    if (last)
      last->next = fresh;
    else
      first = fresh;
    last = fresh;
    *out = fresh;
    memory = NULL;
    pthread_cond_signal(&submitted);
  }
  pthread_mutex_unlock(&lock);
out:
  ft_free(memory);
  return err;
}

bool ft_io_done(const ft_io_job *job) {
  pthread_mutex_lock(&lock);
  bool done = job->done;
  pthread_mutex_unlock(&lock);
  return done;
}

ft_err ft_io_wait(ft_io_job *job) {
  if (!job) return FT_OK;
  pthread_mutex_lock(&lock);
  while (!job->done)
    pthread_cond_wait(&finished, &lock);
  pthread_mutex_unlock(&lock);
  ft_err err = job->err;
  if (err != FT_OK) (void)ft_fail(err, "%s", job->message ? job->message : "out of memory");
  free(job->message);
  ft_free(job);
  return err;
}

void ft_io_stop(void) {
  pthread_mutex_lock(&lock);
  bool was_running = running;
  stopping = true;
  pthread_cond_signal(&submitted);
  pthread_mutex_unlock(&lock);
  if (was_running) pthread_join(thread, NULL);
  pthread_mutex_lock(&lock);
  running = stopping = false;
  pthread_mutex_unlock(&lock);
}
