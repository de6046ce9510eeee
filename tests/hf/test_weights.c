/* Proves what an export writes: tensors, files, config, companions, nothing on failure. Run alone:
 * meson test hf-weights */
#include "hf_fixtures.h"

#include <math.h>
#include <sys/stat.h>

#include "ft/kernels.h"

/* ---------------------------------------------------------------- helpers */

static bool exists(const char *name) {
  return ft_path_exists(in_root(name));
}

/* Names in the test's folder that begin so. */
static int count_names(const char *start) {
  char **names;
  int64_t count;
  int found = 0;
  assert_ok(ft_list_dir(root, &names, &count));
  for (int64_t i = 0; i < count; i++)
    found += strncmp(names[i], start, strlen(start)) == 0;
  ft_free_names(names, count);
  return found;
}

static ft_err export_random(const ft_hf_config *config, ft_dtype dtype, int64_t max_shard_bytes,
                            const char *out) {
  ft_hf_source source;
  assert_ok(ft_hf_random_source(config, 11, &source));
  ft_err err = ft_hf_export(NULL, config, &source, dtype, max_shard_bytes, in_root(out));
  ft_hf_random_source_free(&source);
  return err;
}

/* A source made of a formula: block, element and sign are visible in every value. */
static ft_err read_formula(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  const float *scale = arg;
  for (int64_t i = 0; i < count; i++)
    out[i] = *scale * (float)((start + i) % 251 - 125 + 1000 * block);
  return FT_OK;
}

static void assert_tensor(ft_safetensors *st, const ft_hf_config *config, int64_t block,
                          const ft_tensor *t, float scale) {
  char name[96];
  ft_hf_tensor_name(config, &layout_of(&config->arch)->blocks[block], t->role, name, sizeof name);
  const ft_safetensor *found = ft_safetensors_find(st, name);
  if (!found) fail_msg("%s is missing", name);
  int64_t n = ft_tensor_elements(t);
  assert_int_equal(found->elements, n);
  size_t bytes = (size_t)n * ft_dtype_bytes(found->dtype);
  char *expected = malloc(bytes), *raw = malloc(bytes);
  float *values = malloc((size_t)n * sizeof *values);
  assert_ok(read_formula(&scale, block, t->offset, n, values));
  ft_convert(found->dtype, expected, FT_F32, values, n);
  assert_ok(ft_safetensors_read(st, found, 0, n, raw));
  assert_memory_equal(raw, expected, bytes);
  free(expected);
  free(raw);
  free(values);
}

/* ---------------------------------------------------------------- exports */

/* Every tensor of the exported directory, and no other. */
static void assert_export(const char *dir, const ft_hf_config *config, float scale) {
  const ft_arch *arch = &config->arch;
  ft_safetensors *st;
  int64_t tensors = 0;
  assert_ok(ft_hf_check_weights(in_root(dir), config));
  assert_ok(ft_safetensors_open(in_root(dir), &st));
  for (int64_t b = 0; b < layout_of(arch)->num_blocks; b++) {
    ft_block block = layout_of(arch)->blocks[b];
    tensors += block.num_tensors;
    for (int i = 0; i < block.num_tensors; i++)
      assert_tensor(st, config, b, &block.tensors[i], scale);
  }
  assert_int_equal(ft_safetensors_count(st), tensors);
  ft_safetensors_close(st);
}

static void exports_hold_every_tensor(void **state) {
  (void)state;
  const ft_dtype dtypes[] = {FT_F32, FT_BF16, FT_F16};
  float scale = 0.25f;
  ft_hf_source source = {read_formula, &scale};
  for (int c = 0; c <= NUM_TINY; c++)
    for (size_t d = 0; d < FT_ARRAY_SIZE(dtypes); d++) {
      int64_t max_shard_bytes = (c + (int)d) % 2 ? 4000 : 0;
      ft_hf_config config = config_of(c < NUM_TINY ? tiny_configs[c] : wide_config);
      assert_ok(ft_hf_export(NULL, &config, &source, dtypes[d], max_shard_bytes, in_root("out")));
      assert_int_equal(exists("out/model.safetensors"), max_shard_bytes == 0);
      assert_int_equal(exists("out/model.safetensors.index.json"), max_shard_bytes != 0);
      assert_export("out", &config, scale);
      ft_hf_config_fini(&config);
      assert_int_equal(count_names("out"), 1);
      assert_ok(ft_remove_tree(in_root("out")));
    }
}

