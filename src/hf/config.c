/* config.json to ft_arch. A key that is missing means what the model's configuration class in
 * transformers says; what would change the computation and is not supported is refused by name. */
#include <string.h>
#include <strings.h>

#include "ft/io_kind.h"
#include "hf_internal.h"

/* ---------------------------------------------------------------- families */

typedef struct family {
  const char *model_type;
  /* what missing keys mean; kv_heads 0: as heads; head_dim 0: hidden / heads */
  int64_t vocab, hidden, ffn, layers, heads, kv_heads, head_dim, max_positions;
  int64_t bos, eos; /* -1: none */
} family;

static const family families[] = {
    {"llama", 32000, 4096, 11008, 32, 32, 0, 0, 2048, 1, 2},
    {"mistral", 32000, 4096, 14336, 32, 32, 8, 0, 131072, 1, 2},
    {"qwen2", 151936, 4096, 22016, 32, 32, 32, 0, 32768, -1, -1},
    {"qwen3", 151936, 4096, 22016, 32, 32, 32, 128, 32768, -1, -1},
};
static const char *const supported_families =
    "supported are llama (Llama 2 and 3), mistral, qwen2 (Qwen 2 and 2.5) and qwen3";

static const family *find_family(const ft_hf_object *config) {
  const char *type = ft_hf_string(config, "model_type", NULL);
  if (!type && cJSON_IsObject(ft_json_get(config->json, "run"))) {
    ft_hf_mistake(
        config->mistakes,
        "this is a run's configuration; expected is a model's: ftrun export makes a model "
        "directory of a run");
    return NULL;
  }
  if (!type) {
    ft_hf_mistake(config->mistakes, "model_type is missing; %s", supported_families);
    return NULL;
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(families); i++)
    if (strcmp(type, families[i].model_type) == 0) return &families[i];
  ft_hf_mistake(config->mistakes, "model_type \"%.60s\" is not supported; %s", type,
                supported_families);
  return NULL;
}

/* ---------------------------------------------------------------- dimensions */

static const int64_t max_dimension = (int64_t)1 << 24;
static const double max_parameters = 1e13;

static bool is_null(const ft_hf_object *config, const char *name) {
  const cJSON *value = ft_json_get(config->json, name);
  return value && cJSON_IsNull(value);
}

static int64_t dimension(const ft_hf_object *config, const char *name, int64_t missing,
                         int64_t max) {
  if (is_null(config, name))
    ft_hf_mistake(config->mistakes, "%s is null; expected is an integer from 1 to %lld", name,
                  (long long)max);
  return ft_hf_int(config, name, missing, 1, max);
}

/* How the heads divide the width; only called when the numbers themselves are in range. */
static void read_head_dim(const ft_hf_object *config, const family *f, ft_arch *a) {
  int64_t missing = is_null(config, "head_dim") ? 0 : f->head_dim;
  a->head_dim = ft_hf_int(config, "head_dim", missing, 1, 1024);
  if (a->head_dim == 0) {
    if (a->hidden % a->heads != 0)
      ft_hf_mistake(config->mistakes,
                    "hidden_size (%lld) is not a multiple of num_attention_heads (%lld), and "
                    "head_dim is not given",
                    (long long)a->hidden, (long long)a->heads);
    a->head_dim = FT_MAX(a->hidden / a->heads, 1);
    if (a->hidden % a->heads != 0) return;
  }
  if (a->head_dim % 2 != 0)
    ft_hf_mistake(config->mistakes, "head_dim is %lld; the rotary embedding needs an even one",
                  (long long)a->head_dim);
  if (a->heads % a->kv_heads != 0)
    ft_hf_mistake(config->mistakes,
                  "num_attention_heads (%lld) is not a multiple of num_key_value_heads (%lld)",
                  (long long)a->heads, (long long)a->kv_heads);
}

static void check_size(const ft_hf_object *config, const ft_arch *a) {
  double q = (double)a->heads * (double)a->head_dim, kv = (double)a->kv_heads * (double)a->head_dim;
  double layer = (double)a->hidden * (2 * q + 2 * kv + 3 * (double)a->ffn);
  double total = 2 * (double)a->vocab * (double)a->hidden + (double)a->layers * layer;
  if (total > max_parameters)
    ft_hf_mistake(config->mistakes,
                  "its dimensions make a model of %.3g parameters; at most %g are supported", total,
                  max_parameters);
}

