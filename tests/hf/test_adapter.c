/* Proves that adapter directories of PEFT and the adapters library come back as they were: the same
 * names, shapes and values, and the same configuration; that merging gives PEFT's weights, or the
 * right ones where PEFT's are wrong; and that adapters of another model, or of a kind that is not
 * supported, are refused by name. Alone: FT_SHARED=DIR build/tests/hf/test_hf_adapter, where DIR
 * has golden-methods; without it only refusals are tested. */
#include <math.h>

#include "ft/hf_adapter.h"
#include "hf_fixtures.h"

static const char *shared;

static const char *golden(const char *name) {
  static char path[4][512];
  static int next;
  char *p = path[next++ % 4];
  snprintf(p, sizeof path[0], "%s/golden-methods/%s", shared, name);
  return p;
}

typedef struct opened {
  ft_hf_config base;
  ft_hf_adapter *adapter;
  ft_hf_source source;
} opened;

static ft_err open_adapter(const char *dir, const char *base_dir, opened *o) {
  ft_err err = FT_OK;
  *o = (opened){.adapter = NULL};
  FT_TRY(ft_hf_config_read(base_dir, &o->base));
  FT_TRY(ft_hf_adapter_open(dir, &o->adapter));
  FT_TRY(ft_hf_adapter_put(o->adapter, base_dir, &o->base));
  ft_hf_adapter_source(o->adapter, &o->source);
out:
  return err;
}

static void close_adapter(opened *o) {
  ft_hf_adapter_close(o->adapter);
  ft_hf_config_fini(&o->base);
}

/* ---------------------------------------------------------------- files */

static float *values_of(ft_safetensors *st, const ft_safetensor *t) {
  void *raw = malloc((size_t)t->elements * 4 + 1);
  float *values = malloc((size_t)t->elements * sizeof(float) + 1);
  assert_true(raw && values);
  assert_ok(ft_safetensors_read(st, t, 0, t->elements, raw));
  for (int64_t i = 0; i < t->elements; i++)
    values[i] = t->dtype == FT_F32    ? ((float *)raw)[i]
                : t->dtype == FT_BF16 ? ft_f32_from_bf16(((uint16_t *)raw)[i])
                                      : ft_f32_from_f16(((uint16_t *)raw)[i]);
  free(raw);
  return values;
}

static ft_safetensors *open_file(const char *dir, const char *name) {
  char path[1000];
  ft_safetensors *st;
  snprintf(path, sizeof path, "%s/%s", dir, name);
  assert_ok(ft_safetensors_open(path, &st));
  return st;
}

/* Next to each other in bf16, or almost nothing: a sum in f32 in another order, rounded once. */
static bool is_near(float a, float b) {
  return fabs((double)a - (double)b) <= fmax(1e-8, fabs((double)a) / 128);
}

/* The same tensors, whose elements differ by no more than `bound`; with 0, one in 20000 of bf16 may
 * be its neighbour. */
static void compare_files(ft_safetensors *a, ft_safetensors *b, double bound) {
  int64_t apart = 0, all = 0;
  assert_int_equal(ft_safetensors_count(a), ft_safetensors_count(b));
  for (int64_t i = 0; i < ft_safetensors_count(a); i++) {
    const ft_safetensor *x = ft_safetensors_at(a, i), *y = ft_safetensors_at(b, i);
    assert_string_equal(x->name, y->name);
    assert_string_equal(x->dtype_name, y->dtype_name);
    assert_int_equal(x->num_dims, y->num_dims);
    for (int d = 0; d < x->num_dims; d++)
      assert_int_equal(x->dims[d], y->dims[d]);
    float *p = values_of(a, x), *q = values_of(b, y);
    all += x->elements;
    for (int64_t k = 0; k < x->elements; k++)
      if (!(fabs((double)p[k] - (double)q[k]) <= bound) &&
          (bound > 0 || x->dtype != FT_BF16 || !is_near(p[k], q[k]) || apart++ > all / 20000))
        fail_msg("%s, element %lld: %.9g instead of %.9g", x->name, (long long)k, (double)p[k],
                 (double)q[k]);
    free(p);
    free(q);
  }
  ft_safetensors_close(a);
  ft_safetensors_close(b);
}

