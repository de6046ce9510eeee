/* Plain references of products and of AdamW: definitions as loops, in double (kernels_ref.h). */
#include <math.h>

#include "reference.h"

/* ---------------------------------------------------------------- matmul */

void ft_ref_matmul_forward(ft_dtype type, ft_dtype y_type, int64_t m, int64_t n, int64_t k,
                           const void *x, int64_t x_stride, const void *w, const void *bias,
                           void *y, int64_t y_stride, bool accumulate) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = accumulate ? get(y_type, y, i * y_stride + j) : 0;
      for (int64_t l = 0; l < k; l++)
        sum += get(type, x, i * x_stride + l) * get(type, w, j * k + l);
      put(y_type, y, i * y_stride + j, sum + (bias ? get(type, bias, j) : 0));
    }
}

void ft_ref_matmul_backward_input(ft_dtype type, ft_dtype dx_type, int64_t m, int64_t n, int64_t k,
                                  const void *dy, int64_t dy_stride, const void *w, void *dx,
                                  int64_t dx_stride, bool accumulate) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t l = 0; l < k; l++) {
      double sum = accumulate ? get(dx_type, dx, i * dx_stride + l) : 0;
      for (int64_t j = 0; j < n; j++)
        sum += get(type, dy, i * dy_stride + j) * get(type, w, j * k + l);
      put(dx_type, dx, i * dx_stride + l, sum);
    }
}

void ft_ref_matmul_backward_weight(ft_dtype type, ft_dtype dw_type, int64_t m, int64_t n, int64_t k,
                                   const void *dy, int64_t dy_stride, const void *x,
                                   int64_t x_stride, void *dw, bool accumulate) {
  for (int64_t j = 0; j < n; j++)
    for (int64_t l = 0; l < k; l++) {
      double sum = accumulate ? get(dw_type, dw, j * k + l) : 0;
      for (int64_t i = 0; i < m; i++)
        sum += get(type, dy, i * dy_stride + j) * get(type, x, i * x_stride + l);
      put(dw_type, dw, j * k + l, sum);
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
