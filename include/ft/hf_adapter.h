/* hf, adapters: what a method has added to a model, in the directories that others write and read:
 * PEFT's (adapter_config.json, adapter_model.safetensors) and, for bottlenecks, those of the
 * adapters library (adapter.safetensors). docs/formats.md has both. */
#ifndef FT_HF_ADAPTER_H
#define FT_HF_ADAPTER_H

#include "ft/hf_method.h"

typedef struct ft_hf_adapter ft_hf_adapter;

/* Reads DIR/adapter_config.json. What changes what is computed and is not supported is refused by
 * its key. Not collective, as the next seven. Errors: FT_ERR_NOINPUT, FT_ERR_DATA, FT_ERR_IO. */
ft_err ft_hf_adapter_open(const char *dir, ft_hf_adapter **out);
void ft_hf_adapter_close(ft_hf_adapter *adapter);
/* Borrowed. */
const ft_hf_method *ft_hf_adapter_method(const ft_hf_adapter *adapter);
/* As the file names it: "LORA" …; of the adapters library "bottleneck". Borrowed. */
const char *ft_hf_adapter_type(const ft_hf_adapter *adapter);
/* Name of the file of its tensors. */
const char *ft_hf_adapter_file(const ft_hf_method *method);
/* Makes base->layout again, with what the adapter adds to the model of BASE_DIR, and checks that it
 * fits: names and shapes of all tensors, and, where the directory that base_model_name_or_path
 * names is at hand, that it is this model. `base` is borrowed until the adapter is closed. Errors:
 * FT_ERR_DATA naming the first difference and how many there are; those of ft_hf_put_method. */
ft_err ft_hf_adapter_put(ft_hf_adapter *adapter, const char *base_dir, ft_hf_config *base);
/* The same of a model whose layout has the adapter's method already: only checks. */
ft_err ft_hf_adapter_fit(ft_hf_adapter *adapter, const char *base_dir, const ft_hf_config *base);
/* Where the values of what is trained come from; after ft_hf_adapter_put. *out borrows. */
void ft_hf_adapter_source(ft_hf_adapter *adapter, ft_hf_source *out);

/* Sets what is trained of a shard of the layout that ft_hf_adapter_put has made, each rank its own.
 * Collective over all ranks; errors are agreed. Errors: FT_ERR_DATA, FT_ERR_IO. */
ft_err ft_hf_adapter_import(ft_hf_adapter *adapter, ft_shard *shard, ft_comm *comm);

/* Writes adapter directory OUT of what `method` has added to the model of BASE_DIR, whose layout
 * has it (ft_hf_put_method). Values are f32; modules that are trained whole have the model's dtype.
 * Not collective, as the next. Errors: FT_ERR_DATA, FT_ERR_CREATE, FT_ERR_IO, the source's. */
ft_err ft_hf_export_adapter(const char *base_dir, const ft_hf_config *config,
                            const ft_hf_method *method, const ft_hf_source *source,
                            const char *out_dir);
/* Writes model directory OUT: the model of BASE_DIR with what was added worked into its weights, in
 * f32, rounded once to dtype. Memory: the parts of one map and a few pieces. Errors: as above;
 * FT_ERR_CONFIG for prefixes, prompts and bottlenecks, which no weights can stand for. */
ft_err ft_hf_export_merged(const char *base_dir, const ft_hf_config *config,
                           const ft_hf_method *method, const ft_hf_source *source, ft_dtype dtype,
                           const char *out_dir);

#endif
