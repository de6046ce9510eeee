/* The exact partition as pure functions: blocks into pieces at row boundaries, pieces into chunks,
 * chunks among ranks. */
#include "internal.h"

static int64_t greatest_divisor(int64_t a, int64_t b) {
  while (b) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

typedef struct cutter {
  ft_range *out; /* NULL: only count */
  int64_t num;
  int64_t start; /* of the piece that is being filled */
} cutter;

static void cut_at(cutter *c, int64_t end) {
  if (end == c->start) return;
  if (c->out) c->out[c->num] = (ft_range){.start = c->start, .count = end - c->start};
  c->num++;
  c->start = end;
}

/* Cuts a tensor that is longer than a piece at rows that begin on a multiple of FT_TENSOR_ALIGN. */
static void cut_tensor(cutter *c, const ft_tensor *t, int64_t end, int64_t limit) {
  int64_t granule = FT_TENSOR_ALIGN / greatest_divisor(FT_TENSOR_ALIGN, t->cols);
  int64_t rows = FT_MAX(granule, limit / t->cols / granule * granule);
  for (int64_t row = rows; row < t->rows; row += rows)
    cut_at(c, t->offset + row * t->cols);
  cut_at(c, end);
}

int64_t ft_shard_cut_pieces(const ft_block *block, int64_t piece_elements, ft_range *out) {
  FT_ASSERT(piece_elements > 0);
  int64_t limit = FT_MAX(piece_elements / FT_TENSOR_ALIGN, 1) * FT_TENSOR_ALIGN;
  cutter c = {.out = out};
  for (int i = 0; i < block->num_tensors; i++) {
    const ft_tensor *t = &block->tensors[i];
    bool last = i + 1 == block->num_tensors;
    int64_t end = last ? block->num_elements : block->tensors[i + 1].offset;
    if (end - c.start > limit) cut_at(&c, t->offset);
    if (end - t->offset > limit) cut_tensor(&c, t, end, limit);
  }
  cut_at(&c, block->num_elements);
  return c.num;
}

ft_range ft_shard_piece_slice(const ft_range *p, int place, int size) {
  FT_ASSERT(place >= 0 && place < size);
  int64_t chunks = ft_ceil_div(p->count, FT_CHUNK);
  int64_t first = chunks * place / size, end = chunks * (place + 1) / size;
  int64_t start = first * FT_CHUNK, stop = FT_MIN(end * FT_CHUNK, p->count);
  return (ft_range){.start = p->start + start, .count = end > first ? stop - start : 0};
}

int64_t ft_partition_num_pieces(const ft_block *block, int64_t piece_elements) {
  return ft_shard_cut_pieces(block, piece_elements, NULL);
}

int64_t ft_partition(const ft_block *block, int64_t piece_elements, int place, int size,
                     ft_range *ranges) {
  int64_t num_pieces = ft_shard_cut_pieces(block, piece_elements, ranges);
  int64_t num = 0, local = 0;
  for (int64_t i = 0; i < num_pieces; i++) { /* num <= i: a piece is read before its room is used */
    ft_range own = ft_shard_piece_slice(&ranges[i], place, size);
    if (own.count == 0) continue;
    own.local = local;
    local += own.count;
    ranges[num++] = own;
  }
  return num;
}
