/* kernels: what is kept of a parameter in fewer bytes than f32: master weights, the moments of
 * AdamW, sums of gradients, and AdamW over any mix of these; and frozen weights, in codes.
 * docs/memory.md says what each costs, docs/decisions/0008 why they are as they are.
 *
 * Random numbers are those of ft_random_words, by (seed, purpose, step, element): eight elements
 * share one call, element e has 16 bits of index e / 8, half e mod 8 (low half of a word first).
 * So no result depends on how the elements are divided. Not collective, all of it. */
#ifndef FT_KERNELS_PACKED_H
#define FT_KERNELS_PACKED_H

#include "ft/kernels.h"

/* ---------------------------------------------------------------- master weights */

/* "fp32", "bf16+8", "bf16": as optimizer.master names it. */
const char *ft_master_name(ft_master kind);
/* Bytes of an element in the array of the upper bits, and in that of the lower ones (0: none). */
size_t ft_master_bytes(ft_master kind);
size_t ft_master_low_bytes(ft_master kind);

/* out[i] = the value of w[i] (and low[i]). One thread. */
void ft_master_read(ft_master kind, const void *restrict w, const uint8_t *restrict low,
                    int64_t count, float *restrict out);
/* The nearest value that can be kept, ties to even. One thread. */
void ft_master_write(ft_master kind, const float *restrict in, int64_t count, void *restrict w,
                     uint8_t *restrict low);

/* ---------------------------------------------------------------- moments */

/* "fp32", "int8": as optimizer.state names it. */
const char *ft_moments_name(ft_moments kind);

/* Elements that share a scale, their largest magnitude. */
enum { FT_QUANTUM = 256 };

/* The 256 numbers of block-wise dynamic quantisation (Dettmers et al. 2022), ascending: seven
 * decades from 1e-7 to 1, each cut into twice as many equal intervals as the one below it, and the
 * intervals' midpoints; 0 and 1. Of either sign (there is no -1), or positive with twice as many
 * intervals. */
extern const float ft_quanta_signed[256], ft_quanta_unsigned[256];

/* count ≤ FT_QUANTUM values become codes: of the interval that value / *scale lies in; below 1e-7
 * that of 0, but a positive value never becomes 0 where there is no sign: a second moment of 0
 * would let any first moment through. The largest value itself is exact (if positive). One thread.
 */
void ft_quantize(bool has_sign, int64_t count, const float *restrict in, uint8_t *restrict codes,
                 float *scale);
void ft_dequantize(bool has_sign, int64_t count, const uint8_t *restrict codes, float scale,
                   float *restrict out);

/* ---------------------------------------------------------------- gradients */

/* accumulator[i] += in[i] in f32, rounded stochastically to bf16: elements first … of the numbers
 * of (seed, FT_RANDOM_GRADIENT, step). first is a multiple of 8. One thread. */
void ft_accumulate_bf16(uint64_t seed, uint64_t step, uint64_t first,
                        uint16_t *restrict accumulator, ft_dtype from, const void *restrict in,
                        int64_t count);

/* ---------------------------------------------------------------- AdamW */

/* Arrays of `count` elements that begin with the same one, which is a multiple of FT_QUANTUM. */
typedef struct ft_adamw_arrays {
  ft_master master;
  void *w;
  uint8_t *w_low; /* FT_MASTER_BF16_8 */
  ft_moments moments;
  void *m, *v;              /* f32, or codes */
  float *m_scale, *v_scale; /* FT_MOMENTS_INT8: one for FT_QUANTUM elements */
  ft_dtype gradient;        /* FT_F32 or FT_BF16 */
  const void *g;
} ft_adamw_arrays;

/* ft_adamw_update over values as they are kept. What does not fit is rounded: weights
 * stochastically, elements first … of the numbers of (seed, FT_RANDOM_MASTER, step); moments to
 * their interval. One pass over memory; all threads work; same bits for any number of them. */
void ft_adamw_update_packed(const ft_adamw *a, const ft_adamw_arrays *arrays, uint64_t seed,
                            uint64_t step, uint64_t first, int64_t count);

/* ---------------------------------------------------------------- moving average */

/* average[i] += (1 − decay) · (value of w[i] (and low[i]) − average[i]), each operation rounded to
 * f32 on its own: the exponential moving average of torch.optim.swa_utils.get_ema_multi_avg_fn. All
 * threads work. */
void ft_average_update(double decay, ft_master kind, const void *restrict w,
                       const uint8_t *restrict low, int64_t count, float *restrict average);

/* ---------------------------------------------------------------- frozen weights */

/* A frozen weight in fewer bits than bf16 (ft_code). Elements are coded in packets of
 * FT_CODE_ELEMENTS, counted from the first; a packet is a scale in f32 and then the codes, and
 * depends on its 64 values alone.
 *   FT_CODE_INT8  scale = largest magnitude / 127, codes the nearest whole numbers: 68 bytes
 *   FT_CODE_NF4   scale = largest magnitude, codes of ft_code_nf4: 36 bytes
 * No function below takes FT_CODE_NONE. */

enum { FT_CODE_ELEMENTS = 64 };

/* The 16 numbers of NormalFloat (Dettmers et al. 2023, appendix E), ascending. */
extern const float ft_code_nf4[16];

/* Bytes that `count` elements take; the last packet is whole, filled up with zeros. */
size_t ft_code_bytes(ft_code code, int64_t count);

/* out [ft_code_bytes] = codes of in [count] of FT_F32 or FT_BF16. What lies midway between two
 * numbers becomes the even one (int8), the lower one (nf4). A packet with an element that is not
 * finite reads as not-a-number throughout. All threads work. */
void ft_code_write(ft_code code, void *out, ft_dtype from, const void *in, int64_t count);
/* out [count] of FT_F32 or FT_BF16 (rounded to nearest even) = what codes `in` stand for: the same
 * bits on every instruction set. All threads work. */
void ft_code_read(ft_code code, ft_dtype to, void *out, const void *in, int64_t count);

#endif
