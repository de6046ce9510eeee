/* Proves the reading of config.json: published configs give the published number of parameters and
 * the arch that transformers builds; missing keys mean what
 * transformers means. Run alone: meson test hf-config */
#include "hf_fixtures.h"

/* ---------------------------------------------------------------- published models */

typedef struct published {
  const char *name, *json;
  int64_t parameters;
  ft_arch arch;
  ft_dtype dtype;
  int64_t bos, eos;
} published;

#define LLAMA31                                                                                    \
  "\"architectures\":[\"LlamaForCausalLM\"],\"attention_bias\":false,\"attention_dropout\":0.0,"   \
  "\"bos_token_id\":128000,\"eos_token_id\":128001,\"hidden_act\":\"silu\","                       \
  "\"initializer_range\":0.02,\"max_position_embeddings\":131072,\"mlp_bias\":false,"              \
  "\"model_type\":\"llama\",\"num_attention_heads\":32,\"num_key_value_heads\":8,"                 \
  "\"pretraining_tp\":1,\"rms_norm_eps\":1e-05,\"use_cache\":true,\"vocab_size\":128256"
#define MISTRAL                                                                                    \
  "\"architectures\":[\"MistralForCausalLM\"],\"bos_token_id\":1,\"eos_token_id\":2,"              \
  "\"hidden_act\":\"silu\",\"hidden_size\":4096,\"initializer_range\":0.02,"                       \
  "\"intermediate_size\":14336,\"max_position_embeddings\":32768,\"model_type\":\"mistral\","      \
  "\"num_attention_heads\":32,\"num_hidden_layers\":32,\"num_key_value_heads\":8,"                 \
  "\"rms_norm_eps\":1e-05,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\""
#define QWEN2                                                                                      \
  "\"architectures\":[\"Qwen2ForCausalLM\"],\"attention_dropout\":0.0,\"bos_token_id\":151643,"    \
  "\"eos_token_id\":151643,\"hidden_act\":\"silu\",\"initializer_range\":0.02,"                    \
  "\"model_type\":\"qwen2\",\"rms_norm_eps\":1e-06,\"rope_theta\":1000000.0,"                      \
  "\"torch_dtype\":\"bfloat16\",\"use_cache\":true,\"use_mrope\":false,"                           \
  "\"use_sliding_window\":false"
#define QWEN3                                                                                      \
  "\"architectures\":[\"Qwen3ForCausalLM\"],\"attention_bias\":false,\"attention_dropout\":0.0,"   \
  "\"bos_token_id\":151643,\"eos_token_id\":151645,\"head_dim\":128,\"hidden_act\":\"silu\","      \
  "\"initializer_range\":0.02,\"max_position_embeddings\":40960,\"model_type\":\"qwen3\","         \
  "\"num_key_value_heads\":8,\"rms_norm_eps\":1e-06,\"rope_scaling\":null,"                        \
  "\"rope_theta\":1000000,\"sliding_window\":null,\"torch_dtype\":\"bfloat16\","                   \
  "\"use_sliding_window\":false,\"vocab_size\":151936"

