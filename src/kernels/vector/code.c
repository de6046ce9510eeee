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

/* How many midpoints lie below x. */
INLINE uint8_t nibble_of(float x) {
  int32_t above = 0;
  for (int i = 0; i < 15; i++)
    above += x > midpoints[i];
  return (uint8_t)above;
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
  for (int i = 0; i < N; i++)
    number[i] = nibble_of(in[i] / divisor);
  for (int i = 0; i < HALF; i++)
    codes[i] = (uint8_t)(number[i] | number[i + HALF] << 4);
}

void FT_V(code_write)(ft_code code, void *out, ft_dtype from, const void *in, int64_t count) {
  uint8_t *to = out;
  for (int64_t i = 0; i < count; i += N) {
    float values[N] = {0};
    FT_V(convert)(FT_F32, values, from, ft_at(from, in, i), FT_MIN((int64_t)N, count - i));
    if (code == FT_CODE_INT8)
      write_packet(FT_CODE_INT8, to, values);
    else
      write_packet(FT_CODE_NF4, to, values);
    to += sizeof(float) + (code == FT_CODE_INT8 ? N : HALF);
  }
}

/* ---------------------------------------------------------------- reading */

/* `out` gets 64 elements of f32. */
INLINE void read_f32(ft_code code, float *out, const uint8_t *in) {
  float scale, table[16];
  memcpy(&scale, in, sizeof scale);
  const uint8_t *codes = in + sizeof scale;
  if (code == FT_CODE_INT8) {
    for (int i = 0; i < N; i++)
      out[i] = (float)(int8_t)codes[i] * scale;
    return;
  }
  for (int i = 0; i < 16; i++)
    table[i] = ft_code_nf4[i] * scale;
  for (int i = 0; i < HALF; i++) {
    out[i] = table[codes[i] & 15];
    out[i + HALF] = table[codes[i] >> 4];
  }
}

INLINE void read_bf16(ft_code code, uint16_t *out, const uint8_t *in) {
  float values[N];
  read_f32(code, values, in);
  for (int i = 0; i < N; i += LANES)
    v_store_bf16_exactly(out + i, v_load(values + i));
}

void FT_V(code_read)(ft_code code, ft_dtype to, void *out, const void *in, int64_t count) {
  const uint8_t *from = in;
  for (int64_t i = 0; i < count; i += N) {
    float last[N];
    bool whole = count - i >= N;
    void *at = whole ? ft_at_out(to, out, i) : last;
    if (to == FT_BF16)
      code == FT_CODE_INT8 ? read_bf16(FT_CODE_INT8, at, from) : read_bf16(FT_CODE_NF4, at, from);
    else
      code == FT_CODE_INT8 ? read_f32(FT_CODE_INT8, at, from) : read_f32(FT_CODE_NF4, at, from);
    if (!whole) memcpy(ft_at_out(to, out, i), last, (size_t)(count - i) * ft_dtype_bytes(to));
    from += sizeof(float) + (code == FT_CODE_INT8 ? N : HALF);
  }
}
