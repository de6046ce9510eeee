/* Proves that published configs give the published number of parameters and the arch that
 * transformers builds. Run alone: meson test hf-published */
#include "hf_fixtures.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(published_configs_are_understood),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
