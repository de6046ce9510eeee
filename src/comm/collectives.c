/* Blocking collectives: each is one operation of the queue, posted and waited for. What MPI writes
 * to lies in memory of their own, not on the caller's stack: a stop may abandon the operation while
 * MPI still works on it. */
#include "comm_internal.h"

#include <string.h>

static bool finish(ft_comm *comm, MPI_Request *request) {
  return ft_progress(comm, 1, request, NULL);
}

/* ---------------------------------------------------------------- barrier, broadcast, sums */

static bool run_barrier(ft_comm *comm, void *arg) {
  (void)arg;
  return ft_world_barrier(comm);
}

ft_err ft_comm_barrier(ft_comm *comm) {
  return ft_queue_call(comm, "barrier", run_barrier, NULL);
}

/* Memory for one call; without it the job cannot go on. */
static void *call_alloc(ft_comm *comm, size_t bytes, const char *name) {
  void *p;
  ft_err err = ft_alloc(FT_MEM_OTHER, bytes, &p);
  if (err != FT_OK) ft_comm_abort(comm, err, name);
  return p;
}

typedef struct broadcast {
  int root;
  char *data;
  size_t bytes;
  char copy[];
} broadcast;

static bool run_broadcast(ft_comm *comm, void *arg) {
  const broadcast *b = arg;
  for (size_t at = 0; at < b->bytes; at += FT_PIECE_BYTES) {
    int count = (int)FT_MIN(FT_PIECE_BYTES, b->bytes - at);
    MPI_Request request;
    ft_mpi_check(comm,
                 MPI_Ibcast(b->data + at, count, MPI_BYTE, b->root, comm->lane->world, &request),
                 "MPI_Ibcast");
    if (!finish(comm, &request)) return false;
  }
  return true;
}

ft_err ft_comm_broadcast(ft_comm *comm, int root, void *data, size_t bytes) {
  FT_ASSERT(root >= 0 && root < comm->size);
  if (comm->size == 1) return FT_OK;
  bool copied = bytes <= FT_COPY_BYTES;
  broadcast *b = call_alloc(comm, sizeof *b + (copied ? bytes : 0), "broadcast");
  *b = (broadcast){.root = root, .data = copied ? b->copy : data, .bytes = bytes};
  if (copied && bytes > 0) memcpy(b->copy, data, bytes);
  ft_err err = ft_queue_call(comm, "broadcast", run_broadcast, b);
  if (err != FT_OK) return err;
  if (copied && bytes > 0) memcpy(data, b->copy, bytes);
  ft_free(b);
  return FT_OK;
}

typedef struct reduction {
  ft_reduce op;
  int64_t count;
  int64_t values[];
} reduction;

/* Few values go over the nodes' boards, many by messages. */
static bool run_reduction(ft_comm *comm, void *arg) {
  static const MPI_Op ops[] = {
      [FT_REDUCE_SUM] = MPI_SUM, [FT_REDUCE_MAX] = MPI_MAX, [FT_REDUCE_MIN] = MPI_MIN};
  reduction *r = arg;
  if (r->count <= FT_BOARD_VALUES) return ft_world_reduce(comm, r->op, r->values, r->count);
  const int64_t most = (int64_t)(FT_PIECE_BYTES / sizeof(int64_t));
  for (int64_t at = 0; at < r->count; at += most) {
    MPI_Request request;
    ft_mpi_check(comm,
                 MPI_Iallreduce(MPI_IN_PLACE, r->values + at, (int)FT_MIN(most, r->count - at),
                                MPI_INT64_T, ops[r->op], comm->lane->world, &request),
                 "MPI_Iallreduce");
    if (!finish(comm, &request)) return false;
  }
  return true;
}

static ft_err reduce(ft_comm *comm, ft_reduce op, int64_t *values, int64_t count) {
  if (comm->size == 1 || count == 0) return FT_OK;
  size_t bytes = (size_t)count * sizeof *values;
  reduction *r = call_alloc(comm, sizeof *r + bytes, "allreduce");
  r->op = op;
  r->count = count;
  memcpy(r->values, values, bytes);
  ft_err err = ft_queue_call(comm, "allreduce", run_reduction, r);
  if (err != FT_OK) return err;
  memcpy(values, r->values, bytes);
  ft_free(r);
  return FT_OK;
}

ft_err ft_comm_sum_i64(ft_comm *comm, int64_t *values, int64_t count) {
  return reduce(comm, FT_REDUCE_SUM, values, count);
}

/* In halves, so that no sum of signed numbers overflows. */
ft_err ft_comm_sum_u64(ft_comm *comm, uint64_t *values, int64_t count) {
  enum { PIECE = 64 };
  for (int64_t at = 0; at < count; at += PIECE) {
    int64_t halves[2 * PIECE], n = FT_MIN((int64_t)PIECE, count - at);
    for (int64_t i = 0; i < n; i++) {
      halves[2 * i] = (int64_t)(values[at + i] & 0xffffffffu);
      halves[2 * i + 1] = (int64_t)(values[at + i] >> 32);
    }
    ft_err err = ft_comm_sum_i64(comm, halves, 2 * n);
    if (err != FT_OK) return err;
    for (int64_t i = 0; i < n; i++)
      values[at + i] = (uint64_t)halves[2 * i] + ((uint64_t)halves[2 * i + 1] << 32);
  }
  return FT_OK;
}

ft_err ft_comm_max_i64(ft_comm *comm, int64_t *values, int64_t count) {
  return reduce(comm, FT_REDUCE_MAX, values, count);
}

