/* What MPI reads as it starts. What the user has set stays; the rest is found out before MPI_Init,
 * because MPI would fail, wait or complain at length where it finds out itself. */
#include "comm_internal.h"

#include <ctype.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- memory of other processes */

/* Whether this process may read another one's memory (process_vm_readv), tried on another: the
 * kernel lets each read itself, whatever ptrace_scope, capabilities or an executable that may not
 * be read say about others. */
static bool may_read_processes(void) {
  char from = 1, to = 0;
  struct iovec mine = {&to, 1}, theirs = {&from, 1};
  pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
      pause(); /* until it is killed */
  }
  bool read = process_vm_readv(child, &mine, 1, &theirs, 1, 0) == 1;
  kill(child, SIGKILL);
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
    ;
  return read;
}

/* Ranks of a host read each other's memory where containers or system calls' filters allow it;
 * where they do not, Open MPI reports every message that it had to copy. */
static void set_single_copy(void) {
  if (may_read_processes()) return;
  setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0); /* Open MPI 4 */
  setenv("OMPI_MCA_smsc", "^cma", 0);                            /* Open MPI 5 */
}

/* ---------------------------------------------------------------- networks */

static bool begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

/* Bridges that container and virtual-machine programs make on each host, with the same address on
 * all of them. Docker names those that users ask for br-0123456789ab. */
static bool is_private_bridge(const char *name) {
  static const char *const known[] = {"docker", "virbr", "lxcbr", "lxdbr", "cni", "podman"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(known); i++)
    if (begins(name, known[i])) return true;
  if (!begins(name, "br-") || strlen(name) != 15) return false;
  for (const char *c = name + 3; *c; c++)
    if (!isxdigit((unsigned char)*c)) return false;
  return true;
}

bool ft_networks_to_avoid(const ft_network *networks, int64_t count, char *out, size_t size) {
  int others = 0;
  *out = 0;
  for (int64_t i = 0; i < count; i++) {
    const ft_network *n = &networks[i];
    size_t length = strlen(out);
    if (!is_private_bridge(n->name) && n->plugged_in)
      others++;
    else if (length + strlen(n->name) + 2 < size)
      snprintf(out + length, size - length, "%s%s", length ? "," : "", n->name);
  }
  return *out && others > 0;
}

/* The networks of this host that have an address, but for loopback. */
static int64_t list_networks(ft_network *out, int64_t room) {
  struct ifaddrs *all = NULL;
  int64_t count = 0;
  if (getifaddrs(&all) != 0) return 0;
  for (const struct ifaddrs *a = all; a && count < room; a = a->ifa_next) {
    bool usable = a->ifa_addr && (a->ifa_flags & IFF_UP) && !(a->ifa_flags & IFF_LOOPBACK) &&
                  (a->ifa_addr->sa_family == AF_INET || a->ifa_addr->sa_family == AF_INET6);
    bool known = false;
    for (int64_t i = 0; usable && i < count; i++)
      known |= strcmp(out[i].name, a->ifa_name) == 0;
    if (!usable || known) continue;
    ft_network *n = &out[count++];
    snprintf(n->name, sizeof n->name, "%s", a->ifa_name);
    n->plugged_in = (a->ifa_flags & IFF_RUNNING) != 0;
  }
  freeifaddrs(all);
  return count;
}

/* Whether a file of Open MPI's parameters speaks of the networks that TCP uses. */
static bool file_mentions(const char *path) {
  char line[1024];
  bool found = false;
  FILE *f = fopen(path, "re");
  while (f && !found && fgets(line, sizeof line, f))
    found = *line != '#' && strstr(line, "btl_tcp_if_");
  if (f) fclose(f);
  return found;
}

static bool user_chose_networks(void) {
  char path[4096];
  const char *home = getenv("HOME");
  if (getenv("OMPI_MCA_btl_tcp_if_include") || getenv("OMPI_MCA_btl_tcp_if_exclude")) return true;
  snprintf(path, sizeof path, "%.4000s/.openmpi/mca-params.conf", home ? home : "");
  return file_mentions(path) || file_mentions("/etc/openmpi/openmpi-mca-params.conf");
}

/* MPI takes an address of each network to be reachable from every host that has one in it. */
static void set_networks(void) {
  enum { ROOM = 64 };
  ft_network networks[ROOM];
  char names[1024], list[1280];
  int64_t count = list_networks(networks, ROOM);
  if (user_chose_networks() || !ft_networks_to_avoid(networks, count, names, sizeof names)) return;
  snprintf(list, sizeof list, "127.0.0.0/8,sppp,%s", names); /* the first two: MPI's own */
  setenv("OMPI_MCA_btl_tcp_if_exclude", list, 0);
}

/* ---------------------------------------------------------------- all of it */

extern char **environ;

/* What a launcher told the shell that this process was started from. */
static void forget_launcher(void) {
  for (char **e = environ; *e;) {
    char name[256];
    size_t length = strcspn(*e, "=");
    bool told = begins(*e, "PMIX_") || begins(*e, "PMI_") || begins(*e, "SLURM_STEP");
    if (told && length < sizeof name) {
      memcpy(name, *e, length);
      name[length] = 0;
      unsetenv(name); /* what follows takes its place */
    } else {
      e++;
    }
  }
}

void ft_set_environment(void) {
  if (ft_comm_launch().by_hand) forget_launcher();
  /* without a launcher MPI would start a daemon, which only spawned processes need */
  setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
  /* blocking calls (start, windows, end) leave the core to others */
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
  set_single_copy();
  set_networks();
}
