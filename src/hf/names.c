/* Hugging Face's names of a decoder's tensors. */
#include <string.h>

#include "hf_internal.h"

static const char *const names[FT_ROLE_NUM] = {
    [FT_ROLE_EMBEDDING] = "model.embed_tokens.weight",
    [FT_ROLE_FINAL_NORM] = "model.norm.weight",
    [FT_ROLE_HEAD] = "lm_head.weight",
    /* of a layer */
    [FT_ROLE_DOWN] = "mlp.down_proj.weight",
    [FT_ROLE_DOWN_BIAS] = "mlp.down_proj.bias",
    [FT_ROLE_GATE] = "mlp.gate_proj.weight",
    [FT_ROLE_GATE_BIAS] = "mlp.gate_proj.bias",
    [FT_ROLE_UP] = "mlp.up_proj.weight",
    [FT_ROLE_UP_BIAS] = "mlp.up_proj.bias",
    [FT_ROLE_MLP_NORM] = "post_attention_layernorm.weight",
    [FT_ROLE_O] = "self_attn.o_proj.weight",
    [FT_ROLE_O_BIAS] = "self_attn.o_proj.bias",
    [FT_ROLE_Q] = "self_attn.q_proj.weight",
    [FT_ROLE_K] = "self_attn.k_proj.weight",
    [FT_ROLE_V] = "self_attn.v_proj.weight",
    [FT_ROLE_Q_BIAS] = "self_attn.q_proj.bias",
    [FT_ROLE_K_BIAS] = "self_attn.k_proj.bias",
    [FT_ROLE_V_BIAS] = "self_attn.v_proj.bias",
    [FT_ROLE_Q_NORM] = "self_attn.q_norm.weight",
    [FT_ROLE_K_NORM] = "self_attn.k_norm.weight",
    [FT_ROLE_ATTN_NORM] = "input_layernorm.weight",
};

const ft_role ft_hf_state_order[FT_HF_NUM_ROLES] = {
    FT_ROLE_EMBEDDING, FT_ROLE_Q,         FT_ROLE_Q_BIAS,    FT_ROLE_K,        FT_ROLE_K_BIAS,
    FT_ROLE_V,         FT_ROLE_V_BIAS,    FT_ROLE_O,         FT_ROLE_O_BIAS,   FT_ROLE_Q_NORM,
    FT_ROLE_K_NORM,    FT_ROLE_GATE,      FT_ROLE_GATE_BIAS, FT_ROLE_UP,       FT_ROLE_UP_BIAS,
    FT_ROLE_DOWN,      FT_ROLE_DOWN_BIAS, FT_ROLE_ATTN_NORM, FT_ROLE_MLP_NORM, FT_ROLE_FINAL_NORM,
    FT_ROLE_HEAD};

int ft_hf_tensor_name(const ft_block *block, ft_role role, char *out, size_t size) {
  FT_ASSERT(role < FT_ROLE_NUM && names[role]);
  if (block->place != FT_PLACE_LAYER) return snprintf(out, size, "%s", names[role]);
  return snprintf(out, size, "model.layers.%lld.%s", (long long)block->layer, names[role]);
}
