/* A decoder's blocks and tensors, from its dimensions. */
#include "ft/arch.h"

#include <string.h>

/* ---------------------------------------------------------------- checks */

/* No dimension of any real model comes near this; products of three stay within 63 bits. */
static const int64_t max_dimension = (int64_t)1 << 24;

typedef struct named_value {
  const char *name;
  int64_t value;
} named_value;

static ft_err check_dimensions(const ft_arch *a) {
  ft_err err = FT_OK;
  const named_value values[] = {
      {"vocab_size", a->vocab},          {"hidden_size", a->hidden},
      {"intermediate_size", a->ffn},     {"num_hidden_layers", a->layers},
      {"num_attention_heads", a->heads}, {"num_key_value_heads", a->kv_heads},
      {"head_dim", a->head_dim},         {"max_position_embeddings", a->max_positions}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(values); i++)
    FT_CHECK(values[i].value >= 1 && values[i].value <= max_dimension, FT_ERR_DATA,
             "%s is %lld; it must be between 1 and %lld", values[i].name,
             (long long)values[i].value, (long long)max_dimension);
  FT_CHECK(a->layers <= 65536, FT_ERR_DATA,
           "num_hidden_layers is %lld; at most 65536 are supported", (long long)a->layers);
  FT_CHECK(a->head_dim <= 1024, FT_ERR_DATA, "head_dim is %lld; at most 1024 is supported",
           (long long)a->head_dim);
out:
  return err;
}

ft_err ft_arch_check(const ft_arch *a) {
  ft_err err = FT_OK;
  FT_TRY(check_dimensions(a));
  FT_CHECK(a->heads % a->kv_heads == 0, FT_ERR_DATA,
           "num_attention_heads (%lld) must be a multiple of num_key_value_heads (%lld)",
           (long long)a->heads, (long long)a->kv_heads);
  FT_CHECK(a->head_dim % 2 == 0, FT_ERR_DATA,
           "head_dim is %lld; the rotary embedding needs an even one", (long long)a->head_dim);
  FT_CHECK(a->norm_eps >= 0 && a->norm_eps < 1, FT_ERR_DATA,
           "rms_norm_eps is %g; it must be in [0, 1)", (double)a->norm_eps);
  FT_CHECK(a->rope_theta > 0 && a->rope_theta < 1e30, FT_ERR_DATA,
           "rope_theta is %g; it must be positive and finite", a->rope_theta);
  FT_CHECK(a->sliding_window >= 0, FT_ERR_DATA, "sliding_window is %lld; it must be positive",
           (long long)a->sliding_window);
  FT_CHECK(a->window_first_layer >= 0, FT_ERR_DATA, "the first windowed layer is %lld",
           (long long)a->window_first_layer);
  if (a->rope_scaling != FT_ROPE_DEFAULT)
    FT_CHECK(a->rope_factor > 0 && a->rope_factor < 1e9, FT_ERR_DATA,
             "the rotary scaling factor is %g; it must be positive", a->rope_factor);
  if (a->rope_scaling == FT_ROPE_LLAMA3)
    FT_CHECK(a->rope_low_freq > 0 && a->rope_high_freq > a->rope_low_freq &&
                 a->rope_original_positions > 0,
             FT_ERR_DATA,
             "llama3 rotary scaling needs 0 < low_freq_factor (%g) < high_freq_factor (%g) and a "
             "positive original_max_position_embeddings (%lld)",
             a->rope_low_freq, a->rope_high_freq, (long long)a->rope_original_positions);
out:
  return err;
}

/* ---------------------------------------------------------------- blocks */

int64_t ft_arch_num_blocks(const ft_arch *a) {
  return a->layers + 2;
}

static void add(ft_block *b, ft_role role, int num_dims, int64_t rows, int64_t cols) {
  FT_ASSERT(b->num_tensors < FT_MAX_BLOCK_TENSORS);
  b->tensors[b->num_tensors++] = (ft_tensor){.role = role,
                                             .rows = rows,
                                             .cols = cols,
                                             .num_dims = num_dims,
                                             .offset = b->num_elements,
                                             .trainable = true};
  b->num_elements += ft_round_up(rows * cols, FT_TENSOR_ALIGN);
}

static void add_matrix(ft_block *b, ft_role role, int64_t rows, int64_t cols) {
  add(b, role, 2, rows, cols);
}

static void add_vector(ft_block *b, ft_role role, int64_t length) {
  add(b, role, 1, 1, length);
}

