/* At which rates a layout's tensors are trained: the run's, those of groups, less towards the
 * embedding. */
#include <math.h>
#include <string.h>

#include "ft/arch_layout.h"

ft_err ft_layout_set_rates(ft_layout *l, double layer_decay, const ft_rate_group *groups,
                           int64_t num) {
  void *copy = NULL;
  ft_err err = num > 0 ? ft_alloc_array(FT_MEM_OTHER, num, sizeof *groups, &copy) : FT_OK;
  if (err != FT_OK) return err;
  if (num > 0) memcpy(copy, groups, (size_t)num * sizeof *groups);
  ft_free(l->groups);
  l->groups = copy;
  l->num_groups = num;
  l->layer_decay = layer_decay;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; i < l->blocks[b].num_tensors; i++)
      l->blocks[b].tensors[i].group = 0;
  return FT_OK;
}

static const ft_rate_group *group_of(const ft_layout *l, const ft_tensor *t) {
  FT_ASSERT(t->group <= l->num_groups);
  return t->group > 0 ? &l->groups[t->group - 1] : NULL;
}

/* Units between a block and the head. */
static int64_t below_head(const ft_layout *l, const ft_block *b) {
  if (b->place == FT_PLACE_HEAD) return 0;
  return l->arch.layers - (b->place == FT_PLACE_LAYER ? b->layer : -1);
}

double ft_layout_lr(const ft_layout *l, const ft_block *block, const ft_tensor *t,
                    const ft_rate *rate) {
  const ft_rate_group *g = group_of(l, t);
  double lr = g && g->lr >= 0 ? g->lr * rate->share : rate->lr;
  return lr * pow(l->layer_decay, (double)below_head(l, block));
}

double ft_layout_weight_decay(const ft_layout *l, const ft_tensor *t, double weight_decay) {
  const ft_rate_group *g = group_of(l, t);
  if (g && g->weight_decay >= 0) return g->weight_decay;
  return t->num_dims < 2 ? 0 : weight_decay;
}
