/* Proves that configs which are wrong or not supported are refused by name, all mistakes at once.
 * Run alone: meson test hf-refusals */
#include "hf_fixtures.h"

#define QWEN "{\"model_type\":\"qwen2\",\"num_key_value_heads\":4,\"sliding_window\":9,"

/* What is put over a small config, and what the message must contain. */
static const struct {
  const char *change, *part;
} refused[] = {
    {"{\"model_type\":\"gemma\"}", "model_type \"gemma\" is not supported; supported are llama"},
    {"{\"model_type\":\"gptj\"}", "\"gptj\""},
    {"{\"model_type\":\"mixtral\"}", "\"mixtral\""},
    {"{\"model_type\":null}", "model_type is missing"},
    {"{\"model_type\":7}", "model_type is 7"},
    {"{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}}", "\"gptq\""},
    {"{\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}", "\"dynamic\" is not supported"},
    {"{\"rope_scaling\":{\"rope_type\":\"ntk\",\"factor\":4}}", "rope_scaling.rope_type \"ntk\""},
    {"{\"rope_scaling\":{\"rope_type\":\"yarn\"}}", "rope_scaling.factor is missing"},
    {"{\"rope_parameters\":{\"rope_type\":\"longrope\"}}",
     "rope_parameters.short_factor must be a list of 8 numbers"},
    {"{\"rope_scaling\":{\"rope_type\":\"linear\"}}", "rope_scaling.factor is missing"},
    {"{\"rope_scaling\":{\"rope_type\":\"linear\",\"type\":\"yarn\"}}", "but rope_scaling.type"},
    {"{\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
     "\"high_freq_factor\":1}}",
     "must exceed low_freq_factor"},
    {"{\"rope_scaling\":\"linear\"}", "rope_scaling is \"linear\""},
    {"{\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}}",
     "rope_parameters differs between layer types"},
    {"{\"rope_parameters\":{\"rope_theta\":5},\"rope_theta\":6}", "rope_theta is 6, but 5"},
    {"{\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5},"
     "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2}}",
     "contradict"},
    {"{\"partial_rotary_factor\":0.5}", "partial_rotary_factor 0.5"},
    {"{\"rope_parameters\":{\"rope_theta\":5,\"partial_rotary_factor\":0.25}}", "0.25"},
    {"{\"hidden_act\":\"mish\"}", "hidden_act \"mish\" is not supported"},
    {"{\"pretraining_tp\":0}", "pretraining_tp is 0"},
    {"{\"model_type\":null,\"run\":{\"dir\":\"a\"}}", "this is a run's configuration"},
    {"{\"attn_logit_softcapping\":50}", "attn_logit_softcapping 50 means nothing in a llama model"},
    {"{\"sliding_window\":64}", "sliding_window 64 means nothing in a llama model"},
    {"{\"num_experts\":8}", "num_experts 8 is not supported, only 0"},
    {"{\"architectures\":[\"LlamaForTokenClassification\"]}", "LlamaForTokenClassification"},
    {"{\"is_causal\":false}", "is_causal false"},
    {"{\"torch_dtype\":\"float64\"}", "dtype \"float64\""},
    {"{\"vocab_size\":0}", "vocab_size is 0; expected is an integer from 1"},
    {"{\"vocab_size\":1e300}", "vocab_size is 1e+300"},
    {"{\"hidden_size\":-64}", "hidden_size is -64"},
    {"{\"hidden_size\":64.5}", "hidden_size is 64.5"},
    {"{\"hidden_size\":\"64\"}", "hidden_size is \"64\""},
    {"{\"hidden_size\":null}", "hidden_size is null"},
    {"{\"hidden_size\":66}", "not a multiple of num_attention_heads (4)"},
    {"{\"num_key_value_heads\":3}", "not a multiple of num_key_value_heads (3)"},
    {"{\"head_dim\":15}", "head_dim is 15"},
    {"{\"num_hidden_layers\":1024,\"hidden_size\":16777216,\"intermediate_size\":16777216}",
     "parameters; at most"},
    {"{\"rms_norm_eps\":-1}", "rms_norm_eps is -1"},
    {"{\"rms_norm_eps\":\"small\"}", "rms_norm_eps is \"small\""},
    {"{\"rope_theta\":0}", "rope_theta is 0"},
    {"{\"rope_theta\":1e300}", "rope_theta is 1e+300"},
    {"{\"tie_word_embeddings\":1}", "tie_word_embeddings is 1; expected is true or false"},
    {"{\"eos_token_id\":100}", "eos_token_id 100 is not a token (0 to 99)"},
    {"{\"eos_token_id\":[1,\"2\"]}", "eos_token_id \"2\""},
    {"{\"bos_token_id\":1000}", "bos_token_id is 1000"},
    {"{\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\","
     "\"sliding_attention\"]}",
     "a llama model does not have"},
    {"{\"model_type\":\"mistral\",\"num_key_value_heads\":4,\"sliding_window\":-3}",
     "sliding_window is -3"},
    {QWEN "\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\","
          "\"sliding_attention\"]}",
     "use_sliding_window is not true"},
    {QWEN "\"layer_types\":[\"full_attention\"]}", "layer_types lists 1 layers"},
    {QWEN "\"layer_types\":[\"chunked_attention\",\"a\",\"b\",\"c\"]}", "chunked_attention"},
    {QWEN "\"layer_types\":4}", "layer_types must be a list"},
    {"{\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2,\"partial_rotary_factor\":0.5}}",
     "partial_rotary_factor 0.5 is not supported: a llama model rotates whole heads"},
    {"{\"model_type\":\"gemma2\",\"sliding_window\":null}",
     "this gemma2 model has sliding layers, but sliding_window is null"},
    {"{\"model_type\":\"exaone4\",\"sliding_window\":null,\"layer_types\":[\"full_attention\","
     "\"full_attention\",\"full_attention\",\"sliding_attention\"]}",
     "this exaone4 model has sliding layers, but sliding_window is null"},
    {"{\"model_type\":\"smollm3\",\"sliding_window\":8,\"layer_types\":[\"full_attention\","
     "\"full_attention\",\"full_attention\",\"sliding_attention\"]}",
     "this smollm3 model has sliding layers, but use_sliding_window is not true"},
    {"{\"model_type\":\"gemma3_text\",\"head_dim\":16,\"rope_parameters\":{\"full_attention\":"
     "{\"rope_type\":\"longrope\",\"short_factor\":[1,1,1,1,1,1,1,1],"
     "\"long_factor\":[1,1,1,1,1,1,1,1]}}}",
     "\"longrope\" is not supported for one type of layers"},
    {"{\"model_type\":\"modernbert\",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}",
     "rope_scaling is not supported in a modernbert model"},
    {"{\"model_type\":\"phi3\",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}",
     "\"linear\" is not supported; supported are \"default\" and \"longrope\""},
    {"{\"model_type\":\"modernbert\",\"head_dim\":24}",
     "head_dim is 24, but the heads of a modernbert model share its width, 16 each"},
};