static void read_dimensions(const ft_hf_object *config, const family *f, ft_arch *a) {
  int64_t before = config->mistakes->count;
  a->vocab = dimension(config, "vocab_size", f->vocab, max_dimension);
  a->hidden = dimension(config, "hidden_size", f->hidden, max_dimension);
  a->ffn = dimension(config, "intermediate_size", f->ffn, max_dimension);
  a->layers = dimension(config, "num_hidden_layers", f->layers, FT_MAX_LAYERS);
  a->heads = dimension(config, "num_attention_heads", f->heads, max_dimension);
  int64_t missing =
      f->kv_heads == 0 || is_null(config, "num_key_value_heads") ? a->heads : f->kv_heads;
  a->kv_heads = ft_hf_int(config, "num_key_value_heads", missing, 1, max_dimension);
  a->max_positions = dimension(config, "max_position_embeddings", f->max_positions, max_dimension);
  if (config->mistakes->count > before) return;
  read_head_dim(config, f, a);
  if (config->mistakes->count == before) check_size(config, a);
}

/* ---------------------------------------------------------------- what must have one value */

static void refuse_number(const ft_hf_object *config, const char *name, double only) {
  const cJSON *value = ft_json_get(config->json, name);
  if (!value || cJSON_IsNull(value)) return;
  if (cJSON_IsNumber(value) && value->valuedouble >= only && value->valuedouble <= only) return;
  char found[80];
  ft_hf_show(value, found, sizeof found);
  ft_hf_mistake(config->mistakes, "%s %s is not supported, only %g", name, found, only);
}

static void refuse_bool(const ft_hf_object *config, const char *name, bool refused) {
  const cJSON *value = ft_json_get(config->json, name);
  if (!value || !cJSON_IsBool(value) || (bool)cJSON_IsTrue(value) != refused) return;
  ft_hf_mistake(config->mistakes, "%s %s is not supported, only %s", name,
                refused ? "true" : "false", refused ? "false" : "true");
}

static void refuse_quantization(const ft_hf_object *config) {
  if (!ft_hf_has(config, "quantization_config")) return;
  const cJSON *method =
      ft_json_get(ft_json_get(config->json, "quantization_config"), "quant_method");
  ft_hf_mistake(config->mistakes,
                "quantization_config (quant_method \"%.40s\") is not supported; supported are "
                "weights in float32, bfloat16 and float16",
                cJSON_IsString(method) ? method->valuestring : "unknown");
}

static void refuse_activation(const ft_hf_object *config) {
  const char *name = ft_hf_string(config, "hidden_act", "silu");
  if (strcmp(name, "silu") != 0 && strcmp(name, "swish") != 0)
    ft_hf_mistake(config->mistakes, "hidden_act \"%.40s\" is not supported; supported is \"silu\"",
                  name);
}

/* A model with another head (classification, embeddings) or none is not a language model. */
static void refuse_architecture(const ft_hf_object *config) {
  static const char suffix[] = "ForCausalLM";
  const cJSON *name = cJSON_GetArrayItem(ft_json_get(config->json, "architectures"), 0);
  if (!cJSON_IsString(name)) return;
  size_t length = strlen(name->valuestring), end = sizeof suffix - 1;
  if (length < end || strcasecmp(name->valuestring + length - end, suffix) != 0)
    ft_hf_mistake(config->mistakes,
                  "architecture \"%.60s\" is not supported; supported are LlamaForCausalLM, "
                  "MistralForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM",
                  name->valuestring);
}

static void refuse_others(const ft_hf_object *config) {
  refuse_architecture(config);
  refuse_quantization(config);
  refuse_activation(config);
  ft_hf_int(config, "pretraining_tp", 1, 1, max_dimension);
  refuse_number(config, "attention_dropout", 0);
  refuse_number(config, "num_experts", 0);
  refuse_number(config, "num_local_experts", 0);
  refuse_bool(config, "is_encoder_decoder", true);
  refuse_bool(config, "add_cross_attention", true);
  refuse_bool(config, "use_bidirectional_attention", true);
  refuse_bool(config, "is_causal", false);
  if (ft_hf_has(config, "attn_logit_softcapping") || ft_hf_has(config, "final_logit_softcapping"))
    ft_hf_mistake(config->mistakes, "logit soft-capping is not supported");
}

