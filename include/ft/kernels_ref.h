/* Plain references of the kernels (kernels.h): the definition as loops, sums in double, one thread.
 * What tests compare the fast ones with. Shapes, types and meaning of arguments as there; results
 * are rounded once to the output's type. Not collective. */
#ifndef FT_KERNELS_REF_H
#define FT_KERNELS_REF_H

#include "ft/kernels_layer.h"
#include "ft/kernels_loss.h"
#include "ft/kernels_packed.h"

void ft_ref_matmul_forward(const ft_matmul *product);
void ft_ref_matmul_backward_input(const ft_matmul *product);
void ft_ref_matmul_backward_weight(const ft_matmul *product);
void ft_ref_bias_backward(ft_dtype type, ft_dtype db_type, int64_t m, int64_t n, const void *dy,
                          int64_t dy_stride, void *db);

/* kernels_layer.h */
void ft_ref_norm_forward(const ft_norm *norm, ft_dtype type, void *y, float *rstd, const void *x,
                         const void *w, const void *bias, const ft_rows *shape);
void ft_ref_norm_sum_forward(const ft_norm *norm, ft_dtype type, void *y, void *sum, float *rstd,
                             const void *x, const void *branch, float multiplier, const void *w,
                             const void *bias, const ft_rows *shape);
/* Errors: FT_ERR_MEMORY (sums of dw and db in double). */
ft_err ft_ref_norm_backward(const ft_norm *norm, ft_dtype type, const ft_norm_gradient *out,
                            const void *dy, const void *x, const float *rstd, const void *w,
                            const ft_rows *shape);
void ft_ref_activation_forward(const ft_activation *act, ft_dtype type, void *y, const void *x,
                               int64_t count);
void ft_ref_activation_backward(const ft_activation *act, ft_dtype type, void *dx, void *y,
                                float *d_alpha, const void *dy, const void *x, int64_t count);
void ft_ref_gated_forward(ft_activation_kind act, ft_dtype type, void *a, const void *gate,
                          const void *up, const ft_rows *shape);
void ft_ref_gated_backward(ft_activation_kind act, ft_dtype type, void *dgate, void *dup, void *a,
                           const void *da, const void *gate, const void *up, const ft_rows *shape);
void ft_ref_rope_apply(const ft_rope *rope, ft_dtype type, void *x, const int32_t *position,
                       const uint8_t *table, int64_t num_queries, const ft_rows *shape,
                       bool backward);
void ft_ref_embeddings_forward(ft_dtype type, void *out, const ft_embedding *embeddings, int num,
                               int64_t tokens, int64_t n);
/* The sum is f32 in the order of the tokens, as the fast one's. */
void ft_ref_embeddings_backward(ft_dtype out_type, void *out, const ft_embedding *e,
                                const float *dx, const float *base, int64_t first,
                                int64_t num_entries, int64_t padding, int64_t tokens, int64_t n);
void ft_ref_add_scaled(ft_dtype type, void *out, const void *a, const void *b, float multiplier,
                       int64_t count);
void ft_ref_scale(ft_dtype type, void *out, const void *x, float multiplier, int64_t count);

/* kernels_loss.h */
void ft_ref_loss_rows(const ft_loss *loss, ft_dtype type, const ft_loss_out *out, float *logits,
                      const int32_t *target, const float *weight, int64_t rows, int64_t columns);

/* Errors: FT_ERR_MEMORY (one row of scores, and sums of dq, dk, dv in double). */
ft_err ft_ref_attention_forward(const ft_attention *a, const ft_attention_in *in,
                                const ft_attention_out *out);
ft_err ft_ref_attention_backward(const ft_attention *a, const ft_attention_in *in,
                                 const ft_attention_out *out,
                                 const ft_attention_gradient *gradient);
ft_err ft_ref_attention_query(const ft_attention *a, void *o, const void *q, const void *k,
                              const void *v, int64_t kv_stride, int64_t num_keys);

/* In the fast one's own f32 operations and order: equal bits. */
void ft_ref_adamw_update(const ft_adamw *a, int64_t count, float *restrict w, float *restrict m,
                         float *restrict v, const float *restrict g);

/* kernels_packed.h: equal bits, too. */
void ft_ref_quantize(bool has_sign, int64_t count, const float *in, uint8_t *codes, float *scale);
void ft_ref_accumulate_bf16(uint64_t seed, uint64_t step, uint64_t first, uint16_t *accumulator,
                            ft_dtype from, const void *in, int64_t count);
void ft_ref_adamw_update_packed(const ft_adamw *a, const ft_adamw_arrays *x, uint64_t seed,
                                uint64_t step, uint64_t first, int64_t count);
void ft_ref_code_write(ft_code code, void *out, ft_dtype from, const void *in, int64_t count);
void ft_ref_code_read(ft_code code, ft_dtype to, void *out, const void *in, int64_t count);

#endif
