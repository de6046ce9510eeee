/* Proves the reading of config.json, one key at a time: missing ones mean what transformers means.
 * Run alone: meson test hf-config */
#include "hf_fixtures.h"

static ft_arch arch_of(const char *change) {
  ft_hf_config config;
  assert_ok(read_changed(small, change, &config));
  ft_arch arch = config.arch;
  ft_hf_config_fini(&config);
  return arch;
}

static void missing_keys_mean_what_transformers_means(void **state) {
  (void)state;
  const ft_arch llama = {.vocab = 32000,
                         .hidden = 4096,
                         .ffn = 11008,
                         .layers = 32,
                         .heads = 32,
                         .kv_heads = 32,
                         .head_dim = 128,
                         .max_positions = 2048,
                         .norm.eps = 1e-6f,
                         .ropes[0].theta = 1e4};
  const ft_arch mistral = {.vocab = 32000,
                           .hidden = 4096,
                           .ffn = 14336,
                           .layers = 32,
                           .heads = 32,
                           .kv_heads = 8,
                           .head_dim = 128,
                           .max_positions = 131072,
                           .norm.eps = 1e-6f,
                           .ropes[0].theta = 1e4,
                           .kinds[0].window = 4096};
  const ft_arch qwen2 = {.vocab = 151936,
                         .hidden = 4096,
                         .ffn = 22016,
                         .layers = 32,
                         .heads = 32,
                         .kv_heads = 32,
                         .head_dim = 128,
                         .max_positions = 32768,
                         .norm.eps = 1e-6f,
                         .ropes[0].theta = 1e4,
                         .qkv_bias = true};
  ft_arch qwen3 = qwen2;
  qwen3.qkv_bias = false;
  qwen3.qk_norm = FT_QK_NORM_HEADS;
  const struct {
    const char *json;
    const ft_arch *arch;
    int64_t bos;
    int num_eos;
  } cases[] = {{"{\"model_type\":\"llama\"}", &llama, 1, 1},
               {"{\"model_type\":\"mistral\"}", &mistral, 1, 1},
               {"{\"model_type\":\"qwen2\"}", &qwen2, -1, 0},
               {"{\"model_type\":\"qwen3\"}", &qwen3, -1, 0}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_hf_config config;
    write_text("config.json", cases[i].json);
    assert_ok(ft_hf_config_read_file(in_root("config.json"), &config));
    assert_same_arch(cases[i].json, &config.arch, cases[i].arch);
    assert_int_equal(config.bos_token, cases[i].bos);
    assert_int_equal(config.num_eos_tokens, cases[i].num_eos);
    assert_int_equal(config.dtype, FT_BF16);
    ft_hf_config_fini(&config);
  }
}

static void heads_and_biases(void **state) {
  (void)state;
  assert_int_equal(arch_of("{}").kv_heads, 4);
  assert_int_equal(arch_of("{\"num_key_value_heads\":null}").kv_heads, 4);
  assert_int_equal(arch_of("{\"num_key_value_heads\":2}").kv_heads, 2);
  assert_int_equal(arch_of("{\"model_type\":\"mistral\",\"num_key_value_heads\":null}").kv_heads,
                   4);
  assert_int_equal(arch_of("{\"head_dim\":null}").head_dim, 16);
  assert_int_equal(arch_of("{\"head_dim\":24}").head_dim, 24);
  assert_int_equal(arch_of("{\"model_type\":\"qwen3\",\"num_key_value_heads\":2}").head_dim, 128);
  ft_arch a = arch_of("{\"attention_bias\":true,\"mlp_bias\":true}");
  assert_true(a.qkv_bias && a.o_bias && a.mlp_bias);
  a = arch_of("{\"model_type\":\"qwen3\",\"num_key_value_heads\":2,\"attention_bias\":true}");
  assert_true(a.qkv_bias && a.o_bias && !a.mlp_bias && a.qk_norm);
  a = arch_of("{\"model_type\":\"qwen2\",\"num_key_value_heads\":2}");
  assert_true(a.qkv_bias && !a.o_bias && !a.mlp_bias && !a.qk_norm);
  assert_true(arch_of("{\"hidden_act\":\"swish\"}").hidden == 64);
}