/* ---------------------------------------------------------------- tokens and number format */

static void add_eos(const ft_hf_object *config, const cJSON *value, ft_hf_config *out) {
  bool valid = cJSON_IsNumber(value) && value->valuedouble >= -1 &&
               value->valuedouble < (double)out->arch.vocab &&
               value->valuedouble == (double)(int64_t)value->valuedouble;
  if (!valid) {
    char found[80];
    ft_hf_show(value, found, sizeof found);
    ft_hf_mistake(config->mistakes, "%seos_token_id %s is not a token (0 to %lld)", config->prefix,
                  found, (long long)out->arch.vocab - 1);
    return;
  }
  int64_t id = (int64_t)value->valuedouble;
  for (int64_t i = 0; i < out->num_eos_tokens; i++)
    if (out->eos_tokens[i] == id) return;
  if (id >= 0) out->eos_tokens[out->num_eos_tokens++] = id;
}

/* Tokens that an eos_token_id may name. */
static int64_t count_eos(const cJSON *json) {
  const cJSON *value = ft_json_get(json, "eos_token_id");
  return cJSON_IsArray(value) ? cJSON_GetArraySize(value) : 1;
}

/* One id, a list of ids, or null; a missing key means `missing` (-1: none). */
static void read_eos(const ft_hf_object *config, int64_t missing, ft_hf_config *out) {
  const cJSON *value = ft_json_get(config->json, "eos_token_id"), *item;
  if (!value && missing >= 0 && missing < out->arch.vocab)
    out->eos_tokens[out->num_eos_tokens++] = missing;
  if (!value || cJSON_IsNull(value)) return;
  if (!cJSON_IsArray(value)) {
    add_eos(config, value, out);
    return;
  }
  cJSON_ArrayForEach(item, value) add_eos(config, item, out);
}

static void read_bos(const ft_hf_object *config, int64_t missing, ft_hf_config *out) {
  if (missing >= out->arch.vocab || is_null(config, "bos_token_id")) missing = -1;
  out->bos_token = ft_hf_int(config, "bos_token_id", missing, -1, out->arch.vocab - 1);
}

static void read_dtype(const ft_hf_object *config, ft_hf_config *out) {
  const char *name =
      ft_hf_string(config, ft_hf_has(config, "dtype") ? "dtype" : "torch_dtype", "bfloat16");
  if (strncmp(name, "torch.", 6) == 0) name += 6;
  if (strcmp(name, "bfloat16") == 0)
    out->dtype = FT_BF16;
  else if (strcmp(name, "float32") == 0)
    out->dtype = FT_F32;
  else if (strcmp(name, "float16") == 0)
    out->dtype = FT_F16;
  else
    ft_hf_mistake(config->mistakes,
                  "dtype \"%.40s\" is not supported; supported are float32, bfloat16 and float16",
                  name);
}

/* ---------------------------------------------------------------- the whole */

static void read_family(const ft_hf_object *config, const family *f, ft_hf_config *out) {
  ft_arch *a = &out->arch;
  bool qwen2 = strcmp(f->model_type, "qwen2") == 0, qwen3 = strcmp(f->model_type, "qwen3") == 0;
  bool llama = strcmp(f->model_type, "llama") == 0;
  snprintf(out->model_type, sizeof out->model_type, "%s", f->model_type);
  *a = (ft_arch)FT_ARCH_LLAMA(.vocab = 0);
  read_dimensions(config, f, a);
  a->norm.eps = (float)ft_hf_number(config, "rms_norm_eps", 1e-6, 0, 0.5);
  /* mistral and qwen2 have no such keys in transformers: theirs is fixed */
  bool attention_bias = (llama || qwen3) && ft_hf_bool(config, "attention_bias", false);
  a->qkv_bias = qwen2 || attention_bias;
  a->o_bias = attention_bias;
  a->mlp_bias = llama && ft_hf_bool(config, "mlp_bias", false);
  a->qk_norm = qwen3 ? FT_QK_NORM_HEADS : FT_QK_NORM_NONE;
  a->tied = ft_hf_bool(config, "tie_word_embeddings", false);
  ft_hf_read_rope(config, a);
  ft_hf_read_window(config, f->model_type, a);
  refuse_others(config);
  read_bos(config, f->bos, out);
  read_eos(config, f->eos, out);
  read_dtype(config, out);
  ft_hf_number(config, "initializer_range", 0.02, 0, 1);
}

