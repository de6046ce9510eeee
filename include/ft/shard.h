/* shard: ZeRO. The flat blocks of a model, exactly partitioned over the ranks; weights gathered
 * block by block into node-shared memory; gradients brought to their owners in order of
 * micro-batch.
 *
 * A block's flat array (arch.h) is cut into PIECES of whole tensors or whole rows of one tensor, at
 * most piece_elements long and each a multiple of FT_TENSOR_ALIGN; a piece into CHUNKS of 4096
 * elements counted from its start (the last may be shorter); and its chunks among the N ranks: rank
 * r's SLICE is chunks ⌊C·p/N⌋ … ⌊C·(p+1)/N⌋-1, where p is r's place in node order (it may be
 * empty). Pieces and chunks depend on shapes alone, never on N: sums over chunks in global order
 * are the same anywhere.
 *
 * The owner of a slice of a trained block keeps master weights, the registered states and a
 * gradient accumulator, each in f32 or in fewer bytes (kernels_packed.h). Frozen blocks (layout.h;
 * all of them, without training) have none of these: their weights are kept in the compute type
 * only, or their matrices in codes (ft_tensor.storage). Stage 3 gathers a block's weights when it
 * is acquired; stage 2 (and 1) keeps a full copy a node; stage 0 keeps what is trained on every
 * rank. What is in codes is decoded when it is acquired: in stage 3 each slice by its owner,
 * otherwise by the ranks of a node from the codes that the node has once.
 *
 * Everything here is called by one thread of a rank. Element indices are int64_t. */
#ifndef FT_SHARD_H
#define FT_SHARD_H

#include "ft/base_footprint.h"
#include "ft/comm.h"
#include "ft/kernels_packed.h"
#include "ft/arch_layout.h"

enum { FT_CHUNK = 4096 };

typedef struct ft_shard ft_shard;

typedef struct ft_shard_options {
  int stage;                /* 0 … 3; without training, 0 is the same as 2 */
  bool training;            /* false: every block is frozen */
  bool stochastic_rounding; /* how f32 weights become bf16 ones; otherwise to nearest even */
  uint64_t seed;            /* of every rounding by random numbers */
  ft_dtype compute;       /* FT_BF16 or FT_F32: of gathered weights and of gradient contributions */
  ft_master master;       /* how master weights are kept */
  ft_dtype gradient;      /* of the accumulator: FT_F32, or FT_BF16 with stochastic rounding */
  int64_t piece_elements; /* 0: 64 Mi (bf16) or 32 Mi (f32); tests set small ones */
} ft_shard_options;

/* A run of owned elements: flat elements start … start+count-1 of the block are elements local …
 * local+count-1 of this rank's arrays of that block. */
typedef struct ft_range {
  int64_t start, count, local;
} ft_range;

/* ---------------------------------------------------------------- life */

/* Allocates slices, windows and buffers (all memory of a run that shard will ever take) for the
 * blocks of a layout, which is borrowed. Collective over all ranks. Errors (agreed): FT_ERR_MEMORY,
 * FT_ERR_CONFIG. */
ft_err ft_shard_new(ft_comm *comm, const ft_layout *layout, const ft_shard_options *options,
                    ft_shard **out);
/* Collective over all ranks. NULL is legal. Once the job stops it frees nothing: exchanges in
 * flight borrow its memory until the process ends. */
void ft_shard_free(ft_shard *shard);
/* FT_ERR_STOPPED once the job has stopped in the middle of a step; cheap: whoever computes long
 * looks between kernels. Not collective. */
ft_err ft_shard_check(const ft_shard *shard);
/* The ranks it is spread over; borrowed. */
ft_comm *ft_shard_comm(const ft_shard *shard);

/* ---------------------------------------------------------------- the partition (not collective)
 */

const ft_layout *ft_shard_layout(const ft_shard *shard);
int64_t ft_shard_num_blocks(const ft_shard *shard);
const ft_block *ft_shard_block(const ft_shard *shard, int64_t block);
/* Whether the block has master weights, gradient and states here: it is trained, and this is a
 * training shard. */
bool ft_shard_is_trained(const ft_shard *shard, int64_t block);
/* This rank's ranges of a block (by stage ≥ 1 partition: what it owns, each element owned once over
 * all ranks). *num may be 0. */
const ft_range *ft_shard_ranges(const ft_shard *shard, int64_t block, int64_t *num);
/* Elements this rank KEEPS of a block: its slices, or with stage 0 the whole of a trained block.
 * Arrays below have this many. */
