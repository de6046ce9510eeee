/* What training keeps in fewer bytes: names and sizes, and AdamW divided among threads. */
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- kinds */

const char *ft_master_name(ft_master kind) {
  static const char *const names[FT_MASTER_NUM] = {"fp32", "bf16+8", "bf16"};
  FT_ASSERT(kind < FT_MASTER_NUM);
  return names[kind];
}

size_t ft_master_bytes(ft_master kind) {
  return kind == FT_MASTER_F32 ? 4 : 2;
}

size_t ft_master_low_bytes(ft_master kind) {
  return kind == FT_MASTER_BF16_8;
}

const char *ft_moments_name(ft_moments kind) {
  static const char *const names[FT_MOMENTS_NUM] = {"fp32", "int8"};
  FT_ASSERT(kind < FT_MOMENTS_NUM);
  return names[kind];
}

/* ---------------------------------------------------------------- reading, setting, adding */

static void key_of(uint64_t seed, ft_purpose purpose, uint32_t key[2]) {
  uint64_t k = ft_random_key(seed, purpose);
  key[0] = (uint32_t)k;
  key[1] = (uint32_t)(k >> 32);
}

void ft_master_read(ft_master kind, const void *restrict w, const uint8_t *restrict low,
                    int64_t count, float *restrict out) {
  ft_vector_used()->master_read(kind, w, low, count, out);
}

/* Import only: plain is fast enough. */
void ft_master_write(ft_master kind, const float *restrict in, int64_t count, void *restrict w,
                     uint8_t *restrict low) {
  uint16_t *high = w;
  if (kind == FT_MASTER_F32)
    memcpy(w, in, (size_t)count * sizeof *in);
  else if (kind == FT_MASTER_BF16)
    ft_convert(FT_BF16, w, FT_F32, in, count);
  else
    for (int64_t i = 0; i < count; i++) {
      uint32_t bits = ft_f32_bits(in[i]);
      uint32_t finite = (bits & 0x7f800000u) != 0x7f800000u ? 0x7fu + (bits >> 8 & 1u) : 0u;
      bits += finite;
      high[i] = (uint16_t)(bits >> 16);
      low[i] = (uint8_t)(bits >> 8);
    }
}

void ft_accumulate_bf16(uint64_t seed, uint64_t step, uint64_t first,
                        uint16_t *restrict accumulator, ft_dtype from, const void *restrict in,
                        int64_t count) {
  uint32_t key[2];
  FT_ASSERT(first % 8 == 0);
  key_of(seed, FT_RANDOM_GRADIENT, key);
  ft_vector_used()->accumulate_bf16(key, step, first, accumulator, from, in, count);
}

/* ---------------------------------------------------------------- AdamW */

void ft_adamw_update_packed(const ft_adamw *a, const ft_adamw_arrays *arrays, uint64_t seed,
                            uint64_t step, uint64_t first, int64_t count) {
  enum { PIECE = 16 * FT_QUANTUM };
  const ft_vector *vector = ft_vector_used();
  uint32_t key[2];
  FT_ASSERT(first % FT_QUANTUM == 0);
  key_of(seed, FT_RANDOM_MASTER, key);
#pragma omp parallel for schedule(static) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->adamw_packed(a, arrays, key, step, first, i, FT_MIN((int64_t)PIECE, count - i));
}

/* ---------------------------------------------------------------- moving average */

void ft_average_update(double decay, ft_master kind, const void *restrict w,
                       const uint8_t *restrict low, int64_t count, float *restrict average) {
  enum { PIECE = 4096 };
  const ft_vector *vector = ft_vector_used();
  const float weight = (float)(1.0 - decay);
#pragma omp parallel for schedule(static) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE) {
    float values[PIECE];
    int64_t n = FT_MIN((int64_t)PIECE, count - i);
    const char *from = (const char *)w + (size_t)i * ft_master_bytes(kind);
    vector->master_read(kind, from, low ? low + i : NULL, n, values);
    vector->lerp(weight, n, average + i, values);
  }
}
