/* Before the communication thread runs, nothing but this notices a rank or a network that does not
 * answer: MPI's own calls would wait for ever. */
#include "comm_internal.h"

#include <stdlib.h>
#include <unistd.h>

#define START_S 300.0

struct ft_start_watch {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool over;
  double seconds;
  int rank, size;
  const char *host;
};

static void *watch(void *arg) {
  ft_start_watch *w = arg;
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += (time_t)w->seconds;
  pthread_mutex_lock(&w->lock);
  int result = 0;
  while (!w->over && result == 0)
    result = pthread_cond_timedwait(&w->wake, &w->lock, &until);
  bool over = w->over;
  pthread_mutex_unlock(&w->lock);
  if (over) return NULL;
  fprintf(stderr,
          "ftrun: error: rank %d of %d (host %s): the ranks did not find each other within %.0f s "
          "(FT_START_TIMEOUT): a host or the network is not well. Nothing was begun: run again\n",
          w->rank, w->size, w->host, w->seconds);
  _exit(FT_ERR_STOPPED);
}

ft_err ft_start_watch_begin(int rank, int size, const char *host, ft_start_watch **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  const char *text = getenv("FT_START_TIMEOUT");
  char *end = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof(ft_start_watch), &memory));
  ft_start_watch *w = memory;
  *w = (ft_start_watch){.rank = rank, .size = size, .host = host, .seconds = START_S};
  if (text && *text) w->seconds = strtod(text, &end);
  FT_CHECK(w->seconds >= 1 && (!end || !*end), FT_ERR_USAGE,
           "FT_START_TIMEOUT is \"%s\", expected a number of seconds from 1 on", text);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->wake, NULL);
  FT_CHECK(pthread_create(&w->thread, NULL, watch, w) == 0, FT_ERR_INTERNAL,
           "cannot start a thread");
  *out = w;
  memory = NULL;
out:
  ft_free(memory);
  return err;
}

void ft_start_watch_end(ft_start_watch *w) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->over = true;
  pthread_cond_signal(&w->wake);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  pthread_mutex_destroy(&w->lock);
  pthread_cond_destroy(&w->wake);
  ft_free(w);
}
