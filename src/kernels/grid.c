/* The grid of tiles that a product is cut into, which only its shape decides. */
#include "internal.h"

/* The size of a part when `total` is cut into equal parts of at most `most`, rounded up so that few
 * sizes occur and vectors are whole. */
static int64_t part_of(int64_t total, int64_t most, int64_t multiple) {
  int64_t parts = ft_ceil_div(total, most);
  return FT_MIN(total, ft_round_up(ft_ceil_div(total, parts), multiple));
}

ft_grid ft_grid_of(int64_t m, int64_t n, int64_t rows_at_most, int64_t columns_at_most) {
  int64_t tile_m = part_of(m, rows_at_most, 16), tile_n = part_of(n, columns_at_most, 64);
  return (ft_grid){.m = m,
                   .n = n,
                   .tile_m = tile_m,
                   .tile_n = tile_n,
                   .num_m = ft_ceil_div(m, tile_m),
                   .num_n = ft_ceil_div(n, tile_n)};
}

ft_tile ft_grid_tile(const ft_grid *grid, int64_t index) {
  int64_t m0 = index % grid->num_m * grid->tile_m, n0 = index / grid->num_m * grid->tile_n;
  return (ft_tile){.m0 = m0,
                   .n0 = n0,
                   .m = FT_MIN(grid->tile_m, grid->m - m0),
                   .n = FT_MIN(grid->tile_n, grid->n - n0)};
}
