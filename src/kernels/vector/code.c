/* Frozen weights in codes. A packet is a scale (f32) and the codes of 64 elements: int8, or
 * nibbles, of which byte j holds elements j (low) and j + 32 (high), so that vectors unpack it in
 * order. The arithmetic is the same f32 operations on every instruction set, so the bits are, too.
 */
#include "vector.h"

enum { N = FT_CODE_ELEMENTS, HALF = N / 2 };

/* ---------------------------------------------------------------- writing */

/* The largest magnitude; +∞ if an element is not finite. */
INLINE float largest(const float *in) {
  int32_t most = 0; /* magnitudes are ordered as their bits are, and NaN is above infinity */
  for (int i = 0; i < N; i++) {
    int32_t bits = (int32_t)(ft_f32_bits(in[i]) & 0x7fffffffu);
    most = bits > most ? bits : most;
  }
  return most >= 0x7f800000 ? INFINITY : ft_f32_from_bits((uint32_t)most);
}

/* Nearest whole number, ties to even: adding 1.5 · 2²³ rounds there. Beyond 127 only where the
 * scale is so small that it was rounded itself. */
INLINE int8_t nearest(float x) {
  x = x > 127.0f ? 127.0f : x < -127.0f ? -127.0f : x;
  return (int8_t)((int32_t)ft_f32_bits(x + 0x1.8p23f) - 0x4b400000);
}

/* Of each midpoint between neighbours of ft_code_nf4 the largest f32 that is not above it. */
static const float midpoints[15] = {-0x1.b239b2p-1, -0x1.38a4e2p-1, -0x1.d709p-2,   -0x1.5bd4eep-2,
                                    -0x1.e079dap-3, -0x1.1a7178p-3, -0x1.74f0e2p-5, 0x1.45f5fep-5,
                                    0x1.ec90c4p-4,  0x1.a0cfcp-3,   0x1.2b05a8p-2,  0x1.8ea7f2p-2,
                                    0x1.00da06p-1,  0x1.491b5ep-1,  0x1.b913b2p-1};

/* How many midpoints lie below each of 64 values. */
INLINE void nibbles_of(uint8_t *number, const float *in, float divisor) {
  for (int i = 0; i < N; i += LANES) {
    vf x = v_load(in + i) / v_set(divisor);
    vi above = {0};
    UNROLL
    for (int j = 0; j < 15; j++)
      above -= (vi)(x > v_set(midpoints[j]));
    for (int j = 0; j < LANES; j++)
      number[i + j] = (uint8_t)above[j];
  }
}

INLINE void write_packet(ft_code code, uint8_t *out, const float *in) {
  float most = largest(in), scale = code == FT_CODE_INT8 ? most / 127.0f : most;
  uint8_t *codes = out + sizeof scale, number[N];
  /* with a scale of 0 all elements are; with one that is not finite the codes do not matter */
  float divisor = scale > 0 && scale < INFINITY ? scale : 1.0f;
  if (scale == INFINITY) scale = NAN;
  memcpy(out, &scale, sizeof scale);
  if (scale != scale) {
    memset(codes, 0x77, code == FT_CODE_INT8 ? N : HALF);
    return;
  }
  if (code == FT_CODE_INT8) {
    for (int i = 0; i < N; i++)
      codes[i] = (uint8_t)nearest(in[i] / divisor);
    return;
  }
  nibbles_of(number, in, divisor);
  for (int i = 0; i < HALF; i++)
    codes[i] = (uint8_t)(number[i] | number[i + HALF] << 4);
}

void FT_V(code_write)(ft_code code, void *out, ft_dtype from, const void *in, int64_t count) {
  const size_t bytes = ft_code_bytes(code, N);
  uint8_t *to = out;
  for (int64_t i = 0; i < count; i += N, to += bytes) {
    float values[N] = {0};
    FT_V(convert)(FT_F32, values, from, ft_at(from, in, i), FT_MIN((int64_t)N, count - i));
    if (code == FT_CODE_INT8)
      write_packet(FT_CODE_INT8, to, values);
    else
      write_packet(FT_CODE_NF4, to, values);
  }
}

/* ---------------------------------------------------------------- reading */

