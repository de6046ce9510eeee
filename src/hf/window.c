/* Sliding windows in config.json. Mistral has one for all layers; Qwen for the layers from
 * max_window_layers on, if use_sliding_window says so, or as layer_types lists them. */
#include <string.h>

#include "hf_internal.h"

enum { MAX_POSITIONS = 1 << 24 };

/* The first layer listed as sliding (`layers` if none), or -1 if the list is wrong or mixes them in
 * a way that is not "full ones first, then sliding ones". */
static int64_t first_sliding(const ft_hf_object *config, const cJSON *types, int64_t layers) {
  int64_t i = 0, first = layers;
  const cJSON *type;
  cJSON_ArrayForEach(type, types) {
    bool sliding = cJSON_IsString(type) && strcmp(type->valuestring, "sliding_attention") == 0;
    bool full = cJSON_IsString(type) && strcmp(type->valuestring, "full_attention") == 0;
    if (!sliding && !full) {
      char found[60];
      ft_hf_show(type, found, sizeof found);
      ft_hf_mistake(config->mistakes,
                    "layer_types has %s; supported are \"full_attention\" and "
                    "\"sliding_attention\"",
                    found);
      return -1;
    }
    if (sliding && first == layers) first = i;
    if (full && first < i) {
      ft_hf_mistake(config->mistakes,
                    "layer_types has a full layer (%lld) after a sliding one (%lld); supported "
                    "are full layers first, then sliding ones",
                    (long long)i, (long long)first);
      return -1;
    }
    i++;
  }
  if (i == layers) return first;
  ft_hf_mistake(config->mistakes, "layer_types lists %lld layers, num_hidden_layers is %lld",
                (long long)i, (long long)layers);
  return -1;
}

/* layer_types as the first sliding layer, `missing` where there is none. */
static int64_t read_layer_types(const ft_hf_object *config, int64_t layers, int64_t missing) {
  const cJSON *types = ft_json_get(config->json, "layer_types");
  if (!types || cJSON_IsNull(types)) return missing;
  if (cJSON_IsArray(types)) return first_sliding(config, types, layers);
  ft_hf_mistake(config->mistakes, "layer_types must be a list of \"full_attention\" and "
                                  "\"sliding_attention\"");
  return -1;
}

/* Layers from `first` on have a window. */
static void set_window(ft_arch *arch, int64_t first, int64_t window) {
  if (window == 0) return;
  if (first == 0) {
    arch->kinds[0].window = window;
    return;
  }
  arch->num_kinds = 2;
  arch->kinds[1].window = window;
  ft_arch_set_kind(arch, first, 1);
}

static void read_qwen(const ft_hf_object *config, ft_arch *arch) {
  bool used = ft_hf_bool(config, "use_sliding_window", false);
  const cJSON *json = ft_json_get(config->json, "sliding_window");
  int64_t window = json && cJSON_IsNull(json)
                       ? 0
                       : ft_hf_int(config, "sliding_window", 4096, used ? 1 : 0, MAX_POSITIONS);
  int64_t from = ft_hf_int(config, "max_window_layers", 28, 0, INT32_MAX);
  if (!used) window = 0;
  int64_t first = read_layer_types(config, arch->layers,
                                   window > 0 ? FT_MIN(from, arch->layers) : arch->layers);
  if (first < 0) return;
  if (first < arch->layers && window == 0)
    ft_hf_mistake(config->mistakes, "layer_types has sliding layers, but %s",
                  used ? "sliding_window is null" : "use_sliding_window is not true");
  if (first < arch->layers) set_window(arch, first, window);
}

static void read_mistral(const ft_hf_object *config, ft_arch *arch) {
  const cJSON *json = ft_json_get(config->json, "sliding_window");
  int64_t missing = json ? 0 : 4096;
  int64_t window = ft_hf_int(config, "sliding_window", missing, 1, MAX_POSITIONS);
  int64_t expected = window > 0 ? 0 : arch->layers;
  set_window(arch, 0, window);
  int64_t first = read_layer_types(config, arch->layers, expected);
  if (first >= 0 && first != expected)
    ft_hf_mistake(config->mistakes,
                  "layer_types contradicts sliding_window, which a mistral model has in all its "
                  "layers or in none");
}

static void read_llama(const ft_hf_object *config, ft_arch *arch) {
  int64_t first = read_layer_types(config, arch->layers, arch->layers);
  if (first >= 0 && first < arch->layers)
    ft_hf_mistake(config->mistakes,
                  "layer_types has sliding layers, which a llama model does not have");
}

void ft_hf_read_window(const ft_hf_object *config, const char *model_type, ft_arch *arch) {
  if (strcmp(model_type, "mistral") == 0)
    read_mistral(config, arch);
  else if (strncmp(model_type, "qwen", 4) == 0)
    read_qwen(config, arch);
  else
    read_llama(config, arch);
}
