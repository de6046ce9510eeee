/* The numbers that moments and frozen weights are rounded to, and the bytes that codes of them
 * take.
 */
#include "internal.h"

/* ---------------------------------------------------------------- quanta */

/* Midpoint of interval j of the n of the decade that ends at `top`. */
#define Q1(s, j, n, top) (float)(s(0.1 + 0.9 * ((j) + 0.5) / (n)) * (top))
#define Q2(s, j, n, top) Q1(s, j, n, top), Q1(s, (j) + 1, n, top)
#define Q4(s, j, n, top) Q2(s, j, n, top), Q2(s, (j) + 2, n, top)
#define Q8(s, j, n, top) Q4(s, j, n, top), Q4(s, (j) + 4, n, top)
#define Q16(s, j, n, top) Q8(s, j, n, top), Q8(s, (j) + 8, n, top)
#define Q32(s, j, n, top) Q16(s, j, n, top), Q16(s, (j) + 16, n, top)
#define Q64(s, j, n, top) Q32(s, j, n, top), Q32(s, (j) + 32, n, top)
#define Q128(s, j, n, top) Q64(s, j, n, top), Q64(s, (j) + 64, n, top)
/* The same from the last interval of a decade to its first, below zero. */
#define N1(n, j, top) Q1(-, (n)-1 - (j), n, top)
#define N2(n, j, top) N1(n, j, top), N1(n, (j) + 1, top)
#define N4(n, j, top) N2(n, j, top), N2(n, (j) + 2, top)
#define N8(n, j, top) N4(n, j, top), N4(n, (j) + 4, top)
#define N16(n, j, top) N8(n, j, top), N8(n, (j) + 8, top)
#define N32(n, j, top) N16(n, j, top), N16(n, (j) + 16, top)
#define N64(n, j, top) N32(n, j, top), N32(n, (j) + 32, top)

const float ft_quanta_signed[256] = {
    N64(64, 0, 1.0),     N32(32, 0, 1e-1),    N16(16, 0, 1e-2),   N8(8, 0, 1e-3),
    N4(4, 0, 1e-4),      N2(2, 0, 1e-5),      N1(1, 0, 1e-6),     0,
    Q1(+, 0, 1, 1e-6),   Q2(+, 0, 2, 1e-5),   Q4(+, 0, 4, 1e-4),  Q8(+, 0, 8, 1e-3),
    Q16(+, 0, 16, 1e-2), Q32(+, 0, 32, 1e-1), Q64(+, 0, 64, 1.0), 1};

const float ft_quanta_unsigned[256] = {0,
                                       Q2(+, 0, 2, 1e-6),
                                       Q4(+, 0, 4, 1e-5),
                                       Q8(+, 0, 8, 1e-4),
                                       Q16(+, 0, 16, 1e-3),
                                       Q32(+, 0, 32, 1e-2),
                                       Q64(+, 0, 64, 1e-1),
                                       Q128(+, 0, 128, 1.0),
                                       1};

void ft_quantize(bool has_sign, int64_t count, const float *restrict in, uint8_t *restrict codes,
                 float *scale) {
  FT_ASSERT(count <= FT_QUANTUM);
  ft_vector_used()->quantize(has_sign, count, in, codes, scale);
}

void ft_dequantize(bool has_sign, int64_t count, const uint8_t *restrict codes, float scale,
                   float *restrict out) {
  ft_vector_used()->dequantize(has_sign, count, codes, scale, out);
}

/* ---------------------------------------------------------------- codes */

const float ft_code_nf4[16] = {-1.0f,
                               -0.6961928009986877f,
                               -0.5250730514526367f,
                               -0.39491748809814453f,
                               -0.28444138169288635f,
                               -0.18477343022823334f,
                               -0.09105003625154495f,
                               0.0f,
                               0.07958029955625534f,
                               0.16093020141124725f,
                               0.24611230194568634f,
                               0.33791524171829224f,
                               0.44070982933044434f,
                               0.5626170039176941f,
                               0.7229568362236023f,
                               1.0f};

static size_t packet_bytes(ft_code code) {
  FT_ASSERT(code > FT_CODE_NONE && code < FT_CODE_NUM);
  return sizeof(float) + (code == FT_CODE_INT8 ? FT_CODE_ELEMENTS : FT_CODE_ELEMENTS / 2);
}

size_t ft_code_bytes(ft_code code, int64_t count) {
  return (size_t)ft_ceil_div(count, FT_CODE_ELEMENTS) * packet_bytes(code);
}