static void rotary_parameters_of_both_versions(void **state) {
  (void)state;
  ft_arch a = arch_of("{\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},\"rope_theta\":500}");
  assert_int_equal(a.ropes[0].type, FT_ROPE_LINEAR);
  assert_true(a.ropes[0].factor == 2 && a.ropes[0].theta == 500);
  a = arch_of("{\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":3.5,"
              "\"rope_theta\":600}}");
  assert_true(a.ropes[0].type == FT_ROPE_LINEAR && a.ropes[0].factor == 3.5 &&
              a.ropes[0].theta == 600);
  a = arch_of("{\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":700},"
              "\"rope_theta\":700,\"rope_scaling\":null}");
  assert_true(a.ropes[0].type == FT_ROPE_DEFAULT && a.ropes[0].theta == 700);
  a = arch_of("{\"rope_scaling\":{},\"rope_theta\":800}");
  assert_true(a.ropes[0].type == FT_ROPE_DEFAULT && a.ropes[0].theta == 800);
  a = arch_of("{\"max_position_embeddings\":512,\"rope_scaling\":{\"rope_type\":\"llama3\","
              "\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4}}");
  assert_int_equal(a.ropes[0].original_positions, 512);
}

/* Scaling is there to make longer documents possible than max_position_embeddings says. */
static void scaling_stretches_the_longest_document(void **state) {
  (void)state;
  const struct {
    const char *change;
    int64_t positions;
  } cases[] = {
      {"{\"max_position_embeddings\":512}", 512},
      {"{\"max_position_embeddings\":512,\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}}",
       2048},
      {"{\"max_position_embeddings\":512,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5}}",
       1280},
      {"{\"max_position_embeddings\":9000,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,"
       "\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":1024}}",
       9000},
      {"{\"max_position_embeddings\":1024,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,"
       "\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":1024}}",
       1024},
      {"{\"max_position_embeddings\":16777216,\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}}",
       16777216},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++)
    assert_int_equal(arch_of(cases[i].change).max_positions, cases[i].positions);
}

/* What published configs have beside the keys of their family. */
static void keys_of_no_effect_are_taken(void **state) {
  (void)state;
  static const char *const configs[] = {
      "{\"model_type\":\"gemma2\",\"hidden_act\":\"gelu_pytorch_tanh\",\"head_dim\":16}",
      "{\"model_type\":\"gemma3_text\",\"attn_logit_softcapping\":50,\"head_dim\":16}",
      "{\"model_type\":\"hunyuan_v1_dense\",\"num_experts\":1,\"head_dim\":16}",
      "{\"model_type\":\"modernbert\",\"classifier_pooling\":\"mean\",\"layer_norm_eps\":1e-5,"
      "\"position_embedding_type\":\"absolute\"}",
      "{\"model_type\":\"mistral\",\"num_key_value_heads\":4,\"attention_bias\":false,\"layer_"
      "types\":null}",
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(configs); i++)
    arch_of(configs[i]);
  ft_arch a = arch_of(configs[1]);
  assert_true(a.attention_softcap <= 0);
}

/* BERT's head follows its layers, ModernBERT's has a key of its own; that of BERT's classes is
 * tanh. */
static void heads_have_their_own_activation(void **state) {
  (void)state;
  static const struct {
    const char *change;
    ft_activation_kind layers, head;
  } cases[] = {
      {"{\"model_type\":\"bert\",\"architectures\":[\"BertForMaskedLM\"]}", FT_ACT_GELU,
       FT_ACT_GELU},
      {"{\"model_type\":\"bert\",\"architectures\":[\"BertForMaskedLM\"],\"hidden_act\":\"silu\"}",
       FT_ACT_SILU, FT_ACT_SILU},
      {"{\"model_type\":\"bert\",\"architectures\":[\"BertForSequenceClassification\"],"
       "\"hidden_act\":\"silu\"}",
       FT_ACT_SILU, FT_ACT_TANH},
      {"{\"model_type\":\"modernbert\",\"hidden_activation\":\"silu\"}", FT_ACT_SILU, FT_ACT_GELU},
      {"{\"model_type\":\"modernbert\",\"classifier_activation\":\"relu\",\"head_dim\":16}",
       FT_ACT_GELU, FT_ACT_RELU},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_arch a = arch_of(cases[i].change);
    assert_int_equal(a.activation, cases[i].layers);
    assert_int_equal(a.transform.activation, cases[i].head);
  }
}

