/* adapter_config.json of a method, with every key that PEFT 0.21.2 or the adapters library 1.2.0
 * writes, so that they read it as one of their own. One that was read is written again as it was.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"

/* ---------------------------------------------------------------- what is written of each kind */

static const char lora_keys[] =
    "{\"alora_invocation_tokens\":null,\"alpha_pattern\":{},\"arrow_config\":null,"
    "\"auto_mapping\":null,\"base_model_name_or_path\":null,\"bias\":\"none\","
    "\"corda_config\":null,\"ensure_weight_tying\":false,\"eva_config\":null,"
    "\"exclude_modules\":null,\"fan_in_fan_out\":false,\"inference_mode\":true,"
    "\"init_lora_weights\":true,\"kasa_config\":null,\"layer_replication\":null,"
    "\"layers_pattern\":null,\"layers_to_transform\":null,\"loftq_config\":{},\"lora_alpha\":8,"
    "\"lora_bias\":false,\"lora_dropout\":0.0,\"lora_ga_config\":null,\"megatron_config\":null,"
    "\"megatron_core\":\"megatron.core\",\"modules_to_save\":null,\"monteclora_config\":null,"
    "\"peft_type\":\"LORA\",\"peft_version\":\"0.21.2\",\"qalora_group_size\":16,\"r\":8,"
    "\"rank_pattern\":{},\"revision\":null,\"target_modules\":[],\"target_parameters\":null,"
    "\"task_type\":null,\"trainable_token_indices\":null,\"use_bdlora\":null,\"use_dora\":false,"
    "\"use_qalora\":false,\"use_rslora\":false,\"velora_config\":null}";

static const char ia3_keys[] =
    "{\"auto_mapping\":null,\"base_model_name_or_path\":null,\"exclude_modules\":null,"
    "\"fan_in_fan_out\":false,\"feedforward_modules\":[],\"inference_mode\":true,"
    "\"init_ia3_weights\":true,\"modules_to_save\":null,\"peft_type\":\"IA3\","
    "\"peft_version\":\"0.21.2\",\"revision\":null,\"target_modules\":[],\"task_type\":null}";

static const char prefix_keys[] =
    "{\"auto_mapping\":null,\"base_model_name_or_path\":null,\"encoder_hidden_size\":null,"
    "\"inference_mode\":true,\"init_weights\":null,\"modules_to_save\":null,"
    "\"num_attention_heads\":null,\"num_layers\":null,\"num_transformer_submodules\":1,"
    "\"num_virtual_tokens\":null,\"peft_type\":\"PREFIX_TUNING\",\"peft_version\":\"0.21.2\","
    "\"prefix_projection\":false,\"revision\":null,\"task_type\":null,\"token_dim\":null}";

static const char prompt_keys[] =
    "{\"auto_mapping\":null,\"base_model_name_or_path\":null,\"inference_mode\":true,"
    "\"modules_to_save\":null,\"num_attention_heads\":null,\"num_layers\":null,"
    "\"num_transformer_submodules\":1,\"num_virtual_tokens\":null,"
    "\"peft_type\":\"PROMPT_TUNING\",\"peft_version\":\"0.21.2\","
    "\"prompt_tuning_init\":\"RANDOM\",\"prompt_tuning_init_text\":null,\"revision\":null,"
    "\"task_type\":null,\"token_dim\":null,\"tokenizer_kwargs\":null,"
    "\"tokenizer_name_or_path\":null}";

static const char bottleneck_keys[] =
    "{\"config\":{\"adapter_residual_before_ln\":false,\"cross_adapter\":false,\"dropout\":0.0,"
    "\"factorized_phm_W\":true,\"factorized_phm_rule\":false,"
    "\"hypercomplex_nonlinearity\":\"glorot-uniform\",\"init_weights\":\"bert\","
    "\"init_weights_seed\":null,\"inv_adapter\":null,\"inv_adapter_reduction_factor\":null,"
    "\"is_parallel\":false,\"learn_phm\":true,\"leave_out\":[],\"ln_after\":false,"
    "\"ln_before\":false,\"mh_adapter\":false,\"non_linearity\":\"relu\","
    "\"original_ln_after\":true,\"original_ln_before\":true,\"output_adapter\":true,"
    "\"phm_bias\":true,\"phm_c_init\":\"normal\",\"phm_dim\":4,\"phm_init_range\":0.0001,"
    "\"phm_layer\":false,\"phm_rank\":1,\"reduction_factor\":16,\"residual_before_ln\":true,"
    "\"scaling\":1.0,\"shared_W_phm\":false,\"shared_phm_rule\":true,\"stochastic_depth\":0.0,"
    "\"use_gating\":false},\"hidden_size\":0,\"model_class\":\"\",\"model_name\":\"\","
    "\"model_type\":\"\",\"name\":\"default\",\"version\":\"adapters.1.2.0\"}";

/* ---------------------------------------------------------------- setting */

