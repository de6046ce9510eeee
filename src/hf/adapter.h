/* Inside hf: adapter directories. */
#ifndef FT_HF_ADAPTER_INTERNAL_H
#define FT_HF_ADAPTER_INTERNAL_H

#include "ft/hf_adapter.h"
#include "names.h"

/* Where the elements of a part of ours lie in the tensor of the file. */
typedef enum ft_hf_lay {
  FT_LAY_ROWS,    /* its rows are rows of the file's, from row `first` on */
  FT_LAY_TURNED,  /* its rows are columns of the file's, from column `first` on */
  FT_LAY_COLUMNS, /* its rows are parts of rows of the file's, from column `first` on */
  FT_LAY_FLAT     /* a vector: elements of the file's, from element `first` on */
} ft_hf_lay;

/* A tensor of an adapter file. */
typedef struct ft_hf_adapter_tensor {
  char name[2 * FT_HF_NAME_BYTES + 64];
  ft_dtype dtype; /* as it is written */
  int num_dims;
  int64_t dims[2]; /* [n, 1] counts as two */
  ft_hf_lay lay;
  bool is_copy;                     /* of others: written, but not read */
  char base_name[FT_HF_NAME_BYTES]; /* the model's own tensor that goes along; "": it has parts */
  int64_t first_part, num_parts;    /* in ft_hf_adapter_list.parts */
} ft_hf_adapter_tensor;

typedef struct ft_hf_adapter_list {
  ft_hf_adapter_tensor *tensors; /* [num] in the order of the file */
  int64_t num;
  ft_hf_part *parts; /* [num_parts] */
  int64_t num_parts;
} ft_hf_adapter_list;

/* adapter_tensors.c: all tensors of the file of what `method` has added to config's layout. Errors:
 * FT_ERR_MEMORY. */
ft_err ft_hf_list_adapter(const ft_hf_config *config, const ft_hf_method *method,
                          ft_hf_adapter_list *out);
void ft_hf_adapter_list_fini(ft_hf_adapter_list *list);
/* The list against what a file has. Errors: FT_ERR_DATA naming the first difference and how many
 * there are. */
ft_err ft_hf_check_adapter(const ft_safetensors *st, const char *dir, const char *base_dir,
                           const ft_hf_adapter_list *list);

/* adapter_config.c: the values of a method as read from a file. */
typedef struct ft_hf_adapter_config {
  cJSON *json;      /* owned, as all that follows; strings are borrowed from it */
  const char *type; /* "LORA" … */
  const char *base; /* base_model_name_or_path, or NULL */
  bool has_encoder; /* P-tuning, whose encoder is in no file: it cannot be trained on */
  ft_hf_method method;
  const char **targets, **feed_forward, **save;
  ft_hf_pattern *rank_pattern, *alpha_pattern;
  int64_t *layers;
} ft_hf_adapter_config;
ft_err ft_hf_read_adapter_config(const char *dir, ft_hf_adapter_config *out);
void ft_hf_adapter_config_fini(ft_hf_adapter_config *config);

/* adapter_json.c: adapter_config.json of a method; cJSON_Delete. Errors: FT_ERR_MEMORY. */
ft_err ft_hf_adapter_json(const char *base_dir, const ft_hf_config *config,
                          const ft_hf_method *method, cJSON **out);

#endif
