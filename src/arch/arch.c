/* What follows from a model's description: its tensors, and counts. */
#include "ft/arch.h"

#include <math.h>

void ft_arch_complete(ft_arch *a) {
  if (!(a->attention_scale > 0))
    a->attention_scale = (float)(1.0 / sqrt((double)FT_MAX(a->head_dim, 1)));
  for (int i = 0; i < a->num_ropes; i++) {
    if (a->ropes[i].width == 0) a->ropes[i].width = a->head_dim;
    if (!(a->ropes[i].attention_factor > 0)) a->ropes[i].attention_factor = 1;
  }
}

int64_t ft_arch_head_rows(const ft_arch *a) {
  return a->head == FT_HEAD_TOKENS ? a->vocab : a->num_labels;
}

/* ---------------------------------------------------------------- tensors */

bool ft_role_is_norm_weight(ft_role role) {
  static const ft_role weights[] = {
      FT_ROLE_MLP_NORM,       FT_ROLE_ATTN_NORM,      FT_ROLE_FINAL_NORM,
      FT_ROLE_Q_NORM,         FT_ROLE_K_NORM,         FT_ROLE_MLP_POST_NORM,
      FT_ROLE_ATTN_POST_NORM, FT_ROLE_EMBEDDING_NORM, FT_ROLE_HEAD_NORM};
  for (size_t i = 0; i < FT_ARRAY_SIZE(weights); i++)
    if (weights[i] == role) return true;
  return false;
}

typedef struct tensor_list {
  ft_tensor *out; /* [FT_MAX_BLOCK_TENSORS] */
  int num;
} tensor_list;

static void add(tensor_list *l, ft_role role, int num_dims, int64_t rows, int64_t cols) {
  FT_ASSERT(l->num < FT_MAX_BLOCK_TENSORS);
  l->out[l->num++] = (ft_tensor){.role = role, .rows = rows, .cols = cols, .num_dims = num_dims};
}

static void add_matrix(tensor_list *l, ft_role role, int64_t rows, int64_t cols) {
  add(l, role, 2, rows, cols);
}

static void add_vector(tensor_list *l, bool there, ft_role role, int64_t length) {
  if (there) add(l, role, 1, 1, length);
}

/* The weight of a norm over the residual stream, and its bias. */
static void add_norm(tensor_list *l, const ft_arch *a, bool there, ft_role weight, ft_role bias) {
  add_vector(l, there, weight, a->hidden);
  add_vector(l, there && a->norm_bias, bias, a->hidden);
}

static void list_mlp(const ft_arch *a, tensor_list *l) {
  bool post = a->norm_places & (FT_NORM_OUTPUT | FT_NORM_AFTER_SUM);
  add_norm(l, a, post, FT_ROLE_MLP_POST_NORM, FT_ROLE_MLP_POST_NORM_BIAS);
  add_matrix(l, FT_ROLE_DOWN, a->hidden, a->ffn);
  add_vector(l, a->mlp_bias, FT_ROLE_DOWN_BIAS, a->hidden);
  if (a->gated) add_matrix(l, FT_ROLE_GATE, a->ffn, a->hidden);
  add_vector(l, a->gated && a->mlp_bias, FT_ROLE_GATE_BIAS, a->ffn);
  add_matrix(l, FT_ROLE_UP, a->ffn, a->hidden);
  add_vector(l, a->mlp_bias, FT_ROLE_UP_BIAS, a->ffn);
  if (a->activation == FT_ACT_XIELU) {
    add_vector(l, true, FT_ROLE_ALPHA_P, 1);
    add_vector(l, true, FT_ROLE_ALPHA_N, 1);
    add(l, FT_ROLE_XIELU_BETA, 0, 1, 1);
    add(l, FT_ROLE_XIELU_EPS, 0, 1, 1);
  }
  add_norm(l, a, a->norm_places & FT_NORM_BEFORE, FT_ROLE_MLP_NORM, FT_ROLE_MLP_NORM_BIAS);
}

