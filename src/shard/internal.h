/* What the files of shard share: the parts of a block, the slots of gathered weights, the buffers
 * of gradients. partition.c cuts, footprint.c sizes, shard.c owns the memory, frozen.c keeps what
 * nobody trains, round.c rounds, wait.c waits for others, weights.c gathers, gradient.c reduces,
 * digest.c makes norms and checksums. */
#ifndef FT_SHARD_INTERNAL_H
#define FT_SHARD_INTERNAL_H

#include "ft/kernels.h"
#include "ft/shard.h"

enum { MAX_STATES = 16, MAX_SLOTS = 5, NUM_SEND_BUFFERS = 2 };

/* ---------------------------------------------------------------- partition */

/* The block's pieces in flat order (local: 0), written to `out` unless it is NULL. Each is a
 * multiple of FT_TENSOR_ALIGN. Returns their number. */
int64_t ft_shard_cut_pieces(const ft_block *block, int64_t piece_elements, ft_range *out);
/* The slice of `place` among `size` (local: 0): flat elements of the block; count may be 0. */
ft_range ft_shard_piece_slice(const ft_range *piece, int place, int size);

/* A block and what this rank has of it. */
typedef struct part {
  const ft_block *block; /* borrowed */
  bool trained;          /* has master weights, gradient sums and states */
  bool coded;            /* some of its tensors are kept in codes */
  int64_t num_pieces;
  ft_range *pieces;      /* [num_pieces] */
  ft_range *slices;      /* [num_pieces] this rank's, empty ones too */
  int64_t *first_chunk;  /* [num_pieces] number of a slice's first chunk among this rank's */
  ft_range *owned;       /* [num_owned] the same without the empty ones */
  ft_range *kept_ranges; /* [num_kept_ranges] */
  ft_range *converted;   /* [num_converted] what this rank rounds or decodes for its node */
  int64_t num_owned, num_kept_ranges, num_converted;
  int64_t kept;          /* elements this rank keeps */
  int64_t kept_offset;   /* of a trained block: where they begin in arrays over all of these */
  int64_t full_offset;   /* … and where the block begins in the node's full copy */
  int64_t frozen_offset; /* of a frozen one: bytes from ft_shard.frozen on */
} part;

/* ---------------------------------------------------------------- exchanges */

typedef struct messages {
  ft_message *items; /* [capacity] */
  int64_t count, capacity;
} messages;

/* Appends a message; one without bytes is left out, as it is on the other side. */
void ft_shard_messages_add(messages *list, int peer, void *data, int64_t bytes);

/* Room for one block's gathered weights, and what the gather in flight borrows. */
typedef struct slot {
  ft_shard *shard;
  int64_t block;   /* -1: none */
  char *data;      /* [block's elements] in the compute type, shared by the node */
  int num_holders; /* acquired and not yet released */
  uint64_t used;   /* when it was last wanted */
  ft_request *request;
  messages sends, receives;
} slot;

/* A piece's contribution on its way to the owners. */
typedef struct reduction {
  ft_shard *shard;
  int index; /* which of a rank's send buffers */
  int64_t block, piece;
  int contributors;
  int64_t first_contribution;
  bool last_round; /* the sums are complete with it */
  char *data;      /* [largest piece] this rank's send buffer, in the compute type */
  ft_request *request;
  messages sends, receives;
} reduction;

typedef struct state {
  ft_state_info info;
  char *data; /* [kept elements of all blocks / group_elements] */
} state;

/* ---------------------------------------------------------------- the shard */

/* Of arrays and windows; 0 where there is none. */
typedef struct array_bytes {
  size_t gradient, chunk_sums, receive; /* this rank's */
  size_t slots, full, send;             /* the node's */
} array_bytes;

struct ft_shard {
  ft_comm *comm;           /* borrowed */
  const ft_layout *layout; /* borrowed */
  ft_shard_options options;
  size_t element_bytes; /* of the compute type */
  int64_t version;      /* updates behind the weights */

  int rank, size, node, node_rank, node_size, num_nodes;
  int my_place;    /* in node order */
  int *rank_at;    /* [size] by slot */
  int *node_index; /* [size] by rank: its index on its node */
  int *feeders;    /* [num_feeders] places of remote ranks that send this one weights */
  int num_feeders;

  int64_t num_blocks;
  part *parts;                          /* [num_blocks] */
  int64_t kept_elements;                /* that this rank keeps of all trained blocks */
  int64_t frozen_bytes;                 /* of all frozen ones: this rank's or its node's */
  bool has_frozen;                      /* some block is frozen */
  bool frozen_is_spread;                /* stages 0 to 2: nodes have each other's frozen weights */
  int64_t full_elements;                /* of all trained blocks, whole */
  int64_t largest_block;                /* elements of the largest that is gathered */
  int64_t largest_piece, largest_slice; /* of trained blocks; the slice is this rank's */
  int64_t most_pieces;                  /* of a block */
  int64_t own_chunks;                   /* of all blocks */
  int64_t most_gather_sends, most_gather_receives; /* messages of a gather */
  int64_t most_reduction_messages;                 /* of a piece on its way, each way */
  array_bytes bytes;

  int num_states;
  state states[MAX_STATES];
  char *gradient; /* [kept_elements] of options.gradient */
  char *frozen;   /* [frozen_bytes] stage 3: this rank's; otherwise its node's */

  ft_window *frozen_window;  /* stages 0 to 2 */
  ft_window *weights_window; /* the slots, and in stages 0 to 2 the full copy of what is trained */
  char *full;                /* the full copy */
  ft_window *send_window;    /* [node_size][NUM_SEND_BUFFERS][largest_piece] */
  size_t send_buffer_bytes;  /* of one */
  char *receive_buffer;      /* contributions of remote ranks to this rank's slice of one piece */

