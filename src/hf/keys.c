/* Keys of config.json that say how large a model is and which numbers it computes with. A key has
 * one meaning in all families that have it; families differ in which they have. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "family.h"

static const int64_t max_dimension = (int64_t)1 << 24;
static const double max_parameters = 1e13;

/* ---------------------------------------------------------------- the keys */

typedef enum form {
  SIZE,         /* int64_t, 1 to max; null where the family's default is null: 0, follows */
  NUMBER,       /* float, min to max; null: 0 */
  INVERSE,      /* its inverse, float */
  INVERSE_ROOT, /* the inverse of its root, float */
  FLAG,         /* bool */
  ACTIVATION
} form;

typedef struct key {
  const char *name;
  form form;
  size_t at; /* in ft_arch */
  double min, max;
} key;

#define AT(field) offsetof(ft_arch, field)

static const key keys[] = {
    {"vocab_size", SIZE, AT(vocab), 1, 1 << 24},
    {"hidden_size", SIZE, AT(hidden), 1, 1 << 24},
    {"n_embd", SIZE, AT(hidden), 1, 1 << 24},
    {"intermediate_size", SIZE, AT(ffn), 1, 1 << 24},
    {"shared_intermediate_size", SIZE, AT(ffn), 1, 1 << 24},
    {"n_inner", SIZE, AT(ffn), 1, 1 << 24},
    {"num_hidden_layers", SIZE, AT(layers), 1, FT_MAX_LAYERS},
    {"n_layer", SIZE, AT(layers), 1, FT_MAX_LAYERS},
    {"num_attention_heads", SIZE, AT(heads), 1, 1 << 24},
    {"n_head", SIZE, AT(heads), 1, 1 << 24},
    {"num_key_value_heads", SIZE, AT(kv_heads), 1, 1 << 24},
    {"head_dim", SIZE, AT(head_dim), 1, 1024},
    {"max_position_embeddings", SIZE, AT(max_positions), 1, 1 << 24},
    {"n_positions", SIZE, AT(max_positions), 1, 1 << 24},
    {"type_vocab_size", SIZE, AT(token_types), 1, 1 << 24},
    {"rms_norm_eps", NUMBER, AT(norm.eps), 0, 0.5},
    {"norm_epsilon", NUMBER, AT(norm.eps), 0, 0.5},
    {"layer_norm_epsilon", NUMBER, AT(norm.eps), 0, 0.5},
    {"layer_norm_eps", NUMBER, AT(norm.eps), 0, 0.5},
    {"norm_eps", NUMBER, AT(norm.eps), 0, 0.5},
    {"hidden_act", ACTIVATION, AT(activation), 0, 0},
    {"hidden_activation", ACTIVATION, AT(activation), 0, 0},
    {"activation_function", ACTIVATION, AT(activation), 0, 0},
    {"classifier_activation", ACTIVATION, AT(transform.activation), 0, 0},
    {"attention_bias", FLAG, AT(qkv_bias), 0, 0},
    {"attention_out_bias", FLAG, AT(o_bias), 0, 0},
    {"mlp_bias", FLAG, AT(mlp_bias), 0, 0},
    {"use_bias", FLAG, AT(mlp_bias), 0, 0},
    {"tie_word_embeddings", FLAG, AT(tied), 0, 0},
    {"query_pre_attn_scalar", INVERSE_ROOT, AT(attention_scale), 1e-6, 1e9},
    {"attention_multiplier", NUMBER, AT(attention_scale), 1e-9, 1e9},
    {"attn_logit_softcapping", NUMBER, AT(attention_softcap), 1e-6, 1e9},
    {"final_logit_softcapping", NUMBER, AT(logits_softcap), 1e-6, 1e9},
    {"embedding_multiplier", NUMBER, AT(embedding_scale), 1e-9, 1e9},
    {"residual_multiplier", NUMBER, AT(residual_scale), 1e-9, 1e9},
    {"logits_scaling", INVERSE, AT(logits_scale), 1e-9, 1e9},
    {"scale_attn_by_inverse_layer_idx", FLAG, AT(scale_by_layer), 0, 0},
};

