/* The messages of an exchange, counted in the pieces that one MPI call moves. No MPI. */
#include "comm_internal.h"

int64_t ft_message_pieces(const ft_message *messages, int64_t count) {
  int64_t pieces = 0;
  for (int64_t i = 0; i < count; i++)
    pieces += (int64_t)((messages[i].bytes + FT_PIECE_BYTES - 1) / FT_PIECE_BYTES);
  return pieces;
}

int ft_exchange_peer(const ft_exchange *exchange, int64_t index) {
  const ft_message *lists[] = {exchange->receives, exchange->sends};
  const int64_t counts[] = {exchange->num_receives, exchange->num_sends};
  for (int k = 0; k < 2; k++)
    for (int64_t i = 0; i < counts[k]; i++) {
      index -= ft_message_pieces(&lists[k][i], 1);
      if (index < 0) return lists[k][i].peer;
    }
  return -1;
}
