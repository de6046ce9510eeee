/* arch: what a model is, as data. A description (sizes, norms, attention, rotary embeddings,
 * feed-forward part, scalars, head), and the tensors that follow from it. Pure functions of the
 * description; knows no file format and no weights. layout.h makes the blocks of a run from it.
 *
 * A new dense family is a value of ft_arch: no code here or in `model` asks for a family's name.
 *
 * Letters in shapes, everywhere in this program: T tokens of a micro-batch, D hidden, F ffn,
 * H heads, K kv_heads, W head_dim, V vocab, L layers.
 *
 * Not collective, all of it. */
#ifndef FT_ARCH_H
#define FT_ARCH_H

#include "ft/base.h"
#include "ft/base_layer.h"

/* ---------------------------------------------------------------- norms */

/* Where a layer's norms stand; combine with |. Each place means two norms, of both branches. */
typedef enum ft_norm_places {
  FT_NORM_BEFORE = 1,   /* x + branch(norm(x)) */
  FT_NORM_OUTPUT = 2,   /* x + norm(branch(…)) */
  FT_NORM_AFTER_SUM = 4 /* norm(x + branch(x))  (BERT) */
} ft_norm_places;

typedef enum ft_qk_norm {
  FT_QK_NORM_NONE,
  FT_QK_NORM_HEADS,         /* each head of q and k by itself, before the rotation; weights [W] */
  FT_QK_NORM_HEADS_ROTATED, /* the same after the rotation */
  FT_QK_NORM_WHOLE          /* all heads together, before the rotation; weights [H·W], [K·W] */
} ft_qk_norm;

/* ---------------------------------------------------------------- rotary embedding */

typedef enum ft_rope_type {
  FT_ROPE_DEFAULT, /* Su et al. 2021 */
  FT_ROPE_LINEAR,  /* factor */
  FT_ROPE_LLAMA3,  /* factor, low_freq, high_freq, original_positions */
  FT_ROPE_YARN, /* factor, beta_fast, beta_slow, truncate, original_positions (Peng et al. 2023) */
  FT_ROPE_LONG  /* short_factors, long_factors, original_positions (Ding et al. 2024): a document
                   of at most original_positions tokens uses the short ones, else the long ones */
} ft_rope_type;

enum { FT_MAX_ROPE_PAIRS = 256 };

/* Pair i of a head's first `width` elements turns by position · theta^(-2i / width), scaled. */
typedef struct ft_rope_form {
  ft_rope_type type;
  int64_t width;   /* even, at most head_dim: elements from there on are left alone */
  bool neighbours; /* pair i is elements 2i and 2i + 1; otherwise i and i + width / 2 */
  double theta;
  double attention_factor; /* multiplies cos and sin: 1, or as the type says */
  double factor, low_freq, high_freq, beta_fast, beta_slow;
  bool truncate; /* YaRN: the ramp begins and ends at whole pairs */
  int64_t original_positions;
  double query_beta; /* q · (1 + query_beta · ln(1 + ⌊position / original_positions⌋)); 0: plain */
  double short_factors[FT_MAX_ROPE_PAIRS], long_factors[FT_MAX_ROPE_PAIRS]; /* [width / 2] */
} ft_rope_form;

/* ---------------------------------------------------------------- layers */

/* What tells some layers of a model from others. */
typedef struct ft_layer_kind {
  int64_t window; /* 0: none; else query i sees keys j with i - j < window, and in a two-way model
                     those with |i - j| < window */
  int rope;       /* index into ft_arch.ropes; -1: q and k are not rotated */
  bool no_input_norm; /* has no norm before attention where others have one */
} ft_layer_kind;

enum { FT_MAX_LAYERS = 1024, FT_MAX_LAYER_KINDS = 4, FT_MAX_ROPES = 2 };

/* ---------------------------------------------------------------- head */

typedef enum ft_head_kind {
  FT_HEAD_TOKENS, /* logits [V] of each token: of the next, or of the one that is masked there */
  FT_HEAD_LABELS  /* logits [num_labels] of a document (classes), or one score */
} ft_head_kind;

/* Which of a document's tokens a head of labels looks at. */
typedef enum ft_pooling { FT_POOL_FIRST, FT_POOL_LAST, FT_POOL_MEAN } ft_pooling;

/* What a head does before its last matrix: y = norm(act(dense · x + bias)), parts as they are. */
typedef struct ft_head_transform {
  bool dense, dense_bias, norm;
  ft_activation_kind activation;
} ft_head_transform;

/* ---------------------------------------------------------------- the whole */