static const published models[] = {
    {"Llama-2-7B",
     "{\"architectures\":[\"LlamaForCausalLM\"],\"bos_token_id\":1,\"eos_token_id\":2,"
     "\"hidden_act\":\"silu\",\"hidden_size\":4096,\"initializer_range\":0.02,"
     "\"intermediate_size\":11008,\"max_position_embeddings\":4096,\"model_type\":\"llama\","
     "\"num_attention_heads\":32,\"num_hidden_layers\":32,\"num_key_value_heads\":32,"
     "\"pretraining_tp\":1,\"rms_norm_eps\":1e-05,\"rope_scaling\":null,"
     "\"tie_word_embeddings\":false,\"torch_dtype\":\"float16\",\"vocab_size\":32000}",
     6738415616,
     {.vocab = 32000,
      .hidden = 4096,
      .ffn = 11008,
      .layers = 32,
      .heads = 32,
      .kv_heads = 32,
      .head_dim = 128,
      .max_positions = 4096,
      .norm.eps = 1e-5f,
      .ropes[0].theta = 1e4},
     FT_F16,
     1,
     2},
    {"Llama-3.1-8B",
     "{" LLAMA31 ",\"hidden_size\":4096,\"intermediate_size\":14336,\"num_hidden_layers\":32,"
     "\"rope_scaling\":{\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
     "\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"},"
     "\"rope_theta\":500000.0,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\"}",
     8030261248,
     {.vocab = 128256,
      .hidden = 4096,
      .ffn = 14336,
      .layers = 32,
      .heads = 32,
      .kv_heads = 8,
      .head_dim = 128,
      .max_positions = 131072,
      .norm.eps = 1e-5f,
      .ropes[0].theta = 5e5,
      .ropes[0].type = FT_ROPE_LLAMA3,
      .ropes[0].factor = 8,
      .ropes[0].low_freq = 1,
      .ropes[0].high_freq = 4,
      .ropes[0].original_positions = 8192},
     FT_BF16,
     128000,
     128001},
    {"Llama-3.2-1B, version 5",
     "{" LLAMA31 ",\"head_dim\":64,\"hidden_size\":2048,\"intermediate_size\":8192,"
     "\"num_hidden_layers\":16,\"rope_parameters\":{\"factor\":32.0,\"low_freq_factor\":1.0,"
     "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192,"
     "\"rope_type\":\"llama3\",\"rope_theta\":500000.0},\"tie_word_embeddings\":true,"
     "\"dtype\":\"bfloat16\"}",
     1235814400,
     {.vocab = 128256,
      .hidden = 2048,
      .ffn = 8192,
      .layers = 16,
      .heads = 32,
      .kv_heads = 8,
      .head_dim = 64,
      .max_positions = 131072,
      .norm.eps = 1e-5f,
      .ropes[0].theta = 5e5,
      .ropes[0].type = FT_ROPE_LLAMA3,
      .ropes[0].factor = 32,
      .ropes[0].low_freq = 1,
      .ropes[0].high_freq = 4,
      .ropes[0].original_positions = 8192,
      .tied = true},
     FT_BF16,
     128000,
     128001},
    {"Mistral-7B-v0.1",
     "{" MISTRAL ",\"rope_theta\":10000.0,\"sliding_window\":4096,\"vocab_size\":32000}",
     7241732096,
     {.vocab = 32000,
      .hidden = 4096,
      .ffn = 14336,
      .layers = 32,
      .heads = 32,
      .kv_heads = 8,
      .head_dim = 128,
      .max_positions = 32768,
      .norm.eps = 1e-5f,
      .ropes[0].theta = 1e4,
      .kinds[0].window = 4096},
     FT_BF16,
     1,
     2},
    {"Mistral-7B-v0.3",
     "{" MISTRAL ",\"rope_theta\":1000000.0,\"sliding_window\":null,\"vocab_size\":32768}",
     7248023552,
     {.vocab = 32768,
      .hidden = 4096,
      .ffn = 14336,
      .layers = 32,
      .heads = 32,
      .kv_heads = 8,
      .head_dim = 128,
      .max_positions = 32768,
      .norm.eps = 1e-5f,
      .ropes[0].theta = 1e6},
     FT_BF16,
     1,
     2},
    {"Qwen2.5-0.5B",
     "{" QWEN2 ",\"hidden_size\":896,\"intermediate_size\":4864,"
     "\"max_position_embeddings\":32768,\"max_window_layers\":24,\"num_attention_heads\":14,"
     "\"num_hidden_layers\":24,\"num_key_value_heads\":2,\"sliding_window\":32768,"
     "\"tie_word_embeddings\":true,\"vocab_size\":151936}",
     494032768,
     {.vocab = 151936,
      .hidden = 896,
      .ffn = 4864,
      .layers = 24,
      .heads = 14,
      .kv_heads = 2,
      .head_dim = 64,
      .max_positions = 32768,
      .norm.eps = 1e-6f,
      .ropes[0].theta = 1e6,
      .qkv_bias = true,
      .tied = true},
     FT_BF16,
     151643,
     151643},
    {"Qwen2.5-7B",
     "{" QWEN2 ",\"hidden_size\":3584,\"intermediate_size\":18944,"
     "\"max_position_embeddings\":131072,\"max_window_layers\":28,\"num_attention_heads\":28,"
     "\"num_hidden_layers\":28,\"num_key_value_heads\":4,\"sliding_window\":131072,"
     "\"tie_word_embeddings\":false,\"vocab_size\":152064}",
     7615616512,
     {.vocab = 152064,
      .hidden = 3584,
      .ffn = 18944,
      .layers = 28,
      .heads = 28,
      .kv_heads = 4,
      .head_dim = 128,
      .max_positions = 131072,
      .norm.eps = 1e-6f,
      .ropes[0].theta = 1e6,
      .qkv_bias = true},
     FT_BF16,
     151643,
     151643},
    {"Qwen3-0.6B",
     "{" QWEN3 ",\"hidden_size\":1024,\"intermediate_size\":3072,\"max_window_layers\":28,"
     "\"num_attention_heads\":16,\"num_hidden_layers\":28,\"tie_word_embeddings\":true}",
     596049920,
     {.vocab = 151936,
      .hidden = 1024,
      .ffn = 3072,
      .layers = 28,
      .heads = 16,
      .kv_heads = 8,
      .head_dim = 128,
      .max_positions = 40960,
      .norm.eps = 1e-6f,
      .ropes[0].theta = 1e6,
      .qk_norm = FT_QK_NORM_HEADS,
      .tied = true},
     FT_BF16,
     151643,
     151645},
    {"Qwen3-8B",
     "{" QWEN3 ",\"hidden_size\":4096,\"intermediate_size\":12288,\"max_window_layers\":36,"
     "\"num_attention_heads\":32,\"num_hidden_layers\":36,\"tie_word_embeddings\":false}",
     8190735360,
     {.vocab = 151936,
      .hidden = 4096,
      .ffn = 12288,
      .layers = 36,
      .heads = 32,
      .kv_heads = 8,
      .head_dim = 128,
      .max_positions = 40960,
      .norm.eps = 1e-6f,
      .ropes[0].theta = 1e6,
      .qk_norm = FT_QK_NORM_HEADS},
     FT_BF16,
     151643,
     151645},
    {"SmolLM2-135M",
     "{\"architectures\":[\"LlamaForCausalLM\"],\"attention_bias\":false,\"bos_token_id\":0,"
     "\"eos_token_id\":0,\"hidden_act\":\"silu\",\"hidden_size\":576,"
     "\"initializer_range\":0.041666666666666664,\"intermediate_size\":1536,"
     "\"is_llama_config\":true,\"max_position_embeddings\":8192,\"model_type\":\"llama\","
     "\"num_attention_heads\":9,\"num_hidden_layers\":30,\"num_key_value_heads\":3,"
     "\"rms_norm_eps\":1e-05,\"rope_interleaved\":false,\"rope_scaling\":null,"
     "\"rope_theta\":100000,\"tie_word_embeddings\":true,\"torch_dtype\":\"bfloat16\","
     "\"vocab_size\":49152}",
     134515008,
     {.vocab = 49152,
      .hidden = 576,
      .ffn = 1536,
      .layers = 30,
      .heads = 9,
      .kv_heads = 3,
      .head_dim = 64,
      .max_positions = 8192,
      .norm.eps = 1e-5f,
      .ropes[0].theta = 1e5,
      .tied = true},
     FT_BF16,
     0,
     0},
};