static bool has_key(const ft_hf_reader *r, const char *name) {
  return ft_json_get(r->all.json, name) != NULL;
}

/* null in the file where the family's default is a value. */
static bool is_null(const ft_hf_reader *r, const char *name) {
  const cJSON *value = ft_json_get(r->all.json, name);
  return value && cJSON_IsNull(value);
}

static int64_t read_size(const ft_hf_reader *r, const key *k) {
  const cJSON *value = ft_json_get(r->all.json, k->name);
  if (cJSON_IsString(value) && strcmp(value->valuestring, "required") == 0) {
    ft_mistakes_add(r->all.mistakes, FT_ERR_DATA,
                    "%s is missing; this family has no other head width", k->name);
    return 0;
  }
  return ft_hf_int(&r->all, k->name, 0, (int64_t)k->min, (int64_t)k->max);
}

static ft_activation_kind read_activation(const ft_hf_reader *r, const char *name) {
  static const struct {
    const char *name;
    ft_activation_kind activation;
  } known[] = {{"silu", FT_ACT_SILU},          {"swish", FT_ACT_SILU},
               {"gelu", FT_ACT_GELU},          {"gelu_pytorch_tanh", FT_ACT_GELU_TANH},
               {"gelu_new", FT_ACT_GELU_TANH}, {"gelu_fast", FT_ACT_GELU_TANH},
               {"relu", FT_ACT_RELU},          {"relu2", FT_ACT_RELU2},
               {"xielu", FT_ACT_XIELU}};
  const char *found = ft_hf_string(&r->all, name, "silu");
  for (size_t i = 0; i < FT_ARRAY_SIZE(known); i++)
    if (strcmp(found, known[i].name) == 0) return known[i].activation;
  ft_mistakes_add(r->all.mistakes, FT_ERR_DATA,
                  "%s \"%.40s\" is not supported; supported are \"silu\", \"gelu\", "
                  "\"gelu_pytorch_tanh\", \"gelu_new\", \"relu\", \"relu2\" and \"xielu\"",
                  name, found);
  return FT_ACT_SILU;
}

static void read_key(const ft_hf_reader *r, const key *k) {
  void *field = (char *)r->arch + k->at;
  double number = 0;
  if (k->form == NUMBER || k->form == INVERSE || k->form == INVERSE_ROOT)
    number = ft_hf_number(&r->all, k->name, 0, k->min, k->max);
  switch (k->form) {
  case SIZE:
    *(int64_t *)field = read_size(r, k);
    break;
  case NUMBER:
    *(float *)field = (float)number;
    break;
  case INVERSE:
    *(float *)field = number > 0 ? (float)(1 / number) : 1;
    break;
  case INVERSE_ROOT:
    *(float *)field = number > 0 ? (float)(1 / sqrt(number)) : 0;
    break;
  case FLAG:
    *(bool *)field = ft_hf_bool(&r->all, k->name, false);
    break;
  case ACTIVATION:
    *(ft_activation_kind *)field = read_activation(r, k->name);
  }
}

/* ---------------------------------------------------------------- what follows from them */

/* A head width in a family that has no such key, which it may only repeat. */
static void check_head_dim(const ft_hf_reader *r, int64_t head_dim) {
  if (ft_json_get(r->defaults, "head_dim") || !ft_hf_has(&r->file, "head_dim")) return;
  int64_t found = ft_hf_int(&r->file, "head_dim", head_dim, 1, max_dimension);
  if (found != head_dim)
    ft_mistakes_add(r->all.mistakes, FT_ERR_DATA,
                    "head_dim is %lld, but the heads of a %s model share its width, %lld each",
                    (long long)found, r->family->model_type, (long long)head_dim);
}

