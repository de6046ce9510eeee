/* What the tests of hf share: a folder of their own, and small configs. */
#ifndef HF_FIXTURES_H
#define HF_FIXTURES_H

#include "ft_test.h"
#include "layouts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft/hf.h"

enum { MAX_PATH = 256 };

static char root[] = "/tmp/ft-hf-XXXXXX";

static inline int make_root(void **state) {
  (void)state;
  return mkdtemp(root) ? 0 : -1;
}

static inline int remove_root(void **state) {
  (void)state;
  return ft_remove_tree(root) == FT_OK ? 0 : -1;
}

/* Valid until the eighth call after it. */
static inline const char *in_root(const char *name) {
  static char path[8][MAX_PATH];
  static int next;
  char *p = path[next++ % 8];
  snprintf(p, MAX_PATH, "%s/%s", root, name);
  return p;
}

static inline void write_text(const char *name, const char *text) {
  assert_ok(ft_write_file(in_root(name), text, strlen(text)));
}

static inline ft_hf_config config_of(const char *text) {
  ft_hf_config config;
  write_text("config.json", text);
  assert_ok(ft_hf_config_read_file(in_root("config.json"), &config));
  return config;
}

/* Every kind of tensor and odd sizes, in four small models. */
static const char *const tiny_configs[] = {
    "{\"model_type\":\"llama\",\"vocab_size\":67,\"hidden_size\":24,\"intermediate_size\":33,"
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
    "\"attention_bias\":true,\"mlp_bias\":true,\"torch_dtype\":\"float32\"}",
    "{\"model_type\":\"mistral\",\"vocab_size\":65,\"hidden_size\":16,\"intermediate_size\":17,"
    "\"num_hidden_layers\":1,\"num_attention_heads\":3,\"num_key_value_heads\":1,\"head_dim\":6,"
    "\"dtype\":\"bfloat16\"}",
    "{\"model_type\":\"qwen2\",\"vocab_size\":300,\"hidden_size\":20,\"intermediate_size\":30,"
    "\"num_hidden_layers\":3,\"num_attention_heads\":2,\"num_key_value_heads\":2,"
    "\"tie_word_embeddings\":true,\"torch_dtype\":\"bfloat16\",\"dtype\":\"bfloat16\"}",
    "{\"model_type\":\"qwen3\",\"vocab_size\":129,\"hidden_size\":18,\"intermediate_size\":64,"
    "\"num_hidden_layers\":1,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
    "\"head_dim\":10,\"attention_bias\":true}",
};
enum { NUM_TINY = 4 };
/* Its embedding has more elements than are moved at a time. */
static const char wide_config[] =
    "{\"model_type\":\"llama\",\"vocab_size\":17001,\"hidden_size\":64,\"intermediate_size\":3,"
    "\"num_hidden_layers\":1,\"num_attention_heads\":4,\"tie_word_embeddings\":true}";

/* A config to change. */
static const char small[] =
    "{\"model_type\":\"llama\",\"vocab_size\":100,\"hidden_size\":64,\"intermediate_size\":48,"
    "\"num_hidden_layers\":4,\"num_attention_heads\":4}";

/* Makes a safetensors file one of another program, which knows no checksums: their members get
 * names that nobody looks for. */
static inline void forget_checksums(const char *path) {
  char *data, *at;
  size_t bytes;
  int found = 0;
  assert_ok(ft_read_file(path, 1 << 20, &data, &bytes));
  for (at = data + 8; (at = strstr(at, "\"ftrun.")); found++)
    memcpy(at, "\"other.", 7);
  assert_int_equal(found, 4);
  assert_ok(ft_write_file(path, data, bytes));
  ft_free(data);
}

/* Reads `base` with the members of `change` put over its own. */
static inline ft_err read_changed(const char *base, const char *change, ft_hf_config *out) {
  cJSON *json = cJSON_Parse(base), *changes = cJSON_Parse(change);
  if (!json || !changes) fail_msg("not JSON: %s %s", base, change);
  while (changes->child) {
    cJSON *item = cJSON_DetachItemViaPointer(changes, changes->child);
    cJSON_DeleteItemFromObjectCaseSensitive(json, item->string);
    cJSON_AddItemToObject(json, item->string, item);
  }
  char *text = cJSON_PrintUnformatted(json);
  write_text("config.json", text);
  cJSON_free(text);
  cJSON_Delete(json);
  cJSON_Delete(changes);
  return ft_hf_config_read_file(in_root("config.json"), out);
}

static inline bool same_rope(const ft_rope_form *a, const ft_rope_form *b) {
  return a->theta == b->theta && a->type == b->type && a->factor == b->factor &&
         a->low_freq == b->low_freq && a->high_freq == b->high_freq &&
         a->original_positions == b->original_positions;
}

static inline void assert_same_arch(const char *name, const ft_arch *a, const ft_arch *b) {
  bool same = a->vocab == b->vocab && a->hidden == b->hidden && a->ffn == b->ffn &&
              a->layers == b->layers && a->heads == b->heads && a->kv_heads == b->kv_heads &&
              a->head_dim == b->head_dim && a->max_positions == b->max_positions &&
              a->norm.eps == b->norm.eps && same_rope(&a->ropes[0], &b->ropes[0]) &&
              a->kinds[0].window == b->kinds[0].window && a->qkv_bias == b->qkv_bias &&
              a->o_bias == b->o_bias && a->mlp_bias == b->mlp_bias && a->qk_norm == b->qk_norm &&
              a->tied == b->tied;
  if (!same) fail_msg("%s: another arch than expected", name);
}

#endif