static void unknown_keys_and_dropouts_are_named(void **state) {
  (void)state;
  ft_hf_config config;
  assert_ok(read_changed(small,
                         "{\"mystery_scale\":2,\"another\":\"x\",\"nothing\":null,"
                         "\"attention_dropout\":0.1,\"transformers_version\":\"5\"}",
                         &config));
  assert_non_null(config.remarks);
  assert_non_null(strstr(config.remarks, "trained without dropout (attention_dropout 0.1)"));
  assert_non_null(strstr(config.remarks, "might change what is computed: mystery_scale, another"));
  assert_null(strstr(config.remarks, "nothing"));
  ft_hf_config_fini(&config);
}

static void windows_of_qwen(void **state) {
  (void)state;
#define QWEN "{\"model_type\":\"qwen2\",\"num_key_value_heads\":4,\"sliding_window\":9,"
  const struct {
    const char *change;
    int64_t window, first; /* layers from `first` on have a window */
  } cases[] = {
      {QWEN "\"max_window_layers\":1}", 0, 0},
      {QWEN "\"use_sliding_window\":true,\"max_window_layers\":1}", 9, 1},
      {QWEN "\"use_sliding_window\":true,\"max_window_layers\":0}", 9, 0},
      {QWEN "\"use_sliding_window\":true,\"max_window_layers\":4}", 0, 0},
      {QWEN "\"use_sliding_window\":true}", 0, 0},
      {QWEN "\"use_sliding_window\":true,\"max_window_layers\":4,\"layer_types\":["
            "\"full_attention\",\"full_attention\",\"sliding_attention\",\"sliding_attention\"]}",
       9, 2},
      {QWEN "\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\","
            "\"full_attention\"]}",
       0, 0},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    ft_arch a = arch_of(cases[i].change);
    for (int64_t layer = 0; layer < a.layers; layer++)
      assert_int_equal(ft_arch_layer(&a, layer)->window,
                       layer >= cases[i].first ? cases[i].window : 0);
  }
}

static void end_tokens_of_both_files(void **state) {
  (void)state;
  ft_hf_config config;
  assert_ok(ft_make_dirs(in_root("model")));
  write_text("model/config.json",
             "{\"model_type\":\"llama\",\"vocab_size\":100,\"hidden_size\":64,"
             "\"num_attention_heads\":4,\"eos_token_id\":[7,8],\"bos_token_id\":null}");
  assert_ok(ft_hf_config_read(in_root("model"), &config));
  assert_int_equal(config.num_eos_tokens, 2);
  assert_int_equal(config.bos_token, -1);
  ft_hf_config_fini(&config);
  write_text("model/generation_config.json", "{\"eos_token_id\":[9,7]}");
  assert_ok(ft_hf_config_read(in_root("model"), &config));
  const int64_t expected[] = {7, 8, 9};
  assert_int_equal(config.num_eos_tokens, 3);
  assert_memory_equal(config.eos_tokens, expected, sizeof expected);
  ft_hf_config_fini(&config);
  write_text("model/generation_config.json",
             "{\"eos_token_id\":[10,11,12,13,14,15,16,17,18,19,20,7]}");
  assert_ok(ft_hf_config_read(in_root("model"), &config));
  assert_int_equal(config.num_eos_tokens, 13);
  assert_int_equal(config.eos_tokens[12], 20);
  ft_hf_config_fini(&config);
  write_text("model/generation_config.json", "{\"eos_token_id\":500}");
  assert_fails(ft_hf_config_read(in_root("model"), &config), FT_ERR_DATA,
               "generation_config.json: eos_token_id 500");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(missing_keys_mean_what_transformers_means),
      cmocka_unit_test(heads_and_biases),
      cmocka_unit_test(rotary_parameters_of_both_versions),
      cmocka_unit_test(scaling_stretches_the_longest_document),
      cmocka_unit_test(keys_of_no_effect_are_taken),
      cmocka_unit_test(heads_have_their_own_activation),
      cmocka_unit_test(unknown_keys_and_dropouts_are_named),
      cmocka_unit_test(windows_of_qwen),
      cmocka_unit_test(end_tokens_of_both_files),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