/* How the heads divide the width; only called when the numbers themselves are in range. */
static void complete_heads(const ft_hf_reader *r, ft_arch *a) {
  if (a->kv_heads == 0) a->kv_heads = a->heads;
  if (a->head_dim == 0) {
    if (a->hidden % a->heads != 0)
      ft_mistakes_add(r->all.mistakes, FT_ERR_DATA,
                      "hidden_size (%lld) is not a multiple of num_attention_heads (%lld), and "
                      "head_dim is not given",
                      (long long)a->hidden, (long long)a->heads);
    a->head_dim = FT_MAX(a->hidden / a->heads, 1);
    if (a->hidden % a->heads != 0) return;
    check_head_dim(r, a->head_dim);
  }
  if (a->head_dim % 2 != 0 && a->num_ropes > 0)
    ft_mistakes_add(r->all.mistakes, FT_ERR_DATA,
                    "head_dim is %lld; the rotary embedding needs an even one",
                    (long long)a->head_dim);
  if (a->heads % a->kv_heads != 0)
    ft_mistakes_add(r->all.mistakes, FT_ERR_DATA,
                    "num_attention_heads (%lld) is not a multiple of num_key_value_heads (%lld)",
                    (long long)a->heads, (long long)a->kv_heads);
}

static void check_size(const ft_hf_reader *r, const ft_arch *a) {
  double q = (double)a->heads * (double)a->head_dim, kv = (double)a->kv_heads * (double)a->head_dim;
  double layer = (double)a->hidden * (2 * q + 2 * kv + 3 * (double)a->ffn);
  double total = 2 * (double)a->vocab * (double)a->hidden + (double)a->layers * layer;
  if (total > max_parameters)
    ft_mistakes_add(r->all.mistakes, FT_ERR_DATA,
                    "its dimensions make a model of %.3g parameters; at most %g are supported",
                    total, max_parameters);
}

static void check_nulls(const ft_hf_reader *r) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(keys); i++) {
    bool follows = strcmp(keys[i].name, "num_key_value_heads") == 0 ||
                   strcmp(keys[i].name, "head_dim") == 0 || strcmp(keys[i].name, "n_inner") == 0;
    if (keys[i].form == SIZE && !follows && is_null(r, keys[i].name))
      ft_mistakes_add(r->all.mistakes, FT_ERR_DATA,
                      "%s is null; expected is an integer from 1 to %lld", keys[i].name,
                      (long long)keys[i].max);
  }
}

/* The row of the padding token is not trained by being looked up; one that the vocabulary does not
 * have is there by default only. */
static void read_padding(const ft_hf_reader *r, ft_arch *a) {
  bool given = ft_hf_has(&r->file, "pad_token_id");
  a->padding_token = -1;
  if (!has_key(r, "pad_token_id")) return;
  int64_t token = ft_hf_int(&r->all, "pad_token_id", -1, -1, given ? a->vocab - 1 : INT64_MAX / 4);
  if (token < a->vocab) a->padding_token = token;
}

static void read_labels(const ft_hf_reader *r, ft_arch *a) {
  const cJSON *names = ft_json_get(r->all.json, "id2label");
  if (a->head == FT_HEAD_TOKENS) return;
  a->tied = false;
  a->num_labels = cJSON_IsObject(names) ? cJSON_GetArraySize(names)
                                        : ft_hf_int(&r->all, "num_labels", 2, 1, max_dimension);
}

/* Which of a document's tokens tell its class. */
static void read_pooling(const ft_hf_reader *r, ft_arch *a) {
  const char *found = ft_hf_string(&r->all, "classifier_pooling", "cls");
  if (a->head == FT_HEAD_TOKENS || !has_key(r, "classifier_pooling")) return;
  if (strcmp(found, "mean") == 0)
    a->pooling = FT_POOL_MEAN;
  else if (strcmp(found, "cls") != 0)
    ft_mistakes_add(r->all.mistakes, FT_ERR_DATA,
                    "classifier_pooling \"%.40s\" is not supported; supported are \"cls\" and "
                    "\"mean\"",
                    found);
}