static bool has_item(const cJSON *list, const cJSON *item) {
  for (const cJSON *i = list->child; i; i = i->next)
    if (cJSON_Compare(i, item, true)) return true;
  return false;
}

/* The order of a list of names means nothing. */
static void compare_configs(const char *a, const char *b, bool all) {
  cJSON *x, *y;
  assert_ok(ft_json_read(a, &x));
  assert_ok(ft_json_read(b, &y));
  assert_int_equal(cJSON_GetArraySize(x), cJSON_GetArraySize(y));
  for (const cJSON *i = x->child; i; i = i->next) {
    const cJSON *other = ft_json_get(y, i->string);
    if (!other) fail_msg("%s is missing", i->string);
    if (!all && strcmp(i->string, "base_model_name_or_path") == 0) continue;
    bool same = cJSON_Compare(i, other, true);
    if (!same && cJSON_IsArray(i) && cJSON_GetArraySize(i) == cJSON_GetArraySize(other)) {
      same = true;
      for (const cJSON *k = i->child; k; k = k->next)
        same = same && has_item(other, k);
    }
    if (!same) fail_msg("%s differs", i->string);
  }
  cJSON_Delete(x);
  cJSON_Delete(y);
}

/* ---------------------------------------------------------------- cases */

typedef struct golden_case {
  const char *name, *base, *merged; /* merged NULL: nothing to compare with */
} golden_case;

static const golden_case cases[] = {
    {"lora-qv", "base-llama-gqa", "merged.safetensors"},
    {"lora-patterns", "base-llama-gqa", "merged.safetensors"},
    {"lora-layers", "base-llama-gqa", "merged.safetensors"},
    {"lora-all-rslora", "base-llama-gqa", "merged.safetensors"},
    {"lora-bias-all", "base-qwen2-bias", "merged.safetensors"},
    {"lora-save-head", "base-llama-gqa", "merged.safetensors"},
    {"lora-save-head-tied", "base-qwen2-bias", "merged.safetensors"},
    {"dora", "base-llama-gqa", "merged.safetensors"},
    {"dora-bias", "base-qwen2-bias", "merged.safetensors"},
    {"ia3", "base-llama-gqa", "merged.safetensors"},
    {"ia3-bias", "base-qwen2-bias", "merged.safetensors"},
    {"lora-qv-bf16", "base-llama-gqa-bf16", "merged.safetensors"},
    {"dora-bf16", "base-llama-gqa-bf16", "merged.safetensors"},
    {"ia3-bf16", "base-llama-gqa-bf16", "merged.safetensors"},
    {"prefix", "base-llama-gqa", NULL},
    {"prefix-bias", "base-qwen2-bias", NULL},
    {"prompt-text", "base-qwen2-bias", NULL},
    {"prompt-random", "base-llama-gqa", NULL},
    {"ptuning", "base-llama-gqa", NULL},
    {"bottleneck-houlsby", "base-llama-gqa", NULL},
    {"bottleneck-pfeiffer", "base-llama-gqa", NULL},
};

static void come_back(const golden_case *c, const char *which) {
  char dir[600], file[64] = "adapter_model.safetensors";
  opened o;
  snprintf(dir, sizeof dir, "%s/%s", golden(c->name), which);
  assert_ok(open_adapter(dir, golden(c->base), &o));
  const ft_hf_method *method = ft_hf_adapter_method(o.adapter);
  assert_ok(ft_remove_tree(in_root("out")));
  assert_ok(ft_hf_export_adapter(c->base, &o.base, method, &o.source, in_root("out")));
  if (method->kind == FT_METHOD_BOTTLENECK) snprintf(file, sizeof file, "adapter.safetensors");
  compare_files(open_file(dir, file), open_file(in_root("out"), file), 0);
  char config[700];
  snprintf(config, sizeof config, "%s/adapter_config.json", dir);
  compare_configs(config, in_root("out/adapter_config.json"), true);
  close_adapter(&o);
}

