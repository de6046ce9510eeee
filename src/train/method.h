/* Inside train: what is trained beside a model, by the configuration's method.* or by the adapter
 * that it goes on from. Not collective, but for the last. */
#ifndef FT_TRAIN_METHOD_H
#define FT_TRAIN_METHOD_H

#include "ft/hf_adapter.h"
#include "ft/run_config.h"

typedef struct ft_train_method {
  ft_hf_method method; /* borrows from the configuration and from what follows, which is owned */
  ft_hf_pattern *ranks, *alphas;
  ft_hf_adapter *adapter; /* of model.adapter; NULL: there is none */
} ft_train_method;
/* Of a configuration that has one. Errors: FT_ERR_CONFIG where method.* contradicts model.adapter;
 * those of ft_hf_adapter_open. */
ft_err ft_train_method_open(const ft_config *config, ft_train_method *out);
void ft_train_method_close(ft_train_method *method);

/* ---- prompt.c */
/* Whether method.init is one that there is, and of a method that has one. Errors: FT_ERR_CONFIG. */
ft_err ft_prompt_check(const ft_config_method *method);
/* *out [method.virtual_tokens], owned by the caller: the tokens whose rows of the embedding a new
 * prompt begins with; NULL: it begins at random, or there is none. Errors: those of
 * ft_tokenizer_open; FT_ERR_CONFIG and FT_ERR_DATA, naming method.init. */
ft_err ft_prompt_tokens(const ft_config *config, int64_t vocab, uint32_t **out);

/* Makes hf->layout again by the configuration. Errors: FT_ERR_CONFIG, FT_ERR_MEMORY, those of
 * ft_hf_adapter_put. */
ft_err ft_train_put_method(const ft_config *config, ft_hf_config *hf);
/* The same by an adapter directory alone. */
ft_err ft_train_put_adapter(const char *dir, const char *model_dir, ft_hf_config *hf);
/* Sets what is trained of the shard to an adapter's values, hf->layout being its own. Collective
 * over all ranks, errors are agreed. */
ft_err ft_train_import_adapter(const char *dir, const char *model_dir, const ft_hf_config *hf,
                               ft_shard *shard, ft_comm *comm);

#endif
