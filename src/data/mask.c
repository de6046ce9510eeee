/* The mask of the document that is being read. */
#include "data_internal.h"

int64_t ft_data_count_mask(const uint8_t *mask, int64_t count) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; i++)
    sum += mask[i];
  return sum;
}

ft_err ft_data_reserve_mask(ft_data *data, int64_t length) {
  if (length <= data->mask_capacity) return FT_OK;
  ft_free(data->mask);
  data->mask = NULL;
  data->mask_capacity = 0;
  ft_err err = ft_alloc_array(FT_MEM_DATA, length, sizeof(int32_t), (void **)&data->mask);
  if (err == FT_OK) data->mask_capacity = length;
  return err;
}
