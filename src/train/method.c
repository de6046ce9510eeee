/* What a run trains: method.*, model.adapter and train.freeze become the layout of its model. */
#include "method.h"

#include <string.h>

#include "ft/objective.h"
#include "internal.h"

/* As method.name has them. */
static const char *const method_names[FT_METHOD_NUM] = {"full",   "lora",   "ia3",
                                                        "prefix", "prompt", "adapter"};

/* ---------------------------------------------------------------- from method.* */

/* The patterns of a key, for hf; *out is owned by the caller. */
static ft_err copy_patterns(const ft_named_numbers *from, ft_hf_pattern **out) {
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, from->num, sizeof **out, &p);
  if (err != FT_OK) return err;
  *out = p;
  for (int64_t i = 0; i < from->num; i++)
    (*out)[i] = (ft_hf_pattern){.pattern = from->items[i].name, .value = from->items[i].value};
  return FT_OK;
}

/* "all-linear" is what hf does where no target is named. */
static ft_hf_modules targets_of(const ft_config_method *c) {
  if (c->targets.num == 1 && strcmp(c->targets.texts[0], "all-linear") == 0)
    return (ft_hf_modules){.num = 0};
  return (ft_hf_modules){.names = c->targets.texts, .num = c->targets.num};
}

static const ft_activation_kind activations[] = {FT_ACT_RELU, FT_ACT_SILU, FT_ACT_GELU};

static ft_hf_method method_of(const ft_config_method *c) {
  return (ft_hf_method){.kind = (ft_hf_method_kind)c->name,
                        .targets = targets_of(c),
                        .save = {.names = c->save_modules.texts, .num = c->save_modules.num},
                        .bias = (ft_hf_bias)c->bias,
                        .rank = c->rank,
                        .alpha = c->alpha > 0 ? c->alpha : (double)c->rank,
                        .rslora = c->rslora,
                        .dora = c->dora,
                        .ensure_weight_tying = c->ensure_weight_tying,
                        .dropout = c->dropout,
                        .num_rank_patterns = c->rank_pattern.num,
                        .num_alpha_patterns = c->alpha_pattern.num,
                        .virtual_tokens = c->virtual_tokens,
                        .init = c->init,
                        .reduction = c->reduction,
                        .activation = activations[c->activation],
                        .after_attention = c->placement == 1};
}

static ft_err open_own(const ft_config_method *c, ft_train_method *out) {
  ft_err err = FT_OK;
  FT_TRY(ft_prompt_check(c));
  FT_TRY(copy_patterns(&c->rank_pattern, &out->ranks));
  FT_TRY(copy_patterns(&c->alpha_pattern, &out->alphas));
  out->method = method_of(c);
  out->method.rank_pattern = out->ranks;
  out->method.alpha_pattern = out->alphas;
out:
  return err;
}

/* ---------------------------------------------------------------- from model.adapter */

static cJSON *names_json(const ft_hf_modules *m) {
  if (m->is_pattern) return cJSON_CreateString(m->names[0]);
  if (m->num == 0) return NULL;
  return cJSON_CreateStringArray(m->names, (int)m->num);
}

static cJSON *patterns_json(const ft_hf_pattern *list, int64_t num) {
  cJSON *object = cJSON_CreateObject();
  for (int64_t i = 0; i < num; i++)
    cJSON_AddNumberToObject(object, list[i].pattern, list[i].value);
  return object;
}

