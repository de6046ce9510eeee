/* arch, the method: what is trained beside a frozen model, or in it. A method is values; which maps
 * it is put beside is a choice, made by whoever knows their names (hf). The layout makes tensors of
 * both, and nobody else asks for a method's name.
 *
 *   low-rank part   y = W x + b + s · B (A x)                       Hu et al. 2021 (LoRA)
 *   magnitude       y = m / ‖W + s B A‖ ⊙ (W x + s · B (A x)) + b   Liu et al. 2024 (DoRA)
 *   output scale    y = l ⊙ (W x + b)                               Liu et al. 2022 (IA3)
 *   input scale     y = W (l ⊙ x) + b                               the same, feed-forward maps
 *   prefix          keys and values before those of each document   Li and Liang 2021
 *   prompt          rows before the embedded tokens of each one     Lester et al. 2021
 *   bottleneck      U · act(D x + d) + u at the end of a branch     Houlsby et al. 2019,
 *                                                                   Pfeiffer et al. 2021
 *
 * Not collective, all of it. */
#ifndef FT_ARCH_METHOD_H
#define FT_ARCH_METHOD_H

#include "ft/arch.h"

/* ---------------------------------------------------------------- maps */

/* What something can stand beside. The numbers of those of a layer key random numbers of dropout:
 * do not renumber them. */
typedef enum ft_map_slot {
  FT_MAP_NONE,
  FT_MAP_Q,
  FT_MAP_K,
  FT_MAP_V,
  FT_MAP_O,
  FT_MAP_GATE,
  FT_MAP_UP,
  FT_MAP_DOWN, /* the last one of a layer */
  FT_MAP_HEAD,
  FT_MAP_EMBEDDING,
  FT_MAP_NUM
} ft_map_slot;

typedef struct ft_map {
  ft_role weight, bias; /* bias FT_ROLE_NUM: it never has one */
  ft_map_slot leader;   /* the first of those that read the same input: where they are one tensor in
                           the files, its A is theirs */
} ft_map;
extern const ft_map ft_maps[FT_MAP_NUM];

/* The map whose weight or bias this is, or FT_MAP_NONE. */
ft_map_slot ft_map_of(ft_role role);
/* Whether it is the weight of a map of layers. */
bool ft_role_is_layer_map(ft_role role);

/* ---------------------------------------------------------------- roles of what is added */

/* What stands beside one map of the model. r: rank; a look-up of [V, D] maps V to D. */
typedef enum ft_part_kind {
  FT_PART_A,            /* [r, in], but of the embedding [V, r]; starts at random (embedding: 0) */
  FT_PART_B,            /* [out, r]; starts at 0 (embedding: at random) */
  FT_PART_MAGNITUDE,    /* [out]; starts as the norms of the map's rows */
  FT_PART_OUTPUT_SCALE, /* [out], as the next: starts at 1 */
  FT_PART_INPUT_SCALE,  /* [in] */
  FT_PART_NUM
} ft_part_kind;

/* Roles of tensors that belong to no single map, and then the parts of all maps. */
enum {
  FT_ROLE_PROMPT = FT_ROLE_NUM, /* [tokens, D] */
  FT_ROLE_PREFIX,               /* [tokens, 2 K·W] of a layer: keys, then values */
  FT_ROLE_ATTN_BOTTLENECK_DOWN, /* [width, D] */
  FT_ROLE_ATTN_BOTTLENECK_DOWN_BIAS,
  FT_ROLE_ATTN_BOTTLENECK_UP, /* [D, width] */
  FT_ROLE_ATTN_BOTTLENECK_UP_BIAS,
  FT_ROLE_MLP_BOTTLENECK_DOWN,
  FT_ROLE_MLP_BOTTLENECK_DOWN_BIAS,
  FT_ROLE_MLP_BOTTLENECK_UP,
  FT_ROLE_MLP_BOTTLENECK_UP_BIAS,
  FT_ROLE_PARTS, /* those of map m: FT_ROLE_PARTS + m · FT_PART_NUM + part */
  FT_ROLE_ALL = FT_ROLE_PARTS + FT_ROLE_NUM * FT_PART_NUM
};

/* The role of a part beside the map with this weight. */
static inline ft_role ft_role_part(ft_role map, ft_part_kind part) {
  return (ft_role)(FT_ROLE_PARTS + (int)map * FT_PART_NUM + (int)part);
}
/* Whether it is beside a map; then which part of which (out parameters may be NULL). */
bool ft_role_is_part(ft_role role, ft_role *map, ft_part_kind *part);
/* Whether it is the model's own. */
static inline bool ft_role_is_own(ft_role role) {
  return (int)role < FT_ROLE_NUM;
}

/* ---------------------------------------------------------------- a method */

typedef struct ft_method {
  float dropout;         /* of a low-rank part's input in training: the share that is left out */
  bool both_ends;        /* the embedding's low-rank part stands beside the tied head, too */
  int64_t prompt_tokens; /* before each document; 0: none, as all of these */
  int64_t prefix_tokens; /* not with a prompt */
  int64_t bottleneck;    /* its width */
  ft_activation_kind bottleneck_activation;
  bool bottleneck_after_attention; /* too, not only after the feed-forward part (Houlsby) */
  bool bottleneck_reads_sum;       /* of stream and branch, not the branch alone (Pfeiffer) */
} ft_method;

/* What stands beside one map. */
typedef struct ft_beside {
  int64_t rank;  /* of a low-rank part; 0: none */
  float scale;   /* s */
  bool shares_a; /* it has no A of its own but that of the map that it is one tensor with in the
                    files: k and v that of q, up that of gate */
  bool magnitude, output_scale, input_scale;
} ft_beside;

/* Which of the model's tensors are frozen, and what is beside its maps. Layer -1 outside of layers.
 * Members may be NULL: nothing is. */
typedef struct ft_choice {
  bool (*frozen)(const void *arg, ft_place place, int64_t layer, ft_role role);
  ft_beside (*beside)(const void *arg, ft_place place, int64_t layer, ft_role role);
  const void *arg;
} ft_choice;

/* Rows that stand before the tokens of each document: of a prompt or a prefix. They take the first
 * positions; what a layer computes for those of a prefix is not used. */
static inline int64_t ft_method_virtual_rows(const ft_method *method) {
  return method->prompt_tokens + method->prefix_tokens;
}

/* Writes the tensors of a place as ft_arch_tensors does, those that are added included, in the
 * order in which the backward pass finishes their gradients. Returns their number. */
int ft_method_tensors(const ft_arch *arch, const ft_method *method, const ft_choice *choice,
                      ft_place place, int64_t layer, ft_tensor *out);

#endif