static void tensors_come_in_the_order_of_a_state_dict(void **state) {
  (void)state;
  static const char *const expected[] = {"model.embed_tokens.weight",
                                         "model.layers.0.self_attn.q_proj.weight",
                                         "model.layers.0.self_attn.q_proj.bias",
                                         "model.layers.0.self_attn.k_proj.weight",
                                         "model.layers.0.self_attn.k_proj.bias",
                                         "model.layers.0.self_attn.v_proj.weight",
                                         "model.layers.0.self_attn.v_proj.bias",
                                         "model.layers.0.self_attn.o_proj.weight",
                                         "model.layers.0.self_attn.o_proj.bias",
                                         "model.layers.0.self_attn.q_norm.weight",
                                         "model.layers.0.self_attn.k_norm.weight",
                                         "model.layers.0.mlp.gate_proj.weight",
                                         "model.layers.0.mlp.up_proj.weight",
                                         "model.layers.0.mlp.down_proj.weight",
                                         "model.layers.0.input_layernorm.weight",
                                         "model.layers.0.post_attention_layernorm.weight",
                                         "model.norm.weight",
                                         "lm_head.weight"};
  ft_hf_config config = config_of(tiny_configs[3]);
  ft_safetensors *st;
  assert_ok(export_random(&config, FT_BF16, 0, "out"));
  assert_ok(ft_safetensors_open(in_root("out"), &st));
  int64_t end = 0;
  for (size_t i = 0; i < FT_ARRAY_SIZE(expected); i++) {
    const ft_safetensor *t = ft_safetensors_find(st, expected[i]);
    if (!t) fail_msg("%s is missing", expected[i]);
    assert_true(t->begin >= end);
    end = t->begin + 2 * t->elements;
  }
  ft_safetensors_close(st);
  ft_hf_config_fini(&config);
  assert_ok(ft_remove_tree(in_root("out")));
}

static void shards_and_index_agree(void **state) {
  (void)state;
  ft_hf_config config = config_of(tiny_configs[0]);
  cJSON *index;
  assert_ok(export_random(&config, FT_F32, 5000, "out"));
  assert_ok(ft_json_read(in_root("out/model.safetensors.index.json"), &index));
  cJSON *total = ft_json_get(ft_json_get(index, "metadata"), "total_size");
  assert_true(total->valuedouble == 4.0 * (double)ft_arch_num_parameters(&config.arch));
  const cJSON *entry;
  int files = 0;
  cJSON_ArrayForEach(entry, ft_json_get(index, "weight_map")) {
    char path[64];
    struct stat info;
    snprintf(path, sizeof path, "out/%s", entry->valuestring);
    assert_int_equal(stat(in_root(path), &info), 0);
    files = FT_MAX(files, atoi(entry->valuestring + 6));
  }
  char last[64];
  assert_true(files > 2);
  snprintf(last, sizeof last, "out/model-%05d-of-%05d.safetensors", files, files);
  assert_true(exists(last));
  cJSON_Delete(index);
  ft_hf_config_fini(&config);
  assert_ok(ft_remove_tree(in_root("out")));
}

