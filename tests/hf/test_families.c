/* Proves that each family's tensors have the names, shapes and places that transformers gives them.
 * families/NAME.json is a small config, families/NAME.txt the tensors that transformers 5.24 saves
 * for it. Run alone: meson test hf-families */
#include "hf_fixtures.h"

#include "ft/hf_method.h"
#include "ft/kernels.h"

static const char *families; /* the folder */

/* Values that tell block and element. */
static ft_err read_numbers(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  (void)arg;
  for (int64_t i = 0; i < count; i++)
    out[i] = (float)(100000 * block + start + i);
  return FT_OK;
}

static ft_hf_config read_family(const char *name) {
  ft_hf_config config;
  char path[300];
  snprintf(path, sizeof path, "%s/%s.json", families, name);
  assert_ok(ft_hf_config_read_file(path, &config));
  return config;
}

/* Exports the family's model to ROOT/out and opens it. */
static ft_safetensors *export_family(const ft_hf_config *config) {
  ft_safetensors *st;
  ft_hf_source source = {.read = read_numbers};
  assert_ok(ft_remove_tree(in_root("out")));
  assert_ok(ft_hf_export(NULL, config, &source, FT_F32, 0, in_root("out")));
  assert_ok(ft_safetensors_open(in_root("out"), &st));
  return st;
}

/* "NAME [DIM, DIM]" for each tensor, in order of name. */
static char *list_tensors(ft_safetensors *st) {
  char *text;
  size_t bytes;
  FILE *f = open_memstream(&text, &bytes);
  for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    fprintf(f, "%s [", t->name);
    for (int d = 0; d < t->num_dims; d++)
      fprintf(f, "%s%lld", d ? ", " : "", (long long)t->dims[d]);
    fprintf(f, "]\n");
  }
  assert_int_equal(fclose(f), 0);
  return text;
}

static void check_family(const char *name) {
  char path[300], *expected;
  size_t bytes;
  ft_hf_config config = read_family(name), again;
  ft_safetensors *st = export_family(&config);
  char *found = list_tensors(st);
  snprintf(path, sizeof path, "%s/%s.txt", families, name);
  assert_ok(ft_read_file(path, 1 << 20, &expected, &bytes));
  if (strcmp(found, expected) != 0) fail_msg("%s: found\n%sexpected\n%s", name, found, expected);
  assert_ok(ft_hf_config_read(in_root("out"), &again));
  assert_ok(ft_hf_check_weights(in_root("out"), &again));
  ft_hf_config_fini(&again);
  ft_hf_config_fini(&config);
  ft_safetensors_close(st);
  ft_free(expected);
  free(found);
}

static void tensors_are_named_as_transformers_names_them(void **state) {
  (void)state;
  char **names;
  int64_t count, checked = 0;
  assert_ok(ft_list_dir(families, &names, &count));
  for (int64_t i = 0; i < count; i++) {
    char *end = strstr(names[i], ".json");
    if (!end) continue;
    *end = 0;
    check_family(names[i]);
    checked++;
  }
  ft_free_names(names, count);
  assert_int_equal(checked, 26);
}

/* ---------------------------------------------------------------- other names */

/* Writes ROOT/out's tensors under other names to ROOT/named, with `more` ones of no use. */
static void rename_tensors(ft_safetensors *st, const char *const (*words)[2],
                           const char *const *more) {
  static char names[128][160];
  static ft_safetensor tensors[128];
  int64_t count = ft_safetensors_count(st), total = count;
  ft_safetensors_writer *w;
  for (int64_t i = 0; i < count; i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    snprintf(names[i], sizeof names[i], "%s", t->name);
    for (int k = 0; k < 2 && words[k][0]; k++) {
      const char *at = strstr(t->name, words[k][0]);
      if (at)
        snprintf(names[i], sizeof names[i], "%.*s%s%s", (int)(at - t->name), t->name, words[k][1],
                 at + strlen(words[k][0]));
    }
    tensors[i] = *t;
    tensors[i].name = names[i];
  }
  for (; *more; more++, total++) {
    snprintf(names[total], sizeof names[0], "%s", *more);
    tensors[total] = (ft_safetensor){
        .name = names[total], .num_dims = 1, .dims = {2}, .bytes = 16, .dtype_name = "I64"};
  }
  assert_ok(ft_remove_tree(in_root("named")));
  assert_ok(ft_make_dirs(in_root("named")));
  assert_ok(ft_safetensors_writer_new(in_root("named/model.safetensors"), tensors, total, &w));
  for (int64_t i = 0; i < total; i++) {
    char data[1 << 15];
    memset(data, (int)i, sizeof data);
    assert_true(tensors[i].bytes <= (int64_t)sizeof data);
    if (i < count)
      assert_ok(ft_safetensors_read_bytes(st, ft_safetensors_at(st, i), 0, tensors[i].bytes, data));
    assert_ok(ft_safetensors_write(w, data, (size_t)tensors[i].bytes));
  }
  assert_ok(ft_safetensors_writer_close(w, true));
  assert_ok(ft_copy_file(in_root("out/config.json"), in_root("named/config.json")));
}