/* ---------------------------------------------------------------- agreement on errors */

enum { MESSAGE_BYTES = 8192 };

typedef struct agreement {
  int64_t lowest; /* failing rank; the number of ranks: none */
  int64_t others; /* -1: some rank did not fail */
  struct {
    int32_t code;
    char host[64], message[MESSAGE_BYTES];
  } error;
} agreement;

static bool run_agreement(ft_comm *comm, void *arg) {
  agreement *a = arg;
  int64_t least[] = {a->lowest, a->others};
  if (!ft_world_reduce(comm, FT_REDUCE_MIN, least, FT_ARRAY_SIZE(least))) return false;
  a->lowest = least[0];
  a->others = least[1];
  if (a->lowest == comm->size) return true;
  MPI_Request request;
  ft_mpi_check(comm,
               MPI_Ibcast(&a->error, (int)sizeof a->error, MPI_BYTE, (int)a->lowest,
                          comm->lane->world, &request),
               "MPI_Ibcast");
  return finish(comm, &request);
}

ft_err ft_comm_agree(ft_comm *comm, ft_err mine) {
  if (comm->size == 1) return mine;
  agreement *a = call_alloc(comm, sizeof *a, "agreement");
  a->lowest = mine == FT_OK ? comm->size : comm->rank;
  a->others = mine == FT_OK ? -1 : 0;
  a->error.code = (int32_t)mine;
  snprintf(a->error.host, sizeof a->error.host, "%.63s", comm->host);
  if (mine != FT_OK) snprintf(a->error.message, sizeof a->error.message, "%s", ft_error_message());
  ft_err err = ft_queue_call(comm, "agreement", run_agreement, a);
  if (err != FT_OK) return err;
  if (a->lowest < comm->size) err = ft_fail((ft_err)a->error.code, "%s", a->error.message);
  if (a->others < 0 && (a->lowest > 0 || comm->nodes.num_nodes > 1) && err != FT_OK)
    (void)ft_fail_prefix(err, "rank %lld (host %s)", (long long)a->lowest, a->error.host);
  ft_free(a);
  return err;
}

/* ---------------------------------------------------------------- gather */

typedef struct sizes_gather {
  int root;
  uint64_t mine, *all; /* all: on root */
} sizes_gather;

static bool run_sizes_gather(ft_comm *comm, void *arg) {
  sizes_gather *g = arg;
  MPI_Request request;
  ft_mpi_check(comm,
               MPI_Igather(&g->mine, 1, MPI_UINT64_T, g->all, 1, MPI_UINT64_T, g->root,
                           comm->lane->world, &request),
               "MPI_Igather");
  return finish(comm, &request);
}

/* On root: room for everything, this rank's part in place, and a receive for each other part. */
static ft_err prepare_root(ft_comm *comm, const void *data, size_t bytes, const uint64_t *all,
                           void **out, size_t *sizes, ft_message **receives) {
  ft_err err = FT_OK;
  uint64_t total = 0;
  for (int r = 0; r < comm->size; r++) {
    FT_CHECK(all[r] <= SIZE_MAX / 4 - total, FT_ERR_MEMORY, "cannot gather %llu bytes of rank %d",
             (unsigned long long)all[r], r);
    total += all[r];
  }
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, comm->size, sizeof(ft_message), (void **)receives));
  FT_TRY(ft_alloc(FT_MEM_OTHER, (size_t)total, out));
  char *at = *out;
  for (int r = 0, n = 0; r < comm->size; r++) {
    size_t part = (size_t)all[r];
    if (sizes) sizes[r] = part;
    if (r != comm->rank)
      (*receives)[n++] = (ft_message){.peer = r, .data = at, .bytes = part};
    else if (bytes > 0)
      memcpy(at, data, bytes);
    at += part;
  }
out:
  return err;
}

ft_err ft_comm_gather(ft_comm *comm, int root, const void *data, size_t bytes, void **out,
                      size_t *sizes) {
  FT_ASSERT(root >= 0 && root < comm->size);
  ft_err err = FT_OK;
  bool is_root = comm->rank == root;
  uint64_t *all = NULL;
  ft_message *receives = NULL;
  sizes_gather *g = call_alloc(comm, sizeof *g, "gather");
  *out = NULL;
  if (is_root) err = ft_alloc_array(FT_MEM_OTHER, comm->size, sizeof(uint64_t), (void **)&all);
  FT_TRY(ft_comm_agree(comm, err));
  *g = (sizes_gather){.root = root, .mine = bytes, .all = all};
  FT_TRY(ft_queue_call(comm, "gather of sizes", run_sizes_gather, g));
  if (is_root) err = prepare_root(comm, data, bytes, all, out, sizes, &receives);
  FT_TRY(ft_comm_agree(comm, err));

  ft_message mine = {.peer = root, .data = (void *)(uintptr_t)data, .bytes = bytes};
  ft_exchange exchange = {.name = "gather of data",
                          .block = -1,
                          .sends = &mine,
                          .num_sends = is_root ? 0 : 1,
                          .receives = receives,
                          .num_receives = is_root ? comm->size - 1 : 0};
  FT_TRY(ft_comm_wait(comm, ft_comm_exchange(comm, &exchange)));
out: /* after a stop, ft_free frees nothing */
  ft_free(g);
  ft_free(all);
  ft_free(receives);
  if (err != FT_OK) {
    ft_free(*out);
    *out = NULL;
  }
  return err;
}
