/* Which layers slide a window over what they see, and which are rotated. A rule is shared by all
 * families that follow it; families.c says which follows which. */
#include <string.h>

#include "family.h"

enum { MAX_WINDOW = 1 << 24 };

/* Gives a layer the kind with these values, which is added where no other layer has it. */
static void set_layer(const ft_hf_reader *r, int64_t layer, ft_layer_kind kind) {
  ft_arch *a = r->arch;
  int i = 0;
  if (layer == 0) a->num_kinds = 0;
  while (i < a->num_kinds && (a->kinds[i].window != kind.window || a->kinds[i].rope != kind.rope ||
                              a->kinds[i].no_input_norm != kind.no_input_norm))
    i++;
  FT_ASSERT(i < FT_MAX_LAYER_KINDS);
  if (i == a->num_kinds) a->kinds[a->num_kinds++] = kind;
  a->kind_of[layer] = (uint8_t)i;
}

static ft_layer_kind kind_of(int64_t window, int rope) {
  return (ft_layer_kind){.window = window, .rope = rope};
}

/* ---------------------------------------------------------------- layer_types */

/* Entry number `layer` of layer_types: true if it slides. */
static bool is_sliding(const cJSON *types, int64_t layer) {
  const cJSON *type = cJSON_GetArrayItem(types, (int)layer);
  return cJSON_IsString(type) && strcmp(type->valuestring, "sliding_attention") == 0;
}

/* The list, if there is a good one; *wrong: there is a bad one. "attention" is what Granite 4 calls
 * the full ones. */
static const cJSON *read_types(const ft_hf_reader *r, bool *wrong) {
  const cJSON *types = ft_json_get(r->file.json, "layer_types"), *type;
  *wrong = false;
  if (!types || cJSON_IsNull(types)) return NULL;
  *wrong = true;
  if (!cJSON_IsArray(types)) {
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA,
                    "layer_types must be a list of \"full_attention\" and "
                    "\"sliding_attention\"");
    return NULL;
  }
  cJSON_ArrayForEach(type, types) {
    char found[60];
    const char *name = cJSON_IsString(type) ? type->valuestring : "";
    if (strcmp(name, "sliding_attention") == 0 || strcmp(name, "full_attention") == 0 ||
        strcmp(name, "attention") == 0)
      continue;
    ft_hf_show(type, found, sizeof found);
    ft_mistakes_add(
        r->file.mistakes, FT_ERR_DATA,
        "layer_types has %s; supported are \"full_attention\" and \"sliding_attention\"", found);
    return NULL;
  }
  if (cJSON_GetArraySize(types) != r->arch->layers) {
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA,
                    "layer_types lists %d layers, num_hidden_layers is %lld",
                    cJSON_GetArraySize(types), (long long)r->arch->layers);
    return NULL;
  }
  *wrong = false;
  return types;
}

/* The window; null is none. */
static int64_t read_window(const ft_hf_reader *r) {
  return ft_hf_int(&r->all, "sliding_window", 0, 1, MAX_WINDOW);
}

/* Whether a layer that slides has a window; where it has none, that is noted. used:
 * use_sliding_window is true, or there is no such key. */
static bool has_window(const ft_hf_reader *r, bool sliding, int64_t window, bool used) {
  if (!sliding || (used && window > 0)) return true;
  ft_mistakes_add(r->file.mistakes, FT_ERR_DATA, "this %s model has sliding layers, but %s",
                  r->family->model_type,
                  used ? "sliding_window is null" : "use_sliding_window is not true");
  return false;
}

/* By the list, or else by the family's pattern: every so-many-th layer is full. */
static bool slides(const ft_hf_reader *r, const cJSON *types, int64_t layer) {
  if (types) return is_sliding(types, layer);
  int64_t period = r->family->pattern;
  if (r->family->pattern_key) period = ft_hf_int(&r->all, r->family->pattern_key, period, 1, 65536);
  return (layer + (r->family->first_full ? 0 : 1)) % period != 0;
}

/* ---------------------------------------------------------------- rules */

/* No layer slides. */
void ft_hf_layers_full(const ft_hf_reader *r) {
  bool wrong;
  const cJSON *types = read_types(r, &wrong);
  for (int64_t i = 0; i < r->arch->layers; i++) {
    if (types && is_sliding(types, i)) {
      ft_mistakes_add(r->file.mistakes, FT_ERR_DATA,
                      "layer_types has sliding layers, which a %s model does not "
                      "have",
                      r->family->model_type);
      return;
    }
    set_layer(r, i, kind_of(0, r->arch->num_ropes > 0 ? 0 : -1));
  }
}

/* All layers slide if there is a window. */
void ft_hf_layers_window(const ft_hf_reader *r) {
  bool wrong, contradicts = false;
  int64_t window = read_window(r);
  const cJSON *types = read_types(r, &wrong);
  for (int64_t i = 0; i < r->arch->layers; i++) {
    contradicts = contradicts || (types && is_sliding(types, i) != (window > 0));
    set_layer(r, i, kind_of(window, 0));
  }
  if (contradicts)
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA,
                    "layer_types contradicts sliding_window, which a %s model has in all its "
                    "layers or in none",
                    r->family->model_type);
}