/* What method.* would be for an adapter's method: of each key that it decides, the value. */
static cJSON *keys_of(const ft_hf_method *m) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "name", method_names[m->kind]);
  cJSON_AddItemToObject(o, "targets", names_json(&m->targets));
  cJSON_AddItemToObject(o, "save_modules", names_json(&m->save));
  if (m->kind == FT_METHOD_LORA) {
    cJSON_AddNumberToObject(o, "rank", (double)m->rank);
    cJSON_AddNumberToObject(o, "alpha", m->alpha);
    cJSON_AddBoolToObject(o, "rslora", m->rslora);
    cJSON_AddBoolToObject(o, "dora", m->dora);
    cJSON_AddBoolToObject(o, "ensure_weight_tying", m->ensure_weight_tying);
    cJSON_AddNumberToObject(o, "dropout", m->dropout);
    cJSON_AddStringToObject(o, "bias", ft_hf_bias_name(m->bias));
    cJSON_AddItemToObject(o, "rank_pattern", patterns_json(m->rank_pattern, m->num_rank_patterns));
    cJSON_AddItemToObject(o, "alpha_pattern",
                          patterns_json(m->alpha_pattern, m->num_alpha_patterns));
  }
  if (m->kind == FT_METHOD_PREFIX || m->kind == FT_METHOD_PROMPT)
    cJSON_AddNumberToObject(o, "virtual_tokens", (double)m->virtual_tokens);
  if (m->kind == FT_METHOD_BOTTLENECK) {
    cJSON_AddNumberToObject(o, "reduction", (double)m->reduction);
    cJSON_AddStringToObject(o, "placement", m->after_attention ? "houlsby" : "pfeiffer");
    cJSON_AddStringToObject(o, "activation",
                            m->activation == FT_ACT_SILU   ? "silu"
                            : m->activation == FT_ACT_GELU ? "gelu"
                                                           : "relu");
  }
  return o;
}

static bool has_item(const cJSON *list, const cJSON *item) {
  for (const cJSON *i = list->child; i; i = i->next)
    if (cJSON_Compare(i, item, true)) return true;
  return false;
}

/* The order of names means nothing. */
static bool agree(const cJSON *a, const cJSON *b) {
  if (!cJSON_IsArray(a) || !cJSON_IsArray(b)) return cJSON_Compare(a, b, true);
  bool same = cJSON_GetArraySize(a) == cJSON_GetArraySize(b);
  for (const cJSON *i = a->child; same && i; i = i->next)
    same = has_item(b, i);
  return same;
}

/* A key of method.* that is not as it is by default says what the adapter says. */
static ft_err check_key(const ft_config *config, const ft_config_key *key, const cJSON *adapter) {
  ft_err err = FT_OK;
  cJSON *initial = NULL;
  char *ours = NULL, *theirs = NULL;
  const cJSON *value = ft_config_value(config, key->path);
  const cJSON *other = ft_json_get(adapter, key->path + strlen("method."));
  FT_TRY(ft_json_parse(key->initial, strlen(key->initial), key->path, &initial));
  if (!value || cJSON_Compare(value, initial, true) || (other && agree(value, other))) goto out;
  FT_TRY(ft_json_print(value, false, &ours));
  if (other) FT_TRY(ft_json_print(other, false, &theirs));
  err =
      ft_fail(FT_ERR_CONFIG,
              "%s is %s, but model.adapter %s has %s: its adapter_config.json decides the method; "
              "leave the key out",
              key->path, ours, config->adapter, theirs ? theirs : "no such thing");
out:
  ft_free(ours);
  ft_free(theirs);
  cJSON_Delete(initial);
  return err;
}

static ft_err check_keys(const ft_config *config, const ft_hf_method *method) {
  ft_err err = FT_OK;
  int64_t count;
  const ft_config_key *keys = ft_config_keys(&count);
  cJSON *adapter = keys_of(method);
  for (int64_t i = 0; i < count; i++)
    if (strncmp(keys[i].path, "method.", strlen("method.")) == 0)
      FT_TRY(check_key(config, &keys[i], adapter));
out:
  cJSON_Delete(adapter);
  return err;
}

static ft_err open_adapter(const ft_config *config, ft_train_method *out) {
  ft_err err = FT_OK;
  FT_TRY(ft_hf_adapter_open(config->adapter, &out->adapter));
  FT_CHECK(strcmp(ft_hf_adapter_type(out->adapter), "P_TUNING") != 0, FT_ERR_CONFIG,
           "model.adapter: %s was made by P-tuning, whose encoder is in none of its files: it can "
           "be evaluated, but not trained on",
           config->adapter);
  out->method = *ft_hf_adapter_method(out->adapter);
  FT_TRY(check_keys(config, &out->method));
out:
  return err;
}

/* ---------------------------------------------------------------- the method of a run */

bool ft_train_has_method(const ft_config *config) {
  return config->adapter || config->method.name != FT_METHOD_FULL;
}

