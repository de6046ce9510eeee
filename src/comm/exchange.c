/* Exchanges: all messages of one step of the queue at once.
 *
 * Messages between two ranks match in order, because MPI keeps the order of messages with one tag.
 * The tag is the exchange's number, so that a fast peer's next exchange never meets this one. */
#include "comm_internal.h"

static void make_room(ft_comm *comm, int64_t pieces) {
  if (pieces <= comm->pending_capacity) return;
  int64_t capacity = FT_MAX(pieces, 2 * comm->pending_capacity);
  ft_free(comm->pending);
  ft_free(comm->statuses);
  comm->pending_capacity = capacity;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, capacity, sizeof(MPI_Request), (void **)&comm->pending);
  if (err == FT_OK)
    err = ft_alloc_array(FT_MEM_OTHER, capacity, sizeof(MPI_Status), (void **)&comm->statuses);
  if (err != FT_OK) ft_current_failed(comm, err);
}

typedef int start_call(void *data, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm,
                       MPI_Request *request);

static int start_send(void *data, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm,
                      MPI_Request *request) {
  return MPI_Isend(data, count, type, peer, tag, comm, request);
}

/* Starts all pieces of the messages; returns where the next request goes. */
static MPI_Request *start(ft_comm *comm, const ft_message *messages, int64_t count, int tag,
                          start_call *call, const char *call_name, MPI_Request *request) {
  for (int64_t i = 0; i < count; i++) {
    const ft_message *m = &messages[i];
    FT_ASSERT(m->peer >= 0 && m->peer < comm->size && m->peer != comm->rank);
    for (size_t at = 0; at < m->bytes; at += FT_PIECE_BYTES) {
      int bytes = (int)FT_MIN(FT_PIECE_BYTES, m->bytes - at);
      ft_mpi_check(comm,
                   call((char *)m->data + at, bytes, MPI_BYTE, m->peer, tag, comm->lane->messages,
                        request++),
                   call_name);
    }
  }
  return request;
}

/* A message of another size than this side expected means that the ranks do not agree on what they
 * exchange: a bug, and whatever was received is wrong. */
static void check_sizes(ft_comm *comm, const ft_exchange *exchange) {
  const MPI_Status *status = comm->statuses;
  for (int64_t i = 0; i < exchange->num_receives; i++) {
    const ft_message *m = &exchange->receives[i];
    for (size_t at = 0; at < m->bytes; at += FT_PIECE_BYTES) {
      int expected = (int)FT_MIN(FT_PIECE_BYTES, m->bytes - at), found = 0;
      ft_mpi_check(comm, MPI_Get_count(status++, MPI_BYTE, &found), "MPI_Get_count");
      if (found != expected)
        ft_current_failed(comm,
                          ft_fail(FT_ERR_INTERNAL, "rank %d sent %d bytes where %d were expected",
                                  m->peer, found, expected));
    }
  }
}

static bool run_exchange(ft_comm *comm, void *arg) {
  const ft_exchange *exchange = arg;
  int tag = (int)(comm->exchange_number++ & (uint64_t)comm->largest_tag);
  if (exchange->barrier_before && !ft_node_barrier(comm)) return false;
  if (exchange->prepare) exchange->prepare(exchange->arg);

  make_room(comm, ft_message_pieces(exchange->receives, exchange->num_receives) +
                      ft_message_pieces(exchange->sends, exchange->num_sends));
  MPI_Request *end = start(comm, exchange->receives, exchange->num_receives, tag, MPI_Irecv,
                           "MPI_Irecv", comm->pending);
  end = start(comm, exchange->sends, exchange->num_sends, tag, start_send, "MPI_Isend", end);
  if (!ft_progress(comm, end - comm->pending, comm->pending, comm->statuses)) return false;
  check_sizes(comm, exchange);

  if (exchange->complete) exchange->complete(exchange->arg);
  return !exchange->barrier_after || ft_node_barrier(comm);
}

ft_request *ft_comm_exchange(ft_comm *comm, const ft_exchange *exchange) {
  ft_request *request = ft_queue_request(comm, exchange->name);
  request->name = exchange->name;
  request->block = exchange->block;
  request->exchange = *exchange;
  request->run = run_exchange;
  request->arg = &request->exchange;
  ft_queue_post(comm, request);
  return request;
}