/* Replaces a member that is there; what could not be made is noticed at the end. */
typedef struct setter {
  cJSON *object;
  bool failed;
} setter;

static void set(setter *s, const char *key, cJSON *value) {
  if (value && cJSON_ReplaceItemInObjectCaseSensitive(s->object, key, value)) return;
  cJSON_Delete(value);
  s->failed = true;
}

static void set_number(setter *s, const char *key, double value) {
  set(s, key, cJSON_CreateNumber(value));
}

static void set_text(setter *s, const char *key, const char *value) {
  set(s, key, cJSON_CreateString(value));
}

static void set_names(setter *s, const char *key, const ft_hf_modules *m) {
  if (m->is_pattern)
    set_text(s, key, m->names[0]);
  else if (m->num > 0)
    set(s, key, cJSON_CreateStringArray(m->names, (int)m->num));
}

/* In their order: the first that fits holds. */
static void set_patterns(setter *s, const char *key, const ft_hf_pattern *list, int64_t num) {
  cJSON *object = cJSON_CreateObject();
  for (int64_t i = 0; i < num; i++)
    s->failed |= !cJSON_AddNumberToObject(object, list[i].pattern, list[i].value);
  set(s, key, object);
}

/* ---------------------------------------------------------------- targets by name */

static const char *last_word(const char *module) {
  const char *dot = strrchr(module, '.');
  return dot ? dot + 1 : module;
}

/* A map of the model, or something else with rows and columns. */
typedef struct module {
  char name[FT_HF_NAME_BYTES];
  bool is_target, is_input_scaled;
} module;

static void list_modules(const ft_hf_config *config, module *out, int64_t *num) {
  const ft_layout *l = config->layout;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; i < l->blocks[b].num_tensors; i++) {
      const ft_tensor *t = &l->blocks[b].tensors[i], *part;
      if (!ft_role_is_own(t->role) || t->num_dims != 2) continue;
      module *m = &out[(*num)++];
      *m = (module){.is_target = false};
      ft_hf_module_name(config, l->blocks[b].layer, t->role, m->name, sizeof m->name);
      for (int k = 0; k < FT_PART_NUM; k++)
        m->is_target |= ft_layout_find_part(l, b, t->role, (ft_part_kind)k, &part) >= 0;
      m->is_input_scaled = ft_layout_find_part(l, b, t->role, FT_PART_INPUT_SCALE, &part) >= 0;
    }
}

static bool is_listed(const cJSON *list, const char *name) {
  for (const cJSON *i = list->child; i; i = i->next)
    if (strcmp(i->valuestring, name) == 0) return true;
  return false;
}

/* The last words of the chosen modules' names; where such a word names others too, whole names. */
static cJSON *name_modules(const module *all, int64_t num, bool input_scaled) {
  cJSON *list = cJSON_CreateArray();
  for (int64_t i = 0; list && i < num; i++) {
    const char *name = last_word(all[i].name);
    if (!(input_scaled ? all[i].is_input_scaled : all[i].is_target)) continue;
    bool shared = false;
    for (int64_t k = 0; k < num && !shared; k++) {
      bool other = !(input_scaled ? all[k].is_input_scaled : all[k].is_target);
      shared = other && strcmp(last_word(all[k].name), name) == 0;
    }
    if (shared) name = all[i].name;
    if (!is_listed(list, name)) cJSON_AddItemToArray(list, cJSON_CreateString(name));
  }
  return list;
}

static ft_err set_targets(setter *s, const ft_hf_config *config, const ft_hf_method *m) {
  void *p;
  module *all;
  int64_t num = 0, room = 0;
  for (int64_t b = 0; b < config->layout->num_blocks; b++)
    room += config->layout->blocks[b].num_tensors;
  ft_err err = ft_alloc_array(FT_MEM_IO, room, sizeof *all, &p);
  if (err != FT_OK) return err;
  all = p;
  list_modules(config, all, &num);
  if (m->targets.num > 0)
    set_names(s, "target_modules", &m->targets);
  else
    set(s, "target_modules", name_modules(all, num, false));
  if (m->kind == FT_METHOD_IA3) set(s, "feedforward_modules", name_modules(all, num, true));
  ft_free(all);
  return FT_OK;
}

/* ---------------------------------------------------------------- each kind */

static ft_err set_lora(setter *s, const ft_hf_config *config, const ft_hf_method *m) {
  set_number(s, "r", (double)m->rank);
  set_number(s, "lora_alpha", m->alpha);
  set_number(s, "lora_dropout", m->dropout);
  set(s, "use_rslora", cJSON_CreateBool(m->rslora));
  set(s, "use_dora", cJSON_CreateBool(m->dora));
  set(s, "ensure_weight_tying", cJSON_CreateBool(m->ensure_weight_tying));
  set_text(s, "bias", ft_hf_bias_name(m->bias));
  set_patterns(s, "rank_pattern", m->rank_pattern, m->num_rank_patterns);
  set_patterns(s, "alpha_pattern", m->alpha_pattern, m->num_alpha_patterns);
  return set_targets(s, config, m);
}

