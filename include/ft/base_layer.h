/* base, words for the parts of a layer: what a description (arch) chooses and a kernel computes. */
#ifndef FT_BASE_LAYER_H
#define FT_BASE_LAYER_H

#include <stdbool.h>
#include <stdint.h>

/* In the place of a token's id: a row of a document that no token stands for. What a method puts
 * there (a prompt, a prefix) comes from elsewhere. */
#define FT_NO_TOKEN UINT32_MAX

typedef enum ft_norm_kind {
  FT_NORM_RMS,  /* x · rstd · w, rstd = (mean(x²) + eps)^-½ (Zhang & Sennrich 2019) */
  FT_NORM_LAYER /* (x − mean) · rstd · w + bias, rstd from the variance (Ba et al. 2016) */
} ft_norm_kind;

typedef struct ft_norm {
  ft_norm_kind kind;
  bool plus_one; /* the weight counts as 1 + w (Gemma) */
  float eps;
} ft_norm;

typedef enum ft_activation_kind {
  FT_ACT_SILU,      /* x · sigmoid(x) */
  FT_ACT_GELU,      /* x · Φ(x), Φ by erf (Hendrycks & Gimpel 2016) */
  FT_ACT_GELU_TANH, /* its approximation: x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))) */
  FT_ACT_RELU,      /* max(x, 0) */
  FT_ACT_RELU2,     /* max(x, 0)² (So et al. 2021) */
  FT_ACT_TANH,      /* tanh x */
  FT_ACT_XIELU,     /* two trained scalars (Huang & Schlag 2025) */
  FT_ACT_NUM
} ft_activation_kind;

#endif
