/* Kernels whose work is divided by elements: conversions, residuals, AdamW. Threads take pieces as
 * they come: one of them may share its core with the communication thread. */
#include "internal.h"

/* ---------------------------------------------------------------- conversions (one thread) */

void ft_round_stochastic(uint64_t seed, uint64_t step, uint64_t first, int64_t count,
                         const float *restrict in, uint16_t *restrict out) {
  FT_ASSERT(first % 8 == 0);
  uint64_t k = ft_random_key(seed, FT_RANDOM_ROUND);
  const uint32_t key[2] = {(uint32_t)k, (uint32_t)(k >> 32)};
  ft_vector_used()->round_stochastic(out, in, count, key, step, first);
}

void ft_convert(ft_dtype to, void *restrict out, ft_dtype from, const void *restrict in,
                int64_t count) {
  ft_vector_used()->convert(to, out, from, in, count);
}

void ft_accumulate(float *restrict accumulator, ft_dtype from, const void *restrict in,
                   int64_t count) {
  ft_vector_used()->accumulate(accumulator, from, in, count);
}

void ft_store_far(void *restrict out, const void *restrict in, size_t bytes) {
  ft_vector_used()->store_far(out, in, bytes);
}

double ft_sum_of_squares(const float *in, int64_t count) {
  return ft_vector_used()->sum_of_squares(in, count);
}

/* ---------------------------------------------------------------- by elements */

/* Elements that one thread takes at a time. */
enum { PIECE = 4096 };

void ft_add_scaled(ft_dtype type, void *out, const void *a, const void *b, float multiplier,
                   int64_t count) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(dynamic, 4) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->add_scaled(type, FT_MIN((int64_t)PIECE, count - i), ft_at_out(type, out, i),
                       ft_at(type, a, i), ft_at(type, b, i), multiplier);
}

void ft_scale(ft_dtype type, void *out, const void *x, float multiplier, int64_t count) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(dynamic, 4) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->scale(type, FT_MIN((int64_t)PIECE, count - i), ft_at_out(type, out, i),
                  ft_at(type, x, i), multiplier);
}

void ft_adamw_update(const ft_adamw *a, int64_t count, float *restrict w, float *restrict m,
                     float *restrict v, const float *restrict g) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(static) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->adamw(a, FT_MIN((int64_t)PIECE, count - i), w + i, m + i, v + i, g + i);
}
