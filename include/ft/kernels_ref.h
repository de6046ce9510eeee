/* Plain references of the kernels (kernels.h): the definition as loops, sums in double, one thread.
 * What tests compare the fast ones with. Shapes, types and meaning of arguments as there; results
 * are rounded once to the output's type. Not collective. */
#ifndef FT_KERNELS_REF_H
#define FT_KERNELS_REF_H

#include "ft/kernels_packed.h"

void ft_ref_matmul_forward(ft_dtype type, ft_dtype y_type, int64_t m, int64_t n, int64_t k,
                           const void *x, int64_t x_stride, const void *w, const void *bias,
                           void *y, int64_t y_stride, bool accumulate);
void ft_ref_matmul_backward_input(ft_dtype type, ft_dtype dx_type, int64_t m, int64_t n, int64_t k,
                                  const void *dy, int64_t dy_stride, const void *w, void *dx,
                                  int64_t dx_stride, bool accumulate);
void ft_ref_matmul_backward_weight(ft_dtype type, ft_dtype dw_type, int64_t m, int64_t n, int64_t k,
                                   const void *dy, int64_t dy_stride, const void *x,
                                   int64_t x_stride, void *dw, bool accumulate);
void ft_ref_bias_backward(ft_dtype type, ft_dtype db_type, int64_t m, int64_t n, const void *dy,
                          int64_t dy_stride, void *db);

void ft_ref_rmsnorm_forward(ft_dtype type, int64_t rows, int64_t n, const void *x,
                            const void *residual, void *sum_out, const void *w, float eps, void *y,
                            float *rstd);
void ft_ref_rmsnorm_backward(ft_dtype type, int64_t rows, int64_t n, const void *dy, const void *x,
                             const float *rstd, const void *w, float *dx, void *dx16, float *dw);
void ft_ref_add(ft_dtype type, int64_t count, const void *a, const void *b, void *out);
void ft_ref_swiglu_forward(ft_dtype type, int64_t rows, int64_t n, const void *gate, const void *up,
                           void *a);
void ft_ref_swiglu_backward(ft_dtype type, int64_t rows, int64_t n, const void *da,
                            const void *gate, const void *up, void *dgate, void *dup, void *a);
void ft_ref_rotary(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim, void *x,
                   int64_t stride, const int32_t *position, const float *inv_freq, bool backward);
void ft_ref_head_norm_forward(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim,
                              const void *x, int64_t stride, const void *w, float eps, void *y,
                              float *rstd);
void ft_ref_head_norm_backward(ft_dtype type, int64_t rows, int64_t heads, int64_t head_dim,
                               const void *dy, const void *x, int64_t stride, const float *rstd,
                               const void *w, void *dx, float *dw);

/* Errors: FT_ERR_MEMORY (one row of scores, and sums of dq, dk, dv in double). */
ft_err ft_ref_attention_forward(const ft_attention *a, const void *q, int64_t q_stride,
                                const void *k, int64_t k_stride, const void *v, int64_t v_stride,
                                void *o, int64_t o_stride, float *lse);
ft_err ft_ref_attention_backward(const ft_attention *a, const void *q, int64_t q_stride,
                                 const void *k, int64_t k_stride, const void *v, int64_t v_stride,
                                 const void *o, const void *d_o, int64_t o_stride, const float *lse,
                                 void *dq, void *dk, void *dv);

ft_err ft_ref_attention_decode(ft_dtype type, int64_t heads, int64_t kv_heads, int64_t head_dim,
                               int64_t window, int64_t num_keys, const void *q, const void *k,
                               const void *v, int64_t kv_stride, void *o);

void ft_ref_embedding_forward(ft_dtype type, int64_t tokens, int64_t n, const uint32_t *ids,
                              const void *table, void *out);
void ft_ref_embedding_backward(ft_dtype out_type, int64_t tokens, int64_t n, const uint32_t *ids,
                               const float *dx, int64_t row0, int64_t num_rows, const float *base,
                               void *out);
void ft_ref_cross_entropy(ft_dtype type, int64_t rows, int64_t vocab, const float *logits,
                          const int32_t *target, float scale, float *loss, void *dlogits);
/* In the fast one's own f32 operations and order: equal bits. */
void ft_ref_adamw_update(const ft_adamw *a, int64_t count, float *restrict w, float *restrict m,
                         float *restrict v, const float *restrict g);

/* kernels_packed.h: equal bits, too. */
void ft_ref_quantize(bool has_sign, int64_t count, const float *in, uint8_t *codes, float *scale);
void ft_ref_accumulate_bf16(uint64_t seed, uint64_t step, uint64_t first, uint16_t *accumulator,
                            ft_dtype from, const void *in, int64_t count);
void ft_ref_adamw_update_packed(const ft_adamw *a, const ft_adamw_arrays *x, uint64_t seed,
                                uint64_t step, uint64_t first, int64_t count);

#endif