/* Layers from max_window_layers on slide, if use_sliding_window says so, or those that are listed.
 */
void ft_hf_layers_qwen(const ft_hf_reader *r) {
  bool wrong, used = ft_hf_bool(&r->all, "use_sliding_window", false);
  const cJSON *json = ft_json_get(r->all.json, "sliding_window");
  bool null = json && cJSON_IsNull(json);
  int64_t window = null ? 0 : ft_hf_int(&r->all, "sliding_window", 0, used ? 1 : 0, MAX_WINDOW);
  int64_t from = ft_hf_int(&r->all, "max_window_layers", 28, 0, INT32_MAX);
  const cJSON *types = read_types(r, &wrong);
  if (!used) window = 0;
  for (int64_t i = 0; i < r->arch->layers; i++) {
    bool sliding = types ? is_sliding(types, i) : window > 0 && i >= from;
    if (!has_window(r, sliding, window, used)) return;
    set_layer(r, i, kind_of(sliding ? window : 0, 0));
  }
}

/* Sliding and full layers, with a rotary embedding of their own if the family has two. */
void ft_hf_layers_typed(const ft_hf_reader *r) {
  bool wrong;
  int64_t window = read_window(r);
  const cJSON *types = read_types(r, &wrong);
  int sliding_rope = r->arch->num_ropes - 1;
  for (int64_t i = 0; i < r->arch->layers; i++) {
    bool sliding = slides(r, types, i);
    if (!has_window(r, sliding, window, true)) return;
    set_layer(r, i, sliding ? kind_of(window, sliding_rope) : kind_of(0, 0));
  }
}

/* If there is a window, full layers are not rotated; if there is none, all are full and rotated. */
void ft_hf_layers_exaone(const ft_hf_reader *r) {
  bool wrong;
  int64_t window = read_window(r);
  const cJSON *types = read_types(r, &wrong);
  for (int64_t i = 0; i < r->arch->layers; i++) {
    bool sliding = types ? is_sliding(types, i) : window > 0 && slides(r, types, i);
    if (!has_window(r, sliding, window, true)) return;
    set_layer(r, i, kind_of(sliding ? window : 0, sliding || window == 0 ? 0 : -1));
  }
}

/* Whether a layer of SmolLM3 is rotated: a list of 0 and 1, or all but every so-many-th. */
static bool is_rotated(const cJSON *list, int64_t layer, int64_t interval) {
  if (!list) return (layer + 1) % interval != 0;
  const cJSON *item = cJSON_GetArrayItem(list, (int)layer);
  return !cJSON_IsNumber(item) || item->valueint != 0;
}

/* Layers that are not rotated are the ones that may slide. */
void ft_hf_layers_smollm(const ft_hf_reader *r) {
  bool wrong, used = ft_hf_bool(&r->all, "use_sliding_window", false);
  int64_t window = used ? read_window(r) : 0;
  int64_t interval = ft_hf_int(&r->all, "no_rope_layer_interval", 4, 1, 65536);
  const cJSON *list = ft_json_get(r->file.json, "no_rope_layers");
  const cJSON *types = read_types(r, &wrong);
  if (list && cJSON_IsNull(list)) list = NULL;
  if (list && (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != r->arch->layers)) {
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA,
                    "no_rope_layers must be a list with 0 or 1 for each of the %lld layers",
                    (long long)r->arch->layers);
    return;
  }
  for (int64_t i = 0; i < r->arch->layers; i++) {
    bool rotated = is_rotated(list, i, interval);
    bool sliding = types ? is_sliding(types, i) : window > 0 && !rotated;
    if (!has_window(r, sliding, window, used)) return;
    set_layer(r, i, kind_of(sliding ? window : 0, rotated ? 0 : -1));
  }
}

/* Attention only; rotated if position_embedding_type says so. */
void ft_hf_layers_granite_hybrid(const ft_hf_reader *r) {
  bool wrong;
  const char *positions = ft_hf_string(&r->all, "position_embedding_type", "nope");
  bool rotated = strcmp(positions, "rope") == 0;
  if (!rotated && strcmp(positions, "nope") != 0)
    ft_mistakes_add(
        r->file.mistakes, FT_ERR_DATA,
        "position_embedding_type \"%.40s\" is not supported; supported are \"rope\" and "
        "\"nope\"",
        positions);
  if (!read_types(r, &wrong) && !wrong)
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA,
                    "layer_types is missing, which means layers with a state; "
                    "supported are layers of attention only");
  for (int64_t i = 0; i < r->arch->layers; i++)
    set_layer(r, i, kind_of(0, rotated ? 0 : -1));
}

/* |i - j| ≤ ⌊local_attention / 2⌋ in sliding layers; the first layer has no norm before attention,
 * as that of the embedding is there. */
void ft_hf_layers_modernbert(const ft_hf_reader *r) {
  bool wrong;
  int64_t window = ft_hf_int(&r->all, "local_attention", 128, 1, MAX_WINDOW) / 2 + 1;
  const cJSON *types = read_types(r, &wrong);
  for (int64_t i = 0; i < r->arch->layers; i++) {
    ft_layer_kind kind = slides(r, types, i) ? kind_of(window, 1) : kind_of(0, 0);
    kind.no_input_norm = i == 0;
    set_layer(r, i, kind);
  }
}