INLINE float scale_of(const uint8_t *packet) {
  float scale;
  memcpy(&scale, packet, sizeof scale);
  return scale;
}

/* 64 elements. The sixteen numbers of nf4 are scaled (and rounded) once, and then looked up. */
#ifdef __AVX512F__

INLINE void read_int8_f32(float *out, const uint8_t *in) {
  const vf scale = v_set(scale_of(in));
  UNROLL
  for (int i = 0; i < N; i += LANES) {
    __m128i codes = _mm_loadu_si128((const void *)(in + sizeof(float) + i));
    v_store(out + i, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)) * scale);
  }
}

INLINE void read_nf4_f32(float *out, const uint8_t *in) {
  const vf table = v_load(ft_code_nf4) * v_set(scale_of(in));
  UNROLL
  for (int i = 0; i < HALF; i += LANES) {
    __m512i codes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(in + sizeof(float) + i)));
    v_store(out + i, _mm512_permutexvar_ps(codes, table)); /* by the lower four bits of each */
    v_store(out + HALF + i, _mm512_permutexvar_ps(_mm512_srli_epi32(codes, 4), table));
  }
}

INLINE void read_nf4_bf16(uint16_t *out, const uint8_t *in) {
  uint16_t numbers[16];
  v_store_bf16_exactly(numbers, v_load(ft_code_nf4) * v_set(scale_of(in)));
  /* twice, so that the fifth bit of an index does not matter */
  const __m512i table = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)numbers));
  __m512i codes = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const void *)(in + sizeof(float))));
  _mm512_storeu_si512(out, _mm512_permutexvar_epi16(codes, table));
  _mm512_storeu_si512(out + HALF, _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 4), table));
}

#else

INLINE void read_int8_f32(float *out, const uint8_t *in) {
  const float scale = scale_of(in);
  for (int i = 0; i < N; i++)
    out[i] = (float)(int8_t)in[sizeof scale + (size_t)i] * scale;
}

INLINE void read_nf4_f32(float *out, const uint8_t *in) {
  const float scale = scale_of(in);
  float table[16];
  for (int i = 0; i < 16; i++)
    table[i] = ft_code_nf4[i] * scale;
  for (int i = 0; i < HALF; i++) {
    out[i] = table[in[sizeof scale + (size_t)i] & 15];
    out[i + HALF] = table[in[sizeof scale + (size_t)i] >> 4];
  }
}

INLINE void read_nf4_bf16(uint16_t *out, const uint8_t *in) {
  const float scale = scale_of(in);
  uint16_t table[16];
  for (int i = 0; i < 16; i++)
    table[i] = ft_bf16_from_f32(ft_code_nf4[i] * scale);
  for (int i = 0; i < HALF; i++) {
    out[i] = table[in[sizeof scale + (size_t)i] & 15];
    out[i + HALF] = table[in[sizeof scale + (size_t)i] >> 4];
  }
}

#endif

INLINE void read_int8_bf16(uint16_t *out, const uint8_t *in) {
  float values[N];
  read_int8_f32(values, in);
  for (int i = 0; i < N; i += LANES)
    v_store_bf16_exactly(out + i, v_load(values + i));
}

INLINE void read_packet(ft_code code, ft_dtype to, void *out, const uint8_t *in) {
  if (code == FT_CODE_INT8 && to == FT_BF16)
    read_int8_bf16(out, in);
  else if (code == FT_CODE_INT8)
    read_int8_f32(out, in);
  else if (to == FT_BF16)
    read_nf4_bf16(out, in);
  else
    read_nf4_f32(out, in);
}

void FT_V(code_read)(ft_code code, ft_dtype to, void *out, const void *in, int64_t count) {
  const size_t bytes = ft_code_bytes(code, N);
  const uint8_t *from = in;
  int64_t i = 0;
  for (; i + N <= count; i += N, from += bytes)
    read_packet(code, to, ft_at_out(to, out, i), from);
  if (i == count) return;
  float last[N];
  read_packet(code, to, last, from);
  memcpy(ft_at_out(to, out, i), last, (size_t)(count - i) * ft_dtype_bytes(to));
}
