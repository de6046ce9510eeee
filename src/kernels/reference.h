/* What the references share: an element of any type as a double, and back. */
#ifndef FT_KERNELS_REFERENCE_H
#define FT_KERNELS_REFERENCE_H

#include "ft/kernels_ref.h"

static inline double get(ft_dtype type, const void *p, int64_t i) {
  return (double)(type == FT_F32    ? ((const float *)p)[i]
                  : type == FT_BF16 ? ft_f32_from_bf16(((const uint16_t *)p)[i])
                                    : ft_f32_from_f16(((const uint16_t *)p)[i]));
}

static inline void put(ft_dtype type, void *p, int64_t i, double value) {
  if (type == FT_F32)
    ((float *)p)[i] = (float)value;
  else
    ((uint16_t *)p)[i] =
        type == FT_BF16 ? ft_bf16_from_f32((float)value) : ft_f16_from_f32((float)value);
}

#endif
