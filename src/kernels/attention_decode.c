/* Attention of one new query against the keys and values of all earlier tokens. Bound by reading
 * these: keys are cut into chunks that only their number decides, each chunk of each head is
 * computed by one thread, and a head's chunks are combined in their order. */
#include <math.h>
#include <string.h>

#include "attention.h"

enum { CHUNK = 512, MOST_DIM = 1024 };

void ft_attention_query(const ft_attention *a, void *o, const void *q, const void *k, const void *v,
                        int64_t kv_stride, int64_t num_keys) {
  const ft_vector *vector = ft_vector_used();
  const ft_dtype type = a->type;
  const int64_t heads = a->heads, head_dim = a->head_dim;
  int64_t first = a->window > 0 ? FT_MAX((int64_t)0, num_keys - a->window) : 0;
  int64_t chunks = ft_ceil_div(num_keys - first, CHUNK), group = heads / a->kv_heads;
  int64_t part_size = head_dim + 2; /* sum of values, largest score, sum of powers */
  float scale = ft_attention_scale(a);
  FT_ASSERT(head_dim <= MOST_DIM && num_keys >= 1);
  float *parts = ft_scratch_needed((size_t)(heads * chunks * part_size) * sizeof *parts);
#pragma omp parallel for schedule(static) if (num_keys * heads * head_dim > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < heads * chunks; i++) {
    float query[MOST_DIM], scores[CHUNK];
    int64_t head = i / chunks, key0 = first + i % chunks * CHUNK;
    int64_t keys = FT_MIN((int64_t)CHUNK, num_keys - key0);
    int64_t at = key0 * kv_stride + head / group * head_dim;
    float *part = parts + i * part_size;
    vector->convert(FT_F32, query, type, ft_at(type, q, head * head_dim), head_dim);
    vector->decode(type, head_dim, keys, query, ft_at(type, k, at), ft_at(type, v, at), kv_stride,
                   scale, a->soft_cap, scores, part + head_dim, part + head_dim + 1, part);
  }
  for (int64_t h = 0; h < heads; h++) {
    float out[MOST_DIM] = {0}, largest = -INFINITY, sum = 0;
    const float *of_head = parts + h * chunks * part_size;
    for (int64_t c = 0; c < chunks; c++)
      largest = fmaxf(largest, of_head[c * part_size + head_dim]);
    for (int64_t c = 0; c < chunks; c++) {
      const float *part = of_head + c * part_size;
      float factor = expf(part[head_dim] - largest);
      sum += part[head_dim + 1] * factor;
      for (int64_t i = 0; i < head_dim; i++)
        out[i] += part[i] * factor;
    }
    for (int64_t i = 0; i < head_dim; i++)
      out[i] /= sum;
    vector->convert(type, ft_at_out(type, o, h * head_dim), FT_F32, out, head_dim);
  }
}
