/* The families: names of their tensors. */
#include "family.h"

#define ONE(role, name)                                                                            \
  { name, {FT_ROLE_##role}, 1, false }
#define ROWS2(first, second, name)                                                                 \
  { name, {FT_ROLE_##first, FT_ROLE_##second}, 2, false }
#define ROWS3(first, second, third, name)                                                          \
  { name, {FT_ROLE_##first, FT_ROLE_##second, FT_ROLE_##third}, 3, false }
#define COLUMNS(role, name)                                                                        \
  { name, {FT_ROLE_##role}, 1, true }
#define COLUMNS3(first, second, third, name)                                                       \
  { name, {FT_ROLE_##first, FT_ROLE_##second, FT_ROLE_##third}, 3, true }
#define END                                                                                        \
  { 0 }

/* ---------------------------------------------------------------- names */

const ft_hf_name ft_hf_llama_names[] = {
    ONE(EMBEDDING, "~embed_tokens.weight"),
    ONE(Q, "~layers.*.self_attn.q_proj.weight"),
    ONE(Q_BIAS, "~layers.*.self_attn.q_proj.bias"),
    ONE(K, "~layers.*.self_attn.k_proj.weight"),
    ONE(K_BIAS, "~layers.*.self_attn.k_proj.bias"),
    ONE(V, "~layers.*.self_attn.v_proj.weight"),
    ONE(V_BIAS, "~layers.*.self_attn.v_proj.bias"),
    ONE(O, "~layers.*.self_attn.o_proj.weight"),
    ONE(O_BIAS, "~layers.*.self_attn.o_proj.bias"),
    ONE(Q_NORM, "~layers.*.self_attn.q_norm.weight"),
    ONE(K_NORM, "~layers.*.self_attn.k_norm.weight"),
    ONE(GATE, "~layers.*.mlp.gate_proj.weight"),
    ONE(GATE_BIAS, "~layers.*.mlp.gate_proj.bias"),
    ONE(UP, "~layers.*.mlp.up_proj.weight"),
    ONE(UP_BIAS, "~layers.*.mlp.up_proj.bias"),
    ONE(DOWN, "~layers.*.mlp.down_proj.weight"),
    ONE(DOWN_BIAS, "~layers.*.mlp.down_proj.bias"),
    ONE(ATTN_NORM, "~layers.*.input_layernorm.weight"),
    ONE(ATTN_NORM_BIAS, "~layers.*.input_layernorm.bias"),
    ONE(ATTN_POST_NORM, "~layers.*.post_attention_layernorm.weight"),
    ONE(MLP_NORM, "~layers.*.post_attention_layernorm.weight"),
    ONE(MLP_NORM_BIAS, "~layers.*.post_attention_layernorm.bias"),
    ONE(MLP_POST_NORM, "~layers.*.post_feedforward_layernorm.weight"),
    ONE(FINAL_NORM, "~norm.weight"),
    ONE(FINAL_NORM_BIAS, "~norm.bias"),
    ONE(HEAD, "lm_head.weight"),
    END};

const ft_hf_name ft_hf_gemma_names[] = {ONE(MLP_NORM, "~layers.*.pre_feedforward_layernorm.weight"),
                                        END};

const ft_hf_name ft_hf_phi_names[] = {ROWS3(Q, K, V, "~layers.*.self_attn.qkv_proj.weight"),
                                      ROWS2(GATE, UP, "~layers.*.mlp.gate_up_proj.weight"), END};

const ft_hf_name ft_hf_glm_names[] = {
    ROWS2(GATE, UP, "~layers.*.mlp.gate_up_proj.weight"),
    ONE(ATTN_POST_NORM, "~layers.*.post_self_attn_layernorm.weight"),
    ONE(MLP_POST_NORM, "~layers.*.post_mlp_layernorm.weight"), END};

const ft_hf_name ft_hf_granite_hybrid_names[] = {
    ROWS2(GATE, UP, "~layers.*.shared_mlp.input_linear.weight"),
    ONE(DOWN, "~layers.*.shared_mlp.output_linear.weight"), END};

const ft_hf_name ft_hf_apertus_names[] = {ONE(ATTN_NORM, "~layers.*.attention_layernorm.weight"),
                                          ONE(MLP_NORM, "~layers.*.feedforward_layernorm.weight"),
                                          ONE(ALPHA_P, "~layers.*.mlp.act_fn.alpha_p"),
                                          ONE(ALPHA_N, "~layers.*.mlp.act_fn.alpha_n"),
                                          ONE(XIELU_BETA, "~layers.*.mlp.act_fn.beta"),
                                          ONE(XIELU_EPS, "~layers.*.mlp.act_fn.eps"),
                                          END};

const ft_hf_name ft_hf_hunyuan_names[] = {ONE(Q_NORM, "~layers.*.self_attn.query_layernorm.weight"),
                                          ONE(K_NORM, "~layers.*.self_attn.key_layernorm.weight"),
                                          END};

const ft_hf_name ft_hf_starcoder_names[] = {
    ONE(UP, "~layers.*.mlp.c_fc.weight"), ONE(UP_BIAS, "~layers.*.mlp.c_fc.bias"),
    ONE(DOWN, "~layers.*.mlp.c_proj.weight"), ONE(DOWN_BIAS, "~layers.*.mlp.c_proj.bias"), END};

const ft_hf_name ft_hf_gpt2_names[] = {ONE(EMBEDDING, "~wte.weight"),
                                       ONE(POSITIONS, "~wpe.weight"),
                                       ONE(ATTN_NORM, "~h.*.ln_1.weight"),
                                       ONE(ATTN_NORM_BIAS, "~h.*.ln_1.bias"),
                                       COLUMNS3(Q, K, V, "~h.*.attn.c_attn.weight"),
                                       ROWS3(Q_BIAS, K_BIAS, V_BIAS, "~h.*.attn.c_attn.bias"),
                                       COLUMNS(O, "~h.*.attn.c_proj.weight"),
                                       ONE(O_BIAS, "~h.*.attn.c_proj.bias"),
                                       ONE(MLP_NORM, "~h.*.ln_2.weight"),
                                       ONE(MLP_NORM_BIAS, "~h.*.ln_2.bias"),
                                       COLUMNS(UP, "~h.*.mlp.c_fc.weight"),
                                       ONE(UP_BIAS, "~h.*.mlp.c_fc.bias"),
                                       COLUMNS(DOWN, "~h.*.mlp.c_proj.weight"),
                                       ONE(DOWN_BIAS, "~h.*.mlp.c_proj.bias"),
                                       ONE(FINAL_NORM, "~ln_f.weight"),
                                       ONE(FINAL_NORM_BIAS, "~ln_f.bias"),
                                       END};

#define BERT_BODY                                                                                  \
  ONE(EMBEDDING, "~embeddings.word_embeddings.weight"),                                            \
      ONE(POSITIONS, "~embeddings.position_embeddings.weight"),                                    \
      ONE(TOKEN_TYPES, "~embeddings.token_type_embeddings.weight"),                                \
      ONE(EMBEDDING_NORM, "~embeddings.LayerNorm.weight"),                                         \
      ONE(EMBEDDING_NORM_BIAS, "~embeddings.LayerNorm.bias"),                                      \
      ONE(Q, "~encoder.layer.*.attention.self.query.weight"),                                      \
      ONE(Q_BIAS, "~encoder.layer.*.attention.self.query.bias"),                                   \
      ONE(K, "~encoder.layer.*.attention.self.key.weight"),                                        \
      ONE(K_BIAS, "~encoder.layer.*.attention.self.key.bias"),                                     \
      ONE(V, "~encoder.layer.*.attention.self.value.weight"),                                      \
      ONE(V_BIAS, "~encoder.layer.*.attention.self.value.bias"),                                   \
      ONE(O, "~encoder.layer.*.attention.output.dense.weight"),                                    \
      ONE(O_BIAS, "~encoder.layer.*.attention.output.dense.bias"),                                 \
      ONE(ATTN_POST_NORM, "~encoder.layer.*.attention.output.LayerNorm.weight"),                   \
      ONE(ATTN_POST_NORM_BIAS, "~encoder.layer.*.attention.output.LayerNorm.bias"),                \
      ONE(UP, "~encoder.layer.*.intermediate.dense.weight"),                                       \
      ONE(UP_BIAS, "~encoder.layer.*.intermediate.dense.bias"),                                    \
      ONE(DOWN, "~encoder.layer.*.output.dense.weight"),                                           \
      ONE(DOWN_BIAS, "~encoder.layer.*.output.dense.bias"),                                        \
      ONE(MLP_POST_NORM, "~encoder.layer.*.output.LayerNorm.weight"),                              \
      ONE(MLP_POST_NORM_BIAS, "~encoder.layer.*.output.LayerNorm.bias")

const ft_hf_name ft_hf_bert_mlm_names[] = {
    BERT_BODY,
    ONE(HEAD_DENSE, "cls.predictions.transform.dense.weight"),
    ONE(HEAD_DENSE_BIAS, "cls.predictions.transform.dense.bias"),
    ONE(HEAD_NORM, "cls.predictions.transform.LayerNorm.weight"),
    ONE(HEAD_NORM_BIAS, "cls.predictions.transform.LayerNorm.bias"),
    ONE(HEAD_BIAS, "cls.predictions.bias"),
    ONE(HEAD, "cls.predictions.decoder.weight"),
    END};

const ft_hf_name ft_hf_bert_classes_names[] = {BERT_BODY,
                                               ONE(HEAD_DENSE, "~pooler.dense.weight"),
                                               ONE(HEAD_DENSE_BIAS, "~pooler.dense.bias"),
                                               ONE(HEAD, "classifier.weight"),
                                               ONE(HEAD_BIAS, "classifier.bias"),
                                               END};

#define MODERNBERT_BODY                                                                            \
  ONE(EMBEDDING, "~embeddings.tok_embeddings.weight"),                                             \
      ONE(EMBEDDING_NORM, "~embeddings.norm.weight"),                                              \
      ONE(ATTN_NORM, "~layers.*.attn_norm.weight"), ROWS3(Q, K, V, "~layers.*.attn.Wqkv.weight"),  \
      ONE(O, "~layers.*.attn.Wo.weight"), ONE(MLP_NORM, "~layers.*.mlp_norm.weight"),              \
      ROWS2(GATE, UP, "~layers.*.mlp.Wi.weight"), ONE(DOWN, "~layers.*.mlp.Wo.weight"),            \
      ONE(FINAL_NORM, "~final_norm.weight"), ONE(HEAD_DENSE, "head.dense.weight"),                 \
      ONE(HEAD_NORM, "head.norm.weight")

const ft_hf_name ft_hf_modernbert_mlm_names[] = {MODERNBERT_BODY, ONE(HEAD_BIAS, "decoder.bias"),
                                                 ONE(HEAD, "decoder.weight"), END};

const ft_hf_name ft_hf_modernbert_classes_names[] = {
    MODERNBERT_BODY, ONE(HEAD, "classifier.weight"), ONE(HEAD_BIAS, "classifier.bias"), END};

/* ---------------------------------------------------------------- tensors of no use */

/* Causal masks, which follow from nothing but the number of positions. */
const char *const ft_hf_gpt2_unused[] = {".attn.bias", NULL};
/* Numbers of positions, and the heads of the original's training beside the one that is used. */
const char *const ft_hf_bert_mlm_unused[] = {"embeddings.position_ids", "cls.seq_relationship.*",
                                             "bert.pooler.*", "cls.predictions.decoder.bias", NULL};
const char *const ft_hf_bert_classes_unused[] = {"embeddings.position_ids", NULL};
