/* adapter_config.json to the values of a method: PEFT's, and for bottlenecks that of the adapters
 * library. A key that would change what is computed, and is not supported, is refused by name; one
 * that is not known is accepted only while it says nothing (null, false, empty). */
#include <math.h>
#include <string.h>

#include "adapter.h"
#include "hf_internal.h"

enum { MAX_RANK = 65536, MAX_TOKENS = 65536 };

/* ---------------------------------------------------------------- keys */

/* Keys of which all values are fine: they say how an adapter began, or who may use it. */
static const char *const common_keys[] = {"auto_mapping",
                                          "base_model_name_or_path",
                                          "inference_mode",
                                          "modules_to_save",
                                          "peft_type",
                                          "peft_version",
                                          "revision",
                                          "task_type",
                                          NULL};
static const char *const lora_keys[] = {"alpha_pattern",
                                        "bias",
                                        "corda_config",
                                        "ensure_weight_tying",
                                        "eva_config",
                                        "init_lora_weights",
                                        "fan_in_fan_out",
                                        "layers_pattern",
                                        "layers_to_transform",
                                        "loftq_config",
                                        "lora_alpha",
                                        "lora_dropout",
                                        "lora_ga_config",
                                        "megatron_core",
                                        "qalora_group_size",
                                        "r",
                                        "rank_pattern",
                                        "target_modules",
                                        "use_dora",
                                        "use_rslora",
                                        NULL};
static const char *const ia3_keys[] = {"fan_in_fan_out", "feedforward_modules", "init_ia3_weights",
                                       "target_modules", NULL};
static const char *const prompt_keys[] = {"encoder_dropout",
                                          "encoder_hidden_size",
                                          "encoder_num_layers",
                                          "encoder_reparameterization_type",
                                          "init_weights",
                                          "num_attention_heads",
                                          "num_layers",
                                          "num_transformer_submodules",
                                          "num_virtual_tokens",
                                          "prompt_tuning_init",
                                          "prompt_tuning_init_text",
                                          "token_dim",
                                          "tokenizer_kwargs",
                                          "tokenizer_name_or_path",
                                          NULL};

static bool is_among(const char *const *keys, const char *name) {
  for (; *keys; keys++)
    if (strcmp(*keys, name) == 0) return true;
  return false;
}

static bool says_nothing(const cJSON *v) {
  return cJSON_IsNull(v) || cJSON_IsFalse(v) ||
         ((cJSON_IsArray(v) || cJSON_IsObject(v)) && !v->child);
}

static void check_keys(const ft_hf_object *o, const char *const *keys) {
  char value[80];
  for (const cJSON *item = o->json->child; item; item = item->next) {
    if (is_among(common_keys, item->string) || is_among(keys, item->string)) continue;
    if (says_nothing(item)) continue;
    ft_hf_show(item, value, sizeof value);
    ft_mistakes_add(o->mistakes, FT_ERR_DATA,
                    "%s is %s, which changes what is computed and is not supported; supported is "
                    "an adapter made without it",
                    item->string, value);
  }
}

/* ---------------------------------------------------------------- lists */

/* A list of names, or one: then *is_pattern (NULL: not allowed). */
static ft_err read_names(const ft_hf_object *o, const char *key, const char ***names,
                         ft_hf_modules *out, bool may_be_pattern) {
  const cJSON *list = ft_json_get(o->json, key);
  void *p;
  char value[80];
  if (!list || cJSON_IsNull(list)) return FT_OK;
  bool one = may_be_pattern && cJSON_IsString(list), good = one || cJSON_IsArray(list);
  for (const cJSON *i = good && !one ? list->child : NULL; i; i = i->next)
    good = good && cJSON_IsString(i);
  if (!good) {
    ft_hf_show(list, value, sizeof value);
    ft_mistakes_add(o->mistakes, FT_ERR_DATA, "%s is %s; expected is a list of names%s", key, value,
                    may_be_pattern ? ", or a text" : "");
    return FT_OK;
  }
  int64_t num = one ? 1 : cJSON_GetArraySize(list);
  ft_err err = ft_alloc_array(FT_MEM_OTHER, num, sizeof **names, &p);
  if (err != FT_OK) return err;
  *names = p;
  const cJSON *item = one ? list : list->child;
  for (int64_t i = 0; i < num; i++, item = item->next)
    (*names)[i] = item->valuestring;
  *out = (ft_hf_modules){.names = *names, .num = num, .is_pattern = one};
  return FT_OK;
}