void ft_hf_read_keys(const ft_hf_reader *r) {
  ft_arch *a = r->arch;
  int64_t before = r->all.mistakes->count;
  check_nulls(r);
  for (size_t i = 0; i < FT_ARRAY_SIZE(keys); i++)
    if (ft_json_get(r->defaults, keys[i].name)) read_key(r, &keys[i]);
  if (has_key(r, "attention_bias") && !r->family->qkv_bias_only) a->o_bias = a->qkv_bias;
  if (has_key(r, "use_bias")) a->qkv_bias = a->o_bias = a->mlp_bias;
  if (a->learned_positions > 0) a->learned_positions = a->max_positions;
  if (a->ffn == 0) a->ffn = 4 * a->hidden;
  if (r->family->transform_as_layers) a->transform.activation = a->activation;
  a->round_embedding_scale = r->family->scale_embedding;
  if (r->family->scale_embedding) a->embedding_scale = (float)sqrt((double)a->hidden);
  if (has_key(r, "scale_attn_weights") && !ft_hf_bool(&r->all, "scale_attn_weights", true))
    a->attention_scale = 1;
  read_padding(r, a);
  read_labels(r, a);
  read_pooling(r, a);
  if (a->heads > 0 && a->hidden > 0) complete_heads(r, a);
  if (r->all.mistakes->count == before) check_size(r, a);
}

/* ---------------------------------------------------------------- keys of other families */

/* What ropes and layers are read from, beside the keys above. max_window_layers is not among them:
 * it asks for nothing without use_sliding_window. */
static const char *const other_keys[] = {"sliding_window",
                                         "use_sliding_window",
                                         "sliding_window_pattern",
                                         "no_rope_layers",
                                         "no_rope_layer_interval",
                                         "local_attention",
                                         "global_attn_every_n_layers",
                                         "rope_local_base_freq",
                                         "global_rope_theta",
                                         "local_rope_theta",
                                         "scale_attn_weights",
                                         "position_embedding_type"};

/* What must have one value everywhere. */
static const char only_values[] =
    "{\"num_experts\":0,\"num_local_experts\":0,\"is_encoder_decoder\":false,"
    "\"add_cross_attention\":false,\"use_bidirectional_attention\":false,\"is_causal\":true}";

/* What may stand in any config without a meaning for what is computed here. */
static const char *const harmless[] = {"architectures",
                                       "model_type",
                                       "transformers_version",
                                       "torch_dtype",
                                       "dtype",
                                       "use_cache",
                                       "_name_or_path",
                                       "auto_map",
                                       "tokenizer_class",
                                       "initializer_range",
                                       "initializer_cutoff_factor",
                                       "bos_token_id",
                                       "eos_token_id",
                                       "pad_token_id",
                                       "sep_token_id",
                                       "cls_token_id",
                                       "mask_token_id",
                                       "unk_token_id",
                                       "eod_token_id",
                                       "id2label",
                                       "label2id",
                                       "num_labels",
                                       "problem_type",
                                       "output_attentions",
                                       "output_hidden_states",
                                       "return_dict",
                                       "chunk_size_feed_forward",
                                       "gradient_checkpointing",
                                       "pretraining_tp",
                                       "rope_theta",
                                       "rope_scaling",
                                       "rope_parameters",
                                       "partial_rotary_factor",
                                       "original_max_position_embeddings",
                                       "layer_types",
                                       "_attn_implementation",
                                       "_attn_implementation_autoset",
                                       "attn_implementation",
                                       "quantization_config",
                                       "task_specific_params",
                                       "summary_activation",
                                       "summary_first_dropout",
                                       "summary_proj_to_labels",
                                       "summary_type",
                                       "summary_use_proj",
                                       "reorder_and_upcast_attn",
                                       "n_ctx",
                                       "_sliding_window_pattern",
                                       "cache_implementation",
                                       "sparse_prediction",
                                       "sparse_pred_ignore_index",
                                       "deterministic_flash_attn",
                                       "reference_compile",
                                       "repad_logits_with_grad",
                                       "output_router_logits",
                                       "router_aux_loss_coef",
                                       "num_experts_per_tok",
                                       "_commit_hash",
                                       "max_window_layers",
                                       "unsloth_version",
                                       "unsloth_fixed",
                                       "resid_pdrop",
                                       "embd_pdrop",
                                       "attn_pdrop"};

