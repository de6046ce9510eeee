/* Before the communication thread runs, nothing but this notices a rank or a network that does not
 * answer: MPI's own calls would wait for ever. */
#include "comm_internal.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define START_S 300.0
/* After that long each host says where it can be reached: where two have the same address, MPI may
 * wait for ever for an answer from the wrong one. */
#define SAY_ADDRESSES_S 10.0

struct ft_start_watch {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool over;
  double seconds;
  int rank, size;
  const char *host;
};

/* "eth0 10.1.0.2/16, docker0 172.17.0.1/16" */
static void list_addresses(char *out, size_t size) {
  struct ifaddrs *all = NULL;
  *out = 0;
  if (getifaddrs(&all) != 0) return;
  for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
    bool usable = a->ifa_addr && a->ifa_netmask && a->ifa_addr->sa_family == AF_INET &&
                  (a->ifa_flags & IFF_UP) && !(a->ifa_flags & IFF_LOOPBACK);
    if (!usable) continue;
    struct sockaddr_in address, mask;
    memcpy(&address, a->ifa_addr, sizeof address);
    memcpy(&mask, a->ifa_netmask, sizeof mask);
    char text[INET_ADDRSTRLEN] = "?";
    inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
    size_t length = strlen(out);
    snprintf(out + length, size - length, "%s%s %s/%d", length ? ", " : "", a->ifa_name, text,
             __builtin_popcount(mask.sin_addr.s_addr));
  }
  freeifaddrs(all);
}

static void say_addresses(const ft_start_watch *w) {
  char addresses[2048];
  list_addresses(addresses, sizeof addresses);
  fprintf(
      stderr,
      "ftrun: warning: rank %d of %d (host %s): the ranks have not found each other for %.0f s. "
      "This host's addresses: %s. If another host has one of them too (bridges of container "
      "programs), leave that network out: --mca btl_tcp_if_exclude lo,NAME, or "
      "OMPI_MCA_btl_tcp_if_exclude=lo,NAME\n",
      w->rank, w->size, w->host, SAY_ADDRESSES_S, *addresses ? addresses : "none");
}

/* Waits until it is over, or that many seconds have passed since `begin`; the lock is held. */
static bool is_over_after(ft_start_watch *w, const struct timespec *begin, double seconds) {
  struct timespec until = *begin;
  int result = 0;
  until.tv_sec += (time_t)seconds;
  while (!w->over && result == 0)
    result = pthread_cond_timedwait(&w->wake, &w->lock, &until);
  return w->over;
}

static void *watch(void *arg) {
  ft_start_watch *w = arg;
  struct timespec begin;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  pthread_mutex_lock(&w->lock);
  bool speaks = w->size > 1 && ft_comm_launch().local_rank == 0 && w->seconds > SAY_ADDRESSES_S;
  bool over = speaks && is_over_after(w, &begin, SAY_ADDRESSES_S);
  if (speaks && !over) say_addresses(w);
  over = over || is_over_after(w, &begin, w->seconds);
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
  pthread_condattr_t monotonic; /* a clock that nobody sets */
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->wake, &monotonic);
  pthread_condattr_destroy(&monotonic);
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