typedef struct ft_arch {
  /* sizes */
  int64_t vocab;           /* V, rows of the embedding */
  int64_t hidden;          /* D, width of the residual stream */
  int64_t ffn;             /* F, width inside the feed-forward part */
  int64_t layers;          /* L */
  int64_t heads, kv_heads; /* H is a multiple of K */
  int64_t head_dim;        /* W, even; H · W may differ from D */
  int64_t max_positions;   /* longest document the model knows */

  /* norms: one form for all of a model, those of q and k too */
  ft_norm norm;
  bool norm_bias;  /* FT_NORM_LAYER only */
  int norm_places; /* of ft_norm_places */
  ft_qk_norm qk_norm;

  /* attention */
  bool two_way;            /* every token of a document sees all others; otherwise causal */
  float attention_scale;   /* of scores */
  bool scale_by_layer;     /* layer n divides its scores by n + 1 as well */
  float attention_softcap; /* scores s become c · tanh(s / c); 0: none */
  bool qkv_bias, o_bias;

  /* feed-forward part */
  bool gated; /* down(act(gate · x) ⊙ (up · x)); otherwise down(act(up · x)) */
  ft_activation_kind activation;
  bool mlp_bias;

  /* layers */
  int num_kinds, num_ropes;
  ft_layer_kind kinds[FT_MAX_LAYER_KINDS];
  uint8_t kind_of[FT_MAX_LAYERS]; /* [layers] index into kinds */
  ft_rope_form ropes[FT_MAX_ROPES];
  float residual_scale; /* multiplies a branch before the sum; 1: plain */

  /* embedding */
  float embedding_scale;      /* multiplies what is looked up; 1: plain */
  bool round_embedding_scale; /* it is rounded to the compute type first (Gemma) */
  int64_t learned_positions;  /* rows of a second table, of positions; 0: none */
  int64_t token_types;        /* rows of a third, of which row 0 is added to all; 0: none */
  bool embedding_norm;        /* a norm over the sum */
  int64_t padding_token;      /* its row gets no gradient from being looked up; -1: none */

  /* head */
  ft_head_kind head;
  int64_t num_labels; /* FT_HEAD_LABELS, as the next */
  ft_pooling pooling;
  bool final_norm;
  ft_head_transform transform;
  bool head_bias;
  bool tied;            /* the head's matrix is the embedding's */
  float logits_scale;   /* multiplies logits; 1: plain */
  float logits_softcap; /* then they become c · tanh(l / c); 0: none */
} ft_arch;

/* A causal decoder in the form of Llama: pre-norm RMS, SwiGLU, one kind of layer with one rotary
 * embedding of the whole head. A caller adds the sizes and what differs: FT_ARCH_LLAMA(.vocab = …,
 * .ropes[0].theta = 1e4), and then completes it. */
#define FT_ARCH_LLAMA(...)                                                                         \
  {                                                                                                \
    .norm_places = FT_NORM_BEFORE, .gated = true, .num_kinds = 1, .num_ropes = 1,                  \
    .residual_scale = 1, .embedding_scale = 1, .logits_scale = 1, .padding_token = -1,             \
    .final_norm = true, __VA_ARGS__                                                                \
  }
/* What models of a family compute ("llama", "gemma2" …: families.c), apart from sizes, numbers and
 * what layers differ in: a description to complete. NULL: no such form. A table of learned
 * positions has one row where there is one. */
const ft_arch *ft_arch_form(const char *name);
/* Fills what follows from the sizes where it is 0: attention_scale W^-½, rotary width W. */
void ft_arch_complete(ft_arch *arch);
/* Refuses impossible descriptions (zero, heads not divisible, odd head_dim …), naming the field.
 * Errors: FT_ERR_DATA. */
ft_err ft_arch_check(const ft_arch *arch);

static inline const ft_layer_kind *ft_arch_layer(const ft_arch *arch, int64_t layer) {
  return &arch->kinds[arch->kind_of[layer]];
}
/* Rows of the head's last matrix: vocab or num_labels. */
int64_t ft_arch_head_rows(const ft_arch *arch);

/* ---------------------------------------------------------------- tensors */

/* What a tensor is for. Linear weights are [out, in], row-major. Their numbers are part of no file,
 * but those up to FT_ROLE_FINAL_NORM key the random numbers of `init`: do not renumber them. */
