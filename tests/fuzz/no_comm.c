/* What readers that are shared with several ranks call of comm: never here. */
#include <stdlib.h>

#include "ft/comm.h"

int ft_comm_rank(const ft_comm *comm) {
  (void)comm;
  abort();
}

ft_err ft_comm_agree(ft_comm *comm, ft_err err) {
  (void)comm;
  (void)err;
  abort();
}

ft_err ft_comm_broadcast(ft_comm *comm, int root, void *data, size_t bytes) {
  (void)comm;
  (void)root;
  (void)data;
  (void)bytes;
  abort();
}