/* A directory with other names is taken, and its export has them again, without what is of no use.
 */
static void check_names(const char *family, const char *const (*words)[2], const char *const *more,
                        const char *expected) {
  static const char *const nothing[] = {NULL};
  ft_hf_config config = read_family(family), named;
  ft_hf_source source = {.read = read_numbers};
  ft_safetensors *st = export_family(&config);
  rename_tensors(st, words, more ? more : nothing);
  ft_safetensors_close(st);
  assert_ok(ft_hf_config_read(in_root("named"), &named));
  assert_ok(ft_hf_check_weights(in_root("named"), &named));
  assert_ok(ft_remove_tree(in_root("again")));
  assert_ok(ft_hf_export(in_root("named"), &named, &source, FT_F32, 0, in_root("again")));
  assert_ok(ft_safetensors_open(in_root("again"), &st));
  if (!ft_safetensors_find(st, expected)) fail_msg("%s: %s is missing", family, expected);
  for (; more && *more; more++)
    assert_null(ft_safetensors_find(st, *more));
  ft_safetensors_close(st);
  ft_hf_config_fini(&named);
  ft_hf_config_fini(&config);
}

static void other_names_are_kept(void **state) {
  (void)state;
  static const char *const bert[] = {"bert.embeddings.position_ids", "cls.seq_relationship.bias",
                                     "bert.pooler.dense.bias", NULL};
  static const char *const gpt2[] = {"h.0.attn.bias", "h.1.attn.masked_bias", NULL};
  static const char *const norms[2][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                          {"LayerNorm.bias", "LayerNorm.beta"}};
  static const char *const bare[2][2] = {{"model.", ""}, {"transformer.", ""}};
  static const char *const head[2][2] = {{"model.embed_tokens.", "lm_head."}};
  static const char *const nested[2][2] = {{"model.", "model.language_model."}};
  check_names("bert-masked", norms, bert, "bert.encoder.layer.1.output.LayerNorm.gamma");
  check_names("gpt2", bare, gpt2, "h.1.attn.c_attn.weight");
  check_names("qwen2", bare, NULL, "layers.1.mlp.up_proj.weight");
  check_names("qwen2", head, NULL, "lm_head.weight");
  check_names("gemma3_text", nested, NULL, "model.language_model.norm.weight");
}

