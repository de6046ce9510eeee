/* Rotary embedding, divided among threads by rows: a row's angles are worked out once for all of
 * its heads. */
#include <math.h>

#include "internal.h"

enum { MOST_PAIRS = 1024 };

/* Cosines and sines of a row, times everything that its heads are multiplied by. */
typedef struct turn {
  float cosine[MOST_PAIRS], sine[MOST_PAIRS];
} turn;

static void multiply(turn *out, const turn *in, int64_t half, float factor) {
  for (int64_t i = 0; i < half; i++) {
    out->cosine[i] = in->cosine[i] * factor;
    out->sine[i] = in->sine[i] * factor;
  }
}

static float query_factor(const ft_rope *rope, int32_t position) {
  if (rope->query_beta == 0) return 1.0f;
  double rounds = (double)(position / rope->query_positions);
  return (float)(1.0 + (double)rope->query_beta * log1p(rounds));
}

static void turn_heads(const ft_rope *rope, ft_dtype type, void *x, int64_t heads, int64_t width,
                       const turn *by, float factor, bool backward) {
  const ft_vector *vector = ft_vector_used();
  const int64_t half = rope->width / 2, head_bytes = width * (int64_t)ft_dtype_bytes(type);
  __typeof__(vector->rotate) rotate = rope->neighbours ? vector->rotate_neighbours : vector->rotate;
  char *head = x;
  for (int64_t h = 0; h < heads; h++, head += head_bytes)
    rotate(type, half, head, by->cosine, by->sine, backward);
  for (int64_t h = 0; factor != 1.0f && h < heads; h++) {
    void *rest = ft_at_out(type, x, h * width + rope->width);
    vector->scale(type, width - rope->width, rest, rest, factor);
  }
}

void ft_rope_apply(const ft_rope *rope, ft_dtype type, void *x, const int32_t *position,
                   const uint8_t *table, int64_t num_queries, const ft_rows *shape, bool backward) {
  const ft_vector *vector = ft_vector_used();
  const int64_t half = rope->width / 2, elements = shape->rows * shape->heads * shape->width;
  FT_ASSERT(half <= MOST_PAIRS && rope->width % 2 == 0 && rope->width <= shape->width);
  FT_ASSERT(rope->attention_factor != 0 && num_queries <= shape->heads);
#pragma omp parallel for schedule(dynamic, 16) if (elements > FT_PARALLEL_ELEMENTS)
  for (int64_t r = 0; r < shape->rows; r++) {
    turn of_keys, of_queries;
    const turn *queries = &of_keys;
    float factor = query_factor(rope, position[r]);
    void *row = ft_at_out(type, x, r * shape->stride);
    vector->angles(half, position[r], rope->inv_freq + (table ? table[r] : 0) * half,
                   of_keys.cosine, of_keys.sine);
    if (rope->attention_factor != 1.0f) multiply(&of_keys, &of_keys, half, rope->attention_factor);
    if (factor != 1.0f) {
      multiply(&of_queries, &of_keys, half, factor);
      queries = &of_queries;
    }
    turn_heads(rope, type, row, num_queries, shape->width, queries, factor, backward);
    turn_heads(rope, type, ft_at_out(type, row, num_queries * shape->width),
               shape->heads - num_queries, shape->width, &of_keys, 1.0f, backward);
  }
}
