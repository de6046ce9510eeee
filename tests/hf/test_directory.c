/* Proves what the check of a model directory refuses: tensors that are not those of its config,
 * damaged texts. Run alone: meson test hf-directory */
#include "hf_fixtures.h"

/* Writes a model directory with the tensors of `arch`, changed by `edit`, which may take one out
 * (false). */
static void write_model(const char *dir, const ft_hf_config *config,
                        bool (*edit)(ft_safetensor *t)) {
  const ft_arch *arch = &config->arch;
  static char names[200][96];
  static ft_safetensor tensors[200];
  int64_t count = 0;
  char path[128];
  for (int64_t b = 0; b < layout_of(arch)->num_blocks; b++) {
    ft_block block = layout_of(arch)->blocks[b];
    for (int i = 0; i < block.num_tensors; i++) {
      const ft_tensor *t = &block.tensors[i];
      ft_hf_tensor_name(config, &block, t->role, names[count], sizeof names[count]);
      tensors[count] = (ft_safetensor){.name = names[count], .dtype = FT_F32};
      tensors[count].num_dims = t->num_dims;
      tensors[count].dims[0] = t->num_dims == 2 ? t->rows : t->cols;
      tensors[count].dims[1] = t->cols;
      if (edit(&tensors[count])) count++;
    }
  }
  ft_safetensors_writer *w;
  assert_ok(ft_make_dirs(in_root(dir)));
  snprintf(path, sizeof path, "%s/model.safetensors", dir);
  assert_ok(ft_safetensors_writer_new(in_root(path), tensors, count, &w));
  float zeros[4096] = {0};
  for (int64_t i = 0; i < count; i++) {
    int64_t n = tensors[i].dims[0] * (tensors[i].num_dims == 2 ? tensors[i].dims[1] : 1);
    assert_true(n <= 4096);
    assert_ok(ft_safetensors_write(w, zeros, (size_t)n * sizeof(float)));
  }
  assert_ok(ft_safetensors_writer_close(w, true));
}

static bool keep_all(ft_safetensor *t) {
  (void)t;
  return true;
}
static bool drop_head(ft_safetensor *t) {
  return strcmp(t->name, "lm_head.weight") != 0;
}
static bool drop_layers(ft_safetensor *t) {
  return !strstr(t->name, ".layers.");
}
static bool change_three(ft_safetensor *t) {
  if (strstr(t->name, "layers.0.mlp.up_proj.weight")) t->dims[1]--;
  if (strstr(t->name, "layers.1.input_layernorm")) {
    t->num_dims = 2;
    t->dims[1] = 1;
  }
  if (strstr(t->name, "layers.1.self_attn.k_proj.bias")) strcpy(t->name, "model.extra");
  return true;
}
static bool drop_prefix(ft_safetensor *t) {
  if (strncmp(t->name, "model.", 6) == 0) memmove(t->name, t->name + 6, strlen(t->name) - 5);
  return drop_head(t);
}
static bool other_prefix(ft_safetensor *t) {
  char name[96];
  snprintf(name, sizeof name, "language_model.%.70s", t->name);
  strcpy(t->name, name);
  return true;
}
static bool inv_freq_for_norm(ft_safetensor *t) {
  if (strcmp(t->name, "model.norm.weight") == 0)
    strcpy(t->name, "model.layers.0.self_attn.rotary_emb.inv_freq");
  return true;
}

static void wrong_tensors_are_listed(void **state) {
  (void)state;
  const struct {
    bool (*edit)(ft_safetensor *t);
    const char *parts[5];
  } cases[] = {
      {drop_head, {"lm_head.weight is missing; expected shape [67, 24]", "tie_word_embeddings"}},
      {drop_layers,
       {"model.layers.0.self_attn.q_proj.weight is missing; expected shape [24, 24]",
        "model.layers.0.mlp.gate_proj.weight", "32 tensors are missing in all"}},
      {change_three,
       {"4 mistakes", "up_proj.weight has shape [33, 23]; expected [33, 24]",
        "layers.1.input_layernorm.weight has shape [24, 1]; expected [24]",
        "model.layers.1.self_attn.k_proj.bias is missing; expected shape [12]",
        "model.extra is not part of this model"}},
      {drop_prefix, {"lack the prefix \"model.\""}},
      {other_prefix, {"language_model.model.embed_tokens.weight instead of"}},
      {inv_freq_for_norm, {"model.norm.weight is missing; expected shape [24]"}},
  };
  ft_hf_config config = config_of(tiny_configs[0]);
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    write_model("wrong", &config, cases[i].edit);
    for (int k = 0; k < 5 && cases[i].parts[k]; k++)
      assert_fails(ft_hf_check_weights(in_root("wrong"), &config), FT_ERR_DATA, cases[i].parts[k]);
    assert_null(strstr(ft_error_message(), "inv_freq"));
    assert_ok(ft_remove_tree(in_root("wrong")));
  }
  ft_hf_config_fini(&config);
  assert_fails(ft_hf_check_weights(in_root("wrong"), &config), FT_ERR_NOINPUT, "wrong");
}

/* The layout of a description that was changed. */
static void lay_out_again(ft_hf_config *config) {
  ft_layout_free(config->layout);
  assert_ok(ft_layout_new(&config->arch, NULL, NULL, &config->layout));
}

static void a_copy_of_a_tied_head_is_harmless(void **state) {
  (void)state;
  ft_hf_config config = config_of(tiny_configs[0]);
  write_model("copied", &config, keep_all);
  assert_ok(ft_hf_check_weights(in_root("copied"), &config));
  config.arch.tied = true;
  lay_out_again(&config);
  assert_ok(ft_hf_check_weights(in_root("copied"), &config));
  ft_hf_config_fini(&config);
}

