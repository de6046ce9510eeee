/* Memory that a model has for its life. */
#include "internal.h"

ft_err ft_model_alloc(ft_model *m, ft_owner owner, int64_t count, size_t size, void **out) {
  ft_err err = FT_OK;
  void *list = m->allocations;
  if (m->footprint && owner != FT_MEM_OTHER) { /* what is only planned is counted */
    m->footprint->rank[owner] += count * (int64_t)size;
    *out = NULL;
    return FT_OK;
  }
  FT_TRY(ft_grow(FT_MEM_OTHER, m->num_allocations + 1, sizeof *m->allocations, &m->room_allocations,
                 &list));
  m->allocations = list;
  FT_TRY(ft_alloc_array(owner, count, size, out));
  m->allocations[m->num_allocations++] = *out;
out:
  return err;
}