/* In the order in which the backward pass finishes gradients: from the layer's end to its start. */
static void fill_layer(const ft_arch *a, ft_block *b) {
  int64_t q = a->heads * a->head_dim, kv = a->kv_heads * a->head_dim;
  add_matrix(b, FT_ROLE_DOWN, a->hidden, a->ffn);
  if (a->mlp_bias) add_vector(b, FT_ROLE_DOWN_BIAS, a->hidden);
  add_matrix(b, FT_ROLE_GATE, a->ffn, a->hidden);
  if (a->mlp_bias) add_vector(b, FT_ROLE_GATE_BIAS, a->ffn);
  add_matrix(b, FT_ROLE_UP, a->ffn, a->hidden);
  if (a->mlp_bias) add_vector(b, FT_ROLE_UP_BIAS, a->ffn);
  add_vector(b, FT_ROLE_MLP_NORM, a->hidden);
  add_matrix(b, FT_ROLE_O, a->hidden, q);
  if (a->o_bias) add_vector(b, FT_ROLE_O_BIAS, a->hidden);
  add_matrix(b, FT_ROLE_Q, q, a->hidden);
  add_matrix(b, FT_ROLE_K, kv, a->hidden);
  add_matrix(b, FT_ROLE_V, kv, a->hidden);
  if (a->qkv_bias) {
    add_vector(b, FT_ROLE_Q_BIAS, q);
    add_vector(b, FT_ROLE_K_BIAS, kv);
    add_vector(b, FT_ROLE_V_BIAS, kv);
  }
  if (a->qk_norm) {
    add_vector(b, FT_ROLE_Q_NORM, a->head_dim);
    add_vector(b, FT_ROLE_K_NORM, a->head_dim);
  }
  add_vector(b, FT_ROLE_ATTN_NORM, a->hidden);
}

void ft_arch_block(const ft_arch *a, int64_t block, ft_block *b) {
  FT_ASSERT(block >= 0 && block < ft_arch_num_blocks(a));
  memset(b, 0, sizeof *b);
  if (block == 0) {
    snprintf(b->name, sizeof b->name, "embedding");
    add_matrix(b, FT_ROLE_EMBEDDING, a->vocab, a->hidden);
  } else if (block <= a->layers) {
    snprintf(b->name, sizeof b->name, "layer.%lld", (long long)(block - 1));
    fill_layer(a, b);
  } else {
    snprintf(b->name, sizeof b->name, "head");
    if (!a->tied) add_matrix(b, FT_ROLE_HEAD, a->vocab, a->hidden);
    add_vector(b, FT_ROLE_FINAL_NORM, a->hidden);
  }
}

const ft_tensor *ft_block_tensor(const ft_block *b, ft_role role) {
  for (int i = 0; i < b->num_tensors; i++)
    if (b->tensors[i].role == role) return &b->tensors[i];
  return NULL;
}

/* ---------------------------------------------------------------- counts */

/* Elements of the tensors of at least min_dims dimensions in one block. */
static int64_t block_elements(const ft_arch *a, int64_t block, int min_dims) {
  ft_block b;
  int64_t sum = 0;
  ft_arch_block(a, block, &b);
  for (int i = 0; i < b.num_tensors; i++)
    if (b.tensors[i].num_dims >= min_dims) sum += ft_tensor_elements(&b.tensors[i]);
  return sum;
}

int64_t ft_arch_num_parameters(const ft_arch *a) {
  return block_elements(a, 0, 1) + a->layers * block_elements(a, 1, 1) +
         block_elements(a, a->layers + 1, 1);
}

int64_t ft_arch_matmul_weights(const ft_arch *a) {
  return a->layers * block_elements(a, 1, 2) + a->vocab * a->hidden;
}

int64_t ft_arch_visible_pairs(const ft_arch *a, int64_t layer, int64_t length) {
  bool windowed = a->sliding_window > 0 && layer >= a->window_first_layer;
  int64_t window = windowed ? FT_MIN(a->sliding_window, length) : length;
  return window * (window + 1) / 2 + (length - window) * window;
}

double ft_arch_training_flops(const ft_arch *a, const int64_t *lengths, int64_t num_documents) {
  double tokens = 0, pairs = 0;
  int64_t plain_layers =
      a->sliding_window > 0 ? FT_MIN(a->window_first_layer, a->layers) : a->layers;
  for (int64_t d = 0; d < num_documents; d++) {
    tokens += (double)lengths[d];
    if (plain_layers > 0)
      pairs += (double)plain_layers * (double)ft_arch_visible_pairs(a, 0, lengths[d]);
    if (plain_layers < a->layers)
      pairs += (double)(a->layers - plain_layers) *
               (double)ft_arch_visible_pairs(a, a->layers - 1, lengths[d]);
  }
  return 6.0 * tokens * (double)ft_arch_matmul_weights(a) +
         12.0 * (double)(a->heads * a->head_dim) * pairs;
}
