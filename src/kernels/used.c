/* Which instruction set's functions are used, and whether they are still wanted: what every kernel
 * asks. */
#include "internal.h"

static const ft_vector *used = &ft_vector_plain;
atomic_bool ft_kernels_stopped;

const ft_vector *ft_vector_used(void) {
  return used;
}

void ft_vector_use(const ft_vector *vector) {
  used = vector;
}

bool ft_kernels_native_bf16(void) {
  return used->multiply_bf16 != NULL;
}

void ft_kernels_stop(void) {
  atomic_store(&ft_kernels_stopped, true);
}
