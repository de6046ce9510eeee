/* Attention's small matrix products and the packing of their operands. A product keeps a block of C
 * in registers while it walks along the dimension that is summed over. */
#include "transpose.h"
#include "vector.h"

#if defined(__AVX512F__)
enum { VECTORS = 4 }; /* vectors of C's columns in a block */
#else
enum { VECTORS = 2 };
#endif
enum { ROWS = 6 }; /* rows of C in a block */

/* ---------------------------------------------------------------- products */

INLINE void multiply_block(bool pairs, int rows, int vectors, int64_t steps, const float *a,
                           int64_t a_stride, const float *b, int64_t b_stride, float *c,
                           int64_t c_stride, bool accumulate) {
  vf sum[ROWS][VECTORS];
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++)
      sum[r][v] = accumulate ? v_load(c + r * c_stride + v * LANES) : v_zero();
  }
  for (int64_t s = 0; s < steps; s++) {
    vf column[VECTORS];
    UNROLL
    for (int v = 0; v < vectors; v++)
      column[v] = v_load(b + s * b_stride + v * LANES);
    UNROLL
    for (int r = 0; r < rows; r++) {
      vf word = v_set(a[r * a_stride + s]); /* the bits, whatever they mean */
      UNROLL
      for (int v = 0; v < vectors; v++)
        sum[r][v] = multiply_add(pairs, word, column[v], sum[r][v]);
    }
  }
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++)
      v_store(c + r * c_stride + v * LANES, sum[r][v]);
  }
}

/* All rows of one panel of columns; the last block may have fewer. */
INLINE void multiply_panel(bool pairs, int vectors, int64_t rows, int64_t steps, const float *a,
                           int64_t a_stride, const float *b, int64_t b_stride, float *c,
                           int64_t c_stride, bool accumulate) {
  int64_t r = 0;
  for (; r + ROWS <= rows; r += ROWS)
    multiply_block(pairs, ROWS, vectors, steps, a + r * a_stride, a_stride, b, b_stride,
                   c + r * c_stride, c_stride, accumulate);
  a += r * a_stride;
  c += r * c_stride;
#define REST(n)                                                                                    \
  case n:                                                                                          \
    multiply_block(pairs, n, vectors, steps, a, a_stride, b, b_stride, c, c_stride, accumulate);   \
    break;
  switch (rows - r) { REST(1) REST(2) REST(3) REST(4) REST(5) default : break; }
#undef REST
}

INLINE void multiply(bool pairs, int64_t rows, int64_t columns, int64_t steps, const float *a,
                     int64_t a_stride, const float *b, int64_t b_stride, float *c, int64_t c_stride,
                     bool accumulate) {
  int64_t j = 0;
  for (; j + VECTORS * LANES <= columns; j += VECTORS * LANES)
    multiply_panel(pairs, VECTORS, rows, steps, a, a_stride, b + j, b_stride, c + j, c_stride,
                   accumulate);
#define REST(n)                                                                                    \
  case n:                                                                                          \
    multiply_panel(pairs, FT_MIN(n, VECTORS), rows, steps, a, a_stride, b + j, b_stride, c + j,    \
                   c_stride, accumulate);                                                          \
    break;
  switch ((columns - j) / LANES) { REST(1) REST(2) REST(3) default : break; }
#undef REST
}

void FT_V(multiply_f32)(int64_t rows, int64_t columns, int64_t steps, const void *a,
                        int64_t a_stride, const void *b, int64_t b_stride, float *c,
                        int64_t c_stride, bool accumulate) {
  if (accumulate)
    multiply(false, rows, columns, steps, a, a_stride, b, b_stride, c, c_stride, true);
  else
    multiply(false, rows, columns, steps, a, a_stride, b, b_stride, c, c_stride, false);
}

