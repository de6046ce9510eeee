/* A small decoder, and weights and gradients that are pure functions of (what, block, element):
 * every rank can compute what any other should have. */
#ifndef FT_SHARD_FIXTURE_H
#define FT_SHARD_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "ft_test.h"
#include "ft/kernels.h"
#include "ft/shard.h"
#include "layouts.h"

/* Odd lengths everywhere: no row of the embedding's 61 elements starts on a multiple of 256. */
static inline ft_arch small_arch(bool tied) {
  ft_arch arch =
      FT_ARCH_LLAMA(.vocab = 523, .hidden = 61, .ffn = 150, .layers = 4, .heads = 3, .kv_heads = 1,
                    .head_dim = 10, .max_positions = 64, .norm.eps = 1e-5f, .ropes[0].theta = 10000,
                    .qkv_bias = true, .tied = tied);
  ft_arch_complete(&arch);
  return arch;
}

/* In [-1, 1), from a counter (splitmix64). */
static inline float value_at(uint64_t what, int64_t block, int64_t flat) {
  uint64_t z = what * 0x9e3779b97f4a7c15u + ((uint64_t)block << 40) + (uint64_t)flat;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return (float)((double)(z >> 40) / 8388608.0 - 1.0);
}

/* The same over a whole block, with zeros between tensors. */
static inline float *block_values(uint64_t what, int64_t number, const ft_block *block) {
  float *values = calloc((size_t)block->num_elements, sizeof *values);
  assert_non_null(values);
  for (int i = 0; i < block->num_tensors; i++) {
    const ft_tensor *t = &block->tensors[i];
    for (int64_t k = t->offset; k < t->offset + ft_tensor_elements(t); k++)
      values[k] = value_at(what, number, k);
  }
  return values;
}

/* `values` rounded to the compute type. */
static inline void *rounded(ft_dtype type, const float *values, int64_t count) {
  void *out = malloc((size_t)count * ft_dtype_bytes(type));
  assert_non_null(out);
  ft_convert(type, out, FT_F32, values, count);
  return out;
}

/* Sets every kept range in several steps. */
static inline void set_all_weights(ft_shard *shard, uint64_t what) {
  for (int64_t b = 0; b < ft_shard_num_blocks(shard); b++) {
    float *values = block_values(what, b, ft_shard_block(shard, b));
    int64_t num;
    const ft_range *r = ft_shard_kept_ranges(shard, b, &num);
    for (int64_t i = 0; i < num; i++)
      for (int64_t at = 0; at < r[i].count; at += 1777) {
        int64_t count = FT_MIN(r[i].count - at, 1777), start = r[i].start + at;
        ft_shard_set_weights(shard, b, start, count, values + start);
      }
    free(values);
  }
}

/* Brings a gradient of a block, as the model does it; NULL: none. */
static inline void contribute_values(ft_shard *shard, int64_t number, const float *values,
                                     ft_dtype compute) {
  assert_ok(ft_shard_gradient_open(shard, number));
  const ft_block *block = ft_shard_block(shard, number);
  for (int i = 0; values && i < block->num_tensors; i++) {
    const ft_tensor *t = &block->tensors[i];
    for (int64_t row = 0, rows; row < t->rows; row += rows) {
      void *out;
      assert_ok(ft_shard_gradient_rows(shard, i, row, &rows, &out));
      ft_convert(compute, out, FT_F32, values + t->offset + row * t->cols, rows * t->cols);
    }
  }
  assert_ok(ft_shard_gradient_close(shard));
}

/* Brings micro-batch `what`'s gradient of a block; -1: none. */
static inline void contribute(ft_shard *shard, int64_t number, int64_t what, ft_dtype compute) {
  const ft_block *block = ft_shard_block(shard, number);
  float *values = what >= 0 ? block_values((uint64_t)what, number, block) : NULL;
  contribute_values(shard, number, values, compute);
  free(values);
}

/* The sum over micro-batches 0 … num-1, in order, of what contribute sends (first = its offset). */
static inline float *expected_gradient(int64_t number, const ft_block *block, int64_t first,
                                       int64_t num, ft_dtype compute) {
  float *sum = calloc((size_t)block->num_elements, sizeof *sum);
  assert_non_null(sum);
  for (int64_t i = 0; i < num; i++) {
    float *values = block_values((uint64_t)(first + i), number, block);
    for (int64_t k = 0; k < block->num_elements; k++)
      sum[k] += compute == FT_F32 ? values[k] : ft_f32_from_bf16(ft_bf16_from_f32(values[k]));
    free(values);
  }
  return sum;
}

/* A step's backward passes over `num` micro-batches: every block's gradient of each. */
static inline void reduce_all(ft_shard *shard, const ft_comm *comm, int64_t first, int64_t num,
                              ft_dtype compute) {
  int size = ft_comm_size(comm), rank = ft_comm_rank(comm);
  for (int64_t done = 0; done < num; done += size) {
    int contributors = (int)FT_MIN(num - done, (int64_t)size);
    ft_shard_round(shard, contributors);
    for (int64_t b = ft_shard_num_blocks(shard) - 1; b >= 0; b--)
      contribute(shard, b, rank < contributors ? first + done + rank : -1, compute);
  }
  assert_ok(ft_shard_reduce_finish(shard));
}

#endif
