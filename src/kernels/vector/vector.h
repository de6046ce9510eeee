/* Names and types of this folder's functions: NAME of ft_vector is defined as ft_v_NAME_ISA. */
#ifndef FT_KERNELS_VECTOR_H
#define FT_KERNELS_VECTOR_H

#include "simd.h"

#define FT_STRING_(x) #x
#define FT_STRING(x) FT_STRING_(x)
/* The name of function NAME in this compilation. */
#define FT_V(name) FT_ISA_NAME(ft_v_##name)

/* clang-format off */
#define FT_VECTOR_FUNCTIONS(X)                                                                     \
  X(convert) X(round_stochastic) X(accumulate) X(store_far) X(sum_of_squares) X(column_sums)       \
  X(add_scaled) X(scale) X(sum_scaled) X(adamw) X(lerp)                                            \
  X(activation_forward) X(activation_backward) X(gated_forward) X(gated_backward)                  \
  X(norm_forward) X(norm_backward) X(angles) X(rotate) X(rotate_neighbours)                        \
  X(soft_cap) X(loss_row)                                                                          \
  X(master_read) X(quantize) X(dequantize) X(accumulate_bf16) X(adamw_packed)                      \
  X(code_write) X(code_read)                                                                       \
  X(few_rows) X(dot_rows) X(dot_products)                                                          \
  X(multiply_f32) X(transpose) X(interleave) X(softmax_step) X(softmax_backward)                   \
  X(scale_columns) X(add_f32) X(dot) X(decode)
/* clang-format on */

#define FT_DECLARE(name) __typeof__(*((ft_vector *)0)->name) FT_V(name);
FT_VECTOR_FUNCTIONS(FT_DECLARE)
#ifdef __AVX512F__
FT_DECLARE(product_scratch)
FT_DECLARE(product_tile_f32)
#endif
#ifdef __AVX512BF16__
FT_DECLARE(multiply_bf16)
FT_DECLARE(product_tile_bf16)
#endif

#endif