static void config_keeps_every_field_but_the_dtype(void **state) {
  (void)state;
  static const struct {
    const char *fields, *dtype, *torch_dtype;
  } cases[] = {{"\"torch_dtype\":\"float16\"", NULL, "bfloat16"},
               {"\"dtype\":\"float16\"", "bfloat16", NULL},
               {"\"dtype\":\"float32\",\"torch_dtype\":\"float32\"", "bfloat16", "bfloat16"},
               {"\"use_cache\":true", NULL, "bfloat16"}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    char text[512];
    snprintf(text, sizeof text,
             "{\"model_type\":\"llama\",\"vocab_size\":7,\"hidden_size\":4,\"intermediate_size\":3,"
             "\"num_hidden_layers\":1,\"num_attention_heads\":2,%s,\"mine\":[1,{\"deep\":0.1}],"
             "\"rms_norm_eps\":1e-05,\"rope_theta\":500000.0}",
             cases[i].fields);
    ft_hf_config config = config_of(text);
    cJSON *json;
    assert_ok(export_random(&config, FT_BF16, 0, "out"));
    assert_ok(ft_json_read(in_root("out/config.json"), &json));
    const char *names[] = {"dtype", "torch_dtype"};
    const char *values[] = {cases[i].dtype, cases[i].torch_dtype};
    for (int k = 0; k < 2; k++) {
      const cJSON *found = ft_json_get(json, names[k]);
      assert_int_equal(found != NULL, values[k] != NULL);
      if (found) assert_string_equal(found->valuestring, values[k]);
      cJSON_DeleteItemFromObjectCaseSensitive(json, names[k]);
      cJSON_DeleteItemFromObjectCaseSensitive(config.json, names[k]);
    }
    assert_true(cJSON_Compare(json, config.json, true));
    cJSON_Delete(json);
    ft_hf_config_fini(&config);
    assert_ok(ft_remove_tree(in_root("out")));
  }
}

static void companions_are_copied(void **state) {
  (void)state;
  static const char *const copied[] = {"tokenizer.json",
                                       "tokenizer_config.json",
                                       "tokenizer.model",
                                       "special_tokens_map.json",
                                       "generation_config.json",
                                       "vocab.json",
                                       "merges.txt",
                                       "chat_template.jinja",
                                       "LICENSE.txt",
                                       "additional_chat_templates/tool.jinja"};
  static const char *const left[] = {"README.md", "model.safetensors.index.json", "train.py",
                                     "pytorch_model.bin"};
  ft_hf_config config = config_of(tiny_configs[1]);
  ft_hf_source source;
  char name[128];
  assert_ok(ft_make_dirs(in_root("model/additional_chat_templates")));
  for (size_t i = 0; i < FT_ARRAY_SIZE(copied); i++) {
    snprintf(name, sizeof name, "model/%s", copied[i]);
    write_text(name, copied[i]);
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(left); i++) {
    snprintf(name, sizeof name, "model/%s", left[i]);
    write_text(name, left[i]);
  }
  assert_ok(ft_hf_random_source(&config, 1, &source));
  assert_ok(ft_hf_export(in_root("model"), &config, &source, FT_F32, 0, in_root("deep/er/out/")));
  for (size_t i = 0; i < FT_ARRAY_SIZE(copied); i++) {
    char *data;
    size_t bytes;
    snprintf(name, sizeof name, "deep/er/out/%s", copied[i]);
    assert_ok(ft_read_file(in_root(name), 1000, &data, &bytes));
    assert_string_equal(data, copied[i]);
    ft_free(data);
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(left); i++) {
    snprintf(name, sizeof name, "deep/er/out/%s", left[i]);
    assert_false(exists(name));
  }
  ft_hf_random_source_free(&source);
  ft_hf_config_fini(&config);
}

/* ---------------------------------------------------------------- exports that fail */

static ft_err read_failing(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  (void)arg, (void)start;
  memset(out, 0, (size_t)count * sizeof *out);
  return block == 2 ? ft_fail(FT_ERR_IO, "the disk is gone") : FT_OK;
}

static ft_err read_nan(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  (void)arg, (void)start;
  for (int64_t i = 0; i < count; i++)
    out[i] = block == 1 && i == 5 ? NAN : 0;
  return FT_OK;
}

static ft_err read_large(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  (void)arg, (void)block, (void)start;
  for (int64_t i = 0; i < count; i++)
    out[i] = -7e4f;
  return FT_OK;
}