static void list_attention(const ft_arch *a, const ft_layer_kind *kind, tensor_list *l) {
  int64_t q = a->heads * a->head_dim, kv = a->kv_heads * a->head_dim;
  bool post = a->norm_places & (FT_NORM_OUTPUT | FT_NORM_AFTER_SUM);
  bool whole = a->qk_norm == FT_QK_NORM_WHOLE, normed = a->qk_norm != FT_QK_NORM_NONE;
  add_norm(l, a, post, FT_ROLE_ATTN_POST_NORM, FT_ROLE_ATTN_POST_NORM_BIAS);
  add_matrix(l, FT_ROLE_O, a->hidden, q);
  add_vector(l, a->o_bias, FT_ROLE_O_BIAS, a->hidden);
  add_matrix(l, FT_ROLE_Q, q, a->hidden);
  add_matrix(l, FT_ROLE_K, kv, a->hidden);
  add_matrix(l, FT_ROLE_V, kv, a->hidden);
  add_vector(l, a->qkv_bias, FT_ROLE_Q_BIAS, q);
  add_vector(l, a->qkv_bias, FT_ROLE_K_BIAS, kv);
  add_vector(l, a->qkv_bias, FT_ROLE_V_BIAS, kv);
  add_vector(l, normed, FT_ROLE_Q_NORM, whole ? q : a->head_dim);
  add_vector(l, normed, FT_ROLE_K_NORM, whole ? kv : a->head_dim);
  add_norm(l, a, (a->norm_places & FT_NORM_BEFORE) && !kind->no_input_norm, FT_ROLE_ATTN_NORM,
           FT_ROLE_ATTN_NORM_BIAS);
}

static void list_embedding(const ft_arch *a, tensor_list *l) {
  add_norm(l, a, a->embedding_norm, FT_ROLE_EMBEDDING_NORM, FT_ROLE_EMBEDDING_NORM_BIAS);
  add_matrix(l, FT_ROLE_EMBEDDING, a->vocab, a->hidden);
  if (a->learned_positions > 0) add_matrix(l, FT_ROLE_POSITIONS, a->learned_positions, a->hidden);
  if (a->token_types > 0) add_matrix(l, FT_ROLE_TOKEN_TYPES, a->token_types, a->hidden);
}

static void list_head(const ft_arch *a, tensor_list *l) {
  const ft_head_transform *t = &a->transform;
  int64_t rows = ft_arch_head_rows(a);
  if (!a->tied) add_matrix(l, FT_ROLE_HEAD, rows, a->hidden);
  add_vector(l, a->head_bias, FT_ROLE_HEAD_BIAS, rows);
  add_norm(l, a, t->norm, FT_ROLE_HEAD_NORM, FT_ROLE_HEAD_NORM_BIAS);
  if (t->dense) add_matrix(l, FT_ROLE_HEAD_DENSE, a->hidden, a->hidden);
  add_vector(l, t->dense && t->dense_bias, FT_ROLE_HEAD_DENSE_BIAS, a->hidden);
  add_norm(l, a, a->final_norm, FT_ROLE_FINAL_NORM, FT_ROLE_FINAL_NORM_BIAS);
}

int ft_arch_tensors(const ft_arch *a, ft_place place, int64_t layer, ft_tensor *out) {
  tensor_list list = {.out = out};
  if (place == FT_PLACE_EMBEDDING) list_embedding(a, &list);
  if (place == FT_PLACE_HEAD) list_head(a, &list);
  if (place == FT_PLACE_LAYER) {
    FT_ASSERT(layer >= 0 && layer < a->layers);
    list_mlp(a, &list);
    list_attention(a, ft_arch_layer(a, layer), &list);
  }
  return list.num;
}

/* ---------------------------------------------------------------- counts */

/* Elements of the tensors at one place. */
static int64_t elements_of(const ft_arch *a, ft_place place, int64_t layer) {
  ft_tensor tensors[FT_MAX_BLOCK_TENSORS];
  int64_t sum = 0;
  int num = ft_arch_tensors(a, place, layer, tensors);
  for (int i = 0; i < num; i++)
    sum += ft_tensor_elements(&tensors[i]);
  return sum;
}

int64_t ft_arch_num_parameters(const ft_arch *a) {
  int64_t sum = elements_of(a, FT_PLACE_EMBEDDING, -1) + elements_of(a, FT_PLACE_HEAD, -1);
  for (int64_t layer = 0; layer < a->layers; layer++)
    sum += elements_of(a, FT_PLACE_LAYER, layer);
  return sum;
}

int64_t ft_arch_visible_pairs(const ft_arch *a, int64_t layer, int64_t length) {
  int64_t window = ft_arch_layer(a, layer)->window;
  window = window > 0 ? FT_MIN(window, length) : length;
  int64_t causal = window * (window + 1) / 2 + (length - window) * window;
  return a->two_way ? 2 * causal - length : causal;
}
