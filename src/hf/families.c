/* The families: how models are written in Hugging Face directories. What they compute is in the
 * table of arch/families.c, names of tensors in family_names.c. Defaults are those of the
 * configuration classes of transformers 5.24. */
#include <string.h>

#include "family.h"

/* ---------------------------------------------------------------- the table */

/* clang-format off */
/* An object in JSON, whose last member is LAST or TOKENS. */
#define OBJECT(members) "{" members "}"
#define LAST(name, ...) "\"" #name "\":" #__VA_ARGS__
#define K(name, ...) "\"" #name "\":" #__VA_ARGS__ ","
#define SIZES(v, d, f, l, h, k, w, p)                                                              \
  K(vocab_size, v) K(hidden_size, d) K(intermediate_size, f) K(num_hidden_layers, l)               \
  K(num_attention_heads, h) K(num_key_value_heads, k) K(head_dim, w) K(max_position_embeddings, p)
#define TOKENS(bos, eos, pad) K(bos_token_id, bos) K(eos_token_id, eos) LAST(pad_token_id, pad)
/* The one rotary embedding of most. */
#define ROPE(base)                                                                                 \
  {                                                                                                \
    { .theta_key = "rope_theta", .theta = base, .scaled = true }                                   \
  }

const ft_hf_family ft_hf_families[] = {
    {.model_type = "llama",
     .models = "Llama 2 and 3",
     .defaults = OBJECT(SIZES(32000, 4096, 11008, 32, 32, null, null, 2048) K(rms_norm_eps, 1e-6)
                        K(hidden_act, "silu") K(attention_bias, false) K(mlp_bias, false)
                        K(tie_word_embeddings, false) TOKENS(1, 2, null)),
     .ropes = ROPE(1e4),
     .layers = ft_hf_layers_full},

    {.model_type = "mistral",
     .models = "Mistral",
     .defaults = OBJECT(SIZES(32000, 4096, 14336, 32, 32, 8, null, 131072) K(rms_norm_eps, 1e-6)
                        K(hidden_act, "silu") K(sliding_window, 4096)
                        K(tie_word_embeddings, false) TOKENS(1, 2, null)),
     .ropes = ROPE(1e4),
     .layers = ft_hf_layers_window},

    {.model_type = "ministral3",
     .models = "Ministral 3",
     .defaults = OBJECT(SIZES(131072, 4096, 14336, 34, 32, 8, 128, 262144) K(rms_norm_eps, 1e-5)
                        K(hidden_act, "silu") K(sliding_window, null)
                        K(tie_word_embeddings, false) TOKENS(1, 2, 11)),
     .ropes = ROPE(1e6),
     .rope_table = OBJECT(K(rope_type, "yarn") K(rope_theta, 1e6) K(factor, 16)
                          K(original_max_position_embeddings, 16384) K(mscale, 1)
                          K(mscale_all_dim, 1) LAST(llama_4_scaling_beta, 0.1)),
     .query_scaling = true,
     .layers = ft_hf_layers_window},

    {.model_type = "qwen2",
     .models = "Qwen 2 and 2.5",
     .defaults = OBJECT(SIZES(151936, 4096, 22016, 32, 32, 32, null, 32768) K(rms_norm_eps, 1e-6)
                        K(hidden_act, "silu") K(sliding_window, 4096) K(use_sliding_window, false)
                        K(max_window_layers, 28) K(tie_word_embeddings, false)
                        TOKENS(null, null, null)),
     .ropes = ROPE(1e4),
     .ia3_queries = true,
     .layers = ft_hf_layers_qwen},

    {.model_type = "qwen3",
     .models = "Qwen 3",
     .defaults = OBJECT(SIZES(151936, 4096, 22016, 32, 32, 32, 128, 32768) K(rms_norm_eps, 1e-6)
                        K(hidden_act, "silu") K(attention_bias, false) K(sliding_window, 4096)
                        K(use_sliding_window, false) K(max_window_layers, 28)
                        K(tie_word_embeddings, false) TOKENS(null, null, null)),
     .ropes = ROPE(1e4),
     .ia3_queries = true,
     .layers = ft_hf_layers_qwen},

    {.model_type = "gemma2",
     .models = "Gemma 2",
     .defaults = OBJECT(SIZES(256000, 2304, 9216, 26, 8, 4, 256, 8192) K(rms_norm_eps, 1e-6)
                        K(hidden_activation, "gelu_pytorch_tanh") K(attention_bias, false)
                        K(query_pre_attn_scalar, 256) K(attn_logit_softcapping, 50)
                        K(final_logit_softcapping, 30) K(sliding_window, 4096)
                        K(tie_word_embeddings, true) TOKENS(2, 1, 0)),
     .ropes = ROPE(1e4),
     .ignored = {"hidden_act"},
     .scale_embedding = true,
     .pattern = 2,
     .ia3_queries = true,
     .layers = ft_hf_layers_typed,
     .names = ft_hf_gemma_names},

    {.model_type = "gemma3_text",
     .models = "Gemma 3",
     .defaults = OBJECT(SIZES(262208, 2304, 9216, 26, 8, 4, 256, 131072) K(rms_norm_eps, 1e-6)
                        K(hidden_activation, "gelu_pytorch_tanh") K(attention_bias, false)
                        K(query_pre_attn_scalar, 256) K(final_logit_softcapping, null)
                        K(sliding_window, 4096) K(sliding_window_pattern, 6)
                        K(tie_word_embeddings, true) TOKENS(2, 1, 0)),
     .ropes = {{"full_attention", "rope_theta", 1e6, true},
               {"sliding_attention", "rope_local_base_freq", 1e4, false}},
     .scale_embedding = true,
     .ignored = {"attn_logit_softcapping", "hidden_act"},
     .pattern = 6,
     .pattern_key = "sliding_window_pattern",
     .ia3_queries = true,
     .layers = ft_hf_layers_typed,
     .names = ft_hf_gemma_names},

    {.model_type = "phi3",
     .models = "Phi 3, 3.5 and 4",
     .defaults = OBJECT(SIZES(32064, 3072, 8192, 32, 32, null, null, 4096)
                        K(original_max_position_embeddings, 4096) K(rms_norm_eps, 1e-5)
                        K(hidden_act, "silu") K(sliding_window, null)
                        K(tie_word_embeddings, false) TOKENS(1, 32000, 32000)),
     .ropes = ROPE(1e4),
     .partial_rotation = true,
     .only_longrope = true,
     .layers = ft_hf_layers_window,
     .names = ft_hf_phi_names},

    {.model_type = "smollm3",
     .models = "SmolLM3",
     .defaults = OBJECT(SIZES(128256, 2048, 11008, 36, 16, 4, null, 32768) K(rms_norm_eps, 1e-6)
                        K( hidden_act, "silu") K(attention_bias, false) K(mlp_bias, false)
                        K(sliding_window, null) K(use_sliding_window, false)
                        K(no_rope_layers, null) K(no_rope_layer_interval, 4)
                        K(tie_word_embeddings, true) TOKENS(128000, 128001, 128004)),
     .ropes = ROPE(2e6),
     .layers = ft_hf_layers_smollm},

    {.model_type = "granite",
     .models = "Granite 3",
     .defaults = OBJECT(SIZES(32000, 4096, 11008, 32, 32, null, null, 2048) K(rms_norm_eps, 1e-6)
                        K(hidden_act, "silu") K(attention_bias, false) K(mlp_bias, false)
                        K(embedding_multiplier, 1) K(attention_multiplier, 1)
                        K(residual_multiplier, 1) K(logits_scaling, 1)
                        K(tie_word_embeddings, false) TOKENS(1, 2, null)),
     .ropes = ROPE(1e4),
     .layers = ft_hf_layers_full},

    {.model_type = "granitemoehybrid",
     .form = "granite",
     .models = "Granite 4 without experts and state layers",
     .defaults = OBJECT(K(vocab_size, 32000) K(hidden_size, 4096)
                        K(shared_intermediate_size, 1024) K(num_hidden_layers, 32)
                        K(num_attention_heads, 32) K(num_key_value_heads, null) K(head_dim, null)
                        K(max_position_embeddings, 2048) K(rms_norm_eps, 1e-6)
                        K(hidden_act, "silu") K(attention_bias, false) K(embedding_multiplier, 1)
                        K(attention_multiplier, 1) K(residual_multiplier, 1) K(logits_scaling, 1)
                        K(num_local_experts, 8) K(position_embedding_type, null)
                        K(tie_word_embeddings, false) TOKENS(1, 2, null)),
     .ropes = ROPE(1e4),
     .ignored = {"intermediate_size", "mamba_chunk_size", "mamba_conv_bias", "mamba_d_conv",
                 "mamba_d_head", "mamba_d_state", "mamba_expand", "mamba_n_groups", "mamba_n_heads",
                 "mamba_proj_bias", "time_step_limit"},
     .layers = ft_hf_layers_granite_hybrid,
     .names = ft_hf_granite_hybrid_names},

    {.model_type = "olmo2",
     .models = "OLMo 2",
     .defaults = OBJECT(SIZES(50304, 4096, 11008, 32, 32, null, null, 2048) K(rms_norm_eps, 1e-5)
                        K(hidden_act, "silu") K(attention_bias, false)
                        K(tie_word_embeddings, false) TOKENS(null, 50279, 1)),
     .ropes = ROPE(1e4),
     .layers = ft_hf_layers_full},

    {.model_type = "olmo3",
     .models = "OLMo 3",
     .defaults = OBJECT(SIZES(50304, 4096, 11008, 32, 32, null, null, 2048) K(rms_norm_eps, 1e-5)
                        K(hidden_act, "silu") K(attention_bias, false) K(sliding_window, 4096)
                        K(tie_word_embeddings, false) TOKENS(null, 50279, 1)),
     .ropes = {{"full_attention", "rope_theta", 5e5, true},
               {"sliding_attention", NULL, 5e5, false}},
     .pattern = 4,
     .layers = ft_hf_layers_typed},

    {.model_type = "glm4",
     .models = "GLM-4 0414",
     .defaults =
         OBJECT(SIZES(151552, 4096, 13696, 40, 32, 2, 128, 131072) K(rms_norm_eps, 1.5625e-07)
                    K(hidden_act, "silu") K(attention_bias, true) K(tie_word_embeddings, false)
                        K(bos_token_id, null) K(eos_token_id, [ 151329, 151336, 151338 ])
                            LAST(pad_token_id, 151329)),
     .ropes = ROPE(1e4),
     .partial = 0.5,
     .partial_rotation = true,
     .qkv_bias_only = true,
     .layers = ft_hf_layers_full,
     .names = ft_hf_glm_names},

    {.model_type = "seed_oss",
     .models = "Seed-OSS",
     .defaults = OBJECT(SIZES(155136, 4096, 27648, 64, 80, 8, 128, 524288) K(rms_norm_eps, 1e-6)
                        K( hidden_act, "silu") K(attention_bias, true)
                        K(attention_out_bias, false) K(mlp_bias, false) K(attention_dropout, 0.1)
                        K(residual_dropout, 0.1) K(tie_word_embeddings, false) TOKENS(0, 2, 1)),
     .ropes = ROPE(1e4),
     .qkv_bias_only = true,
     .layers = ft_hf_layers_full},

    {.model_type = "ernie4_5",
     .models = "ERNIE 4.5, the dense ones",
     .defaults = OBJECT(SIZES(103424, 1024, 3072, 18, 16, 2, 128, 131072) K(rms_norm_eps, 1e-5)
                        K(hidden_act, "silu") K(use_bias, false)
                        K(tie_word_embeddings, true) TOKENS(1, 2, 0)),
     .ropes = ROPE(5e5),
     .layers = ft_hf_layers_full},

    {.model_type = "exaone4",
     .models = "EXAONE 4",
     .defaults = OBJECT(SIZES(102400, 4096, 16384, 32, 32, 32, null, 2048) K(rms_norm_eps, 1e-5)
                        K( hidden_act, "silu") K(sliding_window, 4096)
                        K(sliding_window_pattern, 4) K(tie_word_embeddings, false)
                        TOKENS(0, 2, null)),
     .ropes = ROPE(1e4),
     .pattern = 4,
     .pattern_key = "sliding_window_pattern",
     .layers = ft_hf_layers_exaone},

    {.model_type = "arcee",
     .models = "Arcee (AFM)",
     .defaults = OBJECT(SIZES(32000, 2560, 18432, 32, 32, null, null, 4096) K(rms_norm_eps, 1e-5)
                        K(hidden_act, "relu2") K(attention_bias, false) K(mlp_bias, false)
                        K(tie_word_embeddings, false) TOKENS(128000, 128001, null)),
     .ropes = ROPE(1e4),
     .layers = ft_hf_layers_full},

    {.model_type = "apertus",
     .models = "Apertus",
     .defaults = OBJECT(SIZES(131072, 4096, 14336, 32, 32, null, null, 65536)
                        K(rms_norm_eps, 1e-5) K(hidden_act, "xielu") K(attention_bias, false)
                        K(tie_word_embeddings, false) TOKENS(1, 2, 3)),
     .ropes = ROPE(1.2e7),
     .rope_table = OBJECT(K(rope_type, "llama3") K(factor, 8) K(low_freq_factor, 1)
                          K(high_freq_factor, 4) LAST(original_max_position_embeddings, 8192)),
     .layers = ft_hf_layers_full,
     .names = ft_hf_apertus_names},

    {.model_type = "hunyuan_v1_dense",
     .models = "Hunyuan dense",
     .defaults = OBJECT(SIZES(290943, 4096, 11008, 32, 32, null, "required", 2048)
                        K(rms_norm_eps, 1e-5) K(hidden_act, "silu") K(attention_bias, false)
                        K(tie_word_embeddings, false) TOKENS(1, 2, 0)),
     .ropes = ROPE(1e4),
     .ignored = {"num_experts"},
     .dynamic_alpha = true,
     .layers = ft_hf_layers_full,
     .names = ft_hf_hunyuan_names},

    {.model_type = "starcoder2",
     .models = "StarCoder2",
     .defaults = OBJECT(SIZES(49152, 3072, 12288, 30, 24, 2, null, 4096) K(norm_epsilon, 1e-05)
                        K( hidden_act, "gelu_pytorch_tanh") K(use_bias, true)
                        K(sliding_window, null) K(tie_word_embeddings, true)
                        TOKENS(50256, 50256, null)),
     .ropes = ROPE(1e4),
     .layers = ft_hf_layers_window,
     .names = ft_hf_starcoder_names},

    {.model_type = "gpt2",
     .architecture = "LMHeadModel",
     .models = "GPT-2",
     .defaults =
         OBJECT(K(vocab_size, 50257) K(n_embd, 768) K(n_inner, null) K(n_layer, 12) K(n_head, 12)
                    K(n_positions, 1024) K(layer_norm_epsilon, 1e-05)
                        K(activation_function, "gelu_new") K(scale_attn_weights, true)
                            K(scale_attn_by_inverse_layer_idx, false) K(attn_pdrop, 0.1)
                                K(embd_pdrop, 0.1) K(resid_pdrop, 0.1) K(tie_word_embeddings, true)
                                    K(bos_token_id, 50256) LAST(eos_token_id, 50256)),
     .layers = ft_hf_layers_full,
     .body = "transformer.",
     .names = ft_hf_gpt2_names,
     .unused = ft_hf_gpt2_unused},

#define BERT_DEFAULTS                                                                              \
  OBJECT(K(vocab_size, 30522) K(hidden_size, 768) K(intermediate_size, 3072)                       \
         K(num_hidden_layers, 12) K(num_attention_heads, 12) K(max_position_embeddings, 512)       \
         K(type_vocab_size, 2) K(layer_norm_eps, 1e-12) K(hidden_act, "gelu")                      \
         K(hidden_dropout_prob, 0.1) K(attention_probs_dropout_prob, 0.1)                          \
         K(classifier_dropout, null) K(position_embedding_type, "absolute")                        \
         K(tie_word_embeddings, true) TOKENS(null, null, 0))

    {.model_type = "bert",
     .architecture = "ForMaskedLM",
     .form = "bert-masked",
     .models = "BERT, masked tokens",
     .defaults = BERT_DEFAULTS,
     .only = OBJECT(K(is_decoder, false) LAST(position_embedding_type, "absolute")),
     .transform_as_layers = true,
     .layers = ft_hf_layers_full,
     .body = "bert.",
     .names = ft_hf_bert_mlm_names,
     .unused = ft_hf_bert_mlm_unused},

    {.model_type = "bert",
     .architecture = "ForSequenceClassification",
     .form = "bert-classes",
     .models = "BERT, classes",
     .defaults = BERT_DEFAULTS,
     .only = OBJECT(K(is_decoder, false) LAST(position_embedding_type, "absolute")),
     .layers = ft_hf_layers_full,
     .body = "bert.",
     .names = ft_hf_bert_classes_names,
     .unused = ft_hf_bert_classes_unused},

#define MODERNBERT_DEFAULTS                                                                        \
  OBJECT(K(vocab_size, 50368) K(hidden_size, 768) K(intermediate_size, 1152)                       \
         K(num_hidden_layers, 22) K(num_attention_heads, 12) K(max_position_embeddings, 8192)      \
         K(norm_eps, 1e-05) K(hidden_activation, "gelu") K(classifier_activation, "gelu")          \
         K(local_attention, 128)                   \
         K(global_attn_every_n_layers, 3) K(attention_dropout, 0) K(embedding_dropout, 0)          \
         K(mlp_dropout, 0) K(classifier_dropout, 0) K(classifier_pooling, "cls")                   \
         K(tie_word_embeddings, true) TOKENS(50281, 50282, 50283))
#define MODERNBERT_IGNORED {"layer_norm_eps", "position_embedding_type"}
#define MODERNBERT_ONLY                                                                            \
  K(attention_bias, false) K(mlp_bias, false) K(norm_bias, false) K(decoder_bias, true)            \
  LAST(classifier_bias, false)
#define MODERNBERT_ROPES                                                                           \
  {                                                                                                \
    {"full_attention", "global_rope_theta", 160000, false}, {                                      \
      "sliding_attention", "local_rope_theta", 10000, false                                        \
    }                                                                                              \
  }

    {.model_type = "modernbert",
     .architecture = "ForMaskedLM",
     .form = "modernbert-masked",
     .models = "ModernBERT, masked tokens",
     .defaults = MODERNBERT_DEFAULTS,
     .only = OBJECT(MODERNBERT_ONLY),
     .ignored = MODERNBERT_IGNORED,
     .ropes = MODERNBERT_ROPES,
     .pattern = 3,
     .first_full = true,
     .pattern_key = "global_attn_every_n_layers",
     .layers = ft_hf_layers_modernbert,
     .names = ft_hf_modernbert_mlm_names},

    {.model_type = "modernbert",
     .architecture = "ForSequenceClassification",
     .form = "modernbert-classes",
     .models = "ModernBERT, classes",
     .defaults = MODERNBERT_DEFAULTS,
     .only = OBJECT(MODERNBERT_ONLY),
     .ignored = MODERNBERT_IGNORED,
     .ropes = MODERNBERT_ROPES,
     .pattern = 3,
     .first_full = true,
     .pattern_key = "global_attn_every_n_layers",
     .layers = ft_hf_layers_modernbert,
     .names = ft_hf_modernbert_classes_names},
};
/* clang-format on */

const int ft_hf_num_families = (int)FT_ARRAY_SIZE(ft_hf_families);

static const ft_hf_composite composites[] = {{"gemma3", "gemma3_text"}, {"mistral3", "mistral"}};

const ft_hf_composite *ft_hf_find_composite(const char *model_type) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(composites); i++)
    if (strcmp(composites[i].model_type, model_type) == 0) return &composites[i];
  return NULL;
}
