/* What a run trains: method.* and train.freeze become the layout of its model. */
#include <string.h>

#include "ft/hf_method.h"
#include "internal.h"

/* The patterns of a key, for hf; *out is owned by the caller. */
static ft_err copy_patterns(const ft_named_numbers *from, ft_hf_pattern **out) {
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, from->num, sizeof **out, &p);
  if (err != FT_OK) return err;
  *out = p;
  for (int64_t i = 0; i < from->num; i++)
    (*out)[i] = (ft_hf_pattern){.pattern = from->items[i].name, .value = from->items[i].value};
  return FT_OK;
}

/* "all-linear" is what hf does where no target is named. */
static ft_hf_modules targets_of(const ft_config_method *c) {
  if (c->targets.num == 1 && strcmp(c->targets.texts[0], "all-linear") == 0)
    return (ft_hf_modules){.num = 0};
  return (ft_hf_modules){.names = c->targets.texts, .num = c->targets.num};
}

static ft_hf_method method_of(const ft_config_method *c) {
  static const ft_activation_kind activations[] = {FT_ACT_RELU, FT_ACT_SILU, FT_ACT_GELU};
  return (ft_hf_method){.kind = (ft_hf_method_kind)c->name,
                        .targets = targets_of(c),
                        .save = {.names = c->save_modules.texts, .num = c->save_modules.num},
                        .bias = (ft_hf_bias)c->bias,
                        .rank = c->rank,
                        .alpha = c->alpha > 0 ? c->alpha : (double)c->rank,
                        .rslora = c->rslora,
                        .dora = c->dora,
                        .dropout = c->dropout,
                        .num_rank_patterns = c->rank_pattern.num,
                        .num_alpha_patterns = c->alpha_pattern.num,
                        .virtual_tokens = c->virtual_tokens,
                        .reduction = c->reduction,
                        .activation = activations[c->activation],
                        .after_attention = c->placement == 1};
}

ft_err ft_train_put_method(const ft_config *config, ft_hf_config *hf) {
  ft_err err = FT_OK;
  const ft_config_method *c = &config->method;
  ft_hf_pattern *ranks = NULL, *alphas = NULL;
  if (c->name == FT_METHOD_FULL)
    return config->freeze.num > 0 ? ft_hf_freeze(hf, config->freeze.texts, config->freeze.num)
                                  : FT_OK;
  FT_TRY(copy_patterns(&c->rank_pattern, &ranks));
  FT_TRY(copy_patterns(&c->alpha_pattern, &alphas));
  ft_hf_method method = method_of(c);
  method.rank_pattern = ranks;
  method.alpha_pattern = alphas;
  FT_TRY(ft_hf_put_method(hf, &method));
out:
  ft_free(ranks);
  ft_free(alphas);
  return err;
}