typedef enum ft_role {
  FT_ROLE_EMBEDDING, /* [V, D] */
  FT_ROLE_DOWN,      /* [D, F] */
  FT_ROLE_DOWN_BIAS, /* [D] */
  FT_ROLE_GATE,      /* [F, D] */
  FT_ROLE_GATE_BIAS, /* [F] */
  FT_ROLE_UP,        /* [F, D] */
  FT_ROLE_UP_BIAS,   /* [F] */
  FT_ROLE_MLP_NORM,  /* [D] before the feed-forward part */
  FT_ROLE_O,         /* [D, H·W] */
  FT_ROLE_O_BIAS,    /* [D] */
  FT_ROLE_Q,         /* [H·W, D] */
  FT_ROLE_K,         /* [K·W, D] */
  FT_ROLE_V,         /* [K·W, D] */
  FT_ROLE_Q_BIAS,
  FT_ROLE_K_BIAS,
  FT_ROLE_V_BIAS,
  FT_ROLE_Q_NORM,
  FT_ROLE_K_NORM,     /* [W], or [H·W] and [K·W] */
  FT_ROLE_ATTN_NORM,  /* [D] before attention */
  FT_ROLE_HEAD,       /* [V or num_labels, D], untied models only */
  FT_ROLE_FINAL_NORM, /* [D] */
  /* of a layer */
  FT_ROLE_MLP_NORM_BIAS,
  FT_ROLE_ATTN_NORM_BIAS,
  FT_ROLE_MLP_POST_NORM, /* [D] of the branch's output, or of the sum */
  FT_ROLE_MLP_POST_NORM_BIAS,
  FT_ROLE_ATTN_POST_NORM,
  FT_ROLE_ATTN_POST_NORM_BIAS,
  FT_ROLE_ALPHA_P, /* [1] of xIELU, as the next */
  FT_ROLE_ALPHA_N,
  FT_ROLE_XIELU_BETA, /* [] constants: their gradient is zero, and they are not decayed */
  FT_ROLE_XIELU_EPS,
  /* of the embedding */
  FT_ROLE_POSITIONS,   /* [learned_positions, D] */
  FT_ROLE_TOKEN_TYPES, /* [token_types, D] */
  FT_ROLE_EMBEDDING_NORM,
  FT_ROLE_EMBEDDING_NORM_BIAS,
  /* of the head */
  FT_ROLE_HEAD_BIAS, /* [V or num_labels] */
  FT_ROLE_HEAD_NORM, /* [D] of its transform, as the next */
  FT_ROLE_HEAD_NORM_BIAS,
  FT_ROLE_HEAD_DENSE, /* [D, D] */
  FT_ROLE_HEAD_DENSE_BIAS,
  FT_ROLE_FINAL_NORM_BIAS,
  FT_ROLE_NUM /* of a model itself; what a method adds to one follows (arch_method.h) */
} ft_role;

/* Whether it is what a normed row is multiplied by: it begins at 1, others at random or at 0. */
bool ft_role_is_norm_weight(ft_role role);

/* Tensors of a block lie in one flat array, each starting on a multiple of this many elements; a
 * block's length is a multiple too. What lies between tensors is zero and stays zero. */
enum { FT_TENSOR_ALIGN = 256 };
enum { FT_MAX_BLOCK_TENSORS = 64 };

typedef struct ft_tensor {
  ft_role role;
  int64_t rows, cols; /* tensors of fewer dimensions: rows = 1, cols = their length */
  int num_dims;       /* 0, 1 or 2; weight decay applies to 2 */
  int64_t offset;     /* first element in the block's flat array */
  ft_code storage;    /* of a frozen one: how it is kept (ft_layout_set_storage) */
  float scale;        /* of a low-rank part's A: what its product is multiplied by; else 0 */
  int group;          /* 1 …: whose rates hold (ft_layout_set_rates); 0: the run's */
} ft_tensor;

static inline int64_t ft_tensor_elements(const ft_tensor *t) {
  return t->rows * t->cols;
}

/* Where in the model a tensor is. */
typedef enum ft_place { FT_PLACE_EMBEDDING, FT_PLACE_LAYER, FT_PLACE_HEAD } ft_place;

/* Writes the tensors of a place (`layer` counts for layers only) in the order in which the backward
 * pass finishes their gradients, offsets 0, to out[FT_MAX_BLOCK_TENSORS]. Returns their number. */
int ft_arch_tensors(const ft_arch *arch, ft_place place, int64_t layer, ft_tensor *out);

/* ---------------------------------------------------------------- counts */

/* Elements of all tensors; a tied matrix counts once. */
int64_t ft_arch_num_parameters(const ft_arch *arch);
/* Query-key pairs that the layer's mask and window leave visible in a document of `length`. */
int64_t ft_arch_visible_pairs(const ft_arch *arch, int64_t layer, int64_t length);

#endif
