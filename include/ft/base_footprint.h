/* base, what a part of the program takes of memory: what it would allocate, told before it does.
 * Each module that allocates much states its own, from what its allocation reads. */
#ifndef FT_BASE_FOOTPRINT_H
#define FT_BASE_FOOTPRINT_H

#include "ft/base.h"

/* Bytes by owner: of one rank, and of what its node has once. */
typedef struct ft_footprint {
  int64_t rank[FT_MEM_NUM_OWNERS], node[FT_MEM_NUM_OWNERS];
} ft_footprint;

/* Adds what `from` has to `to`. */
static inline void ft_footprint_add(ft_footprint *to, const ft_footprint *from) {
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++) {
    to->rank[owner] += from->rank[owner];
    to->node[owner] += from->node[owner];
  }
}

/* Where a rank stands among all, who are numbered node by node. */
typedef struct ft_placement {
  int size, place;          /* all ranks; this one in order of nodes */
  int num_nodes, node_size; /* nodes; ranks of this one's node */
  int node_rank;            /* this one there */
  int num_feeders;          /* ranks of other nodes with this one's index, which is taken modulo
                               node_size where their node has more ranks */
} ft_placement;

/* Of rank `place` of `size` where each node has `ranks_per_node`, and the last what is left. */
ft_placement ft_placement_regular(int size, int ranks_per_node, int place);

#endif
