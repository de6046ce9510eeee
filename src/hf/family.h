/* Inside hf: what a family of models looks like in files. A family is one row of the table in
 * families.c (and one of arch's, which says what it computes). */
#ifndef FT_HF_FAMILY_H
#define FT_HF_FAMILY_H

#include "hf_internal.h"

/* A tensor of the file, made of tensors of ours: its rows are theirs, one after another. In a name,
 * '~' at the start stands for the prefix of the model's body, '*' for a layer's number. */
typedef struct ft_hf_name {
  const char *name;
  ft_role roles[3]; /* [num_roles] */
  int num_roles;
  bool transposed; /* the file has [in, out]: columns instead of rows */
} ft_hf_name;

/* One rotary embedding of a model, in the order of ft_arch.ropes. */
typedef struct ft_hf_rope_rule {
  const char *layers;    /* the layer type that names its table; NULL: there is one table */
  const char *theta_key; /* beside the table in files of transformers 4; NULL: none */
  double theta;          /* what a missing one means */
  bool scaled;           /* rope_scaling of transformers 4 is for this one */
} ft_hf_rope_rule;

typedef struct ft_hf_reader ft_hf_reader;

typedef struct ft_hf_family {
  const char *model_type;
  const char *architecture; /* end of the name in `architectures`; NULL: "ForCausalLM" */
  const char *form;         /* in arch's table; NULL: as model_type */
  const char *models;       /* for people: what is published in this form */

  /* config.json: every key that the family has, with what a missing one means (an object), and
   * those that have one possible value (an object, or NULL) */
  const char *defaults, *only;
  ft_hf_rope_rule ropes[FT_MAX_ROPES]; /* a theta of 0 ends the list */
  const char *rope_table;   /* what a missing table of the first means; NULL: "default" */
  double partial;           /* share of a head that is rotated where the file says none; 0: all */
  bool partial_rotation;    /* heads may be rotated in part */
  bool only_longrope;       /* besides "default"; "su" and "yarn" mean it, too */
  bool dynamic_alpha;       /* the rope type "dynamic" with "alpha" */
  bool query_scaling;       /* llama_4_scaling_beta in the table */
  bool qkv_bias_only;       /* attention_bias is not for o */
  bool scale_embedding;     /* by the root of the width */
  bool ia3_queries;         /* where nothing is named, PEFT's IA3 scales queries, not keys */
  bool transform_as_layers; /* the head's transform has the activation of the layers */
  const char *ignored[12];  /* keys that other families have and this one does not obey */
  int64_t pattern;          /* layers without layer_types: every so-many-th is full, … */
  bool first_full;          /* … from the first one; otherwise the last of each group is */
  const char *pattern_key;  /* the key that says how many; NULL: none */
  /* Which layers have which window and rotary embedding (layers.c). */
  void (*layers)(const ft_hf_reader *r);

  /* tensors */
  const char *body;          /* prefix of the body's names where no file tells; NULL: "model." */
  const ft_hf_name *names;   /* besides those of Llama, which they replace; NULL ends the list */
  const char *const *unused; /* ends (or, before a '*', starts) of names that take no part; NULL */
} ft_hf_family;

extern const ft_hf_family ft_hf_families[];
extern const int ft_hf_num_families;

/* Names (family_names.c): those that most families share, and those of their own. */
extern const ft_hf_name ft_hf_llama_names[], ft_hf_gemma_names[], ft_hf_phi_names[],
    ft_hf_glm_names[], ft_hf_granite_hybrid_names[], ft_hf_apertus_names[], ft_hf_hunyuan_names[],
    ft_hf_starcoder_names[], ft_hf_gpt2_names[], ft_hf_bert_mlm_names[], ft_hf_bert_classes_names[],
    ft_hf_modernbert_mlm_names[], ft_hf_modernbert_classes_names[];
/* Tensors that take no part in what is computed. */
extern const char *const ft_hf_gpt2_unused[], *const ft_hf_bert_mlm_unused[],
                                                  *const ft_hf_bert_classes_unused[];

/* A directory that holds a model's text part beside others: its config is in text_config. */
typedef struct ft_hf_composite {
  const char *model_type, *text_type; /* what a text_config without model_type has */
} ft_hf_composite;
/* NULL: it is no such type. */
const ft_hf_composite *ft_hf_find_composite(const char *model_type);

/* What a config is read with. */
struct ft_hf_reader {
  const ft_hf_family *family;
  ft_hf_object file; /* the members that the file has */
  ft_hf_object all;  /* … and the defaults of those it lacks */
  const cJSON *defaults;
  ft_arch *arch;
  bool scored; /* a decoder with a head of labels */
};

/* score.c: what such an architecture's name ends in, and what makes a decoder one. */
#define FT_HF_SCORED "ForSequenceClassification"
void ft_hf_put_labels(ft_arch *arch);

/* keys.c: sizes, norms, biases, scalars, activation. */
void ft_hf_read_keys(const ft_hf_reader *r);
/* Refuses keys that change what is computed in other families but mean nothing in this one.
 * *unknown: the names of others that are not known at all, for a remark; NULL: none; ft_free. */
ft_err ft_hf_check_keys(const ft_hf_reader *r, char **unknown);
/* rope.c */
void ft_hf_read_ropes(const ft_hf_reader *r);
/* layers.c */
void ft_hf_layers_full(const ft_hf_reader *r);
void ft_hf_layers_window(const ft_hf_reader *r);
void ft_hf_layers_qwen(const ft_hf_reader *r);
void ft_hf_layers_typed(const ft_hf_reader *r);
void ft_hf_layers_exaone(const ft_hf_reader *r);
void ft_hf_layers_smollm(const ft_hf_reader *r);
void ft_hf_layers_granite_hybrid(const ft_hf_reader *r);
void ft_hf_layers_modernbert(const ft_hf_reader *r);

#endif