static void adapters_come_back(void **state) {
  (void)state;
  if (!shared) skip();
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    come_back(&cases[i], "adapter_init");
    come_back(&cases[i], "adapter_final");
  }
}

/* The keys that PEFT writes follow from the method alone. */
static void configurations_are_those_of_peft(void **state) {
  (void)state;
  static const char *const exact[] = {"lora-qv",
                                      "lora-patterns",
                                      "lora-all-rslora",
                                      "dora",
                                      "dora-bias",
                                      "ia3",
                                      "ia3-bias",
                                      "lora-save-head",
                                      "lora-bias-all",
                                      "prefix",
                                      "prefix-bias",
                                      "prompt-random",
                                      "bottleneck-pfeiffer",
                                      "bottleneck-houlsby"};
  if (!shared) skip();
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    opened o;
    char path[600];
    bool wanted = false;
    for (size_t k = 0; k < FT_ARRAY_SIZE(exact); k++)
      wanted |= strcmp(exact[k], cases[i].name) == 0;
    if (!wanted) continue;
    snprintf(path, sizeof path, "%s/adapter_init", golden(cases[i].name));
    assert_ok(open_adapter(path, golden(cases[i].base), &o));
    ft_hf_method method = *ft_hf_adapter_method(o.adapter);
    bool bottleneck = method.kind == FT_METHOD_BOTTLENECK;
    method.as_read = NULL;
    assert_ok(ft_remove_tree(in_root("out")));
    assert_ok(ft_hf_export_adapter(cases[i].base, &o.base, &method, &o.source, in_root("out")));
    snprintf(path, sizeof path, "%s/adapter_init/adapter_config.json", golden(cases[i].name));
    if (bottleneck) {
      close_adapter(&o);
      continue; /* its name is another */
    }
    compare_configs(path, in_root("out/adapter_config.json"), true);
    close_adapter(&o);
  }
}

static void merge_and_compare(const golden_case *c, ft_dtype dtype, const char *merged,
                              double bound) {
  char dir[600];
  opened o;
  snprintf(dir, sizeof dir, "%s/adapter_final", golden(c->name));
  assert_ok(open_adapter(dir, golden(c->base), &o));
  assert_ok(ft_remove_tree(in_root("merged")));
  assert_ok(ft_hf_export_merged(golden(c->base), &o.base, ft_hf_adapter_method(o.adapter),
                                &o.source, dtype, in_root("merged")));
  compare_files(open_file(golden(c->name), merged),
                open_file(in_root("merged"), "model.safetensors"), bound);
  close_adapter(&o);
}

static void merged_weights_are_pefts(void **state) {
  (void)state;
  if (!shared) skip();
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++)
    if (cases[i].merged) merge_and_compare(&cases[i], FT_F32, cases[i].merged, 1e-6);
  /* rounded once; a sum in another order may fall on the other side of a tie */
  merge_and_compare(&cases[11], FT_BF16, "merged_bf16.safetensors", 0);
  merge_and_compare(&cases[12], FT_BF16, "merged_bf16.safetensors", 0);
  merge_and_compare(&cases[13], FT_BF16, "merged_bf16.safetensors", 0);
}

static void a_saved_head_unties(void **state) {
  (void)state;
  cJSON *json;
  if (!shared) skip();
  merge_and_compare(&cases[6], FT_F32, "merged.safetensors", 1e-6);
  assert_ok(ft_json_read(in_root("merged/config.json"), &json));
  assert_true(cJSON_IsFalse(ft_json_get(json, "tie_word_embeddings")));
  cJSON_Delete(json);
}

/* ---------------------------------------------------------------- refusals */

