/* Y = X · Wᵀ by dot products of rows as they lie: nothing is packed, so W may be read from memory
 * once and X be of a single row. Every sum is taken in the same way, whatever else is computed
 * beside it: each lane adds up its words of the row in their order, and then lanes are added as
 * v_sum does. */
#include "vector.h"

/* Rows of x and of w that are multiplied at once, whose sums stay in registers; and bytes of a row
 * that are read before the next rows are, so that those of w come from a cache for all rows of x.
 */
enum { X_AT_ONCE = 4, W_AT_ONCE = LANES == 16 ? 4 : 2, VECTOR_BYTES = LANES * 4, STRETCH = 3072 };
static_assert(FT_DOT_W_ROWS == 16 && FT_DOT_SCRATCH >= FT_DOT_X_ROWS * FT_DOT_W_ROWS * LANES,
              "there is room for all sums");
static_assert(STRETCH % VECTOR_BYTES == 0, "only a row's end is a part of a vector");

/* Sums of a row of x with each row of w. */
typedef float row_sums[FT_DOT_W_ROWS][LANES];

INLINE vf load_bytes(const char *p, size_t bytes) {
  float lane[LANES] = {0};
  if (bytes >= VECTOR_BYTES) return v_load((const float *)(const void *)p);
  memcpy(lane, p, bytes);
  return v_load(lane);
}

/* What `bytes` bytes of `rows` rows of x and `columns` rows of w add to their sums. */
INLINE void block(bool pairs, int rows, int columns, size_t bytes, const char *x, size_t x_row,
                  const char *w, size_t w_row, bool fresh, row_sums *sums, int64_t column) {
  vf sum[X_AT_ONCE][W_AT_ONCE];
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int c = 0; c < columns; c++)
      sum[r][c] = fresh ? v_zero() : v_load(sums[r][column + c]);
  }
  for (size_t at = 0; at < bytes; at += VECTOR_BYTES) {
    vf of_w[W_AT_ONCE];
    UNROLL
    for (int c = 0; c < columns; c++)
      of_w[c] = load_bytes(w + (size_t)c * w_row + at, bytes - at);
    UNROLL
    for (int r = 0; r < rows; r++) {
      vf of_x = load_bytes(x + (size_t)r * x_row + at, bytes - at);
      UNROLL
      for (int c = 0; c < columns; c++)
        sum[r][c] = multiply_add(pairs, of_x, of_w[c], sum[r][c]);
    }
  }
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int c = 0; c < columns; c++)
      v_store(sums[r][column + c], sum[r][c]);
  }
}

/* The same for all w_rows rows of w. */
INLINE void blocks(bool pairs, int rows, int64_t w_rows, size_t bytes, const char *x, size_t x_row,
                   const char *w, size_t w_row, bool fresh, row_sums *sums) {
  int64_t c = 0;
  for (; c + W_AT_ONCE <= w_rows; c += W_AT_ONCE)
    block(pairs, rows, W_AT_ONCE, bytes, x, x_row, w + (size_t)c * w_row, w_row, fresh, sums, c);
  for (; c < w_rows; c++)
    block(pairs, rows, 1, bytes, x, x_row, w + (size_t)c * w_row, w_row, fresh, sums, c);
}

/* v_sum of each. */
static void finish(float (*sums)[LANES], float y[FT_DOT_W_ROWS]) {
#ifdef __AVX512F__
  /* halves of two vectors side by side, then quarters of four, pairs of eight, lanes of sixteen */
  __m512 a[8], b[4], c[2];
  UNROLL
  for (int i = 0; i < 8; i++) {
    __m512 p = v_load(sums[2 * i]), q = v_load(sums[2 * i + 1]);
    a[i] = _mm512_shuffle_f32x4(p, q, 0x44) + _mm512_shuffle_f32x4(p, q, 0xee);
  }
  UNROLL
  for (int i = 0; i < 4; i++)
    b[i] = _mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0x88) +
           _mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0xdd);
  UNROLL
  for (int i = 0; i < 2; i++) {
    __m512d p = _mm512_castps_pd(b[2 * i]), q = _mm512_castps_pd(b[2 * i + 1]);
    c[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(p, q)) + _mm512_castpd_ps(_mm512_unpackhi_pd(p, q));
  }
  __m512 all = _mm512_shuffle_ps(c[0], c[1], 0x88) + _mm512_shuffle_ps(c[0], c[1], 0xdd);
  /* lane 4q + i is of vector q + 4i */
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_ps(y, _mm512_permutexvar_ps(order, all));
#else
  for (int c = 0; c < FT_DOT_W_ROWS; c++)
    y[c] = v_sum(v_load(sums[c]));
#endif
}

INLINE void dot_rows(bool pairs, int64_t x_rows, int64_t w_rows, size_t row_bytes, const char *x,
                     size_t x_row, const char *w, size_t w_row, float y[][FT_DOT_W_ROWS],
                     row_sums *sums) {
  const size_t stretch = x_rows == 1 ? row_bytes : STRETCH;
  for (size_t at = 0; at < row_bytes; at += stretch) {
    size_t bytes = FT_MIN(stretch, row_bytes - at);
    bool fresh = at == 0, last = at + bytes == row_bytes;
    for (int64_t r = 0, n; r < x_rows; r += n) {
      row_sums *of_rows = fresh && last ? sums : sums + r;
      const char *from = x + (size_t)r * x_row + at;
      n = x_rows - r >= X_AT_ONCE ? X_AT_ONCE : 1;
      if (n == 1)
        blocks(pairs, 1, w_rows, bytes, from, x_row, w + at, w_row, fresh, of_rows);
      else
        blocks(pairs, X_AT_ONCE, w_rows, bytes, from, x_row, w + at, w_row, fresh, of_rows);
      for (int64_t i = 0; last && i < n; i++)
        finish(of_rows[i], y[r + i]);
    }
  }
}

void FT_V(dot_rows)(ft_dtype type, int64_t x_rows, int64_t w_rows, int64_t k, const void *x,
                    int64_t x_stride, const void *w, int64_t w_stride, float y[][FT_DOT_W_ROWS],
                    float *scratch) {
  const size_t size = ft_dtype_bytes(type), x_row = (size_t)x_stride * size;
  const size_t w_row = (size_t)w_stride * size;
  row_sums *sums = (row_sums *)(void *)scratch;
  if (type == FT_BF16)
    dot_rows(true, x_rows, w_rows, (size_t)k * size, x, x_row, w, w_row, y, sums);
  else
    dot_rows(false, x_rows, w_rows, (size_t)k * size, x, x_row, w, w_row, y, sums);
}
