/* Inside hf: tensors of the files and what they are made of. */
#ifndef FT_HF_NAMES_H
#define FT_HF_NAMES_H

#include "hf_internal.h"

/* How a directory names its tensors. */
typedef struct ft_hf_naming {
  const struct ft_hf_family *family;
  bool composite; /* beside other parts: what is not of the text is carried through an export */
  char body[40];  /* before the names of the body: "model." */
  char head[40];  /* … and of the rest: "" */
  bool old_norms; /* BERT's norms have gamma and beta */
  bool head_only; /* of a tied matrix the head is there, not the embedding */
  bool scored;    /* a decoder whose head gives labels or a score: "score.weight" */
  bool new_head;  /* … which no file has: it begins with random numbers of … */
  uint64_t seed;  /* … this seed */
  bool untied;    /* a method has made two of a tied matrix: the head begins as the embedding */
  bool found;     /* in the weights of the directory; otherwise as transformers names them */
} ft_hf_naming;

/* As transformers names them. */
void ft_hf_default_naming(const struct ft_hf_family *family, bool composite, ft_hf_naming *out);
/* Changes *naming, which is the default, to what the files have, if they have any of what is known.
 */
void ft_hf_find_naming(const ft_safetensors *st, ft_hf_naming *naming);

enum { FT_HF_NAME_BYTES = 160 };
/* The name of what holds the tensor of that role; `layer` counts for those of layers. As snprintf.
 */
int ft_hf_role_name(const ft_hf_naming *naming, int64_t layer, ft_role role, char *out,
                    size_t size);

/* The module that it belongs to: its name without ".weight" or ".bias". */
void ft_hf_module_name(const ft_hf_config *config, int64_t layer, ft_role role, char *out,
                       size_t size);

/* The model's files' tensor that holds the values of this one; NULL: there is none. */
struct ft_hf_file_tensor;
const ft_safetensor *ft_hf_find_source(const ft_safetensors *st, const ft_hf_naming *naming,
                                       const struct ft_hf_file_tensor *t);

/* A tensor of ours inside one of the file's. */
typedef struct ft_hf_part {
  int64_t block;
  ft_tensor tensor;
  int64_t first; /* its first row in the file's tensor; its first column if that is transposed */
} ft_hf_part;

typedef struct ft_hf_file_tensor {
  char name[FT_HF_NAME_BYTES];
  int num_dims;
  int64_t dims[2];
  int64_t elements;
  bool transposed; /* [in, out] instead of [out, in] */
  int num_parts;
  ft_hf_part parts[3];
} ft_hf_file_tensor;

/* All tensors of the files, in the order of transformers' state dict; free with ft_free. Errors:
 * FT_ERR_MEMORY. */
ft_err ft_hf_list_tensors(const ft_hf_naming *naming, const ft_layout *layout,
                          ft_hf_file_tensor **out, int64_t *count);

#endif