static ft_err read_patterns(const ft_hf_object *o, const char *key, ft_hf_pattern **list,
                            const ft_hf_pattern **out, int64_t *num) {
  const cJSON *object = ft_json_get(o->json, key);
  void *p;
  if (!object || cJSON_IsNull(object)) return FT_OK;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, cJSON_GetArraySize(object), sizeof **list, &p);
  if (err != FT_OK) return err;
  *list = p;
  for (const cJSON *i = object->child; i; i = i->next) {
    if (!i->string || !cJSON_IsNumber(i) || !(i->valuedouble > 0) || i->valuedouble > 1e9)
      ft_mistakes_add(o->mistakes, FT_ERR_DATA,
                      "%s: \"%s\" is no positive number; expected is {pattern: number}", key,
                      i->string ? i->string : "");
    else
      (*list)[(*num)++] = (ft_hf_pattern){.pattern = i->string, .value = i->valuedouble};
  }
  *out = *list;
  return FT_OK;
}

/* layers_to_transform: a number, or several. */
static ft_err read_layers(const ft_hf_object *o, ft_hf_adapter_config *c) {
  const cJSON *list = ft_json_get(o->json, "layers_to_transform");
  void *p;
  if (!list || cJSON_IsNull(list)) return FT_OK;
  bool one = cJSON_IsNumber(list);
  int64_t num = one ? 1 : cJSON_GetArraySize(list);
  ft_err err = ft_alloc_array(FT_MEM_OTHER, num, sizeof *c->layers, &p);
  if (err != FT_OK) return err;
  c->layers = p;
  const cJSON *item = one ? list : list->child;
  for (int64_t i = 0; i < num; i++, item = item->next)
    if (!ft_json_i64(item, &c->layers[i]))
      ft_mistakes_add(o->mistakes, FT_ERR_DATA,
                      "layers_to_transform: expected are whole numbers of layers");
  c->method.layers = c->layers;
  c->method.num_layers = num;
  return FT_OK;
}

/* ---------------------------------------------------------------- PEFT's kinds */

/* "all-linear" is what no target at all means. */
static void know_all_linear(ft_hf_modules *targets) {
  if (targets->is_pattern && strcmp(targets->names[0], "all-linear") == 0)
    *targets = (ft_hf_modules){.num = 0};
}

/* Some ways to begin change the model's own weights too, of which the files tell nothing. */
static void check_init(const ft_hf_object *o) {
  const cJSON *v = ft_json_get(o->json, "init_lora_weights");
  static const char *const fine[] = {"gaussian", "orthogonal", "eva", NULL};
  char value[80];
  if (!v || cJSON_IsNull(v) || cJSON_IsBool(v)) return;
  if (cJSON_IsString(v) && is_among(fine, v->valuestring)) return;
  ft_hf_show(v, value, sizeof value);
  ft_mistakes_add(
      o->mistakes, FT_ERR_DATA,
      "init_lora_weights is %s, which changes the model's own weights as well: convert "
      "the adapter to plain LoRA first (PEFT: path_initial_model_for_weight_conversion)",
      value);
}

static ft_hf_bias read_bias(const ft_hf_object *o) {
  const char *bias = ft_hf_string(o, "bias", ft_hf_bias_name(FT_BIAS_NONE));
  for (int i = 0; i < FT_BIAS_NUM; i++)
    if (strcmp(bias, ft_hf_bias_name((ft_hf_bias)i)) == 0) return (ft_hf_bias)i;
  ft_mistakes_add(o->mistakes, FT_ERR_DATA,
                  "bias is \"%s\"; supported are \"none\", \"all\" and \"lora_only\"", bias);
  return FT_BIAS_NONE;
}

