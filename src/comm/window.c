/* Node-shared memory. Open MPI backs it by files in /dev/shm (or wherever
 * OMPI_MCA_osc_sm_backing_directory says), which may be small; writing to a page that finds no room
 * ends the process with SIGBUS. So the room is checked first, and every page is made at once. */
#include "comm_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ft/base_machine.h"

enum { ALIGNMENT = 64 };

/* What a window needs: its size on this node, and on all nodes of this machine together. */
typedef struct demand {
  int64_t node_bytes, machine_bytes;
} demand;

struct ft_window {
  MPI_Win window; /* MPI_WIN_NULL where the node has one rank: then `data` was allocated */
  char *data;
  size_t bytes;
  ft_owner owner;
  demand demand;
};

static bool is_shared(const ft_comm *comm) {
  return ft_comm_node_size(comm, ft_comm_node(comm)) > 1;
}

static bool is_node_first(const ft_comm *comm) {
  return ft_comm_node_rank(comm) == 0;
}

/* ---------------------------------------------------------------- room */

/* Where Open MPI puts shared windows. */
static const char *backing_directory(void) {
  const char *chosen = getenv("OMPI_MCA_osc_sm_backing_directory");
  return chosen && *chosen ? chosen : "/dev/shm";
}

/* Every rank maps all of its node's window. */
static ft_err check_address_space(const ft_comm *comm, int64_t node_bytes) {
  int64_t limit, left = ft_machine_address_space(&limit);
  if (node_bytes <= left) return FT_OK;
  return ft_fail(
      FT_ERR_MEMORY,
      "host %s: node-shared memory needs %.1f MiB of address space, %.1f MiB are left of "
      "this process's limit of %.1f MiB (ulimit -v): raise it, or use more nodes",
      comm->host, (double)node_bytes / 1048576.0, (double)left / 1048576.0,
      (double)limit / 1048576.0);
}

/* needed: by all nodes of this machine together (more than one only where they are faked). */
static ft_err check_room(const ft_comm *comm, int64_t needed) {
  const char *directory = backing_directory();
  struct statvfs room;
  if (statvfs(directory, &room) != 0)
    return ft_fail(FT_ERR_MEMORY,
                   "host %s: cannot see how much room %s has for node-shared memory: %s",
                   comm->host, directory, strerror(errno));
  double available = (double)room.f_bavail * (double)room.f_frsize;
  if ((double)needed > available)
    return ft_fail(FT_ERR_MEMORY,
                   "host %s: node-shared memory needs %.1f MiB in %s, where %.1f MiB are free: "
                   "enlarge it (mount -o remount,size=... %s), remove old files there, or use "
                   "more nodes",
                   comm->host, (double)needed / 1048576.0, directory, available / 1048576.0,
                   directory);
  return FT_OK;
}

/* ---------------------------------------------------------------- making and freeing */

/* What MPI could not take for us: the error of its own names neither. */
static ft_err allocation_failed(const ft_comm *comm, const ft_window *w) {
  int64_t limit, left = ft_machine_address_space(&limit);
  char bound[96] = "no limit on the address space (ulimit -v)";
  if (limit != INT64_MAX)
    snprintf(bound, sizeof bound, "%.1f MiB left of ulimit -v, which is %.1f MiB",
             (double)left / 1048576.0, (double)limit / 1048576.0);
  return ft_fail(FT_ERR_MEMORY,
                 "host %s: MPI could not make %.1f MiB of node-shared memory in %s (%s): raise the "
                 "limit, use more nodes, or one rank a node",
                 comm->host, (double)w->bytes / 1048576.0, backing_directory(), bound);
}

/* These two block inside MPI, where nobody can be heard: so all ranks of the node come here first,
 * and whoever does not is waited for where it is noticed. */
static bool run_allocate(ft_comm *comm, void *arg) {
  ft_window *w = arg;
  void *base;
  if (!ft_node_barrier(comm)) return false;
  MPI_Aint bytes = is_node_first(comm) ? (MPI_Aint)(w->bytes + ALIGNMENT) : 0;
  int unit;
  int failed = MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, comm->node, &base, &w->window);
  if (!failed) failed = MPI_Win_shared_query(w->window, 0, &bytes, &unit, &base);
  if (failed) ft_current_failed(comm, allocation_failed(comm, w));
  uintptr_t at = ((uintptr_t)base + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  w->data = (char *)base + (at - (uintptr_t)base);
  return true;
}

static bool run_free(ft_comm *comm, void *arg) {
  ft_window *w = arg;
  if (!ft_node_barrier(comm)) return false;
  ft_mpi_check(comm, MPI_Win_free(&w->window), "MPI_Win_free");
  return true;
}

/* Makes this rank's share of the pages: the kernel refuses here what it would answer with SIGBUS
 * later. Fresh pages are zero. */