/* The text part of a composite directory is a model; the rest is carried along byte for byte. */
static void parts_that_are_not_trained_are_carried_along(void **state) {
  (void)state;
  static const char *const words[2][2] = {{"model.", "language_model.model."}};
  static const char *const more[] = {"vision_tower.positions", "multi_modal_projector.table", NULL};
  ft_hf_config text = read_family("gemma3_text"), composite;
  assert_true(text.arch.embedding_scale > 1 && text.arch.round_embedding_scale);
  ft_hf_source source = {.read = read_numbers};
  ft_safetensors *st = export_family(&text), *again;
  char *inner, outer[4000], found[16], expected[16];
  rename_tensors(st, words, more);
  ft_safetensors_close(st);
  assert_ok(ft_json_print(text.json, false, &inner));
  snprintf(outer, sizeof outer, "{\"model_type\":\"gemma3\",\"text_config\":%s}", inner);
  write_text("named/config.json", outer);
  assert_ok(ft_hf_config_read(in_root("named"), &composite));
  assert_true(composite.arch.tied && composite.arch.hidden == text.arch.hidden);
  assert_ok(ft_hf_check_weights(in_root("named"), &composite));
  assert_ok(ft_remove_tree(in_root("again")));
  assert_ok(ft_hf_export(in_root("named"), &composite, &source, FT_BF16, 0, in_root("again")));
  assert_ok(ft_safetensors_open(in_root("named"), &st));
  assert_ok(ft_safetensors_open(in_root("again"), &again));
  assert_int_equal(ft_safetensors_count(st), ft_safetensors_count(again));
  for (int i = 0; more[i]; i++) {
    const ft_safetensor *t = ft_safetensors_find(again, more[i]);
    assert_non_null(t);
    assert_string_equal(t->dtype_name, "I64");
    assert_ok(ft_safetensors_read_bytes(again, t, 0, 16, found));
    assert_ok(ft_safetensors_read_bytes(st, ft_safetensors_find(st, more[i]), 0, 16, expected));
    assert_memory_equal(found, expected, 16);
  }
  ft_safetensors_close(st);
  ft_safetensors_close(again);
  assert_ok(ft_remove_tree(in_root("again")));
  assert_ok(ft_remove_tree(in_root("named/model.safetensors")));
  assert_fails(ft_hf_export(in_root("named"), &composite, &source, FT_BF16, 0, in_root("again")),
               FT_ERR_DATA, "are copied from the weights it began with, and there are none");
  ft_free(inner);
  ft_hf_config_fini(&composite);
  ft_hf_config_fini(&text);
}

/* ---------------------------------------------------------------- places */

/* Where element (row, column) of our tensor lies in the file's tensor. */
typedef struct place {
  const char *family, *name;
  ft_role role;
  int64_t row, column; /* of ours */
  int64_t at[2];       /* of the file's */
} place;

static void check_place(const place *p) {
  ft_hf_config config = read_family(p->family);
  ft_safetensors *st = export_family(&config);
  const ft_safetensor *found = ft_safetensors_find(st, p->name);
  int64_t block = 2; /* layer 1 */
  const ft_tensor *t = ft_block_tensor(&config.layout->blocks[block], p->role);
  float value, expected;
  assert_non_null(found);
  assert_non_null(t);
  int64_t element = p->at[0] * (found->num_dims == 2 ? found->dims[1] : 1) + p->at[1];
  assert_ok(ft_safetensors_read(st, found, element, 1, &value));
  assert_ok(read_numbers(NULL, block, t->offset + p->row * t->cols + p->column, 1, &expected));
  if (value < expected || value > expected)
    fail_msg("%s of %s: %g, expected %g", p->name, p->family, (double)value, (double)expected);
  ft_safetensors_close(st);
  ft_hf_config_fini(&config);
}

