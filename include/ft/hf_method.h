/* hf, methods: which of a model's maps a method is put beside, by the names that modules have in
 * transformers, as PEFT's configurations have them. A name of a module is that of its tensor
 * without ".weight".
 *
 * Not collective, all of it. */
#ifndef FT_HF_METHOD_H
#define FT_HF_METHOD_H

#include "ft/hf.h"

/* As method.name has them, in this order. */
typedef enum ft_hf_method_kind {
  FT_METHOD_FULL,
  FT_METHOD_LORA,
  FT_METHOD_IA3,
  FT_METHOD_PREFIX,
  FT_METHOD_PROMPT,
  FT_METHOD_BOTTLENECK, /* "adapter" */
  FT_METHOD_NUM
} ft_hf_method_kind;

/* Which biases are trained too. */
typedef enum ft_hf_bias { FT_BIAS_NONE, FT_BIAS_ALL, FT_BIAS_LORA_ONLY, FT_BIAS_NUM } ft_hf_bias;
/* "none", "all" or "lora_only", as in PEFT's files and in method.bias. */
const char *ft_hf_bias_name(ft_hf_bias bias);

/* A regular expression that fits the end of a module's name, and what holds there. */
typedef struct ft_hf_pattern {
  const char *pattern;
  double value;
} ft_hf_pattern;

/* Names of modules: an entry fits a name that is it or ends in "." and it. */
typedef struct ft_hf_modules {
  const char *const *names; /* [num] */
  int64_t num;
  bool is_pattern; /* there is one, a regular expression for the whole of a name */
} ft_hf_modules;

/* Everything borrowed. */
typedef struct ft_hf_method {
  ft_hf_method_kind kind;
  ft_hf_modules targets; /* none: all linear maps of layers; IA3: k (of some families
                            q), v, down; named: the embedding and the head, too (LoRA) */
  /* IA3: of those the ones whose input is scaled; none: down */
  ft_hf_modules feed_forward;
  ft_hf_modules save; /* trained whole */
  ft_hf_bias bias;
  bool
      ensure_weight_tying; /* what is put beside one end of a tied matrix stands beside the other */
  int64_t rank;
  double alpha;
  bool rslora, dora;
  double dropout;
  const ft_hf_pattern *rank_pattern, *alpha_pattern; /* the first that fits holds */
  int64_t num_rank_patterns, num_alpha_patterns;
  const int64_t *layers; /* [num_layers] targets in these only; num_layers 0: in all */
  int64_t num_layers;
  int64_t virtual_tokens; /* prefix, prompt */
  const char *init;       /* prompt: "random", "vocabulary" or "text:…"; NULL: random */
  int64_t reduction;      /* bottleneck: its width is hidden / reduction */
  ft_activation_kind activation;
  bool after_attention; /* Houlsby; otherwise Pfeiffer */
  const cJSON *as_read; /* the adapter_config.json that it was read from, or NULL */
} ft_hf_method;

/* Makes config->layout again, with what the method adds, everything else frozen; a tied head that
 * is saved becomes a matrix of its own. Errors: FT_ERR_CONFIG where the model cannot take it, a
 * name fits nothing or a pattern is no regular expression; FT_ERR_MEMORY. */
ft_err ft_hf_put_method(ft_hf_config *config, const ft_hf_method *method);

/* Tensors that a shell pattern finds, with rates of their own. */
typedef struct ft_hf_group {
  const char *pattern;
  ft_rate_group rates;
} ft_hf_group;

/* Sets the rates of config->layout (ft_layout_set_rates). Patterns are for names of what is
 * trained: as the model's files have them, and as the adapter's of `method` (NULL: none) have them.
 * Errors: FT_ERR_CONFIG where a pattern finds nothing that a group before it has not found;
 * FT_ERR_MEMORY.
 */
ft_err ft_hf_put_rates(ft_hf_config *config, const ft_hf_method *method, double layer_decay,
                       const ft_hf_group *groups, int64_t num);

#endif