/* Of the model, as PEFT fills them in; a prefix has what its keys and values have. */
static void set_virtual(setter *s, const ft_hf_config *config, const ft_hf_method *m) {
  const ft_arch *a = &config->arch;
  bool prefix = m->kind == FT_METHOD_PREFIX;
  int64_t heads = prefix ? a->kv_heads : a->heads;
  int64_t width = prefix ? a->kv_heads * a->head_dim : a->hidden;
  set_number(s, "num_virtual_tokens", (double)m->virtual_tokens);
  set_number(s, "num_layers", (double)a->layers);
  set_number(s, "num_attention_heads", (double)heads);
  set_number(s, "token_dim", (double)width);
  if (prefix) set_number(s, "encoder_hidden_size", (double)width);
}

static void set_prompt_init(setter *s, const char *base_dir, const ft_hf_method *m) {
  static const char text[] = "text:";
  if (!m->init || strcmp(m->init, "random") == 0) return;
  if (strcmp(m->init, "vocabulary") == 0) set_text(s, "prompt_tuning_init", "SAMPLE_VOCAB");
  if (strncmp(m->init, text, sizeof text - 1) != 0) return;
  set_text(s, "prompt_tuning_init", "TEXT");
  set_text(s, "prompt_tuning_init_text", m->init + sizeof text - 1);
  set_text(s, "tokenizer_name_or_path", base_dir);
}

static void set_bottleneck(setter *s, const char *base_dir, const ft_hf_config *config,
                           const ft_hf_method *m) {
  setter inner = {.object = ft_json_get(s->object, "config")};
  const cJSON *classes = ft_json_get(config->json, "architectures");
  set_number(&inner, "reduction_factor", (double)m->reduction);
  set_text(&inner, "non_linearity",
           m->activation == FT_ACT_SILU   ? "swish"
           : m->activation == FT_ACT_GELU ? "gelu"
                                          : "relu");
  set(&inner, "mh_adapter", cJSON_CreateBool(m->after_attention));
  set(&inner, "original_ln_before", cJSON_CreateBool(!m->after_attention));
  set_number(s, "hidden_size", (double)config->arch.hidden);
  set_text(s, "model_type", config->model_type);
  set_text(s, "model_name", base_dir);
  if (cJSON_IsArray(classes) && cJSON_IsString(classes->child))
    set_text(s, "model_class", classes->child->valuestring);
  s->failed |= inner.failed;
}

static const char *task_of(const ft_hf_config *config) {
  if (config->arch.head == FT_HEAD_LABELS) return "SEQ_CLS";
  return config->arch.two_way ? NULL : "CAUSAL_LM";
}

/* ---------------------------------------------------------------- the whole */

static ft_err set_all(setter *s, const char *base_dir, const ft_hf_config *config,
                      const ft_hf_method *m) {
  if (m->kind == FT_METHOD_BOTTLENECK) {
    set_bottleneck(s, base_dir, config, m);
    return FT_OK;
  }
  set_text(s, "base_model_name_or_path", base_dir);
  if (task_of(config)) set_text(s, "task_type", task_of(config));
  if (m->save.num > 0) set_names(s, "modules_to_save", &m->save);
  if (m->kind == FT_METHOD_LORA) return set_lora(s, config, m);
  if (m->kind == FT_METHOD_IA3) return set_targets(s, config, m);
  set_virtual(s, config, m);
  if (m->kind == FT_METHOD_PROMPT) set_prompt_init(s, base_dir, m);
  return FT_OK;
}

ft_err ft_hf_adapter_json(const char *base_dir, const ft_hf_config *config, const ft_hf_method *m,
                          cJSON **out) {
  static const char *const keys[FT_METHOD_NUM] = {[FT_METHOD_LORA] = lora_keys,
                                                  [FT_METHOD_IA3] = ia3_keys,
                                                  [FT_METHOD_PREFIX] = prefix_keys,
                                                  [FT_METHOD_PROMPT] = prompt_keys,
                                                  [FT_METHOD_BOTTLENECK] = bottleneck_keys};
  ft_err err = FT_OK;
  setter s = {.object = NULL};
  FT_ASSERT(keys[m->kind] != NULL);
  if (m->as_read) {
    s.object = cJSON_Duplicate(m->as_read, true);
    if (s.object && ft_json_get(s.object, "base_model_name_or_path"))
      set_text(&s, "base_model_name_or_path", base_dir);
  } else {
    FT_TRY(ft_json_parse(keys[m->kind], strlen(keys[m->kind]), "adapter_config.json", &s.object));
    FT_TRY(set_all(&s, base_dir, config, m));
  }
  FT_CHECK(s.object && !s.failed, FT_ERR_MEMORY, "no memory for adapter_config.json");
  *out = s.object;
  s.object = NULL;
out:
  cJSON_Delete(s.object);
  return err;
}