static void refusals_name_what_is_wrong(void **state) {
  (void)state;
  for (size_t i = 0; i < FT_ARRAY_SIZE(refused); i++) {
    ft_hf_config config;
    ft_err err = read_changed(small, refused[i].change, &config);
    if (err != FT_ERR_DATA || !strstr(ft_error_message(), refused[i].part))
      fail_msg("%s: code %d, \"%s\" lacks \"%s\"", refused[i].change, (int)err, ft_error_message(),
               refused[i].part);
    assert_non_null(strstr(ft_error_message(), "config.json"));
    assert_null(config.json);
  }
}

static void all_mistakes_come_at_once(void **state) {
  (void)state;
  ft_hf_config config;
  assert_fails(read_changed(small,
                            "{\"hidden_act\":\"mish\",\"rope_scaling\":{\"type\":\"ntk\"},"
                            "\"num_key_value_heads\":3,\"torch_dtype\":\"int8\"}",
                            &config),
               FT_ERR_DATA, "4 mistakes");
  const char *parts[] = {"mish", "ntk", "num_key_value_heads (3)", "int8"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(parts); i++)
    assert_non_null(strstr(ft_error_message(), parts[i]));
}

static void absent_files_are_named(void **state) {
  (void)state;
  ft_hf_config config;
  assert_ok(ft_make_dirs(in_root("hollow")));
  assert_fails(ft_hf_config_read(in_root("nowhere"), &config), FT_ERR_NOINPUT, "nowhere");
  assert_fails(ft_hf_config_read(in_root("hollow"), &config), FT_ERR_NOINPUT, "no config.json");
  assert_fails(ft_hf_config_read_file(in_root("none.json"), &config), FT_ERR_NOINPUT, "none.json");
  write_text("list.json", "[1]");
  assert_fails(ft_hf_config_read_file(in_root("list.json"), &config), FT_ERR_DATA, "JSON object");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refusals_name_what_is_wrong),
      cmocka_unit_test(all_mistakes_come_at_once),
      cmocka_unit_test(absent_files_are_named),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
