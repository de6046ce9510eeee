/* Proves that a directory's weights have the last word where config.json leaves something open: the
 * type of numbers, and whether the head is the embedding.
 * Run alone: meson test hf-follow */
#include "hf_fixtures.h"

/* Sources of values: `changed` is one element of the head that differs from the embedding's. */
typedef struct twins {
  ft_arch arch;
  int64_t changed; /* -1: none */
  float by;
} twins;

static ft_err read_twins(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  const twins *t = arg;
  bool last = block == layout_of(&t->arch)->num_blocks - 1;
  for (int64_t i = 0; i < count; i++) {
    out[i] = 0.5f + (float)((start + i) % 64);
    if (last && start + i == t->changed) out[i] += t->by;
  }
  return FT_OK;
}

/* A model directory with both matrices and this config. */
static void write_pair(const char *text, ft_dtype dtype, int64_t changed, float by, bool foreign) {
  ft_hf_config config;
  assert_ok(ft_remove_tree(in_root("pair")));
  write_text("config.json", small);
  assert_ok(ft_hf_config_read_file(in_root("config.json"), &config));
  twins t = {.arch = config.arch, .changed = changed, .by = by};
  ft_hf_source source = {read_twins, &t};
  assert_ok(ft_hf_export(NULL, &config, &source, dtype, 0, in_root("pair")));
  ft_hf_config_fini(&config);
  write_text("pair/config.json", text);
  if (foreign) forget_checksums(in_root("pair/model.safetensors"));
}

#define SMALL                                                                                      \
  "{\"model_type\":\"llama\",\"vocab_size\":100,\"hidden_size\":64,\"intermediate_size\":48,"      \
  "\"num_hidden_layers\":4,\"num_attention_heads\":4"

static void a_missing_type_is_that_of_the_weights(void **state) {
  (void)state;
  const struct {
    const char *members;
    ft_dtype written, read;
  } cases[] = {{"}", FT_F32, FT_F32},
               {"}", FT_F16, FT_F16},
               {"}", FT_BF16, FT_BF16},
               {",\"torch_dtype\":null}", FT_F32, FT_F32},
               {",\"torch_dtype\":\"bfloat16\"}", FT_F32, FT_BF16},
               {",\"dtype\":\"float32\"}", FT_BF16, FT_F32}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_hf_config config;
    char text[400];
    snprintf(text, sizeof text, SMALL "%s", cases[i].members);
    write_pair(text, cases[i].written, -1, 0, true);
    assert_ok(ft_hf_config_read(in_root("pair"), &config));
    assert_int_equal(config.dtype, cases[i].read);
    ft_hf_config_fini(&config);
  }
  ft_hf_config config;
  assert_ok(ft_remove_tree(in_root("pair/model.safetensors")));
  write_text("pair/config.json", small);
  assert_ok(ft_hf_config_read(in_root("pair"), &config)); /* no weights, no type */
  assert_int_equal(config.dtype, FT_BF16);
  ft_hf_config_fini(&config);
}

static void a_head_that_differs_is_not_tied(void **state) {
  (void)state;
  const struct {
    ft_dtype dtype;
    int64_t changed;
    float by;
    bool foreign, tied;
  } cases[] = {{FT_F32, -1, 0, true, true},    {FT_F32, -1, 0, false, true},
               {FT_F32, 6399, 1, true, false}, {FT_F32, 0, 1, false, false},
               {FT_F32, 0, 1e-3f, true, true}, /* nothing of it is left in bfloat16 */
               {FT_BF16, 77, 8, true, false},  {FT_BF16, 77, 8, false, false}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_hf_config config;
    write_pair(SMALL ",\"tie_word_embeddings\":true,\"torch_dtype\":\"bfloat16\"}", cases[i].dtype,
               cases[i].changed, cases[i].by, cases[i].foreign);
    assert_ok(ft_hf_config_read(in_root("pair"), &config));
    assert_int_equal(config.arch.tied, cases[i].tied);
    assert_int_equal(config.remarks != NULL, !cases[i].tied);
    if (!cases[i].tied) assert_non_null(strstr(config.remarks, "they are two, as in transformers"));
    assert_ok(ft_hf_check_weights(in_root("pair"), &config));
    ft_hf_config_fini(&config);
  }
}

/* Both matrices are exported, and the flag stays as it was. */
static void an_export_of_two_matrices_has_both(void **state) {
  (void)state;
  ft_hf_config config, again;
  write_pair(SMALL ",\"tie_word_embeddings\":true,\"torch_dtype\":\"float32\"}", FT_F32, 5, 2,
             true);
  assert_ok(ft_hf_config_read(in_root("pair"), &config));
  twins t = {.arch = config.arch, .changed = 9, .by = -1};
  ft_hf_source source = {read_twins, &t};
  assert_ok(ft_hf_export(in_root("pair"), &config, &source, FT_F32, 0, in_root("out")));
  assert_ok(ft_hf_config_read(in_root("out"), &again));
  assert_true(cJSON_IsTrue(ft_json_get(again.json, "tie_word_embeddings")));
  assert_false(again.arch.tied);
  assert_ok(ft_hf_check_weights(in_root("out"), &again));
  ft_hf_config_fini(&again);
  ft_hf_config_fini(&config);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_missing_type_is_that_of_the_weights),
                                     cmocka_unit_test(a_head_that_differs_is_not_tied),
                                     cmocka_unit_test(an_export_of_two_matrices_has_both)};
  return cmocka_run_group_tests_name("follow", tests, make_root, remove_root);
}