int64_t ft_shard_kept(const ft_shard *shard, int64_t block);
/* The ranges kept, in flat order: as ft_shard_ranges, or with stage 0 pieces covering the whole
 * block. With stage 0 the owned ranges' `local` index into the kept arrays too. */
const ft_range *ft_shard_kept_ranges(const ft_shard *shard, int64_t block, int64_t *num);

/* The pure function behind: ranges of `rank`'s slices of a block for any layout; tests and the
 * planner call it. place: position in node order (= rank when ranks are numbered node by node);
 * ranges has room for ft_partition_num_pieces. Returns how many ranges it wrote (empty ones are
 * left out). */
int64_t ft_partition_num_pieces(const ft_block *block, int64_t piece_elements);
int64_t ft_partition(const ft_block *block, int64_t piece_elements, int place, int size,
                     ft_range *ranges);

/* ---------------------------------------------------------------- registered state
 * "master" is state 0 of a training shard: f32, or the upper 16 bits; with FT_MASTER_BF16_8 state 1
 * is "master.low", 8 more bits. Others are registered by whoever needs them (optim), before the
 * first step, the same on every rank. The checkpoint saves and restores exactly these.
 */

typedef struct ft_state_info {
  const char *name;       /* "master", "m", "v" … ; a literal; names the dataset */
  int64_t group_elements; /* one entry per this many elements: 1, or a divisor of 256 (scales of
                             blocks) */
  size_t group_bytes;     /* bytes of an entry */
} ft_state_info;

/* What ft_shard_new and ft_shard_add_state of `states` [num_states] allocate on a rank that stands
 * at `at`, without MPI: of large arrays and lists of messages, to the byte. Not collective. Errors:
 * FT_ERR_MEMORY. */
ft_err ft_shard_footprint(const ft_layout *layout, const ft_shard_options *options,
                          const ft_placement *at, const ft_state_info *states, int num_states,
                          ft_footprint *out);

/* Bytes of a checkpoint's states, of all ranks together: masters and `states` [num_states] of all
 * that is trained. Not collective. */
int64_t ft_shard_saved_bytes(const ft_layout *layout, ft_master master, const ft_state_info *states,
                             int num_states);

/* Registers and allocates (zeroed) a state over all kept elements. *index names it from then on.
 * Collective over all ranks. Errors (agreed): FT_ERR_MEMORY. */
ft_err ft_shard_add_state(ft_shard *shard, const ft_state_info *info, int *index);
int ft_shard_num_states(const ft_shard *shard);
const ft_state_info *ft_shard_state_info(const ft_shard *shard, int index);
/* The state's array of a trained block: entry e covers kept elements e·group_elements … */
void *ft_shard_state(ft_shard *shard, int index, int64_t block);

/* f32 master weights [kept] (options.master is FT_MASTER_F32). NULL of a frozen block. */
float *ft_shard_master(ft_shard *shard, int64_t block);
/* The master weights of a trained block as they are kept [kept], low NULL where there is no such
 * array. */
void ft_shard_master_arrays(ft_shard *shard, int64_t block, void **w, uint8_t **low);
/* Gradient sums of a trained block [kept]; complete after ft_shard_reduce_finish. f32
 * (options.gradient is FT_F32), or of whatever type options.gradient is. */
float *ft_shard_gradient(ft_shard *shard, int64_t block);
const void *ft_shard_gradient_array(const ft_shard *shard, int64_t block);
const ft_shard_options *ft_shard_options_of(const ft_shard *shard);

/* Sets owned elements from f32: flat elements start … start+count-1 of the block, all inside one
 * kept range: to the master (to the nearest value that it can keep), or of a frozen block (rounded)
 * to where the compute weights are kept: then nobody of the node may still read them, and of a
 * tensor in codes it is whole packets (FT_CODE_ELEMENTS), or up to its end. What a training has
 * frozen is set once, before the first ft_shard_weights_changed. Import uses it. Not collective. */
void ft_shard_set_weights(ft_shard *shard, int64_t block, int64_t start, int64_t count,
                          const float *values);
/* How many updates are behind the weights: names the random numbers of their rounding. 0 at first;
 * to be set before the weights are set or ft_shard_weights_changed is called. Not collective. */
void ft_shard_set_version(ft_shard *shard, int64_t updates);
/* Flat elements start … of a block, rounded to the compute type as gathered weights after
 * `updates` are: a pure function. Not collective. */
void ft_shard_round_weights(const ft_shard_options *options, int64_t updates, int64_t block,
                            int64_t start, int64_t count, const float *in, void *out);

/* After all ranks have set what they own of the weights and states (ft_shard_ranges): stage 0
 * brings it to every rank, so that nobody reads what another has read; other stages have nothing to
 * do. Collective over all ranks. Errors: FT_ERR_STOPPED. */