static bool same_rope(const ft_rope_form *a, const ft_rope_form *b) {
  return a->theta == b->theta && a->type == b->type && a->factor == b->factor &&
         a->low_freq == b->low_freq && a->high_freq == b->high_freq &&
         a->original_positions == b->original_positions;
}

static void assert_same_arch(const char *name, const ft_arch *a, const ft_arch *b) {
  bool same = a->vocab == b->vocab && a->hidden == b->hidden && a->ffn == b->ffn &&
              a->layers == b->layers && a->heads == b->heads && a->kv_heads == b->kv_heads &&
              a->head_dim == b->head_dim && a->max_positions == b->max_positions &&
              a->norm.eps == b->norm.eps && same_rope(&a->ropes[0], &b->ropes[0]) &&
              a->kinds[0].window == b->kinds[0].window && a->qkv_bias == b->qkv_bias &&
              a->o_bias == b->o_bias && a->mlp_bias == b->mlp_bias && a->qk_norm == b->qk_norm &&
              a->tied == b->tied;
  if (!same) fail_msg("%s: another arch than expected", name);
}

static void published_configs_are_understood(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(models); i++) {
    const published *m = &models[i];
    ft_hf_config config;
    write_text("config.json", m->json);
    assert_ok(ft_hf_config_read_file(in_root("config.json"), &config));
    assert_same_arch(m->name, &config.arch, &m->arch);
    if (ft_arch_num_parameters(&config.arch) != m->parameters)
      fail_msg("%s: %lld parameters, published are %lld", m->name,
               (long long)ft_arch_num_parameters(&config.arch), (long long)m->parameters);
    assert_int_equal(config.dtype, m->dtype);
    assert_int_equal(config.bos_token, m->bos);
    assert_int_equal(config.num_eos_tokens, 1);
    assert_int_equal(config.eos_tokens[0], m->eos);
    ft_hf_config_fini(&config);
  }
}

/* ---------------------------------------------------------------- one change at a time */

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
      cmocka_unit_test(published_configs_are_understood),
      cmocka_unit_test(missing_keys_mean_what_transformers_means),
      cmocka_unit_test(heads_and_biases),
      cmocka_unit_test(rotary_parameters_of_both_versions),
      cmocka_unit_test(scaling_stretches_the_longest_document),
      cmocka_unit_test(keys_of_no_effect_are_taken),
      cmocka_unit_test(unknown_keys_and_dropouts_are_named),
      cmocka_unit_test(windows_of_qwen),
      cmocka_unit_test(end_tokens_of_both_files),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