static ft_err read_lora(const ft_hf_object *o, ft_hf_adapter_config *c) {
  ft_err err = FT_OK;
  ft_hf_method *m = &c->method;
  m->kind = FT_METHOD_LORA;
  check_keys(o, lora_keys);
  check_init(o);
  m->rank = ft_hf_int(o, "r", 8, 1, MAX_RANK);
  m->alpha = ft_hf_number(o, "lora_alpha", 8, 1e-9, 1e9);
  m->dropout = ft_hf_number(o, "lora_dropout", 0, 0, 0.999);
  m->rslora = ft_hf_bool(o, "use_rslora", false);
  m->dora = ft_hf_bool(o, "use_dora", false);
  m->ensure_weight_tying = ft_hf_bool(o, "ensure_weight_tying", false);
  m->bias = read_bias(o);
  FT_TRY(read_names(o, "target_modules", &c->targets, &m->targets, true));
  if (m->targets.num == 0)
    ft_mistakes_add(o->mistakes, FT_ERR_DATA,
                    "target_modules is missing or empty; expected are names of linear maps");
  know_all_linear(&m->targets);
  FT_TRY(
      read_patterns(o, "rank_pattern", &c->rank_pattern, &m->rank_pattern, &m->num_rank_patterns));
  FT_TRY(read_patterns(o, "alpha_pattern", &c->alpha_pattern, &m->alpha_pattern,
                       &m->num_alpha_patterns));
  FT_TRY(read_layers(o, c));
out:
  return err;
}

static ft_err read_ia3(const ft_hf_object *o, ft_hf_adapter_config *c) {
  ft_err err = FT_OK;
  c->method.kind = FT_METHOD_IA3;
  check_keys(o, ia3_keys);
  FT_TRY(read_names(o, "target_modules", &c->targets, &c->method.targets, true));
  if (c->method.targets.num == 0)
    ft_mistakes_add(o->mistakes, FT_ERR_DATA,
                    "target_modules is missing or empty; expected are names of linear maps");
  FT_TRY(read_names(o, "feedforward_modules", &c->feed_forward, &c->method.feed_forward, false));
out:
  return err;
}

static ft_err read_virtual(const ft_hf_object *o, ft_hf_adapter_config *c) {
  bool prefix = strcmp(c->type, "PREFIX_TUNING") == 0;
  c->method.kind = prefix ? FT_METHOD_PREFIX : FT_METHOD_PROMPT;
  c->has_encoder = strcmp(c->type, "P_TUNING") == 0;
  check_keys(o, prompt_keys); /* prefix_projection true is refused there */
  if (!ft_hf_has(o, "num_virtual_tokens"))
    ft_mistakes_add(o->mistakes, FT_ERR_DATA, "num_virtual_tokens is missing");
  c->method.virtual_tokens = ft_hf_int(o, "num_virtual_tokens", 1, 1, MAX_TOKENS);
  (void)ft_hf_int(o, "num_transformer_submodules", 1, 1, 1);
  return FT_OK;
}

/* ---------------------------------------------------------------- the adapters library */

/* A key of its configuration that has one supported value. */
static void expect(const ft_hf_object *o, const char *key, bool value) {
  const cJSON *v = ft_json_get(o->json, key);
  char found[80];
  if (!v || cJSON_IsNull(v) || (cJSON_IsBool(v) && cJSON_IsTrue(v) == value)) return;
  ft_hf_show(v, found, sizeof found);
  ft_mistakes_add(o->mistakes, FT_ERR_DATA, "config.%s is %s; supported is %s", key, found,
                  value ? "true" : "false");
}

static ft_activation_kind read_activation(const ft_hf_object *o) {
  static const struct {
    const char *name;
    ft_activation_kind kind;
  } known[] = {
      {"relu", FT_ACT_RELU}, {"swish", FT_ACT_SILU}, {"silu", FT_ACT_SILU}, {"gelu", FT_ACT_GELU}};
  const char *name = ft_hf_string(o, "non_linearity", "relu");
  for (size_t i = 0; i < FT_ARRAY_SIZE(known); i++)
    if (strcmp(name, known[i].name) == 0) return known[i].kind;
  ft_mistakes_add(o->mistakes, FT_ERR_DATA,
                  "config.non_linearity is \"%s\"; supported are relu, swish and gelu", name);
  return FT_ACT_RELU;
}

