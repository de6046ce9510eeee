/* arch: what a decoder is. Its dimensions, its blocks and their tensors in flat order, and counts
 * of parameters and FLOPs. Pure functions of the dimensions; knows no file format and no weights.
 *
 * Not collective, all of it. */
#ifndef FT_ARCH_H
#define FT_ARCH_H

#include "ft/base.h"

typedef enum ft_rope_scaling { FT_ROPE_DEFAULT, FT_ROPE_LINEAR, FT_ROPE_LLAMA3 } ft_rope_scaling;

typedef struct ft_arch {
  int64_t vocab;  /* rows of the embedding */
  int64_t hidden; /* width of the residual stream */
  int64_t ffn;    /* width inside the SwiGLU */
  int64_t layers;
  int64_t heads, kv_heads; /* heads is a multiple of kv_heads */
  int64_t head_dim;        /* even; heads * head_dim may differ from hidden */
  int64_t max_positions;   /* longest document the model knows */
  float norm_eps;
  double rope_theta;
  ft_rope_scaling rope_scaling;
  double rope_factor, rope_low_freq,
      rope_high_freq;              /* FT_ROPE_LINEAR: factor; FT_ROPE_LLAMA3: all */
  int64_t rope_original_positions; /* FT_ROPE_LLAMA3 */
  int64_t sliding_window;     /* 0: none; else query i sees keys j with i - j < sliding_window */
  int64_t window_first_layer; /* layers from this one on use the window (0: all) */
  bool qkv_bias;              /* biases on q, k and v */
  bool o_bias;                /* bias on o */
  bool mlp_bias;              /* biases on gate, up and down */
  bool qk_norm;               /* RMSNorm of every q and k head before the rotary embedding */
  bool tied;                  /* the output head is the embedding */
} ft_arch;

/* What a tensor is for. Linear weights are [out, in], row-major. */
typedef enum ft_role {
  FT_ROLE_EMBEDDING, /* [vocab, hidden] */
  FT_ROLE_DOWN,      /* [hidden, ffn] */
  FT_ROLE_DOWN_BIAS, /* [hidden] */
  FT_ROLE_GATE,      /* [ffn, hidden] */
  FT_ROLE_GATE_BIAS, /* [ffn] */
  FT_ROLE_UP,        /* [ffn, hidden] */
  FT_ROLE_UP_BIAS,   /* [ffn] */
  FT_ROLE_MLP_NORM,  /* [hidden] post_attention_layernorm */
  FT_ROLE_O,         /* [hidden, heads * head_dim] */
  FT_ROLE_O_BIAS,    /* [hidden] */
  FT_ROLE_Q,         /* [heads * head_dim, hidden] */
  FT_ROLE_K,         /* [kv_heads * head_dim, hidden] */
  FT_ROLE_V,         /* [kv_heads * head_dim, hidden] */
  FT_ROLE_Q_BIAS,
  FT_ROLE_K_BIAS,
  FT_ROLE_V_BIAS,
  FT_ROLE_Q_NORM,
  FT_ROLE_K_NORM,     /* [head_dim] */
  FT_ROLE_ATTN_NORM,  /* [hidden] input_layernorm */
  FT_ROLE_HEAD,       /* [vocab, hidden], untied models only */
  FT_ROLE_FINAL_NORM, /* [hidden] */
  FT_ROLE_NUM
} ft_role;

/* Tensors of a block lie in one flat array, each starting on a multiple of this many elements; a
 * block's length is a multiple too. What lies between tensors is zero and stays zero. */
enum { FT_TENSOR_ALIGN = 256 };
enum { FT_MAX_BLOCK_TENSORS = 20 };

typedef struct ft_tensor {
  ft_role role;
  int64_t rows, cols; /* one-dimensional tensors: rows = 1, cols = their length */
  int num_dims;       /* 1 or 2; weight decay applies to 2 */
  int64_t offset;     /* first element in the block's flat array */
  bool trainable;     /* a frozen tensor has no gradient, no state and no master copy */
} ft_tensor;

static inline int64_t ft_tensor_elements(const ft_tensor *t) {
  return t->rows * t->cols;
}

/* A block: 0 is the embedding, 1 … layers are the decoder layers, layers + 1 the final norm and
 * head. Tensors are in flat order, which is the order in which the backward pass finishes their
 * gradients. */
typedef struct ft_block {
  char name[32];        /* "embedding", "layer.0" …, "head" */
  int64_t num_elements; /* of the flat array, padding included; a multiple of FT_TENSOR_ALIGN */
  int num_tensors;
  ft_tensor tensors[FT_MAX_BLOCK_TENSORS];
} ft_block;

/* Refuses impossible dimensions (zero, heads not divisible, odd head_dim …), naming the field.
 * Errors: FT_ERR_DATA. */
ft_err ft_arch_check(const ft_arch *arch);

int64_t ft_arch_num_blocks(const ft_arch *arch); /* layers + 2 */
/* Fills *out with block number `block`. */
void ft_arch_block(const ft_arch *arch, int64_t block, ft_block *out);
/* The block's tensor of that role, or NULL. */
const ft_tensor *ft_block_tensor(const ft_block *block, ft_role role);

/* Elements of all tensors, padding not counted; a tied matrix counts once. */
int64_t ft_arch_num_parameters(const ft_arch *arch);
/* Elements of the matrices that are multiplied with every token: the head counts, the look-up not.
 */
int64_t ft_arch_matmul_weights(const ft_arch *arch);
/* Query-key pairs that the layer's causal mask and window leave visible in a document of `length`.
 */
int64_t ft_arch_visible_pairs(const ft_arch *arch, int64_t layer, int64_t length);
/* Model FLOPs of a training step on documents of these lengths (DESIGN.md 7): 6 · tokens · matmul
 * weights
 * + 12 · heads · head_dim · visible pairs summed over layers. */
double ft_arch_training_flops(const ft_arch *arch, const int64_t *lengths, int64_t num_documents);

#endif
