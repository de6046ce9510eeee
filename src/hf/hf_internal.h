/* What the files of `hf` share: lists of mistakes, reading of config.json's members, and tensors by
 * their Hugging Face names. */
#ifndef FT_HF_INTERNAL_H
#define FT_HF_INTERNAL_H

#include "ft/hf.h"

/* Adds a sentence to what ft_hf_check_weights warns of. Errors: FT_ERR_MEMORY. */
ft_err ft_hf_add_remark(ft_hf_config *config, const char *remark);

/* ---------------------------------------------------------------- members of config.json */

/* An object whose members are read; wrong ones are noted and replaced by what a missing one means.
 */
typedef struct ft_hf_object {
  const cJSON *json;
  const char *prefix; /* before the member's name in messages: "" or "rope_scaling." */
  ft_mistakes *mistakes;
} ft_hf_object;

/* True if the member is there and not null. */
bool ft_hf_has(const ft_hf_object *object, const char *name);
/* An integer between min and max. null is read like a missing one. */
int64_t ft_hf_int(const ft_hf_object *object, const char *name, int64_t missing, int64_t min,
                  int64_t max);
double ft_hf_number(const ft_hf_object *object, const char *name, double missing, double min,
                    double max);
bool ft_hf_bool(const ft_hf_object *object, const char *name, bool missing);
/* A string; *missing* otherwise. Borrowed. */
const char *ft_hf_string(const ft_hf_object *object, const char *name, const char *missing);
/* The value as it would be printed, shortened, for messages. */
void ft_hf_show(const cJSON *value, char *out, size_t size);

/* ---------------------------------------------------------------- tensors */

bool ft_hf_has_shape(const ft_safetensor *found, int num_dims, const int64_t *dims);
/* "[2, 3]", for messages. */
void ft_hf_show_dims(int num_dims, const int64_t *dims, char *out, size_t size);

struct ft_hf_naming;
struct ft_hf_file_tensor;
/* Whether the files have these tensors [count], and no others that could matter. *passed_over
 * (NULL: not wanted): those that are of no use, for a warning, NULL if there are none; free with
 * ft_free. Errors: FT_ERR_DATA. */
ft_err ft_hf_check_tensors(const ft_safetensors *st, const char *dir,
                           const struct ft_hf_naming *naming, const ft_arch *arch,
                           const struct ft_hf_file_tensor *tensors, int64_t count,
                           char **passed_over);
/* Whether a tensor takes no part in what is computed. */
bool ft_hf_is_of_no_use(const struct ft_hf_naming *naming, const char *name);
/* What the weights of DIR, if it has any, say of what config.json leaves open. has_dtype: the
 * config names one. Errors: FT_ERR_MEMORY, FT_ERR_IO. */
ft_err ft_hf_follow_weights(const char *dir, bool has_dtype, ft_hf_config *config);

/* Index of the first element that is not finite, or -1. */
int64_t ft_hf_first_not_finite(const float *values, int64_t count);

/* Copies tokenizer, generation and licence files. */
ft_err ft_hf_copy_companions(const char *from_dir, const char *to_dir);

#endif
