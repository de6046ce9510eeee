/* Rows: which items (documents, or pairs of them) share one, and in which order an epoch takes
 * them. */
#include "data_internal.h"

/* Random numbers of a source: step 0 orders the items for packing, step epoch + 1 the rows. */
static uint64_t random_step(const ft_data_shards *shards, int64_t step) {
  return (uint64_t)shards->index << 48 ^ (uint64_t)step;
}

/* Of a batch, the rows that an item takes. */
static int64_t length_at(const ft_data_shards *shards, int64_t place) {
  int64_t item = shards->packing_order ? shards->packing_order[place] : place;
  int64_t d = item * shards->per_item;
  return shards->starts[d + shards->per_item] - shards->starts[d] +
         shards->per_item * shards->virtual_rows;
}

static int64_t num_items(const ft_data_shards *shards) {
  return shards->num_documents / shards->per_item;
}

/* Next-fit: an item that does not fit in the open row starts a new one. Returns the number of
 * rows; writes their first places if row_starts is not NULL. */
static int64_t next_fit(const ft_data_shards *shards, int64_t size, int64_t *row_starts,
                        int64_t *longest) {
  int64_t rows = 0, used = 0, count = num_items(shards);
  for (int64_t place = 0; place < count; place++) {
    int64_t length = length_at(shards, place);
    if (rows == 0 || length > size - used) {
      if (row_starts) row_starts[rows] = place;
      rows++;
      used = 0;
    }
    used += length;
    *longest = FT_MAX(*longest, used);
  }
  if (row_starts) row_starts[rows] = count;
  return rows;
}

/* As next_fit, by another order of items. */
static ft_err best_fit(ft_data_shards *shards, int64_t size) {
  ft_err err = FT_OK;
  int64_t count = num_items(shards), *lengths = NULL, *order = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, count, sizeof *lengths, (void **)&lengths));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, count, sizeof *order, (void **)&order));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, count + 1, sizeof *shards->row_starts,
                        (void **)&shards->row_starts));
  for (int64_t place = 0; place < count; place++)
    lengths[place] = length_at(shards, place);
  FT_TRY(ft_data_best_fit(lengths, count, size, order, shards->row_starts, &shards->num_rows));
  for (int64_t row = 0; row < shards->num_rows; row++) {
    int64_t used = 0;
    for (int64_t i = shards->row_starts[row]; i < shards->row_starts[row + 1]; i++)
      used += lengths[order[i]];
    shards->longest_row = FT_MAX(shards->longest_row, used);
  }
  for (int64_t i = 0; i < count && shards->packing_order; i++)
    order[i] = shards->packing_order[order[i]];
  ft_free(shards->packing_order);
  shards->packing_order = order;
  order = NULL;
  FT_TRY(ft_realloc(FT_MEM_DATA, (size_t)(shards->num_rows + 1) * sizeof *shards->row_starts,
                    (void **)&shards->row_starts));
out:
  ft_free(lengths);
  ft_free(order);
  return err;
}

ft_err ft_data_pack(ft_data_shards *shards, const ft_data_options *options) {
  ft_err err = FT_OK;
  int64_t count = num_items(shards);
  int64_t size = (options->seq_len + options->virtual_rows) * shards->per_item;
  shards->num_rows = count;
  shards->virtual_rows = options->virtual_rows;
  if (!options->packing) {
    for (int64_t place = 0; place < count; place++)
      shards->longest_row = FT_MAX(shards->longest_row, length_at(shards, place));
    return FT_OK;
  }
  if (options->shuffle) {
    FT_TRY(ft_alloc_array(FT_MEM_DATA, count, sizeof *shards->packing_order,
                          (void **)&shards->packing_order));
    ft_random_permutation(options->seed, FT_RANDOM_SHUFFLE, random_step(shards, 0), count,
                          shards->packing_order);
  }
  if (options->best_fit) {
    FT_TRY(best_fit(shards, size));
    goto out;
  }
  shards->num_rows = next_fit(shards, size, NULL, &shards->longest_row);
  FT_TRY(ft_alloc_array(FT_MEM_DATA, shards->num_rows + 1, sizeof *shards->row_starts,
                        (void **)&shards->row_starts));
  next_fit(shards, size, shards->row_starts, &shards->longest_row);
out:
  return err;
}

/* The order is kept for two epochs, since a batch may span both. */
ft_err ft_data_row_at(ft_data_shards *shards, bool shuffle, uint64_t seed, int64_t n,
                      int64_t *row) {
  ft_err err = FT_OK;
  int64_t epoch = n / shards->num_rows, place = n % shards->num_rows;
  *row = place;
  if (!shuffle) return FT_OK;
  ft_data_order *order = &shards->orders[epoch & 1];
  if (!order->rows) {
    FT_TRY(
        ft_alloc_array(FT_MEM_DATA, shards->num_rows, sizeof *order->rows, (void **)&order->rows));
    order->epoch = -1;
  }
  if (order->epoch != epoch) {
    ft_random_permutation(seed, FT_RANDOM_SHUFFLE, random_step(shards, epoch + 1), shards->num_rows,
                          order->rows);
    order->epoch = epoch;
  }
  *row = order->rows[place];
out:
  return err;
}
