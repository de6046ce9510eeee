/* Frozen weights in codes: sizes, and packets divided among threads. */
#include "internal.h"

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

/* Packets that one thread takes at a time. */
enum { PACKETS = 64, PIECE = PACKETS * FT_CODE_ELEMENTS };

void ft_code_write(ft_code code, void *out, ft_dtype from, const void *in, int64_t count) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(static) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->code_write(code, (char *)out + ft_code_bytes(code, i), from, ft_at(from, in, i),
                       FT_MIN((int64_t)PIECE, count - i));
}

void ft_code_read(ft_code code, ft_dtype to, void *out, const void *in, int64_t count) {
  const ft_vector *vector = ft_vector_used();
#pragma omp parallel for schedule(static) if (count > FT_PARALLEL_ELEMENTS)
  for (int64_t i = 0; i < count; i += PIECE)
    vector->code_read(code, to, ft_at_out(to, out, i), (const char *)in + ft_code_bytes(code, i),
                      FT_MIN((int64_t)PIECE, count - i));
}