#ifdef __AVX512BF16__
void FT_V(multiply_bf16)(int64_t rows, int64_t columns, int64_t steps, const void *a,
                         int64_t a_stride, const void *b, int64_t b_stride, float *c,
                         int64_t c_stride, bool accumulate) {
  if (accumulate)
    multiply(true, rows, columns, steps, a, a_stride, b, b_stride, c, c_stride, true);
  else
    multiply(true, rows, columns, steps, a, a_stride, b, b_stride, c, c_stride, false);
}
#endif

/* As many sums as hide the latency of an instruction and fit into the registers. */
INLINE double dot_products(bool pairs, int64_t rounds, float *out) {
  enum { SUMS = 12 };
  vf sum[SUMS], x = v_set(1.0f), total = v_zero();
  float one = 1.0f;
  __asm__ volatile("" : "+m"(one)); /* what the compiler does not know it cannot compute ahead */
  UNROLL
  for (int i = 0; i < SUMS; i++)
    sum[i] = v_set(one * (float)i); /* sums that begin alike would be computed once */
  x = v_set(one);
  for (int64_t n = 0; n < rounds; n++)
    UNROLL
  for (int i = 0; i < SUMS; i++)
    sum[i] = multiply_add(pairs, x, x, sum[i]);
  UNROLL
  for (int i = 0; i < SUMS; i++)
    total += sum[i];
  *out = v_sum(total);
  return (double)rounds * SUMS * LANES * (pairs ? 4.0 : 2.0);
}

double FT_V(dot_products)(bool pairs, int64_t rounds, float *out) {
  return pairs ? dot_products(true, rounds, out) : dot_products(false, rounds, out);
}

/* ---------------------------------------------------------------- packing */

#ifdef __AVX512F__
INLINE void transpose_16(const float *in, int64_t in_stride, float *out, int64_t out_stride) {
  __m512 x[16];
  UNROLL
  for (int i = 0; i < 16; i++)
    x[i] = _mm512_loadu_ps(in + i * in_stride);
  transpose_registers(x);
  UNROLL
  for (int i = 0; i < 16; i++)
    _mm512_storeu_ps(out + i * out_stride, x[i]);
}
#endif

void FT_V(transpose)(int64_t rows, int64_t columns, const void *in, int64_t in_stride, void *out,
                     int64_t out_stride, int64_t padded) {
  const uint32_t *from = in;
  uint32_t *to = out;
  int64_t whole_rows = 0, whole_columns = 0;
#ifdef __AVX512F__
  whole_rows = rows / 16 * 16;
  whole_columns = columns / 16 * 16;
  for (int64_t r = 0; r < whole_rows; r += 16)
    for (int64_t c = 0; c < whole_columns; c += 16)
      transpose_16((const float *)in + r * in_stride + c, in_stride,
                   (float *)out + c * out_stride + r, out_stride);
#endif
  for (int64_t c = 0; c < columns; c++) {
    for (int64_t r = c < whole_columns ? whole_rows : 0; r < rows; r++)
      to[c * out_stride + r] = from[r * in_stride + c];
    for (int64_t r = rows; r < padded; r++)
      to[c * out_stride + r] = 0;
  }
}

void FT_V(interleave)(int64_t rows, int64_t columns, const void *in, int64_t in_stride, void *out,
                      int64_t out_stride) {
  for (int64_t r = 0; r < rows; r += 2) {
    const uint16_t *first = (const uint16_t *)in + r * in_stride;
    uint32_t *to = (uint32_t *)out + r / 2 * out_stride;
    if (r + 1 < rows) {
      const uint16_t *second = first + in_stride;
      for (int64_t c = 0; c < columns; c++)
        to[c] = (uint32_t)first[c] | (uint32_t)second[c] << 16;
    } else {
      for (int64_t c = 0; c < columns; c++)
        to[c] = first[c];
    }
  }
}

void FT_V(scale_columns)(int64_t rows, float *x, const float *factor) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < FT_QUERY_BLOCK; c += LANES)
      v_store(x + r * FT_QUERY_BLOCK + c, v_load(x + r * FT_QUERY_BLOCK + c) * v_load(factor + c));
}
