/* Memory that a model has for its life. */
#include "internal.h"

#include <string.h>

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

ft_err ft_model_alloc_all(ft_model *m, ft_owner owner, const ft_model_buffer *buffers, size_t num) {
  ft_err err = FT_OK;
  for (size_t i = 0; i < num; i++) {
    void *p = NULL;
    if (buffers[i].count > 0)
      FT_TRY(ft_model_alloc(m, owner, buffers[i].count, buffers[i].size, &p));
    memcpy(buffers[i].pointer, &p, sizeof p);
  }
out:
  return err;
}