static bool swap_head_shape(ft_safetensor *t) {
  bool head = strcmp(t->name, "lm_head.weight") == 0;
  int64_t rows = t->dims[0];
  if (head) t->dims[0] = t->dims[1];
  if (head) t->dims[1] = rows;
  return true;
}
/* Biases become what others keep beside a model. */
static bool of_no_use_for_biases(ft_safetensor *t) {
  static const char *const names[] = {"mtp.fc.weight", "v_head.summary.weight",
                                      "model.layers.0.self_attn.masked_bias",
                                      "model.layers.0.self_attn.rotary_emb.cos_cached"};
  static size_t used = 0;
  bool bias = strstr(t->name, ".bias");
  if (bias && used < FT_ARRAY_SIZE(names)) strcpy(t->name, names[used++]);
  return !strstr(t->name, ".bias");
}

static bool scales_for_biases(ft_safetensor *t) {
  char name[96];
  char *bias = strstr(t->name, "_proj.bias");
  if (bias && strstr(t->name, "self_attn")) {
    snprintf(name, sizeof name, "%.*s.k_scale", (int)(bias - t->name), t->name);
    strcpy(t->name, name);
  }
  return !bias || strstr(t->name, "k_scale");
}

static void tensors_that_are_passed_over_are_named(void **state) {
  (void)state;
  char *log;
  size_t bytes;
  ft_hf_config config = config_of(tiny_configs[0]);
  ft_hf_config plain = config_of(tiny_configs[0]);
  plain.arch.qkv_bias = plain.arch.o_bias = plain.arch.mlp_bias = false;
  lay_out_again(&plain);
  assert_ok(ft_log_open(in_root("log")));
  write_model("scales", &config, scales_for_biases);
  assert_ok(ft_hf_check_weights(in_root("scales"), &plain));
  ft_log_close();
  assert_ok(ft_read_file(in_root("log"), 1 << 20, &log, &bytes));
  assert_non_null(strstr(log, "warning"));
  assert_non_null(strstr(log, "passed over, and not exported: model.layers.0.self_attn.k.k_scale, "
                              "model.layers.0.self_attn.o.k_scale, "
                              "model.layers.0.self_attn.q.k_scale and 5 more"));
  ft_free(log);
  write_model("beside", &config, of_no_use_for_biases);
  assert_ok(ft_hf_check_weights(in_root("beside"), &plain));
  write_model("swapped", &plain, swap_head_shape);
  plain.arch.tied = true;
  lay_out_again(&plain);
  assert_fails(ft_hf_check_weights(in_root("swapped"), &plain), FT_ERR_DATA,
               "lm_head.weight is not part of this model");
  ft_hf_config_fini(&config);
  ft_hf_config_fini(&plain);
}

static void unreadable_dtypes_are_refused(void **state) {
  (void)state;
  ft_hf_config config = config_of(tiny_configs[0]);
  char *data;
  size_t bytes;
  write_model("typed", &config, keep_all);
  forget_checksums(in_root("typed/model.safetensors"));
  assert_ok(ft_read_file(in_root("typed/model.safetensors"), 1 << 20, &data, &bytes));
  char *dtype = strstr(data + 8, "\"F32\"");
  assert_non_null(dtype);
  memcpy(dtype, "\"I32\"", 5);
  assert_ok(ft_write_file(in_root("typed/model.safetensors"), data, bytes));
  ft_free(data);
  assert_fails(ft_hf_check_weights(in_root("typed"), &config), FT_ERR_DATA,
               "has dtype I32; supported are F32, BF16 and F16");
  ft_hf_config_fini(&config);
}

/* The index and the config carry no checksums themselves; a bit of any byte is flipped. */
static void flipped_bits_of_texts_are_found(void **state) {
  (void)state;
  static const char *const names[] = {"flips/model.safetensors.index.json", "flips/config.json"};
  ft_hf_config config = config_of(tiny_configs[3]);
  ft_hf_source source;
  int64_t num_files;
  assert_ok(ft_hf_random_source(&config, 5, &source));
  assert_ok(ft_hf_export(NULL, &config, &source, FT_BF16, 6000, in_root("flips")));
  for (size_t n = 0; n < FT_ARRAY_SIZE(names); n++) {
    char *text, path[MAX_PATH];
    size_t bytes;
    snprintf(path, sizeof path, "%s", in_root(names[n]));
    assert_ok(ft_read_file(path, 1 << 20, &text, &bytes));
    ft_free(text);
    for (int64_t at = 0; at < (int64_t)bytes; at++) {
      flip_bit(path, at, (int)(at % 8));
      assert_fails(ft_hf_check_sums(in_root("flips")), FT_ERR_DATA, strchr(names[n], '/'));
      flip_bit(path, at, (int)(at % 8));
    }
    assert_ok(ft_hf_check_sums(in_root("flips")));
  }
  unlink(
      in_root(names[0])); /* whoever needs it will say so; of a whole directory it is a mistake */
  assert_ok(ft_hf_check_sums(in_root("flips")));
  assert_fails(ft_hf_verify_sums(in_root("flips"), &num_files), FT_ERR_DATA, "is missing");
  ft_hf_random_source_free(&source);
  ft_hf_config_fini(&config);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_tensors_are_listed),
      cmocka_unit_test(a_copy_of_a_tied_head_is_harmless),
      cmocka_unit_test(tensors_that_are_passed_over_are_named),
      cmocka_unit_test(unreadable_dtypes_are_refused),
      cmocka_unit_test(flipped_bits_of_texts_are_found),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