static ft_err populate(const ft_comm *comm, const ft_window *w) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t begin = (uintptr_t)w->data / page, end = ((uintptr_t)w->data + w->bytes - 1) / page + 1;
  uintptr_t ranks = (uintptr_t)ft_comm_node_size(comm, ft_comm_node(comm));
  uintptr_t mine = (uintptr_t)ft_comm_node_rank(comm);
  uintptr_t share = (end - begin + ranks - 1) / ranks;
  begin = FT_MIN(begin + mine * share, end);
  end = FT_MIN(begin + share, end);
  if (begin == end) return FT_OK;
  char *start = w->data - (uintptr_t)w->data % page;
  start += (begin - (uintptr_t)w->data / page) * page;
  size_t bytes = (end - begin) * page;
  (void)madvise(start, bytes, MADV_HUGEPAGE); /* a wish */
#ifdef MADV_POPULATE_WRITE
  if (madvise(start, bytes, MADV_POPULATE_WRITE) == 0 || errno == EINVAL) return FT_OK;
  return ft_fail(FT_ERR_MEMORY,
                 "host %s: no room for %.1f MiB of node-shared memory though it was free a moment "
                 "ago (%s): another process is filling it or this node's memory",
                 comm->host, (double)w->bytes / 1048576.0, strerror(errno));
#else
  return FT_OK;
#endif
}

static bool reduce(ft_comm *comm, int64_t *value, MPI_Op op, MPI_Comm over) {
  MPI_Request request;
  ft_mpi_check(comm, MPI_Iallreduce(MPI_IN_PLACE, value, 1, MPI_INT64_T, op, over, &request),
               "MPI_Iallreduce");
  return ft_progress(comm, 1, &request, NULL);
}

static bool run_demand(ft_comm *comm, void *arg) {
  demand *d = arg;
  if (!reduce(comm, &d->node_bytes, MPI_MAX, comm->node)) return false;
  d->machine_bytes = is_shared(comm) && is_node_first(comm) ? d->node_bytes : 0;
  return reduce(comm, &d->machine_bytes, MPI_SUM, comm->machine);
}

/* Making shared memory blocks inside MPI: all ranks do it or none. */
static ft_err allocate(ft_comm *comm, ft_window *w) {
  ft_err err = ft_comm_section_begin(comm);
  if (err != FT_OK) return err;
  err = ft_queue_call(comm, "shared window", run_allocate, w);
  ft_comm_section_end(comm);
  return err;
}

static ft_err fill_window(ft_comm *comm, ft_window *w) {
  ft_err err = FT_OK;
  if (is_shared(comm)) {
    err = allocate(comm, w);
    if (err != FT_OK) return err;
    if (is_node_first(comm)) ft_mem_account(w->owner, (int64_t)w->bytes);
    err = populate(comm, w);
  } else {
    err = ft_alloc(w->owner, w->bytes, (void **)&w->data);
  }
  return err;
}

ft_err ft_comm_window_new(ft_comm *comm, ft_owner owner, size_t bytes, ft_window **out) {
  ft_err err = FT_OK;
  ft_window *w = NULL;
  *out = NULL;
  if (bytes > SIZE_MAX / 8)
    err = ft_fail(FT_ERR_MEMORY, "cannot share %zu bytes on a node", bytes);
  else
    err = ft_alloc(FT_MEM_OTHER, sizeof *w, (void **)&w);
  FT_TRY(ft_comm_agree(comm, err));

  *w = (ft_window){.window = MPI_WIN_NULL, .owner = owner};
  w->demand.node_bytes = (int64_t)FT_MAX(bytes, 1);
  FT_TRY(ft_queue_call(comm, "size of a shared window", run_demand, &w->demand));
  w->bytes = (size_t)w->demand.node_bytes;
  int64_t machine_bytes = w->demand.machine_bytes;
  err = machine_bytes > 0 ? check_room(comm, machine_bytes) : FT_OK;
  if (err == FT_OK && is_shared(comm)) err = check_address_space(comm, w->demand.node_bytes);
  FT_TRY(ft_comm_agree(comm, err));
  err = ft_comm_agree(comm, fill_window(comm, w));
  if (err != FT_OK) {
    ft_comm_window_free(comm, w);
    w = NULL;
    goto out;
  }
  *out = w;
out:
  if (err != FT_OK) ft_free(w);
  return err;
}

void *ft_comm_window_data(const ft_window *window) {
  return window->data;
}

void ft_comm_window_free(ft_comm *comm, ft_window *window) {
  if (!window) return;
  if (ft_comm_check(comm) != FT_OK) return; /* operations that were abandoned may still use it */
  if (window->window != MPI_WIN_NULL) {
    if (ft_comm_section_begin(comm) != FT_OK) return;
    ft_queue_call(comm, "freeing a shared window", run_free, window);
    ft_comm_section_end(comm);
    if (is_node_first(comm)) ft_mem_account(window->owner, -(int64_t)window->bytes);
  } else {
    ft_free(window->data);
  }
  ft_free(window);
}
