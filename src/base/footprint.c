/* Where ranks stand that do not exist yet. */
#include "ft/base_footprint.h"

ft_placement ft_placement_regular(int size, int ranks_per_node, int place) {
  FT_ASSERT(ranks_per_node > 0 && place >= 0 && place < size);
  int full = size / ranks_per_node, rest = size % ranks_per_node, node = place / ranks_per_node;
  ft_placement p = {.size = size,
                    .place = place,
                    .num_nodes = full + (rest > 0),
                    .node_size = node < full ? ranks_per_node : rest,
                    .node_rank = place % ranks_per_node};
  for (int other = 0; other < p.num_nodes; other++) {
    int members = other < full ? ranks_per_node : rest;
    if (other == node || p.node_rank >= members) continue;
    p.num_feeders += (members - 1 - p.node_rank) / p.node_size + 1;
  }
  return p;
}