static void parts_of_a_tensor_are_in_their_places(void **state) {
  (void)state;
  static const place places[] = {
      {"phi3", "model.layers.1.self_attn.qkv_proj.weight", FT_ROLE_Q, 23, 5, {23, 5}},
      {"phi3", "model.layers.1.self_attn.qkv_proj.weight", FT_ROLE_K, 2, 5, {26, 5}},
      {"phi3", "model.layers.1.self_attn.qkv_proj.weight", FT_ROLE_V, 11, 0, {47, 0}},
      {"phi3", "model.layers.1.mlp.gate_up_proj.weight", FT_ROLE_GATE, 35, 1, {35, 1}},
      {"phi3", "model.layers.1.mlp.gate_up_proj.weight", FT_ROLE_UP, 0, 1, {36, 1}},
      {"glm4", "model.layers.1.mlp.gate_up_proj.weight", FT_ROLE_UP, 3, 23, {39, 23}},
      {"granitemoehybrid",
       "model.layers.1.shared_mlp.input_linear.weight",
       FT_ROLE_UP,
       3,
       2,
       {39, 2}},
      {"modernbert-masked", "model.layers.1.mlp.Wi.weight", FT_ROLE_GATE, 3, 2, {3, 2}},
      {"modernbert-masked", "model.layers.1.attn.Wqkv.weight", FT_ROLE_V, 3, 2, {51, 2}},
      {"gpt2", "transformer.h.1.attn.c_attn.weight", FT_ROLE_Q, 3, 7, {7, 3}},
      {"gpt2", "transformer.h.1.attn.c_attn.weight", FT_ROLE_V, 23, 1, {1, 71}},
      {"gpt2", "transformer.h.1.attn.c_attn.bias", FT_ROLE_K_BIAS, 0, 5, {0, 29}},
      {"gpt2", "transformer.h.1.attn.c_proj.weight", FT_ROLE_O, 2, 21, {21, 2}},
      {"gpt2", "transformer.h.1.mlp.c_fc.weight", FT_ROLE_UP, 35, 0, {0, 35}},
      {"gpt2", "transformer.h.1.mlp.c_proj.weight", FT_ROLE_DOWN, 1, 35, {35, 1}},
      {"gemma2",
       "model.layers.1.post_attention_layernorm.weight",
       FT_ROLE_ATTN_POST_NORM,
       0,
       4,
       {0, 4}},
      {"gemma2", "model.layers.1.pre_feedforward_layernorm.weight", FT_ROLE_MLP_NORM, 0, 4, {0, 4}},
      {"glm4", "model.layers.1.post_attention_layernorm.weight", FT_ROLE_MLP_NORM, 0, 4, {0, 4}},
      {"olmo2",
       "model.layers.1.post_attention_layernorm.weight",
       FT_ROLE_ATTN_POST_NORM,
       0,
       4,
       {0, 4}},
      {"apertus", "model.layers.1.mlp.act_fn.eps", FT_ROLE_XIELU_EPS, 0, 0, {0, 0}},
  };
  for (size_t i = 0; i < FT_ARRAY_SIZE(places); i++)
    check_place(&places[i]);
}

/* Maps of layer 0 that IA3 is put beside where nothing is named. */
static void check_scaled(const char *family, const char *expected) {
  static const struct {
    ft_role role;
    char letter;
  } maps[] = {{FT_ROLE_Q, 'q'},  {FT_ROLE_K, 'k'},    {FT_ROLE_V, 'v'},   {FT_ROLE_O, 'o'},
              {FT_ROLE_UP, 'u'}, {FT_ROLE_GATE, 'g'}, {FT_ROLE_DOWN, 'd'}};
  const ft_hf_method method = {.kind = FT_METHOD_IA3};
  ft_hf_config config = read_family(family);
  const ft_layout *l;
  const ft_tensor *t;
  char found[8] = "";
  size_t count = 0;
  assert_ok(ft_hf_put_method(&config, &method));
  l = config.layout;
  for (size_t i = 0; i < FT_ARRAY_SIZE(maps); i++) {
    ft_role role = maps[i].role;
    int64_t block = ft_layout_find(l, &l->layers[0], role, &t);
    if (block < 0) continue;
    bool output = ft_layout_find_part(l, block, role, FT_PART_OUTPUT_SCALE, &t) >= 0;
    bool input = ft_layout_find_part(l, block, role, FT_PART_INPUT_SCALE, &t) >= 0;
    assert_true(input == (role == FT_ROLE_DOWN));
    if (input || output) found[count++] = maps[i].letter;
  }
  if (strcmp(found, expected) != 0) fail_msg("%s: %s, expected %s", family, found, expected);
  ft_hf_config_fini(&config);
}

/* As PEFT's table has it; what a file holds as one tensor is scaled whole. */
static void scales_stand_where_peft_puts_them(void **state) {
  (void)state;
  check_scaled("ministral3", "kvd");
  check_scaled("gemma3_text", "qvd");
  check_scaled("gpt2", "qkvd");
  check_scaled("phi3", "qkvd");
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(tensors_are_named_as_transformers_names_them),
                                     cmocka_unit_test(other_names_are_kept),
                                     cmocka_unit_test(parts_that_are_not_trained_are_carried_along),
                                     cmocka_unit_test(parts_of_a_tensor_are_in_their_places),
                                     cmocka_unit_test(scales_stand_where_peft_puts_them)};
  if (argc != 2) {
    fprintf(stderr, "usage: %s FOLDER (tests/hf/families)\n", argv[0]);
    return 2;
  }
  families = argv[1];
  return cmocka_run_group_tests_name("families", tests, make_root, remove_root);
}
