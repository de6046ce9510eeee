/* Master weights as numbers, whatever bytes they were saved in. */
#include <string.h>

#include "internal.h"

static const saved_state *find(const ft_checkpoint *c, const char *name) {
  for (int s = 0; s < c->num_states; s++)
    if (strcmp(c->states[s].name, name) == 0) return &c->states[s];
  return NULL;
}

bool ft_checkpoint_has(const ft_checkpoint *c, const char *state) {
  return find(c, state) != NULL;
}

ft_err ft_checkpoint_master(const ft_checkpoint *c, ft_master *kind) {
  const saved_state *high = find(c, "master"), *low = find(c, "master.low");
  for (int k = 0; high && k < FT_MASTER_NUM; k++) {
    *kind = (ft_master)k;
    if (high->group_elements == 1 && high->group_bytes == ft_master_bytes(*kind) &&
        (low ? low->group_bytes : 0) == ft_master_low_bytes(*kind))
      return FT_OK;
  }
  return ft_fail(FT_ERR_DATA,
                 "%s: its master weights are in a form that this program does not know",
                 c->manifest);
}

static ft_err read_packed(ft_checkpoint *c, ft_master kind, const char *block, int64_t start,
                          int64_t count, float *out) {
  enum { PIECE = 1 << 18 };
  ft_err err = FT_OK;
  void *high = NULL, *low = NULL;
  int64_t room = FT_MIN(count, (int64_t)PIECE);
  FT_TRY(ft_alloc_array(FT_MEM_IO, room, ft_master_bytes(kind), &high));
  FT_TRY(ft_alloc_array(FT_MEM_IO, room, ft_master_low_bytes(kind), &low));
  for (int64_t at = 0, n; at < count; at += n) {
    n = FT_MIN(room, count - at);
    FT_TRY(ft_checkpoint_read(c, block, "master", start + at, n, 1, ft_master_bytes(kind), high));
    if (ft_master_low_bytes(kind))
      FT_TRY(ft_checkpoint_read(c, block, "master.low", start + at, n, 1, 1, low));
    ft_master_read(kind, high, low, n, out + at);
  }
out:
  ft_free(high);
  ft_free(low);
  return err;
}

ft_err ft_checkpoint_read_weights(ft_checkpoint *c, const char *block, const char *state,
                                  int64_t start, int64_t count, float *out) {
  ft_err err = FT_OK;
  ft_master kind;
  if (state) return ft_checkpoint_read(c, block, state, start, count, 1, sizeof(float), out);
  FT_TRY(ft_checkpoint_master(c, &kind));
  if (kind == FT_MASTER_F32)
    err = ft_checkpoint_read(c, block, "master", start, count, 1, sizeof(float), out);
  else
    err = read_packed(c, kind, block, start, count, out);
out:
  return err;
}