ft_err ft_shard_spread(ft_shard *shard);

/* After the weights were set or changed (import, restore, optimizer step): whatever is derived from
 * the master is made again (stages 0 to 2: the full copy; 3: nothing). Collective over all ranks.
 */
ft_err ft_shard_weights_changed(ft_shard *shard);

/* ---------------------------------------------------------------- weights
 * A pass tells once in which order it will acquire blocks; the gather of each begins when the one
 * before it is acquired, and hides behind compute. All ranks begin the same passes and acquire the
 * same blocks in the same order, also ranks that have nothing to compute. */

/* `order` [num] (borrowed until the next pass begins): every acquisition from now on. Not
 * collective, same values on every rank. */
void ft_shard_begin_pass(ft_shard *shard, const int64_t *order, int64_t num);
/* Lends the gathered weights of the block that comes next until release. A pass holds the blocks of
 * one unit at once, and beside the head's the embedding's where they are tied. Collective over all
 * ranks (asynchronously). Errors: FT_ERR_STOPPED. */
ft_err ft_shard_acquire(ft_shard *shard, int64_t block, const void **weights);
void ft_shard_release(ft_shard *shard, int64_t block);

/* ---------------------------------------------------------------- gradients */

/* Before a step: nothing has been added up yet, and contributions of `num_micro_batches` will be
 * (0: the gradient is zero). Not collective, same value on every rank. */
void ft_shard_begin_step(ft_shard *shard, int64_t num_micro_batches);
/* Before each round of micro-batches: ranks 0 … contributors-1 bring one contribution to every
 * block of this round, the others none. Not collective, same value on every rank. */
void ft_shard_round(ft_shard *shard, int contributors);

/* Opens the gradient of a block for this round; close sends what is left. Between them a
 * contributing rank fills the tensors in flat order: ft_shard_gradient_rows lends room for rows row
 * … row+*num_rows-1 of `tensor` (index in the block; the compute type, [num_rows, cols]
 * contiguous); ask again from row + *num_rows until the tensor's rows are done. The lent memory is
 * the caller's until its next call of rows or close. A finished piece leaves at once. No block is
 * acquired between open and close. All three: same order on all ranks; open and close are
 * collective over all ranks (asynchronously). Owners add contributions in order of rank, which
 * within a round is the order of micro-batches. Errors: FT_ERR_STOPPED. */
ft_err ft_shard_gradient_open(ft_shard *shard, int64_t block);
ft_err ft_shard_gradient_rows(ft_shard *shard, int tensor, int64_t row, int64_t *num_rows,
                              void **out);
ft_err ft_shard_gradient_close(ft_shard *shard);

/* Waits until every contribution of the step has been added (stage 0: and the sums are everywhere).
 * Collective over all ranks. Errors: FT_ERR_STOPPED. */
ft_err ft_shard_reduce_finish(ft_shard *shard);
/* √ of the sum of squares of all gradients, once all contributions are there: per chunk in double,
 * combined in global chunk order: the same on every rank and for every N. Not finite if any element
 * is not. Collective over all ranks. */
ft_err ft_shard_gradient_norm(ft_shard *shard, double *norm);
/* Sums of squares (not their roots) per tensor, same order rules, on every rank:
 * out[FT_MAX_BLOCK_TENSORS] of `block`. For tests and inspection. Collective over all ranks. */
ft_err ft_shard_tensor_gradient_norms(ft_shard *shard, int64_t block, double *out);

/* ---------------------------------------------------------------- numbers that went wrong */

/* A number that is not finite: where a pass of one micro-batch first had one. */
typedef struct ft_bad_number {
  bool found;
  int64_t block;
  int tensor;      /* index in the block, of a gradient; -1: the block's output */
  int64_t element; /* of the block's flat array, or of the output */
  double value;
} ft_bad_number;

/* From now on what this rank contributes is looked at, and *record (borrowed, cleared) gets the
 * first number that is not finite; NULL: no more looking, which is how it begins. Takes a pass over
 * all of it: for a step that is known to be bad. Not collective. */
void ft_shard_look_for_bad(ft_shard *shard, ft_bad_number *record);
/* The output of a block, for whoever computes it: does nothing unless looking. Not collective. */
void ft_shard_look_at_output(ft_shard *shard, int64_t block, ft_dtype type, const void *values,
                             int64_t count);

/* 64 bits over the values of all master (or frozen) weights, the same for any number of ranks and
 * any stage.
 * Collective over all ranks. */
ft_err ft_shard_checksum(ft_shard *shard, uint64_t *out);

#endif
