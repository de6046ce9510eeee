/* The table of this instruction set's functions. */
#include "vector.h"

#define FT_ENTRY(name) .name = FT_V(name),

const ft_vector FT_ISA_NAME(ft_vector) = {.name = FT_STRING(FT_ISA),
                                          FT_VECTOR_FUNCTIONS(FT_ENTRY)
#ifdef __AVX512F__
                                              FT_ENTRY(product_scratch) FT_ENTRY(product_tile_f32)
#endif
#ifdef __AVX512BF16__
                                                  FT_ENTRY(multiply_bf16)
                                                      FT_ENTRY(product_tile_bf16)
#endif
};
