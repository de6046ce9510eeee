/* Which rank is on which node: tables from one number a rank. No MPI. */
#include "comm_internal.h"

ft_err ft_nodes_init(ft_nodes *nodes, int size, const int *leaders) {
  ft_err err = FT_OK;
  *nodes = (ft_nodes){.size = size};
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, size, sizeof(int), (void **)&nodes->node_of));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, size, sizeof(int), (void **)&nodes->index_of));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, (int64_t)size + 1, sizeof(int), (void **)&nodes->first));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, size, sizeof(int), (void **)&nodes->members));

  /* a leader comes before its node's other ranks, so its node is numbered when they ask for it */
  for (int r = 0; r < size; r++) {
    FT_ASSERT(leaders[r] >= 0 && leaders[r] <= r && leaders[leaders[r]] == leaders[r]);
    int node = leaders[r] == r ? nodes->num_nodes++ : nodes->node_of[leaders[r]];
    nodes->node_of[r] = node;
    nodes->index_of[r] = nodes->first[node + 1]++; /* sizes, added up below */
  }
  for (int n = 0; n < nodes->num_nodes; n++)
    nodes->first[n + 1] += nodes->first[n];
  for (int r = 0; r < size; r++)
    nodes->members[nodes->first[nodes->node_of[r]] + nodes->index_of[r]] = r;
out:
  if (err != FT_OK) ft_nodes_fini(nodes);
  return err;
}

void ft_nodes_fini(ft_nodes *nodes) {
  ft_free(nodes->node_of);
  ft_free(nodes->index_of);
  ft_free(nodes->first);
  ft_free(nodes->members);
  *nodes = (ft_nodes){0};
}

int ft_fake_node(int rank, int size, long k) {
  FT_ASSERT(k != 0);
  if (k > 0) return (int)(rank / k);
  return (int)(rank % ft_ceil_div(size, -k));
}

int ft_comm_rank(const ft_comm *comm) {
  return comm->rank;
}

int ft_comm_size(const ft_comm *comm) {
  return comm->size;
}

int ft_comm_num_nodes(const ft_comm *comm) {
  return comm->nodes.num_nodes;
}

int ft_comm_node(const ft_comm *comm) {
  return comm->nodes.node_of[comm->rank];
}

int ft_comm_node_rank(const ft_comm *comm) {
  return comm->nodes.index_of[comm->rank];
}

int ft_comm_node_size(const ft_comm *comm, int node) {
  FT_ASSERT(node >= 0 && node < comm->nodes.num_nodes);
  return comm->nodes.first[node + 1] - comm->nodes.first[node];
}

int ft_comm_node_member(const ft_comm *comm, int node, int index) {
  FT_ASSERT(index >= 0 && index < ft_comm_node_size(comm, node));
  return comm->nodes.members[comm->nodes.first[node] + index];
}

int ft_comm_node_of(const ft_comm *comm, int rank) {
  FT_ASSERT(rank >= 0 && rank < comm->size);
  return comm->nodes.node_of[rank];
}

const char *ft_comm_host(const ft_comm *comm) {
  return comm->host;
}
