/* 16 × 16 words transposed in registers (AVX-512). */
#ifndef FT_KERNELS_TRANSPOSE_H
#define FT_KERNELS_TRANSPOSE_H

#include "simd.h"

#ifdef __AVX512F__
/* x[i] lane j becomes x[j] lane i: pairs of words, then of two words, then of quarters. */
INLINE void transpose_registers(__m512 x[16]) {
  __m512 y[16];
  UNROLL
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
  }
  UNROLL
  for (int i = 0; i < 16; i += 4) {
    __m512d a = _mm512_castps_pd(y[i]), b = _mm512_castps_pd(y[i + 1]);
    __m512d c = _mm512_castps_pd(y[i + 2]), d = _mm512_castps_pd(y[i + 3]);
    x[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    x[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    x[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    x[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
  }
  /* x[4g + c] holds rows 4g … 4g+3 of columns c, c+4, c+8, c+12, a quarter each */
  UNROLL
  for (int c = 0; c < 4; c++) {
    __m512 low02 = _mm512_shuffle_f32x4(x[c], x[4 + c], 0x88);
    __m512 low13 = _mm512_shuffle_f32x4(x[c], x[4 + c], 0xdd);
    __m512 high02 = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0x88);
    __m512 high13 = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0xdd);
    y[c] = _mm512_shuffle_f32x4(low02, high02, 0x88);
    y[c + 4] = _mm512_shuffle_f32x4(low13, high13, 0x88);
    y[c + 8] = _mm512_shuffle_f32x4(low02, high02, 0xdd);
    y[c + 12] = _mm512_shuffle_f32x4(low13, high13, 0xdd);
  }
  UNROLL
  for (int i = 0; i < 16; i++)
    x[i] = y[i];
}
#endif

#endif