/* Writes a model directory's texts and adds what a run chats with. */
static ft_hf_chat_report add_chat(const char *generation, const char *tokenizer) {
  static const uint32_t ends[] = {7, 9};
  const ft_hf_chat chat = {.template = "{{ 'x' }}", .ends = ends, .num_ends = 2};
  ft_hf_chat_report report;
  assert_ok(ft_remove_tree(in_root("chat")));
  assert_ok(ft_make_dirs(in_root("chat")));
  write_text("chat/config.json", "{\"eos_token_id\": 3}");
  if (generation) write_text("chat/generation_config.json", generation);
  if (tokenizer) write_text("chat/tokenizer_config.json", tokenizer);
  assert_ok(ft_hf_add_chat(in_root("chat"), &chat, &report));
  assert_int_equal(exists("chat/chat_template.jinja"), report.added_template);
  assert_int_equal(exists("chat/ftrun.sha256"), report.added_ends || report.added_template);
  return report;
}

static void assert_ends(const char *expected) {
  cJSON *json;
  assert_ok(ft_json_read(in_root("chat/generation_config.json"), &json));
  char *text = cJSON_PrintUnformatted(json);
  assert_string_equal(text, expected);
  cJSON_free(text);
  cJSON_Delete(json);
}

static void chats_are_added_where_they_lack(void **state) {
  (void)state;
  ft_hf_chat_report r = add_chat(NULL, NULL);
  assert_true(r.added_ends && r.added_template && !r.had_template);
  assert_ends("{\"eos_token_id\":[3,7,9]}");
  r = add_chat("{\"top_p\": 0.9, \"eos_token_id\": [9, 5]}", "{\"chat_template\": null}");
  assert_true(r.added_ends && r.added_template);
  assert_ends("{\"top_p\":0.9,\"eos_token_id\":[9,5,7]}");
  r = add_chat("{\"eos_token_id\": [9, 7]}", "{\"chat_template\": \"y\"}");
  assert_true(!r.added_ends && !r.added_template && r.had_template);
  assert_ends("{\"eos_token_id\":[9,7]}");
}

static void a_failed_export_leaves_nothing(void **state) {
  (void)state;
  const struct {
    ft_hf_source source;
    ft_dtype dtype;
    ft_err code;
    const char *part;
  } cases[] = {{{read_failing, NULL}, FT_F32, FT_ERR_IO, "the disk is gone"},
               {{read_nan, NULL}, FT_F32, FT_ERR_DATA, "element 5 of model.layers.0."},
               {{read_large, NULL}, FT_F16, FT_ERR_DATA, "float16 cannot hold"}};
  ft_hf_config config = config_of(tiny_configs[0]);
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    assert_fails(
        ft_hf_export(NULL, &config, &cases[i].source, cases[i].dtype, 0, in_root("failed")),
        cases[i].code, cases[i].part);
    assert_int_equal(count_names("failed"), 0);
  }
  ft_hf_source large = {read_large, NULL};
  assert_ok(ft_hf_export(NULL, &config, &large, FT_BF16, 0, in_root("failed")));
  assert_ok(ft_remove_tree(in_root("failed")));
  ft_hf_config_fini(&config);
}

static void existing_directories_are_not_overwritten(void **state) {
  (void)state;
  ft_hf_config config = config_of(tiny_configs[0]);
  assert_ok(ft_make_dirs(in_root("taken")));
  assert_ok(export_random(&config, FT_F32, 0, "taken")); /* empty: fine */
  assert_true(exists("taken/model.safetensors"));
  assert_fails(export_random(&config, FT_F32, 0, "taken"), FT_ERR_CREATE, "not empty");
  write_text("file", "x");
  assert_fails(export_random(&config, FT_F32, 0, "file"), FT_ERR_CREATE, "not a directory");
  assert_int_equal(count_names("taken"), 1);
  assert_ok(ft_remove_tree(in_root("taken")));
  ft_hf_config_fini(&config);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exports_hold_every_tensor),
      cmocka_unit_test(tensors_come_in_the_order_of_a_state_dict),
      cmocka_unit_test(shards_and_index_agree),
      cmocka_unit_test(config_keeps_every_field_but_the_dtype),
      cmocka_unit_test(companions_are_copied),
      cmocka_unit_test(chats_are_added_where_they_lack),
      cmocka_unit_test(a_failed_export_leaves_nothing),
      cmocka_unit_test(existing_directories_are_not_overwritten),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