static bool is_one_of(const char *name, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

static bool is_key(const char *name) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(keys); i++)
    if (strcmp(name, keys[i].name) == 0) return true;
  return is_one_of(name, other_keys, FT_ARRAY_SIZE(other_keys));
}

/* null, false, 0 and no list at all ask for nothing. */
static bool is_nothing(const cJSON *value) {
  return cJSON_IsNull(value) || cJSON_IsFalse(value) ||
         (cJSON_IsNumber(value) && fabs(value->valuedouble) <= 0) ||
         ((cJSON_IsArray(value) || cJSON_IsObject(value)) && !value->child);
}

static bool is_dropout(const char *name) {
  return strstr(name, "dropout") || strstr(name, "_pdrop");
}

/* Keys that are read elsewhere (the base of a rotary embedding, beside its table), or not at all.
 */
static bool is_elsewhere(const ft_hf_family *f, const char *name) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(f->ignored) && f->ignored[i]; i++)
    if (strcmp(name, f->ignored[i]) == 0) return true;
  for (size_t i = 0; i < FT_ARRAY_SIZE(f->ropes); i++)
    if (f->ropes[i].theta_key && strcmp(name, f->ropes[i].theta_key) == 0) return true;
  return false;
}

static void check_only(const ft_hf_reader *r, const cJSON *allowed) {
  for (const cJSON *only = allowed ? allowed->child : NULL; only; only = only->next) {
    char found[80], expected[80];
    const cJSON *value = ft_json_get(r->all.json, only->string);
    if (!value || cJSON_IsNull(value) || cJSON_Compare(value, only, true)) continue;
    if (is_elsewhere(r->family, only->string)) continue;
    ft_hf_show(value, found, sizeof found);
    ft_hf_show(only, expected, sizeof expected);
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA, "%s %s is not supported, only %s", only->string,
                    found, expected);
  }
}

/* Keys of the file that this family does not have. */
static ft_err check_others(const ft_hf_reader *r, const cJSON *only, const cJSON *own_only,
                           char **unknown) {
  ft_err err = FT_OK;
  for (const cJSON *item = r->file.json->child; item; item = item->next) {
    const char *name = item->string;
    char found[80], *longer;
    if (ft_json_get(r->defaults, name) || ft_json_get(only, name)) continue;
    if (strcmp(name, "head_dim") == 0) continue; /* check_head_dim */
    if (own_only && ft_json_get(own_only, name)) continue;
    if (is_elsewhere(r->family, name)) continue;
    if (is_one_of(name, harmless, FT_ARRAY_SIZE(harmless)) || is_nothing(item)) continue;
    ft_hf_show(item, found, sizeof found);
    if (is_key(name)) {
      ft_mistakes_add(r->file.mistakes, FT_ERR_DATA,
                      "%s %s means nothing in a %s model, but would in others", name, found,
                      r->family->model_type);
    } else if (!is_dropout(name)) {
      FT_TRY(ft_format(&longer, "%s%s%.60s", *unknown ? *unknown : "", *unknown ? ", " : "", name));
      ft_free(*unknown);
      *unknown = longer;
    }
  }
out:
  return err;
}

ft_err ft_hf_check_keys(const ft_hf_reader *r, char **unknown) {
  cJSON *only = cJSON_Parse(only_values);
  cJSON *own_only = r->family->only ? cJSON_Parse(r->family->only) : NULL;
  *unknown = NULL;
  if (!only || (r->family->only && !own_only)) {
    cJSON_Delete(only);
    return ft_fail(FT_ERR_MEMORY, "no memory for the keys of a config");
  }
  check_only(r, only);
  check_only(r, own_only);
  ft_err err = check_others(r, only, own_only, unknown);
  cJSON_Delete(only);
  cJSON_Delete(own_only);
  return err;
}
