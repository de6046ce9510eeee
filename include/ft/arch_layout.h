/* arch, the layout: the list of a run's blocks, made once from the description of a model and lent
 * to everyone (shard, model, hf, checkpoint, planner): which tensors lie together, where, and
 * whether they are trained. Partition, reduction, states and checkpoints know blocks, not models.
 *
 * Not collective, all of it. */
#ifndef FT_ARCH_LAYOUT_H
#define FT_ARCH_LAYOUT_H

#include "ft/arch_method.h"

/* A block: tensors in one flat array, in the order in which the backward pass finishes their
 * gradients; what is gathered, reduced and checkpointed as one. Trained or frozen as a whole. */
typedef struct ft_block {
  char name[32]; /* "embedding", "layer.0" …, "head", or with an ending; names datasets of a
                     checkpoint */
  ft_place place;
  int64_t layer;        /* FT_PLACE_LAYER; else -1 */
  bool trained;         /* false: no master weights, gradient or state */
  int64_t num_elements; /* of the flat array, padding included; a multiple of FT_TENSOR_ALIGN */
  int num_tensors;
  ft_tensor tensors[FT_MAX_BLOCK_TENSORS];
} ft_block;

/* The block's tensor of that role, or NULL. */
const ft_tensor *ft_block_tensor(const ft_block *block, ft_role role);

/* A number for each element of a model, which keys random numbers of rounding and checksums: no
 * block has 2^44 elements. */
static inline uint64_t ft_element_number(int64_t block, int64_t element) {
  return ((uint64_t)block << 44) + (uint64_t)element;
}

/* The blocks of one place: what a pass holds at once. At most one is frozen and one trained. */
typedef struct ft_unit {
  int64_t blocks[2]; /* their numbers, the frozen one first */
  int num_blocks;
} ft_unit;

/* Tensors that are trained at a rate or with a decay of their own. Negative: the run's. */
typedef struct ft_rate_group {
  double lr;           /* at the peak of the run's course */
  double weight_decay; /* of vectors too */
} ft_rate_group;

typedef struct ft_layout {
  ft_arch arch;
  ft_method method;
  double layer_decay;    /* 1: all units are trained at one rate */
  ft_rate_group *groups; /* [num_groups] owned; ft_tensor.group counts them from 1 */
  int64_t num_groups;
  int64_t num_blocks;
  ft_block *blocks; /* [num_blocks] owned */
  ft_unit embedding, head;
  ft_unit *layers; /* [arch.layers] owned */
} ft_layout;

/* The layout of a model: one block for the embedding, one a layer and one for the head, in this
 * order. Where a part of one is frozen, the trained rest, or what a method adds, is a block of its
 * own at the end of the list: NAME.trained, or with a method NAME.adapter. method NULL: nothing is
 * added; choice NULL: nothing is frozen. Errors: FT_ERR_MEMORY. */
ft_err ft_layout_new(const ft_arch *arch, const ft_method *method, const ft_choice *choice,
                     ft_layout **out);
void ft_layout_free(ft_layout *layout);

/* How frozen matrices are kept (ft_tensor.storage): so, but where that is FT_CODE_NF4 the one that
 * makes logits in FT_CODE_INT8. Vectors (norms, biases) stay as they are computed with. Errors:
 * FT_ERR_CONFIG naming model.storage if it is not FT_CODE_NONE and nothing is frozen. */
ft_err ft_layout_set_storage(ft_layout *layout, ft_code storage);

/* Sets the rates: depth units below the head a rate is layer_decay^depth of what it would be (Clark
 * et al. 2020; the head 0, layer i: layers - i, the embedding layers + 1), and `num` groups
 * (copied), to which no tensor belongs yet. Errors: FT_ERR_MEMORY. */
ft_err ft_layout_set_rates(ft_layout *layout, double layer_decay, const ft_rate_group *groups,
                           int64_t num);
/* Where a run's rate stands in a step. */
typedef struct ft_rate {
  double lr;    /* of what has no rate of its own */
  double share; /* of its peak: what rates of groups are multiplied by */
} ft_rate;
/* The learning rate and the weight decay of a trained block's tensor; weight_decay: the run's,
 * which is for tensors with two dimensions. */
double ft_layout_lr(const ft_layout *layout, const ft_block *block, const ft_tensor *tensor,
                    const ft_rate *rate);
double ft_layout_weight_decay(const ft_layout *layout, const ft_tensor *tensor,
                              double weight_decay);

/* Positions that the method leaves to a document's tokens; may be 0 or less. */
int64_t ft_layout_max_tokens(const ft_layout *layout);
/* The unit that a block, of this layout or of another of as many layers, belongs to. */
const ft_unit *ft_layout_unit(const ft_layout *layout, const ft_block *block);
/* Where a tensor is: its block's number, and the tensor; -1 and NULL if the unit has none. */
int64_t ft_layout_find(const ft_layout *layout, const ft_unit *unit, ft_role role,
                       const ft_tensor **tensor);
/* The same of what stands beside the map with this weight, which is in the block. */
int64_t ft_layout_find_part(const ft_layout *layout, int64_t block, ft_role map, ft_part_kind part,
                            const ft_tensor **tensor);
/* Elements of trained tensors, padding not counted. */
int64_t ft_layout_num_trained(const ft_layout *layout);
bool ft_layout_has_frozen(const ft_layout *layout);
/* The lowest unit that a backward pass comes to: -1 the embedding, 0 … the layers, arch.layers the
 * head. */
int64_t ft_layout_lowest_trained(const ft_layout *layout);
/* Model FLOPs of a training step on documents of these lengths: 6 · tokens for each weight of the
 * matrices that are multiplied with every token (the head counts, look-ups do not), and 12 · heads
 * · head_dim · visible pairs of each layer. Of a frozen matrix 4 · tokens; below the lowest trained
 * unit, where no gradient passes, 2 · tokens and a third of attention's. */
double ft_layout_training_flops(const ft_layout *layout, const int64_t *lengths,
                                int64_t num_documents);

#endif
