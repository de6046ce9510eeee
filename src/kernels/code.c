/* Frozen weights in codes: packets divided among threads. */
#include "internal.h"

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
