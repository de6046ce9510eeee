/* Products by this module's own kernels (vector/product.c): which types they take, and the tiles
 * that threads take one after the other. An element's sum does not depend on the tiles, so here,
 * and nowhere else, the number of threads may decide how work is cut. */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static bool has[2]; /* f32, bf16 */

/* Tiles of int8 and bf16 in hardware (AMX): oneDNN uses them, these kernels do not. */
static bool has_amx(void) {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & (1u << 22));
}

ft_err ft_own_init(void) {
  const ft_vector *vector = ft_vector_used();
  const char *wanted = getenv("FTRUN_MATMUL");
  bool libraries = wanted && strcmp(wanted, "library") == 0;
  if (wanted && *wanted && !libraries && strcmp(wanted, "own") != 0)
    return ft_fail(FT_ERR_CONFIG,
                   "FTRUN_MATMUL=%s is neither own nor library: unset it to use what is faster",
                   wanted);
  has[0] = vector->product_tile_f32 && !libraries;
  has[1] = vector->product_tile_bf16 && !libraries && !has_amx();
  return FT_OK;
}

bool ft_own_has(ft_dtype type) {
  return has[type == FT_BF16];
}

/* How many tiles of `rows` rows and `panels` panels of columns there are. */
static int64_t num_tiles(const ft_product *p, int64_t rows, int64_t panels) {
  return ft_ceil_div(p->m, rows) * ft_ceil_div(p->n, panels * FT_PRODUCT_COLUMNS);
}

/* Tiles: B is packed for the rows of one tile, and A, where it is packed, for its columns. So they
 * are large where that costs, and small enough that every thread finds several. */
static ft_grid grid_of(const ft_product *p, int64_t threads) {
  bool flipped = ft_product_a_flipped(p);
  int64_t rows = 1024, columns = flipped ? 8 : 4, wanted = 8 * threads; /* columns: in panels */
  while (flipped && rows > 256 && num_tiles(p, rows, columns) < wanted)
    rows /= 2;
  while (columns > (flipped ? 2 : 1) && num_tiles(p, rows, columns) < wanted)
    columns /= 2;
  while (rows > 64 && num_tiles(p, rows, columns) < wanted)
    rows /= 2;
  rows = FT_MIN(rows, ft_round_up(p->m, FT_PRODUCT_ROWS));
  columns *= FT_PRODUCT_COLUMNS;
  return (ft_grid){.m = p->m,
                   .n = p->n,
                   .tile_m = rows,
                   .tile_n = columns,
                   .num_m = ft_ceil_div(p->m, rows),
                   .num_n = ft_ceil_div(p->n, columns)};
}

ft_err ft_own_product(const ft_product *p) {
  const ft_vector *vector = ft_vector_used();
  ft_grid grid = grid_of(p, omp_get_max_threads());
  int64_t tiles = grid.num_m * grid.num_n;
  size_t floats = (size_t)vector->product_scratch(p, grid.tile_m, grid.tile_n);
  ft_err err = ft_scratch_reserve(floats * sizeof(float));
  if (err != FT_OK) return err;
#pragma omp parallel for schedule(dynamic, 1) if (tiles > 1)
  for (int64_t i = 0; i < tiles; i++) {
    if (ft_kernels_stopping()) continue;
    ft_tile t = ft_grid_tile(&grid, i);
    if (p->type == FT_BF16)
      vector->product_tile_bf16(p, &t, ft_scratch());
    else
      vector->product_tile_f32(p, &t, ft_scratch());
  }
  return FT_OK;
}