ft_err ft_train_method_open(const ft_config *config, ft_train_method *out) {
  *out = (ft_train_method){.adapter = NULL};
  ft_err err = config->adapter ? open_adapter(config, out) : open_own(&config->method, out);
  if (err != FT_OK) ft_train_method_close(out);
  return err;
}

void ft_train_method_close(ft_train_method *m) {
  ft_hf_adapter_close(m->adapter);
  ft_free(m->ranks);
  ft_free(m->alphas);
  *m = (ft_train_method){.adapter = NULL};
}

/* What a reward model needs beside a decoder's layers. */
static ft_err put_score(const ft_config *config, ft_hf_config *hf) {
  bool wanted = config->objective == FT_OBJECTIVE_REWARD && hf->arch.head == FT_HEAD_TOKENS;
  return wanted ? ft_hf_add_score(hf, (uint64_t)config->seed) : FT_OK;
}

/* A head that begins with random numbers must be trained. */
static ft_err check_score(const ft_config *config, const ft_hf_config *hf, bool was_tokens) {
  const ft_tensor *head;
  int64_t block = ft_layout_find(hf->layout, &hf->layout->head, FT_ROLE_HEAD, &head);
  if (config->objective != FT_OBJECTIVE_REWARD || !was_tokens) return FT_OK;
  if (block >= 0 && hf->layout->blocks[block].trained) return FT_OK;
  return ft_fail(FT_ERR_CONFIG,
                 "objective.name is \"reward\" and %s has no head that scores: the new one, score, "
                 "has to be trained: leave it out of train.freeze, or add \"score\" to "
                 "method.save_modules",
                 config->model_path);
}

/* The layout's rates; method NULL: nothing is beside the model. */
static ft_err put_rates(const ft_config *c, const ft_hf_method *method, ft_hf_config *hf) {
  ft_err err = FT_OK;
  void *groups = NULL;
  int64_t num = c->num_groups;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, FT_MAX(num, (int64_t)1), sizeof(ft_hf_group), &groups));
  for (int64_t i = 0; i < num; i++)
    ((ft_hf_group *)groups)[i] = (ft_hf_group){
        .pattern = c->groups[i].pattern, .rates = {c->groups[i].lr, c->groups[i].weight_decay}};
  FT_TRY(ft_hf_put_rates(hf, method, c->layer_decay, groups, num));
out:
  ft_free(groups);
  return err;
}

ft_err ft_train_put_method(const ft_config *config, ft_hf_config *hf) {
  ft_err err = FT_OK;
  bool has = ft_train_has_method(config);
  ft_train_method m = {.adapter = NULL};
  bool was_tokens = hf->arch.head == FT_HEAD_TOKENS;
  FT_TRY(put_score(config, hf));
  if (!has) {
    if (config->freeze.num > 0) FT_TRY(ft_hf_freeze(hf, config->freeze.texts, config->freeze.num));
  } else {
    FT_TRY(ft_train_method_open(config, &m));
    if (m.adapter)
      FT_TRY(ft_hf_adapter_put(m.adapter, config->model_path, hf));
    else
      FT_TRY(ft_hf_put_method(hf, &m.method));
  }
  FT_TRY(check_score(config, hf, was_tokens));
  FT_TRY(put_rates(config, has ? &m.method : NULL, hf));
out:
  ft_train_method_close(&m);
  return err;
}

ft_err ft_train_put_adapter(const char *dir, const char *model_dir, ft_hf_config *hf) {
  ft_hf_adapter *adapter;
  ft_err err = ft_hf_adapter_open(dir, &adapter);
  if (err == FT_OK) err = ft_hf_adapter_put(adapter, model_dir, hf);
  ft_hf_adapter_close(adapter);
  return err;
}

ft_err ft_train_import_adapter(const char *dir, const char *model_dir, const ft_hf_config *hf,
                               ft_shard *shard, ft_comm *comm) {
  ft_err err = FT_OK;
  ft_hf_adapter *adapter;
  err = ft_hf_adapter_open(dir, &adapter);
  if (err == FT_OK) err = ft_hf_adapter_fit(adapter, model_dir, hf);
  FT_TRY(ft_comm_agree(comm, err));
  FT_TRY(ft_hf_adapter_import(adapter, shard, comm));
out:
  ft_hf_adapter_close(adapter);
  return err;
}
