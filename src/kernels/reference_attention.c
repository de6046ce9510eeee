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

/* o [head_dim] at o_at of one query at q_at of head h over keys from … end-1; returns lse. `scores`
 * has room for `end`. */
static double query_forward(const ft_attention *a, int64_t h, int64_t from, int64_t end,
                            const void *q, int64_t q_at, const void *k, int64_t k_stride,
                            const void *v, int64_t v_stride, void *o, int64_t o_at,
                            double *scores) {
  int64_t column = h / (a->heads / a->kv_heads) * a->head_dim;
  double top = -INFINITY, sum = 0, slope;
  for (int64_t j = from; j < end; j++) {
    scores[j] = score_of(a, dot(a, q, q_at, k, j * k_stride + column), &slope);
    top = fmax(top, scores[j]);
  }
  for (int64_t j = from; j < end; j++)
    sum += scores[j] = exp(scores[j] - top);
  for (int64_t i = 0; i < a->head_dim; i++) {
    double out = 0;
    for (int64_t j = from; j < end; j++)
      out += scores[j] / sum * get(a->type, v, j * v_stride + column + i);
    put(a->type, o, o_at + i, out);
  }
  return top + log(sum);
}

ft_err ft_ref_attention_forward(const ft_attention *a, const void *q, int64_t q_stride,
                                const void *k, int64_t k_stride, const void *v, int64_t v_stride,
                                void *o, int64_t o_stride, float *lse) {
  int64_t tokens = a->offsets[a->num_documents], dim = a->head_dim;
  double *scores;
  ft_err err = ft_alloc_array(FT_MEM_WORKSPACE, tokens, sizeof *scores, (void **)&scores);
  if (err != FT_OK) return err;
  for (int64_t d = 0; d < a->num_documents; d++)
    for (int64_t row = a->offsets[d]; row < a->offsets[d + 1]; row++)
      for (int64_t h = 0; h < a->heads; h++)
        lse[h * tokens + row] = (float)query_forward(a, h, first_key(a, a->offsets[d], row),
                                                     end_of_keys(a, row, a->offsets[d + 1]), q,
                                                     row * q_stride + h * dim, k, k_stride, v,
                                                     v_stride, o, row * o_stride + h * dim, scores);
  ft_free(scores);
  return FT_OK;
}

ft_err ft_ref_attention_query(const ft_attention *a, void *o, const void *q, const void *k,
                              const void *v, int64_t kv_stride, int64_t num_keys) {
  double *scores;
  ft_err err = ft_alloc_array(FT_MEM_WORKSPACE, num_keys, sizeof *scores, (void **)&scores);
  if (err != FT_OK) return err;
  for (int64_t h = 0; h < a->heads; h++)
    query_forward(a, h, first_key(a, 0, num_keys - 1), num_keys, q, h * a->head_dim, k, kv_stride,
                  v, kv_stride, o, h * a->head_dim, scores);
  ft_free(scores);
  return FT_OK;
}

/* One query of one head: adds its parts of dq, dk and dv, which are [tokens, heads or kv_heads,
 * head_dim] without gaps. */
typedef struct operands {
  const void *q, *k, *v, *o, *d_o;
  int64_t q_stride, k_stride, v_stride, o_stride;
  const float *lse;
  double *dq, *dk, *dv;
} operands;

static void query_backward(const ft_attention *a, const operands *x, int64_t tokens, int64_t start,
                           int64_t end, int64_t row, int64_t h) {
  int64_t dim = a->head_dim, kv = h / (a->heads / a->kv_heads);
  int64_t q_at = row * x->q_stride + h * dim, o_at = row * x->o_stride + h * dim;
  double slope, delta = dot(a, x->o, o_at, x->d_o, o_at);
  for (int64_t j = first_key(a, start, row); j < end_of_keys(a, row, end); j++) {
    int64_t k_at = j * x->k_stride + kv * dim, v_at = j * x->v_stride + kv * dim;
    double score = score_of(a, dot(a, x->q, q_at, x->k, k_at), &slope);
    double p = exp(score - (double)x->lse[h * tokens + row]);
    double ds = p * (dot(a, x->d_o, o_at, x->v, v_at) - delta) * slope;
    for (int64_t i = 0; i < dim; i++) {
      x->dq[(row * a->heads + h) * dim + i] += ds * get(a->type, x->k, k_at + i);
      x->dk[(j * a->kv_heads + kv) * dim + i] += ds * get(a->type, x->q, q_at + i);
      x->dv[(j * a->kv_heads + kv) * dim + i] += p * get(a->type, x->d_o, o_at + i);
    }
  }
}

static void store(const ft_attention *a, int64_t tokens, int64_t width, const double *sums,
                  void *out, int64_t stride) {
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t i = 0; i < width; i++)
      put(a->type, out, t * stride + i, sums[t * width + i]);
}

ft_err ft_ref_attention_backward(const ft_attention *a, const void *q, int64_t q_stride,
                                 const void *k, int64_t k_stride, const void *v, int64_t v_stride,
                                 const void *o, const void *d_o, int64_t o_stride, const float *lse,
                                 void *dq, void *dk, void *dv) {
  int64_t tokens = a->offsets[a->num_documents], q_width = a->heads * a->head_dim,
          kv_width = a->kv_heads * a->head_dim;
  double *sums;
  ft_err err = ft_alloc_array(FT_MEM_WORKSPACE, tokens * (q_width + 2 * kv_width), sizeof *sums,
                              (void **)&sums);
  if (err != FT_OK) return err;
  operands x = {.q = q,
                .k = k,
                .v = v,
                .o = o,
                .d_o = d_o,
                .lse = lse,
                .dq = sums,
                .dk = sums + tokens * q_width,
                .dv = sums + tokens * (q_width + kv_width),
                .q_stride = q_stride,
                .k_stride = k_stride,
                .v_stride = v_stride,
                .o_stride = o_stride};
  for (int64_t d = 0; d < a->num_documents; d++)
    for (int64_t row = a->offsets[d]; row < a->offsets[d + 1]; row++)
      for (int64_t h = 0; h < a->heads; h++)
        query_backward(a, &x, tokens, a->offsets[d], a->offsets[d + 1], row, h);
  store(a, tokens, q_width, x.dq, dq, q_stride);
  store(a, tokens, kv_width, x.dk, dk, k_stride);
  store(a, tokens, kv_width, x.dv, dv, v_stride);
  ft_free(sums);
  return FT_OK;
}
