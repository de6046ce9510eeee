/* The module's beginning and end, and what is known of it in between. */
#include "internal.h"

static char description[512] = "kernels not initialised";

ft_err ft_kernels_init(void) {
  ft_err err = FT_OK;
  const ft_vector *vector;
  FT_TRY(ft_cpu_choose(&vector));
  ft_vector_use(vector);
  FT_TRY(ft_own_init());
  FT_TRY(ft_blas_init());
  FT_TRY(ft_onednn_init());
  char model[128];
  ft_cpu_model(model, sizeof model);
  snprintf(description, sizeof description, "%s, %s, bf16 by %s, f32 by %s", model, vector->name,
           ft_own_has(FT_BF16)        ? "own kernels"
           : ft_kernels_native_bf16() ? ft_onednn_version()
                                      : "f32",
           ft_own_has(FT_F32) ? "own kernels" : ft_blas_describe());
out:
  return err;
}

void ft_kernels_fini(void) {
  ft_onednn_fini();
  ft_scratch_fini();
}

const char *ft_kernels_describe(void) {
  return description;
}

double ft_kernels_dot_products(ft_dtype type, int64_t rounds) {
  bool pairs = type == FT_BF16 && ft_kernels_native_bf16();
  double flops = 0;
#pragma omp parallel reduction(+ : flops)
  {
    float out;
    flops += ft_vector_used()->dot_products(pairs, rounds, &out);
  }
  return flops;
}
