/* Plain reference of attention: every query looks at every key it may see, in double. */
#include <math.h>

#include "reference.h"

static int64_t first_key(const ft_attention *a, int64_t start, int64_t row) {
  return a->window > 0 ? FT_MAX(start, row - a->window + 1) : start;
}

/* The row after the last key that a query at `row` of a document that ends before `end` sees. */
static int64_t end_of_keys(const ft_attention *a, int64_t row, int64_t end) {
  return a->ahead < end - row ? row + a->ahead + 1 : end;
}

static double scale_of(const ft_attention *a) {
  return a->scale != 0 ? (double)a->scale : 1.0 / sqrt((double)a->head_dim);
}

/* q·k becomes a score, and *slope its derivative. */
static double score_of(const ft_attention *a, double product, double *slope) {
  double cap = (double)a->soft_cap, scale = scale_of(a);
  double t = cap > 0 ? tanh(product * scale / cap) : 0;
  *slope = cap > 0 ? scale * (1.0 - t * t) : scale;
  return cap > 0 ? cap * t : product * scale;
}

static double dot(const ft_attention *a, const void *x, int64_t x_at, const void *y, int64_t y_at) {
  double sum = 0;
  for (int64_t i = 0; i < a->head_dim; i++)
    sum += get(a->type, x, x_at + i) * get(a->type, y, y_at + i);
  return sum;
}

/* Row `row` of head h of out->o, over keys from … end-1; returns lse. `scores` has room for `end`.
 */
static double query_forward(const ft_attention *a, const ft_attention_in *in,
                            const ft_attention_out *out, int64_t row, int64_t h, int64_t from,
                            int64_t end, double *scores) {
  int64_t column = h / (a->heads / a->kv_heads) * a->head_dim;
  int64_t q_at = row * in->q_stride + h * a->head_dim;
  double top = -INFINITY, sum = 0, slope;
  for (int64_t j = from; j < end; j++) {
    scores[j] = score_of(a, dot(a, in->q, q_at, in->k, j * in->k_stride + column), &slope);
    top = fmax(top, scores[j]);
  }
  for (int64_t j = from; j < end; j++)
    sum += scores[j] = exp(scores[j] - top);
  for (int64_t i = 0; i < a->head_dim; i++) {
    double value = 0;
    for (int64_t j = from; j < end; j++)
      value += scores[j] / sum * get(a->type, in->v, j * in->v_stride + column + i);
    put(a->type, out->o, row * out->o_stride + h * a->head_dim + i, value);
  }
  return top + log(sum);
}

ft_err ft_ref_attention_forward(const ft_attention *a, const ft_attention_in *in,
                                const ft_attention_out *out) {
  int64_t tokens = a->offsets[a->num_documents];
  double *scores;
  ft_err err = ft_alloc_array(FT_MEM_WORKSPACE, tokens, sizeof *scores, (void **)&scores);
  if (err != FT_OK) return err;
  for (int64_t d = 0; d < a->num_documents; d++)
    for (int64_t row = a->offsets[d]; row < a->offsets[d + 1]; row++) {
      int64_t first = first_key(a, a->offsets[d], row);
      int64_t end = end_of_keys(a, row, a->offsets[d + 1]);
      for (int64_t h = 0; h < a->heads; h++)
        out->lse[h * tokens + row] = (float)query_forward(a, in, out, row, h, first, end, scores);
    }
  ft_free(scores);
  return FT_OK;
}

ft_err ft_ref_attention_query(const ft_attention *a, void *o, const void *q, const void *k,
                              const void *v, int64_t kv_stride, int64_t num_keys) {
  const ft_attention_in in = {.q = q, .k = k, .v = v, .k_stride = kv_stride, .v_stride = kv_stride};
  const ft_attention_out out = {.o = o};
  double *scores;
  ft_err err = ft_alloc_array(FT_MEM_WORKSPACE, num_keys, sizeof *scores, (void **)&scores);
  if (err != FT_OK) return err;
  for (int64_t h = 0; h < a->heads; h++)
    query_forward(a, &in, &out, 0, h, first_key(a, 0, num_keys - 1), num_keys, scores);
  ft_free(scores);
  return FT_OK;
}

/* Gradients as sums, which are [tokens, heads or kv_heads, head_dim] without gaps. */
typedef struct gradients {
  double *dq, *dk, *dv;
} gradients;

/* What the loss's gradient by one query of one head contributes. */
static void query_backward(const ft_attention *a, const ft_attention_in *in,
                           const ft_attention_out *out, const void *d_o, const gradients *s,
                           int64_t document, int64_t row, int64_t h) {
  int64_t tokens = a->offsets[a->num_documents], end = a->offsets[document + 1];
  int64_t dim = a->head_dim, kv = h / (a->heads / a->kv_heads);
  int64_t q_at = row * in->q_stride + h * dim, o_at = row * out->o_stride + h * dim;
  double slope, delta = dot(a, out->o, o_at, d_o, o_at);
  for (int64_t j = first_key(a, a->offsets[document], row); j < end_of_keys(a, row, end); j++) {
    int64_t k_at = j * in->k_stride + kv * dim, v_at = j * in->v_stride + kv * dim;
    double score = score_of(a, dot(a, in->q, q_at, in->k, k_at), &slope);
    double p = exp(score - (double)out->lse[h * tokens + row]);
    double ds = p * (dot(a, d_o, o_at, in->v, v_at) - delta) * slope;
    for (int64_t i = 0; i < dim; i++) {
      s->dq[(row * a->heads + h) * dim + i] += ds * get(a->type, in->k, k_at + i);
      s->dk[(j * a->kv_heads + kv) * dim + i] += ds * get(a->type, in->q, q_at + i);
      s->dv[(j * a->kv_heads + kv) * dim + i] += p * get(a->type, d_o, o_at + i);
    }
  }
}

static void store(const ft_attention *a, int64_t tokens, int64_t width, const double *sums,
                  void *out, int64_t stride) {
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t i = 0; i < width; i++)
      put(a->type, out, t * stride + i, sums[t * width + i]);
}

ft_err ft_ref_attention_backward(const ft_attention *a, const ft_attention_in *in,
                                 const ft_attention_out *out,
                                 const ft_attention_gradient *gradient) {
  int64_t tokens = a->offsets[a->num_documents], q_width = a->heads * a->head_dim,
          kv_width = a->kv_heads * a->head_dim;
  double *room;
  ft_err err = ft_alloc_array(FT_MEM_WORKSPACE, tokens * (q_width + 2 * kv_width), sizeof *room,
                              (void **)&room);
  if (err != FT_OK) return err;
  const gradients s = {room, room + tokens * q_width, room + tokens * (q_width + kv_width)};
  for (int64_t d = 0; d < a->num_documents; d++)
    for (int64_t row = a->offsets[d]; row < a->offsets[d + 1]; row++)
      for (int64_t h = 0; h < a->heads; h++)
        query_backward(a, in, out, gradient->d_o, &s, d, row, h);
  store(a, tokens, q_width, s.dq, gradient->dq, in->q_stride);
  store(a, tokens, kv_width, s.dk, gradient->dk, in->k_stride);
  store(a, tokens, kv_width, s.dv, gradient->dv, in->v_stride);
  ft_free(room);
  return FT_OK;
}
