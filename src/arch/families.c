/* What the families of models compute, apart from sizes and numbers, which each model's own
 * configuration has. Sources: the modelling code of transformers 5.24 for each name. */
#include <string.h>

#include "ft/arch.h"

/* A model of the general form: one kind of layer, scalars that change nothing. */
#define FORM(...)                                                                                  \
  {                                                                                                \
    .num_kinds = 1, .residual_scale = 1, .embedding_scale = 1, .logits_scale = 1,                  \
    .padding_token = -1, __VA_ARGS__                                                               \
  }
/* A causal decoder with rotary embeddings and RMS norms. */
#define DECODER(places, ...) FORM(.norm_places = places, .final_norm = true, __VA_ARGS__)
#define GATED .gated = true, .num_ropes = 1
#define PLAIN .gated = false, .num_ropes = 1
#define LAYER_NORM .norm = {.kind = FT_NORM_LAYER}, .norm_bias = true
#define BIASES .qkv_bias = true, .o_bias = true, .mlp_bias = true

#define BERT(head_kind, ...)                                                                       \
  FORM(LAYER_NORM, .norm_places = FT_NORM_AFTER_SUM, .two_way = true, BIASES,                      \
       .kinds = {{.rope = -1}}, .learned_positions = 1, .token_types = 1, .embedding_norm = true,  \
       .head = head_kind, .head_bias = true, __VA_ARGS__)
#define MODERNBERT(head_kind)                                                                      \
  FORM(.norm = {.kind = FT_NORM_LAYER}, .norm_places = FT_NORM_BEFORE, .two_way = true,            \
       .gated = true, .num_ropes = 2, .embedding_norm = true, .final_norm = true,                  \
       .head = head_kind, .head_bias = true,                                                       \
       .transform = {.dense = true, .norm = true, .activation = FT_ACT_GELU})

static const struct {
  const char *name;
  ft_arch form;
} forms[] = {
    {"llama", DECODER(FT_NORM_BEFORE, GATED)},
    {"mistral", DECODER(FT_NORM_BEFORE, GATED)},
    {"ministral3", DECODER(FT_NORM_BEFORE, GATED)},
    {"phi3", DECODER(FT_NORM_BEFORE, GATED)},
    {"smollm3", DECODER(FT_NORM_BEFORE, GATED)},
    {"granite", DECODER(FT_NORM_BEFORE, GATED)},
    {"seed_oss", DECODER(FT_NORM_BEFORE, GATED)},
    {"qwen2", DECODER(FT_NORM_BEFORE, GATED, .qkv_bias = true)},
    {"qwen3", DECODER(FT_NORM_BEFORE, GATED, .qk_norm = FT_QK_NORM_HEADS)},
    {"gemma2", DECODER(FT_NORM_BEFORE | FT_NORM_OUTPUT, GATED, .norm = {.plus_one = true})},
    {"gemma3_text", DECODER(FT_NORM_BEFORE | FT_NORM_OUTPUT, .gated = true, .num_ropes = 2,
                            .norm = {.plus_one = true}, .qk_norm = FT_QK_NORM_HEADS)},
    {"olmo2", DECODER(FT_NORM_OUTPUT, GATED, .qk_norm = FT_QK_NORM_WHOLE)},
    {"olmo3", DECODER(FT_NORM_OUTPUT, .gated = true, .num_ropes = 2, .qk_norm = FT_QK_NORM_WHOLE)},
    {"glm4", DECODER(FT_NORM_BEFORE | FT_NORM_OUTPUT, GATED, .ropes = {{.neighbours = true}})},
    {"ernie4_5", DECODER(FT_NORM_BEFORE, GATED, .ropes = {{.neighbours = true}})},
    {"exaone4", DECODER(FT_NORM_OUTPUT, GATED, .qk_norm = FT_QK_NORM_HEADS)},
    {"arcee", DECODER(FT_NORM_BEFORE, PLAIN)},
    {"apertus", DECODER(FT_NORM_BEFORE, PLAIN, .qk_norm = FT_QK_NORM_HEADS)},
    {"hunyuan_v1_dense", DECODER(FT_NORM_BEFORE, GATED, .qk_norm = FT_QK_NORM_HEADS_ROTATED)},
    {"starcoder2", DECODER(FT_NORM_BEFORE, PLAIN, LAYER_NORM)},
    {"gpt2",
     DECODER(FT_NORM_BEFORE, LAYER_NORM, BIASES, .kinds = {{.rope = -1}}, .learned_positions = 1)},
    {"bert-masked", BERT(FT_HEAD_TOKENS, .transform = {.dense = true,
                                                       .dense_bias = true,
                                                       .norm = true,
                                                       .activation = FT_ACT_GELU})},
    {"bert-classes",
     BERT(FT_HEAD_LABELS,
          .transform = {.dense = true, .dense_bias = true, .activation = FT_ACT_TANH})},
    {"modernbert-masked", MODERNBERT(FT_HEAD_TOKENS)},
    {"modernbert-classes", MODERNBERT(FT_HEAD_LABELS)},
};

const ft_arch *ft_arch_form(const char *name) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(forms); i++)
    if (strcmp(forms[i].name, name) == 0) return &forms[i].form;
  return NULL;
}