  slot slots[MAX_SLOTS];
  int num_slots;
  char *slot_memory;    /* [num_slots][largest_block] of the compute type */
  uint64_t clock;       /* counts acquires */
  const int64_t *order; /* [num_order] of the pass; borrowed */
  int64_t num_order, next_in_order;

  reduction reductions[NUM_SEND_BUFFERS];
  int turn;                   /* the send buffer that comes next; the same on all ranks */
  int contributors;           /* of this round */
  int64_t first_contribution; /* of this round: micro-batches of earlier ones in this step */
  int64_t num_contributions;  /* of the step */
  int64_t open_block, open_piece;
  ft_bad_number *bad; /* where a number that is not finite is noted; NULL: nobody looks */
  int next_tensor;    /* what gradient_rows is asked for next */
  int64_t next_row;

  double *chunk_sums; /* [own_chunks] sums of squares of the gradient */
  size_t *sizes;      /* [size] scratch of rank 0's combining */
};

static inline bool on_my_node(const ft_shard *s, int rank) {
  return ft_comm_node_of(s->comm, rank) == s->node;
}

/* Nobody is waited for: the compute threads then do what the communication thread would, which
 * would take a core from one of them while the others wait. */
static inline bool is_alone(const ft_shard *s) {
  return s->size == 1;
}

static inline size_t gradient_bytes(const ft_shard *s) {
  return ft_dtype_bytes(s->options.gradient);
}
/* Kept element `local` of a block in the gradient sums. */
static inline char *gradient_at(const ft_shard *s, const part *b, int64_t local) {
  return s->gradient + (size_t)(b->kept_offset + local) * gradient_bytes(s);
}
/* Kept element `local` of a block in the arrays of the master weights; low may be NULL. */
static inline void master_at(const ft_shard *s, const part *b, int64_t local, char **w,
                             uint8_t **low) {
  int64_t element = b->kept_offset + local;
  *w = s->states[0].data + (size_t)element * s->states[0].info.group_bytes;
  *low = ft_master_low_bytes(s->options.master) ? (uint8_t *)s->states[1].data + element : NULL;
}
/* Values of kept elements of a block's master weights. */
static inline void read_master(const ft_shard *s, const part *b, int64_t local, int64_t count,
                               float *out) {
  char *w;
  uint8_t *low;
  master_at(s, b, local, &w, &low);
  ft_master_read(s->options.master, w, low, count, out);
}

/* Whether the block is gathered into a slot; otherwise its node has all of it ready for reading: in
 * stages 0 to 2, and what a rank that is alone keeps of frozen ones, in flat order. */
static inline bool is_gathered(const ft_shard *s, const part *b) {
  return b->coded || (s->options.stage == 3 && (b->trained || !is_alone(s)));
}

/* ---------------------------------------------------------------- footprint.c */

ft_shard_options ft_shard_with_defaults(const ft_shard_options *options);
/* Ranges of every block and the bytes of every array, from layout, options and where the rank
 * stands. ft_shard_forget_layout frees what it has made, after an error too. */
ft_err ft_shard_lay_out(ft_shard *s);
void ft_shard_forget_layout(ft_shard *s);
/* The states that master weights are kept in; out [2]. Returns how many. */
int ft_shard_master_states(ft_master kind, ft_state_info *out);
/* Of a state's array over all that this rank keeps. */
size_t ft_shard_state_bytes(const ft_shard *s, const ft_state_info *info);

/* state.c: allocates (zeroed) and registers a state over all kept elements. Not collective. */
ft_err ft_shard_new_state(ft_shard *s, ft_owner owner, const ft_state_info *info);

/* ---------------------------------------------------------------- frozen.c */

/* Where flat element `flat` of a frozen block is kept, in bytes from where the block begins if all
 * of it is kept; a multiple of FT_TENSOR_ALIGN, or the end. */
int64_t ft_shard_frozen_at(const ft_shard *s, const ft_block *block, int64_t flat);
/* What this rank (stage 3) or its node keeps of a frozen block. */
int64_t ft_shard_frozen_bytes(const ft_shard *s, const part *b);
/* Sets elements that this rank owns, as ft_shard_set_weights does. */
void ft_shard_frozen_write(ft_shard *s, int64_t block, int64_t start, int64_t count,
                           const float *values);
/* Elements start … in the compute type; of what this rank owns, or (stages 0 to 2) of any. start is
 * a multiple of FT_TENSOR_ALIGN. */
void ft_shard_frozen_read(const ft_shard *s, int64_t block, int64_t start, int64_t count,
                          void *out);

/* ---------------------------------------------------------------- small helpers */

/* With this round the step's sums are complete. */
static inline bool sums_are_complete(const ft_shard *s) {
  return s->first_contribution + s->contributors == s->num_contributions;
}
/* digest.c: sum of squares of `count` gradient sums, at most FT_CHUNK. */
double ft_shard_square_sums(const ft_shard *s, const void *sums, int64_t count);

/* wait.c: waits for a request and forgets it. Errors: FT_ERR_STOPPED, from then on always (requests
 * in flight still borrow our memory). */
ft_err ft_shard_wait_for(ft_shard *s, ft_request **request);
/* weights.c: no slot has a block, or is waited for. */
void ft_shard_empty_slots(ft_shard *s);
/* Waits for every gather in flight. */
ft_err ft_shard_finish_gathers(ft_shard *s);
/* bad.c: looks at this rank's contribution to a piece, before it leaves. */
void ft_shard_look_at_piece(ft_shard *s, const reduction *r);
/* A barrier of the node's ranks, in the queue's order. */
ft_err ft_shard_node_barrier(ft_shard *s);

#endif
