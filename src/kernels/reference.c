/* Plain references of products and of AdamW: definitions as loops, in double (kernels_ref.h). */
#include <math.h>

#include "reference.h"

/* ---------------------------------------------------------------- matmul */

void ft_ref_matmul_forward(const ft_matmul *p) {
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->n; j++) {
      int64_t at = i * p->out_stride + j;
      double sum = p->accumulate ? get(p->out_type, p->out, at) : 0;
      for (int64_t l = 0; l < p->k; l++)
        sum += get(p->type, p->x, i * p->x_stride + l) * get(p->type, p->w, j * p->k + l);
      put(p->out_type, p->out, at, sum + (p->bias ? get(p->type, p->bias, j) : 0));
    }
}

void ft_ref_matmul_backward_input(const ft_matmul *p) {
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t l = 0; l < p->k; l++) {
      int64_t at = i * p->out_stride + l;
      double sum = p->accumulate ? get(p->out_type, p->out, at) : 0;
      for (int64_t j = 0; j < p->n; j++)
        sum += get(p->type, p->dy, i * p->dy_stride + j) * get(p->type, p->w, j * p->k + l);
      put(p->out_type, p->out, at, sum);
    }
}

void ft_ref_matmul_backward_weight(const ft_matmul *p) {
  for (int64_t j = 0; j < p->n; j++)
    for (int64_t l = 0; l < p->k; l++) {
      int64_t at = j * p->k + l;
      double sum = p->accumulate ? get(p->out_type, p->out, at) : 0;
      for (int64_t i = 0; i < p->m; i++)
        sum += get(p->type, p->dy, i * p->dy_stride + j) * get(p->type, p->x, i * p->x_stride + l);
      put(p->out_type, p->out, at, sum);
    }
}

void ft_ref_bias_backward(ft_dtype type, ft_dtype db_type, int64_t m, int64_t n, const void *dy,
                          int64_t dy_stride, void *db) {
  for (int64_t j = 0; j < n; j++) {
    double sum = 0;
    for (int64_t i = 0; i < m; i++)
      sum += get(type, dy, i * dy_stride + j);
    put(db_type, db, j, sum);
  }
}

/* ---------------------------------------------------------------- optimizer */

void ft_ref_adamw_update(const ft_adamw *a, int64_t count, float *restrict w, float *restrict m,
                         float *restrict v, const float *restrict g) {
  for (int64_t i = 0; i < count; i++) {
    float gradient = g[i] * a->gradient_scale;
    w[i] -= a->lr * a->weight_decay * w[i];
    m[i] = a->beta1 * m[i] + (1.0f - a->beta1) * gradient;
    v[i] = a->beta2 * v[i] + (1.0f - a->beta2) * (gradient * gradient);
    w[i] -= a->lr * (m[i] / a->correction1) / (sqrtf(v[i] / a->correction2) + a->eps);
  }
}