static void another_model_is_refused(void **state) {
  (void)state;
  opened o;
  if (!shared) skip();
  assert_fails(open_adapter(golden("lora-qv/adapter_init"), golden("base-qwen2-bias"), &o),
               FT_ERR_DATA, "is an adapter of another model than");
  assert_non_null(strstr(ft_error_message(),
                         "layers.0.self_attn.v_proj.lora_B.weight is F32 [16, 4]; expected is F32, "
                         "BF16 or F16 [32, 4] (2 more tensors differ)"));
  close_adapter(&o);
  /* the same shapes, other weights */
  assert_fails(open_adapter(golden("lora-qv-bf16/adapter_init"), golden("base-llama-gqa"), &o),
               FT_ERR_DATA, "base_model_name_or_path is \"base-llama-gqa-bf16\", whose weights");
  close_adapter(&o);
}

static void virtual_tokens_cannot_be_merged(void **state) {
  (void)state;
  opened o;
  if (!shared) skip();
  assert_ok(open_adapter(golden("prefix/adapter_init"), golden("base-llama-gqa"), &o));
  assert_fails(ft_hf_export_merged(golden("base-llama-gqa"), &o.base,
                                   ft_hf_adapter_method(o.adapter), &o.source, FT_F32,
                                   in_root("merged-prefix")),
               FT_ERR_CONFIG, "a prefix cannot be merged");
  close_adapter(&o);
}

static void refuse(const char *config, const char *message) {
  ft_hf_adapter *adapter;
  assert_ok(ft_make_dirs(in_root("bad")));
  write_text("bad/adapter_config.json", config);
  assert_fails(ft_hf_adapter_open(in_root("bad"), &adapter), FT_ERR_DATA, message);
  assert_null(adapter);
}

static void what_is_not_supported_is_refused(void **state) {
  (void)state;
  static const char lora[] = "{\"peft_type\":\"LORA\",\"target_modules\":[\"q_proj\"],\"r\":8,%s}";
  static const struct {
    const char *more, *message;
  } lines[] = {
      {"\"layer_replication\":[[0,1]]", "layer_replication is [[0,1]], which changes what is"},
      {"\"use_qalora\":true", "use_qalora is true"},
      {"\"lora_bias\":true", "lora_bias is true"},
      {"\"exclude_modules\":[\"v_proj\"]", "exclude_modules is"},
      {"\"something_new\":3", "something_new is 3"},
      {"\"init_lora_weights\":\"pissa\"", "init_lora_weights is \"pissa\", which changes"},
      {"\"bias\":\"some\"", "bias is \"some\"; supported are"},
      {"\"lora_alpha\":\"x\"", "lora_alpha is \"x\""},
      {"\"rank_pattern\":{\"q\":0}", "rank_pattern: \"q\" is no positive number"},
      {"\"layers_to_transform\":[0.5]", "layers_to_transform: expected are"},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(lines); i++) {
    char text[300];
    snprintf(text, sizeof text, lora, lines[i].more);
    refuse(text, lines[i].message);
  }
  refuse("{\"peft_type\":\"ADALORA\"}", "peft_type is \"ADALORA\"; supported are LORA");
  refuse("{\"peft_type\":\"LORA\",\"r\":0,\"target_modules\":[\"q_proj\"]}",
         "r is 0; expected is an integer from 1");
  refuse("{\"peft_type\":\"LORA\",\"r\":2}", "target_modules is missing");
  refuse("{\"peft_type\":\"PREFIX_TUNING\",\"num_virtual_tokens\":3,\"prefix_projection\":true}",
         "prefix_projection is true");
  refuse("{\"config\":{\"mh_adapter\":true,\"original_ln_before\":true}}", "are both true");
  refuse("{\"config\":{\"original_ln_before\":true,\"non_linearity\":\"tanh\"}}",
         "config.non_linearity is \"tanh\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(adapters_come_back),
      cmocka_unit_test(configurations_are_those_of_peft),
      cmocka_unit_test(merged_weights_are_pefts),
      cmocka_unit_test(a_saved_head_unties),
      cmocka_unit_test(another_model_is_refused),
      cmocka_unit_test(virtual_tokens_cannot_be_merged),
      cmocka_unit_test(what_is_not_supported_is_refused),
  };
  shared = getenv("FT_SHARED");
  if (shared && !ft_path_is_dir(golden("lora-qv"))) shared = NULL;
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
