/* Attention of new queries, each against the keys and values of all earlier tokens of its own
 * sequence. Bound by reading these: keys are cut into chunks that only their number decides, each
 * chunk of the heads that share keys is computed by one thread, and a head's chunks are combined in
 * their order. */
#include <math.h>

#include "attention.h"

enum { CHUNK = 512, MOST_DIM = 1024 };

/* How a query's keys are cut, and where the parts of its heads begin, in floats. */
typedef struct plan {
  int64_t first_key, chunks, part_size;
  float *parts; /* [heads, chunks, part_size]: sum of values, largest score, sum of powers */
} plan;

static plan plan_of(const ft_attention *a, const ft_attention_row *row, float *parts) {
  int64_t first = a->window > 0 ? FT_MAX((int64_t)0, row->num_keys - a->window) : 0;
  return (plan){.first_key = first,
                .chunks = ft_ceil_div(row->num_keys - first, CHUNK),
                .part_size = a->head_dim + 2,
                .parts = parts};
}

/* Chunk `item` mod chunks of the heads that share keys and values number `item` / chunks. */
static void attend_chunk(const ft_attention *a, const ft_attention_row *row, const plan *p,
                         int64_t key_stride, int64_t head_stride, int64_t item) {
  int64_t shared = item / p->chunks, chunk = item % p->chunks, group = a->heads / a->kv_heads;
  int64_t key0 = p->first_key + chunk * CHUNK, at = key0 * key_stride + shared * head_stride;
  float *scratch = ft_scratch();
  const ft_decode d = {.type = a->type,
                       .heads = group,
                       .head_dim = a->head_dim,
                       .keys = FT_MIN((int64_t)CHUNK, row->num_keys - key0),
                       .scale = ft_attention_scale(a),
                       .cap = a->soft_cap,
                       .q = ft_at(a->type, row->q, shared * group * a->head_dim),
                       .k = ft_at(a->type, row->k, at),
                       .v = ft_at(a->type, row->v, at),
                       .stride = key_stride,
                       .scores = scratch + FT_DOT_SCRATCH,
                       .sums = scratch,
                       .o = p->parts + (shared * group * p->chunks + chunk) * p->part_size,
                       .o_stride = p->chunks * p->part_size};
  ft_vector_used()->decode(&d);
}

/* A head's chunks in their order. */
static void combine_head(const ft_attention *a, const ft_attention_row *row, const plan *p,
                         int64_t head) {
  const int64_t dim = a->head_dim;
  float out[MOST_DIM] = {0}, largest = -INFINITY, sum = 0;
  const float *of_head = p->parts + head * p->chunks * p->part_size;
  for (int64_t c = 0; c < p->chunks; c++)
    largest = fmaxf(largest, of_head[c * p->part_size + dim]);
  for (int64_t c = 0; c < p->chunks; c++) {
    const float *part = of_head + c * p->part_size;
    float factor = expf(part[dim] - largest);
    sum += part[dim + 1] * factor;
    for (int64_t i = 0; i < dim; i++)
      out[i] += part[i] * factor;
  }
  for (int64_t i = 0; i < dim; i++)
    out[i] /= sum;
  ft_vector_used()->convert(a->type, ft_at_out(a->type, row->o, head * dim), FT_F32, out, dim);
}

ft_err ft_attention_rows(const ft_attention *a, const ft_attention_row *rows, int64_t num_rows,
                         int64_t key_stride, int64_t head_stride) {
  int64_t floats = 0, work = 0, group = a->heads / a->kv_heads;
  float *parts;
  FT_ASSERT(a->head_dim <= MOST_DIM);
  for (int64_t r = 0; r < num_rows; r++) {
    plan p = plan_of(a, &rows[r], NULL);
    FT_ASSERT(rows[r].num_keys >= 1);
    floats += a->heads * p.chunks * p.part_size;
    work += rows[r].num_keys * a->heads * a->head_dim;
  }
  ft_err err = ft_scratch_reserve((size_t)(FT_DOT_SCRATCH + group * CHUNK) * sizeof *parts);
  if (err == FT_OK) err = ft_scratch_shared((size_t)floats * sizeof *parts, (void **)&parts);
  if (err != FT_OK) return err;
#pragma omp parallel if (work > FT_PARALLEL_ELEMENTS)
  {
    plan p = {.parts = parts};
    for (int64_t r = 0; r < num_rows; r++) {
      p = plan_of(a, &rows[r], p.parts);
#pragma omp for schedule(static) nowait
      for (int64_t i = 0; i < a->kv_heads * p.chunks; i++)
        attend_chunk(a, &rows[r], &p, key_stride, head_stride, i);
      p.parts += a->heads * p.chunks * p.part_size;
    }
#pragma omp barrier
    p.parts = parts;
    for (int64_t r = 0; r < num_rows; r++) {
      p = plan_of(a, &rows[r], p.parts);
#pragma omp for schedule(static) nowait
      for (int64_t h = 0; h < a->heads; h++)
        combine_head(a, &rows[r], &p, h);
      p.parts += a->heads * p.chunks * p.part_size;
    }
  }
  return FT_OK;
}