/* What is of no effect here, whatever was meant by it. */
static ft_err add_remarks(const ft_hf_object *config, ft_hf_config *out) {
  /* how Llama 2 was cut for its training: the product of the pieces is that of the whole */
  if (ft_hf_int(config, "pretraining_tp", 1, 1, max_dimension) == 1) return FT_OK;
  return ft_hf_add_remark(out, "pretraining_tp is of no effect: products are not cut into pieces");
}

/* generation: of generation_config.json, or NULL. */
static ft_err read_config(ft_hf_config *out, const char *path, const cJSON *generation) {
  ft_err err = FT_OK;
  ft_hf_mistakes mistakes = {0};
  ft_hf_object config = {.json = out->json, .prefix = "", .mistakes = &mistakes};
  out->bos_token = -1;
  FT_CHECK(cJSON_IsObject(out->json), FT_ERR_DATA,
           "%s: expected is a JSON object, a model's config", path);
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, count_eos(out->json) + count_eos(generation), sizeof(int64_t),
                        (void **)&out->eos_tokens));
  const family *f = find_family(&config);
  if (f) {
    read_family(&config, f, out);
    ft_hf_object more = config;
    more.json = generation;
    more.prefix = "generation_config.json: ";
    if (cJSON_IsObject(generation)) read_eos(&more, -1, out);
  }
  FT_TRY(ft_hf_mistakes_end(&mistakes, path));
  FT_TRY(add_remarks(&config, out));
  ft_arch_complete(&out->arch);
  err = ft_arch_check(&out->arch);
  if (err != FT_OK) err = ft_fail_prefix(err, "%s", path);
out:
  return err;
}

ft_err ft_hf_config_read_file(const char *path, ft_hf_config *out) {
  ft_err err = FT_OK;
  *out = (ft_hf_config){0};
  FT_TRY(ft_json_read(path, &out->json));
  FT_TRY(read_config(out, path, NULL));
  FT_TRY(ft_layout_new(&out->arch, NULL, &out->layout));
out:
  if (err != FT_OK) ft_hf_config_fini(out);
  return err;
}

static bool has_dtype(const cJSON *json) {
  const ft_hf_object config = {.json = json};
  return ft_hf_has(&config, "dtype") || ft_hf_has(&config, "torch_dtype");
}

ft_err ft_hf_config_read(const char *dir, ft_hf_config *out) {
  ft_err err = FT_OK;
  char *path = NULL, *generation_path = NULL;
  cJSON *generation = NULL;
  *out = (ft_hf_config){0};
  FT_CHECK(ft_path_exists(dir), FT_ERR_NOINPUT, "the model directory %s does not exist", dir);
  FT_TRY(ft_kind_check(dir, FT_WANT_MODEL));
  FT_TRY(ft_path_join(dir, "config.json", &path));
  FT_TRY(ft_path_join(dir, "generation_config.json", &generation_path));
  FT_CHECK(ft_path_exists(path), FT_ERR_NOINPUT,
           "%s holds no config.json: expected is a Hugging Face model directory", dir);
  FT_TRY(ft_json_read(path, &out->json));
  if (ft_path_exists(generation_path)) FT_TRY(ft_json_read(generation_path, &generation));
  FT_TRY(read_config(out, path, generation));
  FT_TRY(ft_hf_follow_weights(dir, has_dtype(out->json), out));
  FT_TRY(ft_layout_new(&out->arch, NULL, &out->layout));
out:
  if (err != FT_OK) ft_hf_config_fini(out);
  cJSON_Delete(generation);
  ft_free(path);
  ft_free(generation_path);
  return err;
}

void ft_hf_config_fini(ft_hf_config *config) {
  ft_free(config->eos_tokens);
  ft_free(config->remarks);
  cJSON_Delete(config->json);
  ft_layout_free(config->layout);
  *config = (ft_hf_config){0};
}