static void read_bottleneck(const ft_hf_object *whole, ft_hf_adapter_config *c) {
  static const char *const off[] = {"adapter_residual_before_ln",
                                    "cross_adapter",
                                    "is_parallel",
                                    "ln_after",
                                    "ln_before",
                                    "phm_layer",
                                    "use_gating"};
  const ft_hf_object o = {ft_json_get(whole->json, "config"), "config.", whole->mistakes};
  c->method.kind = FT_METHOD_BOTTLENECK;
  for (size_t i = 0; i < FT_ARRAY_SIZE(off); i++)
    expect(&o, off[i], false);
  expect(&o, "output_adapter", true);
  expect(&o, "original_ln_after", true);
  expect(&o, "residual_before_ln", true);
  (void)ft_hf_number(&o, "scaling", 1, 1, 1);
  (void)ft_hf_number(&o, "stochastic_depth", 0, 0, 0);
  if (!says_nothing(ft_json_get(o.json, "inv_adapter")) && ft_hf_has(&o, "inv_adapter"))
    ft_mistakes_add(o.mistakes, FT_ERR_DATA, "config.inv_adapter is set; supported is null");
  if (ft_hf_has(&o, "leave_out") && !says_nothing(ft_json_get(o.json, "leave_out")))
    ft_mistakes_add(o.mistakes, FT_ERR_DATA, "config.leave_out names layers; supported is []");
  bool both = ft_hf_bool(&o, "mh_adapter", false);
  bool reads_sum = ft_hf_bool(&o, "original_ln_before", false);
  if (both == reads_sum)
    ft_mistakes_add(o.mistakes, FT_ERR_DATA,
                    "config.mh_adapter and config.original_ln_before are both %s; supported are "
                    "Houlsby's (true, false) and Pfeiffer's (false, true)",
                    both ? "true" : "false");
  c->method.after_attention = both;
  c->method.reduction = ft_hf_int(&o, "reduction_factor", 16, 1, MAX_RANK);
  c->method.activation = read_activation(&o);
}

/* ---------------------------------------------------------------- the whole */

static ft_err read_kind(const ft_hf_object *o, ft_hf_adapter_config *c) {
  static const char *const virtual[] = {"PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING", NULL};
  ft_err err = FT_OK;
  bool library = !ft_hf_has(o, "peft_type") && cJSON_IsObject(ft_json_get(o->json, "config"));
  c->type = library ? "bottleneck" : ft_hf_string(o, "peft_type", "");
  c->base = ft_hf_string(o, library ? "model_name" : "base_model_name_or_path", NULL);
  if (library) {
    read_bottleneck(o, c);
    return FT_OK;
  }
  FT_TRY(read_names(o, "modules_to_save", &c->save, &c->method.save, false));
  if (strcmp(c->type, "LORA") == 0) return read_lora(o, c);
  if (strcmp(c->type, "IA3") == 0) return read_ia3(o, c);
  if (is_among(virtual, c->type)) return read_virtual(o, c);
  ft_mistakes_add(o->mistakes, FT_ERR_DATA,
                  "peft_type is \"%s\"; supported are LORA, IA3, PREFIX_TUNING, PROMPT_TUNING and "
                  "P_TUNING",
                  c->type);
out:
  return err;
}

ft_err ft_hf_read_adapter_config(const char *dir, ft_hf_adapter_config *c) {
  ft_err err = FT_OK;
  ft_mistakes mistakes = {0};
  char *path = NULL;
  *c = (ft_hf_adapter_config){.json = NULL};
  FT_CHECK(ft_path_is_dir(dir), FT_ERR_NOINPUT, "the adapter directory %s does not exist", dir);
  FT_TRY(ft_path_join(dir, "adapter_config.json", &path));
  FT_TRY(ft_json_read(path, &c->json));
  FT_CHECK(cJSON_IsObject(c->json), FT_ERR_DATA, "%s: expected is an object", path);
  const ft_hf_object o = {c->json, "", &mistakes};
  FT_TRY(read_kind(&o, c));
  FT_TRY(ft_mistakes_fail(&mistakes, path));
  c->method.as_read = c->json;
out:
  ft_free(path);
  if (err != FT_OK) ft_hf_adapter_config_fini(c);
  return err;
}

void ft_hf_adapter_config_fini(ft_hf_adapter_config *c) {
  ft_free(c->targets);
  ft_free(c->feed_forward);
  ft_free(c->save);
  ft_free(c->rank_pattern);
  ft_free(c->alpha_pattern);
  ft_free(c->layers);
  cJSON_Delete(c->json);
  *c = (ft_hf_adapter_config){.json = NULL};
}
